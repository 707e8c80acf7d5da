//! Events of the vendor's own people and systems (Inner-ActionTrail, "Alibaba Cloud-initiated events"). They have members of
//! their own, and become events of the category `Provider`, so that `provider_events` shows who at the vendor did what.
//!
//! ```text
//! {"EventID":"e","EventProduct":"ECS","EventName":"Migrate","EventType":"ALIYUN_INITIATED_SERVICE","ResourceOwnerID":"1000000000000001"}
//!   becomes
//! {"eventCategory":"Provider","userIdentity":{"type":"system"},"eventId":"e","serviceName":"ECS","eventName":"Migrate",
//!  "eventType":"ALIYUN_INITIATED_SERVICE","recipientAccountId":"1000000000000001"}
//! ```
//!
//! Source: ActionTrail documentation, "Structure of Alibaba Cloud-initiated events".

use super::draft::Member;
use trailhound_datasets::json;

/// Members that stand for a member of an event: the vendor's key and ours.
const KEYS: [(&str, &str); 9] = [
    ("EventID", "eventId"),
    ("EventVersion", "eventVersion"),
    ("EventProduct", "serviceName"),
    ("EventName", "eventName"),
    ("EventType", "eventType"),
    ("EventTime", "eventTime"),
    ("ResourceType", "resourceType"),
    ("ResourceID", "resourceName"),
    ("ResourceRegionID", "acsRegion"),
];
/// The account that owns the resource.
const OWNER: &str = "ResourceOwnerID";
/// The documented values of `EventType`.
const TYPES: [&str; 3] =
    ["CUSTOMER_INITIATED_SUPPORT", "ALIYUN_INITIATED_SERVICE", "ALIYUN_INITIATED_PENALTY"];

/// True where the record is of this feed: only it has `EventProduct`.
pub(super) fn is_one(members: &[Member<'_>]) -> bool {
    members.iter().any(|(key, _)| key == "EventProduct")
}

/// The record as one JSON object in the encoding of an event. Members that an event does not have stand in
/// `additionalEventData`.
///
/// # Errors
/// What the record must have and lacks.
pub(super) fn event_text(members: &[Member<'_>]) -> Result<String, &'static str> {
    let text = |key: &str| {
        let (_, raw) = members.iter().find(|(own, _)| own == key)?;
        json::unquote(raw).filter(|text| !text.trim().is_empty())
    };
    if text("EventID").is_none() || text("EventName").is_none() {
        return Err("a provider-initiated event with `EventID` and `EventName`");
    }
    if !text("EventType").is_some_and(|kind| TYPES.contains(&kind.trim())) {
        return Err(
            "a provider-initiated event whose `EventType` is CUSTOMER_INITIATED_SUPPORT, ALIYUN_INITIATED_SERVICE or ALIYUN_INITIATED_PENALTY",
        );
    }
    let mut event = String::from(r#"{"eventCategory":"Provider","userIdentity":{"type":"system"}"#);
    let mut more = Vec::new();
    for (key, raw) in members {
        match KEYS.iter().find(|(own, _)| own == key) {
            Some((_, name)) => event.push_str(&format!(",\"{name}\":{raw}")),
            None if key == OWNER => {
                // Some exports write it as a number.
                let id = json::unquote(raw).map_or_else(|| (*raw).to_owned(), |id| id.into_owned());
                event.push_str(&format!(",\"recipientAccountId\":{}", json::quote(&id)));
            }
            None => more.push(format!("{}:{raw}", json::quote(key))),
        }
    }
    event.push_str(&format!(",\"additionalEventData\":{{{}}}}}", more.join(",")));
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> Result<String, &'static str> {
        event_text(&json::members(text).collect::<Vec<_>>())
    }

    #[test]
    fn members_become_those_of_an_event_and_the_others_are_kept() {
        let text = r#"{"EventID":"e","EventProduct":"ECS","EventName":"Migrate","EventType":"ALIYUN_INITIATED_SERVICE",
            "EventTime":"2026-11-16T02:00:00Z","ResourceOwnerID":1000000000000001,"EmployeeID":"x\"y","EventLevel":"NOTICE"}"#;
        assert_eq!(
            rewritten(text).as_deref(),
            Ok(concat!(
                r#"{"eventCategory":"Provider","userIdentity":{"type":"system"},"eventId":"e","serviceName":"ECS","eventName":"Migrate","#,
                r#""eventType":"ALIYUN_INITIATED_SERVICE","eventTime":"2026-11-16T02:00:00Z","recipientAccountId":"1000000000000001","#,
                r#""additionalEventData":{"EmployeeID":"x\"y","EventLevel":"NOTICE"}}"#
            ))
        );
    }

    #[test]
    fn a_record_without_id_name_or_documented_type_is_refused() {
        for text in [
            r#"{"EventProduct":"ECS","EventName":"Migrate","EventType":"ALIYUN_INITIATED_SERVICE"}"#,
            r#"{"EventID":"e","EventProduct":"ECS","EventType":"ALIYUN_INITIATED_SERVICE"}"#,
            r#"{"EventID":"e","EventProduct":"ECS","EventName":"Migrate","EventType":"OTHER"}"#,
        ] {
            assert!(rewritten(text).is_err(), "{text}");
        }
    }
}
