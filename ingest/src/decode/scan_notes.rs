//! The notes of a scan: the positions of the values of an object. An [`Event`] is built from the
//! notes when the end of the object is known.

use super::escapes::without_needless_escapes;
use super::member_values::{in_camel_case, is_boxed, is_json, says_nothing, says_success};
use super::vendor_names::{is_documented_identity, may_be_other_name};
use std::borrow::Cow;
use std::collections::HashSet;
use trailhound_datasets::derive::time;
use trailhound_datasets::event::{Event, Field, FieldType, Flag, ParentObject, is_placeholder};
use trailhound_datasets::fact::Fact;
use trailhound_datasets::json::{self, ValueKind, WalkedValue};

/// Unknown keys that are compared one by one. An event has a handful.
const OTHER_KEYS_LISTED: usize = 64;

/// Position and kind of a value in the scanned bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValueSpan {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: ValueKind,
    /// The value is a string with at least one escape.
    pub(super) escaped: bool,
}

impl ValueSpan {
    /// The span of a value that was walked from `start`.
    pub(super) fn of(start: usize, value: &WalkedValue) -> Self {
        Self { start, end: value.end, kind: value.kind, escaped: value.escaped }
    }

    /// The value's text: strings without quotes and escapes, other values as they are. `None` for half a surrogate pair.
    fn text(self, text: &str) -> Option<Cow<'_, str>> {
        if self.kind != ValueKind::String {
            return Some(Cow::Borrowed(&text[self.start..self.end]));
        }
        let inner = &text[self.start + 1..self.end - 1];
        if !self.escaped {
            return Some(Cow::Borrowed(inner));
        }
        let mut plain = String::with_capacity(inner.len());
        json::unescape_into(inner, &mut plain).ok()?;
        Some(Cow::Owned(plain))
    }
}

/// A member that no column holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExtraMember {
    pub(super) parent: ParentObject,
    /// Offset of the key's opening quote.
    pub(super) key: usize,
    pub(super) value: ValueSpan,
}

/// Notes of a scan about one object.
pub(super) struct ScanNotes {
    pub(super) spans: [Option<ValueSpan>; Field::COUNT],
    /// Hash of each object field, in the order of [`Event::OBJECTS`].
    pub(super) object_hashes: [u64; 4],
    pub(super) extras: Vec<ExtraMember>,
    /// Hashes of the unknown keys, to find keys that occur twice.
    other_keys: Vec<u64>,
    /// The same, once they are very many.
    many_other_keys: HashSet<u64>,
    /// The account of a row around an event.
    pub(super) owner: Option<ValueSpan>,
    pub(super) has_session: bool,
    pub(super) duplicate_key: bool,
    pub(super) type_mismatch: bool,
    pub(super) alias_key: bool,
    /// A key is another spelling of a known one, which only the slow path reads.
    pub(super) variant_key: bool,
    /// Unknown members that may hold an event.
    pub(super) wrappers: usize,
    pub(super) needs_raw: bool,
}

impl Default for ScanNotes {
    fn default() -> Self {
        Self {
            spans: [None; Field::COUNT],
            object_hashes: [0; 4],
            extras: Vec::new(),
            other_keys: Vec::new(),
            many_other_keys: HashSet::new(),
            owner: None,
            has_session: false,
            duplicate_key: false,
            type_mismatch: false,
            alias_key: false,
            variant_key: false,
            wrappers: 0,
            needs_raw: false,
        }
    }
}

impl ScanNotes {
    /// Forgets the notes of the previous object, and keeps the buffers.
    pub(super) fn clear(&mut self) {
        self.spans = [None; Field::COUNT];
        self.object_hashes = [0; 4];
        self.extras.clear();
        self.other_keys.clear();
        self.many_other_keys.clear();
        self.owner = None;
        (self.has_session, self.duplicate_key, self.type_mismatch) = (false, false, false);
        (self.alias_key, self.variant_key, self.needs_raw) = (false, false, false);
        self.wrappers = 0;
    }

