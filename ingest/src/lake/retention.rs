//! Retention: drops whole days that are older than the retention period. The ledger counts their
//! rows as expired.

use super::catalog::Lake;
use super::commit::next_snapshot;
use super::error::CatalogError;
use super::stored_keys::read_keys;
use super::table::Table;
use crate::supervisor::run_blocking;
use sqlx::AnyConnection;
use std::collections::BTreeMap;
use trailhound_datasets::layout;

/// What a run of retention dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionSummary {
    /// Number of dropped rows, over all tables.
    pub rows: u64,
    /// Number of dropped files.
    pub files: u64,
}

/// A data file of the newest snapshot.
#[derive(Debug, Clone)]
pub(crate) struct LiveFile {
    pub(super) id: i64,
    pub(super) table: Table,
    /// Path below the table's folder.
    pub(super) path: String,
    pub(super) rows: i64,
    pub(super) bytes: i64,
    pub(super) checksum: Option<String>,
}

/// For each source, the number of events and the number of quarantined records.
type RowCounts = BTreeMap<String, (i64, i64)>;

impl Lake {
    /// Drops all days before the day that contains `oldest`. `oldest` and `now` are in microseconds
    /// since 1970 UTC. The day of an event and of its rows in `event_copies` is that of the event
    /// time. The time of ingest gives the day of a reject and of an event without a usable time.
    ///
    /// After this call the ledger counts the rows as expired. Their files stay on disk as long
    /// as a snapshot contains them.
    ///
    /// # Errors
    /// [`CatalogError`]. Nothing is dropped in this case.
    pub async fn drop_days_before(
        &self,
        oldest: i64,
        now: i64,
    ) -> Result<RetentionSummary, CatalogError> {
        let oldest = layout::day_of(oldest);
        let expired = self.expired_files(&layout::day_text(oldest)).await?;
        if expired.is_empty() {
            return Ok(RetentionSummary::default());
        }
        let lake = self.clone();
        let (expired, counts) =
            run_blocking(move || lake.count_rows(&expired).map(|counts| (expired, counts)))
                .await
                .map_err(|e| CatalogError::Conflict {
                    what: format!("a retention broke off: {e}"),
                })??;
        self.drop_files(
            &expired,
            &counts,
            i64::from(oldest).saturating_mul(layout::DAY_MICROS),
            now,
        )
        .await?;
        Ok(RetentionSummary {
            rows: expired.iter().map(|file| file.rows.unsigned_abs()).sum(),
            files: expired.len() as u64,
        })
    }

    /// Lists the files of all days before the day `oldest`, which has the form `2026-01-31`.
    async fn expired_files(&self, oldest: &str) -> Result<Vec<LiveFile>, CatalogError> {
        let rows: Vec<(i64, i64, String, i64, i64, Option<String>, String)> = sqlx::query_as(
            "SELECT f.data_file_id, f.table_id, f.path, f.record_count, f.file_size_bytes, c.xxh3, p.partition_value FROM ducklake_data_file f \
             JOIN ducklake_file_partition_value p ON p.data_file_id = f.data_file_id \
             LEFT JOIN trailhound_file_checksum c ON c.data_file_id = f.data_file_id WHERE f.end_snapshot IS NULL",
        )
        .fetch_all(&self.pool)
        .await?;
        let expired = rows
            .into_iter()
            .filter(|(.., day)| day.strip_prefix("out_of_range_").unwrap_or(day) < oldest);
        let file = |(id, table, path, rows, bytes, checksum, _)| {
            Some(LiveFile { id, table: Table::of(table)?, path, rows, bytes, checksum })
        };
        Ok(expired.filter_map(file).collect())
    }

