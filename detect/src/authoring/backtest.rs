//! Backtest: counts the findings that rules make over past events, without storing them, and
//! compares the findings of two configurations.

use crate::finding::{Finding, FindingStatus};
use chrono::DateTime;
use chrono_tz::Tz;
use std::collections::{BTreeMap, BTreeSet};

/// The number of findings that people would have to look at, by day, actor and rule.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AlertVolume {
    /// Open findings.
    pub open: u64,
    /// Suppressed findings.
    pub suppressed: u64,
    /// Open findings by the day of their first event, `2026-01-31`; `not known` for events without
    /// a time.
    pub by_day: BTreeMap<String, u64>,
    /// Open findings by actor and account.
    pub by_actor: BTreeMap<String, u64>,
    /// Open findings by rule id.
    pub by_rule: BTreeMap<String, u64>,
}

impl AlertVolume {
    /// Counts `findings`, with the days of the time zone `zone`.
    #[must_use]
    pub fn of(findings: &[Finding], zone: Tz) -> Self {
        let mut volume = Self::default();
        for finding in findings {
            if finding.status != FindingStatus::Open {
                volume.suppressed += 1;
                continue;
            }
            volume.open += 1;
            let day = finding
                .first_seen
                .as_deref()
                .and_then(|time| DateTime::parse_from_rfc3339(time).ok())
                .map(|time| time.with_timezone(&zone).date_naive().to_string());
            *volume.by_day.entry(day.unwrap_or_else(|| "not known".to_owned())).or_default() += 1;
            *volume.by_actor.entry(actor(finding)).or_default() += 1;
            *volume.by_rule.entry(finding.rule_id.clone()).or_default() += 1;
        }
        volume
    }

    /// Returns the median and the maximum of open findings a day over `days` days; days without
    /// findings count as zero.
    #[must_use]
    pub fn median_and_max_per_day(&self, days: u64) -> (u64, u64) {
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

/// Returns the actor and the account, such as `alice in 1234567890`.
fn actor(finding: &Finding) -> String {
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

/// The open findings in which two configurations differ.
#[derive(Debug)]
pub struct FindingsDiff<'f> {
    /// Findings that only the second configuration makes.
    pub added: Vec<&'f Finding>,
    /// Findings that only the first configuration makes, each with what suppresses its events in
    /// the second, if anything does.
    pub removed: Vec<(&'f Finding, Option<&'f str>)>,
}

/// Compares the findings of two configurations. Two open findings are the same if rule, variant and
/// event ids are the same.
#[must_use]
pub fn compare<'f>(before: &'f [Finding], after: &'f [Finding]) -> FindingsDiff<'f> {
    let key = |finding: &'f Finding| {
        (finding.rule_id.as_str(), finding.variant.as_deref(), &finding.event_ids)
    };
    let open = |findings: &'f [Finding]| {
        findings.iter().filter(|finding| finding.status == FindingStatus::Open)
    };
    let keys_before: BTreeSet<_> = open(before).map(key).collect();
    let keys_after: BTreeSet<_> = open(after).map(key).collect();
    let suppressor = |finding: &Finding| {
        let shares_event = |other: &&'f Finding| {
            other.rule_id == finding.rule_id
                && other.event_ids.iter().any(|id| finding.event_ids.contains(id))
        };
        after
            .iter()
            .filter(|other| other.status == FindingStatus::Suppressed)
            .find(shares_event)
            .and_then(|other| other.suppressed_by.as_deref())
    };
    FindingsDiff {
        added: open(after).filter(|finding| !keys_before.contains(&key(finding))).collect(),
        removed: open(before)
            .filter(|finding| !keys_after.contains(&key(finding)))
            .map(|finding| (finding, suppressor(finding)))
            .collect(),
    }
}
