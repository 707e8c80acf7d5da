//! Recomputes what the catalog and a data file's footer say of the file's rows: their number, columns, partition, smallest and
//! largest values, NULLs, Bloom filters, and how many rows each source has delivered.

use super::error::CatalogError;
use super::files::{ColumnRange, footer_bytes, ranges};
use super::instant::time_text;
use super::table::Table;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{max, max_string, min, min_string};
use arrow::datatypes::{DataType, Int64Type, Schema, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use trailhound_datasets::columns::{COLUMNS, ColumnType};

/// Rows decoded together.
const BATCH_ROWS: usize = 8192;

/// A data file with everything that the catalog says of it.
#[derive(Debug, Clone)]
pub(super) struct CatalogedFile {
    pub(super) table: Table,
    pub(super) path: PathBuf,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) footer_bytes: i64,
    /// Its partition; `None` where the catalog has none.
    pub(super) day: Option<String>,
    /// Of each column with statistics: the range, and the number of values that are not NULL.
    pub(super) ranges: BTreeMap<i64, (ColumnRange, i64)>,
}

/// What the rows of the files say, added up over all of them.
#[derive(Debug, Default)]
pub(super) struct RowTotals {
    /// Rows of each source, by table.
    pub(super) rows: BTreeMap<(Table, String), u64>,
    /// The last stored offset of each partition of a topic, by source and position object.
    pub(super) offsets: BTreeMap<(String, String), i64>,
}

impl CatalogedFile {
    /// Compares the file with its rows, and adds the rows to `totals`. Returns what differs.
    ///
    /// # Errors
    /// [`CatalogError`] where the file cannot be read.
    pub(super) fn differences(&self, totals: &mut RowTotals) -> Result<Vec<String>, CatalogError> {
        let path = &self.path;
        let failed = |source| CatalogError::Parquet { path: path.clone(), source };
        let io = |source| CatalogError::File { path: path.clone(), source };
        let open = || {
            let file = File::open(path).map_err(io)?;
            ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)
        };
        let mut found = Vec::new();
        let builder = open()?;
        let metadata = builder.metadata();
        found.extend(differing_columns(builder.schema(), &self.table.schema().arrow));
        if i64::try_from(footer_bytes(path, self.bytes).map_err(io)?) != Ok(self.footer_bytes) {
            found.push("its footer has another length than the catalog says".to_owned());
        }
        self.compare_ranges(&ranges(metadata, self.table), &mut found);
        if !found.is_empty() {
            // What the rows say means something only in the right columns.
            return Ok(found);
        }
        let mut rows = 0;
        for (at, group) in metadata.row_groups().iter().enumerate() {
            let reader = open()?.with_row_groups(vec![at]).with_batch_size(BATCH_ROWS);
            let filters = bloom_filters(&builder, at, self.table).map_err(failed)?;
            let mut actual = GroupValues::default();
            for batch in reader.build().map_err(failed)? {
                let batch = batch.map_err(|e| failed(e.into()))?;
                rows += batch.num_rows() as u64;
                actual.add(&batch, self.table);
                self.check_days(&batch, &mut found);
                check_bloom_filters(&batch, &filters, &mut found);
                totals.add(self.table, &batch);
            }
            actual.compare(group, &mut found);
        }
        if rows != self.rows {
            found.push(format!("it holds {rows} rows, and the catalog says {}", self.rows));
        }
        found.dedup();
        Ok(found)
    }

    /// Compares the catalog's ranges with those that follow from the footer.
    fn compare_ranges(&self, actual: &BTreeMap<i64, ColumnRange>, found: &mut Vec<String>) {
        let name = |id: &i64| {
            let columns = &self.table.schema().catalog_columns;
            columns.iter().find(|c| c.id == *id).map_or_else(|| id.to_string(), |c| c.name.clone())
        };
        // A range that the catalog does not have excludes no file.
        for (id, (said, values)) in &self.ranges {
            let same = match actual.get(id) {
                Some(held) => {
                    let not_null = i64::try_from(self.rows).unwrap_or(i64::MAX) - held.nulls;
                    (said.bytes, said.nulls, &said.min, &said.max, *values)
                        == (held.bytes, held.nulls, &held.min, &held.max, not_null)
                }
                None => false,
            };
            if !same {
                found.push(format!("the catalog's range of column `{}` is another", name(id)));
            }
        }
    }

    /// The partition is that of the path and of every row.
    fn check_days(&self, batch: &RecordBatch, found: &mut Vec<String>) {
        let folder = self.path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        let day = self.day.as_deref().unwrap_or_default();
        let in_rows = batch.column_by_name("day").map(|days| days.as_string::<i32>());
        let differs = folder != Some(format!("day={day}").as_str())
            || in_rows.is_none_or(|days| days.iter().any(|of_row| of_row != Some(day)));
        let text =
            format!("the catalog's partition `{day}` is not that of the path and of every row");
        if differs && found.last() != Some(&text) {
            found.push(text);
        }
    }
}

/// The columns of `have` that are not as `want` has them.
fn differing_columns(have: &Schema, want: &Schema) -> Option<String> {
    let key = "PARQUET:field_id";
    let differs = have.fields().len() != want.fields().len()
        || have.fields().iter().zip(want.fields()).any(|(have, want)| {
            have.name() != want.name()
                || have.data_type().to_string() != want.data_type().to_string()
                || have.metadata().get(key) != want.metadata().get(key)
        });
    differs.then(|| "its columns are not those of the table".to_owned())
}

