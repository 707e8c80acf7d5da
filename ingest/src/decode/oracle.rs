//! A slow reference decoder that uses a general JSON parser. Tests and fuzzing compare the fast decoder with it.

use serde_json::Value;

/// The events of `text` (a JSON array of events, or one event) as values; `None` where `text` is no JSON. Rows, broken
/// input and compression are not supported.
#[must_use]
pub fn events(text: &[u8]) -> Option<Vec<Value>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    match serde_json::from_slice(text).ok()? {
        Value::Array(events) => Some(events),
        event => Some(vec![event]),
    }
}
