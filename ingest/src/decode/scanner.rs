//! One JSON object in a single pass over its bytes: an event, or a row or wrapper around events. The hot path.
//!
//! The pass notes where each known value lies and checks the syntax of everything; text is made of the notes only once
//! the object's end is known and its bytes are known to be UTF-8. Values stay borrowed unless they hold escapes.

use std::borrow::Cow;
use std::sync::LazyLock;
use trailhound_datasets::derive::time;
use trailhound_datasets::event::{
    ATTRIBUTES, Event, Field, Flag, Keep, Place, SESSION_ATTRIBUTES, SESSION_CONTEXT, USER_IDENTITY,
};
use trailhound_datasets::json::{self, JsonError, Kind, Walker};

/// What an object turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// An event.
    Event,
    /// A row that holds an event as a string or object, at this value.
    Row(Span),
    /// A row whose columns are an event's members under dotted names.
    Flattened,
    /// An event of the provider-initiated feed.
    Foreign,
    /// `{}`.
    Empty,
    /// Anything else.
    Unknown,
    /// A wrapper around a list or an inner response that starts at this offset; the object was read only up to there.
    Wrapper(usize),
}

/// Part of the scanned bytes, with the kind of value it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: Kind,
    pub(super) escaped: bool,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    place: Place,
    /// Offset of the key's opening quote.
    key: usize,
    value: Span,
}

/// A key the scan treats specially.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Field(Field),
    /// `userIdentity`
    Identity,
    /// `sessionContext`
    Session,
    /// `attributes`, `sessionAttributes`
    Attributes,
    Other,
}

/// A known key with its place.
struct Entry {
    /// As producers write it without spaces: `"eventName":`.
    written: String,
    place: Place,
    known: Known,
}

impl Entry {
    fn name(&self) -> &[u8] {
        &self.written.as_bytes()[1..self.written.len() - 2]
    }
}

struct KeyTable {
    entries: Vec<Entry>,
    /// Numbers of the entries by key length.
    by_length: Vec<Vec<u8>>,
}

/// Numbers from here on stand for "no known key" in each [`Place`]: before its first, or after an unknown one.
const NO_KEY: usize = Field::COUNT + 2;
/// Numbers in all.
const NUMBERS: usize = NO_KEY + 3;

static KEYS: LazyLock<KeyTable> = LazyLock::new(|| {
    let fields = Field::ALL.iter().map(|&(field, place, key, _)| (key, place, Known::Field(field)));
    let structural = [
        (USER_IDENTITY, Place::Top, Known::Identity),
        (SESSION_CONTEXT, Place::Identity, Known::Session),
    ];
    let entries: Vec<Entry> = fields
        .chain(structural)
        .map(|(key, place, known)| Entry { written: format!("\"{key}\":"), place, known })
        .collect();
    let longest = entries.iter().map(|entry| entry.name().len()).max().unwrap_or(0);
    let mut by_length = vec![Vec::new(); longest + 1];
    for (number, entry) in entries.iter().enumerate() {
        by_length[entry.name().len()].push(number as u8);
    }
    KeyTable { entries, by_length }
});

impl KeyTable {
    fn number(&self, key: &[u8], place: Place) -> Option<usize> {
        let fits = |number: usize| {
            self.entries[number].place == place && self.entries[number].name() == key
        };
        self.by_length
            .get(key.len())?
            .iter()
            .map(|&number| usize::from(number))
            .find(|&number| fits(number))
    }

    fn find(&self, key: &[u8], place: Place) -> Known {
        self.number(key, place).map_or(Known::Other, |number| self.entries[number].known)
    }

    /// The key under another spelling: first letter in capitals, or one of the vendor's own variants.
    fn find_alias(&self, key: &[u8], place: Place) -> Known {
        if key.first().is_some_and(u8::is_ascii_uppercase) {
            let mut folded = key.to_vec();
            folded[0].make_ascii_lowercase();
            return self.find(&folded, place);
        }
        let alias =
            Field::ALIASES.iter().find(|(name, _)| place == Place::Top && name.as_bytes() == key);
        alias.map_or(Known::Other, |&(_, field)| Known::Field(field))
    }
}

