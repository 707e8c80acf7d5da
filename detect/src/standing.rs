//! Rules that stand ready: their queries planned once, the rows their windows reach over held in memory. After a commit
//! only its own files are read, and a rule runs only where they hold rows it looks at.

use crate::evaluate::{self, Detection, Range, judged, memory, radius};
use crate::finding::Finding;
use crate::held::{Held, timeless};
use datafusion::arrow::array::RecordBatch;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use trailhound_datasets::columns::EVENTS;
use trailhound_datasets::layout::CatalogPlace;
use trailhound_queries::catalogue::Rule;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::prepared::{Prepared, Rows};
use trailhound_queries::session::{QueryLimits, Session, SessionError};
use trailhound_queries::sieve::Sieve;

/// Memory of all rows held, in bytes; each set of rules that read the same has its share. What does not fit is read from
/// the lake when needed.
const HELD_BYTES_MAX: usize = 128 << 20;
/// Rows taken before the rules run over them: what they reach over grows with what is new.
const NEW_ROWS_MAX: usize = 4096;
/// Held beyond what windows reach back: late events mostly come within this time. Microseconds.
const LATE: i64 = 86_400_000_000;

/// The rules of a service.
pub struct Standing {
    parameters: Arc<Parameters>,
    limits: QueryLimits,
    /// What any of the sets reads.
    sieve: Sieve,
    /// Columns of `events` that any rule or sieve looks at; the others are neither decoded nor held.
    columns: BTreeSet<usize>,
    sets: Vec<Set>,
}

/// Rules that read the same rows.
struct Set {
    sieve: Sieve,
    held: Held,
    rows: Rows,
    rules: Vec<Ready>,
    /// The farthest any of the rules looks around a new row, in microseconds.
    radius: i64,
    /// Rows taken since the last run.
    new_rows: usize,
    /// New rows without a time, for the next run only: no window holds them.
    timeless: Vec<RecordBatch>,
}

struct Ready {
    rule: Rule,
    query: Prepared,
    memory: Option<Memory>,
    /// Time of the new rows it has not run over yet; longer than the last commit where it broke before.
    news: Option<News>,
}

/// The rows that a rule remembers for longer than the others.
struct Memory {
    sieve: Sieve,
    held: Held,
    /// How long, in microseconds.
    duration: i64,
}

/// First and last time of new rows; and whether some have none.
#[derive(Debug, Clone, Copy, Default)]
struct News {
    times: Option<(i64, i64)>,
    /// The same of those the rule remembers: they change what it says of events long after.
    remembered: Option<(i64, i64)>,
    timeless: bool,
}

