//! Rules that read the same rows, and these rows.

use crate::evaluate::batch::{self, Detection};
use crate::evaluate::scope::{RunScope, TimeRange, baseline, evaluated_scope, lookback};
use crate::evaluate::streaming::lake_fallback::LakeFallback;
use crate::evaluate::streaming::planned_rule::PlannedRule;
use crate::evaluate::window_buffer::{WindowBuffer, without_time};
use crate::finding::grouping::{EventKeys, GroupedFindings};
use crate::scan::first_last::FirstLastState;
use crate::scan::predicate_set::EventPredicate;
use crate::scan::shared_scan::{ScanRequest, SharedFirstLast, TimeSpan, union};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Field;
use datafusion::error::DataFusionError;
use std::collections::BTreeSet;
use std::time::Instant;
use trailhound_datasets::columns::EVENTS;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::{FirstLast, Rule};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// New rows after which the rules should run: with more, a single run would need much memory.
const NEW_ROWS_MAX: usize = 4096;
/// Rows are held this much longer than windows reach back, because late events mostly come within
/// that time. Microseconds.
const LATE_EVENTS: i64 = 86_400_000_000;

/// Rules, and the rows that all of them read.
pub(super) struct RuleGroup {
    predicate_sql: String,
    predicate: EventPredicate,
    buffer: WindowBuffer,
    rules: Vec<PlannedRule>,
    /// Positions of the columns in `events` that the rules read. The others are not held.
    columns: BTreeSet<usize>,
    /// The farthest [`PlannedRule::reach`] of the rules.
    reach: i64,
    /// Rows added since the last run.
    new_row_count: usize,
    /// New rows without a time, which no window contains: they are for the next run only.
    timeless: Vec<RecordBatch>,
    /// Set where only the first and the last row of each group and bucket are held.
    first_last: Option<SharedFirstLast>,
}

impl RuleGroup {
    /// Prepares `rules`, which all read the rows that `predicate_sql` matches. A rule that cannot
    /// be planned is left out and added to `broken` with the reason. `None` where no rule is left.
    pub(super) async fn new(
        predicate_sql: &str,
        first_last: Option<&FirstLast>,
        rules: &[&Rule],
        session: &Session,
        broken: &mut Vec<(String, String)>,
    ) -> Option<Self> {
        let mut refuse =
            |rule: &Rule, error: &SessionError| broken.push((rule.id.clone(), error.to_string()));
        let predicate = match EventPredicate::new(session, predicate_sql) {
            Ok(predicate) => predicate,
            Err(error) => {
                rules.iter().for_each(|&rule| refuse(rule, &error));
                return None;
            }
        };
        let mut planned = Vec::new();
        let mut columns = columns_of_every_row();
        for &rule in rules {
            match PlannedRule::new(rule, &predicate, session).await {
                Ok(rule) => {
                    columns.extend(rule.query.columns());
                    planned.push(rule);
                }
                Err(error) => refuse(rule, &error),
            }
        }
        let reach = planned.iter().map(PlannedRule::reach).max()?;
        Some(Self {
            predicate_sql: predicate_sql.to_owned(),
            predicate,
            buffer: WindowBuffer::new(i64::MIN),
            rules: planned,
            columns,
            reach,
            new_row_count: 0,
            timeless: Vec::new(),
            first_last: first_last
                .map(|reduction| SharedFirstLast::new(FirstLastState::new(reduction))),
        })
    }

    /// The SQL condition on the rows the rules read.
    pub(super) fn predicate_sql(&self) -> &str {
        &self.predicate_sql
    }

    /// True where only the first and the last row of each group and bucket are held.
    pub(super) fn holds_first_last_only(&self) -> bool {
        self.first_last.is_some()
    }

    /// Returns the requests of the group to the shared scan: the request for its own rows, and a
    /// request for the baseline rows of each rule that has a baseline, with the number of that
    /// rule.
    pub(super) fn requests(&self) -> impl Iterator<Item = (Option<usize>, ScanRequest)> {
        let own = ScanRequest {
            predicate: self.predicate.clone(),
            columns: self.columns.clone(),
            first_last: self.first_last.clone(),
        };
        let baselines = self.rules.iter().enumerate().filter_map(|(number, rule)| {
            let predicate = rule.baseline.as_ref()?.predicate.clone();
            let columns = self.columns.clone();
            Some((Some(number), ScanRequest { predicate, columns, first_last: None }))
        });
        std::iter::once((None, own)).chain(baselines)
    }

