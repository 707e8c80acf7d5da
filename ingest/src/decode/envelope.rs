//! Takes the event out of a record. Records as the vendor writes them, plain or in a row of the log service, are taken as the
//! scanner has read them; every other record goes to [`super::wrappers`].

use super::refusal::OpenError;
use super::scan_notes::ValueSpan;
use super::scanner::{ObjectShape, Scanner};
use super::sink::RecordSink;
use super::wrappers::{RecordContext, WrapperOpener, fallback_account, is_understood};
use std::borrow::Cow;
use trailhound_datasets::json::{self, ValueKind};

/// Levels of rows inside rows that are opened without a second look.
const NESTING_MAX: usize = 4;

/// Passes the event in `text` to the sink. `scanner` has just scanned `text` and found `shape`.
pub(super) fn open(
    scanner: &mut Scanner,
    text: &str,
    shape: ObjectShape,
    context: &RecordContext<'_>,
    sink: &mut dyn RecordSink,
) -> Result<(), OpenError> {
    if open_plain(scanner, text, shape, context, None, sink, 0)? {
        return Ok(());
    }
    WrapperOpener::new(scanner, *context, sink).record(text, None)
}

/// Scans and opens a row that the decoder has assembled as JSON text.
pub(super) fn open_row(
    scanner: &mut Scanner,
    text: &str,
    context: &RecordContext<'_>,
    sink: &mut dyn RecordSink,
) -> Result<(), OpenError> {
    let shape = match scanner.object(text.as_bytes()) {
        Ok((shape, _)) => shape,
        Err(_) => ObjectShape::Unknown,
    };
    open(scanner, text, shape, context, sink)
}

/// Passes the event to the sink where the scanner alone understands it; false where it does not. `owner` is the account of
/// the rows outside, `nesting` their number.
fn open_plain(
    scanner: &mut Scanner,
    text: &str,
    shape: ObjectShape,
    context: &RecordContext<'_>,
    owner: Option<String>,
    sink: &mut dyn RecordSink,
    nesting: usize,
) -> Result<bool, OpenError> {
    match shape {
        ObjectShape::Event if scanner.is_plain(text) => {
            let mut event = scanner.event(text);
            if !is_understood(&event) {
                return Ok(false);
            }
            event.fallback_account = fallback_account(context, owner);
            sink.event(&event)?;
            Ok(true)
        }
        ObjectShape::Row(span) if nesting < NESTING_MAX && scanner.is_plain_row() => {
            let owner = owner.or_else(|| scanner.owner(text).map(Cow::into_owned));
            let Some(inner) = inner_text(text, span) else { return Ok(false) };
            let inner = inner.trim();
            match scanner.object(inner.as_bytes()) {
                Ok((shape, end)) if end == inner.len() => {
                    open_plain(scanner, inner, shape, context, owner, sink, nesting + 1)
                }
                _ => Ok(false),
            }
        }
        _ => Ok(false),
    }
}

/// The text of an object, or of a string that holds one.
fn inner_text(text: &str, span: ValueSpan) -> Option<Cow<'_, str>> {
    let raw = &text[span.start..span.end];
    if span.kind == ValueKind::Object {
        return Some(Cow::Borrowed(raw));
    }
    json::unquote(raw).filter(|inner| inner.trim_start().starts_with('{'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trailhound_datasets::samples;

    /// The slow path takes several times as long, so events as the vendor writes them must not go there.
    #[test]
    fn the_scanner_alone_reads_events_as_the_vendor_writes_them() {
        let mut scanner = Scanner::default();
        let mut slow = samples::event_names();
        slow.retain(|name| {
            let text = samples::event(name).expect("a sample").trim();
            let shape = scanner.object(text.as_bytes()).map(|(shape, _)| shape);
            !(shape == Ok(ObjectShape::Event) && scanner.is_plain(text))
        });
        // They have another form: an insight, and keys of 2015.
        assert_eq!(slow, ["insight", "year_2015"]);
    }
}
