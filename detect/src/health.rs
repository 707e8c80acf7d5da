//! Findings about the trail itself: what nobody has seen.

use crate::finding::{Finding, Operator, Status};
use trailhound_queries::catalogue::Severity;
use xxhash_rust::xxh3::xxh3_128;

/// Id of the finding that records are missing.
pub const MISSING_RECORDS: &str = "AT-HEALTH-001";

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
    let identity = format!("{MISSING_RECORDS}\u{1e}{source}\u{1f}{object}\u{1f}{from}\u{1f}{to}\u{1f}{noted_at}");
    let what = match reason {
        "source_reset" => format!("{object}: its offsets went back below {from}; what came after that before may not have been read"),
        _ => format!("{object}: records {from} to {} were dropped by the broker before they were read", to - 1),
    };
    let noted = Some(noted_at.to_owned());
    Finding {
        finding_id: format!("{:032x}", xxh3_128(identity.as_bytes())),
        rule_id: MISSING_RECORDS.to_owned(),
        rule_version: "1.0.0".to_owned(),
        variant: Some(reason.to_owned()),
        title: "Events of the trail are missing".to_owned(),
        title_zh: "操作审计事件缺失".to_owned(),
        severity: Severity::High,
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
        why: vec![format!("source `{source}`, {what}")],
        unknowns: vec!["what happened meanwhile".to_owned()],
        verdict: None,
        suppressed_by: None,
        event_ids: Vec::new(),
        evidence: Vec::new(),
        runbook: format!(
            "1. See up to when events came from it: trailhound query --lake {lake} -c \"SELECT max(event_time) FROM events WHERE source = '{source}'\". \
             2. Fetch an export of the trail from then until {noted_at} and fill the gap with it; what is there already is not stored \
             twice: trailhound ingest --lake {lake} PATH... 3. Keep messages longer than the service may be away."
        ),
    }
}
