//! Findings about the trail and the service themselves: what nobody has seen, what nobody is told.

use crate::finding::{Finding, Operator, Status};
use chrono::DateTime;
use trailhound_queries::packs::rules::Severity;
use xxhash_rust::xxh3::xxh3_128;

/// Id of the finding that records are missing.
pub const MISSING_RECORDS: &str = "AT-HEALTH-001";
/// Id of the finding that a sink refuses findings.
pub const PARKED: &str = "AT-HEALTH-002";

/// Records of a source that can no longer be read.
#[derive(Debug, Clone, Copy)]
pub struct Missing<'m> {
    /// Name of the source.
    pub source: &'m str,
    /// Topic partition or object.
    pub object: &'m str,
    /// The first record missing.
    pub from: i64,
    /// The first record after them; equal to `from` where nobody knows how many there were.
    pub to: i64,
    /// `ingest_gap` or `source_reset`.
    pub reason: &'m str,
    /// When it was noted, RFC 3339 UTC.
    pub noted_at: &'m str,
    /// The lake's folder.
    pub lake: &'m str,
}

/// The finding that says so, with the command that fills the gap.
#[must_use]
pub fn missing_records(missing: Missing<'_>) -> Finding {
    let Missing { source, object, from, to, reason, noted_at, lake } = missing;
    let identity = format!(
        "{MISSING_RECORDS}\u{1e}{source}\u{1f}{object}\u{1f}{from}\u{1f}{to}\u{1f}{noted_at}"
    );
    let what = match reason {
        "source_reset" => format!(
            "{object}: its offsets went back below {from}; what came after that before may not have been read"
        ),
        _ => format!(
            "{object}: records {from} to {} were dropped by the broker before they were read",
            to - 1
        ),
    };
    Finding {
        variant: Some(reason.to_owned()),
        severity: Severity::High,
        why: vec![format!("source `{source}`, {what}")],
        unknowns: vec!["what happened meanwhile".to_owned()],
        runbook: format!(
            "1. See up to when events came from it: trailhound query --lake {lake} -c \"SELECT max(event_time) FROM events WHERE source = '{source}'\". \
             2. Fetch an export of the trail from then until {noted_at} and fill the gap with it; what is there already is not stored \
             twice: trailhound ingest --lake {lake} PATH... 3. Keep messages longer than the service may be away."
        ),
        ..about_us(
            MISSING_RECORDS,
            "Events of the trail are missing",
            "操作审计事件缺失",
            &identity,
            noted_at,
        )
    }
}

/// The finding that the sink `sink` refuses findings for good: one a day. `now` is in microseconds since 1970 UTC.
#[must_use]
pub fn parked(sink: &str, now: i64) -> Finding {
    let day = DateTime::from_timestamp_micros(now)
        .unwrap_or_default()
        .format("%Y-%m-%dT00:00:00Z")
        .to_string();
    let identity = format!("{PARKED}\u{1e}{sink}\u{1f}{day}");
    Finding {
        severity: Severity::High,
        why: vec![format!(
            "sink `{sink}` has refused findings in a way that trying again does not change"
        )],
        unknowns: vec!["whether anybody has learned of these findings".to_owned()],
        runbook: format!(
            "1. See what it said: trailhound outbox list --sink {sink} --state parked. 2. Mend the sink or its configuration, and try it: \
             trailhound sinks test {sink}. 3. Send what is parked: trailhound outbox retry --sink {sink}."
        ),
        ..about_us(PARKED, "A sink refuses findings", "告警通道拒收检测结果", &identity, &day)
    }
}

/// A finding to try a sink with, which says that it is one.
#[must_use]
pub fn sample(now: i64) -> Finding {
    let time = DateTime::from_timestamp_micros(now)
        .unwrap_or_default()
        .format("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    Finding {
        severity: Severity::Info,
        why: vec!["somebody ran `trailhound sinks test`".to_owned()],
        runbook: "Nothing is to be done.".to_owned(),
        ..about_us(
            "AT-HEALTH-000",
            "A test of this sink",
            "告警通道测试",
            &format!("sample\u{1e}{time}"),
            &time,
        )
    }
}

/// What findings about the service itself have in common: nobody did it, and no event shows it.
fn about_us(rule_id: &str, title: &str, title_zh: &str, identity: &str, noted_at: &str) -> Finding {
    let noted = Some(noted_at.to_owned());
    Finding {
        finding_id: format!("{:032x}", xxh3_128(identity.as_bytes())),
        rule_id: rule_id.to_owned(),
        rule_version: "1.0.0".to_owned(),
        variant: None,
        title: title.to_owned(),
        title_zh: title_zh.to_owned(),
        severity: Severity::Info,
        status: Status::Open,
        attack: Vec::new(),
        account_id: None,
        account_name: None,
        operator: Operator::default(),
        source_ip: None,
        source_class: None,
        client_ip: None,
        client_ip_provenance: None,
        user_agent: None,
        event_time: noted.clone(),
        first_seen: noted.clone(),
        last_seen: noted,
        count: 0,
        actions: Vec::new(),
        regions: Vec::new(),
        outcomes: Vec::new(),
        targets: Vec::new(),
        why: Vec::new(),
        unknowns: Vec::new(),
        verdict: None,
        suppressed_by: None,
        event_ids: Vec::new(),
        evidence: Vec::new(),
        runbook: String::new(),
    }
}
