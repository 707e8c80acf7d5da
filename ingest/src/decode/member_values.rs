//! Reads the value of an event's member in any of its encodings: plain, as JSON text, doubly encoded, in a list of one, as
//! pairs of key and value, as a number or boolean for text. What cannot be read is said to be so.

use super::vendor_names;
use chrono::{DateTime, SecondsFormat};
use trailhound_datasets::derive::boolean::parse_bool;
use trailhound_datasets::derive::time;
use trailhound_datasets::event::{Field, FieldType, is_placeholder};
use trailhound_datasets::fact::Fact;
use trailhound_datasets::json::{self, Walker};

/// Layers of JSON text inside JSON text that are read.
const TEXT_LAYERS_MAX: usize = 3;

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// Null, empty, or a sign for "nothing" such as `-`.
    Absent,
    /// The value as JSON, as the vendor encodes it.
    Read(String),
    /// A form that is not understood.
    NotUnderstood,
}

/// The value of `field` from its JSON text `raw`.
pub(super) fn field(field: Field, raw: &str) -> Reading {
    match Field::ALL[field as usize].3 {
        FieldType::Object => object(raw, field == Field::ReferencedResources),
        FieldType::Bool => match flag(raw) {
            Some(is) => Reading::Read(is.to_string()),
            None => text(field, raw, 0),
        },
        FieldType::Text if field == Field::RequestParameterJson => parameter_json(raw),
        FieldType::Text | FieldType::Id => text(field, raw, 0),
    }
}

/// A boolean: the word as JSON boolean or text, or 1 and 0.
fn flag(raw: &str) -> Option<bool> {
    parse_bool(raw).or_else(|| match raw.trim().trim_matches('"').trim() {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    })
}

fn text(field: Field, raw: &str, layers: usize) -> Reading {
    match raw.as_bytes().first() {
        Some(b'"') => match json::unquote(raw) {
            Some(inner) => plain_text(field, &inner, layers),
            None => Reading::NotUnderstood,
        },
        Some(b'n') | None => Reading::Absent,
        Some(b't' | b'f') => match field {
            Field::MfaAuthenticated => Reading::Read(json::quote(raw)),
            _ => Reading::NotUnderstood,
        },
        Some(b'[') => list(field, raw, layers),
        Some(b'{') if json::members(raw).next().is_none() => Reading::Absent,
        Some(b'{') => Reading::NotUnderstood,
        Some(_) => number(field, raw),
    }
}

fn plain_text(field: Field, sent: &str, layers: usize) -> Reading {
    // The caller chooses the client program's name, which is kept byte for byte.
    if field == Field::UserAgent {
        return Reading::Read(json::quote(sent));
    }
    let trimmed = sent.trim();
    if is_placeholder(trimmed) || matches!(trimmed, "[]" | "{}") || says_nothing(field, trimmed) {
        return Reading::Absent;
    }
    if field == Field::ErrorCode && says_success(trimmed) {
        return Reading::NotUnderstood;
    }
    // A boolean that was made text says as little as a boolean.
    if matches!(trimmed, "true" | "false")
        && (matches!(field.fact(), Some(Fact::Action | Fact::Service | Fact::SourceAddress))
            || field == Field::ErrorCode)
    {
        return Reading::NotUnderstood;
    }
    // Text that was encoded twice, or a list or an object that a format of text alone could not hold.
    if trimmed.starts_with(['"', '[', '{']) && layers < TEXT_LAYERS_MAX && is_json(trimmed) {
        let inner = text(field, trimmed, layers + 1);
        // A message and an id may be JSON.
        let may_be_json = field == Field::ErrorMessage || field.fact().is_none();
        if !may_be_json || inner != Reading::NotUnderstood {
            return inner;
        }
    }
    match field {
        Field::EventTime | Field::CreationDate => Reading::Read(json::quote(&instant(sent))),
        Field::MfaAuthenticated => match flag(sent) {
            Some(is) if parse_bool(sent).is_none() => Reading::Read(json::quote(&is.to_string())),
            _ => Reading::Read(json::quote(sent)),
        },
        Field::ErrorMessage => Reading::Read(json::quote(sent)),
        Field::EventName | Field::ServiceName | Field::UserType => name(field, trimmed),
        _ if field.fact().is_none() => Reading::Read(json::quote(sent)),
        // Rules compare names and ids as a whole.
        _ => Reading::Read(json::quote(trimmed)),
    }
}

