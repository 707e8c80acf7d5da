//! The function `entries`: the elements of a list in a JSON object, each as one JSON text. Calls with several entries, such as
//! the permissions of a security group, are judged entry by entry: a harmless entry cannot hide a harmful one.

use super::arguments::FunctionArguments;
use super::event_values::is_json;
use crate::parameters::Parameters;
use datafusion::arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use datafusion::common::Result;
use std::collections::BTreeMap;
use std::sync::Arc;
use trailhound_datasets::columns::text_item;
use trailhound_datasets::json;

/// `entries(json, ..., 'Name')`: see [`add_entries`].
pub(super) fn entries(args: &FunctionArguments<'_>, _: &Parameters) -> Result<ArrayRef> {
    let (objects, names) = args.objects_and_name()?;
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(text_item());
    for row in 0..args.rows {
        let mut found = Vec::new();
        if let Some(name) = names.get(row) {
            for text in objects.iter().filter_map(|object| object.get(row)) {
                add_entries(text, name, &mut found);
            }
        }
        found.iter().for_each(|entry| builder.values().append_value(entry));
        builder.append(!found.is_empty());
    }
    Ok(Arc::new(builder.finish()))
}

/// Adds the elements of the list `name` of the JSON object `text`, in any case of the name: the elements of a JSON list or of a
/// list in JSON text, a single object, and the entries of a flattened list in the order of their numbers. `Name.1.A` and
/// `Name.1.B` make the object `{"A":...,"B":...}`; deeper names stay as they are: `Name.1.A.2` makes the member `A.2`.
fn add_entries(text: &str, name: &str, found: &mut Vec<String>) {
    let mut flattened: BTreeMap<u32, Flattened> = BTreeMap::new();
    for (key, value) in json::members(text) {
        let key = key.trim();
        if key.eq_ignore_ascii_case(name) {
            add_elements(value, found);
            continue;
        }
        let Some((number, member)) = numbered(key, name) else { continue };
        let entry = flattened.entry(number).or_default();
        match member {
            Some(member) => entry.members.push(format!("{}:{value}", json::quote(member))),
            None => entry.values.push(value.to_owned()),
        }
    }
    for entry in flattened.into_values() {
        entry.values.iter().for_each(|value| add_elements(value, found));
        if !entry.members.is_empty() {
            found.push(format!("{{{}}}", entry.members.join(",")));
        }
    }
}

/// What a flattened list has at one number: values of its own, and members.
#[derive(Default)]
struct Flattened {
    values: Vec<String>,
    members: Vec<String>,
}

/// The number and the member that `key` names in the flattened list `name`: `Name.2.Policy` is 2 and `Policy`.
fn numbered<'k>(key: &'k str, name: &str) -> Option<(u32, Option<&'k str>)> {
    let head = key.get(..name.len()).filter(|head| head.eq_ignore_ascii_case(name))?;
    let rest = key[head.len()..].strip_prefix('.')?;
    match rest.split_once('.') {
        Some((number, member)) => Some((number.parse().ok()?, Some(member))),
        None => Some((rest.parse().ok()?, None)),
    }
}

/// Adds the elements of a JSON list, of a list or an object in JSON text, or the value itself. A text is added without its
/// quotation marks; a null is left out.
fn add_elements(value: &str, found: &mut Vec<String>) {
    match value.as_bytes().first() {
        Some(b'[') => json::elements(value).for_each(|element| add_scalar(element, found)),
        _ => add_scalar(value, found),
    }
}

fn add_scalar(value: &str, found: &mut Vec<String>) {
    match json::unquote(value) {
        Some(text) if is_json(&text, b"[") => {
            json::elements(&text).for_each(|element| match json::unquote(element) {
                Some(inner) => found.push(inner.into_owned()),
                None => found.push(element.to_owned()),
            });
        }
        Some(text) => found.push(text.into_owned()),
        None if value == "null" => {}
        None => found.push(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_a_list_gives_its_entries() {
        let one = r#"{"Policy":"accept","PortRange":"22/22"}"#;
        for (text, expected) in [
            (
                r#"{"Permissions":[{"Policy":"accept","PortRange":"22/22"},{"Policy":"drop"}]}"#,
                &[one, r#"{"Policy":"drop"}"#][..],
            ),
            (r#"{"permissions":{"Policy":"accept","PortRange":"22/22"}}"#, &[one]),
            (r#"{"Permissions":"[{\"Policy\":\"drop\"}]"}"#, &[r#"{"Policy":"drop"}"#]),
            (r#"{"Permissions":"{\"Policy\":\"drop\"}"}"#, &[r#"{"Policy":"drop"}"#]),
            (
                r#"{"Permissions.2.Policy":"drop","Permissions.1.Policy":"accept","X":1,"Permissions.1.PortRange":"22/22"}"#,
                &[one, r#"{"Policy":"drop"}"#],
            ),
            (r#"{"Permissions.1":"a","Permissions.2":"b"}"#, &["a", "b"]),
            (r#"{"Permissions":["a",null,"b"]}"#, &["a", "b"]),
            (r#"{"Permissions.1.Tag.2":"b"}"#, &[r#"{"Tag.2":"b"}"#]),
            (r#"{"PermissionsOther":[1]}"#, &[]),
            ("[ERROR", &[]),
        ] {
            let mut found = Vec::new();
            add_entries(text, "Permissions", &mut found);
            assert_eq!(found, expected, "{text}");
        }
    }
}
