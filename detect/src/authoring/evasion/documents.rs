//! Changes to policy documents among a call's parameters: other spellings of the same JSON, and harmless statements or actions
//! beside the harmful ones.

use super::attack::{Attack, Members, account, object, with_parameters};
use serde_json::{Value, json};

/// `value` as a list: its elements, or itself alone.
fn elements(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

/// The key of `document`'s statements.
fn statements_key(document: &Members) -> Option<String> {
    document.keys().find(|key| key.eq_ignore_ascii_case("Statement")).cloned()
}

/// Applies `change` to each policy document of each call. It is given the document and the account.
fn documents(
    attack: &Attack,
    change: impl Fn(Members, &str) -> Option<Members>,
    write: impl Fn(&Value, Members) -> Value,
) -> Vec<Vec<Value>> {
    attack.calls(|event| {
        with_parameters(event, |members| {
            let one = |(key, value): (&String, &Value)| {
                let changed = object(value)
                    .filter(|document| statements_key(document).is_some())
                    .and_then(|document| change(document, account(event)));
                let changed = changed.map_or_else(|| value.clone(), |new| write(value, new));
                (key.clone(), changed)
            };
            Some(members.iter().map(one).collect())
        })
    })
}

fn with_statements(attack: &Attack, change: impl Fn(Vec<Value>, &str) -> Value) -> Vec<Vec<Value>> {
    let document = |mut document: Members, account: &str| {
        let key = statements_key(&document)?;
        let changed = change(elements(&document[&key]), account);
        document[&key] = changed;
        Some(document)
    };
    documents(attack, document, super::attack::like)
}

/// Puts a harmless statement before and behind the statements of a policy.
pub(super) fn harmless_statement(attack: &Attack) -> Vec<Vec<Value>> {
    with_statements(attack, |statements, account| {
        let mut harmless = json!({ "Effect": "Allow", "Action": ["oss:GetObject"], "Resource": ["acs:oss:*:*:reports/*"] });
        if statements.iter().any(|statement| statement.get("Principal").is_some()) {
            harmless = json!({ "Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": { "RAM": [format!("acs:ram::{account}:root")] } });
        }
        let mut all = vec![harmless.clone()];
        all.extend(statements);
        all.push(harmless);
        json!(all)
    })
}

/// Puts harmless actions, resources and principals before and behind those of each statement.
pub(super) fn harmless_action(attack: &Attack) -> Vec<Vec<Value>> {
    let around = |value: &Value, harmless: Value| {
        let mut all = vec![harmless.clone()];
        all.extend(elements(value));
        all.push(harmless);
        json!(all)
    };
    with_statements(attack, |mut statements, account| {
        for statement in statements.iter_mut().filter_map(Value::as_object_mut) {
            for (key, value) in statement.iter_mut() {
                match key.to_lowercase().as_str() {
                    "action" => *value = around(value, json!("oss:GetObject")),
                    "resource" => *value = around(value, json!("acs:oss:*:*:reports/*")),
                    "principal" => match value.as_object_mut() {
                        Some(kinds) => {
                            for (kind, who) in kinds.iter_mut() {
                                let harmless = match kind.as_str() {
                                    "Service" => json!("ecs.aliyuncs.com"),
                                    "Federated" => continue,
                                    _ => json!(format!("acs:ram::{account}:root")),
                                };
                                *who = around(who, harmless);
                            }
                        }
                        None => *value = around(value, json!(account)),
                    },
                    _ => {}
                }
            }
        }
        json!(statements)
    })
}

/// Writes lists of one as the one, and one as a list.
pub(super) fn one_or_list(attack: &Attack) -> Vec<Vec<Value>> {
    fn one(value: Value) -> Value {
        match value {
            Value::Array(mut entries) if entries.len() == 1 => entries.remove(0),
            other => other,
        }
    }
    fn many(value: Value) -> Value {
        if value.is_array() { value } else { json!([value]) }
    }
    let with = |change: fn(Value) -> Value| {
        with_statements(attack, |mut statements, _| {
            for statement in statements.iter_mut().filter_map(Value::as_object_mut) {
                for (key, value) in statement.iter_mut() {
                    match (key.to_lowercase().as_str(), &mut *value) {
                        ("action" | "resource", _) => *value = change(value.take()),
                        ("principal", Value::Object(kinds)) => {
                            kinds.values_mut().for_each(|who| *who = change(who.take()));
                        }
                        _ => {}
                    }
                }
            }
            change(json!(statements))
        })
    };
    [with(one), with(many)].concat()
}

/// Writes the document's letters as JSON escapes, and spreads it over lines.
pub(super) fn escaped(attack: &Attack) -> Vec<Vec<Value>> {
    let same = |document: Members, _: &str| Some(document);
    let escape = |_: &Value, document: Members| json!(escaped_text(&json!(document).to_string()));
    let spread = |_: &Value, document: Members| json!(format!("\n {:#}", json!(document)));
    [documents(attack, same, escape), documents(attack, same, spread)].concat()
}

/// The JSON text `json` with every letter within its texts escaped.
fn escaped_text(json: &str) -> String {
    let mut out = String::new();
    let (mut is_text, mut is_escape) = (false, false);
    for c in json.chars() {
        match c {
            _ if is_escape => {
                is_escape = false;
                out.push(c);
            }
            '\\' => {
                is_escape = true;
                out.push(c);
            }
            '"' => {
                is_text = !is_text;
                out.push(c);
            }
            c if is_text && (c.is_ascii_alphabetic() || "*:/".contains(c)) => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

/// Writes a document that is text as an object, and the other way round.
pub(super) fn other_form(attack: &Attack) -> Vec<Vec<Value>> {
    let write = |old: &Value, document: Members| match old {
        Value::String(_) => Value::Object(document),
        _ => json!(Value::Object(document).to_string()),
    };
    documents(attack, |document, _| Some(document), write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_document_is_the_same_document() {
        let document =
            json!({ "Statement": [{ "Effect": "Allow", "Action": ["*"], "Note": "a\"b\\c\nd" }] });
        let text = escaped_text(&document.to_string());
        assert!(!text.contains("Allow") && !text.contains('*'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), document);
    }
}
