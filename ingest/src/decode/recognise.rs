//! What a record must have to be an event of ActionTrail, and whose record it is where it is none.
//!
//! Other clouds and many programs write `eventName`, `eventTime` and `userIdentity` too. So one key proves nothing. An event
//! has an action, an identity, and at least one member that only ActionTrail writes ([`evidence`]). Events of the platform may
//! lack the identity; then two such members are needed. A record cut down to its core is an event where it has id, name and
//! time and no member that ActionTrail does not know. An event whose action or identity is there and cannot be read is
//! refused as not understood: no rule could judge it.

use super::draft::{EventDraft, Member};
use super::refusal::Refusal;
use super::vendor_names::{is_documented_identity, is_endpoint};
use trailhound_datasets::derive::time;
use trailhound_datasets::event::Field;
use trailhound_datasets::reject::{RejectCode, excerpt};

/// What an event needs, for error messages.
const EXPECTED: &str = "an ActionTrail event: `eventName` with `userIdentity`, and `acsRegion`, `eventRW`, an `eventType` or identity type of \
     ActionTrail, or an `eventSource` of Alibaba Cloud";

/// Kinds of events that the vendor documents, in lower case.
const EVENT_TYPES: [&str; 18] = [
    "apicall",
    "consoleoperation",
    "consolecall",
    "consolesignin",
    "consolesignout",
    "passwordreset",
    "aliyunserviceevent",
    "actiontrailinsight",
    "jobevent",
    "tunnelevent",
    "tableevent",
    "adminevent",
    "resourceevent",
    "functionevent",
    "privilegeevent",
    "roleevent",
    "userevent",
    "schemaevent",
];

