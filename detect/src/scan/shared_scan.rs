//! Finds the rows that several groups of rules read, in one pass over files and batches of
//! `events`.

use crate::scan::events_file::{EventsFile, RowRange};
use crate::scan::first_last::{Bounds, FirstLastState};
use crate::scan::match_bitmap::MatchBitmap;
use crate::scan::predicate_set::{EventPredicate, PredicateSet, ReducedPredicates};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use trailhound_datasets::columns::EVENTS;
use trailhound_queries::limits::SessionError;
use trailhound_queries::projection::{events_projection, take_rows};

/// First and last time of rows, microseconds UTC; `None` where no row has a time.
pub(crate) type TimeSpan = Option<Bounds>;

/// The span that covers both.
pub(crate) fn union(a: TimeSpan, b: TimeSpan) -> TimeSpan {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

/// Request of one group of rules: the rows and columns that it reads.
pub(crate) struct ScanRequest {
    pub(crate) predicate: EventPredicate,
    /// Positions of the columns in `events` that the group is given. Those of `first_last` are
    /// added.
    pub(crate) columns: BTreeSet<usize>,
    /// Only the first and the last row of each group and bucket are given.
    pub(crate) first_last: Option<SharedFirstLast>,
}

/// A [`FirstLastState`] that the scan updates and the group of rules evicts from.
#[derive(Debug, Clone)]
pub(crate) struct SharedFirstLast(Arc<Mutex<FirstLastState>>);

impl SharedFirstLast {
    pub(crate) fn new(state: FirstLastState) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, FirstLastState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows of a file that are read together. What rules find in them is held in memory until it is
/// stored.
const RANGE_ROWS: usize = 16_384;

/// A file of `events` that is read a range of rows at a time.
#[derive(Debug)]
pub struct FileCursor {
    file: EventsFile,
    /// Number of the first unread row.
    next_row: usize,
}

impl FileCursor {
    /// A cursor before the first row of the file `path`.
    ///
    /// # Errors
    /// [`SessionError`] where it does not exist or is no Parquet file.
    pub fn open(path: PathBuf) -> Result<Self, SessionError> {
        Ok(Self { file: EventsFile::open(path)?, next_row: 0 })
    }

    /// True while there are unread rows.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.next_row < self.file.row_count()
    }

    fn next_range(&self) -> RowRange<'_> {
        let end = self.file.row_count().min(self.next_row + RANGE_ROWS);
        RowRange { file: &self.file, rows: self.next_row..end }
    }
}

/// The rows of one batch that were requested, each part with the number of its request.
pub(crate) type RequestedRows = Vec<(usize, RecordBatch)>;

/// One shared pass for all requests. A request is identified by its number.
pub(crate) struct SharedScan {
    predicates: PredicateSet,
    outputs: Vec<Output>,
    /// The requests with a first-and-last reduction.
    reduced: ReducedPredicates,
    /// Positions of the columns in `events` that any request is given.
    output_columns: BTreeSet<usize>,
}

/// Output of the scan for one request.
struct Output {
    schema: SchemaRef,
    /// The reduction, and the columns that it reads.
    first_last: Option<(SharedFirstLast, SchemaRef)>,
    is_stopped: AtomicBool,
}

