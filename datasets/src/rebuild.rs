//! Rebuilds an event's JSON from its columns. A lake is lossless if the rebuilt event equals the received one; tests,
//! fuzzing and the samples check that.
//!
//! ```
//! use trailhound_datasets::event::Field;
//! use trailhound_datasets::rebuild::{StoredColumns, rebuild};
//!
//! let mut stored = StoredColumns::default();
//! stored.values[Field::EventName as usize] = Some("StopInstance");
//! stored.values[Field::UserName as usize] = Some("li.wei");
//! stored.extra = Some(r#"{"userIdentity":{"nickname":"Wei"}}"#);
//! let event = rebuild(&stored).expect("the columns hold valid JSON");
//! let expected = serde_json::json!({
//!     "eventName": "StopInstance",
//!     "userIdentity": { "userName": "li.wei", "nickname": "Wei" },
//! });
//! assert_eq!(event, expected);
//! ```

use crate::derive::boolean::parse_bool;
use crate::event::{
    ATTRIBUTES, Event, Field, FieldType, Flag, ParentObject, SESSION_CONTEXT, USER_IDENTITY,
};
use crate::json;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The column values of one event that are needed to rebuild it.
#[derive(Debug, Clone)]
pub struct StoredColumns<'a> {
    /// The column value of each [`Field`]; times and booleans in their JSON spelling.
    pub values: [Option<&'a str>; Field::COUNT],
    /// The column `extra`: members that no other column holds, as one JSON object.
    pub extra: Option<&'a str>,
    /// The column `raw`: the event as received, where the other columns cannot rebuild it.
    pub raw: Option<&'a str>,
    /// True if `flags` contains `request_parameter_json_repeats`: `requestParameterJson` has the
    /// text of `request_parameters` and is not stored again.
    pub parameters_repeat: bool,
}

impl Default for StoredColumns<'_> {
    fn default() -> Self {
        Self { values: [None; Field::COUNT], extra: None, raw: None, parameters_repeat: false }
    }
}

/// Rebuilds the event as a JSON value that equals the received one.
///
/// # Errors
/// As [`rebuild_text`].
pub fn rebuild(stored: &StoredColumns<'_>) -> Result<Value, String> {
    serde_json::from_str(&rebuild_text(stored)?).map_err(|e| e.to_string())
}

/// Rebuilds the event as JSON text. Objects and unknown members keep the spelling in which they are stored.
///
/// # Errors
/// A message that names the column whose text is not valid JSON. A lake that this program wrote holds no such text.
pub fn rebuild_text<'t>(stored: &StoredColumns<'t>) -> Result<Cow<'t, str>, String> {
    if let Some(raw) = stored.raw {
        return Ok(Cow::Borrowed(raw));
    }
    let mut event = Members::new();
    for (field, parent, key, field_type) in Field::ALL {
        let text = match stored.values[field as usize] {
            Some(text) => text,
            None if field == Field::RequestParameterJson && stored.parameters_repeat => {
                stored.values[Field::RequestParameters as usize].unwrap_or_default()
            }
            None => continue,
        };
        let value = match field_type {
            FieldType::Text | FieldType::Id => Cow::Owned(json::quote(text)),
            FieldType::Bool | FieldType::Object => Cow::Borrowed(valid(key, text)?),
        };
        let object = match parent {
            ParentObject::Root => &mut event,
            ParentObject::UserIdentity => member_object(&mut event, USER_IDENTITY)?,
            ParentObject::SessionAttributes => member_object(
                member_object(member_object(&mut event, USER_IDENTITY)?, SESSION_CONTEXT)?,
                ATTRIBUTES,
            )?,
        };
        object.push((Cow::Borrowed(key), Node::Text(value)));
    }
    if let Some(extra) = stored.extra {
        let extra = valid("extra", extra)?;
        if !extra.starts_with('{') {
            return Err("extra: it is no object".to_owned());
        }
        merge(&mut event, extra);
    }
    let mut text = String::new();
    write_object(&event, &mut text);
    Ok(Cow::Owned(text))
}

/// A member's value: JSON text, or an object under construction.
enum Node<'t> {
    Text(Cow<'t, str>),
    Object(Members<'t>),
}

type Members<'t> = Vec<(Cow<'t, str>, Node<'t>)>;

/// Checks that `text`, the content of the column `name`, is valid JSON, and returns it.
fn valid<'t>(name: &str, text: &'t str) -> Result<&'t str, String> {
    let value: &RawValue = serde_json::from_str(text).map_err(|e| format!("{name}: {e}"))?;
    Ok(value.get())
}

fn member_object<'m, 't>(
    object: &'m mut Members<'t>,
    key: &'static str,
) -> Result<&'m mut Members<'t>, String> {
    let at = object.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
        object.push((Cow::Borrowed(key), Node::Object(Members::new())));
        object.len() - 1
    });
    match &mut object[at].1 {
        Node::Object(members) => Ok(members),
        Node::Text(_) => Err(format!("{key} is no object")),
    }
}

/// Merges the object `extra` into the event. A member of `extra` replaces the member of the same name from the
/// columns. The identity object and the objects inside it are merged member by member.
fn merge<'t>(into: &mut Members<'t>, extra: &'t str) {
    for (key, value) in json::members(extra) {
        let structural = [USER_IDENTITY, SESSION_CONTEXT, ATTRIBUTES].contains(&key.as_ref());
        match into.iter_mut().find(|(name, _)| *name == key) {
            Some((_, Node::Object(have))) if structural && value.starts_with('{') => {
                merge(have, value);
            }
            Some((_, have)) => *have = Node::Text(Cow::Borrowed(value)),
            None => into.push((key, Node::Text(Cow::Borrowed(value)))),
        }
    }
}

fn write_object(members: &Members<'_>, text: &mut String) {
    text.push('{');
    for (number, (key, node)) in members.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&json::quote(key));
        text.push(':');
        match node {
            Node::Text(value) => text.push_str(value),
            Node::Object(members) => write_object(members, text),
        }
    }
    text.push('}');
}

/// Returns the column values that the ingest stores for `event`. If `needs_raw` is true, they
/// include the column `raw`.
#[must_use]
pub fn stored_columns<'a>(event: &'a Event<'_>, needs_raw: bool) -> StoredColumns<'a> {
    let mut stored = StoredColumns { extra: event.extra.as_deref(), ..StoredColumns::default() };
    for (field, ..) in Field::ALL {
        stored.values[field as usize] = event.get(field);
    }
    // The boolean column holds true and false alone; any other text that was sent is in `extra`.
    stored.values[Field::IsGlobal as usize] =
        event.get(Field::IsGlobal).and_then(parse_bool).map(|is| if is { "true" } else { "false" });
    stored.parameters_repeat = event.flags.contains(Flag::RequestParameterJsonRepeats);
    stored.raw = needs_raw.then_some(event.text);
    stored
}
