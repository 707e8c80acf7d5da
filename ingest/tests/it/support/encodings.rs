//! Events in other encodings than the vendor's: one record in, one record out.

use serde_json::{Map, Value, json};

/// An encoding: its name, and the record that it makes of an event.
pub(crate) type Encoding = (String, Box<dyn Fn(&Value) -> Value>);

/// Objects whose members are free.
const FREE: [&str; 4] =
    ["requestParameters", "responseElements", "referencedResources", "additionalEventData"];

/// Every encoding of an event's members.
pub(crate) fn encodings() -> Vec<Encoding> {
    let mut all: Vec<Encoding> = vec![
        named("objects as text", |event| map_objects(event, &|object| text_of(object))),
        named("objects as text in text", |event| {
            map_objects(event, &|object| text_of(&text_of(object)))
        }),
        named("every layer of the identity as text", identity_in_layers),
        named("objects in lists of one", |event| map_objects(event, &|object| json!([object]))),
        named("objects as lists of one as text", |event| {
            map_objects(event, &|object| text_of(&json!([object])))
        }),
        named("objects as key and value", |event| map_objects(event, &pairs)),
        named("objects as key and value, as text", |event| {
            map_objects(event, &|object| text_of(&pairs(object)))
        }),
        // The client program's name is kept byte for byte, also where CSV makes text of the list around it.
        named("texts in lists of one", |event| {
            let agent = event["userAgent"].clone();
            let mut event = map_members(event, &|value| {
                if value.is_string() { json!([value]) } else { value.clone() }
            });
            event["userAgent"] = agent;
            event
        }),
        named("numbers for text", |event| {
            let mut event = event.clone();
            for path in ["/userIdentity/accountId", "/userIdentity/principalId", "/eventVersion"] {
                let number = event.pointer(path).and_then(|id| id.as_str()?.parse::<u64>().ok());
                if let (Some(slot), Some(number)) = (event.pointer_mut(path), number) {
                    *slot = json!(number);
                }
            }
            event
        }),
        named("keys in reverse order", |event| {
            let members = event.as_object().expect("an event").iter().rev();
            members.map(|(key, value)| (key.clone(), value.clone())).collect()
        }),
    ];
    for (name, absent) in [
        ("empty text", json!("")),
        ("a dash", json!("-")),
        ("the word null", json!("null")),
        ("null", Value::Null),
        ("an empty list", json!([])),
    ] {
        all.push(named(&format!("absent members as {name}"), move |event| {
            absent_as(event, &absent)
        }));
    }
    for (name, scale) in [("seconds", 1), ("milliseconds", 1_000), ("microseconds", 1_000_000)] {
        all.push(named(&format!("time in {name}"), move |event| epoch(event, scale, false)));
        all.push(named(&format!("time in {name} as text"), move |event| epoch(event, scale, true)));
    }
    for (name, spell) in spellings() {
        all.push(named(&format!("keys in {name}"), move |event| respell(event, spell)));
        all.push(named(&format!("keys in {name}, objects as text"), move |event| {
            respell(&map_objects(event, &|object| text_of(object)), spell)
        }));
    }
    all.extend(flattened());
    all
}

/// Events of one member per leaf.
fn flattened() -> Vec<Encoding> {
    let mut all = Vec::new();
    for prefix in ["", "event.", "event_", "contents.event."] {
        for separator in [".", "_"] {
            for deep in [false, true] {
                let objects = if deep { "by member" } else { "as text" };
                let name =
                    format!("flattened by `{separator}`, prefix `{prefix}`, objects {objects}");
                all.push(named(&name, move |event| flatten(event, prefix, separator, deep)));
            }
        }
    }
    all
}

fn named(name: &str, encode: impl Fn(&Value) -> Value + 'static) -> Encoding {
    (name.to_owned(), Box::new(encode))
}

type Spelling = fn(&str) -> String;

