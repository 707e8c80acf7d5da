//! Changes to the lists of a call: other forms of the same list, harmless entries beside the harmful ones, and one call for
//! each entry.

use super::attack::{Attack, Members, account, at, is_call, list, micros, with_parameters};
use serde_json::{Value, json};

/// How a list is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As a JSON list.
    List,
    /// As text that holds a JSON list.
    Text,
    /// As numbered parameters: `InstanceId.1`, `Permissions.1.Policy`.
    Numbered,
}

/// A list among the parameters.
struct ListParameter {
    name: String,
    form: Form,
    entries: Vec<Value>,
}

impl ListParameter {
    /// The parameters that write the list in `form`.
    fn write(&self, form: Form) -> Members {
        let name = &self.name;
        match form {
            Form::List => Members::from_iter([(name.clone(), json!(self.entries))]),
            Form::Text => {
                Members::from_iter([(name.clone(), json!(json!(self.entries).to_string()))])
            }
            Form::Numbered => {
                let mut members = Members::new();
                for (number, entry) in (1..).zip(&self.entries) {
                    match entry {
                        Value::Object(inner) => {
                            members.extend(inner.iter().map(|(key, value)| {
                                (format!("{name}.{number}.{key}"), value.clone())
                            }))
                        }
                        scalar => {
                            members.insert(format!("{name}.{number}"), scalar.clone());
                        }
                    }
                }
                members
            }
        }
    }
}

/// The name of the list, the number and the rest of the name of a numbered parameter.
fn numbered(key: &str) -> Option<(&str, u32, &str)> {
    let mut from = 0;
    loop {
        let dot = from + key[from..].find('.')?;
        let digits = key[dot + 1..].split('.').next().unwrap_or_default();
        if let Ok(number) = digits.parse() {
            let rest = key[dot + 1 + digits.len()..].trim_start_matches('.');
            return Some((&key[..dot], number, rest));
        }
        from = dot + 1;
    }
}

/// The list that the parameter `key` of `members` belongs to.
fn list_of(members: &Members, key: &str) -> Option<ListParameter> {
    let Some((name, ..)) = numbered(key) else {
        let value = &members[key];
        let form = if value.is_array() { Form::List } else { Form::Text };
        return list(value).map(|entries| ListParameter { name: key.to_owned(), form, entries });
    };
    let mut entries: Vec<(u32, Value)> = Vec::new();
    for (key, value) in members {
        let Some((own, number, rest)) = numbered(key) else { continue };
        if own != name {
            continue;
        }
        if rest.is_empty() {
            entries.push((number, value.clone()));
            continue;
        }
        match entries.iter_mut().find(|(known, entry)| *known == number && entry.is_object()) {
            Some((_, entry)) => entry[rest] = value.clone(),
            None => entries.push((number, json!({ rest: value }))),
        }
    }
    entries.sort_by_key(|(number, _)| *number);
    let entries = entries.into_iter().map(|(_, entry)| entry).collect();
    Some(ListParameter { name: name.to_owned(), form: Form::Numbered, entries })
}

/// `members` with each list as `write` has it; `None` where there is no list or `write` leaves all as they are.
fn with_lists(
    members: &Members,
    write: &dyn Fn(&ListParameter) -> Option<Members>,
) -> Option<Members> {
    let mut changed = Members::new();
    let (mut done, mut is_changed) = (Vec::new(), false);
    for (key, value) in members {
        let list = list_of(members, key).filter(|list| !list.entries.is_empty());
        let Some(list) = list else {
            changed.insert(key.clone(), value.clone());
            continue;
        };
        if done.contains(&list.name) {
            continue;
        }
        match write(&list) {
            Some(new) => {
                changed.extend(new);
                is_changed = true;
            }
            None => changed.extend(list.write(list.form)),
        }
        done.push(list.name);
    }
    is_changed.then_some(changed)
}

fn in_form(attack: &Attack, form: Form) -> Vec<Vec<Value>> {
    let write = |list: &ListParameter| (list.form != form).then(|| list.write(form));
    attack.calls(|event| with_parameters(event, |members| with_lists(members, &write)))
}

/// Writes lists as text.
pub(super) fn list_as_text(attack: &Attack) -> Vec<Vec<Value>> {
    in_form(attack, Form::Text)
}

