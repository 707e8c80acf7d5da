//! Rules that stand ready: their queries planned once, the rows their windows reach over held in memory. After a commit
//! only its own files are read, and a rule runs only where they hold rows it looks at.

mod set;

use crate::evaluate::Detection;
use datafusion::arrow::array::RecordBatch;
use set::Set;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trailhound_datasets::layout::CatalogPlace;
use trailhound_queries::catalogue::{Condensed, Rule};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::prepared::Rows;
use trailhound_queries::session::{QueryLimits, Session, SessionError};
use trailhound_queries::sieve::Sieve;

/// Memory of all rows held, in bytes, by all sets of rules that read the same. What does not fit is read from the lake when
/// needed.
const HELD_BYTES_MAX: usize = 96 << 20;

/// The same of each set that holds no more than the first and the last rows of a day.
const CONDENSED_BYTES_MAX: usize = 64 << 20;

/// The rules of a service.
pub struct Standing {
    parameters: Arc<Parameters>,
    limits: QueryLimits,
    /// The rows a rule runs over, one after the other.
    rows: Rows,
    /// What any of the sets reads.
    sieve: Sieve,
    /// Columns of `events` that any rule or sieve looks at; the others are not even decoded.
    columns: BTreeSet<usize>,
    sets: Vec<Set>,
    /// Rules that cannot be planned, and why.
    broken: Vec<(String, String)>,
}

impl Standing {
    /// Plans `rules` over nothing yet. One that cannot be planned is left out ([`Standing::broken`]).
    ///
    /// # Errors
    /// [`SessionError::Engine`] where there is no engine.
    pub async fn new(rules: &[&Rule], parameters: Arc<Parameters>, limits: QueryLimits) -> Result<Self, SessionError> {
        let mut by_reads: BTreeMap<(&str, Option<&Condensed>), Vec<&Rule>> = BTreeMap::new();
        for rule in rules {
            // A rule that does not say what it reads may look at every row.
            by_reads.entry((rule.reads.as_deref().unwrap_or("true"), rule.condensed.as_ref())).or_default().push(rule);
        }
        let (session, rows) = Session::over_rows(Arc::clone(&parameters), &limits).await?;
        let (mut sets, mut broken) = (Vec::new(), Vec::new());
        for ((predicate, condensed), rules) in by_reads {
            sets.extend(Set::new(predicate, condensed, &rules, &session, &mut broken).await);
        }
        let plain = sets.iter().filter(|set| !set.is_condensed());
        let any: Vec<String> = plain.map(|set| format!("({})", set.predicate())).collect();
        let sieve = Sieve::new(&session, &if any.is_empty() { "false".to_owned() } else { any.join(" OR ") })?;
        let mut columns: BTreeSet<usize> = sieve.columns().iter().copied().collect();
        columns.extend(sets.iter().filter(|set| !set.is_condensed()).flat_map(Set::columns));
        for set in &mut sets {
            let given = if set.is_condensed() { set.columns().collect() } else { columns.clone() };
            set.settle(&given)?;
        }
        Ok(Self { parameters, limits, rows, sieve, columns, sets, broken })
    }

    /// Ids of the rules that were left out because they cannot be planned, and why.
    #[must_use]
    pub fn broken(&self) -> &[(String, String)] {
        &self.broken
    }

    /// Memory of the rows held, in bytes, by what is read.
    pub fn held(&self) -> impl Iterator<Item = (&str, usize)> {
        self.sets.iter().map(|set| (set.predicate(), set.bytes()))
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
            set.forget(since);
        }
        for path in files {
            for batch in self.shared_rows(path)? {
                self.sets.iter_mut().filter(|set| !set.is_condensed()).try_for_each(|set| set.hold(&batch))?;
            }
            self.sets.iter_mut().try_for_each(|set| set.take_file(path, false))?;
            self.let_go(now)?;
        }
        Ok(())
    }

    /// The rows of a file that any of the sets reads which hold all that they read.
    fn shared_rows(&self, path: &Path) -> Result<Vec<RecordBatch>, SessionError> {
        // There may be none of them.
        if self.columns.is_empty() { Ok(Vec::new()) } else { self.sieve.read(path, &self.columns) }
    }

    /// Takes the rows of a file that came since the last call, as news.
    ///
    /// # Errors
    /// [`SessionError`] where it cannot be read; what was taken is then unknown, and [`Standing::load`] must follow.
    pub fn take(&mut self, path: &Path) -> Result<(), SessionError> {
        for batch in self.shared_rows(path)? {
            self.sets.iter_mut().filter(|set| !set.is_condensed()).try_for_each(|set| set.take(&batch))?;
        }
        self.sets.iter_mut().try_for_each(|set| set.take_file(path, true))
    }

    /// True where so much has come that the rules should run before more is taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.sets.iter().any(Set::is_full)
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
            set.run_all(&self.rows, &self.parameters, lake, &self.limits, &mut detection).await;
        }
        self.let_go(now)?;
        detection.sort();
        Ok(detection)
    }

    /// Sets that hold little keep it; the others share what is left alike. Those that hold little of each day have room of their own: to
    /// read months anew would be dear.
    fn let_go(&mut self, now: i64) -> Result<(), SessionError> {
        self.sets.iter_mut().filter(|set| set.is_condensed()).try_for_each(|set| set.let_go(now, CONDENSED_BYTES_MAX))?;
        let mut sets: Vec<&mut Set> = self.sets.iter_mut().filter(|set| !set.is_condensed()).collect();
        sets.sort_by_key(|set| set.bytes());
        let (mut left, count) = (HELD_BYTES_MAX, sets.len());
        for (at, set) in sets.into_iter().enumerate() {
            let share = left / (count - at);
            set.let_go(now, share)?;
            left -= set.bytes().min(share);
        }
        Ok(())
    }
}
