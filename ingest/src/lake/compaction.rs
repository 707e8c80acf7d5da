//! Compaction merges small files into larger ones and never changes the set of rows. Expiry removes old snapshots and the
//! files that only they see.

use super::catalog::Lake;
use super::checks::RecordedFile;
use super::commit::{RowOrigin, add_file, next_snapshot};
use super::damage::DamagedFile;
use super::error::CatalogError;
use super::files::{LakeFile, NewFile};
use super::instant::time_text;
use super::table::Table;
use crate::supervisor::run_blocking;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

/// Files of one size class of a partition that are merged into one. Each class holds files up to eight times as large as
/// the class below, so a partition never keeps more than seven files a class, and a row is rewritten once a class.
const MERGED_FILES: usize = 8;
/// Files larger than this are left alone, in rows.
const MERGED_ROWS_MAX: i64 = 512 * 1024;

/// Result of a compaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactionSummary {
    /// Files that were merged and are no longer part of the newest snapshot.
    pub files_merged: u64,
    /// New files, which hold the rows of the merged files.
    pub files_written: u64,
    /// Files that are not as they were committed. Their partitions were not merged.
    pub damaged: Vec<DamagedFile>,
}

/// A small file of a partition.
struct MergeCandidate {
    id: i64,
    file: RecordedFile,
    rows: i64,
}

/// A table and a value of its column `day`.
type DayPartition = (Table, String);

/// A file as the catalog has it: table, partition, id, rows, path, bytes and checksum.
type CandidateRow = (i64, String, i64, i64, String, i64, Option<String>);

impl Lake {
    /// Merges small files until no partition has `MERGED_FILES` files of a size class. Every file is compared with the
    /// checksum of its commit before: a partition with a damaged one is left as it is. Ingest and readers continue
    /// meanwhile. The caller holds the writer lock.
    ///
    /// # Errors
    /// [`CatalogError`]; what was merged before stays merged.
    pub async fn compact(&self, now: i64) -> Result<CompactionSummary, CatalogError> {
        let mut summary = CompactionSummary::default();
        let mut stopped = BTreeSet::new();
        while let Some(((table, day), files)) = self.merge_candidates(&stopped).await? {
            let (lake, partition) = (self.clone(), (table, day.clone()));
            let ids: Vec<i64> = files.iter().map(|file| file.id).collect();
            let files = files.into_iter().map(|candidate| candidate.file).collect::<Vec<_>>();
            let merged =
                run_blocking(move || merge(&lake, table, &day, &files)).await.map_err(|e| {
                    CatalogError::Conflict { what: format!("a compaction broke off: {e}") }
                })?;
            let merged = match merged {
                Err(CatalogError::Damaged(damage)) => {
                    tracing::error!(%damage, day = partition.1, "a damaged file stops the merge of its day");
                    summary.damaged.push(damage);
                    stopped.insert(partition);
                    continue;
                }
                merged => merged?,
            };
            if let Err(error) = self.replace(&ids, &merged, now).await {
                // After an error of the database the commit may stand: then the file is part of the lake.
                if !matches!(error, CatalogError::Sql(_)) {
                    merged.discard(self);
                }
                return Err(error);
            }
            summary.files_merged += ids.len() as u64;
            summary.files_written += 1;
        }
        Ok(summary)
    }

