//! Findings, the results of detection: who did what, when, from where, and why it matters. The
//! files below group matches into findings, score the entities they concern, and defang their text.

pub mod defang;
pub(crate) mod event_summary;
pub(crate) mod grouping;
pub mod health;
pub mod language;
pub(crate) mod match_rows;
pub(crate) mod revision;
pub mod risk;

use serde::{Deserialize, Serialize, Serializer};
use trailhound_datasets::derive::time::parse;
use trailhound_queries::packs::rules::Severity;

/// A finding: one or more matching events of a rule, grouped. Batch and streaming evaluation make
/// the same findings, and all sinks get them.
///
/// Serialized as JSON it is what is stored, what `scan --format json` prints and what sinks send.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finding {
    /// Stable id: the same events give the same id, in any order and after any replay.
    pub finding_id: String,
    /// Id of the rule.
    pub rule_id: String,
    /// Version of the rule.
    pub rule_version: String,
    /// The variant of the rule that matched; `None` for the main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Title of the rule in English.
    pub title: String,
    /// Title of the rule in Chinese.
    pub title_zh: String,
    /// The highest severity among its events.
    #[serde(serialize_with = "severity_name")]
    pub severity: Severity,
    /// Whether somebody should look at it.
    pub status: FindingStatus,
    /// Ids of MITRE ATT&CK techniques.
    pub attack: Vec<String>,
    /// Id of the account.
    pub account_id: Option<String>,
    /// The account's name from the parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    /// Who did it, by the first event.
    pub operator: Actor,
    /// Source address of the first event, as ActionTrail sent it; not always an address.
    pub source_ip: Option<String>,
    /// The class of that source, such as `ip`, `internal` or `garbage`.
    pub source_class: Option<String>,
    /// The best known address of the client.
    pub client_ip: Option<String>,
    /// How `client_ip` is known.
    pub client_ip_provenance: Option<String>,
    /// The user agent, as the client sent it.
    pub user_agent: Option<String>,
    /// Time of the first event, RFC 3339 UTC.
    pub event_time: Option<String>,
    /// The same as `event_time`.
    pub first_seen: Option<String>,
    /// Time of the last event.
    pub last_seen: Option<String>,
    /// Number of its events.
    pub count: u64,
    /// Actions as `service:event`, the most frequent first.
    pub actions: Vec<String>,
    /// Regions, the most frequent first.
    pub regions: Vec<String>,
    /// Outcomes of the actions, the most frequent first.
    pub outcomes: Vec<String>,
    /// Resources acted upon.
    pub targets: Vec<TargetResource>,
    /// Reasons: the predicates that held, with the values seen.
    pub why: Vec<String>,
    /// Facts that matter for the assessment and that the events do not contain.
    pub unknowns: Vec<String>,
    /// Whether a person, the platform or a schedule acted; only where the rule judges that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// What suppresses it; `None` for an open finding.
    pub suppressed_by: Option<String>,
    /// Ids of all its events, in order of time.
    pub event_ids: Vec<String>,
    /// Where its events are in the lake and in the source, in order of time.
    pub evidence: Vec<Evidence>,
    /// What to do, in English, from the rule.
    pub runbook: String,
}

/// Who did it: the identity that an event names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Actor {
    /// Kind of identity.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Name, as sent.
    pub name: Option<String>,
    /// Principal id.
    pub principal_id: Option<String>,
    /// AccessKey id, masked.
    pub access_key_id: Option<String>,
    /// Role name of an assumed role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Session name of an assumed role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Kind of credential.
    pub credential_kind: Option<String>,
}

/// A resource acted upon.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TargetResource {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Its id.
    pub id: String,
}

/// Where one event of a finding is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    /// Key of the event in the lake, hex.
    pub event_key: String,
    /// The object or topic partition that it came from.
    pub source_object: Option<String>,
    /// Its position in that object or partition.
    pub source_position: Option<i64>,
}

/// Whether an analyst should investigate a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingStatus {
    /// Somebody should look at it.
    Open,
    /// Expected or allowed. It is stored and counted, and shown on request.
    Suppressed,
    /// No longer holds: a late event explains it or makes it part of another finding.
    Withdrawn,
}

impl FindingStatus {
    /// `open`, `suppressed` or `withdrawn`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Suppressed => "suppressed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn severity_name<S: Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(severity.name())
}

impl Finding {
    /// The time of the first event, microseconds since 1970 UTC; `None` for an event without a
    /// time.
    pub(crate) fn first_seen_micros(&self) -> Option<i64> {
        self.first_seen.as_deref().and_then(parse)
    }

    /// The time of the last event, microseconds since 1970 UTC; `None` for an event without a time.
    pub(crate) fn last_seen_micros(&self) -> Option<i64> {
        self.last_seen.as_deref().and_then(parse)
    }

    /// The source address for display: the text that was sent, with a remark where it is not an
    /// address.
    #[must_use]
    pub fn shown_source(&self) -> String {
        match (&self.source_ip, self.source_class.as_deref(), &self.client_ip) {
            (Some(text), Some("internal"), Some(client)) => {
                format!("{text} (caller says {client})")
            }
            (Some(text), Some("garbage"), _) => format!("{text} (not an address)"),
            (Some(text), ..) if !text.is_empty() => text.clone(),
            _ => "not recorded".to_owned(),
        }
    }
}
