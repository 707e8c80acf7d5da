//! T1: the one transaction that makes a batch part of the lake.

use super::catalog::{CatalogError, Lake, execute};
use super::files::NewFile;
use super::table::Table;
use crate::ledger::Ledger;
use chrono::DateTime;
use serde::Serialize;
use serde_json::json;
use sqlx::{AnyConnection, Row};
use std::collections::{BTreeMap, HashMap};

/// How far an object is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// File, object key or topic partition.
    pub object: String,
    /// Which content stood under that name: a rewritten object is read anew.
    pub source_version: String,
    /// Records taken so far.
    pub records: u64,
    /// Nothing more is to come.
    pub done: bool,
    /// What was odd about the object, separated by `;`.
    pub notes: String,
}

/// Records that can no longer be read: dropped by the broker, or gone with a topic that was made anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// File, object key or topic partition.
    pub object: String,
    /// The first record missing.
    pub from: u64,
    /// The first record after them; equal to `from` where nobody knows how many there were.
    pub to: u64,
    /// `ingest_gap` or `source_reset`.
    pub reason: &'static str,
}

/// Everything one commit makes visible.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    pub(crate) files: Vec<NewFile>,
    pub(crate) sources: Vec<SourceCommit>,
}

/// What one commit says of one source.
#[derive(Debug, Default)]
pub(crate) struct SourceCommit {
    pub(crate) source: String,
    /// Each with the position it must replace: `None` where the object is new or rewritten.
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

/// An instant as DuckLake writes it: `2026-11-23 15:43:57.201073+00`.
pub(crate) fn time_text(micros: i64) -> String {
    match DateTime::from_timestamp_micros(micros) {
        Some(time) if time.timestamp_subsec_micros() == 0 => {
            time.format("%Y-%m-%d %H:%M:%S+00").to_string()
        }
        Some(time) => time.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string(),
        None => String::new(),
    }
}

/// The instant that [`time_text`] wrote, microseconds UTC.
pub(crate) fn parse_time_text(text: &str) -> Option<i64> {
    DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z")
        .ok()
        .map(|time| time.timestamp_micros())
}

impl Lake {
    /// Commits `commit`: files, positions and ledger become visible together or not at all. Returns the new snapshot.
    /// `seen` is the snapshot up to which its records were compared with those of other writers, where there are others.
    pub(crate) async fn commit(
        &self,
        commit: &Commit,
        seen: Option<i64>,
        now: i64,
    ) -> Result<i64, CatalogError> {
        let mut connection = self.writer_pool.acquire().await?;
        let mut t1 = self.begin(&mut connection).await?;
        if let Some(seen) = seen {
            nothing_since(&mut t1, seen).await?;
        }
        let (snapshot, next_file) = next_snapshot(&mut t1, commit.files.len(), now).await?;
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
            .execute(&mut *t1)
            .await?;
        for (index, file) in commit.files.iter().enumerate() {
            add_file(&mut t1, snapshot, next_file + index as i64, file, Added::New).await?;
        }
        for part in &commit.sources {
            add_source(&mut t1, snapshot, part, now).await?;
        }
        t1.commit().await?;
        Ok(snapshot)
    }

    /// Content of every object of `source` below `folder` that is stored to its end, by object.
    pub(crate) async fn source_versions(
        &self,
        source: &str,
        folder: &str,
    ) -> Result<HashMap<String, String>, CatalogError> {
        // A range and no pattern: folders may hold what a pattern would take for a wildcard. `0` comes after `/`.
        let (first, after) = if folder.is_empty() {
            (String::new(), char::MAX.to_string())
        } else {
            (format!("{folder}/"), format!("{folder}0"))
        };
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT object, incarnation FROM trailhound_position WHERE source = $1 AND done <> 0 AND object >= $2 AND object < $3",
        )
        .bind(source)
        .bind(first)
        .bind(after)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().collect())
    }

    /// The position of `object`, if any.
    pub(crate) async fn position(
        &self,
        source: &str,
        object: &str,
    ) -> Result<Option<Position>, CatalogError> {
        let row = sqlx::query("SELECT incarnation, records, done, notes FROM trailhound_position WHERE source = $1 AND object = $2")
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

/// Refuses to go on where somebody has added rows after `seen`.
async fn nothing_since(db: &mut AnyConnection, seen: i64) -> Result<(), CatalogError> {
    let snapshot: Option<i64> = sqlx::query_scalar(
        "SELECT max(f.begin_snapshot) FROM ducklake_data_file f LEFT JOIN ducklake_snapshot_changes c ON c.snapshot_id = f.begin_snapshot \
         WHERE f.begin_snapshot > $1 AND coalesce(c.changes_made, '') NOT LIKE 'compacted_table%'",
    )
    .bind(seen)
    .fetch_one(&mut *db)
    .await?;
    snapshot.map_or(Ok(()), |snapshot| Err(CatalogError::Behind { snapshot }))
}

/// Adds the next snapshot, with room for `files` new files; gives its id and the first of theirs.
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
    for (position, replaces) in &part.positions {
        move_position(db, snapshot, &part.source, position, *replaces).await?;
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
    sqlx::query("INSERT INTO trailhound_ledger VALUES ($1, $2, $3, $4, $5, $6, $7)")
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

/// Whether a file brings rows or holds rows that were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    New,
    /// So many rows and bytes of files that it replaces.
    Again {
        rows: i64,
        bytes: i64,
    },
}

pub(super) async fn add_file(
    db: &mut AnyConnection,
    snapshot: i64,
    id: i64,
    file: &NewFile,
    added: Added,
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
    sqlx::query("INSERT INTO trailhound_file VALUES ($1, $2)")
        .bind(id)
        .bind(&file.checksum)
        .execute(&mut *db)
        .await?;
    let (rows_gone, bytes_gone) = match added {
        Added::New => (0, 0),
        Added::Again { rows, bytes } => (rows, bytes),
    };
    sqlx::query("UPDATE ducklake_table_stats SET record_count = record_count + $1, next_row_id = next_row_id + $2, file_size_bytes = file_size_bytes + $3 WHERE table_id = $4")
        .bind(file.rows as i64 - rows_gone)
        .bind(file.rows as i64)
        .bind(file.bytes as i64 - bytes_gone)
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
            .bind(&range.least)
            .bind(&range.greatest)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// Compare and swap: the position must still be the one this batch was read after.
async fn move_position(
    db: &mut AnyConnection,
    snapshot: i64,
    source: &str,
    position: &Position,
    replaces: Option<u64>,
) -> Result<(), CatalogError> {
    let current: Option<(String, i64)> = sqlx::query_as(
        "SELECT incarnation, records FROM trailhound_position WHERE source = $1 AND object = $2",
    )
    .bind(source)
    .bind(&position.object)
    .fetch_optional(&mut *db)
    .await?;
    let current = current
        .filter(|(version, _)| *version == position.source_version)
        .map(|(_, records)| records.unsigned_abs());
    if current != replaces {
        return Err(CatalogError::Conflict {
            what: format!(
                "the position of `{}` is {current:?} and not {replaces:?}",
                position.object
            ),
        });
    }
    sqlx::query("INSERT INTO trailhound_position VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (source, object) DO UPDATE SET incarnation = excluded.incarnation, records = excluded.records, done = excluded.done, notes = excluded.notes, snapshot_id = excluded.snapshot_id")
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