/// First and last time of both.
fn spanning(a: Option<(i64, i64)>, b: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

impl Standing {
    /// Plans `rules` over nothing yet.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where a rule's query or what it reads is no SQL.
    pub async fn new(rules: &[&Rule], parameters: Arc<Parameters>, limits: QueryLimits) -> Result<Self, SessionError> {
        let mut by_reads: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
        for rule in rules {
            // A rule that does not say what it reads may look at every row.
            by_reads.entry(rule.reads.as_deref().unwrap_or("true")).or_default().push(rule);
        }
        let any: Vec<String> = by_reads.keys().map(|predicate| format!("({predicate})")).collect();
        let (session, _) = Session::over_rows(Arc::clone(&parameters), &limits).await?;
        let sieve = Sieve::new(&session, &if any.is_empty() { "false".to_owned() } else { any.join(" OR ") })?;
        let mut sets = Vec::new();
        for (predicate, rules) in by_reads {
            sets.push(Set::new(predicate, &rules, &parameters, &limits).await?);
        }
        let mut columns: BTreeSet<usize> = sieve.columns().iter().copied().collect();
        for ready in sets.iter().flat_map(|set| &set.rules) {
            columns.extend(ready.query.columns()?);
            columns.extend(ready.memory.iter().flat_map(|memory| memory.sieve.columns()));
        }
        // Always there: what rows are held by, and what must not be NULL.
        columns.extend(
            EVENTS.arrow.fields().iter().enumerate().filter(|(_, f)| f.name() == "event_time" || !f.is_nullable()).map(|(at, _)| at),
        );
        Ok(Self { parameters, limits, sieve, columns, sets })
    }

    /// How far back of the latest event rows are worth loading, in microseconds.
    #[must_use]
    pub fn span(&self) -> i64 {
        self.sets.iter().map(Set::span_of_all).max().unwrap_or(0)
    }

    /// Forgets all rows and holds those of `files` that are needed: all files of the lake with rows from `since` on. None of
    /// them is news. `now` as for [`Standing::run`].
    ///
    /// # Errors
    /// [`SessionError`] where a file cannot be read.
    pub fn load(&mut self, files: &[PathBuf], since: i64, now: i64) -> Result<(), SessionError> {
        for set in &mut self.sets {
            set.held = Held::new(since);
            set.timeless.clear();
            for ready in &mut set.rules {
                ready.news = None;
                ready.memory.iter_mut().for_each(|memory| memory.held = Held::new(since));
            }
        }
        for path in files {
            for batch in self.sieve.read(path, &self.columns)? {
                for set in &mut self.sets {
                    let rows = set.sieve.pick(&batch)?;
                    set.held.add(&rows)?;
                    for memory in set.rules.iter_mut().filter_map(|ready| ready.memory.as_mut()) {
                        memory.held.add(&memory.sieve.pick(&rows)?)?;
                    }
                }
            }
            self.let_go(now)?;
        }
        Ok(())
    }

    /// Takes the rows of a file that came since the last call, as news.
    ///
    /// # Errors
    /// [`SessionError`] where it cannot be read; what was taken is then unknown, and [`Standing::load`] must follow.
    pub fn take(&mut self, path: &Path) -> Result<(), SessionError> {
        for batch in self.sieve.read(path, &self.columns)? {
            self.sets.iter_mut().try_for_each(|set| set.take(&batch))?;
        }
        Ok(())
    }

    /// True where so much has come that the rules should run before more is taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.sets.iter().any(|set| set.new_rows >= NEW_ROWS_MAX)
    }

    /// Runs every rule that has news. Windows that reach back to what is not held are read from the lake whose
    /// catalogue is at `lake`.
    /// A rule that breaks stands in [`Detection::failed`] and keeps its news. `now` is the present, microseconds UTC: rows of
    /// the future do not drive out those of today.
    ///
    /// # Errors
    /// [`SessionError`]; then [`Standing::load`] must follow.
    pub async fn run(&mut self, lake: &CatalogPlace, now: i64) -> Result<Detection, SessionError> {
        let mut detection = Detection::default();
        for set in &mut self.sets {
            for at in 0..set.rules.len() {
                let ready = &set.rules[at];
                let Some(news) = ready.news else {
                    detection.ran.push(ready.rule.id.clone());
                    continue;
                };
                let begun = Instant::now();
                let outcome = set.run(ready, news, &self.parameters, lake, &self.limits).await;
                detection.took.push((ready.rule.id.clone(), begun.elapsed()));
                match outcome {
                    Ok(findings) => {
                        detection.ran.push(ready.rule.id.clone());
                        detection.findings.extend(findings);
                        set.rules[at].news = None;
                    }
                    Err(error) => detection.failed.push((ready.rule.id.clone(), error.to_string())),
                }
            }
            if set.rules.iter().all(|ready| ready.news.is_none()) {
                set.timeless.clear();
            }
            set.new_rows = 0;
        }
        self.let_go(now)?;
        detection.sort();
        Ok(detection)
    }

    fn let_go(&mut self, now: i64) -> Result<(), SessionError> {
        let share = HELD_BYTES_MAX / self.sets.len().max(1);
        self.sets.iter_mut().try_for_each(|set| set.let_go(now, share))
    }
}

impl Set {
    async fn new(predicate: &str, rules: &[&Rule], parameters: &Arc<Parameters>, limits: &QueryLimits) -> Result<Self, SessionError> {
        let (session, rows) = Session::over_rows(Arc::clone(parameters), limits).await?;
        let mut ready = Vec::new();
        for &rule in rules {
            let query = Prepared::new(judged(&session, rule).await?)?;
            let memory = match &rule.remembers {
                Some(rows) => Some(Memory { sieve: Sieve::new(&session, &rows.rows)?, held: Held::new(i64::MIN), duration: memory(rule) }),
                None => None,
            };
            ready.push(Ready { rule: rule.clone(), query, memory, news: None });
        }
        Ok(Self {
            sieve: Sieve::new(&session, predicate)?,
            held: Held::new(i64::MIN),
            rows,
            radius: rules.iter().map(|rule| radius(rule)).max().unwrap_or(0),
            rules: ready,
            new_rows: 0,
            timeless: Vec::new(),
        })
    }

