//! Changes to the traffic as a whole: another order, and ordinary calls around the attack.

use super::attack::{Attack, BENIGN, account, at, is_call, micros};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Events of the attack that ordinary calls are put around.
const AROUND_MAX: usize = 8;

/// Makes the calls of a chain in the opposite order. It applies to different operations that all succeeded: the attacker
/// cannot fail after having been let in.
pub(super) fn other_order(attack: &Attack) -> Vec<Vec<Value>> {
    let own: Vec<(usize, &Value)> = attack.own_events().collect();
    let names: BTreeSet<String> = own
        .iter()
        .filter_map(|(_, event)| Some(event["eventName"].as_str()?.to_lowercase()))
        .collect();
    let is_free = |event: &Value| {
        is_call(event) && event["errorCode"].as_str().unwrap_or_default().is_empty()
    };
    let times: Vec<i64> = own.iter().filter_map(|(_, event)| micros(event)).collect();
    if names.len() < 2 || times.len() < own.len() || !own.iter().all(|(_, event)| is_free(event)) {
        return Vec::new();
    }
    let mut events = attack.events.clone();
    for ((place, event), time) in own.into_iter().zip(times.into_iter().rev()) {
        events[place] = at(event.clone(), time);
    }
    vec![events]
}

/// Mixes ordinary calls of the attacker's and of somebody else's before, between and after.
pub(super) fn benign_around(attack: &Attack) -> Vec<Vec<Value>> {
    let own: Vec<(usize, &Value)> = attack
        .own_events()
        .filter(|(_, event)| micros(event).is_some() && event["userIdentity"].is_object())
        .collect();
    if own.is_empty() {
        return Vec::new();
    }
    let step = own.len().div_ceil(AROUND_MAX);
    let mut events = attack.events.clone();
    for (number, event) in own.iter().step_by(step) {
        let Some(time) = micros(event) else { continue };
        let other = json!({
            "type": "ram-user", "accountId": account(event), "principalId": "200000000000000909",
            "userName": "mei.report", "accessKeyId": "LTAI5tDocExampleKey00909",
        });
        for (seconds, is_other) in [(-30, false), (-20, true), (1, true), (2, false)] {
            // The caller's own is of the attack: the first use of a stolen key is the first use, whatever it calls.
            let whose = if is_other { BENIGN } else { "own-" };
            let mut ordinary = json!({
                "eventId": format!("{whose}{number}-{seconds}"), "eventVersion": "1", "eventType": "ApiCall",
                "eventCategory": "Management", "eventRW": "Read", "eventName": "DescribeRegions", "serviceName": "Ecs",
                "eventSource": "ecs.cn-hangzhou.aliyuncs.com", "acsRegion": "cn-hangzhou",
                "userAgent": "AlibabaCloud (Linux; amd64) Java/1.8.0 Core/4.6.0",
                "userIdentity": if is_other { &other } else { &event["userIdentity"] },
            });
            if is_other {
                ordinary["sourceIpAddress"] = json!("203.0.113.200");
            } else if let Some(source) = event.get("sourceIpAddress") {
                ordinary["sourceIpAddress"] = source.clone();
            }
            events.push(at(ordinary, time + seconds * 1_000_000));
        }
    }
    vec![events]
}
