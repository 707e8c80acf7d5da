//! The days of events with a fact that was not understood.

use crate::evaluate::scope::TimeRange;
use crate::scan::first_last::{Times, times};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::error::DataFusionError;
use std::collections::BTreeSet;
use trailhound_datasets::layout::DAY_MICROS;
use trailhound_queries::projection::required_column;
use trailhound_queries::session::event_time_in;

/// A day (UTC) with events of which a fact was not understood. Events without a time belong to the
/// day of their ingest, apart from those with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::evaluate) struct MarkedDay {
    /// Its first instant, in microseconds since 1970 UTC.
    start: i64,
    has_times: bool,
}

impl MarkedDay {
    /// Its first instant, in microseconds since 1970 UTC.
    pub(super) fn start(self) -> i64 {
        self.start
    }

    /// The part of a group key that stands for the day.
    pub(super) fn key(self) -> String {
        format!("{}{}", self.start, if self.has_times { "" } else { " without a time" })
    }

    /// The SQL condition on its events.
    pub(super) fn condition(self) -> String {
        let within = event_time_in(self.start, self.start.saturating_add(DAY_MICROS));
        if self.has_times {
            within
        } else {
            format!("event_time IS NULL AND {}", within.replace("event_time", "ingested_at"))
        }
    }

    /// The range of the findings about its events.
    pub(in crate::evaluate) fn range(self) -> TimeRange {
        if self.has_times {
            let until = self.start.saturating_add(DAY_MICROS);
            TimeRange { since: Some(self.start), until: Some(until), include_untimed: false }
        } else {
            TimeRange { since: Some(0), until: Some(0), include_untimed: true }
        }
    }
}

/// Adds the days of the rows of `batch` that were stored at `since` or later (microseconds since
/// 1970 UTC). The batch has the columns `event_time` and `ingested_at`.
///
/// # Errors
/// [`DataFusionError`] where it lacks one.
pub(in crate::evaluate) fn days_of(
    batch: &RecordBatch,
    since: i64,
    days: &mut BTreeSet<MarkedDay>,
) -> Result<(), DataFusionError> {
    let event_times = times(batch)?;
    let ingested = required_column(batch, "ingested_at")?;
    let ingested = cast(ingested, event_times.data_type())?;
    let ingested: &Times = ingested.as_primitive();
    for (time, ingested) in event_times.iter().zip(ingested) {
        if ingested.is_some_and(|ingested| ingested < since) {
            continue;
        }
        let at = time.or(ingested).unwrap_or(0);
        let start = at.div_euclid(DAY_MICROS).saturating_mul(DAY_MICROS);
        days.insert(MarkedDay { start, has_times: time.is_some() });
    }
    Ok(())
}