impl SharedScan {
    /// A scan for `requests`, numbered in their order.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub(crate) fn new(requests: Vec<ScanRequest>) -> Result<Self, SessionError> {
        let predicates = PredicateSet::new(requests.iter().map(|request| &request.predicate))?;
        let (mut reduced, mut output_columns, mut outputs) =
            (ReducedPredicates::default(), BTreeSet::new(), Vec::new());
        for (number, mut request) in requests.into_iter().enumerate() {
            let first_last = match request.first_last {
                Some(first_last) => {
                    let columns = positions(first_last.lock().columns());
                    reduced.predicates.push(number);
                    reduced.columns.extend(&columns);
                    // A compaction of the rows held reads them again.
                    request.columns.extend(&columns);
                    Some((first_last, events_projection(&columns)?))
                }
                None => None,
            };
            outputs.push(Output {
                schema: events_projection(&request.columns)?,
                first_last,
                is_stopped: AtomicBool::new(false),
            });
            output_columns.extend(request.columns);
        }
        Ok(Self { predicates, outputs, reduced, output_columns })
    }

    /// Positions of all columns of `events` that [`SharedScan::read_batch`] needs.
    pub(crate) fn columns(&self) -> BTreeSet<usize> {
        self.predicates
            .columns()
            .iter()
            .chain(&self.reduced.columns)
            .chain(&self.output_columns)
            .copied()
            .collect()
    }

    /// From now on files give no rows to `request`.
    pub(crate) fn stop(&self, request: usize) {
        self.outputs[request].is_stopped.store(true, Ordering::Relaxed);
    }

    /// From now on files give rows to every request again.
    pub(crate) fn resume_all(&self) {
        self.outputs.iter().for_each(|output| output.is_stopped.store(false, Ordering::Relaxed));
    }

    /// Reads the next rows of a file and passes those requested to `each`. Returns for each request
    /// with a first-and-last reduction the times of the rows that can change what a rule finds, and
    /// `None` for the others.
    ///
    /// # Errors
    /// [`SessionError`] where the file cannot be read, and the error of `each`.
    pub(crate) fn read_next(
        &self,
        cursor: &mut FileCursor,
        mut each: impl FnMut(RequestedRows) -> Result<(), SessionError>,
    ) -> Result<Vec<TimeSpan>, SessionError> {
        let mut changed = vec![None; self.outputs.len()];
        let reduce = |batch: &RecordBatch, bitmap: &mut MatchBitmap| {
            self.reduce(batch, bitmap, &mut changed)
        };
        let is_wanted = |request: usize| !self.outputs[request].is_stopped.load(Ordering::Relaxed);
        let range = cursor.next_range();
        self.predicates.read(
            &range,
            &self.reduced,
            &self.output_columns,
            is_wanted,
            reduce,
            |batch, bitmap| each(self.requested(batch, bitmap)?),
        )?;
        cursor.next_row = range.rows.end;
        Ok(changed)
    }

    /// The rows of `batch`, which has all of [`SharedScan::columns`], that are requested.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(crate) fn read_batch(&self, batch: &RecordBatch) -> Result<RequestedRows, SessionError> {
        let mut bitmap = self.predicates.evaluate(batch)?;
        self.reduce(batch, &mut bitmap, &mut vec![None; self.outputs.len()])?;
        self.requested(batch, &bitmap)
    }

    /// Removes the matches of rows that are neither first nor last, and adds the times of the
    /// others to `changed`.
    fn reduce(
        &self,
        batch: &RecordBatch,
        bitmap: &mut MatchBitmap,
        changed: &mut [TimeSpan],
    ) -> Result<(), SessionError> {
        for (request, output) in self.outputs.iter().enumerate() {
            let Some((first_last, schema)) = &output.first_last else { continue };
            let rows = bitmap.rows(request);
            if !rows.is_empty() {
                let observed = first_last.lock().observe(&take_rows(batch, schema, &rows)?)?;
                bitmap.retain(request, &rows, &observed.keep);
                changed[request] = union(changed[request], observed.changed);
            }
        }
        Ok(())
    }

    fn requested(
        &self,
        batch: &RecordBatch,
        bitmap: &MatchBitmap,
    ) -> Result<RequestedRows, SessionError> {
        let mut requested = Vec::new();
        for (request, output) in self.outputs.iter().enumerate() {
            let rows = bitmap.rows(request);
            if !rows.is_empty() {
                requested.push((request, take_rows(batch, &output.schema, &rows)?));
            }
        }
        Ok(requested)
    }
}

/// Positions of the columns `names` in `events`.
fn positions<'c>(names: impl Iterator<Item = &'c str>) -> BTreeSet<usize> {
    let names: BTreeSet<&str> = names.collect();
    EVENTS
        .arrow
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| names.contains(field.name().as_str()))
        .map(|(position, _)| position)
        .collect()
}
