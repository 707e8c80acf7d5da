//! A commit of ingest: one transaction that makes a batch part of the lake.
//!
//! A commit contains the new files, the position up to which each source object is stored, and the
//! counts of records. The commit is atomic. So after a crash, reading continues from the positions
//! in the lake, and no record is lost or stored twice.
//!
//! Example: a topic partition is stored before record 500. A batch reads records 500 to 799: 290
//! new events, in one file, and 10 duplicates. The commit adds a snapshot with that file, moves the
//! position of the partition from 500 to 800, and adds a ledger row:
//! `received 300 = stored 290 + duplicate 10`.
//!
//! A commit can fail because another process has changed the lake:
//!
//! - The other process has moved the position to 600. The transaction is rolled back with
//!   [`CatalogError::Conflict`], the file is swept, and the reader starts again from 600.
//! - The other process has added events since the batch was deduplicated. The commit fails with
//!   [`CatalogError::Behind`], and the batch is deduplicated against those events first.
//! - The other process is of another version and has migrated the lake. The commit is refused with
//!   [`CatalogError::VersionMismatch`].

use super::catalog::Lake;
use super::ducklake::execute;
use super::error::CatalogError;
use super::files::NewFile;
use super::instant::time_text;
use super::table::Table;
use crate::ledger::Ledger;
use serde::Serialize;
use serde_json::json;
use sqlx::{AnyConnection, Row};
use std::collections::{BTreeMap, HashMap};

/// Progress of one source object: the point up to which its records are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// File, object key or topic partition.
    pub object: String,
    /// Version of the content under that name: the content version of a stored object, the epoch of
    /// a topic partition. If the version changes, the object is read again from its start.
    pub source_version: String,
    /// For a file or stored object, the number of records read. For a topic partition, the offset
    /// of the next record to read.
    pub records: u64,
    /// True if the object was read to its end.
    pub done: bool,
    /// Irregularities of the object, separated by `;`.
    pub notes: String,
}

/// A range of records that can no longer be read, because the broker has deleted them or the topic
/// was deleted and recreated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// File, object key or topic partition.
    pub object: String,
    /// Number of the first missing record.
    pub from: u64,
    /// Number of the first record after the gap. Equal to `from` if the size of the gap is unknown.
    pub to: u64,
    /// Reason code: `ingest_gap` or `source_reset`.
    pub reason: &'static str,
}

/// Files and source positions that become visible together.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    pub(crate) files: Vec<NewFile>,
    pub(crate) sources: Vec<SourceCommit>,
}

/// Positions, gaps and counts of one source in a commit.
#[derive(Debug, Default)]
pub(crate) struct SourceCommit {
    pub(crate) source: String,
    /// New positions. The number beside each is [`Position::records`] of the stored position that
    /// it replaces; `None` if the object is new or has a new version. The commit fails if the
    /// stored position differs.
    pub(crate) positions: Vec<(Position, Option<u64>)>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) ledger: Ledger,
}

impl Commit {
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.sources.iter().all(SourceCommit::is_empty)
    }
}

impl SourceCommit {
    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.gaps.is_empty() && self.ledger.is_empty()
    }
}

