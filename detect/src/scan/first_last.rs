//! Of rows that come in great numbers, no more than a rule needs that only asks when something was first and last seen: the first and
//! the last row of each combination of some columns in each stretch of time. What is held stays small however much comes, for months.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::error::DataFusionError;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use trailhound_queries::packs::rules::FirstLast;
use xxhash_rust::xxh3::xxh3_128;

/// A combination of values in a stretch of time.
type Group = (i64, u128);

/// What is known of the rows that came.
#[derive(Debug)]
pub(crate) struct FirstLastState {
    by: Vec<String>,
    /// Length of the stretches, counted from 1970, in microseconds.
    per: i64,
    /// First and last time of each group.
    groups: HashMap<Group, (i64, i64)>,
    /// Latest time of each combination.
    latest: HashMap<u128, i64>,
    /// Latest time of all.
    newest: i64,
    /// Rows left when they were thinned last.
    thinned: usize,
}

/// Rows held before those that do not matter any more are looked for.
const ROWS_THINNED: usize = 4096;

/// What a batch brings.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The rows to be held.
    pub(crate) keep: BooleanArray,
    /// First and last time of those that can change what a rule says: others only say again that something known goes on.
    pub(crate) news: Option<(i64, i64)>,
}

impl FirstLastState {
    pub(crate) fn new(condensed: &FirstLast) -> Self {
        let per = i64::try_from(condensed.per.as_micros()).unwrap_or(i64::MAX).max(1);
        Self {
            by: condensed.by.clone(),
            per,
            groups: HashMap::new(),
            latest: HashMap::new(),
            newest: i64::MIN,
            thinned: 0,
        }
    }

    /// The columns it looks at.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.by.iter().map(String::as_str).chain(["event_time"])
    }

    /// Takes note of the rows and says which of them matter. Rows without a time are not held.
    pub(crate) fn judge(&mut self, batch: &RecordBatch) -> Result<Judged, DataFusionError> {
        let (times, groups) = (times(batch)?, self.groups_of(batch)?);
        let mut bounds: HashMap<Group, (i64, i64)> = HashMap::new();
        for (time, group) in times.iter().zip(&groups) {
            let Some(time) = time else { continue };
            bounds
                .entry(*group)
                .and_modify(|(first, last)| {
                    (*first, *last) = ((*first).min(time), (*last).max(time))
                })
                .or_insert((time, time));
        }
        let mut news: Option<(i64, i64)> = None;
        let mut keep = Vec::with_capacity(batch.num_rows());
        for (time, group) in times.iter().zip(&groups) {
            let Some((time, (first, last))) = time.zip(bounds.get(group)) else {
                keep.push(false);
                continue;
            };
            let known = self.groups.get(group);
            let is_first = time == *first && known.is_none_or(|(known, _)| time <= *known);
            let is_last = time == *last && known.is_none_or(|(_, known)| time >= *known);
            keep.push(is_first || is_last);
            // It came late: what lies after it has been judged without it.
            let is_late = || {
                time < self.newest.saturating_sub(self.per)
                    || self.latest.get(&group.1).is_some_and(|latest| *latest > time)
            };
            if is_first || (is_last && is_late()) {
                news = Some(
                    news.map_or((time, time), |(first, last)| (first.min(time), last.max(time))),
                );
            }
        }
        for (group, (first, last)) in bounds {
            match self.groups.entry(group) {
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
                .entry(group.1)
                .and_modify(|latest| *latest = (*latest).max(last))
                .or_insert(last);
            self.newest = self.newest.max(last);
        }
        Ok(Judged { keep: keep.into(), news })
    }

    /// True where so many of `rows` held do not matter any more that they should be thinned.
    pub(crate) fn is_due(&self, rows: usize) -> bool {
        rows >= 2 * self.thinned + ROWS_THINNED
    }

    /// They were, and so many are left.
    pub(crate) fn thinned(&mut self, rows: usize) {
        self.thinned = rows;
    }

    /// Which of the rows held are still the first or the last of their group.
    pub(crate) fn thin(&self, batch: &RecordBatch) -> Result<BooleanArray, DataFusionError> {
        let (times, groups) = (times(batch)?, self.groups_of(batch)?);
        let is_bound = |time: Option<i64>, group: &Group| {
            time.zip(self.groups.get(group))
                .is_none_or(|(time, (first, last))| time == *first || time == *last)
        };
        Ok(times.iter().zip(&groups).map(|(time, group)| Some(is_bound(time, group))).collect())
    }

    /// Forgets what was before `floor`, as the rows are forgotten.
    pub(crate) fn forget_before(&mut self, floor: i64) {
        self.groups.retain(|_, (_, last)| *last >= floor);
        self.latest.retain(|_, latest| *latest >= floor);
    }

    /// Forgets everything.
    pub(crate) fn forget(&mut self) {
        self.groups.clear();
        self.latest.clear();
        self.newest = i64::MIN;
        self.thinned = 0;
    }

    /// Memory of what is known, about, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<(Group, (i64, i64))>()
            + self.latest.capacity() * size_of::<(u128, i64)>()
    }

    fn groups_of(&self, batch: &RecordBatch) -> Result<Vec<Group>, DataFusionError> {
        let column = |name: &String| {
            let column: Option<&ArrayRef> = batch.column_by_name(name);
            let column = column.ok_or_else(|| {
                DataFusionError::Plan(format!("there is no column `{name}` to condense by"))
            })?;
            // What is held may be coded.
            Ok::<_, DataFusionError>(match column.data_type() {
                DataType::Dictionary(_, values) => cast(column, values)?,
                _ => ArrayRef::clone(column),
            })
        };
        let columns = self.by.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let converter = RowConverter::new(
            columns.iter().map(|column| SortField::new(column.data_type().clone())).collect(),
        )?;
        let rows = converter.convert_columns(&columns)?;
        let times = times(batch)?;
        let stretch = |row: usize| {
            if times.is_valid(row) { times.value(row).div_euclid(self.per) } else { i64::MIN }
        };
        Ok(rows
            .iter()
            .enumerate()
            .map(|(row, values)| (stretch(row), xxh3_128(values.as_ref())))
            .collect())
    }
}

