//! Rows around events: takes the event out of log service rows, SDK dumps and flattened columns, and hands it on.

use super::scanner::{Scanner, Shape, Span};
use super::{Sink, Stop, flattened};
use std::borrow::Cow;
use trailhound_datasets::event::Flag;
use trailhound_datasets::json::{self, JsonError, Kind};
use trailhound_datasets::reject::Code;

/// Rows within rows that are opened: `contents` around `event` around its text, and one more.
const NESTING_MAX: usize = 4;

/// What is known about an event from outside it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Context<'c> {
    /// Account id in the object's path.
    pub(super) path_account: Option<&'c str>,
}

pub(super) enum Failed {
    Stop(Stop),
    Reject { code: Code, at: usize, expected: &'static str },
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

fn reject(code: Code, expected: &'static str) -> Failed {
    Failed::Reject { code, at: 0, expected }
}

/// Hands on the event in `text`, which `scanner` has just scanned as `shape`.
pub(super) fn open(
    scanner: &mut Scanner,
    text: &str,
    shape: Shape,
    context: &Context<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Failed> {
    open_nested(scanner, text, shape, context, None, sink, 0)
}

fn open_nested(
    scanner: &mut Scanner,
    text: &str,
    shape: Shape,
    context: &Context<'_>,
    owner: Option<String>,
    sink: &mut dyn Sink,
    nesting: usize,
) -> Result<(), Failed> {
    match shape {
        Shape::Event => {
            let mut event = scanner.event(text);
            event.outer_account = match (context.path_account, owner) {
                (Some(account), _) => Some((Cow::Borrowed(account), Flag::AccountFromPath)),
                (None, Some(owner)) => Some((Cow::Owned(owner), Flag::AccountFromOwnerId)),
                (None, None) => None,
            };
            Ok(sink.event(&event)?)
        }
        Shape::Row(_) if nesting >= NESTING_MAX => {
            Err(reject(Code::UnknownLayout, "an event at most four wrappers deep"))
        }
        Shape::Row(span) => {
            let owner = owner.or_else(|| scanner.owner(text).map(Cow::into_owned));
            if span.kind == Kind::Object {
                let inner = &text[span.start..span.end];
                let shape = rescan(scanner, inner, span.start)?;
                return open_nested(scanner, inner, shape, context, owner, sink, nesting + 1);
            }
            let inner = unwrapped(text, span)?;
            let trimmed = inner.trim();
            if !trimmed.starts_with('{') {
                return Err(reject(Code::UnknownLayout, "an event object inside the string"));
            }
            let shape = rescan(scanner, trimmed, span.start)?;
            open_nested(scanner, trimmed, shape, context, owner, sink, nesting + 1)
        }
        Shape::Flattened => {
            let owner = owner.or_else(|| scanner.owner(text).map(Cow::into_owned));
            let event = flattened::event_text(text)
                .ok_or(reject(Code::UnknownLayout, "dotted columns that form an event"))?;
            let shape = rescan(scanner, &event, 0)?;
            if shape != Shape::Event {
                return Err(reject(Code::UnknownLayout, "dotted columns that form an event"));
            }
            open_nested(scanner, &event, shape, context, owner, sink, nesting + 1)
        }
        Shape::Foreign => Err(reject(
            Code::UnsupportedEvent,
            "an ActionTrail event, not one of the provider-initiated feed",
        )),
        Shape::Empty | Shape::Unknown | Shape::Wrapper(_) => Err(reject(
            Code::UnknownLayout,
            "an event, or a row with `event`, `contents` or dotted `event.` columns",
        )),
    }
}

fn rescan(scanner: &mut Scanner, text: &str, base: usize) -> Result<Shape, Failed> {
    match scanner.object(text.as_bytes()) {
        Ok((shape, end)) if text[end..].trim().is_empty() => Ok(shape),
        Ok((_, end)) => Err(Failed::Reject {
            code: Code::BadJson,
            at: base + end,
            expected: "nothing after the event",
        }),
        Err(JsonError::TooDeep { at }) => Err(Failed::Reject {
            code: Code::TooDeep,
            at: base + at,
            expected: "at most 128 nested containers",
        }),
        Err(JsonError::Syntax { at, expected }) => {
            Err(Failed::Reject { code: Code::BadJson, at: base + at, expected })
        }
        Err(JsonError::Incomplete) => Err(Failed::Reject {
            code: Code::Truncated,
            at: base,
            expected: "a complete event inside the row",
        }),
    }
}

/// The text a string value stands for; a string inside that string is opened once more, and no further.
fn unwrapped(text: &str, span: Span) -> Result<String, Failed> {
    let surrogate = || reject(Code::BadUtf8, "text without half surrogate pairs");
    let once = json::text_of(&text[span.start..span.end]).ok_or_else(surrogate)?.into_owned();
    if once.trim_start().starts_with('"') {
        return json::text_of(once.trim()).map(Cow::into_owned).ok_or_else(surrogate);
    }
    Ok(once)
}