/// Keys under which responses and API dumps hold their list of events.
const LIST_KEYS: [&[u8]; 5] = [b"Events", b"events", b"logs", b"Logs", b"data"];
/// Key under which SDKs hold the response.
const BODY_KEY: &[u8] = b"body";
/// Keys of rows whose value is the event: log service rows, SDK rows, the same flattened by connectors, EventBridge.
const ROW_KEYS: [&[u8]; 6] =
    [b"event", b"contents", b"contents.event", b"contents_event_s", b"content", b"data"];
/// Prefixes of dotted columns.
const DOTTED: [&[u8]; 3] = [b"event.", b"contents.event.", b"contents_event_s."];

/// Scans objects; keeps its notes between calls so that scanning allocates nothing once warm.
pub(super) struct Scanner {
    walker: Walker,
    /// Which known key came after which, in the object before: producers keep their order, so most keys are known by one
    /// comparison with the expected text.
    next: [u8; NUMBERS],
    spans: [Option<Span>; Field::COUNT],
    hashes: [u64; 4],
    extras: Vec<Member>,
    other_keys: Vec<u64>,
    session_text: Option<Span>,
    owner: Option<Span>,
    has_session: bool,
    duplicate_key: bool,
    type_mismatch: bool,
    alias_key: bool,
    needs_raw: bool,
}

struct Row {
    value: Option<Span>,
    dotted: bool,
    foreign: bool,
    is_event: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            walker: Walker::default(),
            next: [0; NUMBERS],
            spans: [None; Field::COUNT],
            hashes: [0; 4],
            extras: Vec::new(),
            other_keys: Vec::new(),
            session_text: None,
            owner: None,
            has_session: false,
            duplicate_key: false,
            type_mismatch: false,
            alias_key: false,
            needs_raw: false,
        }
    }
}

impl Scanner {
    /// Scans the object that starts at `text[0]`. Gives its shape and end; notes are kept for [`Scanner::event`].
    ///
    /// # Errors
    /// [`JsonError`] with offsets from the start of `text`.
    pub(super) fn object(&mut self, text: &[u8]) -> Result<(Shape, usize), JsonError> {
        self.spans = [None; Field::COUNT];
        self.hashes = [0; 4];
        self.extras.clear();
        self.other_keys.clear();
        (self.session_text, self.owner) = (None, None);
        (self.has_session, self.duplicate_key, self.type_mismatch) = (false, false, false);
        (self.alias_key, self.needs_raw) = (false, false);
        let mut row = Row { value: None, dotted: false, foreign: false, is_event: false };
        let mut at = json::skip_space(text, 1);
        if text.get(at) == Some(&b'}') {
            return Ok((Shape::Empty, at + 1));
        }
        let mut before = NO_KEY + Place::Top as usize;
        loop {
            let key = at;
            if let Some((number, value_at)) = self.expected(text, at, before, Place::Top) {
                at =
                    self.known_member(text, key, value_at, KEYS.entries[number].known, &mut row)?;
                before = number;
            } else {
                let (name, value_at) = self.key(text, at)?;
                let name = name.bytes(text);
                if !row.is_event
                    && let Some(start) = wrapped(&name, text, value_at)
                {
                    return Ok((Shape::Wrapper(start), start));
                }
                before = self.learn(&name, before, Place::Top);
                at = self.top_member(text, key, &name, value_at, &mut row)?;
            }
            match next_member(text, at)? {
                (next, true) => at = next,
                (end, false) => return Ok((self.shape(&row), end)),
            }
        }
    }

