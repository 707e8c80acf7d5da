//! Replaces data files by files with other rows, in one transaction: the rows were read anew.

use super::catalog::Lake;
use super::checks::RecordedFile;
use super::commit::{RowOrigin, add_file, next_snapshot};
use super::error::CatalogError;
use super::files::NewFile;
use super::retention::{LiveFile, end_file};
use super::table::Table;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The message of a snapshot whose rows were read anew.
pub(super) const REREAD: &str = "reread";

/// Data files, and the files that replace them.
#[derive(Debug, Default)]
pub(crate) struct Replacement {
    pub(crate) ended: Vec<LiveFile>,
    pub(crate) files: Vec<NewFile>,
    /// How the counts of each source change.
    pub(crate) ledger: BTreeMap<String, LedgerShift>,
}

/// Stored events that turned out to be something else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LedgerShift {
    /// Events that were stored already.
    pub(crate) duplicate: i64,
    /// Records that are no events.
    pub(crate) quarantined: i64,
}

impl LiveFile {
    /// Its path in `lake`, after its content was compared with the checksum of its commit. Blocks.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`]; [`CatalogError::File`].
    pub(crate) fn checked_path(&self, lake: &Lake) -> Result<PathBuf, CatalogError> {
        lake.check_file(self.recorded(lake))
    }

    /// What the catalog records of its content.
    pub(super) fn recorded(&self, lake: &Lake) -> RecordedFile {
        RecordedFile::of(lake, self.table, (self.path.clone(), self.bytes, self.checksum.clone()))
    }
}

impl Lake {
    /// The data files of `table` in the newest snapshot, oldest first.
    ///
    /// # Errors
    /// [`CatalogError`] where the catalog cannot be read.
    pub(crate) async fn live_files(&self, table: Table) -> Result<Vec<LiveFile>, CatalogError> {
        let rows: Vec<(i64, String, i64, i64, Option<String>)> = sqlx::query_as(
            "SELECT f.data_file_id, f.path, f.record_count, f.file_size_bytes, c.xxh3 FROM ducklake_data_file f \
             LEFT JOIN trailhound_file_checksum c ON c.data_file_id = f.data_file_id \
             WHERE f.end_snapshot IS NULL AND f.table_id = $1 ORDER BY f.data_file_id",
        )
        .bind(table.id())
        .fetch_all(&self.pool)
        .await?;
        let file =
            |(id, path, rows, bytes, checksum)| LiveFile { id, table, path, rows, bytes, checksum };
        Ok(rows.into_iter().map(file).collect())
    }

    /// Makes `replacement` the newest snapshot. Positions stay. The caller holds the writer lock.
    ///
    /// # Errors
    /// [`CatalogError`]; nothing is replaced then.
    pub(crate) async fn replace_rows(
        &self,
        replacement: &Replacement,
        now: i64,
    ) -> Result<(), CatalogError> {
        let mut connection = self.writer_pool.acquire().await?;
        let mut transaction = self.begin(&mut connection).await?;
        let (snapshot, first_file) =
            next_snapshot(&mut transaction, replacement.files.len(), now).await?;
        let of_table = |change: &str, table: Table| format!("{change}:{}", table.id());
        let deleted = Table::ALL
            .into_iter()
            .filter(|&table| replacement.ended.iter().any(|file| file.table == table));
        let inserted = Table::ALL
            .into_iter()
            .filter(|&table| replacement.files.iter().any(|file| file.table == table));
        let changes: Vec<String> = deleted
            .map(|table| of_table("deleted_from_table", table))
            .chain(inserted.map(|table| of_table("inserted_into_table", table)))
            .collect();
        sqlx::query(
            "INSERT INTO ducklake_snapshot_changes VALUES ($1, $2, 'trailhound', $3, NULL)",
        )
        .bind(snapshot)
        .bind(changes.join(","))
        .bind(REREAD)
        .execute(&mut *transaction)
        .await?;
        for file in &replacement.ended {
            end_file(&mut transaction, snapshot, file).await?;
        }
        for (number, file) in (first_file..).zip(&replacement.files) {
            add_file(&mut transaction, snapshot, number, file, RowOrigin::New).await?;
        }
        for (source, shift) in &replacement.ledger {
            sqlx::query("INSERT INTO trailhound_ingest_ledger VALUES ($1, $2, 0, $3, $4, $5, 0)")
                .bind(snapshot)
                .bind(source)
                .bind(-(shift.duplicate + shift.quarantined))
                .bind(shift.duplicate)
                .bind(shift.quarantined)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        drop(connection);
        self.record_head().await;
        Ok(())
    }
}