    /// Holds `rows` of the group, or of the baseline of the rule `baseline_of`. Where they are new,
    /// the rules run over them.
    ///
    /// # Errors
    /// [`SessionError`] where the rows lack a column.
    pub(super) fn add(
        &mut self,
        baseline_of: Option<usize>,
        rows: &RecordBatch,
        is_new: bool,
    ) -> Result<(), SessionError> {
        if let Some(number) = baseline_of {
            let rule = &mut self.rules[number];
            let Some(baseline) = &mut rule.baseline else { return Ok(()) };
            let times = baseline.buffer.add(rows)?;
            if is_new {
                let new_rows = rule.new_rows.get_or_insert_default();
                new_rows.baseline_times = union(new_rows.baseline_times, times);
            }
            return Ok(());
        }
        let times = self.buffer.add(rows)?;
        // Of reduced rows, `add_reduced` tells which of them count as new.
        if !is_new || self.holds_first_last_only() {
            return Ok(());
        }
        self.new_row_count += rows.num_rows();
        let timeless = without_time(rows)?;
        for rule in &mut self.rules {
            if let Some(new_keys) = &mut rule.new_keys {
                new_keys.extend(keys(rows)?);
            }
            let new_rows = rule.new_rows.get_or_insert_default();
            new_rows.count += rows.num_rows();
            new_rows.times = union(new_rows.times, times);
            new_rows.has_timeless |= timeless.num_rows() > 0;
        }
        if timeless.num_rows() > 0 {
            self.timeless.push(timeless);
        }
        Ok(())
    }

    /// Notes that `count` reduced rows were added, and that those at the times `changed` can change
    /// what the rules find.
    pub(super) fn add_reduced(&mut self, changed: TimeSpan, count: usize) {
        self.new_row_count += count;
        for rule in &mut self.rules {
            let new_rows = rule.new_rows.get_or_insert_default();
            new_rows.count += count;
            new_rows.times = union(new_rows.times, changed);
            new_rows.baseline_times = union(new_rows.baseline_times, changed);
        }
    }

