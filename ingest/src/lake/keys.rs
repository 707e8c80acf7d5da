//! The keys of stored rows, read back from the files: what deduplication is exact against.

use super::catalog::{CatalogError, EVENTS_ID, Lake, QUARANTINE_ID};
use super::commit::time_text;
use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::path::{Path, PathBuf};

use trailhound_datasets::layout::{self, DAY_MICROS};

/// A stored row's key and the time of its event.
pub(crate) type StoredKey = ([u8; 16], Option<i64>);

impl Lake {
    /// Keys of the stored events whose time lies on `day` (days since 1970), or of those without a time.
    pub(crate) async fn event_keys(&self, day: Option<i32>) -> Result<Vec<[u8; 16]>, CatalogError> {
        let mut keys = Vec::new();
        for (path, partition) in self.files_with_day(day).await? {
            let whole_day = day.is_some_and(|day| partition == layout::day_text(day));
            read_keys(&path, "event_key", Some("event_time"), |(key, time)| {
                if whole_day || time.map(layout::day_of) == day {
                    keys.push(key);
                }
            })?;
        }
        Ok(keys)
    }

    /// Keys of the stored quarantine rows.
    pub(crate) async fn quarantine_keys(&self) -> Result<Vec<[u8; 16]>, CatalogError> {
        let mut keys = Vec::new();
        for (table, path, _) in self.live_paths().await? {
            if table == QUARANTINE_ID {
                read_keys(&path, "quarantine_key", None, |(key, _)| keys.push(key))?;
            }
        }
        Ok(keys)
    }

    /// The event files that can hold events of `day`: its own partition, and those out of range whose times reach it.
    async fn files_with_day(&self, day: Option<i32>) -> Result<Vec<(PathBuf, String)>, CatalogError> {
        let event_time = super::history::event_time_id();
        let (from, to) = match day {
            Some(day) => (time_text(i64::from(day) * DAY_MICROS), time_text((i64::from(day) + 1) * DAY_MICROS)),
            None => (String::new(), String::new()),
        };
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT f.path, p.partition_value FROM ducklake_data_file f \
             JOIN ducklake_file_partition_value p ON p.data_file_id = f.data_file_id \
             LEFT JOIN ducklake_file_column_stats s ON s.table_id = f.table_id AND s.data_file_id = f.data_file_id AND s.column_id = $1 \
             WHERE f.table_id = $2 AND f.end_snapshot IS NULL AND (p.partition_value = $3 OR (p.partition_value LIKE 'out_of_range%' \
             AND ($4 = '' OR s.min_value IS NULL OR (s.min_value < $5 AND s.max_value >= $6))))",
        )
        .bind(event_time)
        .bind(EVENTS_ID)
        .bind(day.map(layout::day_text))
        .bind(&from)
        .bind(&to)
        .bind(&from)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(path, partition)| (self.table_folder(EVENTS_ID).join(path), partition)).collect())
    }
}

/// Reads one key column, and the time beside it if asked for.
pub(crate) fn read_keys(path: &Path, key: &str, time: Option<&str>, mut each: impl FnMut(StoredKey)) -> Result<(), CatalogError> {
    let failed = |source| CatalogError::Parquet { path: path.to_owned(), source };
    let file = File::open(path).map_err(|source| CatalogError::File { path: path.to_owned(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), [Some(key), time].into_iter().flatten());
    let reader = builder.with_projection(mask).with_batch_size(64 * 1024).build().map_err(failed)?;
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
