//! Verification of stored findings: compares them with findings that were derived again from the
//! events of the lake.

use crate::evaluate::batch::Detection;
use crate::evaluate::scope::TimeRange;
use crate::finding::health::NOT_UNDERSTOOD_RULE;
use crate::finding::{Finding, FindingStatus};
use crate::store::StoreError;
use crate::store::findings::retained_from;
use serde::Deserialize;
use serde_json::Value;
use sqlx::{AnyConnection, AnyPool};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A finding whose stored form differs from the one derived from the lake's events.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Id of the finding.
    pub finding_id: String,
    /// Id of its rule.
    pub rule_id: String,
    /// How it differs.
    #[serde(flatten)]
    pub kind: DifferenceKind,
}

/// How a stored finding differs from the one derived from the lake.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "difference")]
pub enum DifferenceKind {
    /// It was derived and is not stored.
    #[serde(rename = "not_kept")]
    NotStored,
    /// It is stored and was not derived.
    #[serde(rename = "not_found")]
    NotDerived,
    /// It is stored with other content than derived.
    #[serde(rename = "other")]
    ContentDiffers {
        /// Names of the JSON members that differ.
        members: Vec<String>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.kind {
            DifferenceKind::NotStored => {
                "the events of the lake yield it, but it is not kept".to_owned()
            }
            DifferenceKind::NotDerived => {
                "it is kept, but the events of the lake do not yield it".to_owned()
            }
            DifferenceKind::ContentDiffers { members } => {
                format!("it is kept with other values of {}", members.join(", "))
            }
        };
        write!(f, "{} {}: {what}", self.rule_id, self.finding_id)
    }
}

/// The result of a verification.
#[derive(Debug, serde::Serialize)]
pub struct VerifiedFindings {
    /// Number of findings compared.
    pub findings: usize,
    /// Number of stored findings that cannot be derived any more: retention has dropped events they
    /// depend on.
    pub beyond_retention: usize,
    /// The findings that differ.
    pub differences: Vec<Difference>,
}

/// Compares the stored findings of the rules that ran with the `derived` findings, which cover
/// `range`.
///
/// # Errors
/// [`StoreError`] where the catalog database cannot be read or a stored finding is not valid JSON.
pub async fn verify(
    catalog: &AnyPool,
    derived: &Detection,
    range: TimeRange,
) -> Result<VerifiedFindings, StoreError> {
    let mut db = catalog.acquire().await?;
    let retained_from = retained_from(&mut db).await?;
    // A rule has one scope for what it finds and one for what it cannot judge.
    let mut lookback_by_rule: BTreeMap<&str, i64> = BTreeMap::new();
    // What is said about a source when events come need not hold once more of them have come.
    for scope in derived.scopes.iter().filter(|scope| scope.rule_id != NOT_UNDERSTOOD_RULE) {
        let lookback = lookback_by_rule.entry(scope.rule_id.as_str()).or_default();
        *lookback = (*lookback).max(scope.dependency_micros);
    }
    let derived_by_id: BTreeMap<&str, &Finding> =
        derived.findings.iter().map(|finding| (finding.finding_id.as_str(), finding)).collect();
    let mut verified = VerifiedFindings {
        findings: derived_by_id.len(),
        beyond_retention: 0,
        differences: Vec::new(),
    };
    let mut stored_ids = BTreeSet::new();
    for stored in stored_findings(&mut db).await? {
        let Some(lookback) = lookback_by_rule.get(stored.rule_id.as_str()) else { continue };
        let value: Value = serde_json::from_str(&stored.body)?;
        match derived_by_id.get(stored.finding_id.as_str()) {
            Some(derived) => {
                let members = differing_members(&serde_json::to_value(derived)?, &value);
                if !members.is_empty() {
                    let kind = DifferenceKind::ContentDiffers { members };
                    verified.differences.push(stored.difference(kind));
                }
            }
            None => {
                let derivable_from = retained_from.saturating_add(*lookback);
                verified.add_not_derived(
                    &stored,
                    &Finding::deserialize(value)?,
                    range,
                    derivable_from,
                );
            }
        }
        stored_ids.insert(stored.finding_id);
    }
    let not_stored = derived.findings.iter().filter(|finding| {
        finding.rule_id != NOT_UNDERSTOOD_RULE && !stored_ids.contains(&finding.finding_id)
    });
    verified.differences.extend(not_stored.map(|finding| Difference {
        finding_id: finding.finding_id.clone(),
        rule_id: finding.rule_id.clone(),
        kind: DifferenceKind::NotStored,
    }));
    Ok(verified)
}

impl VerifiedFindings {
    /// Counts a stored finding that was not derived. It differs if `range` covers it and its first
    /// event is not before `derivable_from` (microseconds since 1970 UTC): of older findings,
    /// retention may have dropped events.
    fn add_not_derived(
        &mut self,
        stored: &StoredFinding,
        finding: &Finding,
        range: TimeRange,
        derivable_from: i64,
    ) {
        if !range.includes(finding) {
            return;
        }
        self.findings += 1;
        if finding.first_seen_micros().is_some_and(|time| time < derivable_from) {
            self.beyond_retention += 1;
        } else {
            self.differences.push(stored.difference(DifferenceKind::NotDerived));
        }
    }
}

/// A row of the table of findings.
struct StoredFinding {
    finding_id: String,
    rule_id: String,
    /// The finding as JSON.
    body: String,
}

impl StoredFinding {
    fn difference(&self, kind: DifferenceKind) -> Difference {
        Difference { finding_id: self.finding_id.clone(), rule_id: self.rule_id.clone(), kind }
    }
}

/// Reads the stored findings that are not withdrawn, in order of time.
async fn stored_findings(db: &mut AnyConnection) -> Result<Vec<StoredFinding>, StoreError> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT finding_id, rule_id, finding FROM trailhound_latest_finding WHERE status <> $1 ORDER BY first_seen, finding_id")
            .bind(FindingStatus::Withdrawn.name())
            .fetch_all(db)
            .await?;
    let stored = |(finding_id, rule_id, body)| StoredFinding { finding_id, rule_id, body };
    Ok(rows.into_iter().map(stored).collect())
}

/// Returns the names of the members in which two JSON objects differ.
fn differing_members(a: &Value, b: &Value) -> Vec<String> {
    let names = |value: &Value| {
        value
            .as_object()
            .map(|object| object.keys().cloned().collect::<BTreeSet<_>>())
            .unwrap_or_default()
    };
    names(a)
        .union(&names(b))
        .filter(|name| a.get(name.as_str()) != b.get(name.as_str()))
        .cloned()
        .collect()
}