/// The smallest and the largest value, and the number of NULLs, of each ranged column in a row group.
#[derive(Debug, Default)]
struct GroupValues(BTreeMap<&'static str, ColumnValues>);

#[derive(Debug, Default)]
struct ColumnValues {
    nulls: i64,
    min: Option<String>,
    max: Option<String>,
}

impl GroupValues {
    fn add(&mut self, batch: &RecordBatch, table: Table) {
        for name in table.ranged() {
            let Some(column) = batch.column_by_name(name) else { continue };
            let values = self.0.entry(name).or_default();
            values.nulls += i64::try_from(column.null_count()).unwrap_or(i64::MAX);
            let (low, high) = bounds(column);
            values.min = smaller(values.min.take(), low);
            values.max = std::cmp::max(values.max.take(), high);
        }
    }

    /// Compares the values with the statistics in the footer.
    fn compare(&self, group: &RowGroupMetaData, found: &mut Vec<String>) {
        for (name, values) in &self.0 {
            let is_column = |chunk: &&ColumnChunkMetaData| {
                chunk.column_descr().path().parts() == [(*name).to_owned()]
            };
            let statistics = group.columns().iter().find(is_column).and_then(|c| c.statistics());
            let Some(statistics) = statistics else {
                found.push(format!("the footer has no range of column `{name}`"));
                continue;
            };
            let nulls = statistics.null_count_opt().map(|nulls| nulls as i64);
            if nulls.is_some_and(|nulls| nulls != values.nulls) || !values.fits(statistics) {
                found
                    .push(format!("the footer's range of column `{name}` is not that of its rows"));
            }
        }
    }
}

impl ColumnValues {
    /// True where the bounds of `statistics` are those of the values; inexact ones may be wider.
    fn fits(&self, statistics: &Statistics) -> bool {
        match statistics {
            Statistics::Int64(s) => {
                (s.min_opt().map(|v| time_text(*v)), s.max_opt().map(|v| time_text(*v)))
                    == (self.min.clone(), self.max.clone())
            }
            Statistics::ByteArray(s) => {
                let text = |v: Option<&parquet::data_type::ByteArray>| {
                    v.and_then(|v| v.as_utf8().ok()).map(str::to_owned)
                };
                let (low, high) = (text(s.min_opt()), text(s.max_opt()));
                // A bound that is cut may be wider, or missing.
                let min = if s.min_is_exact() { low == self.min } else { low <= self.min };
                let is_over = high.is_none() || high >= self.max;
                min && if s.max_is_exact() { high == self.max } else { is_over }
            }
            _ => false,
        }
    }
}

/// The smallest and the largest value as the catalog writes them.
fn bounds(column: &ArrayRef) -> (Option<String>, Option<String>) {
    match column.data_type() {
        DataType::Timestamp(..) => {
            let times = column.as_primitive::<TimestampMicrosecondType>();
            (min(times).map(time_text), max(times).map(time_text))
        }
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            (min_string(texts).map(str::to_owned), max_string(texts).map(str::to_owned))
        }
        _ => (None, None),
    }
}

fn smaller(a: Option<String>, b: Option<String>) -> Option<String> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The Bloom filters of the row group `group`, by column.
fn bloom_filters(
    builder: &ParquetRecordBatchReaderBuilder<File>,
    group: usize,
    table: Table,
) -> Result<Vec<(&'static str, Option<Sbbf>)>, parquet::errors::ParquetError> {
    if table != Table::Events {
        return Ok(Vec::new());
    }
    let mut filters = Vec::new();
    let columns = COLUMNS.iter().filter(|column| column.bloom);
    for column in columns.filter(|column| column.data_type == ColumnType::Text) {
        let leaves = builder.parquet_schema().columns();
        let leaf = leaves.iter().position(|leaf| leaf.path().parts() == [column.name.to_owned()]);
        if let Some(leaf) = leaf {
            filters.push((column.name, builder.get_row_group_column_bloom_filter(group, leaf)?));
        }
    }
    Ok(filters)
}

/// Every value is in the Bloom filter of its column.
fn check_bloom_filters(
    batch: &RecordBatch,
    filters: &[(&'static str, Option<Sbbf>)],
    found: &mut Vec<String>,
) {
    for (name, filter) in filters {
        let (Some(filter), Some(column)) = (filter, batch.column_by_name(name)) else { continue };
        let values = column.as_string::<i32>();
        if values.iter().flatten().any(|value| !filter.check(value)) {
            let text = format!("the Bloom filter of column `{name}` leaves values out");
            if !found.contains(&text) {
                found.push(text);
            }
        }
    }
}

impl RowTotals {
    fn add(&mut self, table: Table, batch: &RecordBatch) {
        let text = |name| batch.column_by_name(name).map(|c| c.as_string::<i32>().clone());
        let number =
            |name| batch.column_by_name(name).map(|c| c.as_primitive::<Int64Type>().clone());
        let (Some(sources), Some(objects)) = (text("source"), text("source_object")) else {
            return;
        };
        let offsets = number("source_partition").zip(number("source_position"));
        let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
        let mut last: BTreeMap<(&str, &str, i64), i64> = BTreeMap::new();
        for row in 0..batch.num_rows() {
            let source = if sources.is_valid(row) { sources.value(row) } else { "" };
            *rows.entry(source).or_default() += 1;
            let Some((partitions, positions)) = &offsets else { continue };
            if partitions.is_valid(row) && positions.is_valid(row) && objects.is_valid(row) {
                let partition = (source, objects.value(row), partitions.value(row));
                let last = last.entry(partition).or_insert(i64::MIN);
                *last = (*last).max(positions.value(row));
            }
        }
        for (source, rows) in rows {
            *self.rows.entry((table, source.to_owned())).or_default() += rows;
        }
        for ((source, topic, partition), position) in last {
            let object = (source.to_owned(), format!("{topic}/{partition}"));
            let last = self.offsets.entry(object).or_insert(i64::MIN);
            *last = (*last).max(position);
        }
    }
}