/// Writes lists as numbered parameters.
pub(super) fn flattened_list(attack: &Attack) -> Vec<Vec<Value>> {
    in_form(attack, Form::Numbered)
}

/// Writes lists as JSON lists.
pub(super) fn object_list(attack: &Attack) -> Vec<Vec<Value>> {
    in_form(attack, Form::List)
}

/// Puts a harmless entry before and behind the entries of each list.
pub(super) fn harmless_entry(attack: &Attack) -> Vec<Vec<Value>> {
    let around = |event: &Value| {
        let account = account(event).to_owned();
        let write = move |list: &ListParameter| {
            let harmless = harmless(list.entries.first()?, &account);
            let mut entries = vec![harmless.clone()];
            entries.extend(list.entries.clone());
            entries.push(harmless);
            let name = list.name.clone();
            Some(ListParameter { name, form: list.form, entries }.write(list.form))
        };
        with_parameters(event, |members| with_lists(members, &write))
    };
    attack.calls(around)
}

/// An entry like `entry` that harms nobody in `account`.
fn harmless(entry: &Value, account: &str) -> Value {
    match entry {
        Value::Object(members) => {
            let one = |(key, value): (&String, &Value)| {
                let lower = key.to_lowercase();
                let value = match () {
                    () if lower.contains("ipv6") => json!("fd00::/8"),
                    () if lower.contains("cidr") || lower.ends_with("ip") => json!("10.0.0.0/8"),
                    () if lower.contains("port") => json!("443/443"),
                    () => value.clone(),
                };
                (key.clone(), value)
            };
            members.iter().map(one).collect()
        }
        Value::String(text) => {
            let is_account = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit());
            let head = text.split('/').next().unwrap_or_default();
            match () {
                () if is_account => json!(account),
                () if head.parse::<std::net::IpAddr>().is_ok() => json!("10.0.0.1"),
                () => json!("harmless-1"),
            }
        }
        other => other.clone(),
    }
}

/// Puts harmless addresses before and behind the addresses of an allow list that is written as text.
pub(super) fn harmless_address(attack: &Attack) -> Vec<Vec<Value>> {
    let is_list = |key: &str| {
        let lower = key.to_lowercase();
        ["securityip", "whitelist", "iplist", "masks", "whiteip"]
            .iter()
            .any(|part| lower.contains(part))
    };
    let change = |members: &Members| {
        let one = |(key, value): (&String, &Value)| {
            let value = match value.as_str() {
                Some(text) if is_list(key) && !text.is_empty() && !text.starts_with(['[', '{']) => {
                    let separator = if text.contains(';') { ';' } else { ',' };
                    json!(format!("10.0.0.1{separator}{text}{separator}10.0.0.2"))
                }
                _ => value.clone(),
            };
            (key.clone(), value)
        };
        Some(members.iter().map(one).collect())
    };
    attack.calls(|event| with_parameters(event, change))
}

/// Makes one call for each entry of the calls' lists.
pub(super) fn split_call(attack: &Attack) -> Vec<Vec<Value>> {
    let mut events = Vec::new();
    let mut is_split = false;
    for event in &attack.events {
        let parts: Vec<Value> = if is_call(event) { parts(event) } else { Vec::new() };
        is_split |= !parts.is_empty();
        if parts.is_empty() {
            events.push(event.clone());
        }
        events.extend(parts);
    }
    if is_split { vec![events] } else { Vec::new() }
}

/// One call for each entry of the longest list of `event`; none where no list has two.
fn parts(event: &Value) -> Vec<Value> {
    let mut parts = Vec::new();
    for number in 0.. {
        let write = |list: &ListParameter| {
            let entry = list.entries.get(number)?.clone();
            let (name, form) = (list.name.clone(), list.form);
            let part = ListParameter { name, form, entries: vec![entry] };
            (list.entries.len() > 1).then(|| part.write(form))
        };
        let part = with_parameters(event, |members| with_lists(members, &write));
        let Some(mut part) = part else { break };
        if let Some(id) = event["eventId"].as_str() {
            part["eventId"] = json!(format!("{id}-part-{number}"));
        }
        parts.push(match micros(event) {
            Some(micros) => at(part, micros + number as i64 * 1_000_000),
            None => part,
        });
    }
    parts
}
