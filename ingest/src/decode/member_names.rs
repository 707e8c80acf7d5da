//! Which member of an event a key means, in any spelling: in other case (`EVENT_NAME`), with separators (`event_name`), with
//! the path of the objects around it (`userIdentity.sessionContext.attributes.mfaAuthenticated`), and with the prefix of a row
//! (`event.eventName`). Only the slow path asks; the scanner knows the vendor's own spelling.
//!
//! A key that is nearly a member's name ([`meant_fields`]) gives no value, but the member was not understood.

use super::vendor_names::is_documented_identity;
use std::collections::HashMap;
use std::sync::LazyLock;
use strsim::levenshtein;
use trailhound_datasets::event::{
    ATTRIBUTES, Event, Field, ParentObject, SESSION_ATTRIBUTES, SESSION_CONTEXT, USER_IDENTITY,
};
use trailhound_datasets::json;

/// Objects of the vendor that no column holds. They are kept in `extra`.
pub(super) const EXTRA_OBJECTS: [&str; 2] = ["eventAttributes", "insightDetails"];

/// Number of objects whose members are free: those of [`Event::OBJECTS`], then [`EXTRA_OBJECTS`].
pub(super) const OBJECT_COUNT: usize = Event::OBJECTS.len() + EXTRA_OBJECTS.len();

