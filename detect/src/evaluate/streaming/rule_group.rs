//! Rules that read the same rows, and the rows.

use super::{Lake, RunScope};
use crate::evaluate::batch::{self, Detection};
use crate::evaluate::rule_query::RuleQuery;
use crate::evaluate::scope::{self, Range, lookback, memory, stretch};
use crate::evaluate::window_buffer::{WindowBuffer, timeless};
use crate::finding::grouping::{EventKeys, GroupedFindings};
use crate::scan::first_last::FirstLastState;
use crate::scan::predicate_set::EventPredicate;
use crate::scan::shared_scan::{Condensing, Span, Wanted, spanning};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Field;
use datafusion::error::DataFusionError;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use trailhound_datasets::columns::EVENTS;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::{FirstLast, Rule};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// Rows taken before the rules run over them: what they reach over grows with what is new.
const NEW_ROWS_MAX: usize = 4096;
/// Held beyond what windows reach back: late events mostly come within this time. Microseconds.
const LATE: i64 = 86_400_000_000;
/// A rule that takes longer than this rests after it, so that it lags behind alone.
const LONG: Duration = Duration::from_millis(250);
/// It rests so many times as long as it took.
const REST: u32 = 4;
const REST_MAX: Duration = Duration::from_secs(300);
/// With so many new rows it rests no longer: what they give is held in memory until it is kept.
const REST_ROWS_MAX: usize = 32_768;

/// Rules that read the same rows.
pub(super) struct Set {
    /// Which rows its rules read: an SQL condition, and that compiled.
    predicate: (String, EventPredicate),
    held: WindowBuffer,
    rules: Vec<Ready>,
    /// Columns of `events` that its rules look at; the others are not held.
    columns: BTreeSet<usize>,
    /// The farthest back any of the rules needs rows for what a new row changes, in microseconds.
    reach: i64,
    /// Rows taken since the last run.
    new_rows: usize,
    /// New rows without a time, for the next run only: no window holds them.
    timeless: Vec<RecordBatch>,
    /// Where no more is held than the first and the last of each group.
    condensing: Option<Condensing>,
}

struct Ready {
    rule: Rule,
    query: RuleQuery,
    memory: Option<Memory>,
    /// Time of the new rows it has not run over yet; longer than the last commit where it broke or rested before.
    news: Option<News>,
    /// Their keys, where it says of each row what it says whatever lies around it.
    fresh: Option<EventKeys>,
    /// It has run over the rows that are held; before that the parameters may have been others.
    has_run: bool,
    /// It took long; until then it leaves the others their turn.
    rests_until: Option<Instant>,
}

/// The rows that a rule remembers for longer than the others.
struct Memory {
    /// Which rows of `events`.
    predicate: EventPredicate,
    held: WindowBuffer,
    /// How long, in microseconds.
    duration: i64,
}

/// First and last time of new rows; and whether some have none.
#[derive(Debug, Clone, Copy, Default)]
struct News {
    /// How many.
    rows: usize,
    times: Span,
    /// The same of those the rule remembers: they change what it says of events long after.
    remembered: Span,
    timeless: bool,
}

/// How far before a new row the rows lie that what it changes depends on: it changes what is said of rows within the lookback, and so
/// the findings of their whole stretches, whose rows depend on rows within the lookback again.
fn reach(rule: &Rule) -> i64 {
    lookback(rule).saturating_mul(2).saturating_add(stretch(rule))
}

