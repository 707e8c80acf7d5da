//! The keys of stored rows, read back from the files: what deduplication is exact against.

use super::catalog::{CatalogError, EVENTS_ID, Lake, QUARANTINE_ID};
use super::commit::parse_time_text;
use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use std::fs::File;
use std::path::{Path, PathBuf};
use trailhound_datasets::layout;

/// A stored row's key and the time of its event.
pub(crate) type StoredKey = ([u8; 16], Option<i64>);

/// A file that holds keys, with the first and the last time of its events where the catalogue knows them.
#[derive(Debug, Clone)]
pub(crate) struct KeyFile {
    pub(crate) path: PathBuf,
    times: Option<(i64, i64)>,
}

impl KeyFile {
    /// True unless all its times are outside of `[from, to)`.
    pub(crate) fn may_hold(&self, (from, to): (i64, i64)) -> bool {
        self.times.is_none_or(|(first, last)| first < to && last >= from)
    }
}

impl Lake {
    /// Keys of the stored quarantine rows.
    pub(crate) async fn quarantine_keys(&self) -> Result<Vec<[u8; 16]>, CatalogError> {
        let mut keys = Vec::new();
        for (table, path, _) in self.live_paths().await? {
            if table == QUARANTINE_ID {
                read_keys(&path, "quarantine_key", None, None, |(key, _)| keys.push(key))?;
            }
        }
        Ok(keys)
    }

    /// The event files that can hold events of `day` (days since 1970), or those without a time: the day's own partition,
    /// and those out of range.
    pub(crate) async fn key_files(&self, day: Option<i32>) -> Result<Vec<KeyFile>, CatalogError> {
        let rows: Vec<(String, Option<String>, Option<String>)> = sqlx::query_as(
            "SELECT f.path, s.min_value, s.max_value FROM ducklake_data_file f \
             JOIN ducklake_file_partition_value p ON p.data_file_id = f.data_file_id \
             LEFT JOIN ducklake_file_column_stats s ON s.table_id = f.table_id AND s.data_file_id = f.data_file_id AND s.column_id = $1 \
             WHERE f.table_id = $2 AND f.end_snapshot IS NULL AND (p.partition_value = $3 OR p.partition_value LIKE 'out_of_range%')",
        )
        .bind(super::history::event_time_id())
        .bind(EVENTS_ID)
        .bind(day.map(layout::day_text))
        .fetch_all(&self.pool)
        .await?;
        let folder = self.table_folder(EVENTS_ID);
        let file = |(path, first, last): (String, Option<String>, Option<String>)| KeyFile {
            path: folder.join(path),
            times: first.as_deref().and_then(parse_time_text).zip(last.as_deref().and_then(parse_time_text)),
        };
        Ok(rows.into_iter().map(file).collect())
    }
}

/// Reads one key column, and the time beside it if asked for. Row groups whose times all lie outside of `within` (`[from,
/// to)`, microseconds UTC) are passed over; of the others every key is given.
pub(crate) fn read_keys(
    path: &Path,
    key: &str,
    time: Option<&str>,
    within: Option<(i64, i64)>,
    mut each: impl FnMut(StoredKey),
) -> Result<(), CatalogError> {
    let failed = |source| CatalogError::Parquet { path: path.to_owned(), source };
    let file = File::open(path).map_err(|source| CatalogError::File { path: path.to_owned(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), [Some(key), time].into_iter().flatten());
    let groups = row_groups(builder.metadata(), time, within);
    let reader = builder.with_projection(mask).with_row_groups(groups).with_batch_size(64 * 1024).build().map_err(failed)?;
    for batch in reader {
        let batch = batch.map_err(|e| failed(e.into()))?;
        let Some(keys) = batch.column_by_name(key) else { continue };
        let keys = keys.as_binary::<i32>();
        let times = time.and_then(|time| batch.column_by_name(time)).map(|column| column.as_primitive::<TimestampMicrosecondType>());
        for row in 0..batch.num_rows() {
            let Ok(key) = keys.value(row).try_into() else { continue };
            each((key, times.filter(|times| times.is_valid(row)).map(|times| times.value(row))));
        }
    }
    Ok(())
}

/// The row groups that can hold times `within`.
fn row_groups(metadata: &ParquetMetaData, time: Option<&str>, within: Option<(i64, i64)>) -> Vec<usize> {
    let column = metadata.file_metadata().schema_descr().columns().iter().position(|column| Some(column.name()) == time);
    let may_hold = |group: &RowGroupMetaData| {
        let (Some((from, to)), Some(column)) = (within, column) else { return true };
        match group.column(column).statistics() {
            Some(Statistics::Int64(times)) => {
                times.min_opt().is_none_or(|first| *first < to) && times.max_opt().is_none_or(|last| *last >= from)
            }
            _ => true,
        }
    };
    metadata.row_groups().iter().enumerate().filter(|(_, group)| may_hold(group)).map(|(at, _)| at).collect()
}
