//! Rows of `events` that are held in memory between runs of a streaming rule.
//!
//! A rule that counts failed sign-ins over ten minutes needs the rows of the ten minutes before
//! each new row. With them in memory, a commit of 50 events costs 50 rows of reading. The buffer is
//! a copy of what the lake holds; rows evicted from it are read from the lake when a run needs
//! them.

use crate::scan::first_last::{Times, times};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{cast, concat_batches, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::error::DataFusionError;
use std::sync::Arc;
use trailhound_queries::projection::dictionary_text;

/// From this many rows on, texts are dictionary-encoded: names, addresses and agents repeat.
const ENCODED_ROWS: usize = 1024;
/// Up to this many batches are held as they came, without merging.
const UNMERGED_BATCHES: usize = 8;

/// Rows of `events`, complete for every time from `floor` on.
#[derive(Debug)]
pub(crate) struct WindowBuffer {
    /// Large merged batches first, the newest last.
    batches: Vec<TimedBatch>,
    /// Every matching row of the lake at this time or later is held. Microseconds UTC.
    floor: i64,
}

/// Rows that all have a time, with the earliest and the latest of these.
#[derive(Debug, Clone)]
struct TimedBatch {
    batch: RecordBatch,
    first: i64,
    last: i64,
}

impl WindowBuffer {
    /// An empty buffer. Its owner adds every matching row of the lake at `floor` or later,
    /// microseconds UTC.
    pub(crate) fn new(floor: i64) -> Self {
        Self { batches: Vec::new(), floor }
    }

    /// True where every matching row of the lake at `since` or later is held.
    pub(crate) fn is_complete_from(&self, since: i64) -> bool {
        since >= self.floor
    }

    /// Adds rows and returns their first and last time. Rows without a time are not held, because
    /// no window contains them.
    ///
    /// # Errors
    /// [`DataFusionError::Plan`] where `batch` lacks `event_time`.
    pub(crate) fn add(
        &mut self,
        batch: &RecordBatch,
    ) -> Result<Option<(i64, i64)>, DataFusionError> {
        let timed = filter_by_time(batch, |times| {
            (0..times.len()).map(|row| Some(times.is_valid(row))).collect()
        })?;
        let Some((first, last)) = timed.as_ref().map(|timed| (timed.first, timed.last)) else {
            return Ok(None);
        };
        self.batches.extend(timed);
        self.merge()?;
        Ok(Some((first, last)))
    }

    /// Where there are many batches, merges the newest with those before them that are at most
    /// twice as large. That keeps the number of batches small, and each row is copied a few times
    /// only.
    fn merge(&mut self) -> Result<(), DataFusionError> {
        let mut from = self.batches.len();
        let mut rows = 0;
        while from > 0 && (rows == 0 || self.batches[from - 1].batch.num_rows() <= 2 * rows) {
            from -= 1;
            rows += self.batches[from].batch.num_rows();
        }
        if self.batches.len() <= UNMERGED_BATCHES || from + 1 >= self.batches.len() {
            return Ok(());
        }
        let small = self.batches.split_off(from);
        let first = small.iter().map(|held| held.first).min().unwrap_or(i64::MAX);
        let last = small.iter().map(|held| held.last).max().unwrap_or(i64::MIN);
        let rows = small.iter().map(|held| decoded(&held.batch)).collect::<Result<Vec<_>, _>>()?;
        let batch = encoded(concat_batches(&rows[0].schema(), &rows)?)?;
        self.batches.push(TimedBatch { batch, first, last });
        Ok(())
    }

    /// The rows whose time is in `[since, until)`; texts may be dictionary-encoded.
    ///
    /// # Errors
    /// [`DataFusionError`].
    pub(crate) fn between(
        &self,
        since: i64,
        until: i64,
    ) -> Result<Vec<RecordBatch>, DataFusionError> {
        let mut rows = Vec::new();
        for held in self.batches.iter().filter(|held| held.last >= since && held.first < until) {
            if held.first >= since && held.last < until {
                rows.push(held.batch.clone());
            } else {
                let within = |time: i64| time >= since && time < until;
                rows.extend(
                    filter_by_time(&held.batch, |times| {
                        times.iter().map(|time| time.map(within)).collect()
                    })?
                    .map(|timed| timed.batch),
                );
            }
        }
        Ok(rows)
    }

    /// While more than `bytes_max` bytes are held, evicts rows before `keep_from`, and then later
    /// ones up to `now`. Old rows that fit stay, because late events need them. Rows after `now`
    /// are not a reason to evict those of the present.
    ///
    /// # Errors
    /// [`DataFusionError`].
    pub(crate) fn evict(
        &mut self,
        keep_from: i64,
        now: i64,
        bytes_max: usize,
    ) -> Result<(), DataFusionError> {
        let mut keep_from = keep_from.max(self.floor);
        while self.bytes() > bytes_max {
            self.evict_before(keep_from)?;
            if keep_from >= now {
                break;
            }
            // Half of the remaining time, rounded up so that the loop ends.
            keep_from += (now.saturating_sub(keep_from)) / 2 + 1;
        }
        Ok(())
    }

    fn evict_before(&mut self, keep_from: i64) -> Result<(), DataFusionError> {
        for held in std::mem::take(&mut self.batches) {
            if held.first >= keep_from {
                self.batches.push(held);
            } else if held.last >= keep_from {
                let later = |time: i64| time >= keep_from;
                let left = filter_by_time(&held.batch, |times| {
                    times.iter().map(|time| time.map(later)).collect()
                })?;
                self.batches.extend(left.map(TimedBatch::re_encoded).transpose()?);
            }
        }
        self.floor = self.floor.max(keep_from);
        Ok(())
    }

    /// Keeps the rows of each batch that `keep` selects.
    ///
    /// # Errors
    /// The error of `keep`.
    pub(crate) fn retain(
        &mut self,
        keep: impl Fn(&RecordBatch) -> Result<BooleanArray, DataFusionError>,
    ) -> Result<(), DataFusionError> {
        for held in std::mem::take(&mut self.batches) {
            let mask = keep(&held.batch)?;
            self.batches.extend(
                filter_by_time(&held.batch, |_| mask)?.map(TimedBatch::re_encoded).transpose()?,
            );
        }
        self.batches.sort_by_key(|held| std::cmp::Reverse(held.batch.num_rows()));
        self.merge()
    }

    /// The number of rows held.
    pub(crate) fn row_count(&self) -> usize {
        self.batches.iter().map(|held| held.batch.num_rows()).sum()
    }

    /// Every matching row of the lake at this time or later is held. Microseconds UTC.
    pub(crate) fn floor(&self) -> i64 {
        self.floor
    }

    /// Time of the latest row held, microseconds UTC.
    pub(crate) fn latest(&self) -> Option<i64> {
        self.batches.iter().map(|held| held.last).max()
    }

    /// Memory of the rows, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.batches.iter().map(|held| held.batch.get_array_memory_size()).sum()
    }
}