    /// True where the object is an event as the vendor writes it, beyond doubt: with an action, a documented identity and a
    /// member that only ActionTrail writes, and every known member in its own place and type.
    pub(super) fn is_plain(&self, text: &str) -> bool {
        if self.type_mismatch || self.duplicate_key || self.variant_key || self.wrappers > 0 {
            return false;
        }
        let is_there =
            |field: Field| self.spans[field as usize].is_some_and(|span| span.end - span.start > 2);
        let needs_reading = |(field, span): (usize, &Option<ValueSpan>)| {
            span.is_some_and(|span| {
                may_stand_for_other(&text[span.start..span.end], Field::ALL[field].0)
            })
        };
        is_there(Field::EventName)
            && !self.spans.iter().enumerate().any(needs_reading)
            && self.spans[Field::ReferencedResources as usize]
                .is_none_or(|span| span.kind == ValueKind::Object)
            && is_there(Field::AcsRegion)
            && self.spans[Field::UserType as usize].is_some_and(|span| {
                is_documented_identity(text[span.start..span.end].trim_matches('"'))
            })
    }

    /// Notes the hash of an unknown key, and whether it has been noted before.
    pub(super) fn note_other_key(&mut self, hash: u64) {
        let is_known = if self.other_keys.len() < OTHER_KEYS_LISTED {
            let is_known = self.other_keys.contains(&hash);
            self.other_keys.push(hash);
            is_known
        } else {
            self.other_keys.contains(&hash) || !self.many_other_keys.insert(hash)
        };
        self.duplicate_key |= is_known;
    }

    /// The account of the row that was scanned. `text` is the row's text.
    pub(super) fn owner<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        self.owner.and_then(|span| span.text(text)).filter(|owner| !owner.is_empty())
    }

    /// The event that was scanned. `text` is the object's text, checked to be UTF-8.
    pub(super) fn event<'a>(&self, text: &'a str) -> Event<'a> {
        let mut event = Event::empty(text);
        event.has_session = self.has_session;
        event.object_hashes = self.object_hashes;
        event.needs_raw = self.needs_raw || self.duplicate_key;
        for (flag, is_set) in [
            (Flag::DuplicateKey, self.duplicate_key),
            (Flag::TypeMismatch, self.type_mismatch),
            (Flag::AliasKey, self.alias_key),
        ] {
            if is_set {
                event.flags.insert(flag);
            }
        }
        for (field, span) in self.spans.iter().enumerate() {
            let Some(span) = span else { continue };
            match span.text(text) {
                Some(value) => {
                    // Rules look for text in objects, which other programs may have escaped.
                    let plain = match Field::ALL[field].3 {
                        FieldType::Object => without_needless_escapes(&value),
                        _ => None,
                    };
                    event.needs_raw |= plain.is_some();
                    event.values[field] = Some(plain.map_or(value, Cow::Owned));
                }
                None => {
                    event.flags.insert(Flag::LoneSurrogate);
                    event.needs_raw = true;
                    if let Some(fact) = Field::ALL[field].0.fact() {
                        event.not_understood.insert(fact);
                    }
                }
            }
        }
        self.drop_repeated_parameters(&mut event);
        if event.get(Field::RequestParameterJson).is_some_and(|text| !is_object_text(text)) {
            event.not_understood.insert(Fact::RequestParameters);
        }
        event.extra = self.extra(text, &event);
        event
    }

    fn drop_repeated_parameters(&self, event: &mut Event<'_>) {
        let is_text = self.spans[Field::RequestParameterJson as usize]
            .is_some_and(|span| span.kind == ValueKind::String);
        let repeats = is_text
            && event.get(Field::RequestParameterJson).is_some()
            && event.get(Field::RequestParameterJson) == event.get(Field::RequestParameters);
        if repeats {
            event.values[Field::RequestParameterJson as usize] = None;
            event.flags.insert(Flag::RequestParameterJsonRepeats);
        }
    }

    /// The members that no column can rebuild, as the text of one object nested like the event.
    fn extra(&self, text: &str, event: &Event<'_>) -> Option<String> {
        let mut root = String::new();
        let mut identity = String::new();
        let mut session = String::new();
        for member in &self.extras {
            let out = match member.parent {
                ParentObject::Root => &mut root,
                ParentObject::UserIdentity => &mut identity,
                ParentObject::SessionAttributes => &mut session,
            };
            push_member(out, text, member);
        }
        for (field, out) in [(Field::EventTime, &mut root), (Field::CreationDate, &mut session)] {
            if let Some(value) = event.get(field).filter(|value| !is_canonical_time(value)) {
                let (_, _, key, _) = Field::ALL[field as usize];
                push_pair(out, &json::quote(key), &json::quote(value));
            }
        }
        if let Some(value) =
            event.get(Field::MfaAuthenticated).filter(|value| !matches!(*value, "true" | "false"))
        {
            push_pair(&mut session, "\"mfaAuthenticated\"", &json::quote(value));
        }
        if event.get(Field::AccountId) == Some("") {
            push_pair(&mut identity, "\"accountId\"", "\"\"");
        }
        if !session.is_empty() {
            let attributes = format!("{{\"attributes\":{{{session}}}}}");
            push_pair(&mut identity, "\"sessionContext\"", &attributes);
        }
        if !identity.is_empty() {
            push_pair(&mut root, "\"userIdentity\"", &format!("{{{identity}}}"));
        }
        (!root.is_empty()).then(|| format!("{{{root}}}"))
    }
}

