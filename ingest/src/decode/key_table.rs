//! The keys that the scanner treats specially: those of events, of rows around events, and of lists.

use std::sync::LazyLock;
use trailhound_datasets::event::{
    ATTRIBUTES, Field, ParentObject, SESSION_ATTRIBUTES, SESSION_CONTEXT, USER_IDENTITY,
};

/// Meaning of a key in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownKey {
    /// A field.
    Field(Field),
    /// `userIdentity`
    Identity,
    /// `sessionContext`
    Session,
    /// `attributes`, `sessionAttributes`
    Attributes,
    /// No known key.
    Other,
}

impl KnownKey {
    /// Name of the key of a structural object.
    pub(super) fn structural_name(self) -> &'static [u8] {
        match self {
            Self::Identity => USER_IDENTITY.as_bytes(),
            Self::Session => SESSION_CONTEXT.as_bytes(),
            _ => ATTRIBUTES.as_bytes(),
        }
    }
}

/// A known key in its parent object.
pub(super) struct KeyTableEntry {
    /// The key as producers write it, with quotes and colon: `"eventName":`.
    pub(super) written: String,
    pub(super) parent: ParentObject,
    pub(super) key: KnownKey,
}

impl KeyTableEntry {
    fn name(&self) -> &[u8] {
        &self.written.as_bytes()[1..self.written.len() - 2]
    }
}

/// The known keys, numbered in the order of `entries`.
pub(super) struct KeyTable {
    pub(super) entries: Vec<KeyTableEntry>,
    /// Numbers of the entries by length of the key.
    by_length: Vec<Vec<u8>>,
}

/// Numbers from here on stand for "no known key", one for each [`ParentObject`].
const NO_KEY: usize = Field::COUNT + 2;
/// Count of all numbers.
pub(super) const KEY_NUMBERS: usize = NO_KEY + 3;

/// The number that stands for "no known key" in `parent`: at its start, and after an unknown key.
pub(super) fn no_key(parent: ParentObject) -> usize {
    NO_KEY + parent as usize
}

/// All known keys.
pub(super) static KEYS: LazyLock<KeyTable> = LazyLock::new(|| {
    let fields =
        Field::ALL.iter().map(|&(field, parent, key, _)| (key, parent, KnownKey::Field(field)));
    let structural = [
        (USER_IDENTITY, ParentObject::Root, KnownKey::Identity),
        (SESSION_CONTEXT, ParentObject::UserIdentity, KnownKey::Session),
    ];
    let entries: Vec<KeyTableEntry> = fields
        .chain(structural)
        .map(|(name, parent, key)| KeyTableEntry { written: format!("\"{name}\":"), parent, key })
        .collect();
    let longest = entries.iter().map(|entry| entry.name().len()).max().unwrap_or(0);
    let mut by_length = vec![Vec::new(); longest + 1];
    for (number, entry) in entries.iter().enumerate() {
        by_length[entry.name().len()].push(number as u8);
    }
    KeyTable { entries, by_length }
});

impl KeyTable {
    /// Number of the key `name` in `parent`.
    pub(super) fn number(&self, name: &[u8], parent: ParentObject) -> Option<usize> {
        let is_it = |number: usize| {
            self.entries[number].parent == parent && self.entries[number].name() == name
        };
        self.by_length
            .get(name.len())?
            .iter()
            .map(|&number| usize::from(number))
            .find(|&number| is_it(number))
    }

    /// The key `name` in `parent`.
    pub(super) fn find(&self, name: &[u8], parent: ParentObject) -> KnownKey {
        self.number(name, parent).map_or(KnownKey::Other, |number| self.entries[number].key)
    }

    /// The key that `name` in `parent` is another spelling of: with a capital first letter, or a known misspelling.
    pub(super) fn find_alias(&self, name: &[u8], parent: ParentObject) -> KnownKey {
        if name.first().is_some_and(u8::is_ascii_uppercase) {
            let mut folded = name.to_vec();
            folded[0].make_ascii_lowercase();
            return self.find(&folded, parent);
        }
        let alias = Field::ALIASES
            .iter()
            .find(|(alias, _)| parent == ParentObject::Root && alias.as_bytes() == name);
        alias.map_or(KnownKey::Other, |&(_, field)| KnownKey::Field(field))
    }
}

/// True where `name` is the key of the session's attributes, in any spelling.
pub(super) fn is_attributes(name: &[u8]) -> bool {
    let first = name.first().map(u8::to_ascii_lowercase);
    [ATTRIBUTES, SESSION_ATTRIBUTES].iter().any(|wanted| {
        name.len() == wanted.len()
            && first == wanted.bytes().next()
            && name[1..] == wanted.as_bytes()[1..]
    })
}

/// Keys under which responses and API dumps hold their list of events.
const LIST_KEYS: [&[u8]; 5] = [b"Events", b"events", b"logs", b"Logs", b"data"];
/// Key under which SDKs hold the response.
const BODY_KEY: &[u8] = b"body";
/// Keys of rows whose value is the event: log service rows, SDK rows, the same flattened by connectors, EventBridge.
const ROW_KEYS: [&[u8]; 6] =
    [b"event", b"contents", b"contents.event", b"contents_event_s", b"content", b"data"];
/// Keys of rows that hold the account.
const OWNER_KEYS: [&[u8]; 2] = [b"owner_id", b"contents_owner_id_s"];
/// Prefixes of dotted columns.
const DOTTED_PREFIXES: [&[u8]; 3] = [b"event.", b"contents.event.", b"contents_event_s."];
/// Key of the provider-initiated feed, whose events are not supported.
const FOREIGN_KEY: &[u8] = b"EventProduct";

/// Meaning of a key in a row around an event.
pub(super) enum RowKey {
    /// The key of the event.
    Event,
    /// The key of the account.
    Owner,
    /// A dotted column.
    Dotted,
    /// A key that only other feeds have.
    Foreign,
}

impl RowKey {
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        if ROW_KEYS.contains(&name) {
            Some(Self::Event)
        } else if OWNER_KEYS.contains(&name) {
            Some(Self::Owner)
        } else if DOTTED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            Some(Self::Dotted)
        } else if name == FOREIGN_KEY {
            Some(Self::Foreign)
        } else {
            None
        }
    }
}

/// Offset of the list or inner response that the key `name` holds, if it does. Its value starts at `value_at`.
pub(super) fn list_or_body(name: &[u8], text: &[u8], value_at: usize) -> Option<usize> {
    match text.get(value_at)? {
        b'[' if LIST_KEYS.contains(&name) => Some(value_at),
        b'{' if name == BODY_KEY => Some(value_at),
        _ => None,
    }
}
