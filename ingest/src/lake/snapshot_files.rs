//! The data files that a range of snapshots added, or that a snapshot sees: the input of detection and of deduplication.

use super::catalog::Lake;
use super::checks::RecordedFile;
use super::error::CatalogError;
use super::instant::{parse_time_text, time_text};
use super::replacement::REREAD;
use super::table::Table;
use std::path::PathBuf;

impl Lake {
    /// Files of `events` that commits after snapshot `seen` and up to `snapshot` added, oldest first. The files of compactions
    /// hold no new rows and are left out, and so are those of rows that were read anew: rules run over the whole lake after that.
    /// Their content is as it was committed.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] where a file's is not; any other [`CatalogError`].
    pub async fn files_since(
        &self,
        seen: i64,
        snapshot: i64,
    ) -> Result<Vec<PathBuf>, CatalogError> {
        let files = self.added(Table::Events, seen, snapshot).await?;
        let files = files.into_iter().filter(|(_, is_reread)| !is_reread);
        self.check_files(files.map(|(file, _)| file).collect()).await
    }

    /// Files of `table` with keys that commits after snapshot `seen` and up to `snapshot` added, oldest first.
    pub(crate) async fn files_added(
        &self,
        table: Table,
        seen: i64,
        snapshot: i64,
    ) -> Result<Vec<PathBuf>, CatalogError> {
        let files = self.added(table, seen, snapshot).await?;
        Ok(files.into_iter().map(|(file, _)| file.path).collect())
    }

    /// The files, each with whether it holds rows that were read anew.
    async fn added(
        &self,
        table: Table,
        seen: i64,
        snapshot: i64,
    ) -> Result<Vec<(RecordedFile, bool)>, CatalogError> {
        let rows: Vec<(String, i64, Option<String>, String)> = sqlx::query_as(
            "SELECT f.path, f.file_size_bytes, x.xxh3, coalesce(c.commit_message, '') FROM ducklake_data_file f \
             LEFT JOIN trailhound_file_checksum x ON x.data_file_id = f.data_file_id \
             LEFT JOIN ducklake_snapshot_changes c ON c.snapshot_id = f.begin_snapshot \
             WHERE f.table_id = $1 AND f.begin_snapshot > $2 AND f.begin_snapshot <= $3 \
             AND coalesce(c.changes_made, '') NOT LIKE 'compacted_table%' ORDER BY f.data_file_id",
        )
        .bind(table.id())
        .bind(seen)
        .bind(snapshot)
        .fetch_all(&self.pool)
        .await?;
        let file = |(path, bytes, checksum, message): (String, i64, Option<String>, String)| {
            (RecordedFile::of(self, table, (path, bytes, checksum)), message == REREAD)
        };
        Ok(rows.into_iter().map(file).collect())
    }

    /// Files of `events` that `snapshot` sees and that can hold times from `since` (microseconds UTC) on. Their content is as
    /// it was committed.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] where a file's is not; any other [`CatalogError`].
    pub async fn files_at(&self, snapshot: i64, since: i64) -> Result<Vec<PathBuf>, CatalogError> {
        let rows: Vec<(String, i64, Option<String>)> = sqlx::query_as(
            "SELECT f.path, f.file_size_bytes, x.xxh3 FROM ducklake_data_file f \
             LEFT JOIN trailhound_file_checksum x ON x.data_file_id = f.data_file_id \
             LEFT JOIN ducklake_file_column_stats s ON s.table_id = f.table_id AND s.data_file_id = f.data_file_id AND s.column_id = $1 \
             WHERE f.table_id = $2 AND f.begin_snapshot <= $3 AND (f.end_snapshot IS NULL OR f.end_snapshot > $4) \
             AND (s.max_value IS NULL OR s.max_value >= $5) ORDER BY f.data_file_id",
        )
        .bind(Table::Events.event_time_id())
        .bind(Table::Events.id())
        .bind(snapshot)
        .bind(snapshot)
        .bind(time_text(since))
        .fetch_all(&self.pool)
        .await?;
        let file = |row| RecordedFile::of(self, Table::Events, row);
        self.check_files(rows.into_iter().map(file).collect()).await
    }

    /// Time of the latest event in the partitions of days, microseconds UTC. Times out of range are left out: a wrong clock
    /// says nothing about the other events.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn latest_event(&self) -> Result<Option<i64>, CatalogError> {
        let latest: Option<String> = sqlx::query_scalar(
            "SELECT max(s.max_value) FROM ducklake_data_file f JOIN ducklake_file_partition_value p ON p.data_file_id = f.data_file_id \
             JOIN ducklake_file_column_stats s ON s.table_id = f.table_id AND s.data_file_id = f.data_file_id \
             WHERE f.table_id = $1 AND f.end_snapshot IS NULL AND s.column_id = $2 AND p.partition_value NOT LIKE 'out_of_range%'",
        )
        .bind(Table::Events.id())
        .bind(Table::Events.event_time_id())
        .fetch_one(&self.pool)
        .await?;
        Ok(latest.as_deref().and_then(parse_time_text))
    }
}
