//! Reduces rows to the first and the last row of each group in each time bucket.
//!
//! Some rules only ask when a value was first or last seen. With the groups `access_key_id` and
//! buckets of a day, a key that is used 5,000 times on Monday leaves two rows: its first and its
//! last use on Monday. What is held stays small over months, and such a rule finds the same as over
//! all rows.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::error::DataFusionError;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use trailhound_queries::packs::rules::FirstLast;
use xxhash_rust::xxh3::xxh3_128;

/// First and last time, microseconds UTC.
pub(crate) type Bounds = (i64, i64);

/// A time bucket and the hash of a group's values.
type BucketKey = (i64, u128);

/// State of the first-and-last reduction after the rows that were observed.
#[derive(Debug)]
pub(crate) struct FirstLastState {
    group_columns: Vec<String>,
    /// Length of the time buckets, counted from 1970, in microseconds.
    bucket: i64,
    /// First and last time of each group in each bucket.
    bounds: HashMap<BucketKey, Bounds>,
    /// Latest time of each group.
    latest: HashMap<u128, i64>,
    /// Latest time of all rows.
    newest: i64,
    /// Rows left by the last compaction.
    compacted_rows: usize,
}

/// Margin before the next compaction. It is due when the number of rows held reaches twice the
/// number after the last compaction, plus this margin.
const COMPACTION_ROWS: usize = 4096;

/// Result of observing a batch of rows.
#[derive(Debug)]
pub(crate) struct Observed {
    /// The rows to hold.
    pub(crate) keep: BooleanArray,
    /// Times of the rows that can change what a rule finds. The other rows only show that a known
    /// group goes on.
    pub(crate) changed: Option<Bounds>,
}

impl FirstLastState {
    /// Nothing observed yet.
    pub(crate) fn new(reduction: &FirstLast) -> Self {
        let bucket = i64::try_from(reduction.per.as_micros()).unwrap_or(i64::MAX).max(1);
        Self {
            group_columns: reduction.by.clone(),
            bucket,
            bounds: HashMap::new(),
            latest: HashMap::new(),
            newest: i64::MIN,
            compacted_rows: 0,
        }
    }

    /// The columns that a batch must have.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.group_columns.iter().map(String::as_str).chain(["event_time"])
    }

    /// Records the rows of `batch` and selects those to hold. Rows without a time are not held.
    ///
    /// # Errors
    /// [`DataFusionError::Plan`] where the batch lacks one of [`FirstLastState::columns`].
    pub(crate) fn observe(&mut self, batch: &RecordBatch) -> Result<Observed, DataFusionError> {
        let (times, keys) = (times(batch)?, self.keys(batch)?);
        let batch_bounds = bounds_by_key(&times, &keys);
        let mut changed: Option<Bounds> = None;
        let mut keep = Vec::with_capacity(batch.num_rows());
        for (time, key) in times.iter().zip(&keys) {
            let Some((time, (first, last))) = time.zip(batch_bounds.get(key)) else {
                keep.push(false);
                continue;
            };
            let known = self.bounds.get(key);
            let is_first = time == *first && known.is_none_or(|(known, _)| time <= *known);
            let is_last = time == *last && known.is_none_or(|(_, known)| time >= *known);
            keep.push(is_first || is_last);
            if is_first || (is_last && self.is_late(time, key.1)) {
                changed = Some(
                    changed.map_or((time, time), |(first, last)| (first.min(time), last.max(time))),
                );
            }
        }
        self.record(batch_bounds);
        Ok(Observed { keep: keep.into(), changed })
    }

    /// True where rows after `time` have been evaluated already, without a row of `group` at that
    /// time.
    fn is_late(&self, time: i64, group: u128) -> bool {
        time < self.newest.saturating_sub(self.bucket)
            || self.latest.get(&group).is_some_and(|latest| *latest > time)
    }

    fn record(&mut self, batch_bounds: HashMap<BucketKey, Bounds>) {
        for (key, (first, last)) in batch_bounds {
            match self.bounds.entry(key) {
                Entry::Occupied(mut known) => {
                    let (known_first, known_last) = known.get_mut();
                    (*known_first, *known_last) =
                        ((*known_first).min(first), (*known_last).max(last));
                }
                Entry::Vacant(new) => {
                    new.insert((first, last));
                }
            }
            self.latest
                .entry(key.1)
                .and_modify(|latest| *latest = (*latest).max(last))
                .or_insert(last);
            self.newest = self.newest.max(last);
        }
    }

    /// Returns true if so many rows are held that a compaction is worthwhile. `rows` is the number
    /// of rows held.
    pub(crate) fn needs_compaction(&self, rows: usize) -> bool {
        rows >= 2 * self.compacted_rows + COMPACTION_ROWS
    }

    /// Records that a compaction has left `rows` rows.
    pub(crate) fn set_compacted(&mut self, rows: usize) {
        self.compacted_rows = rows;
    }

    /// Selects the rows of `batch`, which are held, that are still the first or the last of their
    /// group and bucket.
    ///
    /// # Errors
    /// [`DataFusionError::Plan`] where the batch lacks one of [`FirstLastState::columns`].
    pub(crate) fn still_needed(
        &self,
        batch: &RecordBatch,
    ) -> Result<BooleanArray, DataFusionError> {
        let (times, keys) = (times(batch)?, self.keys(batch)?);
        let is_bound = |time: Option<i64>, key: &BucketKey| {
            time.zip(self.bounds.get(key))
                .is_none_or(|(time, (first, last))| time == *first || time == *last)
        };
        Ok(times.iter().zip(&keys).map(|(time, key)| Some(is_bound(time, key))).collect())
    }

    /// Removes the state of groups last seen before `floor`. Their rows are evicted too.
    pub(crate) fn evict_before(&mut self, floor: i64) {
        self.bounds.retain(|_, (_, last)| *last >= floor);
        self.latest.retain(|_, latest| *latest >= floor);
    }

    /// Removes all state.
    pub(crate) fn clear(&mut self) {
        self.bounds.clear();
        self.latest.clear();
        self.newest = i64::MIN;
        self.compacted_rows = 0;
    }

    /// Approximate memory of the state, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bounds.capacity() * size_of::<(BucketKey, Bounds)>()
            + self.latest.capacity() * size_of::<(u128, i64)>()
    }

    /// Bucket and group of each row.
    fn keys(&self, batch: &RecordBatch) -> Result<Vec<BucketKey>, DataFusionError> {
        let column = |name: &String| {
            let column: Option<&ArrayRef> = batch.column_by_name(name);
            let column = column.ok_or_else(|| {
                DataFusionError::Plan(format!("there is no column `{name}` to group by"))
            })?;
            // Rows that are held may be dictionary-encoded.
            Ok::<_, DataFusionError>(match column.data_type() {
                DataType::Dictionary(_, values) => cast(column, values)?,
                _ => ArrayRef::clone(column),
            })
        };
        let columns = self.group_columns.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let converter = RowConverter::new(
            columns.iter().map(|column| SortField::new(column.data_type().clone())).collect(),
        )?;
        let rows = converter.convert_columns(&columns)?;
        let times = times(batch)?;
        let bucket = |row: usize| {
            if times.is_valid(row) { times.value(row).div_euclid(self.bucket) } else { i64::MIN }
        };
        Ok(rows
            .iter()
            .enumerate()
            .map(|(row, values)| (bucket(row), xxh3_128(values.as_ref())))
            .collect())
    }
}

