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
    /// Number of rows that are old enough and stay, because too large a share of the lake would be dropped within a day.
    pub held_rows: u64,
}

/// Key of the lake's metadata under which the present day's drops are kept.
const BUDGET_KEY: &str = "trailhound_dropped";

/// How much of the lake may still be dropped on the present day of drops.
#[derive(Debug, Clone, Copy, PartialEq)]
struct DropBudget {
    /// When the day began, microseconds since 1970 UTC.
    begun: i64,
    /// The lake's rows then.
    rows: i64,
    /// Rows dropped since then.
    dropped: i64,
    /// Share of the rows that may be dropped.
    share_max: f64,
}

impl DropBudget {
    /// Reads what [`Self::text`] has written.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(',').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self { begun: next()?, rows: next()?, dropped: next()?, share_max: 0.0 })
    }

    fn text(&self) -> String {
        format!("{},{},{}", self.begun, self.rows, self.dropped)
    }

    /// Leaves in `expired` only the oldest days that may be dropped, and counts them as dropped. Returns the rows of the others.
    fn limit(&mut self, expired: &mut BTreeMap<String, Vec<LiveFile>>) -> u64 {
        let allowed = self.rows as f64 * self.share_max;
        let (mut held, mut is_full) = (0, false);
        expired.retain(|_, files| {
            let rows: i64 = files.iter().map(|file| file.rows).sum();
            is_full |= (self.dropped + rows) as f64 > allowed;
            if is_full {
                held += rows.unsigned_abs();
            } else {
                self.dropped += rows;
            }
            !is_full
        });
        held
    }
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

/// A file as the catalog has it: id, table, path, rows, bytes, checksum and partition.
type FileRow = (i64, i64, String, i64, i64, Option<String>, String);

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
        self.drop_days_within(oldest, now, None).await
    }

    /// As [`Self::drop_days_before`], but drops at most the share `share_max` of the lake's rows within a day, and leaves the newer
    /// ones of the days before `oldest` for later. `None` sets no limit.
    ///
    /// # Errors
    /// [`CatalogError`]. Nothing is dropped in this case.
    pub async fn drop_days_within(
        &self,
        oldest: i64,
        now: i64,
        share_max: Option<f64>,
    ) -> Result<RetentionSummary, CatalogError> {
        let oldest = layout::day_of(oldest);
        let mut expired = self.expired_files(&layout::day_text(oldest)).await?;
        if expired.is_empty() {
            return Ok(RetentionSummary::default());
        }
        let mut budget = match share_max {
            Some(share_max) => Some(self.drop_budget(share_max, now).await?),
            None => None,
        };
        let held_rows = budget.as_mut().map_or(0, |budget| budget.limit(&mut expired));
        if expired.is_empty() {
            return Ok(RetentionSummary { held_rows, ..RetentionSummary::default() });
        }
        let files: Vec<LiveFile> = expired.into_values().flatten().collect();
        let lake = self.clone();
        let (files, counts) =
            run_blocking(move || lake.count_rows(&files).map(|counts| (files, counts)))
                .await
                .map_err(|e| CatalogError::Conflict {
                    what: format!("a retention broke off: {e}"),
                })??;
        let kept_from = i64::from(oldest).saturating_mul(layout::DAY_MICROS);
        self.drop_files(&files, &counts, kept_from, now, budget.as_ref()).await?;
        Ok(RetentionSummary {
            rows: files.iter().map(|file| file.rows.unsigned_abs()).sum(),
            files: files.len() as u64,
            held_rows,
        })
    }

    /// What may be dropped now. The day in which a share is counted begins with the first drop.
    async fn drop_budget(&self, share_max: f64, now: i64) -> Result<DropBudget, CatalogError> {
        let known: Option<String> =
            sqlx::query_scalar("SELECT value FROM ducklake_metadata WHERE key = $1")
                .bind(BUDGET_KEY)
                .fetch_optional(&self.pool)
                .await?;
        let rows: i64 = sqlx::query_scalar(
            "SELECT CAST(coalesce(sum(record_count), 0) AS BIGINT) FROM ducklake_data_file WHERE end_snapshot IS NULL",
        )
        .fetch_one(&self.pool)
        .await?;
        let known = known.as_deref().and_then(DropBudget::parse);
        // A beginning in the future was written by a clock that was wrong.
        let is_running = |budget: &DropBudget| {
            (0..layout::DAY_MICROS).contains(&now.saturating_sub(budget.begun))
        };
        let fresh = DropBudget { begun: now, rows, dropped: 0, share_max };
        Ok(known.filter(is_running).map_or(fresh, |known| DropBudget { share_max, ..known }))
    }

    /// The files of all days before the day `oldest`, by day; days have the form `2026-01-31`.
    async fn expired_files(
        &self,
        oldest: &str,
    ) -> Result<BTreeMap<String, Vec<LiveFile>>, CatalogError> {
        let rows: Vec<FileRow> = sqlx::query_as(
            "SELECT f.data_file_id, f.table_id, f.path, f.record_count, f.file_size_bytes, c.xxh3, p.partition_value FROM ducklake_data_file f \
             JOIN ducklake_file_partition_value p ON p.data_file_id = f.data_file_id \
             LEFT JOIN trailhound_file_checksum c ON c.data_file_id = f.data_file_id WHERE f.end_snapshot IS NULL",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut expired: BTreeMap<String, Vec<LiveFile>> = BTreeMap::new();
        for (id, table, path, rows, bytes, checksum, partition) in rows {
            let day = partition.strip_prefix("out_of_range_").unwrap_or(&partition);
            if let Some(table) = Table::of(table).filter(|_| day < oldest) {
                let file = LiveFile { id, table, path, rows, bytes, checksum };
                expired.entry(day.to_owned()).or_default().push(file);
            }
        }
        Ok(expired)
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
        budget: Option<&DropBudget>,
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
        if let Some(budget) = budget {
            replace_metadata(&mut transaction, BUDGET_KEY, &budget.text()).await?;
        }
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
    replace_metadata(db, "trailhound_retained_from", &known.max(oldest).to_string()).await
}

/// Sets the lake's metadata `key` to `value`.
pub(super) async fn replace_metadata(
    db: &mut AnyConnection,
    key: &str,
    value: &str,
) -> Result<(), CatalogError> {
    sqlx::query("DELETE FROM ducklake_metadata WHERE key = $1").bind(key).execute(&mut *db).await?;
    sqlx::query("INSERT INTO ducklake_metadata(key, value) VALUES ($1, $2)")
        .bind(key)
        .bind(value)
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
