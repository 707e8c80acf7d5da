//! Opens what lies around an event: rows of log services, documents of search engines, messages of log shippers, answers of
//! APIs. This is the slow path for every record that the scanner alone does not understand.
//!
//! A record that is an event is taken as one ([`super::recognise`]), whatever else it holds. Otherwise the members that are
//! known to hold events are opened, in the order of [`WRAPPERS`]. Text in them is read as JSON, doubly encoded too.

use super::draft::{EventDraft, Member};
use super::limits::DecodeLimits;
use super::member_values::pairs;
use super::recognise;
use super::refusal::{OpenError, Refusal};
use super::scanner::{ObjectShape, Scanner};
use super::sink::RecordSink;
use super::wrapper_keys::{OWNERS, WRAPPERS};
use std::borrow::Cow;
use trailhound_datasets::event::{Event, Field, Flag, is_placeholder};
use trailhound_datasets::json::{self, Walker};
use trailhound_datasets::reject::RejectCode;

/// Wrappers inside wrappers that are opened.
const NESTING_MAX: usize = 6;
/// Layers of JSON text inside JSON text that are read in one wrapper.
const TEXT_LAYERS_MAX: usize = 2;
/// Wrappers that are tried for one record.
const ATTEMPTS_MAX: usize = 64;

/// What is known about a record apart from its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordContext<'c> {
    /// The account id in the object's path.
    pub(super) path_account: Option<&'c str>,
    /// Offset of the record in the content, in bytes.
    pub(super) offset: u64,
    pub(super) limits: &'c DecodeLimits,
}

/// What came of the wrappers in a record.
enum WrapperOutcome {
    /// One held an event, which the sink has received.
    Opened,
    /// The record has none that could hold an event.
    None,
    /// None held an event; the reason of the first.
    Refused(Refusal),
}

/// Opens one record.
pub(super) struct WrapperOpener<'o> {
    scanner: &'o mut Scanner,
    context: RecordContext<'o>,
    sink: &'o mut dyn RecordSink,
    attempts: usize,
}

/// The rows around a text: how many, and the account that they name.
#[derive(Clone, Default)]
struct Around {
    nesting: usize,
    owner: Option<String>,
}

impl<'o> WrapperOpener<'o> {
    pub(super) fn new(
        scanner: &'o mut Scanner,
        context: RecordContext<'o>,
        sink: &'o mut dyn RecordSink,
    ) -> Self {
        Self { scanner, context, sink, attempts: 0 }
    }

    /// Opens the JSON value `text`, which must be the whole text: an object, a list, or a string that holds one.
    pub(super) fn record(&mut self, text: &str, owner: Option<String>) -> Result<(), OpenError> {
        self.value(text, &Around { nesting: 0, owner }, 0)
    }

    fn value(&mut self, text: &str, around: &Around, layers: usize) -> Result<(), OpenError> {
        let text = text.trim();
        match text.as_bytes().first() {
            Some(b'{') => self.object(checked(text)?, around),
            Some(b'[') => self.list(checked(text)?, around),
            Some(b'"') if layers < TEXT_LAYERS_MAX => {
                let inner = json::unquote(checked(text)?).ok_or_else(|| {
                    Refusal::new(RejectCode::BadUtf8, "text without half surrogate pairs")
                })?;
                self.value(&inner, around, layers + 1).map_err(|error| match error {
                    // Places inside text that was unescaped are no places in the record.
                    OpenError::Refused(refusal) => Refusal { at: 0, ..refusal }.into(),
                    stopped => stopped,
                })
            }
            _ => {
                Err(Refusal::new(RejectCode::UnknownLayout, "an event object or its JSON text")
                    .into())
            }
        }
    }

    /// Opens the elements of a list. One element stands for the list; of several, each that is no event is rejected alone.
    fn list(&mut self, text: &str, around: &Around) -> Result<(), OpenError> {
        let elements: Vec<&str> = json::elements(text).collect();
        if let Some(object) = pairs(&elements) {
            return self.object(&object, around);
        }
        match elements[..] {
            [] => Err(Refusal::new(RejectCode::UnknownLayout, "a list with an event").into()),
            [only] => self.value(only, around, 0),
            _ => {
                for element in elements {
                    match self.value(element, around, 0) {
                        Err(OpenError::Refused(refusal)) => {
                            let hint = "see the layouts the documentation lists";
                            let context = self.context;
                            let reject = refusal.reject(
                                element.as_bytes(),
                                context.offset,
                                hint,
                                context.limits,
                            );
                            self.sink.reject(reject)?;
                        }
                        other => other?,
                    }
                }
                Ok(())
            }
        }
    }

    /// Takes the object `text` as an event, or opens the wrappers in it.
    fn object(&mut self, text: &str, around: &Around) -> Result<(), OpenError> {
        let members: Vec<Member<'_>> = json::members(text).collect();
        let owner = around.owner.clone().or_else(|| owner(&members));
        if members.iter().any(|(key, _)| key == "EventProduct") {
            return Err(Refusal::new(
                RejectCode::UnsupportedEvent,
                "an ActionTrail event, not one of the provider-initiated feed",
            )
            .into());
        }
        let draft = EventDraft::of(&members);
        let refusal = match recognise::judge(&draft, &members) {
            Ok(()) => return self.deliver(text, &draft, owner),
            Err(refusal) => refusal,
        };
        match self.wrapped(text, &members, &Around { nesting: around.nesting, owner })? {
            WrapperOutcome::Opened => Ok(()),
            // Where the record itself is recognised as something, that says more than what a wrapper in it lacks.
            WrapperOutcome::Refused(inner) if refusal.code == RejectCode::UnknownLayout => {
                Err(inner.into())
            }
            WrapperOutcome::None if refusal.code == RejectCode::UnknownLayout => {
                Err(with_closed_wrappers(refusal, &members).into())
            }
            WrapperOutcome::Refused(_) | WrapperOutcome::None => Err(refusal.into()),
        }
    }

