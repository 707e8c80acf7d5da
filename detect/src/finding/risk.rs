//! Risk scores of entities, and incidents.
//!
//! An entity is a principal, an AccessKey, an address or a resource that findings concern. Every
//! open finding adds to the score of each of its entities. The n-th newest finding of a rule adds
//!
//! `weight(severity) * 0.5 ^ (age / 7 days) / n`
//!
//! so that old findings and repetitions count less, and a person can check a score by hand.
//!
//! Example: three findings concern the principal `alice`. Her score is 67.5.
//!
//! | finding         | weight | age     | n | adds                  |
//! | --------------- | ------ | ------- | - | --------------------- |
//! | rule A, high    | 50     | 0 days  | 1 | 50                    |
//! | rule A, high    | 50     | 7 days  | 2 | 50 * 0.5 / 2 = 12.5   |
//! | rule B, medium  | 20     | 14 days | 1 | 20 * 0.25 / 1 = 5     |
//!
//! An incident is a chain of open findings of at least two rules. Two findings are linked if they
//! share an entity and the second begins at most one window after the first ends.
//!
//! Example, with a window of 24 hours: finding A at 10:00 concerns `alice` and the address
//! 203.0.113.9, finding B at 11:00 concerns `bob` and the same address, finding C at 12:00 concerns
//! `bob`. A and B share the address, B and C share `bob`: all three are one incident.

use crate::finding::{Finding, FindingStatus};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trailhound_queries::packs::rules::Severity;

/// Age at which a finding counts half, in microseconds.
const HALF_LIFE: f64 = 7.0 * 86_400_000_000.0;

/// The score of a new finding of this severity.
#[must_use]
pub fn weight(severity: Severity) -> f64 {
    match severity {
        Severity::Info => 1.0,
        Severity::Low => 5.0,
        Severity::Medium => 20.0,
        Severity::High => 50.0,
        Severity::Critical => 100.0,
    }
}

/// The kind of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// An actor: a user, a role session or root.
    Principal,
    /// An AccessKey, by its masked id.
    AccessKey,
    /// A source address.
    Address,
    /// A resource acted upon.
    Target,
}

impl EntityKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Principal, Self::AccessKey, Self::Address, Self::Target];

    /// `principal`, `access_key`, `address` or `target`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::AccessKey => "access_key",
            Self::Address => "address",
            Self::Target => "target",
        }
    }
}

/// A principal, AccessKey, address or resource that findings concern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Entity {
    /// Its kind.
    pub kind: EntityKind,
    /// Its account; `None` for addresses, which belong to no account.
    pub account_id: Option<String>,
    /// Its id: principal id, masked AccessKey id, address or resource id.
    pub id: String,
}

/// The contribution of one finding to an entity's score.
#[derive(Debug, Clone, Serialize)]
pub struct RiskTerm {
    /// The finding.
    pub finding_id: String,
    /// Its rule.
    pub rule_id: String,
    /// The weight of its severity.
    pub weight: f64,
    /// Its age in days.
    pub age_days: f64,
    /// Its number among the entity's findings of the same rule; the newest is 1.
    pub nth: u32,
    /// What it adds to the score: `weight * 0.5 ^ (age_days / 7) / nth`.
    pub adds: f64,
}

/// The score of an entity and the findings it is made of.
#[derive(Debug, Clone, Serialize)]
pub struct EntityRisk {
    /// The entity.
    #[serde(flatten)]
    pub entity: Entity,
    /// The name of a principal, where its findings have one.
    pub name: Option<String>,
    /// The sum of the contributions in `terms`.
    pub score: f64,
    /// Time of the latest event of its findings, RFC 3339.
    pub last_seen: Option<String>,
    /// The contributions, greatest first.
    pub terms: Vec<RiskTerm>,
}

/// Returns the entities that `finding` concerns.
#[must_use]
pub fn entities(finding: &Finding) -> BTreeSet<Entity> {
    let account_id = finding.account_id.clone();
    let entity =
        |kind, id: &str| Entity { kind, account_id: account_id.clone(), id: id.to_owned() };
    let operator = &finding.operator;
    let mut entities = BTreeSet::new();
    // Actions of the platform itself are nobody's risk.
    if operator.kind.as_deref() != Some("system") {
        entities.extend(
            operator
                .principal_id
                .as_deref()
                .or(operator.name.as_deref())
                .map(|id| entity(EntityKind::Principal, id)),
        );
    }
    entities.extend(operator.access_key_id.as_deref().map(|id| entity(EntityKind::AccessKey, id)));
    if finding.source_class.as_deref() == Some("ip") {
        let address = finding.client_ip.as_ref().or(finding.source_ip.as_ref());
        entities.extend(address.map(|id| Entity {
            kind: EntityKind::Address,
            account_id: None,
            id: id.clone(),
        }));
    }
    entities.extend(finding.targets.iter().map(|target| entity(EntityKind::Target, &target.id)));
    entities
}

