//! Changes to the parameters of a call: more of them, other spellings, the other column.

use super::attack::{
    Attack, COLUMNS, Members, is_call, parameters, with_more_parameters, with_parameters, without,
};
use serde_json::{Value, json};
use std::net::IpAddr;
use trailhound_queries::packs::operations::Operations;

/// Forms that are made of one change with each of a call's parameters.
const FORMS_MAX: usize = 8;

/// Adds a parameter for a dry run to calls that have none.
pub(super) fn dry_run(attack: &Attack) -> Vec<Vec<Value>> {
    let add = |members: &Members| {
        let mut more = members.clone();
        if !members.keys().any(|key| key.eq_ignore_ascii_case("DryRun")) {
            more.insert("DryRun".to_owned(), json!("true"));
        }
        more
    };
    attack.calls(|event| with_more_parameters(event, add))
}

/// Adds parameters that no operation reads, and harmless twins of the true ones under names in another case.
pub(super) fn superfluous(attack: &Attack) -> Vec<Vec<Value>> {
    let noise = [("charset", "UTF-8"), ("AcceptLanguage", "en-US"), ("ClientToken", "3f2b9c10")];
    let before = |members: &Members| {
        let mut more: Members =
            noise.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        more.extend(twins(members));
        more.extend(members.clone());
        more
    };
    let after = |members: &Members| {
        let mut more = members.clone();
        more.extend(twins(members));
        more
    };
    let mut forms = attack.calls(|event| with_more_parameters(event, before));
    forms.extend(attack.calls(|event| with_more_parameters(event, after)));
    forms
}

/// Harmless values under the names of `members` in another case.
fn twins(members: &Members) -> Members {
    let twin = |(key, value): (&String, &Value)| {
        let lower = key.to_lowercase();
        let name = if lower == *key { key.to_uppercase() } else { lower };
        (!members.contains_key(&name)).then(|| (name, harmless(value)))
    };
    members.iter().filter_map(twin).collect()
}

/// A value of the kind of `value` that harms nobody.
fn harmless(value: &Value) -> Value {
    match value {
        Value::Bool(on) => json!(!on),
        Value::String(text) => match text.as_str() {
            "true" => json!("false"),
            "false" => json!("true"),
            text if text.parse::<f64>().is_ok() => json!("1"),
            text if text.split('/').next().is_some_and(|head| head.parse::<IpAddr>().is_ok()) => {
                json!("10.0.0.1")
            }
            _ => json!("harmless"),
        },
        _ => json!("1"),
    }
}

/// Values that say that nothing is wrong, in one place or another.
const CALMING: [&str; 10] = [
    "Disabled",
    "Enabled",
    "false",
    "true",
    "0",
    "32",
    "AdministratorAccess",
    "10.0.0.0/8",
    "1000000000000001",
    r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs:DescribeRegions","Resource":"*"}]}"#,
];

/// Adds the parameters that the rule reads and that the operation does not have, so that they take no effect.
pub(super) fn borrowed(attack: &Attack) -> Vec<Vec<Value>> {
    let operations = Operations::built_in();
    let lacks = |event: &Value, name: &str| {
        let text = |key: &str| event[key].as_str().unwrap_or_default();
        let head = name.split('.').next().unwrap_or(name);
        operations.has_parameter(text("serviceName"), text("eventName"), head) == Some(false)
    };
    let with = |value: &str| {
        attack.calls(|event| {
            let borrowed: Vec<&String> =
                attack.reads.iter().filter(|name| lacks(event, name)).collect();
            let add = |members: &Members| {
                let is_free = |name: &&&String| {
                    !members.keys().any(|key| key.trim().eq_ignore_ascii_case(name))
                };
                let new = borrowed.iter().filter(is_free);
                let mut more: Members = new.map(|name| ((*name).clone(), json!(value))).collect();
                more.extend(members.clone());
                more
            };
            (!borrowed.is_empty()).then(|| with_more_parameters(event, add)).flatten()
        })
    };
    CALMING.into_iter().flat_map(with).collect()
}

/// Adds parameters that are named like facts which the vendor writes into the parameters of some calls.
pub(super) fn forged_facts(attack: &Attack) -> Vec<Vec<Value>> {
    let facts = [
        ("userClientIp", json!("10.0.0.1")),
        ("stsTokenPlayerUid", json!(1_000_000_000_000_009_u64)),
        ("stsTokenPrincipalName", json!("aliyunserviceroleforactiontrail/actiontrail")),
        ("callerType", json!("system")),
        ("AcsHost", json!("ecs.aliyuncs.com")),
    ];
    let add = |members: &Members| {
        let mut more: Members =
            facts.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        more.extend(members.clone());
        more
    };
    attack.calls(|event| with_more_parameters(event, add))
}

