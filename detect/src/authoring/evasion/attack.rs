//! The events of an attack, and how an attacker's change is written down.

use serde_json::{Map, Value};
use std::net::IpAddr;
use trailhound_datasets::derive::time;
use trailhound_queries::packs::rule_operations::RuleOperations;
use trailhound_queries::packs::rules::Rule;

/// Ids of events of ordinary traffic that a change puts around the attack begin with this.
pub(crate) const BENIGN: &str = "benign-";

/// The members of a JSON object, in order.
pub(crate) type Members = Map<String, Value>;

/// The columns that hold the parameters of a call.
pub(crate) const COLUMNS: [&str; 2] = ["requestParameters", "requestParameterJson"];

/// The events of a firing case.
#[derive(Debug, Clone)]
pub struct Attack {
    /// The events, as ActionTrail delivers them.
    pub events: Vec<Value>,
    /// For each event, whether it is of a finding: the attacker makes it. The others are what went before, and the attacker
    /// cannot choose who made them and from where.
    pub own: Vec<bool>,
    /// The parameters that the rule reads.
    pub reads: Vec<String>,
}

/// A change that an attacker makes to the attack, so that its events look different and its effect stays.
#[derive(Clone, Copy)]
pub struct Evasion {
    /// Name, such as `odd-case-names`.
    pub name: &'static str,
    /// What the attacker does, in words.
    pub does: &'static str,
    /// The events of the attack with the change, in each of its forms; none where the change does not apply.
    pub change: fn(&Attack) -> Vec<Vec<Value>>,
}

impl Attack {
    /// The events with `change` applied to each call; none where it changes none.
    pub(crate) fn calls(&self, change: impl Fn(&Value) -> Option<Value>) -> Vec<Vec<Value>> {
        self.changed(|at| is_call(&self.events[at]), change)
    }

    /// The events with `change` applied to every event; none where it changes none.
    pub(crate) fn all(&self, change: impl Fn(&Value) -> Option<Value>) -> Vec<Vec<Value>> {
        self.changed(|_| true, change)
    }

    /// The events with `change` applied to each event that the attacker makes; none where it changes none.
    pub(crate) fn own(&self, change: impl Fn(&Value) -> Option<Value>) -> Vec<Vec<Value>> {
        self.changed(|at| self.own[at], change)
    }

    fn changed(
        &self,
        is_chosen: impl Fn(usize) -> bool,
        change: impl Fn(&Value) -> Option<Value>,
    ) -> Vec<Vec<Value>> {
        let mut is_changed = false;
        let one =
            |(at, event): (usize, &Value)| match is_chosen(at).then(|| change(event)).flatten() {
                Some(changed) => {
                    is_changed |= changed != *event;
                    changed
                }
                None => event.clone(),
            };
        let events: Vec<Value> = self.events.iter().enumerate().map(one).collect();
        if is_changed { vec![events] } else { Vec::new() }
    }

    /// The events that the attacker makes, with their positions.
    pub(crate) fn own_events(&self) -> impl Iterator<Item = (usize, &Value)> {
        self.events.iter().enumerate().filter(|(at, _)| self.own[*at])
    }
}

/// Whether somebody calls an API with `event`, with parameters of their choice: neither a sign-in, whose parameters the vendor
/// writes, nor an act of the platform.
pub(crate) fn is_call(event: &Value) -> bool {
    let is_named = |key: &str, name: &str| {
        event[key].as_str().is_some_and(|text| text.eq_ignore_ascii_case(name))
    };
    let is_sign_in = is_named("eventName", "Login") && is_named("serviceName", "CloudSSO");
    let is_kind =
        matches!(event["eventType"].as_str(), Some("ApiCall" | "ConsoleCall" | "ConsoleOperation"));
    is_kind && !is_sign_in && !is_of_platform(event)
}

/// Whether the platform or one of its services acts. Only a service can take the role that is linked to it.
pub(crate) fn is_of_platform(event: &Value) -> bool {
    let source = event["sourceIpAddress"].as_str().unwrap_or_default();
    let user = event["userIdentity"]["userName"].as_str().unwrap_or_default().to_lowercase();
    let is_linked_role = user.starts_with("aliyunservicerolefor") && address(event).is_none();
    event["userIdentity"]["type"] == "system" || source.ends_with(".aliyuncs.com") || is_linked_role
}

/// The source address of `event`, where it is one.
pub(crate) fn address(event: &Value) -> Option<IpAddr> {
    event["sourceIpAddress"].as_str()?.parse().ok()
}

/// The account of `event`.
pub(crate) fn account(event: &Value) -> &str {
    event["userIdentity"]["accountId"].as_str().unwrap_or("1000000000000001")
}

/// The rule's [`Attack::reads`].
pub(crate) fn parameters_read(rule: &Rule) -> Vec<String> {
    RuleOperations::of(rule).parameters_read().into_iter().map(str::to_owned).collect()
}

/// The object that `value` is or holds as text.
pub(crate) fn object(value: &Value) -> Option<Members> {
    match value {
        Value::Object(members) => Some(members.clone()),
        Value::String(text) if text.trim_start().starts_with('{') => {
            serde_json::from_str(text).ok()
        }
        _ => None,
    }
}

/// The list that `value` is or holds as text.
pub(crate) fn list(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(entries) => Some(entries.clone()),
        Value::String(text) if text.trim_start().starts_with('[') => {
            serde_json::from_str(text).ok()
        }
        _ => None,
    }
}

/// `event` with its parameters changed in each column that has them; `None` where none has or `change` gives none.
pub(crate) fn with_parameters(
    event: &Value,
    change: impl Fn(&Members) -> Option<Members>,
) -> Option<Value> {
    let mut changed = event.clone();
    let mut is_changed = false;
    for column in COLUMNS {
        let Some(new) = object(&event[column]).and_then(|members| change(&members)) else {
            continue;
        };
        changed[column] = like(&event[column], new);
        is_changed = true;
    }
    is_changed.then_some(changed)
}

/// `event` with parameters that `add` gives for those it has, which may be none.
pub(crate) fn with_more_parameters(
    event: &Value,
    add: impl Fn(&Members) -> Members,
) -> Option<Value> {
    if COLUMNS.iter().any(|column| object(&event[*column]).is_some()) {
        return with_parameters(event, |members| Some(add(members)));
    }
    let mut changed = event.clone();
    changed[COLUMNS[0]] = Value::Object(add(&Members::new()));
    Some(changed)
}

/// All parameters of `event`, from the first column that has them.
pub(crate) fn parameters(event: &Value) -> Option<Members> {
    let found = COLUMNS.iter().find_map(|column| object(&event[*column]));
    found.filter(|members| !members.is_empty())
}

/// `members` as text where `old` is text, and as an object otherwise.
pub(crate) fn like(old: &Value, members: Members) -> Value {
    let new = Value::Object(members);
    if old.is_string() { Value::from(new.to_string()) } else { new }
}

/// `event` without the member `key`.
pub(crate) fn without(mut event: Value, key: &str) -> Value {
    if let Some(members) = event.as_object_mut() {
        members.shift_remove(key);
    }
    event
}

/// The time of `event` in microseconds.
pub(crate) fn micros(event: &Value) -> Option<i64> {
    time::parse(event["eventTime"].as_str()?)
}

/// `event` at another time.
pub(crate) fn at(mut event: Value, micros: i64) -> Value {
    if let Some(text) = time::canonical(micros) {
        event["eventTime"] = Value::from(text);
    }
    event
}