/// Collects open findings by entity, and scores the entities at the end. It keeps of each finding
/// only what the score needs.
#[derive(Debug, Default)]
pub(crate) struct RiskAccumulator {
    by_entity: BTreeMap<Entity, Vec<Arc<ScoredFinding>>>,
}

/// The parts of a finding that a score depends on.
#[derive(Debug)]
struct ScoredFinding {
    finding_id: String,
    rule_id: String,
    severity: Severity,
    /// Time of its last event, microseconds since 1970 UTC.
    last_micros: Option<i64>,
    /// Time of its last event, RFC 3339.
    last_seen: Option<String>,
    /// Name of the actor.
    actor_name: Option<String>,
}

impl RiskAccumulator {
    /// Adds `finding` to every entity it concerns. Suppressed and withdrawn findings are ignored.
    pub(crate) fn add(&mut self, finding: &Finding) {
        if finding.status != FindingStatus::Open {
            return;
        }
        let scored = Arc::new(ScoredFinding {
            finding_id: finding.finding_id.clone(),
            rule_id: finding.rule_id.clone(),
            severity: finding.severity,
            last_micros: finding.last_seen_micros(),
            last_seen: finding.last_seen.clone(),
            actor_name: finding.operator.name.clone(),
        });
        for entity in entities(finding) {
            self.by_entity.entry(entity).or_default().push(Arc::clone(&scored));
        }
    }

    /// The number of entities.
    pub(crate) fn entity_count(&self) -> usize {
        self.by_entity.len()
    }

    /// Scores all entities at `now` (microseconds since 1970 UTC) and returns the `limit` greatest
    /// scores, greatest first.
    pub(crate) fn top(self, now: i64, limit: usize) -> Vec<EntityRisk> {
        let keep_greatest = |risks: &mut Vec<EntityRisk>| {
            risks.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.entity.cmp(&b.entity)));
            risks.truncate(limit);
        };
        let mut risks = Vec::new();
        for (entity, findings) in self.by_entity {
            risks.push(score_entity(entity, findings, now));
            // Bounds memory: of many entities only few are kept.
            if risks.len() >= limit.saturating_mul(2).max(1024) {
                keep_greatest(&mut risks);
            }
        }
        keep_greatest(&mut risks);
        risks
    }
}

/// Scores the entities of all open `findings` at `now` (microseconds since 1970 UTC), greatest
/// score first.
#[must_use]
pub fn entity_risks<'f>(
    findings: impl IntoIterator<Item = &'f Finding>,
    now: i64,
) -> Vec<EntityRisk> {
    let mut accumulator = RiskAccumulator::default();
    findings.into_iter().for_each(|finding| accumulator.add(finding));
    accumulator.top(now, usize::MAX)
}

fn open<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> impl Iterator<Item = &'f Finding> {
    findings.into_iter().filter(|finding| finding.status == FindingStatus::Open)
}

fn score_entity(entity: Entity, mut findings: Vec<Arc<ScoredFinding>>, now: i64) -> EntityRisk {
    findings.sort_by(|a, b| {
        b.last_micros.cmp(&a.last_micros).then_with(|| a.finding_id.cmp(&b.finding_id))
    });
    let mut count_by_rule: BTreeMap<&str, u32> = BTreeMap::new();
    let mut terms = Vec::new();
    for finding in &findings {
        let nth = count_by_rule.entry(&finding.rule_id).and_modify(|n| *n += 1).or_insert(1);
        // A finding without a time counts as new, and so does one in the future.
        #[allow(clippy::cast_precision_loss, reason = "a score")]
        let age = finding.last_micros.map_or(0.0, |last| now.saturating_sub(last).max(0) as f64);
        let weight = weight(finding.severity);
        terms.push(RiskTerm {
            finding_id: finding.finding_id.clone(),
            rule_id: finding.rule_id.clone(),
            weight,
            age_days: age / 86_400_000_000.0,
            nth: *nth,
            adds: weight * 0.5_f64.powf(age / HALF_LIFE) / f64::from(*nth),
        });
    }
    terms.sort_by(|a, b| b.adds.total_cmp(&a.adds).then_with(|| a.finding_id.cmp(&b.finding_id)));
    let name = findings
        .iter()
        .find_map(|finding| finding.actor_name.clone())
        .filter(|_| entity.kind == EntityKind::Principal);
    let last_seen = findings
        .iter()
        .max_by_key(|finding| finding.last_micros)
        .and_then(|finding| finding.last_seen.clone());
    EntityRisk { entity, name, score: terms.iter().map(|term| term.adds).sum(), last_seen, terms }
}

/// A chain of findings of at least two rules that are linked by shared entities.
#[derive(Debug, Serialize)]
pub struct Incident<'f> {
    /// Id of its first finding, so that later findings do not change it.
    pub incident_id: String,
    /// The entities that at least two of its findings share.
    pub entities: BTreeSet<Entity>,
    /// The highest severity of its findings.
    #[serde(serialize_with = "severity_name")]
    pub severity: Severity,
    /// Its findings in order of time.
    #[serde(serialize_with = "finding_ids")]
    pub findings: Vec<&'f Finding>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn severity_name<S: serde::Serializer>(
    severity: &Severity,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(severity.name())
}