/// Decides whether `draft` is an event. `members` are the members of the record that it was made from.
///
/// # Errors
/// The reason why it is none.
pub(super) fn judge(draft: &EventDraft, members: &[Member<'_>]) -> Result<(), Refusal> {
    let evidence = evidence(draft);
    let by_vendor = || other_vendor(draft, members, evidence);
    let by_member = || if evidence < 2 { foreign(draft, members) } else { None };
    if let Some(name) = by_vendor().or_else(by_member) {
        return Err(Refusal {
            found: Some(format!("looks like {name}")),
            ..Refusal::new(RejectCode::ForeignRecord, EXPECTED)
        });
    }
    if is_insight(draft) {
        return Ok(());
    }
    let has_action = draft.text(Field::EventName).is_some();
    let has_identity = draft.has_identity_member();
    let unread = [
        (has_action, &draft.unread_action, "an `eventName` that is text"),
        (
            has_identity,
            &draft.unread_identity,
            "a `userIdentity` that is an object, its JSON text or flattened into columns",
        ),
    ];
    for (is_read, unread, expected) in unread {
        if let (false, Some((key, value))) = (is_read, unread)
            && (evidence > 0 || has_action)
        {
            return Err(Refusal {
                found: Some(format!("`{key}` = {}", excerpt(value.as_bytes()))),
                ..Refusal::new(RejectCode::NotUnderstood, expected)
            });
        }
    }
    let needed = if has_identity && !draft.has_loose_identity() { 1 } else { 2 };
    if has_action && (evidence >= needed || is_core(draft)) {
        return Ok(());
    }
    Err(Refusal {
        found: Some(missing(has_action, has_identity, evidence)),
        ..Refusal::new(RejectCode::UnknownLayout, EXPECTED)
    })
}

/// Says what a record without enough of an event lacks.
fn missing(has_action: bool, has_identity: bool, evidence: usize) -> String {
    let lacks: Vec<&str> = [
        (!has_action).then_some("no `eventName`"),
        (!has_identity).then_some("no `userIdentity`"),
        (evidence == 0).then_some("nothing that only ActionTrail writes"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let lacks =
        if lacks.is_empty() { "too little of an event".to_owned() } else { lacks.join(", ") };
    if has_action { format!("{lacks}; an application's log?") } else { lacks }
}

/// True for an event of which only the core is left: id, name and time, without any member of another feed.
fn is_core(draft: &EventDraft) -> bool {
    draft.text(Field::EventId).is_some()
        && draft.text(Field::EventTime).is_some_and(|text| time::parse(&text).is_some())
        && draft.has_known_members_alone()
}

/// True for an insight, which has neither action nor identity: its event type, and its details or id, time and region.
fn is_insight(draft: &EventDraft) -> bool {
    let is_of_kind = draft
        .text(Field::EventType)
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("ActionTrailInsight"));
    let is_whole = [Field::EventId, Field::EventTime, Field::AcsRegion]
        .iter()
        .all(|&field| draft.text(field).is_some());
    is_of_kind && (draft.has_insight() || is_whole)
}

/// The host of the event source, in lower case.
fn source_host(draft: &EventDraft) -> Option<String> {
    let source = draft.text(Field::EventSource)?.trim().to_ascii_lowercase();
    let host = source.split_once("://").map_or(source.as_str(), |(_, rest)| rest);
    Some(host.split(['/', ':', '?']).next().unwrap_or(host).to_owned())
}

/// Number of members that only ActionTrail writes.
fn evidence(draft: &EventDraft) -> usize {
    let text = |field| draft.text(field).map(|text| text.trim().to_ascii_lowercase());
    let endpoint = source_host(draft).is_some_and(|host| is_endpoint(&host));
    [
        text(Field::AcsRegion).is_some(),
        text(Field::EventRw).is_some_and(|rw| matches!(rw.as_str(), "read" | "write")),
        text(Field::UserType).is_some_and(|kind| is_documented_identity(&kind)),
        text(Field::EventType).is_some_and(|kind| EVENT_TYPES.contains(&kind.as_str())),
        endpoint,
        text(Field::RequestParameterJson).is_some(),
    ]
    .into_iter()
    .filter(|is| *is)
    .count()
}

/// Domains of other vendors' endpoints.
const FOREIGN_DOMAINS: [(&str, &str); 18] = [
    ("amazonaws.com", "AWS CloudTrail"),
    ("amazonaws.com.cn", "AWS CloudTrail"),
    ("volcengine.com", "Volcengine CloudTrail"),
    ("volcengineapi.com", "Volcengine CloudTrail"),
    ("volces.com", "Volcengine CloudTrail"),
    ("baidubce.com", "Baidu Cloud Trail"),
    ("bcebos.com", "Baidu Cloud Trail"),
    ("jdcloud.com", "the JD Cloud trail"),
    ("jdcloud-api.com", "the JD Cloud trail"),
    ("ucloud.cn", "the UCloud audit log"),
    ("ctyun.cn", "the Tianyi Cloud trail"),
    ("ksyun.com", "the Kingsoft Cloud trail"),
    ("myhuaweicloud.com", "Huawei CTS"),
    ("tencentcloudapi.com", "Tencent CloudAudit"),
    ("tencentyun.com", "Tencent CloudAudit"),
    ("azure.com", "the Azure activity log"),
    ("googleapis.com", "Google Cloud audit logs"),
    ("oraclecloud.com", "Oracle Cloud audit logs"),
];

/// Keys in lower case under which other vendors write the region, which ActionTrail writes as `acsRegion`.
const FOREIGN_REGIONS: [&str; 5] =
    ["region", "regionid", "region_id", "regionname", "resourceregion"];

/// The vendor whose record it is, by the domain of its endpoint or its names of resources. Records without the region of
/// ActionTrail alone: the owner of a bucket chooses the domain under which it is called.
fn other_vendor(
    draft: &EventDraft,
    members: &[Member<'_>],
    evidence: usize,
) -> Option<&'static str> {
    if draft.text(Field::AcsRegion).is_some() {
        return None;
    }
    let host = source_host(draft).unwrap_or_default();
    let is_of = |domain: &str| {
        host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let by_domain = FOREIGN_DOMAINS.iter().find(|(domain, _)| is_of(domain));
    let has_region = || {
        evidence < 3
            && !is_endpoint(&host)
            && draft.text(Field::EventType).is_none_or(|kind| {
                !EVENT_TYPES.contains(&kind.trim().to_ascii_lowercase().as_str())
            })
            && members
                .iter()
                .any(|(key, _)| FOREIGN_REGIONS.contains(&key.to_ascii_lowercase().as_str()))
    };
    by_domain
        .map(|&(_, name)| name)
        .or_else(|| draft.foreign_resource_name())
        .or_else(|| has_region().then_some("another vendor's trail"))
}

/// Keys that betray another feed, in lower case: all keys of a line must be there.
const FOREIGN_KEYS: [(&[&str], &str); 22] = [
    (&["awsregion"], "AWS CloudTrail"),
    (&["tlsdetails"], "AWS CloudTrail"),
    (&["eventregion"], "Tencent CloudAudit"),
    (&["cloudauditevent"], "Tencent CloudAudit"),
    (&["eventnamecn"], "Tencent CloudAudit"),
    (&["trace_id", "trace_name"], "Huawei CTS"),
    (&["trace_name", "service_type"], "Huawei CTS"),
    (&["tracker_name"], "Huawei CTS"),
    (&["operationname", "resourceid"], "the Azure activity log"),
    (&["operationname", "calleripaddress"], "the Azure activity log"),
    (&["operationname", "tenantid"], "the Azure activity log"),
    (&["operationname", "subscriptionid"], "the Azure activity log"),
    (&["operationname", "correlationid"], "the Azure activity log"),
    (&["protopayload"], "Google Cloud audit logs"),
    (&["insertid", "logname"], "Google Cloud audit logs"),
    (&["workload", "recordtype"], "the Microsoft 365 audit log"),
    (&["auditid", "verb"], "a Kubernetes audit log"),
    (&["requesturi", "verb"], "a Kubernetes audit log"),
    (&["actor", "published", "eventtype"], "the Okta system log"),
    (&["logsourcecrn"], "IBM Cloud Activity Tracker"),
    (&["compartmentid"], "Oracle Cloud audit logs"),
    (&["event_timestamp", "user_pseudo_id"], "web analytics events"),
];

/// Texts that betray another feed: the field, a part of its text in lower case.
const FOREIGN_TEXTS: [(Field, &str, &str); 8] = [
    (Field::EventSource, ".amazonaws.com", "AWS CloudTrail"),
    (Field::EventType, "awsapicall", "AWS CloudTrail"),
    (Field::EventType, "awsconsole", "AWS CloudTrail"),
    (Field::EventType, "awsservice", "AWS CloudTrail"),
    (Field::EventSource, "tencent", "Tencent CloudAudit"),
    (Field::EventSource, "volcengine", "Volcengine CloudTrail"),
    (Field::EventSource, "baidubce", "Baidu Cloud Trail"),
    (Field::EventType, "com.oraclecloud", "Oracle Cloud audit logs"),
];

/// The feed that the record looks like; `None` where it looks like none of those known.
fn foreign(draft: &EventDraft, members: &[Member<'_>]) -> Option<&'static str> {
    let keys: Vec<String> = members.iter().map(|(key, _)| key.to_ascii_lowercase()).collect();
    let has = |wanted: &&str| keys.iter().any(|key| key == *wanted);
    let by_key = FOREIGN_KEYS.iter().find(|(wanted, _)| wanted.iter().all(has));
    if let Some(&(_, name)) = by_key {
        return Some(name);
    }
    let by_text = FOREIGN_TEXTS.iter().find(|(field, part, _)| {
        draft.text(*field).is_some_and(|text| text.to_ascii_lowercase().contains(part))
    });
    by_text.map(|&(.., name)| name)
}
