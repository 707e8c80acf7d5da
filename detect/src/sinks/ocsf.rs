//! A finding as OCSF Detection Finding (class 2004, version 1.4.0).

use crate::finding::{Finding, Status};
use serde_json::{Value, json};
use trailhound_datasets::derive::time::parse;
use trailhound_queries::packs::rules::Severity;

/// The finding in OCSF's words; times are milliseconds since 1970 UTC.
#[must_use]
pub fn detection_finding(finding: &Finding, revision: i64) -> Value {
    let millis = |time: &Option<String>| {
        time.as_deref().and_then(parse).map(|micros| micros.div_euclid(1000))
    };
    let (severity_id, severity) = severity(finding.severity);
    let (activity_id, activity) = match (finding.status, revision) {
        (Status::Withdrawn, _) => (3, "Close"),
        (_, 1) => (1, "Create"),
        _ => (2, "Update"),
    };
    let (status_id, status) = match finding.status {
        Status::Open => (1, "New"),
        Status::Suppressed => (3, "Suppressed"),
        Status::Withdrawn => (4, "Resolved"),
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
        "src_endpoint": {"ip": address(finding), "name": finding.source_ip},
        "resources": finding.targets.iter().map(|target| json!({"uid": target.id, "type": target.kind})).collect::<Vec<_>>(),
        "remediation": {"desc": finding.runbook},
        "unmapped": {"unknowns": finding.unknowns, "verdict": finding.verdict, "suppressed_by": finding.suppressed_by, "actions": finding.actions,
                     "outcomes": finding.outcomes, "user_agent": finding.user_agent, "source_class": finding.source_class},
    });
    without_nulls(&mut object);
    object
}

/// Where it came from, if that is an address.
fn address(finding: &Finding) -> Option<String> {
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

/// What is not known is left out.
fn without_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| !member.is_null());
        members.values_mut().for_each(without_nulls);
        members.retain(|_, member| !member.as_object().is_some_and(serde_json::Map::is_empty));
    }
}