fn finding_ids<S: serde::Serializer>(
    findings: &[&Finding],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(findings.iter().map(|finding| &finding.finding_id))
}

/// Finds the incidents among the open `findings`, in order of time.
///
/// Two findings are linked if they share an entity and the second begins at most `window`
/// microseconds after the first ends. `is_shared` is true for entities that many people use, such
/// as an office's address; such entities link nothing. Findings without a time are left out.
#[must_use]
pub fn incidents<'f>(
    findings: &'f [Finding],
    window: i64,
    is_shared: &dyn Fn(&Entity) -> bool,
) -> Vec<Incident<'f>> {
    let mut timed: Vec<(i64, i64, &Finding)> = Vec::new();
    for finding in open(findings) {
        let first = finding.first_seen_micros();
        timed.extend(
            first.map(|first| (first, finding.last_seen_micros().unwrap_or(first), finding)),
        );
    }
    timed.sort_by(|a, b| (a.0, &a.2.finding_id).cmp(&(b.0, &b.2.finding_id)));
    // Union-find: `parent[i]` leads to the first finding of the chain that finding `i` belongs to.
    let mut parent: Vec<usize> = (0..timed.len()).collect();
    // Per entity: the end of its latest finding, and the number of that finding.
    let mut latest: BTreeMap<Entity, (i64, usize)> = BTreeMap::new();
    for (number, (first, last, finding)) in timed.iter().enumerate() {
        for entity in entities(finding).into_iter().filter(|entity| !is_shared(entity)) {
            let before = latest.get(&entity).copied();
            if let Some((_, other)) =
                before.filter(|(until, _)| *first <= until.saturating_add(window))
            {
                join(&mut parent, other, number);
            }
            let until = before.map_or(*last, |(until, _)| until.max(*last));
            latest.insert(entity, (until, number));
        }
    }
    let mut chains: BTreeMap<usize, Vec<&Finding>> = BTreeMap::new();
    for (number, (_, _, finding)) in timed.iter().enumerate() {
        chains.entry(root(&parent, number)).or_default().push(finding);
    }
    chains.into_values().filter_map(|findings| incident(findings, is_shared)).collect()
}

/// Returns the number of the first finding of the chain that finding `number` belongs to.
fn root(parent: &[usize], mut number: usize) -> usize {
    while parent[number] != number {
        number = parent[number];
    }
    number
}

/// Joins the chains of the findings `a` and `b`.
fn join(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parent, a), root(parent, b));
    parent[a.max(b)] = a.min(b);
}

/// Makes the incident of one chain; `None` where all its findings are of one rule.
fn incident<'f>(
    findings: Vec<&'f Finding>,
    is_shared: &dyn Fn(&Entity) -> bool,
) -> Option<Incident<'f>> {
    let rules: BTreeSet<&str> = findings.iter().map(|finding| finding.rule_id.as_str()).collect();
    if rules.len() < 2 {
        return None;
    }
    let mut counts: BTreeMap<Entity, usize> = BTreeMap::new();
    for entity in
        findings.iter().flat_map(|finding| entities(finding)).filter(|entity| !is_shared(entity))
    {
        *counts.entry(entity).or_default() += 1;
    }
    Some(Incident {
        incident_id: findings[0].finding_id.clone(),
        entities: counts
            .into_iter()
            .filter(|(_, count)| *count > 1)
            .map(|(entity, _)| entity)
            .collect(),
        severity: findings.iter().map(|finding| finding.severity).max()?,
        findings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::health::sample_finding;
    use trailhound_datasets::derive::time::parse;

    #[test]
    fn the_greatest_risks_are_the_first_of_all() {
        let now = parse("2026-10-01T00:00:00Z").expect("a time");
        let severities = [Severity::Info, Severity::Critical, Severity::Low, Severity::High];
        // One finding of each principal, two of a third of them; a fifth of all from addresses that
        // are shared.
        let finding = |number: usize| {
            let mut finding = Finding {
                severity: severities[number * 7 % 4],
                finding_id: format!("f{number}"),
                ..sample_finding(0)
            };
            finding.operator.principal_id = Some(format!("p{}", number % 3000));
            finding.client_ip =
                number.is_multiple_of(5).then(|| format!("203.0.113.{}", number % 250));
            finding.source_class = Some("ip".to_owned());
            finding
        };
        let findings: Vec<Finding> = (0..4000).map(finding).collect();
        let shown = |risks: &[EntityRisk]| serde_json::to_value(risks).expect("JSON");
        let all = entity_risks(&findings, now);
        assert!(
            all.len() > 3000 && all.windows(2).all(|pair| pair[0].score >= pair[1].score),
            "{}",
            all.len()
        );
        let mut some = RiskAccumulator::default();
        findings.iter().for_each(|finding| some.add(finding));
        assert_eq!(some.entity_count(), all.len());
        assert_eq!(shown(&some.top(now, 20)), shown(&all[..20]));
    }
}
