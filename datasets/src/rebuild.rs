//! The way back: an event's JSON from its columns. It is what makes "lossless" checkable.

use crate::derive::{time, truth};
use crate::event::{ATTRIBUTES, Event, Field, Flag, Keep, Place, SESSION_CONTEXT, USER_IDENTITY};
use serde_json::{Map, Value};

/// The stored parts of one event, as the columns hold them.
#[derive(Debug, Clone)]
pub struct Stored<'a> {
    /// The column of each [`Field`]; times and booleans in their JSON spelling.
    pub values: [Option<&'a str>; Field::COUNT],
    /// `extra`.
    pub extra: Option<&'a str>,
    /// `raw`.
    pub raw: Option<&'a str>,
    /// `flags` holds `request_parameter_json_repeats`.
    pub parameters_repeat: bool,
}

impl Default for Stored<'_> {
    fn default() -> Self {
        Self { values: [None; Field::COUNT], extra: None, raw: None, parameters_repeat: false }
    }
}

/// The event as an equal JSON value.
///
/// # Errors
/// A message naming the column whose text is no JSON; a lake this program wrote has none.
pub fn rebuild(stored: &Stored<'_>) -> Result<Value, String> {
    if let Some(raw) = stored.raw {
        return serde_json::from_str(raw).map_err(|e| format!("raw: {e}"));
    }
    let mut event = Map::new();
    for (field, place, key, keep) in Field::ALL {
        let text = match stored.values[field as usize] {
            Some(text) => text,
            None if field == Field::RequestParameterJson && stored.parameters_repeat => {
                stored.values[Field::RequestParameters as usize].unwrap_or_default()
            }
            None => continue,
        };
        let value = match keep {
            Keep::Text | Keep::Id => Value::from(text),
            Keep::Bool | Keep::Object => {
                serde_json::from_str(text).map_err(|e| format!("{key}: {e}"))?
            }
        };
        let object = match place {
            Place::Top => &mut event,
            Place::Identity => child(&mut event, USER_IDENTITY)?,
            Place::Session => {
                child(child(child(&mut event, USER_IDENTITY)?, SESSION_CONTEXT)?, ATTRIBUTES)?
            }
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

fn child<'m>(
    object: &'m mut Map<String, Value>,
    key: &str,
) -> Result<&'m mut Map<String, Value>, String> {
    object
        .entry(key)
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
        .ok_or_else(|| format!("{key} is no object"))
}

/// `extra` wins over columns; inside the structural objects member by member.
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

/// What the columns will hold of `event`: the same choices the batch makes.
#[must_use]
pub fn stored<'a>(event: &'a Event<'_>, needs_raw: bool) -> Stored<'a> {
    let mut stored = Stored { extra: event.extra.as_deref(), ..Stored::default() };
    for (field, ..) in Field::ALL {
        stored.values[field as usize] = event.get(field);
    }
    // A column of booleans holds no other word; `extra` has what was sent.
    stored.values[Field::IsGlobal as usize] =
        event.get(Field::IsGlobal).and_then(truth).map(|is| if is { "true" } else { "false" });
    stored.parameters_repeat = event.flags.contains(Flag::RequestParameterJsonRepeats);
    stored.raw = needs_raw.then_some(event.text);
    stored
}

/// True where a time column alone gives back the text that was sent.
#[must_use]
pub fn time_is_canonical(text: &str) -> bool {
    time::parse(text).and_then(time::canonical).is_some_and(|spelled| spelled == text)
}
