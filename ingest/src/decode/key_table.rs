//! The keys that the scanner treats specially: those of events, of rows around events, and of lists.

use super::member_names::{MemberName, Structure, member_name, row_member_name};
use super::wrapper_keys::OWNERS;
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

    /// True where `name` in `parent` spells a known key in a way that the scanner does not read: in other case, with
    /// separators, or with the path of the objects around it.
    pub(super) fn is_variant(&self, name: &[u8], parent: ParentObject) -> bool {
        if name.iter().any(|b| matches!(b, b'.' | b'_' | b'-')) {
            return !name.starts_with(b"__")
                && RowKey::of(name).is_none()
                && std::str::from_utf8(name).is_ok_and(|name| is_member_name(name, parent));
        }
        self.by_length.get(name.len()).is_some_and(|numbers| {
            numbers.iter().any(|&number| {
                let entry = &self.entries[usize::from(number)];
                entry.parent == parent && entry.name().eq_ignore_ascii_case(name)
            })
        })
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
const LIST_KEYS: [&[u8]; 14] = [
    b"Events",
    b"events",
    b"logs",
    b"Logs",
    b"data",
    b"hits",
    b"results",
    b"Records",
    b"records",
    b"logGroupList",
    b"LogGroupList",
    b"logGroups",
    b"LogGroups",
    b"log_groups",
];
/// Keys under which SDKs and search engines hold the response.
const BODY_KEYS: [&[u8]; 3] = [b"body", b"Body", b"hits"];
/// Keys of rows whose value is the event: log service rows, SDK rows, the same flattened by connectors, EventBridge.
const ROW_KEYS: [&[u8]; 6] =
    [b"event", b"contents", b"contents.event", b"contents_event_s", b"content", b"data"];

/// Meaning of a key in a row around an event.
pub(super) enum RowKey {
    /// The key of the event.
    Event,
    /// The key of the account.
    Owner,
}

impl RowKey {
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        if ROW_KEYS.contains(&name) {
            Some(Self::Event)
        } else if OWNERS.iter().any(|owner| owner.as_bytes() == name) {
            Some(Self::Owner)
        } else {
            None
        }
    }
}

fn is_member_name(name: &str, parent: ParentObject) -> bool {
    let meaning = match parent {
        ParentObject::Root => row_member_name(name).0,
        ParentObject::UserIdentity => member_name(name, Structure::Identity),
        ParentObject::SessionAttributes => member_name(name, Structure::Attributes),
    };
    meaning != MemberName::Other
}

/// Offset of the list or inner response that the key `name` holds, if it does. Its value starts at `value_at`.
pub(super) fn list_or_body(name: &[u8], text: &[u8], value_at: usize) -> Option<usize> {
    match text.get(value_at)? {
        b'[' if LIST_KEYS.contains(&name) => Some(value_at),
        b'{' if BODY_KEYS.contains(&name) => Some(value_at),
        _ => None,
    }
}
