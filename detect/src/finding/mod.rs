//! What a detection says: who, when, from where, what, and why.

pub mod defang;
pub(crate) mod grouping;
pub mod health;
pub mod language;
pub(crate) mod match_rows;
pub(crate) mod revision;
pub mod risk;

use serde::{Deserialize, Serialize, Serializer};
use trailhound_queries::packs::rules::Severity;

/// A finding, as every runtime makes it and every sink gets it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finding {
    /// Stable: the same facts give the same id, in any order and after any replay.
    pub finding_id: String,
    /// Id of the rule.
    pub rule_id: String,
    /// Version of the rule.
    pub rule_version: String,
    /// Which form of the rule matched; absent for the main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Title in English.
    pub title: String,
    /// Title in Chinese.
    pub title_zh: String,
    /// Highest severity among its events.
    #[serde(serialize_with = "severity_name")]
    pub severity: Severity,
    /// What is to be done with it.
    pub status: Status,
    /// MITRE ATT&CK techniques.
    pub attack: Vec<String>,
    /// Account.
    pub account_id: Option<String>,
    /// The account's name from the parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    /// Who.
    pub operator: Operator,
    /// Where from, as sent.
    pub source_ip: Option<String>,
    /// What kind of source that is.
    pub source_class: Option<String>,
    /// Best known address of the client, and how it is known.
    pub client_ip: Option<String>,
    /// See `client_ip`.
    pub client_ip_provenance: Option<String>,
    /// The client program, as it named itself.
    pub user_agent: Option<String>,
    /// Time of the first event, RFC 3339 UTC.
    pub event_time: Option<String>,
    /// The same as `event_time`.
    pub first_seen: Option<String>,
    /// Time of the last event.
    pub last_seen: Option<String>,
    /// Events.
    pub count: u64,
    /// What was done: service and event names, most frequent first.
    pub actions: Vec<String>,
    /// Regions.
    pub regions: Vec<String>,
    /// Outcomes.
    pub outcomes: Vec<String>,
    /// What it was done to.
    pub targets: Vec<Target>,
    /// The predicates that held, with the values seen.
    pub why: Vec<String>,
    /// What could not be known and mattered.
    pub unknowns: Vec<String>,
    /// Whether an operator, the platform or a schedule is behind it; only where the rule judges that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// What suppressed it.
    pub suppressed_by: Option<String>,
    /// Ids of all its events, in order of time.
    pub event_ids: Vec<String>,
    /// Where the events lie.
    pub evidence: Vec<Evidence>,
    /// What to do, in English.
    pub runbook: String,
}

/// Who did it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Operator {
    /// Kind of identity.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Name as sent.
    pub name: Option<String>,
    /// Principal id.
    pub principal_id: Option<String>,
    /// AccessKey id, masked.
    pub access_key_id: Option<String>,
    /// Role of an assumed role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Session of an assumed role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Kind of credential.
    pub credential_kind: Option<String>,
}

/// A resource acted upon.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Its id.
    pub id: String,
}

/// Where an event of a finding lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    /// Key of the event in the lake, hex.
    pub event_key: String,
    /// Object it came in.
    pub source_object: Option<String>,
    /// Its number there.
    pub source_position: Option<i64>,
}

/// What is to be done with a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Somebody should look.
    Open,
    /// Expected or allowed; kept, counted, shown on request.
    Suppressed,
    /// Was a finding until an event came late that explains it, or that makes it part of another.
    Withdrawn,
}

impl Status {
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
    /// The address to show: the source's own text, with what it is where that is no address.
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
