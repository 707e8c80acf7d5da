//! The slow decoder: the same answers by way of a general JSON parser. Tests and fuzzing hold the fast one against it.

use serde_json::Value;

/// The events of `text` (a JSON array of events, or one event) as values, or `None` if `text` is no JSON.
/// Only what needs no judgement: no rows, no recovery, no compression.
#[must_use]
pub fn events(text: &[u8]) -> Option<Vec<Value>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    match serde_json::from_slice(text).ok()? {
        Value::Array(events) => Some(events),
        event => Some(vec![event]),
    }
}
