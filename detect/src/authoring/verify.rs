//! Proving that the findings kept are those the lake gives: they are derived again and compared.

use crate::evaluate::batch::Detection;
use crate::evaluate::scope::Range;
use crate::finding::{Finding, Status};
use crate::store::StoreError;
use crate::store::findings::retained_from;
use serde_json::Value;
use sqlx::AnyPool;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use trailhound_datasets::derive::time::parse;

/// A finding that is not as the lake gives it.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The finding.
    pub finding_id: String,
    /// Its rule.
    pub rule_id: String,
    /// How it differs.
    #[serde(flatten)]
    pub kind: Kind,
}

/// How a finding that is kept differs from what the lake gives.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Kind {
    /// The lake gives it and it is not kept.
    NotKept,
    /// It is kept and the lake does not give it.
    NotFound,
    /// Both, with other content.
    Other {
        /// Its members that differ.
        members: Vec<String>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.kind {
            Kind::NotKept => "the lake gives it, but it is not kept".to_owned(),
            Kind::NotFound => "it is kept, but the lake does not give it".to_owned(),
            Kind::Other { members } => format!("what is kept differs in {}", members.join(", ")),
        };
        write!(f, "{} {}: {what}", self.rule_id, self.finding_id)
    }
}

/// What a comparison gave.
#[derive(Debug, serde::Serialize)]
pub struct VerifiedFindings {
    /// Findings compared.
    pub findings: usize,
    /// Findings kept that nobody can judge any more: the retention has dropped what they depend on.
    pub beyond_retention: usize,
    /// What differs.
    pub differences: Vec<Difference>,
}

/// Compares what is kept in `catalogue` of the rules that ran with what they gave just now over `range`.
///
/// # Errors
/// [`StoreError`].
pub async fn verify(
    catalogue: &AnyPool,
    derived: &Detection,
    range: Range,
) -> Result<VerifiedFindings, StoreError> {
    let mut db = catalogue.acquire().await?;
    let retained_from = retained_from(&mut db).await?;
    let depends: BTreeMap<&str, i64> =
        derived.decided.iter().map(|decided| (decided.rule_id.as_str(), decided.depends)).collect();
    let given: BTreeMap<&str, &Finding> =
        derived.findings.iter().map(|finding| (finding.finding_id.as_str(), finding)).collect();
    let mut verified =
        VerifiedFindings { findings: given.len(), beyond_retention: 0, differences: Vec::new() };
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT finding_id, rule_id, finding FROM trailhound_finding WHERE status <> $1 ORDER BY first_seen, finding_id")
            .bind(Status::Withdrawn.name())
            .fetch_all(&mut *db)
            .await?;
    let mut kept = BTreeSet::new();
    for (finding_id, rule_id, body) in rows {
        let Some(depends) = depends.get(rule_id.as_str()) else { continue };
        let found: Finding = serde_json::from_str(&body)?;
        match given.get(finding_id.as_str()) {
            Some(given) => {
                let members =
                    differing(&serde_json::to_value(given)?, &serde_json::from_str(&body)?);
                if !members.is_empty() {
                    verified.differences.push(Difference {
                        finding_id: finding_id.clone(),
                        rule_id,
                        kind: Kind::Other { members },
                    });
                }
            }
            None if !range.holds(&found) => {}
            None if first(&found)
                .is_some_and(|time| time < retained_from.saturating_add(*depends)) =>
            {
                verified.findings += 1;
                verified.beyond_retention += 1;
            }
            None => {
                verified.findings += 1;
                verified.differences.push(Difference {
                    finding_id: finding_id.clone(),
                    rule_id,
                    kind: Kind::NotFound,
                });
            }
        }
        kept.insert(finding_id);
    }
    for finding in derived.findings.iter().filter(|finding| !kept.contains(&finding.finding_id)) {
        let (finding_id, rule_id) = (finding.finding_id.clone(), finding.rule_id.clone());
        verified.differences.push(Difference { finding_id, rule_id, kind: Kind::NotKept });
    }
    Ok(verified)
}

fn first(finding: &Finding) -> Option<i64> {
    finding.first_seen.as_deref().and_then(parse)
}

/// Names of the members in which two objects differ.
fn differing(a: &Value, b: &Value) -> Vec<String> {
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