    /// Opens the first wrapper among `members` that holds an event.
    fn wrapped(
        &mut self,
        text: &str,
        members: &[Member<'_>],
        around: &Around,
    ) -> Result<WrapperOutcome, OpenError> {
        let mut first = None;
        for (wrapper, writer) in WRAPPERS {
            let Some((key, value)) =
                members.iter().rev().find(|(key, value)| key == wrapper && may_hold_event(value))
            else {
                continue;
            };
            self.attempts += 1;
            if around.nesting >= NESTING_MAX || self.attempts > ATTEMPTS_MAX {
                let expected = "an event at most six wrappers deep";
                let refusal = Refusal::new(RejectCode::UnknownLayout, expected);
                return Ok(WrapperOutcome::Refused(refusal));
            }
            let inside = Around { nesting: around.nesting + 1, owner: around.owner.clone() };
            match self.value(value, &inside, 0) {
                Ok(()) => return Ok(WrapperOutcome::Opened),
                Err(OpenError::Stopped(stopped)) => return Err(stopped.into()),
                Err(OpenError::Refused(refusal)) => {
                    let base = value.as_ptr() as usize - text.as_ptr() as usize;
                    first.get_or_insert_with(|| Refusal {
                        expected: format!("{} in `{key}` ({writer})", refusal.expected),
                        ..refusal.moved(base)
                    });
                }
            }
        }
        Ok(first.map_or(WrapperOutcome::None, WrapperOutcome::Refused))
    }

    /// Passes the event that `draft` stands for to the sink. `text` is the record that it was made from.
    fn deliver(
        &mut self,
        text: &str,
        draft: &EventDraft,
        owner: Option<String>,
    ) -> Result<(), OpenError> {
        // The scanner stops at a list that may hold events, so it must see the event's own members first.
        let reads_as_it_is = !draft.is_reencoded
            && matches!(self.scanner.object(text.as_bytes()), Ok((ObjectShape::Event, end)) if end == text.len());
        let rewritten = (!reads_as_it_is).then(|| draft.text_of_event());
        let event_text = rewritten.as_deref().unwrap_or(text);
        if rewritten.is_some() && self.scanner.object(event_text.as_bytes()).is_err() {
            return Err(Refusal::new(RejectCode::TooDeep, "at most 128 nested containers").into());
        }
        let mut event = self.scanner.event(event_text);
        if rewritten.is_some() {
            event.text = text;
            event.needs_raw = true;
            event.flags.insert(Flag::Reencoded);
        }
        for (flag, is_set) in [
            (Flag::TypeMismatch, draft.has_mismatch),
            (Flag::DuplicateKey, draft.has_contradiction),
        ] {
            if is_set {
                event.flags.insert(flag);
                event.needs_raw = true;
            }
        }
        for fact in draft.not_understood.iter() {
            event.not_understood.insert(fact);
        }
        event.fallback_account = fallback_account(&self.context, owner);
        if event.get(Field::EventName).is_none() && draft.text(Field::EventName).is_some() {
            return Err(
                Refusal::new(RejectCode::NotUnderstood, "an `eventName` that is text").into()
            );
        }
        Ok(self.sink.event(&event)?)
    }
}

/// The account for an event that names none.
pub(super) fn fallback_account<'c>(
    context: &RecordContext<'c>,
    owner: Option<String>,
) -> Option<(Cow<'c, str>, Flag)> {
    match (context.path_account, owner) {
        (Some(account), _) => Some((Cow::Borrowed(account), Flag::AccountFromPath)),
        (None, Some(owner)) => Some((Cow::Owned(owner), Flag::AccountFromOwnerId)),
        (None, None) => None,
    }
}

/// `text`, if it is one JSON value and nothing else.
fn checked(text: &str) -> Result<&str, Refusal> {
    match Walker::default().value(text.as_bytes(), 0) {
        Ok(value) if value.end == text.len() => Ok(text),
        Ok(value) => Err(Refusal {
            at: value.end,
            ..Refusal::new(RejectCode::BadJson, "nothing after the event")
        }),
        Err(error) => Err(Refusal::of_json(error, 0)),
    }
}

/// The account that the row names.
fn owner(members: &[Member<'_>]) -> Option<String> {
    let (_, raw) = members.iter().find(|(key, _)| OWNERS.contains(&key.as_ref()))?;
    let text = if raw.starts_with('"') { json::unquote(raw)? } else { Cow::Borrowed(*raw) };
    (!is_placeholder(&text)).then(|| text.into_owned())
}

/// True where `raw` is a container or text that starts like one.
fn may_hold_event(raw: &str) -> bool {
    match raw.as_bytes().first() {
        Some(b'{' | b'[') => true,
        Some(b'"') => json::unquote(raw).is_some_and(|text| {
            matches!(text.trim_start().as_bytes().first(), Some(b'{' | b'[' | b'"'))
        }),
        _ => false,
    }
}

/// `refusal` with the names of the wrappers in the record that hold no JSON.
fn with_closed_wrappers(mut refusal: Refusal, members: &[Member<'_>]) -> Refusal {
    let closed = WRAPPERS.iter().find(|(key, _)| members.iter().any(|(name, _)| name == key));
    if let Some((key, writer)) = closed {
        let found = refusal.found.get_or_insert_default();
        found.push_str(&format!("; `{key}` ({writer}) holds no JSON"));
    }
    refusal
}

/// True where the scanner alone has understood `event`.
pub(super) fn is_understood(event: &Event<'_>) -> bool {
    event.not_understood.is_empty() && event.get(Field::EventName).is_some()
}
