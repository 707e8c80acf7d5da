//! The scope of a run: which rules run, the time range of their findings, and how far outside of it
//! a rule reads.

use crate::finding::Finding;
use std::collections::HashSet;
use std::time::Duration;
use trailhound_queries::packs::rules::Rule;

/// Which rules a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunScope {
    /// Every rule.
    All,
    /// Every rule that does not pause. A slow rule pauses after a run, so that it alone lags
    /// behind.
    NotPaused,
}

/// Time range of the events a finding may hold: `[since, until)`, microseconds UTC.
#[derive(Debug, Clone, Copy, Default)]
pub struct Range {
    /// The first instant.
    pub since: Option<i64>,
    /// The first instant after the range.
    pub until: Option<i64>,
    /// Events without a time are inside as well. They are outside of any other range.
    pub timeless: bool,
}

impl Range {
    /// True where no event is outside.
    #[must_use]
    pub fn is_everything(self) -> bool {
        self.since.is_none() && self.until.is_none()
    }

    /// True for a finding whose first or last event is inside.
    pub(crate) fn holds(self, finding: &Finding) -> bool {
        let parse = |text: &Option<String>| {
            text.as_deref().and_then(trailhound_datasets::derive::time::parse)
        };
        let (first, last) = (parse(&finding.first_seen), parse(&finding.last_seen));
        (first.is_none() && self.timeless)
            || first.is_some_and(|time| self.has(time))
            || last.is_some_and(|time| self.has(time))
    }

    /// True for a time that is inside.
    pub(crate) fn has(self, time: i64) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }
}

/// The findings that a run of a rule has evaluated: those whose first event is in the range. A
/// stored finding in this scope that the run did not find is withdrawn.
#[derive(Debug, Clone)]
pub struct EvaluatedScope {
    /// Id of the rule.
    pub rule_id: String,
    /// The range.
    pub range: Range,
    /// How long before a finding an event can lie that the finding depends on, in microseconds.
    pub depends: i64,
    /// Ids of findings that still hold, unchanged.
    pub same: HashSet<String>,
}

/// The time around an event in which another event can change the finding it belongs to, in
/// microseconds.
pub(crate) fn radius(rule: &Rule) -> i64 {
    // A finding holds all matches of its dedup window, so that its content does not depend on the
    // range.
    lookback(rule).saturating_add(dedup_window(rule))
}

/// The time around an event in which another event can change whether it matches, in microseconds.
pub(crate) fn lookback(rule: &Rule) -> i64 {
    micros(rule.lookback)
}

/// Length of the dedup windows, counted from 1970, whose matches make one finding, in microseconds;
/// 0 where each match is a finding of its own.
pub(crate) fn dedup_window(rule: &Rule) -> i64 {
    rule.dedup.as_ref().map_or(0, |dedup| micros(dedup.window))
}

/// How long before an event its baseline reaches, in microseconds; 0 for a rule without a baseline.
pub(crate) fn baseline(rule: &Rule) -> i64 {
    rule.baseline.as_ref().map_or(0, |remembers| micros(remembers.duration))
}

/// The scope of a run of `rule` over `range`, in which the findings `same` hold unchanged.
pub(crate) fn evaluated_scope(rule: &Rule, range: Range, same: Vec<String>) -> EvaluatedScope {
    let depends = radius(rule).saturating_add(baseline(rule));
    EvaluatedScope { rule_id: rule.id.clone(), range, depends, same: same.into_iter().collect() }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