    /// Counts the rows of `expired` by source. The ledger must then count these rows as expired.
    /// Rows of `event_copies` are left out, because the ledger never counts them as stored.
    fn count_rows(&self, expired: &[LiveFile]) -> Result<RowCounts, CatalogError> {
        let mut counts = RowCounts::new();
        for file in expired.iter().filter(|file| file.table != Table::EventCopies) {
            // The ledger is made from these rows.
            let path = file.checked_path(self)?;
            read_keys(&path, file.table, None, |row| {
                let (events, rejects) = counts.entry(row.source.to_owned()).or_default();
                *(if file.table == Table::Events { events } else { rejects }) += 1;
            })?;
        }
        Ok(counts)
    }

    async fn drop_files(
        &self,
        expired: &[LiveFile],
        counts: &RowCounts,
        oldest: i64,
        now: i64,
    ) -> Result<(), CatalogError> {
        let mut connection = self.writer_pool.acquire().await?;
        let mut transaction = self.begin(&mut connection).await?;
        let (snapshot, _) = next_snapshot(&mut transaction, 0, now).await?;
        let tables: Vec<String> = Table::ALL
            .into_iter()
            .filter(|table| expired.iter().any(|file| file.table == *table))
            .map(|table| format!("deleted_from_table:{}", table.id()))
            .collect();
        sqlx::query("INSERT INTO ducklake_snapshot_changes VALUES ($1, $2, 'trailhound', 'retention', NULL)")
            .bind(snapshot)
            .bind(tables.join(","))
            .execute(&mut *transaction)
            .await?;
        for file in expired {
            end_file(&mut transaction, snapshot, file).await?;
        }
        for (source, (events, rejects)) in counts {
            // The ledger line moves rows from stored and quarantined to expired.
            sqlx::query("INSERT INTO trailhound_ingest_ledger VALUES ($1, $2, 0, $3, 0, $4, $5)")
                .bind(snapshot)
                .bind(source)
                .bind(-events)
                .bind(-rejects)
                .bind(events + rejects)
                .execute(&mut *transaction)
                .await?;
        }
        retain_from(&mut transaction, oldest).await?;
        transaction.commit().await?;
        drop(connection);
        self.record_head().await;
        Ok(())
    }
}

/// Records that events before `oldest` are dropped. Findings about these events keep their status,
/// because no rule can evaluate the events again.
async fn retain_from(db: &mut AnyConnection, oldest: i64) -> Result<(), CatalogError> {
    let known: Option<String> = sqlx::query_scalar(
        "SELECT value FROM ducklake_metadata WHERE key = 'trailhound_retained_from'",
    )
    .fetch_optional(&mut *db)
    .await?;
    let known = known.and_then(|known| known.parse().ok()).unwrap_or(i64::MIN);
    sqlx::query("DELETE FROM ducklake_metadata WHERE key = 'trailhound_retained_from'")
        .execute(&mut *db)
        .await?;
    sqlx::query(
        "INSERT INTO ducklake_metadata(key, value) VALUES ('trailhound_retained_from', $1)",
    )
    .bind(known.max(oldest).to_string())
    .execute(&mut *db)
    .await?;
    Ok(())
}

/// Sets the end snapshot of `file` to `snapshot`, and subtracts its rows and bytes from the totals
/// of its table.
pub(super) async fn end_file(
    db: &mut AnyConnection,
    snapshot: i64,
    file: &LiveFile,
) -> Result<(), CatalogError> {
    let ended = sqlx::query("UPDATE ducklake_data_file SET end_snapshot = $1 WHERE data_file_id = $2 AND end_snapshot IS NULL")
        .bind(snapshot)
        .bind(file.id)
        .execute(&mut *db)
        .await?;
    if ended.rows_affected() != 1 {
        return Err(CatalogError::Conflict {
            what: format!("file {} was replaced meanwhile", file.id),
        });
    }
    sqlx::query(
        "UPDATE ducklake_table_stats SET record_count = record_count - $1, file_size_bytes = file_size_bytes - $2 WHERE table_id = $3",
    )
    .bind(file.rows)
    .bind(file.bytes)
    .bind(file.table.id())
    .execute(&mut *db)
    .await?;
    Ok(())
}