/// Prefixes of the columns of rows around events, the longer first.
pub(super) const PREFIXES: [&str; 11] = [
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

/// Other names of members: the object around them, the name folded, and the member.
const OTHER_NAMES: [(Structure, &str, Field); 3] = [
    (Structure::Identity, "accesskey", Field::AccessKeyId),
    (Structure::Identity, "ak", Field::AccessKeyId),
    (Structure::Event, "additionaldata", Field::AdditionalEventData),
];

/// Members of `additionalEventData` by which a sign-in says whether a second factor was used. Some programs put them into the
/// event itself.
const SECOND_FACTOR: [&str; 2] = ["mfaChecked", "isMFAChecked"];

/// Members of the identity and its session that are read where they stand in the event itself.
const MISPLACED: [Field; 6] = [
    Field::UserType,
    Field::AccountId,
    Field::PrincipalId,
    Field::UserName,
    Field::AccessKeyId,
    Field::MfaAuthenticated,
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
    /// A member of the identity that stands in the event itself.
    Misplaced(Field),
    /// Something inside a member that is text: `serviceName.value`.
    Inside(Field),
    /// A member of the identity that no field holds, under this name.
    OfIdentity(String),
    /// No member of an event.
    Other,
}

impl MemberName {
    /// True for a member in its own place, whole or in part: only an event has it.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Field(_) | Self::Structure(_) | Self::Object(_) | Self::Part(..))
    }
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
    for (structure, other, field) in OTHER_NAMES {
        let name = number_of(field).map_or(MemberName::Field(field), MemberName::Object);
        names.insert(format!("{}{other}", structure.path()), name);
    }
    if let Some(number) = number_of(Field::AdditionalEventData) {
        for key in SECOND_FACTOR {
            names.insert(fold(key), MemberName::Part(number, key.to_owned()));
        }
    }
    for field in MISPLACED {
        let (_, _, key, _) = Field::ALL[field as usize];
        names.insert(fold(key), MemberName::Misplaced(field));
    }
    let in_identity = format!("{USER_IDENTITY}mfaAuthenticated");
    names.insert(fold(&in_identity), MemberName::Field(Field::MfaAuthenticated));
    for (path, structure) in [
        (SESSION_CONTEXT.to_owned(), Structure::Session),
        (format!("{USER_IDENTITY}{ATTRIBUTES}"), Structure::Attributes),
        (format!("{USER_IDENTITY}{SESSION_ATTRIBUTES}"), Structure::Attributes),
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

/// True for a sign between the words of a key, or between the keys of its path.
pub(super) fn is_separator(c: char) -> bool {
    matches!(c, '_' | '-' | '.' | ' ' | '/' | ':' | '|' | '>' | '$')
}

/// Longest prefix or path of a member, in bytes. A key may have separators without end, and each of them may end a path.
const PART_BYTES_MAX: usize = 128;

/// Where the separators of `key` stand.
pub(super) fn separators(key: &str) -> impl DoubleEndedIterator<Item = usize> {
    key.char_indices().filter(|(_, c)| is_separator(*c)).map(|(at, _)| at)
}

/// `key` in lower case without the separators of words and paths.
pub(super) fn fold(key: &str) -> String {
    key.chars().filter(|c| !is_separator(*c)).map(|c| c.to_ascii_lowercase()).collect()
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
    part(key).or_else(|| inside(key)).unwrap_or(MemberName::Other)
}

/// What `key` means as a member of a row: of the event itself, or with the prefix that such rows give to an event's members.
/// `own_prefix` is that of the row ([`row_prefix`]). Also says whether a prefix was taken off.
pub(super) fn row_member_name(key: &str, own_prefix: Option<&str>) -> (MemberName, bool) {
    // Log Analytics writes the type behind the name: `eventName_s`, `userIdentity_accountId_d`.
    let bare = without_type(key);
    if bare.len() < key.len() {
        let name = member_name(bare, Structure::Event);
        if matches!(name, MemberName::Field(_) | MemberName::Structure(_) | MemberName::Object(_)) {
            return (name, false);
        }
    }
    // In a row with a prefix of its own, `event.type` is the member `type`, not another spelling of `eventType`.
    if let Some(rest) = own_prefix.and_then(|prefix| key.strip_prefix(prefix)) {
        let name = member_name(rest, Structure::Event);
        if name != MemberName::Other {
            return (name, true);
        }
    }
    // The path of these ends like the name of a member.
    let is_wrapper = ["._source", "._raw"].iter().any(|end| key.ends_with(end));
    let name = if is_wrapper { MemberName::Other } else { member_name(key, Structure::Event) };
    if !matches!(name, MemberName::Other | MemberName::Inside(_)) {
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
    (name, false)
}

/// `key` without the signs of types at its end, where it has any.
pub(super) fn without_type(key: &str) -> &str {
    let signs = ["_s", "_d", "_b", "_t", "_g"];
    let mut key = key;
    while let Some(bare) = signs.iter().find_map(|sign| key.strip_suffix(sign)) {
        key = bare;
    }
    key
}

/// True for a path through a member whose content the caller or another program chooses: what stands below it is no member of
/// the event.
pub(super) fn is_of_caller(key: &str) -> bool {
    const MEMBERS: [&str; 5] = [
        "requestparameter",
        "responseelements",
        "additionaleventdata",
        "errormessage",
        "useragent",
    ];
    let folded = fold(key);
    MEMBERS.iter().any(|member| folded.contains(member))
}

/// Members that a prefix must stand before: other programs write a key that ends in `event_name` too.
const PREFIXED_MIN: usize = 4;

/// The prefix that the keys of a row have before the names of an event's members, whatever it is: `trail.event.` of
/// `trail.event.eventName`. `None` where the members have none. It is never in an object of the event: the caller names the
/// request parameters, and one of them may be called `eventName`.
pub(super) fn row_prefix<'k>(keys: &[&'k str]) -> Option<&'k str> {
    let prefixes = keys.iter().filter_map(|key| {
        // The last: `event__` is the prefix of `event__eventName`, not `event_`.
        let start = prefix_ends(key).filter(|&start| fold(&key[start..]) == "eventname").last()?;
        Some(&key[..start]).filter(|prefix| !is_of_caller(prefix))
    });
    let prefixes: Vec<&str> = prefixes.collect();
    let mut members: HashMap<&str, usize> = prefixes.iter().map(|prefix| (*prefix, 0)).collect();
    for key in keys {
        for start in prefix_ends(key) {
            if let Some(count) = members.get_mut(&key[..start])
                && member_name(&key[start..], Structure::Event) != MemberName::Other
            {
                *count += 1;
            }
        }
    }
    prefixes.into_iter().find(|prefix| members.get(prefix).is_some_and(|n| *n >= PREFIXED_MIN))
}

/// Where a prefix of `key` may end: behind its separators, in its beginning.
fn prefix_ends(key: &str) -> impl Iterator<Item = usize> {
    separators(key).map(|at| at + 1).take_while(|end| *end <= PART_BYTES_MAX)
}

/// The member of a free object that the flattened `key` means: `requestParameters.InstanceId`, `request_parameters_InstanceId`.
fn part(key: &str) -> Option<MemberName> {
    let objects = (0..OBJECT_COUNT).map(|number| (number, object_key(number)));
    let aliases =
        Field::ALIASES.iter().filter_map(|&(alias, field)| Some((number_of(field)?, alias)));
    objects.chain(aliases).find_map(|(number, object)| {
        let name = part_name(behind(key, &fold(object))?)?;
        Some(MemberName::Part(number, name))
    })
}

