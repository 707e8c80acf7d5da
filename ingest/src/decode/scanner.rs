//! Scans one JSON object in a single pass over its bytes: an event, or a row or response around events. This is the hot
//! path of the ingest.
//!
//! The pass checks the syntax of every byte and notes the position of each known value ([`ScanNotes`]). Text is made of the
//! notes only when the object's end is known and its bytes are known to be UTF-8. Values are borrowed unless they hold
//! escapes. For example, scanning
//!
//! ```text
//! {"eventId":"E-1","requestParameters":{"a":1},"x":[2]}
//!            ^^^^^                     ^^^^^^^     ^^^
//!            span of `EventId`         span and    extra member, because
//!                                      hash        no column holds `x`
//! ```
//!
//! finds the shape [`ObjectShape::Event`]. What the pass does not understand (a string for an object, a key in another
//! spelling) is noted, and the slow path reads the object again. Producers write their keys in a fixed order, so the scanner remembers which key
//! followed which in the previous object, and mostly recognizes a key by one comparison.

use super::key_table::{
    KEY_NUMBERS, KEYS, KnownKey, RowKey, UnknownKey, UnknownKeys, is_attributes, is_session_member,
    list_or_body, no_key,
};
use super::scan_notes::{ExtraMember, ScanNotes, ValueSpan};
use std::borrow::Cow;
use trailhound_datasets::event::{ATTRIBUTES, Event, Field, FieldType, ParentObject};
use trailhound_datasets::json::{self, JsonError, ValueKind, Walker};

/// Shape of a scanned object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectShape {
    /// An event.
    Event,
    /// A row that holds an event as a string or object, at this value.
    Row(ValueSpan),
    /// `{}`.
    Empty,
    /// Anything else.
    Unknown,
    /// A response with a list or an inner response at this offset. It was scanned only up to there.
    Response(usize),
}

/// Scans objects. It keeps its buffers between objects, so that scanning allocates nothing once they have grown.
pub(super) struct Scanner {
    walker: Walker,
    /// For each key number, the number of the key that followed it in the previous object.
    next: [u8; KEY_NUMBERS],
    unknown_keys: UnknownKeys,
    notes: ScanNotes,
}

/// Hints about the shape of an object, found in its keys.
#[derive(Default)]
struct ShapeHints {
    row_value: Option<ValueSpan>,
    is_event: bool,
}

impl ShapeHints {
    fn shape(&self) -> ObjectShape {
        match self.row_value {
            _ if self.is_event => ObjectShape::Event,
            Some(value) => ObjectShape::Row(value),
            None => ObjectShape::Unknown,
        }
    }
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            walker: Walker::default(),
            next: [0; KEY_NUMBERS],
            unknown_keys: UnknownKeys::default(),
            notes: ScanNotes::default(),
        }
    }
}

impl Scanner {
    /// Scans the object that starts at `text[0]`. Returns its shape and end; the notes are kept for [`Scanner::event`].
    ///
    /// # Errors
    /// [`JsonError`] with offsets from the start of `text`.
    pub(super) fn object(&mut self, text: &[u8]) -> Result<(ObjectShape, usize), JsonError> {
        self.notes.clear();
        let mut hints = ShapeHints::default();
        let mut at = json::skip_space(text, 1);
        if text.get(at) == Some(&b'}') {
            return Ok((ObjectShape::Empty, at + 1));
        }
        let mut before = no_key(ParentObject::Root);
        loop {
            let key = at;
            if let Some((number, value_at)) =
                self.predicted_key(text, at, before, ParentObject::Root)
            {
                let known = KEYS.entries[number].key;
                at = self.known_root_member(text, key, value_at, known, &mut hints)?;
                before = number;
            } else {
                let (name, value_at) = read_key(text, at)?;
                let name = name.bytes(text);
                if !hints.is_event
                    && let Some(start) = list_or_body(&name, text, value_at)
                {
                    return Ok((ObjectShape::Response(start), start));
                }
                before = self.remember_order(&name, before, ParentObject::Root);
                at = self.root_member(text, key, &name, value_at, &mut hints)?;
            }
            match next_member(text, at)? {
                (next, true) => at = next,
                (end, false) => return Ok((hints.shape(), end)),
            }
        }
    }

    /// True where the object just scanned is an event as the vendor writes it. `text` is the object's text.
    pub(super) fn is_plain(&self, text: &str) -> bool {
        self.notes.is_plain(text)
    }

