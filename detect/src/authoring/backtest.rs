//! What rules would say of the past, without keeping it: how much, about whom, and what other parameters would change.

use crate::finding::{Finding, Status};
use std::collections::{BTreeMap, BTreeSet};

/// How much a set of findings would ask of people.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Noise {
    /// Findings to look at.
    pub open: u64,
    /// Findings that exceptions and windows cover.
    pub suppressed: u64,
    /// Findings to look at by the day of their first event; `not known` where it has no time.
    pub by_day: BTreeMap<String, u64>,
    /// Findings to look at by who acted.
    pub by_entity: BTreeMap<String, u64>,
    /// Findings to look at by rule.
    pub by_rule: BTreeMap<String, u64>,
}

impl Noise {
    /// Counts `findings`.
    #[must_use]
    pub fn of(findings: &[Finding]) -> Self {
        let mut noise = Self::default();
        for finding in findings {
            if finding.status != Status::Open {
                noise.suppressed += 1;
                continue;
            }
            noise.open += 1;
            let day = finding
                .first_seen
                .as_deref()
                .and_then(|time| time.get(..10))
                .unwrap_or("not known");
            *noise.by_day.entry(day.to_owned()).or_default() += 1;
            *noise.by_entity.entry(entity(finding)).or_default() += 1;
            *noise.by_rule.entry(finding.rule_id.clone()).or_default() += 1;
        }
        noise
    }

    /// Findings to look at on an ordinary and on the worst of `days` days: the median, days without any counted, and the most.
    #[must_use]
    pub fn per_day(&self, days: u64) -> (u64, u64) {
        let mut counts: Vec<u64> = self
            .by_day
            .iter()
            .filter(|(day, _)| *day != "not known")
            .map(|(_, count)| *count)
            .collect();
        let quiet = days.saturating_sub(counts.len() as u64);
        counts.extend(std::iter::repeat_n(0, usize::try_from(quiet).unwrap_or(0)));
        counts.sort_unstable();
        (counts.get(counts.len() / 2).copied().unwrap_or(0), counts.last().copied().unwrap_or(0))
    }
}

/// Who acted, with the account.
fn entity(finding: &Finding) -> String {
    let operator = &finding.operator;
    let who = operator
        .name
        .as_ref()
        .or(operator.principal_id.as_ref())
        .map_or("nobody named", String::as_str);
    match finding.account_name.as_ref().or(finding.account_id.as_ref()) {
        Some(account) => format!("{who} in {account}"),
        None => who.to_owned(),
    }
}

/// What would become of findings that are to be looked at if something else were configured.
#[derive(Debug)]
pub struct Change<'f> {
    /// There only then.
    pub added: Vec<&'f Finding>,
    /// There no longer, with what would suppress the same events then.
    pub removed: Vec<(&'f Finding, Option<&'f str>)>,
}

/// Compares what there is `before` with what there would be `after`, by the events the findings hold.
#[must_use]
pub fn compare<'f>(before: &'f [Finding], after: &'f [Finding]) -> Change<'f> {
    let key = |finding: &'f Finding| {
        (finding.rule_id.as_str(), finding.variant.as_deref(), &finding.event_ids)
    };
    let open =
        |findings: &'f [Finding]| findings.iter().filter(|finding| finding.status == Status::Open);
    let had: BTreeSet<_> = open(before).map(key).collect();
    let has: BTreeSet<_> = open(after).map(key).collect();
    let suppressor = |finding: &Finding| {
        let same = |other: &&'f Finding| {
            other.rule_id == finding.rule_id
                && other.event_ids.iter().any(|id| finding.event_ids.contains(id))
        };
        after
            .iter()
            .filter(|other| other.status == Status::Suppressed)
            .find(same)
            .and_then(|other| other.suppressed_by.as_deref())
    };
    Change {
        added: open(after).filter(|finding| !had.contains(&key(finding))).collect(),
        removed: open(before)
            .filter(|finding| !has.contains(&key(finding)))
            .map(|finding| (finding, suppressor(finding)))
            .collect(),
    }
}