/// The name of a part from the text behind the object's key. Names of parts have dots between the keys of their path.
fn part_name(rest: &str) -> Option<String> {
    let first = rest.chars().next()?;
    let name = match first {
        '[' => rest.to_owned(),
        '_' if rest.starts_with("__") => rest[2..].replace("__", "."),
        '_' => dotted(&rest[1..]),
        '-' => rest.trim_start_matches(['-', '>']).replace("->", "."),
        // Types of resources have colons.
        ':' if rest.contains("::") => rest[1..].to_owned(),
        '/' | ':' | '|' | '$' => rest[1..].replace(first, "."),
        '.' => rest[1..].to_owned(),
        _ => return None,
    };
    let name = name.replace("].", ".").replace(['[', ']'], ".").replace("..", ".");
    let name = name.trim_matches('.');
    (!name.is_empty()).then(|| name.to_owned())
}

/// What a key means that goes on behind the name of a member: `serviceName.value`, `userIdentity.arn`.
fn inside(key: &str) -> Option<MemberName> {
    let ends = separators(key).take_while(|end| *end <= PART_BYTES_MAX);
    let mut ends: Vec<usize> = ends.filter(|end| *end > 0).collect();
    ends.reverse();
    ends.into_iter().find_map(|end| {
        match NAMES.get(fold(&key[..end]).as_str())? {
            // It repeats the parameters, as an object that a connector made of the text.
            MemberName::Field(Field::RequestParameterJson) => {
                Some(MemberName::Part(0, part_name(&key[end..])?))
            }
            MemberName::Field(field) => Some(MemberName::Inside(*field)),
            MemberName::Structure(Structure::Identity) => {
                Some(MemberName::OfIdentity(key[end + 1..].to_owned()))
            }
            _ => None,
        }
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
            Some(_) if is_separator(c) && at > 0 => {}
            Some(_) => return None,
        }
    }
    None
}

/// `name` with dots where underscores separate the keys of a path: around numbers, and before words with a capital, because
/// the vendor's parameters have no underscore before a capital. `Tag_1_Key` is `Tag.1.Key`; `x_oss_acl` is one key.
fn dotted(name: &str) -> String {
    let parts: Vec<&str> = name.split('_').collect();
    let is_index = |part: &str| {
        !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit())
    };
    let mut out = parts[0].to_owned();
    for pair in parts.windows(2) {
        let is_path = is_index(pair[0])
            || is_index(pair[1])
            || pair[1].starts_with(|c: char| c.is_ascii_uppercase());
        out.push(if is_path { '.' } else { '_' });
        out.push_str(pair[1]);
    }
    out
}

/// True where the value of the key must be an object to be the parameters of a request.
pub(super) fn is_whole_parameters(key: &str) -> bool {
    is_parameters(&fold(key))
}

/// The fields that the unknown `key` of the event may mean: those whose names differ in one or two letters; the type of the
/// identity stands for the identity. What the member says is not known.
pub(super) fn meant_fields(key: &str) -> Vec<Field> {
    let folded = fold(key);
    // Flattened as well. `request.` alone begins many keys of other programs.
    let is_part = || {
        let ends = separators(key).take_while(|end| *end <= PART_BYTES_MAX);
        ends.map(|at| fold(&key[..at])).any(|head| head != "request" && is_parameters(&head))
    };
    if is_parameters(&folded) || is_part() {
        return vec![Field::RequestParameters];
    }
    if folded.len() < 8 || folded.len() > 32 {
        return Vec::new();
    }
    let fields = Field::ALL
        .iter()
        .filter(|(field, parent, ..)| *parent == ParentObject::Root && field.fact().is_some());
    let named = fields.map(|&(field, _, key, _)| (field, fold(key)));
    let named = named.chain([(Field::UserType, fold(USER_IDENTITY))]);
    named.filter(|(_, name)| is_nearly(&folded, name)).map(|(field, _)| field).collect()
}

