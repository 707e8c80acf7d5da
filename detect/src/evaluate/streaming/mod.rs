//! Rules that stand ready: their queries planned once, the rows their windows reach over held in memory. After a commit
//! only its own files are read, and a rule runs only where they hold rows it looks at.

mod rule_group;

use crate::evaluate::batch::Detection;
use crate::scan::shared_scan::{FileCursor, SharedScan, Wanted};
use rule_group::Set;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OnceCell;
use trailhound_datasets::layout::CatalogLocation;
use trailhound_queries::limits::{QueryLimits, SessionError};
use trailhound_queries::packs::rules::{FirstLast, Rule};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// Memory of all rows held whole, in bytes, by all sets of rules that read the same. What does not fit is read from the lake when
/// needed.
const HELD_BYTES_MAX: usize = 96 << 20;

/// The same of all sets that hold no more than the first and the last rows of a day: to read months anew would be dear.
const CONDENSED_BYTES_MAX: usize = 64 << 20;

/// The lake, for windows that reach back to what is not held; opened once a run, and only where it is needed.
struct Lake<'l> {
    place: &'l CatalogLocation,
    parameters: Arc<Parameters>,
    limits: &'l QueryLimits,
    session: OnceCell<Session>,
}

impl Lake<'_> {
    async fn session(&self) -> Result<&Session, SessionError> {
        self.session
            .get_or_try_init(|| {
                Session::over_lake(self.place, Arc::clone(&self.parameters), self.limits)
            })
            .await
    }
}

/// Which rules a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunScope {
    /// Every one.
    All,
    /// Those that do not rest: one that took long lets the others run meanwhile, and lags behind alone.
    Rested,
}

/// Who reads: a set, or what one of its rules remembers.
struct Reader {
    set: usize,
    memory_of: Option<usize>,
}

/// The rules of a service.
pub struct StandingQueries {
    parameters: Arc<Parameters>,
    limits: QueryLimits,
    /// Plans the queries.
    session: Session,
    /// What the sets read.
    sift: SharedScan,
    /// Who reads it, by its number there.
    readers: Vec<Reader>,
    sets: Vec<Set>,
    /// Rules that cannot be planned, and why.
    broken: Vec<(String, String)>,
}

impl StandingQueries {
    /// Plans `rules` over nothing yet. One that cannot be planned is left out ([`StandingQueries::broken`]).
    ///
    /// # Errors
    /// [`SessionError::Engine`] where there is no engine.
    pub async fn new(
        rules: &[&Rule],
        parameters: Arc<Parameters>,
        limits: QueryLimits,
    ) -> Result<Self, SessionError> {
        let mut by_reads: BTreeMap<(&str, Option<&FirstLast>), Vec<&Rule>> = BTreeMap::new();
        for rule in rules {
            // A rule that does not say what it reads may look at every row.
            by_reads
                .entry((rule.reads.as_deref().unwrap_or("true"), rule.condensed.as_ref()))
                .or_default()
                .push(rule);
        }
        let session = Session::over_input(Arc::clone(&parameters), &limits)?;
        let (mut sets, mut broken) = (Vec::new(), Vec::new());
        for ((predicate, condensed), rules) in by_reads {
            sets.extend(Set::new(predicate, condensed, &rules, &session, &mut broken).await);
        }
        let (readers, wanted): (Vec<Reader>, Vec<Wanted>) = (0..)
            .zip(&sets)
            .flat_map(|(at, set)| {
                set.wanted().map(move |(memory_of, wanted)| (Reader { set: at, memory_of }, wanted))
            })
            .unzip();
        Ok(Self {
            parameters,
            limits,
            session,
            sift: SharedScan::new(wanted)?,
            readers,
            sets,
            broken,
        })
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
    /// them is news. `now` as for [`StandingQueries::run`].
    ///
    /// # Errors
    /// [`SessionError`] where a file cannot be read.
    pub fn load(&mut self, files: &[PathBuf], since: i64, now: i64) -> Result<(), SessionError> {
        for set in &mut self.sets {
            set.forget(since);
        }
        for path in files {
            let mut unread = FileCursor::open(path.clone())?;
            while unread.is_left() {
                self.read(&mut unread, false)?;
                self.let_go(now)?;
            }
        }
        Ok(())
    }

    /// Takes the next rows of a file that came since the last call, as news.
    ///
    /// # Errors
    /// [`SessionError`] where it cannot be read; what was taken is then unknown, and [`StandingQueries::load`] must follow.
    pub fn take(&mut self, unread: &mut FileCursor) -> Result<(), SessionError> {
        self.read(unread, true)
    }

    fn read(&mut self, unread: &mut FileCursor, as_news: bool) -> Result<(), SessionError> {
        let (readers, sets) = (&self.readers, &mut self.sets);
        let mut condensed = vec![0; readers.len()];
        let news = self.sift.part(unread, |found| {
            for (number, rows) in found {
                let reader = &readers[number];
                condensed[number] += rows.num_rows();
                sets[reader.set].add(reader.memory_of, &rows, as_news)?;
            }
            Ok(())
        })?;
        for ((reader, news), rows) in readers.iter().zip(news).zip(condensed) {
            let set = &mut sets[reader.set];
            if as_news && news.is_some() {
                set.hear_of(news, rows);
            }
            set.thin()?;
        }
        Ok(())
    }

    /// True where so much has come that the rules should run before more is taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.sets.iter().any(Set::is_full)
    }

    /// When the first rule that rests with something to look at has rested; none where none does.
    #[must_use]
    pub fn rested(&self) -> Option<Instant> {
        self.sets.iter().filter_map(Set::rested).min()
    }

    /// Runs every rule that has news and whose turn it is. Windows that reach back to what is not held are read from the lake whose
    /// catalogue is at `lake`.
    /// A rule that breaks stands in [`Detection::failed`] and keeps its news. `now` is the present, microseconds UTC: rows of
    /// the future do not drive out those of today.
    ///
    /// # Errors
    /// [`SessionError`]; then [`StandingQueries::load`] must follow.
    pub async fn run(
        &mut self,
        turn: RunScope,
        lake: &CatalogLocation,
        now: i64,
    ) -> Result<Detection, SessionError> {
        let mut detection = Detection::default();
        let lake = Lake {
            place: lake,
            parameters: Arc::clone(&self.parameters),
            limits: &self.limits,
            session: OnceCell::new(),
        };
        for set in &mut self.sets {
            set.run_all(turn, &self.session, &self.parameters, &lake, &mut detection).await;
        }
        self.let_go(now)?;
        detection.sort();
        Ok(detection)
    }

    fn let_go(&mut self, now: i64) -> Result<(), SessionError> {
        let (condensed, whole) = self.sets.iter_mut().partition(|set| set.is_condensed());
        share(whole, HELD_BYTES_MAX, now)?;
        share(condensed, CONDENSED_BYTES_MAX, now)
    }
}

/// Sets that hold little keep it; the others share what is left alike.
fn share(mut sets: Vec<&mut Set>, mut bytes_left: usize, now: i64) -> Result<(), SessionError> {
    sets.sort_by_key(|set| set.bytes());
    let count = sets.len();
    for (at, set) in sets.into_iter().enumerate() {
        let share = bytes_left / (count - at);
        set.let_go(now, share)?;
        bytes_left -= set.bytes().min(share);
    }
    Ok(())
}