/// Longest text that stands for nothing, for success or for a boolean.
const WORD_BYTES_MAX: usize = 9;

/// True where the JSON text `raw` of `field` may stand for another value: a word for nothing, text with white space around it or
/// JSON in it, an object in an object. Called for every value of every event.
fn may_stand_for_other(raw: &str, field: Field) -> bool {
    match raw.as_bytes() {
        [b'"', inside @ .., b'"'] if !inside.is_empty() => {
            let text = &raw[1..raw.len() - 1];
            (inside.len() <= WORD_BYTES_MAX && is_word(text, field)) || is_wrapped(inside, field)
        }
        [b'{', ..] => match field {
            Field::ReferencedResources => false,
            Field::AdditionalEventData => is_boxed(field, raw) || in_camel_case(raw).is_some(),
            _ => is_boxed(field, raw),
        },
        _ => false,
    }
}

/// True for a short text that stands for nothing, for success, or for a boolean. The vendor itself writes `null` for an error or
/// a key that is not there, and the flag of the session as text.
fn is_word(text: &str, field: Field) -> bool {
    match text.as_bytes()[0] {
        b't' | b'f' => matches!(text, "true" | "false") && is_no_flag(field),
        b'n' | b'N' | b'u' | b'U' | b'<' | b'-' | b'\\' | b'(' | b' ' => {
            field != Field::UserAgent
                && (says_nothing(field, text) || is_placeholder(text) && !is_own_null(text, field))
        }
        b'0' | b'2' | b'o' | b'O' | b's' | b'S' => field == Field::ErrorCode && says_success(text),
        _ => false,
    }
}

/// True where a boolean in place of the text of `field` says nothing.
fn is_no_flag(field: Field) -> bool {
    field != Field::MfaAuthenticated && field != Field::UserAgent && field.fact().is_some()
}

fn is_own_null(text: &str, field: Field) -> bool {
    text.len() == 4 && matches!(field, Field::ErrorCode | Field::ErrorMessage | Field::AccessKeyId)
}

/// True where the text `inside` of `field` may have JSON or white space around it, or a name in another form.
fn is_wrapped(inside: &[u8], field: Field) -> bool {
    let (first, last) = (inside[0], inside[inside.len() - 1]);
    let is_escaped_space = || {
        let escape = &inside[inside.len().saturating_sub(2)..];
        matches!(escape, b"\\n" | b"\\r" | b"\\t")
    };
    match field {
        Field::UserAgent | Field::RequestParameterJson => false,
        Field::ErrorMessage => matches!(first, b'[' | b'\\') || inside == b"{}",
        // No rule compares it, and it is kept as it was sent.
        _ if field.fact().is_none() => matches!(first, b'[' | b'\\'),
        _ => {
            matches!(first, b' ' | b'{' | b'[' | b'\\')
                || last == b' '
                || is_escaped_space()
                || (matches!(field, Field::EventName | Field::ServiceName)
                    && may_be_other_name(inside))
        }
    }
}

/// True where `text` is an object's JSON, or nothing.
fn is_object_text(text: &str) -> bool {
    let text = text.trim();
    is_placeholder(text) || (text.starts_with('{') && is_json(text))
}

/// True where a time column can rebuild `text` exactly.
fn is_canonical_time(text: &str) -> bool {
    text.len() == 20
        && text.ends_with('Z')
        && text.as_bytes()[10] == b'T'
        && !text.starts_with("0000")
        && time::parse(text).is_some()
}

fn push_member(out: &mut String, text: &str, member: &ExtraMember) {
    let key_end = json::string_end(text.as_bytes(), member.key).map_or(member.key, |(end, _)| end);
    push_pair(out, &text[member.key..key_end], &text[member.value.start..member.value.end]);
}

fn push_pair(out: &mut String, key: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    out.push_str(key);
    out.push(':');
    out.push_str(value);
}
