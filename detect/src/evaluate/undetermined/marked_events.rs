//! Reads the events with a fact that was not understood.

use super::marked_day::{MarkedDay, Marks};
use crate::evaluate::batch_rows::read_all;
use crate::evaluate::scope::TimeRange;
use crate::finding::match_rows;
use crate::scan::predicate_set::EventPredicate;
use crate::scan::shared_scan::{RequestedRows, ScanRequest, SharedScan};
use datafusion::arrow::array::{Array, Int64Array, RecordBatch};
use datafusion::error::DataFusionError;
use futures::stream::{BoxStream, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use trailhound_datasets::columns::EVENTS;
use trailhound_datasets::layout::DAY_MICROS;
use trailhound_queries::limits::SessionError;
use trailhound_queries::session::{Session, event_time_in};

/// The condition that an event with a fact that was not understood fulfils. Most events have no flag, which is decided first.
const ANY_MARK: &str =
    "(cardinality(flags) > 0 AND array_to_string(flags, ' ') LIKE '%\\_not\\_understood%')";

/// The columns that tell the day of an event, and what of it was not understood.
const MARK_COLUMNS: [&str; 3] = ["event_time", "ingested_at", "flags"];

/// Rows of events, in no particular order.
pub(super) struct MarkedEvents(Rows);

enum Rows {
    /// From files: the rows and the threads that read them.
    Files(mpsc::Receiver<RequestedRows>, Vec<JoinHandle<Result<(), SessionError>>>),
    /// From anything else.
    Stream(BoxStream<'static, Result<RecordBatch, SessionError>>),
}

impl MarkedEvents {
    /// Reads the events of `day` in `lake`, with the columns at the positions `columns` of
    /// `events`. The condition is planned in `planner`, a session over input.
    ///
    /// # Errors
    /// [`SessionError`] where the lake cannot be read.
    pub(super) async fn of_day(
        lake: &Session,
        planner: &Session,
        day: MarkedDay,
        columns: &BTreeSet<usize>,
    ) -> Result<Self, SessionError> {
        Self::read(lake, planner, &day.condition(), columns).await
    }

    async fn read(
        lake: &Session,
        planner: &Session,
        times: &str,
        columns: &BTreeSet<usize>,
    ) -> Result<Self, SessionError> {
        let condition = format!("({times}) AND {ANY_MARK}");
        let Some(files) = lake.files_where(times).await? else {
            return Ok(Self(Rows::Stream(lake.rows_where(&condition, columns).await?)));
        };
        let request = ScanRequest {
            predicate: EventPredicate::new(planner, &condition)?,
            columns: columns.clone(),
            first_last: None,
        };
        let scan = Arc::new(SharedScan::new(vec![request])?);
        let (rows, readers) = read_all(&scan, files, lake.limits().threads);
        Ok(Self(Rows::Files(rows, readers)))
    }

    /// The next rows; `None` after the last.
    ///
    /// # Errors
    /// [`SessionError`] where they cannot be read.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>, SessionError> {
        match &mut self.0 {
            Rows::Stream(rows) => rows.try_next().await,
            Rows::Files(rows, readers) => {
                // There is one request, so a batch has at most one part.
                while let Some(mut requested) = rows.recv().await {
                    if let Some((_, batch)) = requested.pop() {
                        return Ok(Some(batch));
                    }
                }
                for reader in readers.drain(..) {
                    reader.await.map_err(|e| DataFusionError::External(Box::new(e)))??;
                }
                Ok(None)
            }
        }
    }
}

/// The days in `range` on which `lake` has events with a fact that was not understood, and these facts.
///
/// # Errors
/// [`SessionError`] where the lake cannot be read.
pub(in crate::evaluate) async fn marks(
    lake: &Session,
    planner: &Session,
    range: TimeRange,
) -> Result<Marks, SessionError> {
    let day = |time: i64| time.div_euclid(DAY_MICROS).saturating_mul(DAY_MICROS);
    let since = range.since.map_or(i64::MIN, day);
    let until = range
        .until
        .map_or(i64::MAX, |until| day(until.saturating_sub(1)).saturating_add(DAY_MICROS));
    let times = match (range.is_everything(), range.include_untimed) {
        (true, _) => "true".to_owned(),
        (false, true) => format!("({} OR event_time IS NULL)", event_time_in(since, until)),
        (false, false) => event_time_in(since, until),
    };
    let mut marks = Marks::default();
    let mut rows = MarkedEvents::read(lake, planner, &times, &mark_columns()).await?;
    while let Some(batch) = rows.next().await? {
        marks.add(&batch, i64::MIN)?;
    }
    Ok(marks)
}

/// The request of a shared scan for the days of events with a fact that was not understood.
///
/// # Errors
/// [`SessionError`].
pub(in crate::evaluate) fn day_request(planner: &Session) -> Result<ScanRequest, SessionError> {
    let predicate = EventPredicate::new(planner, ANY_MARK)?;
    Ok(ScanRequest { predicate, columns: mark_columns(), first_last: None })
}

fn mark_columns() -> BTreeSet<usize> {
    positions(&MARK_COLUMNS)
}

/// The positions in `events` of the columns `names`.
pub(super) fn positions(names: &[&str]) -> BTreeSet<usize> {
    (0..)
        .zip(EVENTS.arrow.fields())
        .filter(|(_, field)| names.contains(&field.name().as_str()))
        .map(|(position, _)| position)
        .collect()
}

/// The events of a source on a day.
#[derive(Debug, Clone, Copy)]
pub(super) struct SourceTotals {
    pub(super) events: u64,
    /// Events with a fact that was not understood.
    pub(super) marked: u64,
}

/// The events of each source in `lake` on `day`.
///
/// # Errors
/// [`SessionError`] where the lake cannot be read.
pub(super) async fn totals(
    lake: &Session,
    day: MarkedDay,
) -> Result<BTreeMap<String, SourceTotals>, SessionError> {
    let sql = format!(
        "SELECT source, count(*), count(*) FILTER (WHERE {ANY_MARK}) FROM events WHERE {} GROUP BY source",
        day.condition()
    );
    let mut totals = BTreeMap::new();
    for batch in lake.sql(&sql).await?.collect().await? {
        let sources = match_rows::utf8(batch.column(0))?;
        let (events, marked) =
            (match_rows::int64(batch.column(1))?, match_rows::int64(batch.column(2))?);
        for row in 0..batch.num_rows() {
            let source =
                if sources.is_valid(row) { sources.value(row).to_owned() } else { String::new() };
            let count = |counts: &Int64Array| counts.value(row).unsigned_abs();
            let counts = SourceTotals { events: count(&events), marked: count(&marked) };
            totals.insert(source, counts);
        }
    }
    Ok(totals)
}