/// First and last time of each key in one batch.
fn bounds_by_key(times: &Times, keys: &[BucketKey]) -> HashMap<BucketKey, Bounds> {
    let mut bounds: HashMap<BucketKey, Bounds> = HashMap::new();
    for (time, key) in times.iter().zip(keys) {
        let Some(time) = time else { continue };
        bounds
            .entry(*key)
            .and_modify(|(first, last)| (*first, *last) = ((*first).min(time), (*last).max(time)))
            .or_insert((time, time));
    }
    bounds
}

pub(crate) type Times = datafusion::arrow::array::PrimitiveArray<TimestampMicrosecondType>;

/// The column `event_time` of `batch`.
///
/// # Errors
/// [`DataFusionError::Plan`] where it is missing.
pub(crate) fn times(batch: &RecordBatch) -> Result<Times, DataFusionError> {
    let column: Option<&ArrayRef> = batch.column_by_name("event_time");
    let times = column.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    times
        .cloned()
        .ok_or_else(|| DataFusionError::Plan("rows of `events` lack `event_time`".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{StringArray, TimestampMicrosecondArray};
    use datafusion::arrow::datatypes::{Field, Schema, TimeUnit};
    use std::sync::Arc;
    use std::time::Duration;

    fn rows(rows: &[(&str, i64)]) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("who", DataType::Utf8, true),
            Field::new("event_time", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        ]);
        let who: StringArray = rows.iter().map(|(who, _)| Some(*who)).collect();
        let times: TimestampMicrosecondArray =
            rows.iter().map(|(_, time)| (*time >= 0).then_some(*time)).collect();
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(who), Arc::new(times)])
            .expect("a batch")
    }

    fn kept(observed: &Observed) -> Vec<bool> {
        observed.keep.values().iter().collect()
    }

    #[test]
    fn the_first_and_last_row_of_each_bucket_are_held_and_only_new_facts_count_as_changes() {
        let per = Duration::from_micros(100);
        let mut state = FirstLastState::new(&FirstLast { by: vec!["who".to_owned()], per });
        let first = state
            .observe(&rows(&[("a", 10), ("a", 20), ("a", 30), ("b", 15), ("a", -1)]))
            .expect("observed");
        assert_eq!(kept(&first), [true, false, true, true, false]);
        assert_eq!(first.changed, Some((10, 15)));
        let goes_on = state.observe(&rows(&[("a", 40), ("a", 50), ("b", 45)])).expect("observed");
        assert_eq!((kept(&goes_on), goes_on.changed), (vec![false, true, true], None));
        let next_bucket = state.observe(&rows(&[("a", 110)])).expect("observed");
        assert_eq!(next_bucket.changed, Some((110, 110)));
        // Late: before the first, and after the last while the next bucket is there already.
        assert_eq!(state.observe(&rows(&[("b", 5)])).expect("observed").changed, Some((5, 5)));
        assert_eq!(state.observe(&rows(&[("a", 60)])).expect("observed").changed, Some((60, 60)));
        assert_eq!(
            state.observe(&rows(&[("a", 55)])).expect("observed").changed,
            None,
            "in the middle"
        );
        let needed = state
            .still_needed(&rows(&[
                ("a", 10),
                ("a", 30),
                ("a", 50),
                ("a", 60),
                ("a", 110),
                ("b", 5),
                ("b", 15),
            ]))
            .expect("selected");
        assert_eq!(
            needed.values().iter().collect::<Vec<_>>(),
            [true, false, false, true, true, true, false]
        );
        state.evict_before(100);
        assert_eq!(
            state.observe(&rows(&[("a", 55)])).expect("observed").changed,
            Some((55, 55)),
            "nothing is known of it any more"
        );
    }
}