impl Lake {
    /// Commits `commit` and returns the id of the new snapshot. `seen` is the snapshot up to which
    /// the records were deduplicated against those of other writers; `None` if there are no other
    /// writers.
    ///
    /// # Errors
    /// [`CatalogError`]. The transaction is rolled back.
    pub(crate) async fn commit(
        &self,
        commit: &Commit,
        seen: Option<i64>,
        now: i64,
    ) -> Result<i64, CatalogError> {
        let mut connection = self.writer_pool.acquire().await?;
        let mut transaction = self.begin(&mut connection).await?;
        if let Some(seen) = seen {
            check_no_new_rows(&mut transaction, seen).await?;
        }
        let (snapshot, next_file) =
            next_snapshot(&mut transaction, commit.files.len(), now).await?;
        let touched: Vec<String> = Table::ALL
            .into_iter()
            .filter(|&table| commit.files.iter().any(|file| file.table == table))
            .map(|table| format!("inserted_into_table:{}", table.id()))
            .collect();
        sqlx::query("INSERT INTO ducklake_snapshot_changes VALUES ($1, $2, 'trailhound', $3, $4)")
            .bind(snapshot)
            .bind(touched.join(","))
            .bind(format!(
                "ingest from {}",
                commit
                    .sources
                    .iter()
                    .map(|part| part.source.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            ))
            .bind(
                json!(
                    commit
                        .sources
                        .iter()
                        .map(|part| (part.source.as_str(), part.ledger))
                        .collect::<BTreeMap<_, _>>()
                )
                .to_string(),
            )
            .execute(&mut *transaction)
            .await?;
        for (index, file) in commit.files.iter().enumerate() {
            add_file(&mut transaction, snapshot, next_file + index as i64, file, RowOrigin::New)
                .await?;
        }
        for part in &commit.sources {
            add_source(&mut transaction, snapshot, part, now).await?;
        }
        transaction.commit().await?;
        drop(connection);
        self.record_head().await;
        Ok(snapshot)
    }

    /// Returns a map from object to source version, for all completely stored objects of `source`
    /// below `folder`.
    pub(crate) async fn source_versions(
        &self,
        source: &str,
        folder: &str,
    ) -> Result<HashMap<String, String>, CatalogError> {
        let (first, after) = below(folder);
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT object, source_version FROM trailhound_position WHERE source = $1 AND done <> 0 AND object >= $2 AND object < $3",
        )
        .bind(source)
        .bind(first)
        .bind(after)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().collect())
    }

    /// Returns the stored position of `object` in `source`; `None` if the object is not stored.
    pub(crate) async fn position(
        &self,
        source: &str,
        object: &str,
    ) -> Result<Option<Position>, CatalogError> {
        let row = sqlx::query("SELECT source_version, records, done, notes FROM trailhound_position WHERE source = $1 AND object = $2")
            .bind(source)
            .bind(object)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| {
            Ok(Position {
                object: object.to_owned(),
                source_version: row.try_get(0)?,
                records: row.try_get::<i64, _>(1)?.unsigned_abs(),
                done: row.try_get::<i64, _>(2)? != 0,
                notes: row.try_get(3)?,
            })
        })
        .transpose()
    }
}

/// The first name of an object below `folder`, and the first name after those. A range instead of `LIKE`, because folder
/// names may contain wildcard characters.
pub(super) fn below(folder: &str) -> (String, String) {
    if folder.is_empty() {
        (String::new(), char::MAX.to_string())
    } else {
        // `0` is the character after `/`.
        (format!("{folder}/"), format!("{folder}0"))
    }
}

/// Returns [`CatalogError::Behind`] if another writer has added rows after snapshot `seen`. Files
/// written by compaction are ignored, because they contain no new rows.
async fn check_no_new_rows(db: &mut AnyConnection, seen: i64) -> Result<(), CatalogError> {
    let snapshot: Option<i64> = sqlx::query_scalar(
        "SELECT max(f.begin_snapshot) FROM ducklake_data_file f LEFT JOIN ducklake_snapshot_changes c ON c.snapshot_id = f.begin_snapshot \
         WHERE f.begin_snapshot > $1 AND coalesce(c.changes_made, '') NOT LIKE 'compacted_table%'",
    )
    .bind(seen)
    .fetch_one(&mut *db)
    .await?;
    snapshot.map_or(Ok(()), |snapshot| Err(CatalogError::Behind { snapshot }))
}

/// Adds the next snapshot, with the time `now`, and reserves ids for `files` new files. Returns the
/// snapshot id and the first file id.
pub(super) async fn next_snapshot(
    db: &mut AnyConnection,
    files: usize,
    now: i64,
) -> Result<(i64, i64), CatalogError> {
    let last = sqlx::query(
        "SELECT snapshot_id, schema_version, next_catalog_id, next_file_id FROM ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1",
    )
    .fetch_one(&mut *db)
    .await?;
    let (snapshot, next_file) = (last.try_get::<i64, _>(0)? + 1, last.try_get::<i64, _>(3)?);
    let (schema, next_id): (i64, i64) = (last.try_get(1)?, last.try_get(2)?);
    let (time, next_file_after) = (time_text(now), next_file + files as i64);
    execute(db, format!("INSERT INTO ducklake_snapshot VALUES ({snapshot}, '{time}', {schema}, {next_id}, {next_file_after})")).await?;
    Ok((snapshot, next_file))
}

