//! Rules that stand ready: their queries planned once, the rows their windows reach over held in memory. After a commit
//! only its own files are read, and a rule runs only where they hold rows it looks at.

use crate::evaluate::{self, Detection, EvaluateError, Range, judged, reach};
use crate::held::{Held, timeless};
use datafusion::arrow::array::RecordBatch;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use trailhound_queries::catalogue::Rule;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::prepared::{Prepared, Rows};
use trailhound_queries::session::{QueryLimits, Session, SessionError};
use trailhound_queries::sieve::Sieve;

/// Memory of the rows held for rules that read the same, in bytes. What does not fit is read from the lake when needed.
const HELD_BYTES_MAX: usize = 48 << 20;
/// Held beyond what windows reach back: late events mostly come within this time. Microseconds.
const LATE: i64 = 86_400_000_000;

/// The rules of a service.
pub struct Standing {
    parameters: Arc<Parameters>,
    limits: QueryLimits,
    /// What any of the sets reads.
    sieve: Sieve,
    sets: Vec<Set>,
}

/// Rules that read the same rows.
struct Set {
    sieve: Sieve,
    held: Held,
    rows: Rows,
    rules: Vec<Ready>,
    /// The farthest any of the rules looks around a new row, in microseconds.
    reach: i64,
    /// New rows without a time, for the next run only: no window holds them.
    timeless: Vec<RecordBatch>,
}

struct Ready {
    rule: Rule,
    query: Prepared,
    /// Time of the new rows it has not run over yet; longer than the last commit where it broke before.
    news: Option<News>,
}

/// First and last time of new rows; and whether some have none.
#[derive(Debug, Clone, Copy, Default)]
struct News {
    times: Option<(i64, i64)>,
    timeless: bool,
}

impl News {
    fn add(&mut self, times: Option<(i64, i64)>, timeless: bool) {
        self.times = match (self.times, times) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        self.timeless |= timeless;
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
        Ok(Self { parameters, limits, sieve, sets })
    }

    /// How far back of the latest event rows are worth loading, in microseconds.
    #[must_use]
    pub fn span(&self) -> i64 {
        self.sets.iter().map(Set::span).max().unwrap_or(0)
    }

    /// Forgets all rows and holds those of `files` that are needed: all files of the lake with rows from `since` on. None of
    /// them is news. `now` as for [`Standing::take`].
    ///
    /// # Errors
    /// [`SessionError`] where a file cannot be read.
    pub fn load(&mut self, files: &[PathBuf], since: i64, now: i64) -> Result<(), SessionError> {
        for set in &mut self.sets {
            set.held = Held::new(since);
            set.timeless.clear();
            set.rules.iter_mut().for_each(|ready| ready.news = None);
        }
        for path in files {
            for batch in self.sieve.read(path)? {
                for set in &mut self.sets {
                    set.held.add(&set.sieve.pick(&batch)?)?;
                }
            }
            self.let_go(now)?;
        }
        Ok(())
    }

    /// Takes the rows of `files`, which came since the last call, as news. `now` is the present, microseconds UTC.
    ///
    /// # Errors
    /// [`SessionError`] where a file cannot be read; what was taken is then unknown, and [`Standing::load`] must follow.
    pub fn take(&mut self, files: &[PathBuf], now: i64) -> Result<(), SessionError> {
        for path in files {
            for batch in self.sieve.read(path)? {
                self.sets.iter_mut().try_for_each(|set| set.take(&batch))?;
            }
        }
        self.let_go(now)
    }

    /// Runs every rule that has news. `lake` opens the lake, for windows that reach back to what is not held.
    ///
    /// # Errors
    /// [`EvaluateError`] where rows cannot be had; a rule that breaks stands in [`Detection::failed`] and keeps its news.
    pub async fn run<L>(&mut self, lake: L) -> Result<Detection, EvaluateError>
    where
        L: AsyncFn(&QueryLimits) -> Result<Session, SessionError>,
    {
        let mut detection = Detection::default();
        for set in &mut self.sets {
            for at in 0..set.rules.len() {
                let ready = &set.rules[at];
                let Some(news) = ready.news else {
                    detection.ran.push(ready.rule.id.clone());
                    continue;
                };
                match set.run(ready, news, &self.parameters, &lake, &self.limits).await {
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
        }
        detection.sort();
        Ok(detection)
    }

    fn let_go(&mut self, now: i64) -> Result<(), SessionError> {
        for set in &mut self.sets {
            let latest = set.held.latest().unwrap_or(i64::MIN).min(now);
            let reaching = set.rules.iter().filter_map(|ready| ready.news?.times).map(|(first, _)| first).min().unwrap_or(i64::MAX);
            // What the next run needs is held even where it is old.
            let keep_from = latest.saturating_sub(set.span()).min(reaching.saturating_sub(set.reach));
            set.held.let_go(keep_from, now, HELD_BYTES_MAX)?;
        }
        Ok(())
    }
}

impl Set {
    async fn new(predicate: &str, rules: &[&Rule], parameters: &Arc<Parameters>, limits: &QueryLimits) -> Result<Self, SessionError> {
        let (session, rows) = Session::over_rows(Arc::clone(parameters), limits).await?;
        let mut ready = Vec::new();
        for &rule in rules {
            let query = Prepared::new(judged(&session, rule).await?)?;
            ready.push(Ready { rule: rule.clone(), query, news: None });
        }
        Ok(Self {
            sieve: Sieve::new(&session, predicate)?,
            held: Held::new(i64::MIN),
            rows,
            reach: rules.iter().map(|rule| reach(rule)).max().unwrap_or(0),
            rules: ready,
            timeless: Vec::new(),
        })
    }

    fn span(&self) -> i64 {
        self.reach.saturating_mul(2).saturating_add(LATE)
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<(), SessionError> {
        let new = self.sieve.pick(batch)?;
        if new.num_rows() == 0 {
            return Ok(());
        }
        let times = self.held.add(&new)?;
        let timeless = timeless(&new)?;
        for ready in &mut self.rules {
            ready.news.get_or_insert_default().add(times, timeless.num_rows() > 0);
        }
        if timeless.num_rows() > 0 {
            self.timeless.push(timeless);
        }
        Ok(())
    }

    /// Runs one rule over what is new and the window around it.
    async fn run<L>(
        &self,
        ready: &Ready,
        news: News,
        parameters: &Parameters,
        lake: &L,
        limits: &QueryLimits,
    ) -> Result<Vec<crate::Finding>, SessionError>
    where
        L: AsyncFn(&QueryLimits) -> Result<Session, SessionError>,
    {
        let rule = &ready.rule;
        let (first, last) = news.times.unwrap_or((0, -1));
        let range = Range { since: Some(first), until: Some(last.saturating_add(1)), timeless: news.timeless };
        let (since, until) = range.widened(reach(rule));
        if !self.held.reaches(since) && news.times.is_some() {
            return evaluate::run(&lake(limits).await?, rule, range).await;
        }
        let mut rows = self.held.between(since, until)?;
        rows.extend(self.timeless.iter().cloned());
        self.rows.replace(rows).await;
        let batches = ready.query.run().await;
        self.rows.replace(Vec::new()).await;
        evaluate::conclude(rule, parameters, &batches?, range)
    }
}
