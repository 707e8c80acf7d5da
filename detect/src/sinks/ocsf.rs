//! Writes findings as OCSF Detection Finding (class 2004, version 1.4.0).

use crate::finding::{Finding, FindingStatus};
use serde_json::{Value, json};
use trailhound_datasets::derive::time::parse;
use trailhound_queries::packs::rules::Severity;

/// Maps `finding` to an OCSF object. Times are milliseconds since 1970 UTC; members without a value
/// are left out.
#[must_use]
pub fn detection_finding(finding: &Finding, revision: i64) -> Value {
    let millis = |time: &Option<String>| {
        time.as_deref().and_then(parse).map(|micros| micros.div_euclid(1000))
    };
    let (severity_id, severity) = severity(finding.severity);
    let (activity_id, activity) = match (finding.status, revision) {
        (FindingStatus::Withdrawn, _) => (3, "Close"),
        (_, 1) => (1, "Create"),
        _ => (2, "Update"),
    };
    let (status_id, status) = match finding.status {
        FindingStatus::Open => (1, "New"),
        FindingStatus::Suppressed => (3, "Suppressed"),
        FindingStatus::Withdrawn => (4, "Resolved"),
    };
    let mut object = json!({
        "class_uid": 2004, "class_name": "Detection Finding", "category_uid": 2, "category_name": "Findings",
        "activity_id": activity_id, "activity_name": activity, "type_uid": 200_400 + activity_id, "type_name": format!("Detection Finding: {activity}"),
        "severity_id": severity_id, "severity": severity, "status_id": status_id, "status": status,
        "time": millis(&finding.event_time), "start_time": millis(&finding.first_seen), "end_time": millis(&finding.last_seen),
        "count": finding.count, "message": finding.title,
        "metadata": {"version": "1.4.0", "uid": format!("{}.{revision}", finding.finding_id),
                     "product": {"name": "Trailhound", "vendor_name": "Trailhound", "version": env!("CARGO_PKG_VERSION")}},
        "finding_info": {
            "uid": finding.finding_id, "title": finding.title, "desc": finding.why.join("; "),
            "analytic": {"uid": finding.rule_id, "name": finding.title, "version": finding.rule_version, "type_id": 1, "type": "Rule"},
            "attacks": finding.attack.iter().map(|technique| json!({"technique": {"uid": technique}})).collect::<Vec<_>>(),
            "related_events": finding.event_ids.iter().map(|id| json!({"uid": id})).collect::<Vec<_>>(),
            "first_seen_time": millis(&finding.first_seen), "last_seen_time": millis(&finding.last_seen),
        },
        "cloud": {"provider": "Alibaba Cloud", "account": {"uid": finding.account_id, "name": finding.account_name}, "region": finding.regions.first()},
        "actor": {"user": {"name": finding.operator.name, "uid": finding.operator.principal_id, "type": finding.operator.kind,
                           "credential_uid": finding.operator.access_key_id}},
        "src_endpoint": {"ip": ip_address(finding), "name": finding.source_ip},
        "resources": finding.targets.iter().map(|target| json!({"uid": target.id, "type": target.kind})).collect::<Vec<_>>(),
        "remediation": {"desc": finding.runbook},
        "unmapped": {"unknowns": finding.unknowns, "verdict": finding.verdict, "suppressed_by": finding.suppressed_by, "actions": finding.actions,
                     "outcomes": finding.outcomes, "user_agent": finding.user_agent, "source_class": finding.source_class},
    });
    remove_nulls(&mut object);
    object
}

/// The client's address, or the source's; `None` where that is not an IP address.
fn ip_address(finding: &Finding) -> Option<String> {
    let text = finding.client_ip.as_deref().or(finding.source_ip.as_deref())?;
    text.parse::<std::net::IpAddr>().ok().map(|address| address.to_string())
}

fn severity(severity: Severity) -> (u8, &'static str) {
    match severity {
        Severity::Info => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

/// Removes members that are null, and objects that are empty without them.
fn remove_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| !member.is_null());
        members.values_mut().for_each(remove_nulls);
        members.retain(|_, member| !member.as_object().is_some_and(serde_json::Map::is_empty));
    }
}
