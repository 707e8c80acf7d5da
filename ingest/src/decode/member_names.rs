//! Which member of an event a key means, in any spelling: in other case (`EVENT_NAME`), with separators (`event_name`), with
//! the path of the objects around it (`userIdentity.sessionContext.attributes.mfaAuthenticated`), and with the prefix of a row
//! (`event.eventName`). Only the slow path asks; the scanner knows the vendor's own spelling.

use std::collections::HashMap;
use std::sync::LazyLock;
use trailhound_datasets::event::{
    ATTRIBUTES, Event, Field, ParentObject, SESSION_ATTRIBUTES, SESSION_CONTEXT, USER_IDENTITY,
};

/// Objects of the vendor that no column holds. They are kept in `extra`.
pub(super) const EXTRA_OBJECTS: [&str; 2] = ["eventAttributes", "insightDetails"];

/// Number of objects whose members are free: those of [`Event::OBJECTS`], then [`EXTRA_OBJECTS`].
pub(super) const OBJECT_COUNT: usize = Event::OBJECTS.len() + EXTRA_OBJECTS.len();

/// Prefixes of the columns of rows around events, the longer first.
const PREFIXES: [&str; 11] = [
    "contents.event.",
    "contents_event_s.",
    "contents_event_",
    "contents.",
    "_source.",
    "_source_",
    "result.",
    "event.",
    "event_",
    "data.",
    "_",
];

/// What a key means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MemberName {
    /// A field.
    Field(Field),
    /// An object whose members are fields.
    Structure(Structure),
    /// An object whose members are free, by its number.
    Object(usize),
    /// A member of such an object, under this name.
    Part(usize, String),
    /// No member of an event.
    Other,
}

/// An object whose members are fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Structure {
    /// The event itself.
    Event,
    /// `userIdentity`
    Identity,
    /// `sessionContext`
    Session,
    /// `attributes`, `sessionAttributes`
    Attributes,
}

impl Structure {
    /// The structure's path, folded.
    fn path(self) -> &'static str {
        match self {
            Self::Event => "",
            Self::Identity => "useridentity",
            Self::Session => "useridentitysessioncontext",
            Self::Attributes => "useridentitysessioncontextattributes",
        }
    }
}

/// All names by folded path.
static NAMES: LazyLock<HashMap<String, MemberName>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for (field, parent, key, _) in Field::ALL {
        let name = number_of(field).map_or(MemberName::Field(field), MemberName::Object);
        for path in parent_paths(parent) {
            names.insert(fold(&format!("{path}{key}")), name.clone());
        }
    }
    for (alias, field) in Field::ALIASES {
        let name = number_of(field).map_or(MemberName::Field(field), MemberName::Object);
        names.insert(fold(alias), name);
    }
    for (number, key) in EXTRA_OBJECTS.iter().enumerate() {
        names.insert(fold(key), MemberName::Object(Event::OBJECTS.len() + number));
    }
    for (path, structure) in [
        (USER_IDENTITY.to_owned(), Structure::Identity),
        (format!("{USER_IDENTITY}{SESSION_CONTEXT}"), Structure::Session),
        (format!("{USER_IDENTITY}{SESSION_CONTEXT}{ATTRIBUTES}"), Structure::Attributes),
        (format!("{USER_IDENTITY}{SESSION_CONTEXT}{SESSION_ATTRIBUTES}"), Structure::Attributes),
    ] {
        names.insert(fold(&path), MemberName::Structure(structure));
    }
    names
});

/// The number of the object `field`; `None` for other fields.
fn number_of(field: Field) -> Option<usize> {
    Event::OBJECTS.iter().position(|&object| object == field)
}

fn parent_paths(parent: ParentObject) -> Vec<String> {
    match parent {
        ParentObject::Root => vec![String::new()],
        ParentObject::UserIdentity => vec![USER_IDENTITY.to_owned()],
        ParentObject::SessionAttributes => [ATTRIBUTES, SESSION_ATTRIBUTES, ""]
            .map(|attributes| format!("{USER_IDENTITY}{SESSION_CONTEXT}{attributes}"))
            .to_vec(),
    }
}