fn spellings() -> [(&'static str, Spelling); 5] {
    [
        ("lower case", |key| key.to_lowercase()),
        ("capitals", |key| key.to_uppercase()),
        ("snake case", snake),
        ("capitals with underscores", |key| snake(key).to_uppercase()),
        ("Pascal case", |key| format!("{}{}", key[..1].to_uppercase(), &key[1..])),
    ]
}

fn snake(key: &str) -> String {
    let mut out = String::new();
    let mut after_lower = false;
    for c in key.chars() {
        if c.is_ascii_uppercase() && after_lower {
            out.push('_');
        }
        after_lower = !c.is_ascii_uppercase();
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// `value` as a string with its JSON text.
pub(crate) fn text_of(value: &Value) -> Value {
    Value::from(value.to_string())
}

fn map_members(event: &Value, change: &dyn Fn(&Value) -> Value) -> Value {
    let members = event.as_object().expect("an event").iter();
    members.map(|(key, value)| (key.clone(), change(value))).collect()
}

fn map_objects(event: &Value, change: &dyn Fn(&Value) -> Value) -> Value {
    map_members(event, &|value| if value.is_object() { change(value) } else { value.clone() })
}

fn identity_in_layers(event: &Value) -> Value {
    let mut event = event.clone();
    for path in
        ["/userIdentity/sessionContext/attributes", "/userIdentity/sessionContext", "/userIdentity"]
    {
        if let Some(slot) = event.pointer_mut(path) {
            *slot = text_of(slot);
        }
    }
    event
}

fn pairs(object: &Value) -> Value {
    let members = object.as_object().expect("an object").iter();
    let pairs: Vec<Value> =
        members.map(|(key, value)| json!({ "key": key, "value": value })).collect();
    if pairs.is_empty() { object.clone() } else { Value::from(pairs) }
}

/// Adds every member of an event that is absent, with the value `absent`.
fn absent_as(event: &Value, absent: &Value) -> Value {
    let mut event = event.clone();
    let members = event.as_object_mut().expect("an event");
    for key in
        FREE.iter().chain(&["errorCode", "errorMessage", "vpcId", "resourceName", "apiVersion"])
    {
        members.entry(*key).or_insert_with(|| absent.clone());
    }
    if let Some(identity) = event.pointer_mut("/userIdentity").and_then(Value::as_object_mut) {
        for key in ["userName", "accessKeyId", "sessionContext"] {
            identity.entry(key).or_insert_with(|| absent.clone());
        }
    }
    event
}

fn epoch(event: &Value, scale: i64, as_text: bool) -> Value {
    let mut event = event.clone();
    let text = event["eventTime"].as_str().expect("a time");
    let seconds = trailhound_datasets::derive::time::parse(text).expect("a time") / 1_000_000;
    let number = seconds * scale;
    event["eventTime"] = if as_text { json!(number.to_string()) } else { json!(number) };
    event
}

/// Spells the keys of the event and of its identity otherwise.
fn respell(event: &Value, spell: Spelling) -> Value {
    let members = event.as_object().expect("an event").iter();
    members
        .map(|(key, value)| {
            let value = match (key.as_str(), value) {
                ("userIdentity" | "sessionContext" | "attributes", Value::Object(_)) => {
                    respell(value, spell)
                }
                _ => value.clone(),
            };
            (spell(key), value)
        })
        .collect()
}

/// One member per leaf. Objects whose members are free are one member of text each or, with `deep`, one per member.
pub(crate) fn flatten(event: &Value, prefix: &str, separator: &str, deep: bool) -> Value {
    let mut row = Map::new();
    for (key, value) in event.as_object().expect("an event") {
        flatten_into(&mut row, &format!("{prefix}{key}"), key, value, separator, deep);
    }
    Value::Object(row)
}

fn flatten_into(
    row: &mut Map<String, Value>,
    path: &str,
    key: &str,
    value: &Value,
    separator: &str,
    deep: bool,
) {
    match value {
        Value::Object(members) if FREE.contains(&key) && !deep || members.is_empty() => {
            row.insert(path.to_owned(), text_of(value));
        }
        Value::Object(members) if FREE.contains(&key) => {
            for (name, value) in members {
                row.insert(format!("{path}{separator}{name}"), value.clone());
            }
        }
        Value::Object(members) => {
            for (key, value) in members {
                flatten_into(row, &format!("{path}{separator}{key}"), key, value, separator, deep);
            }
        }
        _ => {
            row.insert(path.to_owned(), value.clone());
        }
    }
}
