//! Rebuilds an event from dotted columns such as `event.userIdentity.type`.

use serde_json::{Map, Value};
use trailhound_datasets::event::{
    ATTRIBUTES, Event, Field, FieldType, SESSION_CONTEXT, USER_IDENTITY,
};

const PREFIXES: [&str; 3] = ["contents.event.", "contents_event_s.", "event."];

/// The event that the dotted members of the row `text` form, as JSON text; `None` where `text` is no JSON object. An object
/// field is either JSON text in one column, or one column per member. The name behind the object is then one key, because
/// keys such as `Tag.1.Key` contain dots.
pub(super) fn event_text(text: &str) -> Option<String> {
    let row: Map<String, Value> = serde_json::from_str(text).ok()?;
    let mut event = Map::new();
    for (column, value) in row {
        let Some(path) = PREFIXES.iter().find_map(|prefix| column.strip_prefix(prefix)) else {
            continue;
        };
        set_member(&mut event, path, value);
    }
    Some(Value::Object(event).to_string())
}

/// Sets the member at the dotted `path` of the event.
fn set_member(event: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((head, rest)) = path.split_once('.') else {
        let value = typed(path, value);
        if !value.is_null() {
            event.insert(path.to_owned(), value);
        }
        return;
    };
    if value.is_null() {
        return;
    }
    if head == USER_IDENTITY {
        let identity = member_object(event, USER_IDENTITY);
        match rest.strip_prefix(SESSION_CONTEXT).and_then(|rest| rest.strip_prefix('.')) {
            Some(rest) => {
                let session = member_object(identity, SESSION_CONTEXT);
                match rest.strip_prefix(ATTRIBUTES).and_then(|rest| rest.strip_prefix('.')) {
                    Some(key) => member_object(session, ATTRIBUTES).insert(key.to_owned(), value),
                    None => session.insert(rest.to_owned(), typed(rest, value)),
                };
            }
            None => {
                identity.insert(rest.to_owned(), typed(rest, value));
            }
        }
    } else if is_object(head) {
        member_object(event, head).insert(rest.to_owned(), value);
    } else {
        event.insert(path.to_owned(), value);
    }
}

/// The object at `key`, created where there is none.
fn member_object<'m>(object: &'m mut Map<String, Value>, key: &str) -> &'m mut Map<String, Value> {
    let slot = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut().expect("made an object just now")
}

fn is_object(key: &str) -> bool {
    key == USER_IDENTITY
        || key == SESSION_CONTEXT
        || key == ATTRIBUTES
        || Event::OBJECTS.iter().any(|&field| Field::ALL[field as usize].2 == key)
}

/// The value of a column, converted to the JSON type that the event has for `key`.
fn typed(key: &str, value: Value) -> Value {
    let Value::String(text) = &value else { return value };
    let is_bool = Field::ALL
        .iter()
        .any(|&(_, _, name, field_type)| name == key && field_type == FieldType::Bool);
    if is_bool {
        return trailhound_datasets::derive::boolean::parse_bool(text).map_or(value, Value::Bool);
    }
    if is_object(key) {
        return match serde_json::from_str(text) {
            Ok(parsed @ (Value::Object(_) | Value::Array(_))) => parsed,
            _ if text.is_empty() => Value::Null,
            _ => value,
        };
    }
    value
}