    fn shape(&self, row: &Row) -> Shape {
        if row.foreign {
            Shape::Foreign
        } else if let (Some(value), false) = (row.value, row.is_event) {
            Shape::Row(value)
        } else if row.is_event {
            Shape::Event
        } else if row.dotted {
            Shape::Flattened
        } else {
            Shape::Unknown
        }
    }

    /// Reads `"key" :` at `at`; gives the key and where its value starts.
    fn key(&mut self, text: &[u8], at: usize) -> Result<(Key, usize), JsonError> {
        match text.get(at) {
            None => return Err(JsonError::Incomplete),
            Some(b'"') => {}
            Some(_) => return Err(JsonError::Syntax { at, expected: "a key in double quotes" }),
        }
        let (end, escaped) = json::string_end(text, at)?;
        let colon = json::skip_space(text, end);
        match text.get(colon) {
            None => Err(JsonError::Incomplete),
            Some(b':') => Ok((
                Key { start: at + 1, end: end - 1, escaped },
                json::skip_space(text, colon + 1),
            )),
            Some(_) => Err(JsonError::Syntax { at: colon, expected: "`:`" }),
        }
    }

    /// The key at `at` where it is the one that last came after the key numbered `before`: its number, and where its
    /// value starts.
    #[inline]
    fn expected(
        &self,
        text: &[u8],
        at: usize,
        before: usize,
        place: Place,
    ) -> Option<(usize, usize)> {
        let number = usize::from(self.next[before]);
        let entry = &KEYS.entries[number];
        let written = entry.written.as_bytes();
        let there = entry.place == place && text.get(at..at + written.len()) == Some(written);
        there.then(|| (number, json::skip_space(text, at + written.len())))
    }

    /// Notes that the key `name` came after the one numbered `before`; gives its number.
    fn learn(&mut self, name: &[u8], before: usize, place: Place) -> usize {
        let Some(number) = KEYS.number(name, place) else { return NO_KEY + place as usize };
        self.next[before] = number as u8;
        number
    }

    /// Reads the value of a known top-level key.
    fn known_member(
        &mut self,
        text: &[u8],
        key: usize,
        at: usize,
        known: Known,
        row: &mut Row,
    ) -> Result<usize, JsonError> {
        match known {
            Known::Field(field) => {
                row.is_event |= matches!(
                    field,
                    Field::EventId | Field::EventName | Field::EventTime | Field::EventType
                );
                self.field(text, Place::Top, key, at, field)
            }
            _ => self.structural(text, Place::Top, key, at, known),
        }
    }

    fn top_member(
        &mut self,
        text: &[u8],
        key: usize,
        name: &[u8],
        at: usize,
        row: &mut Row,
    ) -> Result<usize, JsonError> {
        match self.known(name, Place::Top) {
            known @ (Known::Field(_) | Known::Identity) => {
                self.known_member(text, key, at, known, row)
            }
            _ => {
                let span = self.value(text, at)?;
                self.row_key(text, name, span, row);
                self.other(name, Member { place: Place::Top, key, value: span });
                Ok(span.end)
            }
        }
    }

    /// Notes what an unknown top-level key says about the row around an event.
    fn row_key(&mut self, text: &[u8], name: &[u8], span: Span, row: &mut Row) {
        if ROW_KEYS.contains(&name) {
            let holds_event = span.kind == Kind::Object
                || (span.kind == Kind::String && text[span.start..span.end].contains(&b'{'));
            if holds_event && row.value.is_none() {
                row.value = Some(span);
            }
        } else if name == b"owner_id" || name == b"contents_owner_id_s" {
            self.owner = Some(span);
        } else if DOTTED.iter().any(|prefix| name.starts_with(prefix)) {
            row.dotted = true;
        } else if name == b"EventProduct" {
            row.foreign = true;
        }
    }

    fn known(&mut self, name: &[u8], place: Place) -> Known {
        match KEYS.find(name, place) {
            Known::Other => {
                let alias = KEYS.find_alias(name, place);
                if alias != Known::Other {
                    (self.alias_key, self.needs_raw) = (true, true);
                }
                alias
            }
            known => known,
        }
    }

