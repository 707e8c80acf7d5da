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
use serde_json::{Map, Value};

/// The column values of one event that are needed to rebuild it.
#[derive(Debug, Clone)]
pub struct StoredColumns<'a> {
    /// The column value of each [`Field`]; times and booleans in their JSON spelling.
    pub values: [Option<&'a str>; Field::COUNT],
    /// The column `extra`: members that no other column holds, as one JSON object.
    pub extra: Option<&'a str>,
    /// The column `raw`: the event as received, where the other columns cannot rebuild it.
    pub raw: Option<&'a str>,
    /// The column `flags` holds `request_parameter_json_repeats`.
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
/// A message that names the column whose text is not valid JSON. A lake that this program wrote holds no such text.
pub fn rebuild(stored: &StoredColumns<'_>) -> Result<Value, String> {
    if let Some(raw) = stored.raw {
        return serde_json::from_str(raw).map_err(|e| format!("raw: {e}"));
    }
    let mut event = Map::new();
    for (field, parent, key, field_type) in Field::ALL {
        let text = match stored.values[field as usize] {
            Some(text) => text,
            None if field == Field::RequestParameterJson && stored.parameters_repeat => {
                stored.values[Field::RequestParameters as usize].unwrap_or_default()
            }
            None => continue,
        };
        let value = match field_type {
            FieldType::Text | FieldType::Id => Value::from(text),
            FieldType::Bool | FieldType::Object => {
                serde_json::from_str(text).map_err(|e| format!("{key}: {e}"))?
            }
        };
        let object = match parent {
            ParentObject::Root => &mut event,
            ParentObject::UserIdentity => member_object(&mut event, USER_IDENTITY)?,
            ParentObject::SessionAttributes => member_object(
                member_object(member_object(&mut event, USER_IDENTITY)?, SESSION_CONTEXT)?,
                ATTRIBUTES,
            )?,
        };
        object.insert(key.to_owned(), value);
    }
    if let Some(extra) = stored.extra {
        let extra: Map<String, Value> =
            serde_json::from_str(extra).map_err(|e| format!("extra: {e}"))?;
        merge(&mut event, extra);
    }
    Ok(Value::Object(event))
}

fn member_object<'m>(
    object: &'m mut Map<String, Value>,
    key: &str,
) -> Result<&'m mut Map<String, Value>, String> {
    object
        .entry(key)
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
        .ok_or_else(|| format!("{key} is no object"))
}

/// Merges `extra` into the event. A member of `extra` replaces the member of the same name from the
/// columns. The identity object and the objects inside it are merged member by member.
fn merge(into: &mut Map<String, Value>, extra: Map<String, Value>) {
    for (key, value) in extra {
        let structural = [USER_IDENTITY, SESSION_CONTEXT, ATTRIBUTES].contains(&key.as_str());
        match (into.get_mut(&key), value) {
            (Some(Value::Object(have)), Value::Object(more)) if structural => merge(have, more),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
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
