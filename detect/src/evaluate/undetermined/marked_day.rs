//! The days of events with a fact that was not understood.

use super::doubt::marked_facts;
use crate::evaluate::scope::TimeRange;
use crate::finding::match_rows;
use crate::scan::first_last::{Times, times};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::error::DataFusionError;
use std::collections::BTreeSet;
use trailhound_datasets::fact::FactSet;
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

/// Days with events of which a fact was not understood, and these facts, of all days together.
#[derive(Debug, Default)]
pub(in crate::evaluate) struct Marks {
    pub(in crate::evaluate) days: BTreeSet<MarkedDay>,
    pub(in crate::evaluate) facts: FactSet,
}

impl Marks {
    /// Adds the days and the facts of the rows of `batch` that were stored at `since` or later (microseconds since 1970 UTC).
    /// The batch has the columns `event_time`, `ingested_at` and `flags`.
    ///
    /// # Errors
    /// [`DataFusionError`] where it lacks one.
    pub(in crate::evaluate) fn add(
        &mut self,
        batch: &RecordBatch,
        since: i64,
    ) -> Result<(), DataFusionError> {
        let event_times = times(batch)?;
        let ingested = required_column(batch, "ingested_at")?;
        let ingested = cast(ingested, event_times.data_type())?;
        let ingested: &Times = ingested.as_primitive();
        let facts = facts_of_rows(batch)?;
        for ((time, ingested), facts) in event_times.iter().zip(ingested).zip(facts) {
            if ingested.is_some_and(|ingested| ingested < since) {
                continue;
            }
            let at = time.or(ingested).unwrap_or(0);
            let start = at.div_euclid(DAY_MICROS).saturating_mul(DAY_MICROS);
            self.days.insert(MarkedDay { start, has_times: time.is_some() });
            self.facts.extend(facts);
        }
        Ok(())
    }
}

/// For each row of `batch`, which has the column `flags`, the facts that were not understood.
///
/// # Errors
/// [`DataFusionError`] where it lacks the column.
pub(super) fn facts_of_rows(batch: &RecordBatch) -> Result<Vec<FactSet>, DataFusionError> {
    let flags = required_column(batch, "flags")?.as_list::<i32>();
    let names = match_rows::utf8(flags.values())?;
    let offsets = flags.value_offsets();
    let facts = (0..batch.num_rows()).map(|row| {
        let range = offsets[row] as usize..offsets[row + 1] as usize;
        marked_facts(range.filter(|&at| names.is_valid(at)).map(|at| names.value(at)))
    });
    Ok(facts.collect())
}
