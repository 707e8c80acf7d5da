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

/// The time range `[since, until)` of the events that a finding can hold, in microseconds since
/// 1970 UTC. Without bounds it contains every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct TimeRange {
    /// The first instant.
    pub since: Option<i64>,
    /// The first instant after the range.
    pub until: Option<i64>,
    /// True if events without a time are inside too. They are outside of every other range.
    pub include_untimed: bool,
}

impl TimeRange {
    /// True where no event is outside.
    #[must_use]
    pub fn is_everything(self) -> bool {
        self.since.is_none() && self.until.is_none()
    }

    /// True for a finding whose first or last event is inside.
    pub(crate) fn includes(self, finding: &Finding) -> bool {
        let (first, last) = (finding.first_seen_micros(), finding.last_seen_micros());
        (first.is_none() && self.include_untimed)
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
    pub range: TimeRange,
    /// How long before a finding the events are that it can depend on, in microseconds.
    pub dependency_micros: i64,
    /// Ids of findings that still hold, unchanged.
    pub unchanged_ids: HashSet<String>,
    /// True where the run evaluated what the rule cannot judge: its findings of the variant
    /// `undetermined`. Otherwise it evaluated the others.
    pub is_undetermined: bool,
}

/// The variant of a finding about events that its rule cannot judge.
pub(crate) const UNDETERMINED: &str = "undetermined";

/// The time around an event in which another event can change the finding it belongs to, in
/// microseconds.
pub(crate) fn margin(rule: &Rule) -> i64 {
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
    rule.baseline.as_ref().map_or(0, |baseline| micros(baseline.duration))
}

/// The scope of a run of `rule` over `range`, in which the findings `unchanged_ids` hold
/// unchanged.
pub(crate) fn evaluated_scope(
    rule: &Rule,
    range: TimeRange,
    unchanged_ids: Vec<String>,
) -> EvaluatedScope {
    EvaluatedScope {
        rule_id: rule.id.clone(),
        range,
        dependency_micros: margin(rule).saturating_add(baseline(rule)),
        unchanged_ids: unchanged_ids.into_iter().collect(),
        is_undetermined: false,
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