/// True for what other languages write for no value. A name that somebody chooses may read so; `N/A` is no such name.
pub(super) fn says_nothing(field: Field, text: &str) -> bool {
    const WORDS: [&str; 10] =
        ["none", "nil", "n/a", "na", "nan", "undefined", "<null>", "<nil>", "<na>", "--"];
    if text.len() > 9 || !text.starts_with(['n', 'N', 'u', 'U', '<', '-']) {
        return false;
    }
    match field {
        // Ids of events are opaque.
        Field::EventId | Field::UserAgent | Field::RequestParameterJson => false,
        Field::UserName if text.bytes().all(|b| b.is_ascii_alphabetic()) => false,
        _ => WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)),
    }
}

/// The name of an action, a service or a kind of identity.
fn name(field: Field, trimmed: &str) -> Reading {
    let visible = vendor_names::visible(trimmed);
    // The vendor's names have no letters beyond ASCII, and are no JSON, whole or cut.
    if !visible.is_ascii() || visible.contains(['{', '}', '[', ']', '"']) {
        return Reading::NotUnderstood;
    }
    let name = match field {
        Field::EventName => vendor_names::action(&visible),
        Field::ServiceName => vendor_names::service(&visible),
        _ => vendor_names::documented_identity(&visible).unwrap_or(&visible),
    };
    if name.is_empty() { Reading::NotUnderstood } else { Reading::Read(json::quote(name)) }
}