    /// The files of the first size class that has enough of them, oldest first, with their table and partition.
    /// Those of the partitions `stopped` are left out.
    async fn merge_candidates(
        &self,
        stopped: &BTreeSet<DayPartition>,
    ) -> Result<Option<(DayPartition, Vec<MergeCandidate>)>, CatalogError> {
        let rows: Vec<CandidateRow> = sqlx::query_as(
            "SELECT f.table_id, p.partition_value, f.data_file_id, f.record_count, f.path, f.file_size_bytes, c.xxh3 FROM ducklake_data_file f \
             JOIN ducklake_file_partition_value p ON p.data_file_id = f.data_file_id \
             LEFT JOIN trailhound_file_checksum c ON c.data_file_id = f.data_file_id \
             WHERE f.end_snapshot IS NULL AND f.record_count < $1 ORDER BY f.data_file_id",
        )
        .bind(MERGED_ROWS_MAX)
        .fetch_all(&self.pool)
        .await?;
        let mut classes: BTreeMap<(DayPartition, u32), Vec<MergeCandidate>> = BTreeMap::new();
        for (table, day, id, rows, path, bytes, checksum) in rows {
            let Some(table) = Table::of(table) else { continue };
            let partition = (table, day);
            if !stopped.contains(&partition) {
                let class = rows.max(1).ilog2() / MERGED_FILES.ilog2();
                let file = RecordedFile::of(self, table, (path, bytes, checksum));
                classes.entry((partition, class)).or_default().push(MergeCandidate {
                    id,
                    file,
                    rows,
                });
            }
        }
        Ok(classes.into_iter().find(|(_, files)| files.len() >= MERGED_FILES).map(
            |((partition, _), mut files)| {
                let mut total = 0;
                files.retain(|file| {
                    total += file.rows;
                    total <= 2 * MERGED_ROWS_MAX
                });
                (partition, files)
            },
        ))
    }

    /// Ends the files `old` and adds `new`, which holds their rows, in one snapshot.
    async fn replace(&self, old: &[i64], new: &NewFile, now: i64) -> Result<(), CatalogError> {
        let mut connection = self.writer_pool.acquire().await?;
        let mut transaction = self.begin(&mut connection).await?;
        let (snapshot, file) = next_snapshot(&mut transaction, 1, now).await?;
        sqlx::query("INSERT INTO ducklake_snapshot_changes VALUES ($1, $2, 'trailhound', 'compaction', NULL)")
            .bind(snapshot)
            .bind(format!("compacted_table:{}", new.table.id()))
            .execute(&mut *transaction)
            .await?;
        let (mut rows, mut bytes) = (0, 0);
        for id in old {
            let live: Option<(i64, i64)> = sqlx::query_as(
                "UPDATE ducklake_data_file SET end_snapshot = $1 WHERE data_file_id = $2 AND end_snapshot IS NULL \
                 RETURNING record_count, file_size_bytes",
            )
            .bind(snapshot)
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?;
            let live = live.ok_or_else(|| CatalogError::Conflict {
                what: format!("file {id} was replaced already"),
            })?;
            (rows, bytes) = (rows + live.0, bytes + live.1);
        }
        if rows.unsigned_abs() != new.rows {
            return Err(CatalogError::Conflict {
                what: format!("{rows} rows became {} in a compaction", new.rows),
            });
        }
        add_file(&mut transaction, snapshot, file, new, RowOrigin::Merged { rows, bytes }).await?;
        transaction.commit().await?;
        drop(connection);
        self.record_head().await;
        Ok(())
    }

    /// Removes snapshots older than `before` (microseconds UTC) but none newer than the snapshot `keep`, adds up their ledger
    /// rows to one per source, and removes the files that only they could see. Returns the number of files removed.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn expire_snapshots(&self, before: i64, keep: i64) -> Result<u64, CatalogError> {
        let mut connection = self.writer_pool.acquire().await?;
        let mut transaction = self.begin(&mut connection).await?;
        // The oldest snapshot that stays: everything it sees stays.
        let before = time_text(before);
        let older = format!(
            "SELECT max(snapshot_id) FROM ducklake_snapshot WHERE snapshot_time < '{before}' AND snapshot_id <= $1"
        );
        let oldest: Option<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(older))
            .bind(keep)
            .fetch_one(&mut *transaction)
            .await?;
        let Some(oldest) = oldest else { return Ok(0) };
        let expired = delete_ended_files(&mut transaction, oldest).await?;
        for table in ["ducklake_snapshot", "ducklake_snapshot_changes"] {
            let statement = format!("DELETE FROM {table} WHERE snapshot_id < $1");
            sqlx::query(sqlx::AssertSqlSafe(statement))
                .bind(oldest)
                .execute(&mut *transaction)
                .await?;
        }
        fold_ledger(&mut transaction, oldest).await?;
        transaction.commit().await?;
        let mut removed = 0;
        for (table, path) in &expired {
            // A file that is in use or cannot be removed is swept when the next writer starts.
            removed +=
                u64::from(std::fs::remove_file(self.table_folder(*table).join(path)).is_ok());
        }
        Ok(removed)
    }
}

