//! Findings by whom and what they concern: entities with a risk that decays, and incidents.
//!
//! The arithmetic is meant to be done again by hand: each finding counts with the weight of its severity, halved for every week it is
//! old, and the n-th finding of one rule counts the n-th part.

use crate::finding::{Finding, Status};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trailhound_datasets::derive::time::parse;
use trailhound_queries::packs::rules::Severity;

/// Time in which what a finding counts is halved, in microseconds.
const HALF_LIFE: f64 = 7.0 * 86_400_000_000.0;

/// What a finding counts when it is new.
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

/// Kind of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// Somebody who acts: a user, a role's session, root.
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

/// Somebody or something that findings concern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Entity {
    /// What it is.
    pub kind: EntityKind,
    /// Its account; `None` for addresses, which belong to none.
    pub account_id: Option<String>,
    /// Its id: principal id, masked key id, address, resource id.
    pub id: String,
}

/// What one finding adds to an entity's risk.
#[derive(Debug, Clone, Serialize)]
pub struct Term {
    /// The finding.
    pub finding_id: String,
    /// Its rule.
    pub rule_id: String,
    /// Its severity's weight.
    pub weight: f64,
    /// Its age in days.
    pub age_days: f64,
    /// It is the n-th finding of this rule here, the newest first.
    pub nth: u32,
    /// What it adds: weight * 0.5 ^ (age / 7 days) / n.
    pub adds: f64,
}

/// An entity's risk and how it comes about.
#[derive(Debug, Clone, Serialize)]
pub struct Risk {
    /// The entity.
    #[serde(flatten)]
    pub entity: Entity,
    /// Its name, where findings tell one.
    pub name: Option<String>,
    /// The sum of the terms.
    pub score: f64,
    /// Time of the latest event of its findings, RFC 3339.
    pub last_seen: Option<String>,
    /// The terms, greatest first.
    pub terms: Vec<Term>,
}

/// Whom and what a finding concerns.
#[must_use]
pub fn entities(finding: &Finding) -> BTreeSet<Entity> {
    let account_id = finding.account_id.clone();
    let of = |kind, id: &str| Entity { kind, account_id: account_id.clone(), id: id.to_owned() };
    let operator = &finding.operator;
    let mut entities = BTreeSet::new();
    // What the platform does by itself is nobody's risk.
    if operator.kind.as_deref() != Some("system") {
        entities.extend(
            operator
                .principal_id
                .as_deref()
                .or(operator.name.as_deref())
                .map(|id| of(EntityKind::Principal, id)),
        );
    }
    entities.extend(operator.access_key_id.as_deref().map(|id| of(EntityKind::AccessKey, id)));
    if finding.source_class.as_deref() == Some("ip") {
        let address = finding.client_ip.as_ref().or(finding.source_ip.as_ref());
        entities.extend(address.map(|id| Entity {
            kind: EntityKind::Address,
            account_id: None,
            id: id.clone(),
        }));
    }
    entities.extend(finding.targets.iter().map(|target| of(EntityKind::Target, &target.id)));
    entities
}

/// Findings by whom and what they concern, until the risk is asked for. Only findings to be looked at count.
#[derive(Debug, Default)]
pub(crate) struct Risks {
    by_entity: BTreeMap<Entity, Vec<Arc<Counted>>>,
}

/// What a finding counts by.
#[derive(Debug)]
struct Counted {
    finding_id: String,
    rule_id: String,
    severity: Severity,
    /// Time of its last event.
    last: Option<i64>,
    last_seen: Option<String>,
    operator: Option<String>,
}

impl Risks {
    /// Counts `finding` with every entity it concerns.
    pub(crate) fn add(&mut self, finding: &Finding) {
        if finding.status != Status::Open {
            return;
        }
        let counted = Arc::new(Counted {
            finding_id: finding.finding_id.clone(),
            rule_id: finding.rule_id.clone(),
            severity: finding.severity,
            last: last(finding),
            last_seen: finding.last_seen.clone(),
            operator: finding.operator.name.clone(),
        });
        for entity in entities(finding) {
            self.by_entity.entry(entity).or_default().push(Arc::clone(&counted));
        }
    }

    /// How many entities there are.
    pub(crate) fn len(&self) -> usize {
        self.by_entity.len()
    }

    /// The greatest risks at `now` (microseconds UTC), no more than `most`, greatest first.
    pub(crate) fn greatest(self, now: i64, most: usize) -> Vec<Risk> {
        let cut = |risks: &mut Vec<Risk>| {
            risks.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.entity.cmp(&b.entity)));
            risks.truncate(most);
        };
        let mut risks = Vec::new();
        for (entity, counted) in self.by_entity {
            risks.push(risk(entity, counted, now));
            if risks.len() >= most.saturating_mul(2).max(1024) {
                cut(&mut risks);
            }
        }
        cut(&mut risks);
        risks
    }
}

/// The risk of every entity at `now` (microseconds UTC), greatest first. Only findings to be looked at count.
#[must_use]
pub fn risks<'f>(findings: impl IntoIterator<Item = &'f Finding>, now: i64) -> Vec<Risk> {
    let mut risks = Risks::default();
    findings.into_iter().for_each(|finding| risks.add(finding));
    risks.greatest(now, usize::MAX)
}

fn open<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> impl Iterator<Item = &'f Finding> {
    findings.into_iter().filter(|finding| finding.status == Status::Open)
}

