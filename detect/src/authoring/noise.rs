//! Noise: what rules find in traffic in which nothing is wrong, against a budget.

use super::backtest::actor;
use crate::finding::{Finding, FindingStatus};
use std::collections::BTreeMap;
use trailhound_queries::packs::rules::Severity;

/// The events to which the budget refers.
const BUDGET_EVENTS: u64 = 100_000;
/// Open findings of severity low or above that so many events may give.
const OPEN_MAX: u64 = 5;
/// Those of them with severity high or above.
const HIGH_MAX: u64 = 1;

/// What one rule finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleNoise {
    /// Open findings by severity.
    pub by_severity: BTreeMap<Severity, u64>,
    /// Suppressed findings.
    pub suppressed: u64,
    /// Open findings by actor and account.
    pub by_actor: BTreeMap<String, u64>,
    /// The reasons of its first open finding of the highest severity.
    pub example: Vec<String>,
}

impl RuleNoise {
    /// Number of open findings.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.by_severity.values().sum()
    }

    /// The actor with most open findings, and their number.
    #[must_use]
    pub fn loudest_actor(&self) -> Option<(&str, u64)> {
        let most = self.by_actor.iter().max_by_key(|(_, count)| **count);
        most.map(|(actor, count)| (actor.as_str(), *count))
    }
}

/// What rules find in traffic in which nothing is wrong. The budget for 100,000 events: at most 5 open findings of severity low or
/// above, of which at most 1 has severity high or above, and none is critical. Findings of severity info ask nobody to look: they
/// are counted and shown, and have no budget.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoiseReport {
    /// Number of events.
    pub events: u64,
    /// By rule id; only rules that found something.
    pub rules: BTreeMap<String, RuleNoise>,
}

impl NoiseReport {
    /// Adds the findings over `events` more events.
    pub fn add(&mut self, findings: &[Finding], events: u64) {
        self.events += events;
        for finding in findings {
            let rule = self.rules.entry(finding.rule_id.clone()).or_default();
            if finding.status != FindingStatus::Open {
                rule.suppressed += 1;
                continue;
            }
            if rule.by_severity.keys().next_back().is_none_or(|worst| finding.severity > *worst) {
                rule.example.clone_from(&finding.why);
            }
            *rule.by_severity.entry(finding.severity).or_default() += 1;
            *rule.by_actor.entry(actor(finding)).or_default() += 1;
        }
    }

    /// Number of open findings with severity `least` or above.
    #[must_use]
    pub fn open_at_least(&self, least: Severity) -> u64 {
        let counts = self.rules.values().flat_map(|rule| &rule.by_severity);
        counts.filter(|(severity, _)| **severity >= least).map(|(_, count)| count).sum()
    }

    /// `count` findings as findings for 100,000 events.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "the rate is rounded for people")]
    pub fn rate(&self, count: u64) -> f64 {
        count as f64 * BUDGET_EVENTS as f64 / self.events.max(1) as f64
    }

    /// What exceeds the budget, as sentences; empty where nothing does.
    #[must_use]
    pub fn excesses(&self) -> Vec<String> {
        let limits = [
            (Severity::Low, "findings of severity low or above", OPEN_MAX),
            (Severity::High, "findings of severity high or above", HIGH_MAX),
            (Severity::Critical, "critical findings", 0),
        ];
        let exceeded = limits.into_iter().filter_map(|(least, what, most)| {
            let count = self.open_at_least(least);
            (count * BUDGET_EVENTS > most * self.events).then(|| {
                format!(
                    "{:.1} {what} for 100,000 events, where {most} are allowed",
                    self.rate(count)
                )
            })
        });
        exceeded.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(events: u64, counts: &[(Severity, u64)]) -> NoiseReport {
        let rule =
            RuleNoise { by_severity: counts.iter().copied().collect(), ..RuleNoise::default() };
        NoiseReport { events, rules: BTreeMap::from([("AT-X-001".to_owned(), rule)]) }
    }

    #[test]
    fn the_budget_counts_all_high_and_critical_findings() {
        let excesses = |events, counts: &[_]| report(events, counts).excesses().len();
        assert_eq!(excesses(100_000, &[(Severity::Low, 4), (Severity::High, 1)]), 0);
        assert_eq!(excesses(100_000, &[(Severity::Low, 5), (Severity::High, 1)]), 1);
        assert_eq!(excesses(100_000, &[(Severity::Info, 90), (Severity::Low, 5)]), 0);
        assert_eq!(excesses(200_000, &[(Severity::Low, 7), (Severity::High, 3)]), 1);
        assert_eq!(excesses(1_000_000, &[(Severity::Critical, 1)]), 1);
        assert_eq!(excesses(0, &[]), 0);
    }
}