impl TimedBatch {
    /// Drops the dictionary entries that no row refers to any more.
    fn re_encoded(self) -> Result<Self, DataFusionError> {
        Ok(Self { batch: encoded(decoded(&self.batch)?)?, ..self })
    }
}

/// `batch` with texts dictionary-encoded where there are many rows and few distinct texts.
fn encoded(batch: RecordBatch) -> Result<RecordBatch, DataFusionError> {
    if batch.num_rows() < ENCODED_ROWS {
        return Ok(batch);
    }
    map_columns(&batch, |column| {
        if column.data_type() != &DataType::Utf8 {
            return Ok(Arc::clone(column));
        }
        let mut encoded = cast(column, &dictionary_text())?;
        let is_worth_it = encoded.as_any_dictionary().values().len() * 2 < column.len();
        encoded.shrink_to_fit();
        Ok(if is_worth_it { encoded } else { Arc::clone(column) })
    })
}

/// `batch` without dictionary encoding.
fn decoded(batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
    map_columns(batch, |column| match column.data_type() {
        DataType::Dictionary(_, text) => cast(column, text).map_err(Into::into),
        _ => Ok(Arc::clone(column)),
    })
}

fn map_columns(
    batch: &RecordBatch,
    of: impl Fn(&ArrayRef) -> Result<ArrayRef, DataFusionError>,
) -> Result<RecordBatch, DataFusionError> {
    let columns = batch.columns().iter().map(of).collect::<Result<Vec<_>, _>>()?;
    let typed = |(field, column): (&Arc<Field>, &ArrayRef)| {
        field.as_ref().clone().with_data_type(column.data_type().clone())
    };
    let fields: Vec<Field> = batch.schema().fields().iter().zip(&columns).map(typed).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The rows of `batch` without a time.
///
/// # Errors
/// [`DataFusionError::Plan`] where `batch` lacks `event_time`.
pub(crate) fn without_time(batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
    let times = times(batch)?;
    let mask: BooleanArray = (0..times.len()).map(|row| Some(times.is_null(row))).collect();
    Ok(filter_record_batch(batch, &mask)?)
}

/// The rows that `keep` selects by their times; `None` where it selects none. Selected rows must
/// have a time.
fn filter_by_time(
    batch: &RecordBatch,
    keep: impl FnOnce(&Times) -> BooleanArray,
) -> Result<Option<TimedBatch>, DataFusionError> {
    let mask = keep(&times(batch)?);
    if mask.true_count() == 0 {
        return Ok(None);
    }
    let batch = filter_record_batch(batch, &mask)?;
    let times = times(&batch)?;
    let bounds = times
        .values()
        .iter()
        .fold((i64::MAX, i64::MIN), |(first, last), &time| (first.min(time), last.max(time)));
    Ok(Some(TimedBatch { batch, first: bounds.0, last: bounds.1 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{StringArray, TimestampMicrosecondArray};
    use datafusion::arrow::datatypes::TimeUnit;

    fn rows(times: &[Option<i64>]) -> RecordBatch {
        let field =
            Field::new("event_time", DataType::Timestamp(TimeUnit::Microsecond, None), true);
        let column = Arc::new(TimestampMicrosecondArray::from(times.to_vec()));
        RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).expect("a batch")
    }

    fn held(batches: &[RecordBatch]) -> Vec<i64> {
        let mut all: Vec<i64> = batches
            .iter()
            .flat_map(|batch| times(batch).expect("times").values().to_vec())
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn what_a_window_asks_for_is_there_in_any_order_of_arrival() {
        let mut rows_held = WindowBuffer::new(i64::MIN);
        for number in [5, 3, 9, 1, 7, 2, 8, 4, 6, 0].into_iter().chain(10..1000) {
            assert_eq!(
                rows_held.add(&rows(&[Some(number), None])).expect("added"),
                Some((number, number))
            );
        }
        assert_eq!(rows_held.add(&rows(&[None])).expect("added"), None);
        assert_eq!(held(&rows_held.between(3, 7).expect("rows")), [3, 4, 5, 6]);
        assert_eq!(held(&rows_held.between(i64::MIN, i64::MAX).expect("rows")).len(), 1000);
        assert!(rows_held.batches.len() <= UNMERGED_BATCHES + 8, "{}", rows_held.batches.len());
    }

    #[test]
    fn texts_of_many_rows_are_dictionary_encoded_and_the_same() {
        let fields = ["who", "id"].map(|name| Field::new(name, DataType::Utf8, true));
        let schema = Arc::new(Schema::new(
            [rows(&[]).schema().field(0).clone()].into_iter().chain(fields).collect::<Vec<_>>(),
        ));
        let row = |number: i64| {
            let who: StringArray =
                [(number % 3 > 0).then(|| format!("somebody with a long name {}", number % 3))]
                    .into_iter()
                    .collect();
            let id = StringArray::from(vec![number.to_string()]);
            let times = rows(&[Some(number)]);
            RecordBatch::try_new(
                Arc::clone(&schema),
                vec![Arc::clone(times.column(0)), Arc::new(who), Arc::new(id)],
            )
            .expect("a row")
        };
        let all: Vec<RecordBatch> = (0..4000).map(row).collect();
        let mut rows_held = WindowBuffer::new(i64::MIN);
        all.iter().for_each(|row| assert!(rows_held.add(row).expect("added").is_some()));
        let is_encoded = |column: usize| {
            matches!(
                rows_held.batches[0].batch.column(column).data_type(),
                DataType::Dictionary(..)
            )
        };
        assert_eq!(
            (is_encoded(1), is_encoded(2)),
            (true, false),
            "distinct texts are not worth a dictionary"
        );
        rows_held.evict_before(100).expect("evicted");
        let held: Vec<RecordBatch> = rows_held
            .between(i64::MIN, i64::MAX)
            .expect("rows")
            .iter()
            .map(|rows| decoded(rows).expect("texts"))
            .collect();
        assert_eq!(
            concat_batches(&schema, &held).expect("rows"),
            concat_batches(&schema, &all[100..]).expect("rows")
        );
    }

    #[test]
    fn what_was_evicted_is_not_claimed_to_be_held() {
        let mut rows_held = WindowBuffer::new(i64::MIN);
        let times: Vec<Option<i64>> = (0..1000).chain([5000]).map(Some).collect();
        rows_held.add(&rows(&times)).expect("added");
        rows_held.evict(500, 1000, usize::MAX).expect("evicted");
        assert!(rows_held.is_complete_from(i64::MIN), "what fits stays");
        rows_held.evict(500, 1000, rows_held.bytes() * 3 / 4).expect("evicted");
        assert!(!rows_held.is_complete_from(499) && rows_held.is_complete_from(500));
        assert_eq!(held(&rows_held.between(i64::MIN, i64::MAX).expect("rows")).len(), 501);
        rows_held.evict(0, 1000, 0).expect("evicted");
        assert!(!rows_held.is_complete_from(999), "too many bytes evict what is old");
        assert_eq!(rows_held.latest(), Some(5000), "and the loop ends");
    }
}
