//! What several sets of rules read, found in one go through files and batches of `events`.

use crate::scan::first_last::FirstLastState;
use crate::scan::match_bitmap::MatchBitmap;
use crate::scan::predicate_set::{Chosen, EventPredicate, EventsFile, Part, PredicateSet};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use trailhound_datasets::columns::EVENTS;
use trailhound_queries::limits::SessionError;
use trailhound_queries::projection::{some, taken};

/// First and last time of rows, microseconds UTC.
pub(crate) type Span = Option<(i64, i64)>;

/// First and last time of both.
pub(crate) fn spanning(a: Span, b: Span) -> Span {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

/// What a set of rules reads.
pub(crate) struct Wanted {
    /// Which rows of `events`.
    pub(crate) predicate: EventPredicate,
    /// Columns of `events` that it is given, by their place; those that condensing looks at come on top.
    pub(crate) columns: BTreeSet<usize>,
    /// Where no more is wanted than the first and the last of each group.
    pub(crate) condense: Option<Condensing>,
}

/// What is known of rows that are not all held.
#[derive(Debug, Clone)]
pub(crate) struct Condensing(Arc<Mutex<FirstLastState>>);

impl Condensing {
    pub(crate) fn new(condense: FirstLastState) -> Self {
        Self(Arc::new(Mutex::new(condense)))
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, FirstLastState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows of a file that are looked at together: what rules find in them is held in memory until it is kept.
const PART_ROWS: usize = 16_384;

/// A file of `events` that is read part by part.
#[derive(Debug)]
pub struct FileCursor {
    events: EventsFile,
    /// Number of the first row that is not read.
    from: usize,
}

impl FileCursor {
    /// All of the file `path`.
    ///
    /// # Errors
    /// [`SessionError`] where it is not there or is no Parquet file.
    pub fn open(path: PathBuf) -> Result<Self, SessionError> {
        Ok(Self { events: EventsFile::open(path)?, from: 0 })
    }

    /// True while there is something left to read.
    #[must_use]
    pub fn is_left(&self) -> bool {
        self.from < self.events.row_count()
    }

    fn next(&self) -> Part<'_> {
        Part {
            events: &self.events,
            rows: self.from..self.events.row_count().min(self.from + PART_ROWS),
        }
    }
}

/// Rows of one batch, each with the number of the set that wants them.
pub(crate) type Found = Vec<(usize, RecordBatch)>;

/// What all sets want.
pub(crate) struct SharedScan {
    sieves: PredicateSet,
    sets: Vec<Reading>,
    /// Those that are condensed.
    chosen: Chosen,
    /// Columns that any set is given, by their place.
    wanted: BTreeSet<usize>,
}

struct Reading {
    schema: SchemaRef,
    condensing: Option<(Condensing, SchemaRef)>,
    is_given_up: AtomicBool,
}

impl SharedScan {
    /// Finds what `sets` want, which are known by their number from here on.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub(crate) fn new(sets: Vec<Wanted>) -> Result<Self, SessionError> {
        let sieves = PredicateSet::new(sets.iter().map(|set| &set.predicate))?;
        let (mut chosen, mut wanted, mut readings) =
            (Chosen::default(), BTreeSet::new(), Vec::new());
        for (number, mut set) in sets.into_iter().enumerate() {
            let condensing = match set.condense {
                Some(condensing) => {
                    let columns = places(condensing.known().columns());
                    chosen.conditions.push(number);
                    chosen.looked_at.extend(&columns);
                    // Held rows are told apart by them too.
                    set.columns.extend(&columns);
                    Some((condensing, some(&columns)?))
                }
                None => None,
            };
            readings.push(Reading {
                schema: some(&set.columns)?,
                condensing,
                is_given_up: AtomicBool::new(false),
            });
            wanted.extend(set.columns);
        }
        Ok(Self { sieves, sets: readings, chosen, wanted })
    }

    /// Every column of `events` that [`SharedScan::batch`] needs, by place.
    pub(crate) fn columns(&self) -> BTreeSet<usize> {
        self.sieves
            .columns()
            .iter()
            .chain(&self.chosen.looked_at)
            .chain(&self.wanted)
            .copied()
            .collect()
    }

    /// From now on `set` gets nothing any more.
    pub(crate) fn give_up(&self, set: usize) {
        self.sets[set].is_given_up.store(true, Ordering::Relaxed);
    }

    /// From now on every set gets its rows again.
    pub(crate) fn resume_all(&self) {
        self.sets.iter().for_each(|set| set.is_given_up.store(false, Ordering::Relaxed));
    }

    /// Gives `each` what the sets want of the next rows of `unread`. Of each set that is condensed it gives the times of the rows that can
    /// change what a rule says.
    ///
    /// # Errors
    /// [`SessionError`] where the file cannot be read, and what `each` gives.
    pub(crate) fn part(
        &self,
        unread: &mut FileCursor,
        mut each: impl FnMut(Found) -> Result<(), SessionError>,
    ) -> Result<Vec<Span>, SessionError> {
        let mut news = vec![None; self.sets.len()];
        let choose =
            |batch: &RecordBatch, hits: &mut MatchBitmap| self.choose(batch, hits, &mut news);
        let is_wanted = |set: usize| !self.sets[set].is_given_up.load(Ordering::Relaxed);
        let part = unread.next();
        self.sieves.read(&part, &self.chosen, &self.wanted, is_wanted, choose, |batch, hits| {
            each(self.found(batch, hits)?)
        })?;
        unread.from = part.rows.end;
        Ok(news)
    }

    /// What the sets want of `batch`.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(crate) fn batch(&self, batch: &RecordBatch) -> Result<Found, SessionError> {
        let mut hits = self.sieves.judge(batch)?;
        self.choose(batch, &mut hits, &mut vec![None; self.sets.len()])?;
        self.found(batch, &hits)
    }

    /// Takes back the hits of rows that are neither first nor last.
    fn choose(
        &self,
        batch: &RecordBatch,
        hits: &mut MatchBitmap,
        news: &mut [Span],
    ) -> Result<(), SessionError> {
        for (set, reading) in self.sets.iter().enumerate() {
            let Some((condensing, schema)) = &reading.condensing else { continue };
            let rows = hits.rows(set);
            if !rows.is_empty() {
                let judged = condensing.known().judge(&taken(batch, schema, &rows)?)?;
                hits.keep(set, &rows, &judged.keep);
                news[set] = spanning(news[set], judged.news);
            }
        }
        Ok(())
    }

    fn found(&self, batch: &RecordBatch, hits: &MatchBitmap) -> Result<Found, SessionError> {
        let mut found = Vec::new();
        for (set, reading) in self.sets.iter().enumerate() {
            let rows = hits.rows(set);
            if !rows.is_empty() {
                found.push((set, taken(batch, &reading.schema, &rows)?));
            }
        }
        Ok(found)
    }
}

/// Places of columns among those of `events`.
fn places<'c>(names: impl Iterator<Item = &'c str>) -> BTreeSet<usize> {
    let names: BTreeSet<&str> = names.collect();
    EVENTS
        .arrow
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| names.contains(field.name().as_str()))
        .map(|(at, _)| at)
        .collect()
}