async fn add_source(
    db: &mut AnyConnection,
    snapshot: i64,
    part: &SourceCommit,
    now: i64,
) -> Result<(), CatalogError> {
    for (position, expected_records) in &part.positions {
        move_position(db, snapshot, &part.source, position, *expected_records).await?;
    }
    for gap in &part.gaps {
        sqlx::query("INSERT INTO trailhound_gap VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(snapshot)
            .bind(&part.source)
            .bind(&gap.object)
            .bind(gap.from as i64)
            .bind(gap.to as i64)
            .bind(gap.reason)
            .bind(time_text(now))
            .execute(&mut *db)
            .await?;
    }
    let ledger = &part.ledger;
    sqlx::query("INSERT INTO trailhound_ingest_ledger VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(snapshot)
        .bind(&part.source)
        .bind(ledger.received as i64)
        .bind(ledger.stored as i64)
        .bind(ledger.duplicate as i64)
        .bind(ledger.quarantined as i64)
        .bind(ledger.expired as i64)
        .execute(&mut *db)
        .await?;
    Ok(())
}

/// Origin of the rows in an added file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowOrigin {
    /// The rows are new in the lake.
    New,
    /// The rows come from files that the added file replaces. `rows` and `bytes` are the totals of
    /// the replaced files.
    Merged { rows: i64, bytes: i64 },
}

/// Adds `file` to `snapshot` under the file id `id`, with its column statistics, and updates the
/// totals of the table.
pub(super) async fn add_file(
    db: &mut AnyConnection,
    snapshot: i64,
    id: i64,
    file: &NewFile,
    origin: RowOrigin,
) -> Result<(), CatalogError> {
    let first_row: i64 =
        sqlx::query_scalar("SELECT next_row_id FROM ducklake_table_stats WHERE table_id = $1")
            .bind(file.table.id())
            .fetch_one(&mut *db)
            .await?;
    sqlx::query(
        "INSERT INTO ducklake_data_file VALUES ($1, $2, $3, NULL, NULL, $4, TRUE, 'parquet', $5, $6, $7, $8, $9, NULL, NULL, NULL)",
    )
    .bind(id)
    .bind(file.table.id())
    .bind(snapshot)
    .bind(&file.path)
    .bind(file.rows as i64)
    .bind(file.bytes as i64)
    .bind(file.footer_bytes as i64)
    .bind(first_row)
    .bind(file.table.partition_id())
    .execute(&mut *db)
    .await?;
    sqlx::query("INSERT INTO ducklake_file_partition_value VALUES ($1, $2, 0, $3)")
        .bind(id)
        .bind(file.table.id())
        .bind(&file.day)
        .execute(&mut *db)
        .await?;
    sqlx::query("INSERT INTO trailhound_file_checksum VALUES ($1, $2)")
        .bind(id)
        .bind(&file.checksum)
        .execute(&mut *db)
        .await?;
    let (replaced_rows, replaced_bytes) = match origin {
        RowOrigin::New => (0, 0),
        RowOrigin::Merged { rows, bytes } => (rows, bytes),
    };
    sqlx::query("UPDATE ducklake_table_stats SET record_count = record_count + $1, next_row_id = next_row_id + $2, file_size_bytes = file_size_bytes + $3 WHERE table_id = $4")
        .bind(file.rows as i64 - replaced_rows)
        .bind(file.rows as i64)
        .bind(file.bytes as i64 - replaced_bytes)
        .bind(file.table.id())
        .execute(&mut *db)
        .await?;
    for (column, range) in &file.ranges {
        sqlx::query("INSERT INTO ducklake_file_column_stats VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, NULL)")
            .bind(id)
            .bind(file.table.id())
            .bind(column)
            .bind(range.bytes)
            .bind(file.rows as i64 - range.nulls)
            .bind(range.nulls)
            .bind(&range.min)
            .bind(&range.max)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// Replaces a stored position by compare-and-swap. Returns [`CatalogError::Conflict`] if the stored
/// number of records is not `expected_records`.
async fn move_position(
    db: &mut AnyConnection,
    snapshot: i64,
    source: &str,
    position: &Position,
    expected_records: Option<u64>,
) -> Result<(), CatalogError> {
    let current: Option<(String, i64)> = sqlx::query_as(
        "SELECT source_version, records FROM trailhound_position WHERE source = $1 AND object = $2",
    )
    .bind(source)
    .bind(&position.object)
    .fetch_optional(&mut *db)
    .await?;
    let current = current
        .filter(|(source_version, _)| *source_version == position.source_version)
        .map(|(_, records)| records.unsigned_abs());
    if current != expected_records {
        return Err(CatalogError::Conflict {
            what: format!(
                "the position of `{}` is {current:?} and not {expected_records:?}",
                position.object
            ),
        });
    }
    sqlx::query("INSERT INTO trailhound_position VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (source, object) DO UPDATE SET source_version = excluded.source_version, records = excluded.records, done = excluded.done, notes = excluded.notes, snapshot_id = excluded.snapshot_id")
        .bind(source)
        .bind(&position.object)
        .bind(&position.source_version)
        .bind(position.records as i64)
        .bind(i64::from(position.done))
        .bind(&position.notes)
        .bind(snapshot)
        .execute(&mut *db)
        .await?;
    Ok(())
}
