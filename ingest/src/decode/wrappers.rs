//! Opens what lies around an event: rows of log services, documents of search engines, messages of log shippers, answers of
//! APIs. This is the slow path for every record that the scanner alone does not understand.
//!
//! A record that is an event is taken as one ([`super::recognise`]), whatever else it holds. Otherwise the members that are
//! known to hold events are opened, in the order of [`WRAPPERS`]. Text in them is read as JSON, doubly encoded too.

use super::draft::{EventDraft, Member};
use super::limits::DecodeLimits;
use super::member_names::{is_separator, row_member_name, row_prefix};
use super::member_values::pairs;
use super::recognise;
use super::refusal::{OpenError, Refusal};
use super::scanner::{ObjectShape, Scanner};
use super::sink::{RecordSink, SinkStopped};
use super::wrapper_keys::{OWNERS, WRAPPERS, wrapper_number};
use std::borrow::Cow;
use std::collections::HashSet;
use trailhound_datasets::derive::mfa::{self, Mfa};
use trailhound_datasets::derive::resources;
use trailhound_datasets::event::{Event, Field, Flag, is_placeholder};
use trailhound_datasets::fact::Fact;
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
    /// The events of the record that the sink has received, each by what names it.
    delivered: HashSet<String>,
    /// An event of the record was delivered. The other members may hold it again, or more events, or anything else.
    is_second_look: bool,
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
        let delivered = HashSet::new();
        Self { scanner, context, sink, attempts: 0, delivered, is_second_look: false }
    }

    /// Opens the JSON value `text`, which must be the whole text: an object, a list, or a string that holds one.
    pub(super) fn record(&mut self, text: &str, owner: Option<String>) -> Result<(), OpenError> {
        self.value(text, &Around { nesting: 0, owner }, 0)
    }

    /// Opens `text`, a member of an object that was read as an answer around a list. It may hold events too, or anything.
    pub(super) fn member_of_answer(&mut self, text: &str) -> Result<(), SinkStopped> {
        self.is_second_look = true;
        match self.record(text, None) {
            Ok(()) => Ok(()),
            Err(OpenError::Stopped(stopped)) => Err(stopped),
            Err(OpenError::Refused(refusal)) => self.reject(refusal, text),
        }
    }

    fn value(&mut self, text: &str, around: &Around, layers: usize) -> Result<(), OpenError> {
        let text = text.trim();
        let documents = documents(text);
        if documents.len() > 1 {
            return self.elements(&documents, around);
        }
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
            _ => self.elements(&elements, around),
        }
    }

    /// Opens several values. Each that is no event is rejected alone.
    fn elements(&mut self, elements: &[&str], around: &Around) -> Result<(), OpenError> {
        for element in elements {
            match self.value(element, around, 0) {
                Err(OpenError::Refused(refusal)) => self.reject(refusal, element)?,
                other => other?,
            }
        }
        Ok(())
    }

    /// Takes the object `text` as an event, or opens the wrappers in it.
    fn object(&mut self, text: &str, around: &Around) -> Result<(), OpenError> {
        let members = whole_wrappers(json::members(text).collect());
        let owner = around.owner.clone().or_else(|| owner(&members));
        if members.iter().any(|(key, _)| key == "EventProduct") {
            return Err(Refusal::new(
                RejectCode::UnsupportedEvent,
                "an ActionTrail event, not one of the provider-initiated feed",
            )
            .into());
        }
        let draft = EventDraft::of(&members);
        let around = Around { nesting: around.nesting, owner };
        let refusal = match recognise::judge(&draft, &members) {
            Ok(()) => return self.event_and_others(text, &draft, &members, &around),
            Err(refusal) => refusal,
        };
        match self.wrapped(text, &members, &around)? {
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

    /// Delivers the event `draft` and the other events that `members` hold. Shippers parse a part of an event's members into
    /// the record and leave the whole in one of them: then that one is the event.
    fn event_and_others(
        &mut self,
        text: &str,
        draft: &EventDraft,
        members: &[Member<'_>],
        around: &Around,
    ) -> Result<(), OpenError> {
        let was_second_look = self.is_second_look;
        if draft.has_identity_member() {
            self.deliver(text, draft, around.owner.clone())?;
            self.is_second_look = true;
            self.wrapped(text, members, around)?;
        } else {
            match self.wrapped(text, members, around)? {
                WrapperOutcome::Refused(refusal) if refusal.code == RejectCode::NotUnderstood => {
                    return Err(refusal.into());
                }
                WrapperOutcome::Opened => {
                    self.is_second_look = true;
                    match self.deliver(text, draft, around.owner.clone()) {
                        Err(OpenError::Refused(refusal)) => self.reject(refusal, text)?,
                        other => other?,
                    }
                }
                _ => self.deliver(text, draft, around.owner.clone())?,
            }
        }
        self.is_second_look = was_second_look;
        Ok(())
    }

    /// Opens the wrappers among `members` that hold an event.
    fn wrapped(
        &mut self,
        text: &str,
        members: &[Member<'_>],
        around: &Around,
    ) -> Result<WrapperOutcome, OpenError> {
        let (mut first, mut is_opened) = (None, false);
        let was_second_look = self.is_second_look;
        for (number, key, value) in wrappers_in_order(members) {
            self.attempts += 1;
            if around.nesting >= NESTING_MAX || self.attempts > ATTEMPTS_MAX {
                let expected = "an event at most six wrappers deep";
                first.get_or_insert_with(|| Refusal::new(RejectCode::UnknownLayout, expected));
                break;
            }
            let inside = Around { nesting: around.nesting + 1, owner: around.owner.clone() };
            match self.value(value, &inside, 0) {
                Ok(()) => (is_opened, self.is_second_look) = (true, true),
                Err(OpenError::Stopped(stopped)) => return Err(stopped.into()),
                Err(OpenError::Refused(refusal)) if self.is_second_look => {
                    self.reject(refusal, value)?;
                }
                Err(OpenError::Refused(refusal)) => {
                    let base = value.as_ptr() as usize - text.as_ptr() as usize;
                    first.get_or_insert_with(|| Refusal {
                        expected: format!(
                            "{} in `{key}` ({})",
                            refusal.expected, WRAPPERS[number].1
                        ),
                        ..refusal.moved(base)
                    });
                }
            }
        }
        self.is_second_look = was_second_look;
        Ok(match first {
            _ if is_opened => WrapperOutcome::Opened,
            Some(refusal) => WrapperOutcome::Refused(refusal),
            None => WrapperOutcome::None,
        })
    }

    /// Rejects `part` of a record. Beside an event may stand anything: there only what is an event without doubt is worth it.
    fn reject(&mut self, refusal: Refusal, part: &str) -> Result<(), SinkStopped> {
        if self.is_second_look && refusal.code != RejectCode::NotUnderstood {
            return Ok(());
        }
        let hint = "see the layouts the documentation lists";
        let (offset, limits) = (self.context.offset, self.context.limits);
        self.sink.reject(refusal.reject(part.as_bytes(), offset, hint, limits))
    }

    /// Passes the event that `draft` stands for to the sink. `text` is the record that it was made from.
    fn deliver(
        &mut self,
        text: &str,
        draft: &EventDraft,
        owner: Option<String>,
    ) -> Result<(), OpenError> {
        // Without an id its name and time tell an event apart.
        let name = draft.text(Field::EventId).map(Cow::into_owned).unwrap_or_else(|| {
            [Field::EventName, Field::EventTime]
                .map(|f| draft.text(f).unwrap_or_default())
                .join(" ")
        });
        if !self.delivered.insert(name) && self.is_second_look {
            return Ok(());
        }
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
        spread_doubt(&mut event);
        event.fallback_account = fallback_account(&self.context, owner);
        if event.get(Field::EventName).is_none() && draft.text(Field::EventName).is_some() {
            return Err(
                Refusal::new(RejectCode::NotUnderstood, "an `eventName` that is text").into()
            );
        }
        Ok(self.sink.event(&event)?)
    }
}

/// Marks the facts that may be said by parameters that were not understood, where nothing else says them: the second factor of
/// a sign-in, the instances of an ECS call, the address of a call from inside the cloud. The action decides what says whether
/// a second factor was used, so an action that is there twice says nothing of it.
fn spread_doubt(event: &mut Event<'_>) {
    if event.not_understood.contains(Fact::Action) && event.flags.contains(Flag::DuplicateKey) {
        event.not_understood.insert(Fact::Mfa);
    }
    if !event.not_understood.contains(Fact::RequestParameters) {
        return;
    }
    let says = |field: Field, text: &str| {
        event.get(field).is_some_and(|said| said.trim().eq_ignore_ascii_case(text))
    };
    let action = event.get(Field::EventName).unwrap_or_default().trim().to_lowercase();
    let is_sign_in = mfa::is_sign_in(&action) && Mfa::of(event, Some(&action)) == Mfa::Unknown;
    let is_ecs = says(Field::ServiceName, "ecs") && resources::collect(event).is_empty();
    let is_inside = says(Field::SourceIpAddress, "internal");
    for (fact, is_doubtful) in
        [(Fact::Mfa, is_sign_in), (Fact::Resources, is_ecs), (Fact::SourceAddress, is_inside)]
    {
        if is_doubtful {
            event.not_understood.insert(fact);
        }
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

/// The JSON values that follow each other in `text`, as in lines; what cannot be read is the last. One where `text` is no such
/// sequence.
fn documents(text: &str) -> Vec<&str> {
    let (mut documents, mut walker, mut at) = (Vec::new(), Walker::default(), 0);
    while matches!(text.as_bytes().get(at), Some(b'{' | b'[')) {
        let end = walker.value(text.as_bytes(), at).map_or(text.len(), |value| value.end);
        documents.push(&text[at..end]);
        at = json::skip_space(text.as_bytes(), end);
    }
    if at < text.len() { vec![text] } else { documents }
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

/// `members` with the members of a wrapper in its place, where others of its members stand beside it, flattened:
/// `{"event":{"eventName":"x"},"event.eventTime":"y"}`.
fn whole_wrappers<'t>(members: Vec<Member<'t>>) -> Vec<Member<'t>> {
    let separator_behind = |wrapper: &str| {
        members.iter().find_map(|(key, _)| {
            let rest = key.strip_prefix(wrapper)?;
            let separator = rest.chars().next().filter(|c| is_separator(*c))?;
            let name = row_member_name(&rest[separator.len_utf8()..], None).0;
            name.is_own().then_some(separator)
        })
    };
    let mut whole = Vec::with_capacity(members.len());
    for (key, raw) in &members {
        let separator = Some(key.as_ref())
            .filter(|key| raw.starts_with('{') && wrapper_number(key, None).is_some())
            .and_then(separator_behind);
        match separator {
            Some(separator) => whole.extend(json::members(raw).map(|(name, value)| {
                let key = format!("{key}{separator}{name}");
                (Cow::Owned(key), value)
            })),
            None => whole.push((key.clone(), *raw)),
        }
    }
    whole
}

/// The members that may hold an event, in the order of [`WRAPPERS`]: the number there, the key and the JSON text.
fn wrappers_in_order<'m>(members: &'m [Member<'_>]) -> Vec<(usize, &'m str, &'m str)> {
    let keys: Vec<&str> = members.iter().map(|(key, _)| key.as_ref()).collect();
    let prefix = row_prefix(&keys);
    let mut found: Vec<_> = members
        .iter()
        .filter(|(_, value)| may_hold_event(value))
        .filter_map(|(key, value)| Some((wrapper_number(key, prefix)?, key.as_ref(), *value)))
        .collect();
    found.sort_by_key(|(number, ..)| *number);
    found
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