/// Deletes the catalog's rows of files that ended with snapshot `oldest` or before; gives the table and path of each.
async fn delete_ended_files(
    db: &mut sqlx::AnyConnection,
    oldest: i64,
) -> Result<Vec<(Table, String)>, CatalogError> {
    let ended: Vec<(i64, i64, String)> = sqlx::query_as(
        "SELECT data_file_id, table_id, path FROM ducklake_data_file WHERE end_snapshot <= $1",
    )
    .bind(oldest)
    .fetch_all(&mut *db)
    .await?;
    let mut files = Vec::new();
    for (id, table, path) in ended {
        // Files of tables that other programs have made in the lake are theirs.
        let Some(table) = Table::of(table) else { continue };
        for rows in [
            "ducklake_data_file",
            "ducklake_file_column_stats",
            "ducklake_file_partition_value",
            "trailhound_file_checksum",
        ] {
            let statement = format!("DELETE FROM {rows} WHERE data_file_id = $1");
            sqlx::query(sqlx::AssertSqlSafe(statement)).bind(id).execute(&mut *db).await?;
        }
        files.push((table, path));
    }
    Ok(files)
}

/// Adds up the ledger rows of snapshots up to `oldest` to one row per source.
async fn fold_ledger(db: &mut sqlx::AnyConnection, oldest: i64) -> Result<(), CatalogError> {
    let sums: Vec<(String, i64, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT source, CAST(sum(received) AS BIGINT), CAST(sum(stored) AS BIGINT), CAST(sum(duplicate) AS BIGINT), \
         CAST(sum(quarantined) AS BIGINT), CAST(sum(expired) AS BIGINT) FROM trailhound_ingest_ledger WHERE snapshot_id <= $1 GROUP BY source",
    )
    .bind(oldest)
    .fetch_all(&mut *db)
    .await?;
    sqlx::query("DELETE FROM trailhound_ingest_ledger WHERE snapshot_id <= $1")
        .bind(oldest)
        .execute(&mut *db)
        .await?;
    for (source, received, stored, duplicate, quarantined, expired) in sums {
        sqlx::query("INSERT INTO trailhound_ingest_ledger VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(oldest)
            .bind(source)
            .bind(received)
            .bind(stored)
            .bind(duplicate)
            .bind(quarantined)
            .bind(expired)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// Copies the rows of `files` in order into one new file.
fn merge(
    lake: &Lake,
    table: Table,
    day: &str,
    files: &[RecordedFile],
) -> Result<NewFile, CatalogError> {
    let mut merged = LakeFile::create(lake, table, day)?;
    let copied = files.iter().try_for_each(|file| copy(file, &mut merged));
    match copied {
        Ok(()) => merged.close(),
        Err(error) => {
            merged.discard();
            Err(error)
        }
    }
}

/// Copies the rows of `recorded` after its content was compared with the checksum of its commit.
fn copy(recorded: &RecordedFile, into: &mut LakeFile) -> Result<(), CatalogError> {
    if let Some(damage) = recorded.find_damage()? {
        return Err(CatalogError::Damaged(damage));
    }
    let path = &recorded.path;
    // The content is what was committed, so a file that cannot be decoded was written so.
    let unreadable = |error: &dyn std::fmt::Display| {
        CatalogError::Damaged(DamagedFile { path: path.clone(), found: error.to_string() })
    };
    let file =
        File::open(path).map_err(|source| CatalogError::File { path: path.clone(), source })?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(2048).build())
        .map_err(|e| unreadable(&e))?;
    for batch in reader {
        into.write(&batch.map_err(|e| unreadable(&e))?)?;
    }
    Ok(())
}