    fn other(&mut self, name: &[u8], member: Member) {
        let hash = json::mix(json::hash_bytes(name), member.place as u64);
        self.duplicate_key |= self.other_keys.contains(&hash);
        self.other_keys.push(hash);
        self.extras.push(member);
    }

    fn value(&mut self, text: &[u8], at: usize) -> Result<Span, JsonError> {
        // Most values are plain strings; they need no hash here.
        if text.get(at) == Some(&b'"') {
            let (end, escaped) = json::string_end(text, at)?;
            return Ok(Span { start: at, end, kind: Kind::String, escaped });
        }
        let walked = self.walker.value_at_depth(text, at, 1)?;
        self.duplicate_key |= walked.duplicate_key;
        Ok(Span { start: at, end: walked.end, kind: walked.kind, escaped: walked.escaped })
    }

    fn field(
        &mut self,
        text: &[u8],
        place: Place,
        key: usize,
        at: usize,
        field: Field,
    ) -> Result<usize, JsonError> {
        let (.., keep) = Field::ALL[field as usize];
        let span = if keep == Keep::Object {
            let walked = self.walker.value_at_depth(text, at, 1)?;
            self.duplicate_key |= walked.duplicate_key;
            if let Some(slot) = Event::OBJECTS.iter().position(|&object| object == field) {
                self.hashes[slot] = walked.hash;
            }
            Span { start: at, end: walked.end, kind: walked.kind, escaped: walked.escaped }
        } else {
            self.value(text, at)?
        };
        let slot = &mut self.spans[field as usize];
        self.duplicate_key |= slot.is_some();
        let exact = match keep {
            Keep::Text | Keep::Id => Kind::String,
            Keep::Bool => Kind::Bool,
            Keep::Object => Kind::Object,
        };
        let tolerated = match keep {
            Keep::Id => span.kind == Kind::Number,
            Keep::Bool => span.kind == Kind::String,
            Keep::Object => span.kind == Kind::Array && field == Field::ReferencedResources,
            // Connectors turn the JSON text into an object; the session flag comes as a real boolean too.
            Keep::Text => {
                (field == Field::RequestParameterJson && span.kind == Kind::Object)
                    || (field == Field::MfaAuthenticated && span.kind == Kind::Bool)
            }
        };
        if span.kind == exact || tolerated {
            *slot = Some(span);
        } else if span.kind != Kind::Null {
            (self.type_mismatch, self.needs_raw) = (true, true);
        }
        if span.kind != exact && !(keep == Keep::Object && tolerated) {
            self.extras.push(Member { place, key, value: span });
        }
        Ok(span.end)
    }

    /// `userIdentity`, `sessionContext` and its attributes: objects that are looked into rather than kept.
    fn structural(
        &mut self,
        text: &[u8],
        place: Place,
        key: usize,
        at: usize,
        which: Known,
    ) -> Result<usize, JsonError> {
        if which == Known::Session {
            self.has_session = text.get(at) != Some(&b'n');
        }
        if text.get(at) != Some(&b'{') {
            let span = self.value(text, at)?;
            if span.kind == Kind::Null {
                self.other(which.marker(), Member { place, key, value: span });
            } else if which == Known::Session && span.kind == Kind::String {
                self.session_text = Some(span);
                self.needs_raw = true;
            } else {
                (self.type_mismatch, self.needs_raw) = (true, true);
            }
            return Ok(span.end);
        }
        // A second object of the same name would be merged into the first: keep the text.
        let hash = json::hash_bytes(which.marker());
        self.duplicate_key |= self.other_keys.contains(&hash);
        self.other_keys.push(hash);
        let mut at = json::skip_space(text, at + 1);
        if text.get(at) == Some(&b'}') {
            self.needs_raw = true;
            return Ok(at + 1);
        }
        let place = if which == Known::Identity { Place::Identity } else { Place::Session };
        let mut before = NO_KEY + place as usize;
        loop {
            let key = at;
            let expected =
                if which == Known::Session { None } else { self.expected(text, at, before, place) };
            if let Some((number, value_at)) = expected {
                at = match KEYS.entries[number].known {
                    Known::Field(field) => self.field(text, place, key, value_at, field)?,
                    known => self.structural(text, place, key, value_at, known)?,
                };
                before = number;
            } else {
                let (name, value_at) = self.key(text, at)?;
                let name = name.bytes(text);
                if which != Known::Session {
                    before = self.learn(&name, before, place);
                }
                at = self.structural_member(text, key, &name, value_at, which)?;
            }
            match next_member(text, at)? {
                (next, true) => at = next,
                (end, false) => return Ok(end),
            }
        }
    }