/// Renames the parameters of each call. One keeps its name where another has the new one already: the attacker would lose it.
fn renamed(attack: &Attack, rename: impl Fn(&str) -> String) -> Vec<Vec<Value>> {
    let change = |members: &Members| {
        let one = |(key, value): (&String, &Value)| {
            let new = rename(key);
            let is_free = new == *key || !members.contains_key(&new);
            (if is_free { new } else { key.clone() }, value.clone())
        };
        Some(members.iter().map(one).collect())
    };
    attack.calls(|event| with_parameters(event, change))
}

/// `text` with capitals in place of small letters, and the other way round.
pub(super) fn swap_case(text: &str) -> String {
    let swap = |c: char| {
        if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
    };
    text.chars().map(swap).collect()
}

/// Writes the names of the parameters in another case.
pub(super) fn odd_case_names(attack: &Attack) -> Vec<Vec<Value>> {
    let mut forms = renamed(attack, swap_case);
    forms.extend(renamed(attack, str::to_lowercase));
    forms
}

/// Puts spaces around the names of the parameters.
pub(super) fn spaced_names(attack: &Attack) -> Vec<Vec<Value>> {
    let mut forms = renamed(attack, |name| format!(" {name}"));
    forms.extend(renamed(attack, |name| format!("{name} ")));
    forms
}

/// Gives each parameter twice, once with a harmless value. The vendor's object has the value that counts; its text has both.
pub(super) fn repeated(attack: &Attack) -> Vec<Vec<Value>> {
    let text = |members: &Members, is_harmless_first: bool| {
        let one = |(key, value): (&String, &Value)| {
            let (key, twin) = (json!(key), harmless(value));
            let (first, second) = if is_harmless_first { (&twin, value) } else { (value, &twin) };
            format!("{key}:{first},{key}:{second}")
        };
        json!(format!("{{{}}}", members.iter().map(one).collect::<Vec<_>>().join(",")))
    };
    let both = attack.calls(|event| {
        let members = parameters(event)?;
        let mut changed = event.clone();
        changed[COLUMNS[1]] = text(&members, true);
        changed[COLUMNS[0]] = Value::Object(members);
        Some(changed)
    });
    let text_only = attack.calls(|event| {
        let mut changed = without(event.clone(), COLUMNS[0]);
        changed[COLUMNS[1]] = text(&parameters(event)?, false);
        Some(changed)
    });
    [both, text_only].concat()
}

/// Gives the parameters as text only, as some deliveries have them.
pub(super) fn other_column(attack: &Attack) -> Vec<Vec<Value>> {
    let moved = |object: Option<Value>| {
        attack.calls(|event| {
            let mut changed = without(event.clone(), COLUMNS[0]);
            changed[COLUMNS[1]] = json!(Value::Object(parameters(event)?).to_string());
            if let Some(object) = &object {
                changed[COLUMNS[0]] = object.clone();
            }
            Some(changed)
        })
    };
    [moved(None), moved(Some(json!({}))), moved(Some(Value::Null))].concat()
}

/// Gives all parameters as text, and all but one as an object.
pub(super) fn both_columns(attack: &Attack) -> Vec<Vec<Value>> {
    let form = |number: usize| {
        attack.calls(|event| {
            let mut rest = parameters(event)?;
            let mut changed = event.clone();
            changed[COLUMNS[1]] = json!(Value::Object(rest.clone()).to_string());
            let key = rest.keys().nth(number)?.clone();
            rest.shift_remove(&key);
            changed[COLUMNS[0]] = Value::Object(rest);
            Some(changed)
        })
    };
    let calls = attack.events.iter().filter(|event| is_call(event));
    let most = calls.filter_map(|event| Some(parameters(event)?.len())).max().unwrap_or(0);
    (0..most.min(FORMS_MAX)).flat_map(form).collect()
}

/// Writes numbers and truth values as such in place of text, and the other way round, in the spellings of the vendor's SDKs.
pub(super) fn typed_values(attack: &Attack) -> Vec<Vec<Value>> {
    let with = |change: fn(&Value) -> Value| {
        let all = |members: &Members| {
            Some(members.iter().map(|(key, value)| (key.clone(), change(value))).collect())
        };
        attack.calls(|event| with_parameters(event, all))
    };
    [with(as_type), with(as_text)].concat()
}

fn as_type(value: &Value) -> Value {
    match value.as_str() {
        Some("true") => json!(true),
        Some("false") => json!(false),
        Some(text) if text.len() < 16 && text == text.parse::<u64>().unwrap_or(1).to_string() => {
            text.parse::<u64>().map_or_else(|_| value.clone(), Value::from)
        }
        _ => value.clone(),
    }
}

fn as_text(value: &Value) -> Value {
    match value {
        Value::Bool(true) => json!("True"),
        Value::Bool(false) => json!("False"),
        Value::Number(number) => json!(number.to_string()),
        Value::String(text) if text == "true" => json!("True"),
        Value::String(text) if text == "false" => json!("False"),
        other => other.clone(),
    }
}
