//! The keys of stored rows, read back from the data files. Deduplication compares new records with them.

use super::catalog::Lake;
use super::error::CatalogError;
use super::instant::parse_time_text;
use super::table::Table;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use std::fs::File;
use std::path::{Path, PathBuf};
use trailhound_datasets::layout;

/// The identity of a stored row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredKey<'k> {
    pub(crate) key: [u8; 16],
    /// Time of the event, microseconds UTC.
    pub(crate) time: Option<i64>,
    /// The source that delivered it.
    pub(crate) source: &'k str,
}

/// A data file with the first and the last time of its events; no times where the catalog does not record them.
#[derive(Debug, Clone)]
pub(crate) struct KeyFile {
    pub(crate) table: Table,
    pub(crate) path: PathBuf,
    times: Option<(i64, i64)>,
}

impl KeyFile {
    /// False where all its times are outside of `[from, to)`, microseconds UTC.
    pub(crate) fn may_hold(&self, (from, to): (i64, i64)) -> bool {
        self.times.is_none_or(|(first, last)| first < to && last >= from)
    }
}

impl Lake {
    /// Calls `each` with the day and the identity of the newest quarantine rows, whole files, at most `rows_max` rows.
    pub(crate) async fn newest_quarantine_keys(
        &self,
        rows_max: usize,
        mut each: impl FnMut(&str, StoredKey<'_>),
    ) -> Result<(), CatalogError> {
        let files: Vec<(String, i64, String)> = sqlx::query_as(
            "SELECT f.path, f.record_count, p.partition_value FROM ducklake_data_file f \
             JOIN ducklake_file_partition_value p ON p.data_file_id = f.data_file_id \
             WHERE f.table_id = $1 AND f.end_snapshot IS NULL ORDER BY p.partition_value DESC, f.data_file_id DESC",
        )
        .bind(Table::Quarantine.id())
        .fetch_all(&self.pool)
        .await?;
        let folder = self.table_folder(Table::Quarantine);
        let mut rows_left = rows_max as u64;
        for (path, rows, day) in files {
            match rows_left.checked_sub(rows.unsigned_abs()) {
                Some(left) => rows_left = left,
                None => break,
            }
            read_keys(&folder.join(path), Table::Quarantine, None, |row| each(&day, row))?;
        }
        Ok(())
    }

    /// The files of `events`, then those of `event_copies`, that can hold events of `day` (days
    /// since 1970): those of the day's partition and of the partitions out of range. `None`: only
    /// those out of range.
    pub(crate) async fn key_files(&self, day: Option<i32>) -> Result<Vec<KeyFile>, CatalogError> {
        let mut files = Vec::new();
        for table in [Table::Events, Table::EventCopies] {
            let rows: Vec<(String, Option<String>, Option<String>)> = sqlx::query_as(
                "SELECT f.path, s.min_value, s.max_value FROM ducklake_data_file f \
                 JOIN ducklake_file_partition_value p ON p.data_file_id = f.data_file_id \
                 LEFT JOIN ducklake_file_column_stats s ON s.table_id = f.table_id AND s.data_file_id = f.data_file_id AND s.column_id = $1 \
                 WHERE f.table_id = $2 AND f.end_snapshot IS NULL AND (p.partition_value = $3 OR p.partition_value LIKE 'out_of_range%')",
            )
            .bind(table.event_time_id())
            .bind(table.id())
            .bind(day.map(layout::day_text))
            .fetch_all(&self.pool)
            .await?;
            let folder = self.table_folder(table);
            files.extend(rows.into_iter().map(|(path, first, last)| {
                KeyFile {
                    table,
                    path: folder.join(path),
                    times: first
                        .as_deref()
                        .and_then(parse_time_text)
                        .zip(last.as_deref().and_then(parse_time_text)),
                }
            }));
        }
        Ok(files)
    }
}

/// Calls `each` with the identity of every row of a file of `table`. Row groups whose times all lie outside of `within`
/// (`[from, to)`, microseconds UTC) are skipped.
///
/// # Errors
/// [`CatalogError`] where the file cannot be read.
pub(crate) fn read_keys(
    path: &Path,
    table: Table,
    within: Option<(i64, i64)>,
    mut each: impl FnMut(StoredKey<'_>),
) -> Result<(), CatalogError> {
    let failed = |source| CatalogError::Parquet { path: path.to_owned(), source };
    let file =
        File::open(path).map_err(|source| CatalogError::File { path: path.to_owned(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
    let mask =
        ProjectionMask::columns(builder.parquet_schema(), [table.key(), "event_time", "source"]);
    let groups = row_groups(builder.metadata(), within);
    let reader = builder
        .with_projection(mask)
        .with_row_groups(groups)
        .with_batch_size(64 * 1024)
        .build()
        .map_err(failed)?;
    for batch in reader {
        rows(&batch.map_err(|e| failed(e.into()))?, table, &mut each);
    }
    Ok(())
}

fn rows(batch: &RecordBatch, table: Table, each: &mut impl FnMut(StoredKey<'_>)) {
    let Some(keys) = batch.column_by_name(table.key()) else { return };
    let keys = keys.as_binary::<i32>();
    let times = batch
        .column_by_name("event_time")
        .map(|column| column.as_primitive::<TimestampMicrosecondType>());
    let sources = batch.column_by_name("source").map(|column| column.as_string::<i32>());
    for row in 0..batch.num_rows() {
        let Ok(key) = keys.value(row).try_into() else { continue };
        let time = times.filter(|times| times.is_valid(row)).map(|times| times.value(row));
        each(StoredKey { key, time, source: sources.map_or("", |sources| sources.value(row)) });
    }
}

/// The row groups that can hold times in `within`.
fn row_groups(metadata: &ParquetMetaData, within: Option<(i64, i64)>) -> Vec<usize> {
    let column = metadata
        .file_metadata()
        .schema_descr()
        .columns()
        .iter()
        .position(|column| column.name() == "event_time");
    let may_hold = |group: &RowGroupMetaData| {
        let (Some((from, to)), Some(column)) = (within, column) else { return true };
        match group.column(column).statistics() {
            Some(Statistics::Int64(times)) => {
                times.min_opt().is_none_or(|first| *first < to)
                    && times.max_opt().is_none_or(|last| *last >= from)
            }
            _ => true,
        }
    };
    metadata
        .row_groups()
        .iter()
        .enumerate()
        .filter(|(_, group)| may_hold(group))
        .map(|(at, _)| at)
        .collect()
}