    fn structural_member(
        &mut self,
        text: &[u8],
        key: usize,
        name: &[u8],
        at: usize,
        inside: Known,
    ) -> Result<usize, JsonError> {
        let place = match inside {
            Known::Identity => Place::Identity,
            Known::Attributes => Place::Session,
            // Directly in `sessionContext` only `attributes` is expected.
            _ => {
                let folded = name.first().map(u8::to_ascii_lowercase);
                let same = |want: &str| {
                    name.len() == want.len()
                        && folded == want.bytes().next()
                        && name[1..] == want.as_bytes()[1..]
                };
                if same(ATTRIBUTES) || same(SESSION_ATTRIBUTES) {
                    if name != ATTRIBUTES.as_bytes() {
                        (self.alias_key, self.needs_raw) = (true, true);
                    }
                    return self.structural(text, Place::Session, key, at, Known::Attributes);
                }
                self.needs_raw = true;
                return Ok(self.value(text, at)?.end);
            }
        };
        match self.known(name, place) {
            Known::Field(field) => self.field(text, place, key, at, field),
            Known::Session => self.structural(text, place, key, at, Known::Session),
            _ => {
                let span = self.value(text, at)?;
                self.other(name, Member { place, key, value: span });
                Ok(span.end)
            }
        }
    }

    /// The event just scanned. `text` is the object's text, checked to be UTF-8.
    pub(super) fn event<'a>(&self, text: &'a str) -> Event<'a> {
        let mut event = Event::empty(text);
        event.has_session = self.has_session;
        event.object_hashes = self.hashes;
        event.needs_raw = self.needs_raw || self.duplicate_key;
        for (flag, set) in [
            (Flag::DuplicateKey, self.duplicate_key),
            (Flag::TypeMismatch, self.type_mismatch),
            (Flag::AliasKey, self.alias_key),
        ] {
            if set {
                event.flags.insert(flag);
            }
        }
        for (slot, span) in self.spans.iter().enumerate() {
            let Some(span) = span else { continue };
            match text_of(text, *span) {
                Some(value) => event.values[slot] = Some(value),
                None => {
                    event.flags.insert(Flag::LoneSurrogate);
                    event.needs_raw = true;
                }
            }
        }
        if let Some(span) = self.session_text {
            session_from_text(text, span, &mut event);
        }
        self.drop_repeated_parameters(&mut event);
        event.extra = self.extra(text, &event);
        event
    }

    /// `owner_id` of the row just scanned.
    pub(super) fn owner<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        self.owner.and_then(|span| text_of(text, span)).filter(|owner| !owner.is_empty())
    }

    fn drop_repeated_parameters(&self, event: &mut Event<'_>) {
        let is_text = self.spans[Field::RequestParameterJson as usize]
            .is_some_and(|span| span.kind == Kind::String);
        let same = is_text
            && event.get(Field::RequestParameterJson).is_some()
            && event.get(Field::RequestParameterJson) == event.get(Field::RequestParameters);
        if same {
            event.values[Field::RequestParameterJson as usize] = None;
            event.flags.insert(Flag::RequestParameterJsonRepeats);
        }
    }

    /// The members no column gives back, as one object in the event's own nesting.
    fn extra(&self, text: &str, event: &Event<'_>) -> Option<String> {
        let mut top = String::new();
        let mut identity = String::new();
        let mut session = String::new();
        for member in &self.extras {
            let out = match member.place {
                Place::Top => &mut top,
                Place::Identity => &mut identity,
                Place::Session => &mut session,
            };
            push_member(out, text, member);
        }
        for (field, out) in [(Field::EventTime, &mut top), (Field::CreationDate, &mut session)] {
            if let Some(value) = event.get(field).filter(|value| !is_plain_time(value)) {
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
            push_pair(
                &mut identity,
                "\"sessionContext\"",
                &format!("{{\"attributes\":{{{session}}}}}"),
            );
        }
        if !identity.is_empty() {
            push_pair(&mut top, "\"userIdentity\"", &format!("{{{identity}}}"));
        }
        (!top.is_empty()).then(|| format!("{{{top}}}"))
    }
}