    /// How far back rows are held where there is no room for more. What a new row changes lies within the radius around it, and depends on rows within the
    /// radius around that.
    fn span(&self) -> i64 {
        self.radius.saturating_mul(2).saturating_add(LATE)
    }

    /// How far back anything is held.
    fn span_of_all(&self) -> i64 {
        let longest = self.rules.iter().filter_map(|ready| ready.memory.as_ref()).map(|memory| memory.duration).max();
        self.span().saturating_add(longest.unwrap_or(0))
    }

    fn let_go(&mut self, now: i64, bytes_max: usize) -> Result<(), SessionError> {
        let latest = self.held.latest().unwrap_or(i64::MIN).min(now);
        // What the next run needs is held even where it is old.
        let news = self.rules.iter().filter_map(|ready| ready.news?.times).map(|(first, _)| first).min().unwrap_or(i64::MAX);
        let keep_from = latest.saturating_sub(self.span()).min(news.saturating_sub(2 * self.radius));
        self.held.let_go(keep_from, now, bytes_max)?;
        for memory in self.rules.iter_mut().filter_map(|ready| ready.memory.as_mut()) {
            memory.held.let_go(keep_from.saturating_sub(memory.duration), now, bytes_max)?;
        }
        Ok(())
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<(), SessionError> {
        let new = self.sieve.pick(batch)?;
        if new.num_rows() == 0 {
            return Ok(());
        }
        self.new_rows += new.num_rows();
        let times = self.held.add(&new)?;
        let timeless = timeless(&new)?;
        for ready in &mut self.rules {
            let remembered = match &mut ready.memory {
                Some(memory) => memory.held.add(&memory.sieve.pick(&new)?)?,
                None => None,
            };
            let news = ready.news.get_or_insert_default();
            news.times = spanning(news.times, times);
            news.remembered = spanning(news.remembered, remembered);
            news.timeless |= timeless.num_rows() > 0;
        }
        if timeless.num_rows() > 0 {
            self.timeless.push(timeless);
        }
        Ok(())
    }

    /// Runs one rule over what is new and the window around it.
    async fn run(
        &self,
        ready: &Ready,
        news: News,
        parameters: &Arc<Parameters>,
        lake: &CatalogPlace,
        limits: &QueryLimits,
    ) -> Result<Vec<Finding>, SessionError> {
        let rule = &ready.rule;
        let range = ready.changed(news);
        let (mut rows, complete) = match (range.since, range.until) {
            (Some(since), Some(until)) => self.around(ready, since, until)?,
            _ => (Vec::new(), true),
        };
        if !complete {
            let lake = Session::over_lake(lake, Arc::clone(parameters), limits).await?;
            return evaluate::run(&lake, rule, range).await;
        }
        rows.extend(self.timeless.iter().cloned());
        self.rows.replace(rows).await;
        let batches = ready.query.run().await;
        self.rows.replace(Vec::new()).await;
        evaluate::conclude(rule, parameters, &batches?, range)
    }

    /// The rows that what the rule says of `[since, until)` depends on, and whether they are all held.
    fn around(&self, ready: &Ready, since: i64, until: i64) -> Result<(Vec<RecordBatch>, bool), SessionError> {
        let radius = radius(&ready.rule);
        let since = since.saturating_sub(radius);
        let mut complete = self.held.reaches(since);
        let mut rows = self.held.between(since, until.saturating_add(radius))?;
        if let Some(memory) = &ready.memory {
            let before = since.saturating_sub(memory.duration);
            complete &= memory.held.reaches(before);
            rows.extend(memory.held.between(before, since)?);
        }
        Ok((rows, complete))
    }
}

impl Ready {
    /// The range of the findings that `news` can have changed. Without a time there is no range, only what has none either.
    fn changed(&self, news: News) -> Range {
        let Some((first, last)) = news.times else { return Range { since: Some(0), until: Some(0), timeless: true } };
        let radius = radius(&self.rule);
        let remembered = news.remembered.map_or(i64::MIN, |(_, last)| last.saturating_add(memory(&self.rule)));
        Range {
            since: Some(first.saturating_sub(radius)),
            until: Some(last.max(remembered).saturating_add(radius).saturating_add(1)),
            timeless: news.timeless,
        }
    }
}
