//! Rows held in memory between runs, so that a commit costs what it brings and not what its windows reach over. A copy of
//! what the lake holds, never the only one.

use crate::scan::first_last::{Times, times};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{cast, concat_batches, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::error::DataFusionError;
use std::sync::Arc;
use trailhound_queries::projection::coded_text;

/// Of so many rows and more each text is held once: names, addresses and agents come again and again.
const CODED_ROWS: usize = 1024;
/// So many batches are left as they came.
const BATCHES: usize = 8;

/// Rows of `events`, complete for every time from `floor` on.
#[derive(Debug)]
pub(crate) struct WindowBuffer {
    /// Larger ones first, as merging leaves them, and behind them those that came last.
    batches: Vec<Timed>,
    /// Every row of the lake that belongs here and is of this time or later is held; microseconds UTC.
    floor: i64,
}

/// Rows with a time, and the earliest and the latest of them.
#[derive(Debug, Clone)]
struct Timed {
    batch: RecordBatch,
    first: i64,
    last: i64,
}

impl WindowBuffer {
    /// Nothing held, of a lake that has nothing before `floor` here.
    pub(crate) fn new(floor: i64) -> Self {
        Self { batches: Vec::new(), floor }
    }

    /// True where everything from `since` on is held.
    pub(crate) fn reaches(&self, since: i64) -> bool {
        since >= self.floor
    }

    /// Adds rows; gives the first and the last of their times. Rows without a time are not held: no window reaches them.
    pub(crate) fn add(
        &mut self,
        batch: &RecordBatch,
    ) -> Result<Option<(i64, i64)>, DataFusionError> {
        let timed =
            only(batch, |times| (0..times.len()).map(|row| Some(times.is_valid(row))).collect())?;
        let Some((first, last)) = timed.as_ref().map(|timed| (timed.first, timed.last)) else {
            return Ok(None);
        };
        self.batches.extend(timed);
        self.merge()?;
        Ok(Some((first, last)))
    }

    /// Merges the last batches where there are many, with those before that are not far larger: few batches, and each row copied seldom.
    fn merge(&mut self) -> Result<(), DataFusionError> {
        let mut from = self.batches.len();
        let mut rows = 0;
        while from > 0 && (rows == 0 || self.batches[from - 1].batch.num_rows() <= 2 * rows) {
            from -= 1;
            rows += self.batches[from].batch.num_rows();
        }
        if self.batches.len() <= BATCHES || from + 1 >= self.batches.len() {
            return Ok(());
        }
        let small = self.batches.split_off(from);
        let first = small.iter().map(|held| held.first).min().unwrap_or(i64::MAX);
        let last = small.iter().map(|held| held.last).max().unwrap_or(i64::MIN);
        let rows = small.iter().map(|held| plain(&held.batch)).collect::<Result<Vec<_>, _>>()?;
        let batch = coded(concat_batches(&rows[0].schema(), &rows)?)?;
        self.batches.push(Timed { batch, first, last });
        Ok(())
    }

    /// The rows of `[since, until)`; texts may be coded.
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
                    only(&held.batch, |times| times.iter().map(|time| time.map(within)).collect())?
                        .map(|timed| timed.batch),
                );
            }
        }
        Ok(rows)
    }

    /// While it holds more than `bytes_max`: lets go of rows from before `keep_from`, and then of more. What fits stays,
    /// for late events reach back far. `now` bounds how far: a time in the future must not drive out the present.
    pub(crate) fn let_go(
        &mut self,
        keep_from: i64,
        now: i64,
        bytes_max: usize,
    ) -> Result<(), DataFusionError> {
        let mut keep_from = keep_from.max(self.floor);
        while self.bytes() > bytes_max {
            self.drop_before(keep_from)?;
            if keep_from >= now {
                break;
            }
            // Half of the time left, rounded up so that it ends.
            keep_from += (now.saturating_sub(keep_from)) / 2 + 1;
        }
        Ok(())
    }

    fn drop_before(&mut self, keep_from: i64) -> Result<(), DataFusionError> {
        for held in std::mem::take(&mut self.batches) {
            if held.first >= keep_from {
                self.batches.push(held);
            } else if held.last >= keep_from {
                let later = |time: i64| time >= keep_from;
                let left =
                    only(&held.batch, |times| times.iter().map(|time| time.map(later)).collect())?;
                self.batches.extend(left.map(Timed::anew).transpose()?);
            }
        }
        self.floor = self.floor.max(keep_from);
        Ok(())
    }

    /// Keeps of each batch the rows that `keep` chooses.
    pub(crate) fn thin(
        &mut self,
        keep: impl Fn(&RecordBatch) -> Result<BooleanArray, DataFusionError>,
    ) -> Result<(), DataFusionError> {
        for held in std::mem::take(&mut self.batches) {
            let mask = keep(&held.batch)?;
            self.batches.extend(only(&held.batch, |_| mask)?.map(Timed::anew).transpose()?);
        }
        self.batches.sort_by_key(|held| std::cmp::Reverse(held.batch.num_rows()));
        self.merge()
    }

    /// How many rows are held.
    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(|held| held.batch.num_rows()).sum()
    }

    /// Everything of this time or later is held.
    pub(crate) fn floor(&self) -> i64 {
        self.floor
    }

    /// Time of the latest row held.
    pub(crate) fn latest(&self) -> Option<i64> {
        self.batches.iter().map(|held| held.last).max()
    }

    /// Memory of the rows, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.batches.iter().map(|held| held.batch.get_array_memory_size()).sum()
    }
}