pub(crate) type Times = datafusion::arrow::array::PrimitiveArray<TimestampMicrosecondType>;

pub(crate) fn times(batch: &RecordBatch) -> Result<Times, DataFusionError> {
    let column: Option<&ArrayRef> = batch.column_by_name("event_time");
    let times = column.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    times.cloned().ok_or_else(|| {
        DataFusionError::Plan("rows without `event_time` are none of `events`".to_owned())
    })
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

    fn kept(judged: &Judged) -> Vec<bool> {
        judged.keep.values().iter().collect()
    }

    #[test]
    fn first_and_last_of_each_stretch_are_held_and_only_what_is_new_is_news() {
        let per = Duration::from_micros(100);
        let mut condense = FirstLastState::new(&FirstLast { by: vec!["who".to_owned()], per });
        let first = condense
            .judge(&rows(&[("a", 10), ("a", 20), ("a", 30), ("b", 15), ("a", -1)]))
            .expect("judged");
        assert_eq!(kept(&first), [true, false, true, true, false]);
        assert_eq!(first.news, Some((10, 15)));
        let goes_on = condense.judge(&rows(&[("a", 40), ("a", 50), ("b", 45)])).expect("judged");
        assert_eq!((kept(&goes_on), goes_on.news), (vec![false, true, true], None));
        let next_stretch = condense.judge(&rows(&[("a", 110)])).expect("judged");
        assert_eq!(next_stretch.news, Some((110, 110)));
        // Late: before the first, and behind the last while the next stretch is there already.
        assert_eq!(condense.judge(&rows(&[("b", 5)])).expect("judged").news, Some((5, 5)));
        assert_eq!(condense.judge(&rows(&[("a", 60)])).expect("judged").news, Some((60, 60)));
        assert_eq!(
            condense.judge(&rows(&[("a", 55)])).expect("judged").news,
            None,
            "in the middle"
        );
        let thinned = condense
            .thin(&rows(&[
                ("a", 10),
                ("a", 30),
                ("a", 50),
                ("a", 60),
                ("a", 110),
                ("b", 5),
                ("b", 15),
            ]))
            .expect("thinned");
        assert_eq!(
            thinned.values().iter().collect::<Vec<_>>(),
            [true, false, false, true, true, true, false]
        );
        condense.forget_before(100);
        assert_eq!(
            condense.judge(&rows(&[("a", 55)])).expect("judged").news,
            Some((55, 55)),
            "nothing is known of it any more"
        );
    }
}