    /// Drops rows that are neither first nor last any more, where they have become many.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(super) fn compact(&mut self) -> Result<(), SessionError> {
        let Some(first_last) = &self.first_last else { return Ok(()) };
        let mut state = first_last.lock();
        if state.needs_compaction(self.buffer.row_count()) {
            self.buffer.retain(|batch| state.still_needed(batch))?;
            state.set_compacted(self.buffer.row_count());
        }
        Ok(())
    }

    /// How far back rows are held where there is memory for them, in microseconds.
    fn span(&self) -> i64 {
        self.reach.saturating_add(LATE_EVENTS)
    }

    /// How far back rows and baseline rows are held, in microseconds.
    pub(super) fn span_with_baselines(&self) -> i64 {
        let longest = self.rules.iter().map(|planned| baseline(&planned.rule)).max().unwrap_or(0);
        self.span().saturating_add(longest)
    }

    /// Memory of the rows held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let state = self.first_last.as_ref().map_or(0, |first_last| first_last.lock().bytes());
        let baselines = self.rules.iter().filter_map(|rule| rule.baseline.as_ref());
        state
            + self.buffer.bytes()
            + baselines.map(|baseline| baseline.buffer.bytes()).sum::<usize>()
    }

    /// Evicts old rows where more than `bytes_max` bytes are held. `now` is the present,
    /// microseconds UTC.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(super) fn evict(&mut self, now: i64, bytes_max: usize) -> Result<(), SessionError> {
        if self.bytes() <= bytes_max {
            return Ok(());
        }
        let latest = self.buffer.latest().unwrap_or(i64::MIN).min(now);
        // Old rows that the next run needs are kept.
        let first_new = self
            .rules
            .iter()
            .filter_map(|rule| rule.new_rows?.times)
            .map(|(first, _)| first)
            .min()
            .unwrap_or(i64::MAX);
        // First and last rows are few, so the baselines are held with the other rows.
        let (span, reach) = if self.holds_first_last_only() {
            let longest_baseline = self.span_with_baselines() - self.span();
            (self.span_with_baselines(), self.reach.saturating_add(longest_baseline))
        } else {
            (self.span(), self.reach)
        };
        let keep_from = latest.saturating_sub(span).min(first_new.saturating_sub(reach));
        let share =
            bytes_max / (1 + self.rules.iter().filter(|rule| rule.baseline.is_some()).count());
        self.buffer.evict(keep_from, now, share)?;
        for baseline in self.rules.iter_mut().filter_map(|rule| rule.baseline.as_mut()) {
            baseline.buffer.evict(keep_from.saturating_sub(baseline.duration), now, share)?;
        }
        if let Some(first_last) = &self.first_last {
            first_last.lock().evict_before(self.buffer.floor());
        }
        Ok(())
    }

    /// Removes all rows, before the rows of a lake from `since` on are added. Microseconds UTC.
    pub(super) fn clear(&mut self, since: i64) {
        self.buffer = WindowBuffer::new(since);
        if let Some(first_last) = &self.first_last {
            first_last.lock().clear();
        }
        self.new_row_count = 0;
        self.timeless.clear();
        self.rules.iter_mut().for_each(|rule| rule.clear(since));
    }

    /// Returns true if the rules should run before more rows are added.
    pub(super) fn is_full(&self) -> bool {
        self.new_row_count >= NEW_ROWS_MAX
    }

    /// The end of the first pause of a rule with new rows.
    pub(super) fn next_pause_end(&self) -> Option<Instant> {
        self.rules.iter().filter_map(PlannedRule::pause_end).min()
    }

    /// Runs the rules of `scope` that have new rows, one after the other.
    pub(super) async fn run_all(
        &mut self,
        scope: RunScope,
        session: &Session,
        parameters: &Parameters,
        lake: &LakeFallback<'_>,
        detection: &mut Detection,
    ) {
        for number in 0..self.rules.len() {
            let planned = &self.rules[number];
            let rule_id = planned.rule.id.clone();
            if scope == RunScope::NotPaused && planned.is_paused() {
                continue;
            }
            if let Some(new_rows) = planned.new_rows {
                let started = Instant::now();
                let range = planned.changed_range(new_rows);
                let outcome = self.run(planned, range, session, parameters, lake).await;
                let took = started.elapsed();
                detection.durations.push((rule_id.clone(), took));
                let planned = &mut self.rules[number];
                planned.pause_after(took);
                match outcome {
                    Ok(found) => {
                        detection.findings.extend(found.findings);
                        detection.scopes.push(evaluated_scope(
                            &planned.rule,
                            range,
                            found.unchanged_ids,
                        ));
                        planned.new_keys.iter_mut().for_each(EventKeys::clear);
                        planned.has_run = true;
                    }
                    Err(error) => {
                        detection.failed.push((rule_id, error.to_string()));
                        continue;
                    }
                }
            }
            self.rules[number].new_rows = None;
            detection.ran.push(rule_id);
        }
        if self.rules.iter().all(|rule| rule.new_rows.is_none()) {
            self.timeless.clear();
        }
        self.new_row_count = 0;
    }

    /// Runs one rule over `range` and the windows around it.
    async fn run(
        &self,
        planned: &PlannedRule,
        range: TimeRange,
        session: &Session,
        parameters: &Parameters,
        lake: &LakeFallback<'_>,
    ) -> Result<GroupedFindings, SessionError> {
        let rule = &planned.rule;
        let new_keys = planned.new_keys.as_ref().filter(|_| planned.has_run);
        let (mut rows, is_complete) = match (range.since, range.until) {
            (Some(since), Some(until)) => self.rows_around(planned, since, until)?,
            _ => (Vec::new(), true),
        };
        if !is_complete {
            return batch::evaluate_rule(lake.session().await?, rule, range, new_keys).await;
        }
        rows.extend(self.timeless.iter().cloned());
        let matches = planned.query.run(session, rows).await?;
        batch::group_in_range(rule, parameters, &matches, range, new_keys)
    }

    /// The rows that the findings of a rule in `[since, until)` depend on, and whether all of them
    /// are held.
    fn rows_around(
        &self,
        planned: &PlannedRule,
        since: i64,
        until: i64,
    ) -> Result<(Vec<RecordBatch>, bool), SessionError> {
        let lookback = lookback(&planned.rule);
        let mut since = since.saturating_sub(lookback);
        if self.holds_first_last_only() {
            since = since.saturating_sub(baseline(&planned.rule));
        }
        let mut is_complete = self.buffer.is_complete_from(since);
        let mut rows = self.buffer.between(since, until.saturating_add(lookback))?;
        if let Some(baseline) = &planned.baseline {
            let before = since.saturating_sub(baseline.duration);
            is_complete &= baseline.buffer.is_complete_from(before);
            rows.extend(baseline.buffer.between(before, since)?);
        }
        Ok((rows, is_complete))
    }
}

/// Returns the positions of the columns that are always held: the event time and the columns that
/// are not nullable.
fn columns_of_every_row() -> BTreeSet<usize> {
    let is_needed = |field: &Field| field.name() == "event_time" || !field.is_nullable();
    let fields = EVENTS.arrow.fields().iter().enumerate();
    fields.filter(|(_, field)| is_needed(field)).map(|(position, _)| position).collect()
}

/// Keys of the events of `rows`.
fn keys(rows: &RecordBatch) -> Result<impl Iterator<Item = Box<[u8]>>, DataFusionError> {
    let column = rows.column_by_name("event_key").and_then(|column| column.as_binary_opt::<i32>());
    let column =
        column.ok_or_else(|| DataFusionError::Internal("events have no keys".to_owned()))?;
    Ok(column.iter().flatten().map(Box::from))
}
