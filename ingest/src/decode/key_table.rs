//! The keys that the scanner treats specially: those of events, of rows around events, and of lists.

use super::member_names::{
    EXTRA_OBJECTS, MemberName, Structure, meant_fields, member_name, row_member_name,
};
use super::wrapper_keys::{OWNERS, wrapper_number};
use std::collections::HashMap;
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

/// What the scanner makes of a key that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnknownKey {
    /// A key of its own.
    New,
    /// A known key in a spelling or a place that the scanner does not read.
    Variant,
    /// The key of something that may hold an event.
    Wrapper,
}

/// Unknown keys that are remembered. Producers write few; others are judged each time.
const REMEMBERED_MAX: usize = 1024;

/// Judges unknown keys, and remembers the judgements.
#[derive(Default)]
pub(super) struct UnknownKeys {
    /// By parent object.
    judged: [HashMap<Box<[u8]>, UnknownKey>; 3],
}

impl UnknownKeys {
    /// What the unknown key `name` in `parent` is.
    pub(super) fn judge(&mut self, name: &[u8], parent: ParentObject) -> UnknownKey {
        let judged = &mut self.judged[parent as usize];
        if let Some(&known) = judged.get(name) {
            return known;
        }
        let found = judge_unknown(name, parent);
        if judged.len() < REMEMBERED_MAX && name.len() < 256 {
            judged.insert(name.into(), found);
        }
        found
    }
}

fn judge_unknown(name: &[u8], parent: ParentObject) -> UnknownKey {
    let Ok(name) = std::str::from_utf8(name) else { return UnknownKey::New };
    if parent == ParentObject::Root && wrapper_number(name, None).is_some() {
        return UnknownKey::Wrapper;
    }
    if name.starts_with("__") || EXTRA_OBJECTS.contains(&name) || OWNERS.contains(&name) {
        return UnknownKey::New;
    }
    let meaning = match parent {
        ParentObject::Root => row_member_name(name, None).0,
        ParentObject::UserIdentity => member_name(name, Structure::Identity),
        ParentObject::SessionAttributes => member_name(name, Structure::Attributes),
    };
    let is_variant = match meaning {
        MemberName::Other => parent == ParentObject::Root && !meant_fields(name).is_empty(),
        // Other programs call many things so. An event whose identity lacks its type is not plain anyhow.
        MemberName::Misplaced(Field::UserType) => false,
        _ => true,
    };
    if is_variant { UnknownKey::Variant } else { UnknownKey::New }
}

/// True where `name` in `sessionContext` is a member of the session's attributes.
pub(super) fn is_session_member(name: &[u8]) -> bool {
    std::str::from_utf8(name)
        .is_ok_and(|name| member_name(name, Structure::Session) != MemberName::Other)
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

/// Offset of the list or inner response that the key `name` holds, if it does. Its value starts at `value_at`.
pub(super) fn list_or_body(name: &[u8], text: &[u8], value_at: usize) -> Option<usize> {
    match text.get(value_at)? {
        b'[' if LIST_KEYS.contains(&name) => Some(value_at),
        b'{' if BODY_KEYS.contains(&name) => Some(value_at),
        _ => None,
    }
}