impl Timed {
    /// Without the texts that none of its rows has any more.
    fn anew(self) -> Result<Self, DataFusionError> {
        Ok(Self { batch: coded(plain(&self.batch)?)?, ..self })
    }
}

/// `batch` with texts held once where there are many rows and few texts.
fn coded(batch: RecordBatch) -> Result<RecordBatch, DataFusionError> {
    if batch.num_rows() < CODED_ROWS {
        return Ok(batch);
    }
    with_each(&batch, |column| {
        if column.data_type() != &DataType::Utf8 {
            return Ok(Arc::clone(column));
        }
        let mut coded = cast(column, &coded_text())?;
        let is_worth_it = coded.as_any_dictionary().values().len() * 2 < column.len();
        coded.shrink_to_fit();
        Ok(if is_worth_it { coded } else { Arc::clone(column) })
    })
}

/// `batch` with a text for each row.
fn plain(batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
    with_each(batch, |column| match column.data_type() {
        DataType::Dictionary(_, text) => cast(column, text).map_err(Into::into),
        _ => Ok(Arc::clone(column)),
    })
}

fn with_each(
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

/// Rows of `batch` without a time.
pub(crate) fn timeless(batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
    let times = times(batch)?;
    let mask: BooleanArray = (0..times.len()).map(|row| Some(times.is_null(row))).collect();
    Ok(filter_record_batch(batch, &mask)?)
}

/// The rows that `keep` chooses by their times; `None` where there are none. They must all have a time.
fn only(
    batch: &RecordBatch,
    keep: impl FnOnce(&Times) -> BooleanArray,
) -> Result<Option<Timed>, DataFusionError> {
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
    Ok(Some(Timed { batch, first: bounds.0, last: bounds.1 }))
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
        assert!(rows_held.batches.len() <= BATCHES + 8, "{}", rows_held.batches.len());
    }

    #[test]
    fn texts_of_many_rows_are_held_once_and_are_the_same() {
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
        let is_coded = |column: usize| {
            matches!(
                rows_held.batches[0].batch.column(column).data_type(),
                DataType::Dictionary(..)
            )
        };
        assert_eq!(
            (is_coded(1), is_coded(2)),
            (true, false),
            "texts that are their own are no fewer than the rows"
        );
        rows_held.drop_before(100).expect("dropped");
        let held: Vec<RecordBatch> = rows_held
            .between(i64::MIN, i64::MAX)
            .expect("rows")
            .iter()
            .map(|rows| plain(rows).expect("texts"))
            .collect();
        assert_eq!(
            concat_batches(&schema, &held).expect("rows"),
            concat_batches(&schema, &all[100..]).expect("rows")
        );
    }

    #[test]
    fn what_was_let_go_is_not_claimed_to_be_held() {
        let mut rows_held = WindowBuffer::new(i64::MIN);
        let times: Vec<Option<i64>> = (0..1000).chain([5000]).map(Some).collect();
        rows_held.add(&rows(&times)).expect("added");
        rows_held.let_go(500, 1000, usize::MAX).expect("trimmed");
        assert!(rows_held.reaches(i64::MIN), "what fits stays");
        rows_held.let_go(500, 1000, rows_held.bytes() * 3 / 4).expect("trimmed");
        assert!(!rows_held.reaches(499) && rows_held.reaches(500));
        assert_eq!(held(&rows_held.between(i64::MIN, i64::MAX).expect("rows")).len(), 501);
        rows_held.let_go(0, 1000, 0).expect("trimmed");
        assert!(!rows_held.reaches(999), "too many bytes drive out what is old");
        assert_eq!(rows_held.latest(), Some(5000), "and never end");
    }
}