    /// True where one member alone of the row just scanned may hold an event, or a part of one.
    pub(super) fn is_plain_row(&self) -> bool {
        self.notes.wrappers <= 1 && !self.notes.variant_key
    }

    /// The event just scanned. `text` is the object's text, checked to be UTF-8.
    pub(super) fn event<'a>(&self, text: &'a str) -> Event<'a> {
        self.notes.event(text)
    }

    /// The account of the row just scanned. `text` is the row's text.
    pub(super) fn owner<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        self.notes.owner(text)
    }

    /// The key at `at`, if it is the key that last followed the key `before`: its number and the offset of its value.
    #[inline]
    fn predicted_key(
        &self,
        text: &[u8],
        at: usize,
        before: usize,
        parent: ParentObject,
    ) -> Option<(usize, usize)> {
        let number = usize::from(self.next[before]);
        let entry = &KEYS.entries[number];
        let written = entry.written.as_bytes();
        let is_it = entry.parent == parent && text.get(at..at + written.len()) == Some(written);
        is_it.then(|| (number, json::skip_space(text, at + written.len())))
    }

    /// Remembers that the key `name` followed the key `before`. Returns its number.
    fn remember_order(&mut self, name: &[u8], before: usize, parent: ParentObject) -> usize {
        let Some(number) = KEYS.number(name, parent) else { return no_key(parent) };
        self.next[before] = number as u8;
        number
    }

    /// Reads the value of a known key of the event. Returns its end, like every method that reads a value.
    fn known_root_member(
        &mut self,
        text: &[u8],
        key: usize,
        at: usize,
        known: KnownKey,
        hints: &mut ShapeHints,
    ) -> Result<usize, JsonError> {
        match known {
            KnownKey::Field(field) => {
                hints.is_event |= matches!(
                    field,
                    Field::EventId | Field::EventName | Field::EventTime | Field::EventType
                );
                self.field(text, ParentObject::Root, key, at, field)
            }
            _ => self.structural_object(text, ParentObject::Root, key, at, known),
        }
    }

    /// Reads the value of any key of the event or row.
    fn root_member(
        &mut self,
        text: &[u8],
        key: usize,
        name: &[u8],
        at: usize,
        hints: &mut ShapeHints,
    ) -> Result<usize, JsonError> {
        match self.known_key(name, ParentObject::Root) {
            Ok(known @ (KnownKey::Field(_) | KnownKey::Identity)) => {
                self.known_root_member(text, key, at, known, hints)
            }
            other => {
                let value = self.value(text, at)?;
                if other == Err(UnknownKey::Wrapper) && may_hold_event(text, value) {
                    self.notes.wrappers += 1;
                }
                self.note_row_key(text, name, value, hints);
                self.note_extra(name, ExtraMember { parent: ParentObject::Root, key, value });
                Ok(value.end)
            }
        }
    }

    /// Records in `hints` the information in an unknown key about the shape of the object.
    fn note_row_key(&mut self, text: &[u8], name: &[u8], value: ValueSpan, hints: &mut ShapeHints) {
        match RowKey::of(name) {
            Some(RowKey::Event) => {
                let holds_event = value.kind != ValueKind::Array && may_hold_event(text, value);
                if holds_event && hints.row_value.is_none() {
                    hints.row_value = Some(value);
                }
            }
            Some(RowKey::Owner) => self.notes.owner = Some(value),
            None => {}
        }
    }

    /// The known key `name`, in this or another spelling. Another spelling is noted.
    fn known_key(&mut self, name: &[u8], parent: ParentObject) -> Result<KnownKey, UnknownKey> {
        match KEYS.find(name, parent) {
            KnownKey::Other => match KEYS.find_alias(name, parent) {
                KnownKey::Other => {
                    let unknown = self.unknown_keys.judge(name, parent);
                    self.notes.variant_key |= unknown == UnknownKey::Variant;
                    Err(unknown)
                }
                alias => {
                    (self.notes.alias_key, self.notes.needs_raw) = (true, true);
                    Ok(alias)
                }
            },
            known => Ok(known),
        }
    }

    /// Notes a member that no column holds.
    fn note_extra(&mut self, name: &[u8], member: ExtraMember) {
        let hash = json::mix(json::hash_bytes(name), member.parent as u64);
        self.notes.note_other_key(hash);
        self.notes.extras.push(member);
    }

    /// Reads a value of any kind.
    fn value(&mut self, text: &[u8], at: usize) -> Result<ValueSpan, JsonError> {
        // Most values are strings, which need no hash here.
        if text.get(at) == Some(&b'"') {
            let (end, escaped) = json::string_end(text, at)?;
            return Ok(ValueSpan { start: at, end, kind: ValueKind::String, escaped });
        }
        let walked = self.walker.value_at_depth(text, at, 1)?;
        self.notes.duplicate_key |= walked.duplicate_key;
        Ok(ValueSpan::of(at, &walked))
    }

    /// Reads the value of `field`.
    fn field(
        &mut self,
        text: &[u8],
        parent: ParentObject,
        key: usize,
        at: usize,
        field: Field,
    ) -> Result<usize, JsonError> {
        let (.., field_type) = Field::ALL[field as usize];
        let value = if field_type == FieldType::Object {
            let walked = self.walker.value_at_depth(text, at, 1)?;
            self.notes.duplicate_key |= walked.duplicate_key;
            if let Some(slot) = Event::OBJECTS.iter().position(|&object| object == field) {
                // Null says as little as a missing member.
                let is_null = walked.kind == ValueKind::Null;
                self.notes.object_hashes[slot] = if is_null { 0 } else { walked.hash };
            }
            ValueSpan::of(at, &walked)
        } else {
            self.value(text, at)?
        };
        let slot = &mut self.notes.spans[field as usize];
        self.notes.duplicate_key |= slot.is_some();
        let expected = match field_type {
            FieldType::Text | FieldType::Id => ValueKind::String,
            FieldType::Bool => ValueKind::Bool,
            FieldType::Object => ValueKind::Object,
        };
        let is_tolerated = match field_type {
            FieldType::Id => value.kind == ValueKind::Number,
            FieldType::Bool => value.kind == ValueKind::String,
            FieldType::Object => {
                value.kind == ValueKind::Array && field == Field::ReferencedResources
            }
            // Connectors turn the JSON text into an object. The session flag can be a boolean.
            FieldType::Text => {
                (field == Field::RequestParameterJson && value.kind == ValueKind::Object)
                    || (field == Field::MfaAuthenticated && value.kind == ValueKind::Bool)
            }
        };
        if value.kind == expected || is_tolerated {
            *slot = Some(value);
        } else if value.kind != ValueKind::Null {
            (self.notes.type_mismatch, self.notes.needs_raw) = (true, true);
        }
        if value.kind != expected && !(field_type == FieldType::Object && is_tolerated) {
            self.notes.extras.push(ExtraMember { parent, key, value });
        }
        Ok(value.end)
    }

    /// Reads the value of `userIdentity`, `sessionContext` or its attributes: an object whose members are fields.
    fn structural_object(
        &mut self,
        text: &[u8],
        parent: ParentObject,
        key: usize,
        at: usize,
        which: KnownKey,
    ) -> Result<usize, JsonError> {
        if which == KnownKey::Session {
            self.notes.has_session = text.get(at) != Some(&b'n');
        }
        if text.get(at) != Some(&b'{') {
            return self.not_an_object(text, parent, key, at, which);
        }
        // A second object of the same name would be merged with the first, so the text must be kept.
        self.notes.note_other_key(json::hash_bytes(which.structural_name()));
        let mut at = json::skip_space(text, at + 1);
        if text.get(at) == Some(&b'}') {
            self.notes.needs_raw = true;
            return Ok(at + 1);
        }
        let parent = match which {
            KnownKey::Identity => ParentObject::UserIdentity,
            _ => ParentObject::SessionAttributes,
        };
        // The members of `sessionContext` itself are no fields, so their order is not remembered.
        let has_fields = which != KnownKey::Session;
        let mut before = no_key(parent);
        loop {
            let key = at;
            let predicted =
                if has_fields { self.predicted_key(text, at, before, parent) } else { None };
            if let Some((number, value_at)) = predicted {
                at = match KEYS.entries[number].key {
                    KnownKey::Field(field) => self.field(text, parent, key, value_at, field)?,
                    known => self.structural_object(text, parent, key, value_at, known)?,
                };
                before = number;
            } else {
                let (name, value_at) = read_key(text, at)?;
                let name = name.bytes(text);
                if has_fields {
                    before = self.remember_order(&name, before, parent);
                }
                at = self.structural_member(text, key, &name, value_at, which)?;
            }
            match next_member(text, at)? {
                (next, true) => at = next,
                (end, false) => return Ok(end),
            }
        }
    }

    /// Reads the value of a structural key that is no object.
    fn not_an_object(
        &mut self,
        text: &[u8],
        parent: ParentObject,
        key: usize,
        at: usize,
        which: KnownKey,
    ) -> Result<usize, JsonError> {
        let value = self.value(text, at)?;
        if value.kind == ValueKind::Null {
            self.note_extra(which.structural_name(), ExtraMember { parent, key, value });
        } else {
            (self.notes.type_mismatch, self.notes.needs_raw) = (true, true);
        }
        Ok(value.end)
    }

    /// Reads the value of any key of a structural object.
    fn structural_member(
        &mut self,
        text: &[u8],
        key: usize,
        name: &[u8],
        at: usize,
        inside: KnownKey,
    ) -> Result<usize, JsonError> {
        let parent = match inside {
            KnownKey::Identity => ParentObject::UserIdentity,
            KnownKey::Attributes => ParentObject::SessionAttributes,
            _ => return self.session_member(text, key, name, at),
        };
        match self.known_key(name, parent) {
            Ok(KnownKey::Field(field)) => self.field(text, parent, key, at, field),
            Ok(KnownKey::Session) => {
                self.structural_object(text, parent, key, at, KnownKey::Session)
            }
            _ => {
                let value = self.value(text, at)?;
                self.note_extra(name, ExtraMember { parent, key, value });
                Ok(value.end)
            }
        }
    }

    /// Reads the value of a key of `sessionContext`, in which only the attributes are expected.
    fn session_member(
        &mut self,
        text: &[u8],
        key: usize,
        name: &[u8],
        at: usize,
    ) -> Result<usize, JsonError> {
        if is_attributes(name) {
            if name != ATTRIBUTES.as_bytes() {
                (self.notes.alias_key, self.notes.needs_raw) = (true, true);
            }
            let parent = ParentObject::SessionAttributes;
            return self.structural_object(text, parent, key, at, KnownKey::Attributes);
        }
        self.notes.needs_raw = true;
        self.notes.variant_key |= is_session_member(name);
        Ok(self.value(text, at)?.end)
    }
}