/// `key` in lower case without the separators of words and paths.
fn fold(key: &str) -> String {
    key.chars()
        .filter(|c| !matches!(c, '_' | '-' | '.' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// The key of the object with this number.
pub(super) fn object_key(number: usize) -> &'static str {
    match Event::OBJECTS.get(number) {
        Some(&field) => Field::ALL[field as usize].2,
        None => EXTRA_OBJECTS[number - Event::OBJECTS.len()],
    }
}

/// What `key` means as a member of `parent`.
pub(super) fn member_name(key: &str, parent: Structure) -> MemberName {
    let folded = fold(key);
    if let Some(name) = NAMES.get(format!("{}{folded}", parent.path()).as_str()) {
        return name.clone();
    }
    // Inside `sessionContext` the attributes may be called so, with or without the path of the session.
    if parent != Structure::Event {
        return MemberName::Other;
    }
    part(key).unwrap_or(MemberName::Other)
}

/// What `key` means as a member of a row: of the event itself, or with the prefix that such rows give to an event's members.
/// Also says whether a prefix was taken off.
pub(super) fn row_member_name(key: &str) -> (MemberName, bool) {
    let name = member_name(key, Structure::Event);
    if name != MemberName::Other {
        return (name, false);
    }
    for prefix in PREFIXES {
        let Some(head) = key.get(..prefix.len()) else { continue };
        if head.eq_ignore_ascii_case(prefix) {
            let name = member_name(&key[prefix.len()..], Structure::Event);
            if name != MemberName::Other {
                return (name, true);
            }
        }
    }
    (MemberName::Other, false)
}

/// The member of a free object that the flattened `key` means: `requestParameters.InstanceId`, `request_parameters_InstanceId`.
fn part(key: &str) -> Option<MemberName> {
    (0..OBJECT_COUNT).find_map(|number| {
        let rest = behind(key, &fold(object_key(number)))?;
        let (separator, name) = rest.split_at_checked(1)?;
        (matches!(separator, "." | "_" | "[") && !name.is_empty()).then(|| {
            let name = match separator {
                "_" => dotted_indexes(name),
                "[" => rest.replace('[', ".").replace(']', "").trim_start_matches('.').to_owned(),
                _ => name.replace('[', ".").replace(']', ""),
            };
            MemberName::Part(number, name)
        })
    })
}

/// The text behind the beginning of `key` that folds to `folded`.
fn behind<'k>(key: &'k str, folded: &str) -> Option<&'k str> {
    let mut wanted = folded.chars();
    let mut next = wanted.next();
    for (at, c) in key.char_indices() {
        match next {
            None => return Some(&key[at..]),
            Some(expected) if c.to_ascii_lowercase() == expected => next = wanted.next(),
            Some(_) if matches!(c, '_' | '-' | '.' | ' ') && at > 0 => {}
            Some(_) => return None,
        }
    }
    None
}

/// `name` with dots around the numbers that underscores separate: `Tag_1_Key` is `Tag.1.Key`.
fn dotted_indexes(name: &str) -> String {
    let parts: Vec<&str> = name.split('_').collect();
    let is_index = |part: &&str| {
        !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit())
    };
    let mut out = parts[0].to_owned();
    for pair in parts.windows(2) {
        out.push(if is_index(&pair[0]) || is_index(&pair[1]) { '.' } else { '_' });
        out.push_str(pair[1]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_known_in_every_spelling_of_its_key() {
        for (key, name) in [
            ("eventName", MemberName::Field(Field::EventName)),
            ("EVENTNAME", MemberName::Field(Field::EventName)),
            ("event_name", MemberName::Field(Field::EventName)),
            ("event.eventName", MemberName::Field(Field::EventName)),
            ("event_event_name", MemberName::Field(Field::EventName)),
            ("_eventName", MemberName::Field(Field::EventName)),
            ("userIdentity.type", MemberName::Field(Field::UserType)),
            ("user_identity_type", MemberName::Field(Field::UserType)),
            ("event.userIdentity.accessKeyId", MemberName::Field(Field::AccessKeyId)),
            (
                "userIdentity_sessionContext_attributes_mfaAuthenticated",
                MemberName::Field(Field::MfaAuthenticated),
            ),
            (
                "userIdentity.sessionContext.sessionAttributes.creationDate",
                MemberName::Field(Field::CreationDate),
            ),
            ("userIdentity.sessionContext", MemberName::Structure(Structure::Session)),
            ("request_parameter_json", MemberName::Field(Field::RequestParameterJson)),
            ("requestParameters", MemberName::Object(0)),
            ("event.requestParameters.Tag.1.Key", MemberName::Part(0, "Tag.1.Key".to_owned())),
            ("requestParameters_Tag_1_Key", MemberName::Part(0, "Tag.1.Key".to_owned())),
            ("requestParameters.InstanceId[0]", MemberName::Part(0, "InstanceId.0".to_owned())),
            ("request_parameters_User_Name", MemberName::Part(0, "User_Name".to_owned())),
            ("addionalEventData.mfaChecked", MemberName::Other),
            ("requestParametersOfMine", MemberName::Other),
            ("__topic__", MemberName::Other),
            ("type", MemberName::Other),
        ] {
            assert_eq!(row_member_name(key).0, name, "{key}");
        }
        assert_eq!(member_name("Type", Structure::Identity), MemberName::Field(Field::UserType));
        assert_eq!(
            member_name("mfa_authenticated", Structure::Attributes),
            MemberName::Field(Field::MfaAuthenticated)
        );
    }
}