/// When the last event of a finding was.
fn last(finding: &Finding) -> Option<i64> {
    finding.last_seen.as_deref().and_then(parse)
}

fn risk(entity: Entity, mut findings: Vec<Arc<Counted>>, now: i64) -> Risk {
    findings.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.finding_id.cmp(&b.finding_id)));
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut terms = Vec::new();
    for finding in &findings {
        let nth = seen.entry(&finding.rule_id).and_modify(|n| *n += 1).or_insert(1);
        // What has no time may be of today; what lies in the future is not old.
        #[allow(clippy::cast_precision_loss, reason = "a score")]
        let age = finding.last.map_or(0.0, |last| now.saturating_sub(last).max(0) as f64);
        let weight = weight(finding.severity);
        terms.push(Term {
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
        .find_map(|finding| finding.operator.clone())
        .filter(|_| entity.kind == EntityKind::Principal);
    let last_seen = findings
        .iter()
        .max_by_key(|finding| finding.last)
        .and_then(|finding| finding.last_seen.clone());
    Risk { entity, name, score: terms.iter().map(|term| term.adds).sum(), last_seen, terms }
}

/// Findings of several rules that concern the same entities in quick succession.
#[derive(Debug, Serialize)]
pub struct Incident<'f> {
    /// Id of its first finding: what comes later does not change it.
    pub incident_id: String,
    /// The entities that hold it together.
    pub entities: BTreeSet<Entity>,
    /// Highest severity.
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

/// The incidents among `findings`, in order of time: findings to be looked at, of at least two rules, each within `window` (microseconds)
/// of the one before that shares an entity with it. `shared` tells addresses that many people come from: they connect nothing.
#[must_use]
pub fn incidents<'f>(
    findings: &'f [Finding],
    window: i64,
    shared: &dyn Fn(&Entity) -> bool,
) -> Vec<Incident<'f>> {
    let mut timed: Vec<(i64, i64, &Finding)> = Vec::new();
    for finding in open(findings) {
        let first = finding.first_seen.as_deref().and_then(parse);
        timed.extend(first.map(|first| (first, last(finding).unwrap_or(first), finding)));
    }
    timed.sort_by(|a, b| (a.0, &a.2.finding_id).cmp(&(b.0, &b.2.finding_id)));
    // Which incident each finding is part of, by the number of its first finding.
    let mut part_of: Vec<usize> = (0..timed.len()).collect();
    let mut latest: BTreeMap<Entity, (i64, usize)> = BTreeMap::new();
    for (number, (first, last, finding)) in timed.iter().enumerate() {
        for entity in entities(finding).into_iter().filter(|entity| !shared(entity)) {
            let before = latest.get(&entity).copied();
            if let Some((_, other)) =
                before.filter(|(until, _)| *first <= until.saturating_add(window))
            {
                join(&mut part_of, other, number);
            }
            let until = before.map_or(*last, |(until, _)| until.max(*last));
            latest.insert(entity, (until, number));
        }
    }
    let mut parts: BTreeMap<usize, Vec<&Finding>> = BTreeMap::new();
    for (number, (_, _, finding)) in timed.iter().enumerate() {
        parts.entry(root(&part_of, number)).or_default().push(finding);
    }
    parts.into_values().filter_map(|findings| incident(findings, shared)).collect()
}

fn root(part_of: &[usize], mut number: usize) -> usize {
    while part_of[number] != number {
        number = part_of[number];
    }
    number
}

fn join(part_of: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(part_of, a), root(part_of, b));
    part_of[a.max(b)] = a.min(b);
}

fn incident<'f>(
    findings: Vec<&'f Finding>,
    shared: &dyn Fn(&Entity) -> bool,
) -> Option<Incident<'f>> {
    let rules: BTreeSet<&str> = findings.iter().map(|finding| finding.rule_id.as_str()).collect();
    if rules.len() < 2 {
        return None;
    }
    let mut counts: BTreeMap<Entity, usize> = BTreeMap::new();
    for entity in
        findings.iter().flat_map(|finding| entities(finding)).filter(|entity| !shared(entity))
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
    use crate::finding::health::sample;

    #[test]
    fn the_greatest_risks_are_the_first_of_all() {
        let now = parse("2026-10-01T00:00:00Z").expect("a time");
        let severities = [Severity::Info, Severity::Critical, Severity::Low, Severity::High];
        // One finding of each principal, two of a third of them; a fifth of all from addresses that are shared.
        let finding = |number: usize| {
            let mut finding = Finding {
                severity: severities[number * 7 % 4],
                finding_id: format!("f{number}"),
                ..sample(0)
            };
            finding.operator.principal_id = Some(format!("p{}", number % 3000));
            finding.client_ip =
                number.is_multiple_of(5).then(|| format!("203.0.113.{}", number % 250));
            finding.source_class = Some("ip".to_owned());
            finding
        };
        let findings: Vec<Finding> = (0..4000).map(finding).collect();
        let shown = |risks: &[Risk]| serde_json::to_value(risks).expect("JSON");
        let all = risks(&findings, now);
        assert!(
            all.len() > 3000 && all.windows(2).all(|pair| pair[0].score >= pair[1].score),
            "{}",
            all.len()
        );
        let mut some = Risks::default();
        findings.iter().for_each(|finding| some.add(finding));
        assert_eq!(some.len(), all.len());
        assert_eq!(shown(&some.greatest(now, 20)), shown(&all[..20]));
    }
}