/// True for an object, a list, and text with an object in it.
fn may_hold_event(text: &[u8], value: ValueSpan) -> bool {
    match value.kind {
        ValueKind::Object | ValueKind::Array => true,
        ValueKind::String => text[value.start..value.end].contains(&b'{'),
        _ => false,
    }
}

/// Position of a key, without its quotes.
struct KeySpan {
    start: usize,
    end: usize,
    escaped: bool,
}

impl KeySpan {
    /// The key's bytes without escapes: `user\u004eame` is `userName`.
    fn bytes<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let raw = &text[self.start..self.end];
        if !self.escaped {
            return Cow::Borrowed(raw);
        }
        let mut plain = String::new();
        match std::str::from_utf8(raw).map(|raw| json::unescape_into(raw, &mut plain)) {
            Ok(Ok(())) => Cow::Owned(plain.into_bytes()),
            _ => Cow::Borrowed(raw),
        }
    }
}

/// Reads `"key" :` at `at`. Returns the key and the offset of its value.
fn read_key(text: &[u8], at: usize) -> Result<(KeySpan, usize), JsonError> {
    match text.get(at) {
        None => return Err(JsonError::Incomplete),
        Some(b'"') => {}
        Some(_) => return Err(JsonError::Syntax { at, expected: "a key in double quotes" }),
    }
    let (end, escaped) = json::string_end(text, at)?;
    let colon = json::skip_space(text, end);
    match text.get(colon) {
        None => Err(JsonError::Incomplete),
        Some(b':') => {
            let key = KeySpan { start: at + 1, end: end - 1, escaped };
            Ok((key, json::skip_space(text, colon + 1)))
        }
        Some(_) => Err(JsonError::Syntax { at: colon, expected: "`:`" }),
    }
}

/// Reads what follows a value: offset of the next member and true, or the object's end and false.
fn next_member(text: &[u8], at: usize) -> Result<(usize, bool), JsonError> {
    let at = json::skip_space(text, at);
    match text.get(at) {
        None => Err(JsonError::Incomplete),
        Some(b',') => Ok((json::skip_space(text, at + 1), true)),
        Some(b'}') => Ok((at + 1, false)),
        Some(_) => Err(JsonError::Syntax { at, expected: "`,` or `}`" }),
    }
}
