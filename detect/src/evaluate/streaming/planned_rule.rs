//! A rule of a group: its query, the rows added since it last ran, and its baseline rows.

use crate::evaluate::rule_query::RuleQuery;
use crate::evaluate::scope::{TimeRange, baseline, dedup_window, lookback};
use crate::evaluate::window_buffer::WindowBuffer;
use crate::finding::grouping::EventKeys;
use crate::scan::predicate_set::EventPredicate;
use crate::scan::shared_scan::TimeSpan;
use std::time::{Duration, Instant};
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::Rule;
use trailhound_queries::session::Session;

/// A rule that takes longer than this pauses after the run, so that it alone lags behind.
const SLOW_RUN: Duration = Duration::from_millis(250);
/// The pause, in multiples of the run.
const PAUSE_FACTOR: u32 = 4;
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// With this many new rows a rule does not pause: its findings are held in memory until they are
/// stored.
const PAUSE_ROWS_MAX: usize = 32_768;

/// A rule that is ready to run.
pub(super) struct PlannedRule {
    pub(super) rule: Rule,
    pub(super) query: RuleQuery,
    pub(super) baseline: Option<BaselineRows>,
    /// The rows it has not run over yet; from several commits where a run failed or was put off.
    pub(super) new_rows: Option<NewRows>,
    /// Keys of these rows, for a rule that evaluates each event independently of other events.
    pub(super) new_keys: Option<EventKeys>,
    /// True if the rule has run over the rows that are held. Until then, findings in the lake may
    /// result from other parameters.
    pub(super) has_run: bool,
    paused_until: Option<Instant>,
}

/// The rows of a rule that stay relevant for longer than its window: for example the countries
/// somebody signed in from during the last 30 days.
pub(super) struct BaselineRows {
    pub(super) predicate: EventPredicate,
    pub(super) buffer: WindowBuffer,
    /// How long a row stays relevant, in microseconds.
    pub(super) duration: i64,
}

/// Rows added since the last run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NewRows {
    pub(super) count: usize,
    pub(super) times: TimeSpan,
    /// Times of the new baseline rows, which change what the rule finds long after them.
    pub(super) baseline_times: TimeSpan,
    /// Some rows have no time.
    pub(super) has_timeless: bool,
}

impl PlannedRule {
    /// Prepares `rule`, whose group reads the rows that `predicate` matches.
    ///
    /// # Errors
    /// [`SessionError`] where the query or the baseline's condition of a user's rule cannot be
    /// planned.
    pub(super) async fn new(
        rule: &Rule,
        predicate: &EventPredicate,
        session: &Session,
    ) -> Result<Self, SessionError> {
        let query = RuleQuery::new(rule, session).await?;
        let baseline = match &rule.baseline {
            // A group with a first-and-last reduction holds the baseline with its other rows.
            Some(_) if rule.first_last.is_some() => None,
            Some(remembers) => Some(BaselineRows {
                predicate: predicate.and(&EventPredicate::new(session, &remembers.rows)?),
                buffer: WindowBuffer::new(i64::MIN),
                duration: baseline(rule),
            }),
            None => None,
        };
        let judges_single_events =
            lookback(rule) == 0 && rule.baseline.is_none() && rule.first_last.is_none();
        Ok(Self {
            rule: rule.clone(),
            query,
            baseline,
            new_rows: None,
            new_keys: judges_single_events.then(EventKeys::new),
            has_run: false,
            paused_until: None,
        })
    }

    /// Returns how far back from a new row the evaluation must read, in microseconds. A new row can
    /// change matches within one lookback, and these change the findings of whole dedup windows.
    /// The matches in those windows need one more lookback.
    pub(super) fn reach(&self) -> i64 {
        lookback(&self.rule).saturating_mul(2).saturating_add(dedup_window(&self.rule))
    }

    /// The range of the findings that `new_rows` can have changed. Rows without a time change only
    /// findings without a time.
    pub(super) fn changed_range(&self, new_rows: NewRows) -> TimeRange {
        let Some((first, last)) = new_rows.times else {
            return TimeRange { since: Some(0), until: Some(0), include_untimed: true };
        };
        let (lookback, window) = (lookback(&self.rule), dedup_window(&self.rule).max(1));
        let baseline_end = new_rows
            .baseline_times
            .map_or(i64::MIN, |(_, last)| last.saturating_add(baseline(&self.rule)));
        // Whole dedup windows, because a finding holds all matches of its window.
        let since = first.saturating_sub(lookback).div_euclid(window).saturating_mul(window);
        let last = last.max(baseline_end).saturating_add(lookback);
        let until = last.div_euclid(window).saturating_add(1).saturating_mul(window);
        TimeRange { since: Some(since), until: Some(until), include_untimed: new_rows.has_timeless }
    }

    /// True where the rule pauses, and few enough rows are new that it may.
    pub(super) fn is_paused(&self) -> bool {
        self.new_rows.is_some_and(|new_rows| new_rows.count < PAUSE_ROWS_MAX)
            && self.paused_until.is_some_and(|until| until > Instant::now())
    }

    /// The end of the pause of a rule with new rows.
    pub(super) fn pause_end(&self) -> Option<Instant> {
        self.paused_until.filter(|_| self.new_rows.is_some())
    }

    /// Pauses the rule if its run took long.
    pub(super) fn pause_after(&mut self, run: Duration) {
        self.paused_until = pause(run).map(|pause| Instant::now() + pause);
    }

    /// Removes all rows, before the rows of a lake from `since` on are added. Microseconds UTC.
    pub(super) fn clear(&mut self, since: i64) {
        self.new_rows = None;
        self.new_keys.iter_mut().for_each(EventKeys::clear);
        self.has_run = false;
        if let Some(baseline) = &mut self.baseline {
            baseline.buffer = WindowBuffer::new(since);
        }
    }
}

/// The pause after a run.
pub(super) fn pause(run: Duration) -> Option<Duration> {
    (run > SLOW_RUN).then(|| run.saturating_mul(PAUSE_FACTOR).min(PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_slow_rule_pauses() {
        for (run, paused) in [
            (0, None),
            (250, None),
            (251, Some(1004)),
            (5000, Some(20_000)),
            (600_000, Some(300_000)),
        ] {
            assert_eq!(
                pause(Duration::from_millis(run)),
                paused.map(Duration::from_millis),
                "{run}"
            );
        }
    }
}