impl Set {
    /// Plans `rules`, which all read what `predicate` says; those that cannot be planned are left out and stand in `broken` with the reason.
    /// `None` where no rule is left.
    pub(super) async fn new(
        predicate: &str,
        condensed: Option<&FirstLast>,
        rules: &[&Rule],
        session: &Session,
        broken: &mut Vec<(String, String)>,
    ) -> Option<Self> {
        let mut refused =
            |rule: &Rule, error: &SessionError| broken.push((rule.id.clone(), error.to_string()));
        let compiled = match EventPredicate::new(session, predicate) {
            Ok(compiled) => compiled,
            Err(error) => {
                rules.iter().for_each(|&rule| refused(rule, &error));
                return None;
            }
        };
        let mut ready = Vec::new();
        // Always there: what rows are held by, and what must not be NULL.
        let is_needed = |field: &Field| field.name() == "event_time" || !field.is_nullable();
        let mut columns: BTreeSet<usize> = EVENTS
            .arrow
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| is_needed(field))
            .map(|(at, _)| at)
            .collect();
        for &rule in rules {
            match Ready::new(rule, &compiled, session).await {
                Ok(planned) => {
                    columns.extend(planned.query.columns());
                    ready.push(planned);
                }
                Err(error) => refused(rule, &error),
            }
        }
        if ready.is_empty() {
            return None;
        }
        Some(Self {
            predicate: (predicate.to_owned(), compiled),
            held: WindowBuffer::new(i64::MIN),
            reach: ready.iter().map(|ready| reach(&ready.rule)).max().unwrap_or(0),
            rules: ready,
            columns,
            new_rows: 0,
            timeless: Vec::new(),
            condensing: condensed.map(|condensed| Condensing::new(FirstLastState::new(condensed))),
        })
    }

    /// What its rules read.
    pub(super) fn predicate(&self) -> &str {
        &self.predicate.0
    }

    /// True where it reads files by itself, because it leaves most of their rows where they are.
    pub(super) fn is_condensed(&self) -> bool {
        self.condensing.is_some()
    }

    /// What it reads, and what each of its rules remembers, with the rule's place.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (Option<usize>, Wanted)> {
        let own = Wanted {
            predicate: self.predicate.1.clone(),
            columns: self.columns.clone(),
            condense: self.condensing.clone(),
        };
        let memories = self.rules.iter().enumerate().filter_map(|(at, ready)| {
            let predicate = ready.memory.as_ref()?.predicate.clone();
            Some((Some(at), Wanted { predicate, columns: self.columns.clone(), condense: None }))
        });
        std::iter::once((None, own)).chain(memories)
    }

    /// Holds rows that it reads, or that one of its rules remembers; as news, or without running any rule for them.
    pub(super) fn add(
        &mut self,
        memory_of: Option<usize>,
        rows: &RecordBatch,
        as_news: bool,
    ) -> Result<(), SessionError> {
        if let Some(rule) = memory_of {
            let ready = &mut self.rules[rule];
            let Some(memory) = &mut ready.memory else { return Ok(()) };
            let times = memory.held.add(rows)?;
            if as_news {
                let news = ready.news.get_or_insert_default();
                news.remembered = spanning(news.remembered, times);
            }
            return Ok(());
        }
        let times = self.held.add(rows)?;
        // Of those that are condensed it is not said by each whether it is news.
        if !as_news || self.is_condensed() {
            return Ok(());
        }
        self.new_rows += rows.num_rows();
        let timeless = timeless(rows)?;
        for ready in &mut self.rules {
            if let Some(fresh) = &mut ready.fresh {
                fresh.extend(keys(rows)?);
            }
            let news = ready.news.get_or_insert_default();
            news.rows += rows.num_rows();
            news.times = spanning(news.times, times);
            news.timeless |= timeless.num_rows() > 0;
        }
        if timeless.num_rows() > 0 {
            self.timeless.push(timeless);
        }
        Ok(())
    }

    /// So many condensed rows came, and of this time are those among them that are news.
    pub(super) fn hear_of(&mut self, times: Span, rows: usize) {
        self.new_rows += rows;
        for ready in &mut self.rules {
            let news = ready.news.get_or_insert_default();
            news.rows += rows;
            news.times = spanning(news.times, times);
            news.remembered = spanning(news.remembered, times);
        }
    }

    /// Lets go of rows that are neither first nor last any more, where they have become many.
    pub(super) fn thin(&mut self) -> Result<(), SessionError> {
        let Some(condensing) = &self.condensing else { return Ok(()) };
        let mut condense = condensing.known();
        if condense.is_due(self.held.rows()) {
            self.held.thin(|batch| condense.thin(batch))?;
            condense.thinned(self.held.rows());
        }
        Ok(())
    }

    /// How far back rows are held where there is room.
    fn span(&self) -> i64 {
        self.reach.saturating_add(LATE)
    }

    /// How far back anything is held.
    pub(super) fn span_of_all(&self) -> i64 {
        self.span()
            .saturating_add(self.rules.iter().map(|ready| memory(&ready.rule)).max().unwrap_or(0))
    }

    /// Memory of what is held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let known = self.condensing.as_ref().map_or(0, |condensing| condensing.known().bytes());
        known
            + self.held.bytes()
            + self
                .rules
                .iter()
                .filter_map(|ready| Some(ready.memory.as_ref()?.held.bytes()))
                .sum::<usize>()
    }

    /// Lets go of what is old where more than `bytes_max` is held.
    pub(super) fn let_go(&mut self, now: i64, bytes_max: usize) -> Result<(), SessionError> {
        let latest = self.held.latest().unwrap_or(i64::MIN).min(now);
        // What the next run needs is held even where it is old.
        let news = self
            .rules
            .iter()
            .filter_map(|ready| ready.news?.times)
            .map(|(first, _)| first)
            .min()
            .unwrap_or(i64::MAX);
        if self.bytes() <= bytes_max {
            return Ok(());
        }
        // Where little is held of each day, what is remembered is held with the rest.
        let (span, reach) = if self.is_condensed() {
            let remembered = self.span_of_all() - self.span();
            (self.span_of_all(), self.reach.saturating_add(remembered))
        } else {
            (self.span(), self.reach)
        };
        let keep_from = latest.saturating_sub(span).min(news.saturating_sub(reach));
        let share =
            bytes_max / (1 + self.rules.iter().filter(|ready| ready.memory.is_some()).count());
        self.held.let_go(keep_from, now, share)?;
        for memory in self.rules.iter_mut().filter_map(|ready| ready.memory.as_mut()) {
            memory.held.let_go(keep_from.saturating_sub(memory.duration), now, share)?;
        }
        if let Some(condensing) = &self.condensing {
            condensing.known().forget_before(self.held.floor());
        }
        Ok(())
    }

    /// Holds nothing, of a lake that is held from `since` on.
    pub(super) fn forget(&mut self, since: i64) {
        self.held = WindowBuffer::new(since);
        if let Some(condensing) = &self.condensing {
            condensing.known().forget();
        }
        self.new_rows = 0;
        self.timeless.clear();
        for ready in &mut self.rules {
            ready.news = None;
            ready.fresh.iter_mut().for_each(EventKeys::clear);
            ready.has_run = false;
            ready.memory.iter_mut().for_each(|memory| memory.held = WindowBuffer::new(since));
        }
    }

    /// True where so much has come that the rules should run before more is taken.
    pub(super) fn is_full(&self) -> bool {
        self.new_rows >= NEW_ROWS_MAX
    }

    /// When the first of its rules that rest with something to look at has rested.
    pub(super) fn rested(&self) -> Option<Instant> {
        self.rules
            .iter()
            .filter(|ready| ready.news.is_some())
            .filter_map(|ready| ready.rests_until)
            .min()
    }

    /// Runs every rule that has news and whose `turn` it is, each for itself.
    pub(super) async fn run_all(
        &mut self,
        turn: RunScope,
        session: &Session,
        parameters: &Parameters,
        lake: &Lake<'_>,
        detection: &mut Detection,
    ) {
        for at in 0..self.rules.len() {
            let ready = &self.rules[at];
            let rule_id = ready.rule.id.clone();
            let may_rest = ready.news.is_some_and(|news| news.rows < REST_ROWS_MAX);
            if turn == RunScope::Rested
                && may_rest
                && ready.rests_until.is_some_and(|until| until > Instant::now())
            {
                continue;
            }
            if let Some(news) = ready.news {
                let begun = Instant::now();
                let range = ready.changed(news);
                let outcome = self.run(ready, range, session, parameters, lake).await;
                let took = begun.elapsed();
                detection.took.push((rule_id.clone(), took));
                self.rules[at].rests_until = rest(took).map(|rest| Instant::now() + rest);
                let ready = &mut self.rules[at];
                match outcome {
                    Ok(found) => {
                        detection.findings.extend(found.findings);
                        detection.decided.push(scope::decided(
                            &ready.rule,
                            range,
                            found.unchanged_ids,
                        ));
                        ready.fresh.iter_mut().for_each(EventKeys::clear);
                        ready.has_run = true;
                    }
                    Err(error) => {
                        detection.failed.push((rule_id, error.to_string()));
                        continue;
                    }
                }
            }
            self.rules[at].news = None;
            detection.ran.push(rule_id);
        }
        if self.rules.iter().all(|ready| ready.news.is_none()) {
            self.timeless.clear();
        }
        self.new_rows = 0;
    }

    /// Runs one rule over `range` and the window around it.
    async fn run(
        &self,
        ready: &Ready,
        range: Range,
        session: &Session,
        parameters: &Parameters,
        lake: &Lake<'_>,
    ) -> Result<GroupedFindings, SessionError> {
        let rule = &ready.rule;
        let fresh = ready.fresh.as_ref().filter(|_| ready.has_run);
        let (mut rows, complete) = match (range.since, range.until) {
            (Some(since), Some(until)) => self.around(ready, since, until)?,
            _ => (Vec::new(), true),
        };
        if !complete {
            return batch::run(lake.session().await?, rule, range, fresh).await;
        }
        rows.extend(self.timeless.iter().cloned());
        let batches = ready.query.run(session, rows).await?;
        batch::conclude(rule, parameters, &batches, range, fresh)
    }

    /// The rows that what the rule says of `[since, until)` depends on, and whether they are all held.
    fn around(
        &self,
        ready: &Ready,
        since: i64,
        until: i64,
    ) -> Result<(Vec<RecordBatch>, bool), SessionError> {
        let lookback = lookback(&ready.rule);
        let mut since = since.saturating_sub(lookback);
        if self.is_condensed() {
            since = since.saturating_sub(memory(&ready.rule));
        }
        let mut complete = self.held.reaches(since);
        let mut rows = self.held.between(since, until.saturating_add(lookback))?;
        if let Some(memory) = &ready.memory {
            let before = since.saturating_sub(memory.duration);
            complete &= memory.held.reaches(before);
            rows.extend(memory.held.between(before, since)?);
        }
        Ok((rows, complete))
    }
}