/// True for the folded key under which other programs write the parameters of a request.
fn is_parameters(folded: &str) -> bool {
    const KEYS: [&str; 9] = [
        "parameters",
        "params",
        "parameter",
        "requestparams",
        "reqparams",
        "request",
        "requestbody",
        "requestdata",
        "arguments",
    ];
    KEYS.contains(&folded)
}

/// True where the path `key` ends in a member that only an identity has, or in the type of one with the JSON text `raw`.
pub(super) fn ends_in_identity(key: &str, raw: &str) -> bool {
    let folded = fold(key);
    folded.ends_with("principalid")
        || folded.ends_with("accesskeyid")
        || (folded.ends_with("type")
            && json::unquote(raw).is_some_and(|kind| is_documented_identity(&kind)))
}

/// True where one word becomes the other by at most two letters that are changed, added or left out.
fn is_nearly(one: &str, other: &str) -> bool {
    one.len().abs_diff(other.len()) <= 2
        && one.as_bytes()[0] == other.as_bytes()[0]
        && levenshtein(one, other) <= 2
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
            ("request_parameters_User_Name", MemberName::Part(0, "User.Name".to_owned())),
            ("requestParameters_x_oss_acl", MemberName::Part(0, "x_oss_acl".to_owned())),
            ("requestParameters__Tag__1__Key", MemberName::Part(0, "Tag.1.Key".to_owned())),
            ("requestParameters/Tag/1/Key", MemberName::Part(0, "Tag.1.Key".to_owned())),
            ("requestParameters[Tag][1][Key]", MemberName::Part(0, "Tag.1.Key".to_owned())),
            ("addionalEventData.mfaChecked", MemberName::Part(3, "mfaChecked".to_owned())),
            ("serviceName.value", MemberName::Inside(Field::ServiceName)),
            ("event.serviceName.value", MemberName::Inside(Field::ServiceName)),
            ("userIdentity.type.value", MemberName::Inside(Field::UserType)),
            ("userIdentity.arn", MemberName::OfIdentity("arn".to_owned())),
            ("accessKeyId", MemberName::Misplaced(Field::AccessKeyId)),
            ("requestParametersOfMine", MemberName::Other),
            ("__topic__", MemberName::Other),
            ("type", MemberName::Misplaced(Field::UserType)),
            ("event", MemberName::Other),
            ("pipeline.host", MemberName::Other),
        ] {
            assert_eq!(row_member_name(key, None).0, name, "{key}");
        }
        assert_eq!(member_name("Type", Structure::Identity), MemberName::Field(Field::UserType));
        assert_eq!(
            member_name("mfa_authenticated", Structure::Attributes),
            MemberName::Field(Field::MfaAuthenticated)
        );
    }

    #[test]
    fn any_prefix_before_several_members_is_that_of_the_row() {
        for prefix in ["event.", "trail_", "aliyun.actiontrail.", "_", "json/", "x.event_"] {
            let keys = ["eventName", "eventTime", "userIdentity.type", "acsRegion", "other"]
                .map(|key| format!("{prefix}{key}"));
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            assert_eq!(row_prefix(&keys), Some(prefix));
        }
        assert_eq!(row_prefix(&["eventName", "eventTime", "acsRegion", "eventType"]), None);
        let hostile = ["eventName", "eventId", "acsRegion", "eventType"]
            .map(|key| format!("x.requestParameters.{key}"));
        let own = ["eventName", "eventId", "acsRegion", "eventType"].map(|key| format!("x.{key}"));
        let keys: Vec<&str> = hostile.iter().chain(&own).map(String::as_str).collect();
        assert_eq!(row_prefix(&keys), Some("x."));
        assert_eq!(row_prefix(&["shop.eventName", "shop.price", "shop.id"]), None);
    }

    #[test]
    fn a_misspelt_key_means_the_member_that_it_nearly_names() {
        for (key, field) in [
            ("eventTpe", Some(Field::EventType)),
            ("requestParamters", Some(Field::RequestParameters)),
            ("request_parameter", Some(Field::RequestParameters)),
            ("additonalEventData", Some(Field::AdditionalEventData)),
            ("userIdentiy", Some(Field::UserType)),
            ("sourceIPAddres", Some(Field::SourceIpAddress)),
            ("sourcetype", None),
            ("pipeline", None),
            ("aliyunaccountid", None),
            ("@timestamp", None),
            ("sharedEventId", None),
        ] {
            assert_eq!(meant_fields(key).last().copied(), field, "{key}");
        }
    }
}
