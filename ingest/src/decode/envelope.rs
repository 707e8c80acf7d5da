//! Envelopes around events: extracts the event from log service rows, SDK dumps and flattened columns, and passes it to the
//! sink.

use super::flattened;
use super::scan_notes::ValueSpan;
use super::scanner::{ObjectShape, Scanner};
use super::sink::{RecordSink, SinkStopped};
use std::borrow::Cow;
use trailhound_datasets::event::Flag;
use trailhound_datasets::json::{self, JsonError, ValueKind};
use trailhound_datasets::reject::RejectCode;

/// Levels of rows inside rows that are opened: `contents` around `event` around its text, and one more.
const NESTING_MAX: usize = 4;

/// What is known about an event apart from its text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EventContext<'c> {
    /// The account id in the object's path.
    pub(super) path_account: Option<&'c str>,
}

/// Why no event was extracted.
pub(super) enum EnvelopeError {
    /// The sink stopped the decoder.
    Stopped(SinkStopped),
    /// The row must be rejected: the code, the offset of the error in the row, and what would have been valid.
    Reject { code: RejectCode, at: usize, expected: &'static str },
}

impl From<SinkStopped> for EnvelopeError {
    fn from(stopped: SinkStopped) -> Self {
        Self::Stopped(stopped)
    }
}

fn reject(code: RejectCode, expected: &'static str) -> EnvelopeError {
    EnvelopeError::Reject { code, at: 0, expected }
}

/// Passes the event in `text` to the sink. `scanner` has just scanned `text` and found `shape`.
pub(super) fn open(
    scanner: &mut Scanner,
    text: &str,
    shape: ObjectShape,
    context: &EventContext<'_>,
    sink: &mut dyn RecordSink,
) -> Result<(), EnvelopeError> {
    open_nested(scanner, text, shape, context, None, sink, 0)
}

/// Scans and opens a row that the decoder has assembled as JSON text.
pub(super) fn open_row(
    scanner: &mut Scanner,
    text: &str,
    context: &EventContext<'_>,
    sink: &mut dyn RecordSink,
) -> Result<(), EnvelopeError> {
    let shape = match scanner.object(text.as_bytes()) {
        Ok((shape, _)) => shape,
        Err(_) => ObjectShape::Unknown,
    };
    open(scanner, text, shape, context, sink)
}

/// [`open`] inside `nesting` levels of rows. `owner` is the account of the rows outside.
fn open_nested(
    scanner: &mut Scanner,
    text: &str,
    shape: ObjectShape,
    context: &EventContext<'_>,
    owner: Option<String>,
    sink: &mut dyn RecordSink,
    nesting: usize,
) -> Result<(), EnvelopeError> {
    match shape {
        ObjectShape::Event => {
            let mut event = scanner.event(text);
            event.fallback_account = match (context.path_account, owner) {
                (Some(account), _) => Some((Cow::Borrowed(account), Flag::AccountFromPath)),
                (None, Some(owner)) => Some((Cow::Owned(owner), Flag::AccountFromOwnerId)),
                (None, None) => None,
            };
            Ok(sink.event(&event)?)
        }
        ObjectShape::Row(_) if nesting >= NESTING_MAX => {
            Err(reject(RejectCode::UnknownLayout, "an event at most four wrappers deep"))
        }
        ObjectShape::Row(span) => {
            let owner = owner.or_else(|| scanner.owner(text).map(Cow::into_owned));
            if span.kind == ValueKind::Object {
                let inner = &text[span.start..span.end];
                let shape = rescan(scanner, inner, span.start)?;
                return open_nested(scanner, inner, shape, context, owner, sink, nesting + 1);
            }
            let inner = unquoted_text(text, span)?;
            let trimmed = inner.trim();
            if !trimmed.starts_with('{') {
                return Err(reject(RejectCode::UnknownLayout, "an event object inside the string"));
            }
            let shape = rescan(scanner, trimmed, span.start)?;
            open_nested(scanner, trimmed, shape, context, owner, sink, nesting + 1)
        }
        ObjectShape::Flattened => {
            let owner = owner.or_else(|| scanner.owner(text).map(Cow::into_owned));
            let event = flattened::event_text(text)
                .ok_or(reject(RejectCode::UnknownLayout, "dotted columns that form an event"))?;
            let shape = rescan(scanner, &event, 0)?;
            if shape != ObjectShape::Event {
                return Err(reject(RejectCode::UnknownLayout, "dotted columns that form an event"));
            }
            open_nested(scanner, &event, shape, context, owner, sink, nesting + 1)
        }
        ObjectShape::Foreign => Err(reject(
            RejectCode::UnsupportedEvent,
            "an ActionTrail event, not one of the provider-initiated feed",
        )),
        ObjectShape::Empty | ObjectShape::Unknown | ObjectShape::Response(_) => Err(reject(
            RejectCode::UnknownLayout,
            "an event, or a row with `event`, `contents` or dotted `event.` columns",
        )),
    }
}

/// Scans the event or row inside a row. `base` is its offset in the row.
fn rescan(scanner: &mut Scanner, text: &str, base: usize) -> Result<ObjectShape, EnvelopeError> {
    match scanner.object(text.as_bytes()) {
        Ok((shape, end)) if text[end..].trim().is_empty() => Ok(shape),
        Ok((_, end)) => Err(EnvelopeError::Reject {
            code: RejectCode::BadJson,
            at: base + end,
            expected: "nothing after the event",
        }),
        Err(JsonError::TooDeep { at }) => Err(EnvelopeError::Reject {
            code: RejectCode::TooDeep,
            at: base + at,
            expected: "at most 128 nested containers",
        }),
        Err(JsonError::Syntax { at, expected }) => {
            Err(EnvelopeError::Reject { code: RejectCode::BadJson, at: base + at, expected })
        }
        Err(JsonError::Incomplete) => Err(EnvelopeError::Reject {
            code: RejectCode::Truncated,
            at: base,
            expected: "a complete event inside the row",
        }),
    }
}

/// The text of a string value. A JSON string inside that text is unquoted once more.
fn unquoted_text(text: &str, span: ValueSpan) -> Result<String, EnvelopeError> {
    let surrogate = || reject(RejectCode::BadUtf8, "text without half surrogate pairs");
    let once = json::unquote(&text[span.start..span.end]).ok_or_else(surrogate)?.into_owned();
    if once.trim_start().starts_with('"') {
        return json::unquote(once.trim()).map(Cow::into_owned).ok_or_else(surrogate);
    }
    Ok(once)
}