/// Keys of the events of `rows`.
fn keys(rows: &RecordBatch) -> Result<impl Iterator<Item = Box<[u8]>>, DataFusionError> {
    let column = rows.column_by_name("event_key").and_then(|column| column.as_binary_opt::<i32>());
    let column =
        column.ok_or_else(|| DataFusionError::Internal("events have no keys".to_owned()))?;
    Ok(column.iter().flatten().map(Box::from))
}

/// How long a rule rests that took so long.
fn rest(took: Duration) -> Option<Duration> {
    (took > LONG).then(|| took.saturating_mul(REST).min(REST_MAX))
}

impl Ready {
    async fn new(
        rule: &Rule,
        predicate: &EventPredicate,
        session: &Session,
    ) -> Result<Self, SessionError> {
        let query = RuleQuery::new(rule, session).await?;
        let memory = match &rule.remembers {
            // Held with the rest.
            Some(_) if rule.condensed.is_some() => None,
            Some(remembers) => {
                let remembered = EventPredicate::new(session, &remembers.rows)?;
                Some(Memory {
                    predicate: predicate.and(&remembered),
                    held: WindowBuffer::new(i64::MIN),
                    duration: memory(rule),
                })
            }
            None => None,
        };
        let is_alone = lookback(rule) == 0 && rule.remembers.is_none() && rule.condensed.is_none();
        let fresh = is_alone.then(EventKeys::new);
        Ok(Self {
            rule: rule.clone(),
            query,
            memory,
            news: None,
            fresh,
            has_run: false,
            rests_until: None,
        })
    }

    /// The range of the findings that `news` can have changed. Without a time there is no range, only what has none either.
    fn changed(&self, news: News) -> Range {
        let Some((first, last)) = news.times else {
            return Range { since: Some(0), until: Some(0), timeless: true };
        };
        let (lookback, stretch) = (lookback(&self.rule), stretch(&self.rule).max(1));
        let remembered =
            news.remembered.map_or(i64::MIN, |(_, last)| last.saturating_add(memory(&self.rule)));
        // Whole stretches, for a finding holds all events of its own.
        let since = first.saturating_sub(lookback).div_euclid(stretch).saturating_mul(stretch);
        let last = last.max(remembered).saturating_add(lookback);
        let until = last.div_euclid(stretch).saturating_add(1).saturating_mul(stretch);
        Range { since: Some(since), until: Some(until), timeless: news.timeless }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_takes_long_rests() {
        for (took, rests) in [
            (0, None),
            (250, None),
            (251, Some(1004)),
            (5000, Some(20_000)),
            (600_000, Some(300_000)),
        ] {
            assert_eq!(
                rest(Duration::from_millis(took)),
                rests.map(Duration::from_millis),
                "{took}"
            );
        }
    }
}
