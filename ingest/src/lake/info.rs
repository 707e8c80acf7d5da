//! Figures of a lake: days, sources, gaps, the ledger.

use super::aside::AsideInfo;
use super::catalog::Lake;
use super::error::CatalogError;
use super::surveys::StoredSurvey;
use super::table::Table;
use crate::ledger::Ledger;
use serde::Serialize;
use sqlx::Row;

/// Rows and bytes of one partition of `events`.
#[derive(Debug, Clone, Serialize)]
pub struct DayInfo {
    /// The partition: a day, or `out_of_range_<ingest day>`.
    pub day: String,
    /// Its files.
    pub files: u64,
    /// Its rows.
    pub rows: u64,
    /// Its bytes on disk.
    pub bytes: u64,
}

/// Objects and records of one source.
#[derive(Debug, Clone, Serialize)]
pub struct SourceInfo {
    /// Name of the source.
    pub source: String,
    /// Objects read to their end.
    pub objects_done: u64,
    /// Objects stored in part.
    pub objects_open: u64,
    /// Objects with irregularities.
    pub objects_noted: u64,
    /// Everything received from it.
    pub ledger: Ledger,
    /// What the service saw when it last looked at it; `None` for files, and before the first look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub survey: Option<StoredSurvey>,
}

/// Summary of the content of a lake.
#[derive(Debug, Clone, Serialize)]
pub struct LakeInfo {
    /// The lake's folder.
    pub folder: String,
    /// Newest snapshot.
    pub snapshot: i64,
    /// When it was made, UTC.
    pub snapshot_time: String,
    /// Event rows.
    pub events: u64,
    /// Quarantine rows.
    pub quarantined: u64,
    /// Rows of `event_copies`: events that a further source has delivered too.
    pub copies: u64,
    /// Files of all tables.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Partitions of `events` in order.
    pub days: Vec<DayInfo>,
    /// Sources by name.
    pub sources: Vec<SourceInfo>,
    /// Records that can no longer be read, oldest gap first.
    pub gaps: Vec<GapInfo>,
    /// Everything ever received.
    pub ledger: Ledger,
    /// Files that no commit refers to and that were moved aside, by day; they are no part of the lake.
    pub aside: Vec<AsideInfo>,
}

/// Records of a source that can no longer be read from it.
#[derive(Debug, Clone, Serialize)]
pub struct GapInfo {
    /// Name of the source.
    pub source: String,
    /// File, object key or topic partition.
    pub object: String,
    /// The first missing record.
    pub from: i64,
    /// The first record after the missing ones; equal to `from` where their number is unknown.
    pub to: i64,
    /// `ingest_gap` or `source_reset`.
    pub reason: String,
    /// When the gap was found, UTC.
    pub noted_at: String,
}

impl Lake {
    /// Reads the figures from the catalog.
    ///
    /// # Errors
    /// [`CatalogError::Sql`]; [`CatalogError::File`] where the files aside cannot be listed.
    pub async fn info(&self) -> Result<LakeInfo, CatalogError> {
        let last = sqlx::query("SELECT snapshot_id, CAST(snapshot_time AS TEXT) FROM ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1")
            .fetch_one(&self.pool)
            .await?;
        let totals = |table: Table| {
            sqlx::query_as::<_, (i64, i64, i64)>(
                "SELECT count(*), CAST(coalesce(sum(record_count), 0) AS BIGINT), CAST(coalesce(sum(file_size_bytes), 0) AS BIGINT) FROM ducklake_data_file WHERE end_snapshot IS NULL AND table_id = $1",
            )
            .bind(table.id())
            .fetch_one(&self.pool)
        };
        let (event_files, events, event_bytes) = totals(Table::Events).await?;
        let (quarantine_files, quarantined, quarantine_bytes) = totals(Table::Quarantine).await?;
        let (copy_files, copies, copy_bytes) = totals(Table::EventCopies).await?;
        let days = sqlx::query_as::<_, (String, i64, i64, i64)>(
            "SELECT p.partition_value, count(*), CAST(sum(f.record_count) AS BIGINT), CAST(sum(f.file_size_bytes) AS BIGINT) FROM ducklake_data_file f \
             JOIN ducklake_file_partition_value p ON p.data_file_id = f.data_file_id \
             WHERE f.end_snapshot IS NULL AND f.table_id = $1 GROUP BY 1 ORDER BY 1",
        )
        .bind(Table::Events.id())
        .fetch_all(&self.pool)
        .await?;
        let days = days.into_iter().map(|(day, files, rows, bytes)| DayInfo {
            day,
            files: count(files),
            rows: count(rows),
            bytes: count(bytes),
        });
        let sources = self.sources().await?;
        let mut ledger = Ledger::default();
        for source in &sources {
            ledger += source.ledger;
        }
        Ok(LakeInfo {
            folder: self.folder().display().to_string(),
            snapshot: last.try_get(0)?,
            snapshot_time: last.try_get(1)?,
            events: count(events),
            quarantined: count(quarantined),
            copies: count(copies),
            files: count(event_files + quarantine_files + copy_files),
            bytes: count(event_bytes + quarantine_bytes + copy_bytes),
            days: days.collect(),
            sources,
            gaps: self.gaps().await?,
            ledger,
            aside: self.aside()?,
        })
    }