impl Known {
    fn marker(self) -> &'static [u8] {
        match self {
            Self::Identity => USER_IDENTITY.as_bytes(),
            Self::Session => SESSION_CONTEXT.as_bytes(),
            _ => ATTRIBUTES.as_bytes(),
        }
    }
}

struct Key {
    start: usize,
    end: usize,
    escaped: bool,
}

impl Key {
    /// The key's bytes, unescaped where it has escapes: `user\u004eame` is `userName`.
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

/// Where the list or the inner response starts, if the key `name` holds one.
pub(super) fn wrapped(name: &[u8], text: &[u8], value_at: usize) -> Option<usize> {
    match text.get(value_at)? {
        b'[' if LIST_KEYS.contains(&name) => Some(value_at),
        b'{' if name == BODY_KEY => Some(value_at),
        _ => None,
    }
}

/// Past a value: the next member (and true) or the object's end (and false).
fn next_member(text: &[u8], at: usize) -> Result<(usize, bool), JsonError> {
    let at = json::skip_space(text, at);
    match text.get(at) {
        None => Err(JsonError::Incomplete),
        Some(b',') => Ok((json::skip_space(text, at + 1), true)),
        Some(b'}') => Ok((at + 1, false)),
        Some(_) => Err(JsonError::Syntax { at, expected: "`,` or `}`" }),
    }
}

/// The text of a noted value: strings unescaped, everything else as it stands. `None` for half a surrogate pair.
fn text_of(text: &str, span: Span) -> Option<Cow<'_, str>> {
    if span.kind != Kind::String {
        return Some(Cow::Borrowed(&text[span.start..span.end]));
    }
    let inner = &text[span.start + 1..span.end - 1];
    if !span.escaped {
        return Some(Cow::Borrowed(inner));
    }
    let mut plain = String::with_capacity(inner.len());
    json::unescape_into(inner, &mut plain).ok()?;
    Some(Cow::Owned(plain))
}

/// One vendor page types the session context as a string that holds the object.
fn session_from_text(text: &str, span: Span, event: &mut Event<'_>) {
    let Some(inner) = text_of(text, span) else { return };
    for (key, attributes) in json::members(&inner) {
        if key != ATTRIBUTES && key != SESSION_ATTRIBUTES {
            continue;
        }
        for (key, value) in json::members(attributes) {
            let field = match key.as_ref() {
                "mfaAuthenticated" => Field::MfaAuthenticated,
                "creationDate" => Field::CreationDate,
                _ => continue,
            };
            event.values[field as usize] =
                json::text_of(value).map(|text| Cow::Owned(text.into_owned()));
        }
    }
}

fn is_plain_time(text: &str) -> bool {
    text.len() == 20
        && text.ends_with('Z')
        && text.as_bytes()[10] == b'T'
        && !text.starts_with("0000")
        && time::parse(text).is_some()
}

fn push_member(out: &mut String, text: &str, member: &Member) {
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