/// True for an error code that says that there was no error. The vendor leaves it out then.
pub(super) fn says_success(text: &str) -> bool {
    const WORDS: [&str; 4] = ["0", "200", "ok", "success"];
    text.len() <= 7 && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn number(field: Field, raw: &str) -> Reading {
    match field {
        // A number names no event and no action. The number 0 as error code may mean "no error" or an error of that number.
        Field::EventId | Field::EventName => Reading::NotUnderstood,
        Field::ErrorCode if raw.trim_matches(['-', '0', '.']).is_empty() => Reading::NotUnderstood,
        _ => plain_text(field, raw, TEXT_LAYERS_MAX),
    }
}

/// `sent` in RFC 3339 where it is a number of seconds, milliseconds or microseconds; else as it is.
fn instant(sent: &str) -> String {
    let is_number = sent.trim().bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match time::parse(sent).filter(|_| is_number) {
        Some(micros) => time::canonical(micros)
            .or_else(|| {
                let at = DateTime::from_timestamp_micros(micros)?;
                Some(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
            })
            .unwrap_or_else(|| sent.to_owned()),
        None => sent.to_owned(),
    }
}

/// A list for text: of one element that element, of several where the field holds several.
fn list(field: Field, raw: &str, layers: usize) -> Reading {
    let elements: Vec<&str> = json::elements(raw).collect();
    let separator = match field {
        Field::SourceIpAddress => ", ",
        Field::ResourceName => ",",
        Field::ResourceType => ";",
        _ if elements.len() <= 1 => "",
        _ => return Reading::NotUnderstood,
    };
    if layers >= TEXT_LAYERS_MAX {
        return Reading::NotUnderstood;
    }
    let mut parts = Vec::new();
    for element in elements {
        match text(field, element, layers + 1) {
            Reading::Absent => {}
            Reading::Read(part) => match json::unquote(&part) {
                Some(part) => parts.push(part.into_owned()),
                None => return Reading::NotUnderstood,
            },
            Reading::NotUnderstood => return Reading::NotUnderstood,
        }
    }
    if parts.is_empty() {
        return Reading::Absent;
    }
    Reading::Read(json::quote(&parts.join(separator)))
}

/// `requestParameterJson`: text with an object's JSON.
fn parameter_json(raw: &str) -> Reading {
    if raw.starts_with('"')
        && let Some(sent) = json::unquote(raw)
        && sent.trim_start().starts_with('{')
        && is_json(sent.trim())
    {
        return Reading::Read(raw.to_owned());
    }
    match object(raw, false) {
        Reading::Read(object) => Reading::Read(json::quote(&object)),
        other => other,
    }
}

/// An object, from any encoding of one. With `takes_lists` a list of objects is a value of its own.
pub(super) fn object(raw: &str, takes_lists: bool) -> Reading {
    object_at(raw, takes_lists, 0)
}

fn object_at(raw: &str, takes_lists: bool, layers: usize) -> Reading {
    if layers > TEXT_LAYERS_MAX {
        return Reading::NotUnderstood;
    }
    let raw = raw.trim();
    match raw.as_bytes().first() {
        Some(b'{') => Reading::Read(raw.to_owned()),
        Some(b'"') => {
            let Some(sent) = json::unquote(raw) else { return Reading::NotUnderstood };
            let sent = sent.trim();
            if is_placeholder(sent) || says_nothing(Field::RequestParameters, sent) {
                Reading::Absent
            } else if matches!(sent.as_bytes().first(), Some(b'{' | b'[' | b'"')) && is_json(sent) {
                object_at(sent, takes_lists, layers + 1)
            } else {
                Reading::NotUnderstood
            }
        }
        Some(b'[') => object_of_list(raw, takes_lists, layers),
        Some(b'n') | None => Reading::Absent,
        Some(_) => Reading::NotUnderstood,
    }
}

fn object_of_list(raw: &str, takes_lists: bool, layers: usize) -> Reading {
    let elements: Vec<&str> = json::elements(raw).collect();
    if elements.is_empty() {
        return Reading::Absent;
    }
    if let Some(object) = pairs(&elements) {
        return Reading::Read(object);
    }
    if takes_lists && elements.iter().all(|element| is_resource(element)) {
        return Reading::Read(raw.to_owned());
    }
    match elements[..] {
        [only] => object_at(only, takes_lists, layers + 1),
        _ => Reading::NotUnderstood,
    }
}

/// True for an element of the list form of `referencedResources`.
fn is_resource(element: &str) -> bool {
    json::members(element).any(|(key, _)| {
        ["resourceType", "resourceName", "resourceId"]
            .iter()
            .any(|name| key.eq_ignore_ascii_case(name))
    })
}

/// Keys under which serializers and clients put the members of an object.
const BOXES: [&str; 16] = [
    "value",
    "map",
    "string",
    "json",
    "M",
    "entry",
    "entries",
    "item",
    "items",
    "data",
    "params",
    "parameters",
    "requestParameters",
    "request_parameters",
    "query",
    "body",
];

/// Keys under which serializers put one value by its type.
const TYPE_BOXES: [&str; 16] = [
    "S",
    "N",
    "BOOL",
    "SS",
    "L",
    "value",
    "Value",
    "string",
    "int",
    "long",
    "boolean",
    "stringValue",
    "string_value",
    "intValue",
    "boolValue",
    "#text",
];

/// True for the object `raw` of `field` that some program has put its members into in a way of its own: under one key more, as
/// a list of keys and one of values, each value by its type, or each in a list. What it stands for is not known, because a
/// parameter may have such a name.
pub(super) fn is_boxed(field: Field, raw: &str) -> bool {
    if !may_be_boxed(raw) {
        return false;
    }
    let mut members = json::members(raw);
    let Some((key, first)) = members.next() else { return false };
    let second = members.next();
    let holds_object =
        || !matches!(object_at(first, false, 0), Reading::NotUnderstood | Reading::Absent);
    match (&second, field) {
        (_, Field::ReferencedResources) => false,
        // Many operations have a parameter `body`. Those of its members are mostly in camel case.
        (None, _) if key == "body" => match object_at(first, false, 0) {
            Reading::Read(inner) => json::members(&inner)
                .all(|(key, _)| key.starts_with(|c: char| c.is_ascii_uppercase())),
            _ => false,
        },
        (None, _) if BOXES.contains(&key.as_ref()) => first.starts_with('[') || holds_object(),
        (Some((values, other)), _)
            if key.starts_with("key")
                && values.starts_with("value")
                && first.starts_with('[')
                && other.starts_with('[') =>
        {
            members.next().is_none()
        }
        (_, Field::RequestParameters | Field::AdditionalEventData) => {
            let is_flat = |key: &str| {
                key.rsplit_once(['.', '_', '/', ':'])
                    .is_some_and(|(_, end)| end != "Value" && TYPE_BOXES.contains(&end))
            };
            let box_of = |key: &str| {
                key.split_once('.')
                    .and_then(|(head, _)| BOXES.iter().position(|known| *known == head))
            };
            let flat_box = box_of(&key);
            let are_flat = json::members(raw).all(|(key, _)| is_flat(&key))
                || (flat_box.is_some()
                    && json::members(raw).all(|(key, _)| box_of(&key) == flat_box));
            let is_listed = |raw: &str| raw.starts_with('[') && json::elements(raw).count() == 1;
            let all = |is: &dyn Fn(&str) -> bool| json::members(raw).all(|(_, value)| is(value));
            are_flat || all(&is_typed) || (second.is_some() && all(&is_listed))
        }
        _ => false,
    }
}

/// True for an object, or the JSON text of one, that holds one value under the name of its type.
fn is_typed(raw: &str) -> bool {
    let text = if raw.starts_with("\"{") { json::unquote(raw) } else { None };
    let raw = text.as_deref().unwrap_or(raw);
    let mut inner = json::members(raw);
    raw.starts_with('{')
        && inner.next().is_some_and(|(key, _)| TYPE_BOXES.contains(&key.as_ref()))
        && inner.next().is_none()
}

/// The object with its keys in camel case; `None` where no key is in snake case.
pub(super) fn in_camel_case(object: &str) -> Option<String> {
    if memchr::memchr(b'_', object.as_bytes()).is_none()
        || !json::members(object).any(|(key, _)| is_snake_case(&key))
    {
        return None;
    }
    let mut renamed = String::from("{");
    for (key, value) in json::members(object) {
        let key = if is_snake_case(&key) { camel_case(&key) } else { key.into_owned() };
        push_member(&mut renamed, &json::quote(&key), value);
    }
    renamed.push('}');
    Some(renamed)
}

fn is_snake_case(key: &str) -> bool {
    key.contains('_')
        && key.bytes().all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn camel_case(key: &str) -> String {
    let mut camel = String::new();
    for part in key.split('_') {
        match part.chars().next() {
            Some(first) if !camel.is_empty() => {
                camel.push(first.to_ascii_uppercase());
                camel.push_str(&part[first.len_utf8()..]);
            }
            _ => camel.push_str(part),
        }
    }
    camel
}

/// A quick look at the first member of the object `raw`: whether it has the key of a box, or holds an object or a list.
fn may_be_boxed(raw: &str) -> bool {
    let Some((key, rest)) = raw
        .strip_prefix('{')
        .and_then(|inside| inside.trim_start().strip_prefix('"'))
        .and_then(|inside| inside.split_once('"'))
    else {
        return false;
    };
    let value = rest.trim_start_matches([':', ' ', '\n', '\r', '\t']);
    value.starts_with(['{', '['])
        || value.starts_with("\"{")
        || BOXES.contains(&key.split('.').next().unwrap_or(key))
        || TYPE_BOXES.iter().any(|end| key.ends_with(end))
}

/// The object that a list of pairs stands for: `[{"key":"a","value":1}]` is `{"a":1}`. `None` where an element is no pair.
pub(super) fn pairs(elements: &[&str]) -> Option<String> {
    let mut object = String::from("{");
    for element in elements {
        let (mut key, mut value) = (None, None);
        for (name, raw) in json::members(element) {
            match name.to_ascii_lowercase().as_str() {
                "key" | "name" | "k" => key = json::unquote(raw),
                "value" | "v" => value = Some(raw),
                _ => return None,
            }
        }
        push_member(&mut object, &json::quote(&key?), value?);
    }
    object.push('}');
    (object.len() > 2).then_some(object)
}

/// Appends a member to the object under construction `object`, which starts with its bracket.
pub(super) fn push_member(object: &mut String, quoted_key: &str, value: &str) {
    if object.len() > 1 {
        object.push(',');
    }
    object.push_str(quoted_key);
    object.push(':');
    object.push_str(value);
}

/// True where `text` is one JSON value and nothing else.
pub(super) fn is_json(text: &str) -> bool {
    Walker::default().value(text.as_bytes(), 0).is_ok_and(|value| value.end == text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(reading: Reading) -> String {
        match reading {
            Reading::Absent => "absent".to_owned(),
            Reading::Read(text) => text,
            Reading::NotUnderstood => "not understood".to_owned(),
        }
    }

    #[test]
    fn an_object_is_read_from_each_of_its_encodings() {
        let doubled = r#""\"{\\\"a\\\":1}\"""#;
        for (raw, object_is) in [
            (r#"{"a":1}"#, r#"{"a":1}"#),
            (r#""{\"a\":1}""#, r#"{"a":1}"#),
            (doubled, r#"{"a":1}"#),
            (r#"[{"a":1}]"#, r#"{"a":1}"#),
            (r#"[{"key":"a","value":1}]"#, r#"{"a":1}"#),
            (r#"[{"Key":"a","Value":1},{"Key":"b","Value":"x"}]"#, r#"{"a":1,"b":"x"}"#),
            (r#""""#, "absent"),
            (r#""-""#, "absent"),
            (r#""null""#, "absent"),
            ("null", "absent"),
            ("[]", "absent"),
            (r#""[]""#, "absent"),
            (r#""text""#, "not understood"),
            (r#""{\"a\":""#, "not understood"),
            ("7", "not understood"),
            (r#"[{"a":1},{"b":2}]"#, "not understood"),
            ("[1]", "not understood"),
        ] {
            assert_eq!(shown(object(raw, false)), object_is, "{raw}");
        }
    }

    #[test]
    fn text_is_read_from_each_of_its_encodings() {
        for (name, raw, text_is) in [
            (Field::UserName, r#""li""#, r#""li""#),
            (Field::UserName, r#""\"li\"""#, r#""li""#),
            (Field::UserName, r#"["li"]"#, r#""li""#),
            (Field::UserName, "12", r#""12""#),
            (Field::UserName, r#""-""#, "absent"),
            (Field::UserName, "[]", "absent"),
            (Field::UserName, "{}", "absent"),
            (Field::UserName, "true", "not understood"),
            (Field::EventName, r#""{\"name\":\"x\"}""#, "not understood"),
            (Field::ServiceName, r#"" Ecs\n""#, r#""Ecs""#),
            (Field::ErrorMessage, r#""\"{}\"""#, "absent"),
            (Field::ErrorMessage, r#""{\"a\":1} ""#, r#""{\"a\":1} ""#),
            (Field::UserName, r#"{"a":1}"#, "not understood"),
            (Field::UserName, r#"["a","b"]"#, "not understood"),
            (Field::EventName, "7", "not understood"),
            (Field::ErrorCode, "0", "not understood"),
            (Field::ErrorCode, "404", r#""404""#),
            (Field::SourceIpAddress, r#"["192.0.2.1","192.0.2.2"]"#, r#""192.0.2.1, 192.0.2.2""#),
            (Field::EventTime, "1763776800", r#""2025-11-22T02:00:00Z""#),
            (Field::EventTime, r#""1763776800000""#, r#""2025-11-22T02:00:00Z""#),
            (Field::EventTime, "1763776800123456", r#""2025-11-22T02:00:00.123456Z""#),
            (Field::EventTime, r#""soon""#, r#""soon""#),
            (Field::MfaAuthenticated, "true", r#""true""#),
            (Field::MfaAuthenticated, "0", r#""false""#),
            (Field::IsGlobal, r#""1""#, "true"),
            (Field::RequestParameterJson, r#"{"a":1}"#, r#""{\"a\":1}""#),
            (Field::RequestParameterJson, r#""{\"a\":1}""#, r#""{\"a\":1}""#),
            (Field::RequestParameterJson, r#""not json""#, "not understood"),
        ] {
            assert_eq!(shown(field(name, raw)), text_is, "{name:?} {raw}");
        }
    }
}
