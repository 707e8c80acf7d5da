//! The scope of a run: the time range of its findings, and how far outside of it a rule looks.

use crate::finding::Finding;
use std::collections::HashSet;
use std::time::Duration;
use trailhound_queries::packs::rules::Rule;

/// Time range of the events a finding may hold: `[since, until)`, microseconds UTC.
#[derive(Debug, Clone, Copy, Default)]
pub struct Range {
    /// First instant.
    pub since: Option<i64>,
    /// First instant after.
    pub until: Option<i64>,
    /// Events without a time too, which else are outside of any range.
    pub timeless: bool,
}

impl Range {
    /// True where nothing is outside.
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

/// What a run of a rule had the say over: every finding of it whose first event is in the range, and not those of events without a time.
#[derive(Debug, Clone)]
pub struct EvaluatedScope {
    /// Id of the rule.
    pub rule_id: String,
    /// The range.
    pub range: Range,
    /// How far before a finding the events lie that it may depend on, in microseconds.
    pub depends: i64,
    /// Ids of findings that hold as they were.
    pub same: HashSet<String>,
}

/// The time around an event in which other events can change what the rule says of it, in microseconds.
pub(crate) fn radius(rule: &Rule) -> i64 {
    // A finding keeps all events of its stretch, so that its content does not depend on the range.
    lookback(rule).saturating_add(stretch(rule))
}

/// The time around an event in which other events can change whether it matches, in microseconds.
pub(crate) fn lookback(rule: &Rule) -> i64 {
    micros(rule.lookback)
}

/// Length of the stretches of time, counted from 1970, whose matches make one finding, in microseconds; 0 where each is its own.
pub(crate) fn stretch(rule: &Rule) -> i64 {
    rule.dedup.as_ref().map_or(0, |dedup| micros(dedup.window))
}

/// How long the rows it remembers count, in microseconds.
pub(crate) fn memory(rule: &Rule) -> i64 {
    rule.remembers.as_ref().map_or(0, |remembers| micros(remembers.duration))
}

/// What a run of `rule` over `range` has the say over.
pub(crate) fn decided(rule: &Rule, range: Range, same: Vec<String>) -> EvaluatedScope {
    let depends = radius(rule).saturating_add(memory(rule));
    EvaluatedScope { rule_id: rule.id.clone(), range, depends, same: same.into_iter().collect() }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