    /// Records that can no longer be read, oldest gap first.
    ///
    /// # Errors
    /// [`CatalogError::Sql`].
    pub async fn gaps(&self) -> Result<Vec<GapInfo>, CatalogError> {
        let rows = sqlx::query_as::<_, (String, String, i64, i64, String, String)>(
            "SELECT source, object, from_record, to_record, reason, noted_at FROM trailhound_gap ORDER BY snapshot_id, object",
        )
        .fetch_all(&self.pool)
        .await?;
        let gap = |(source, object, from, to, reason, noted_at)| GapInfo {
            source,
            object,
            from,
            to,
            reason,
            noted_at,
        };
        Ok(rows.into_iter().map(gap).collect())
    }

    pub(crate) async fn sources(&self) -> Result<Vec<SourceInfo>, CatalogError> {
        let rows = sqlx::query_as::<_, (String, i64, i64, i64, i64, i64)>(
            "SELECT source, CAST(sum(received) AS BIGINT), CAST(sum(stored) AS BIGINT), CAST(sum(duplicate) AS BIGINT), CAST(sum(quarantined) AS BIGINT), CAST(sum(expired) AS BIGINT) FROM trailhound_ingest_ledger GROUP BY 1 ORDER BY 1",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut surveys = self.surveys().await?;
        for (source, seen) in &mut surveys {
            // What the last look saw as unread may be in the lake by now.
            for root in seen.survey.roots.clone() {
                if !seen.survey.reads_nothing() {
                    break;
                }
                seen.survey.is_read = self.has_events_of(source, &root).await?;
            }
        }
        let mut sources = Vec::new();
        for (source, received, stored, duplicate, quarantined, expired) in rows {
            let (done, open, noted): (i64, i64, i64) = sqlx::query_as(
                "SELECT count(*) FILTER (WHERE done <> 0), count(*) FILTER (WHERE done = 0), count(*) FILTER (WHERE notes <> '') FROM trailhound_position WHERE source = $1",
            )
            .bind(&source)
            .fetch_one(&self.pool)
            .await?;
            sources.push(SourceInfo {
                survey: surveys.remove(&source),
                source,
                objects_done: count(done),
                objects_open: count(open),
                objects_noted: count(noted),
                ledger: Ledger {
                    received: count(received),
                    stored: count(stored),
                    duplicate: count(duplicate),
                    quarantined: count(quarantined),
                    expired: count(expired),
                },
            });
        }
        // A source of which nothing was read has no row in the ledger.
        sources.extend(surveys.into_iter().map(|(source, survey)| SourceInfo {
            source,
            objects_done: 0,
            objects_open: 0,
            objects_noted: 0,
            ledger: Ledger::default(),
            survey: Some(survey),
        }));
        sources.sort_by(|a, b| a.source.cmp(&b.source));
        Ok(sources)
    }
}

fn count(n: i64) -> u64 {
    n.unsigned_abs()
}
