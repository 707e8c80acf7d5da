//! Verification of a lake: every file is there and unchanged, the ledger adds up, no event is stored twice.

use super::catalog::Lake;
use super::error::CatalogError;
use super::stored_keys::{StoredKey, read_keys};
use super::table::Table;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use trailhound_datasets::layout::CatalogLocation;
use xxhash_rust::xxh3::Xxh3;

/// Keys held in memory at once while looking for duplicates; a larger lake is read in several passes.
const KEYS_A_PASS: u64 = 8 << 20;

/// A fault of a lake.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum LakeProblem {
    /// The catalog database is damaged or contradicts itself.
    Catalog {
        /// What is wrong.
        found: String,
    },
    /// A file is missing or unreadable.
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// The ledger's counts do not add up.
    Ledger {
        /// Which counts.
        found: String,
    },
    /// An event is stored more than once.
    DoubleKey {
        /// The key, in hex.
        event_key: String,
    },
    /// A row of `event_copies` whose event is not stored, or that occurs twice.
    Copy {
        /// The key, in hex.
        event_key: String,
        /// The source that delivered the event again.
        source: String,
    },
    /// Events that this version decodes otherwise than they are stored.
    HalfUnderstood {
        /// Their number.
        rows: u64,
        /// Source object and position of some of them.
        examples: Vec<String>,
    },
}

impl fmt::Display for LakeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Catalog { found } => write!(f, "catalog: {found}"),
            Self::File { path, found } => write!(f, "file `{}`: {found}", path.display()),
            Self::Ledger { found } => write!(f, "ledger: {found}"),
            Self::DoubleKey { event_key } => {
                write!(f, "event {event_key} is stored more than once")
            }
            Self::Copy { event_key, source } => {
                write!(
                    f,
                    "the copy of {event_key} by `{source}` is noted twice or of an event that is not stored"
                )
            }
            Self::HalfUnderstood { rows, examples } => {
                write!(
                    f,
                    "{rows} events are stored as an older version half understood them, such as {}; run `trailhound lake reread`",
                    examples.join(", ")
                )
            }
        }
    }
}

/// Result of a verification.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LakeVerification {
    /// Files read in full.
    pub files: u64,
    /// Rows of these files by the catalog.
    pub rows: u64,
    /// Files in the lake's folder that no commit refers to; harmless, the next ingest removes them.
    pub unreferenced_files: u64,
    /// Faults; empty for a sound lake.
    pub problems: Vec<LakeProblem>,
}

impl Lake {
    /// Checks everything that can be checked without the sources.
    ///
    /// # Errors
    /// [`CatalogError`] where checking itself fails; what is wrong with the lake is in [`LakeVerification::problems`].
    pub async fn verify(&self) -> Result<LakeVerification, CatalogError> {
        let mut verification = LakeVerification::default();
        if let CatalogLocation::Sqlite(_) = self.location() {
            let integrity: String =
                sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&self.pool).await?;
            if integrity != "ok" {
                verification.problems.push(LakeProblem::Catalog { found: integrity });
            }
        }
        self.verify_snapshots(&mut verification).await?;
        self.verify_files(&mut verification).await?;
        self.verify_ledger(&mut verification).await?;
        self.verify_keys(&mut verification).await?;
        Ok(verification)
    }

    async fn verify_snapshots(
        &self,
        verification: &mut LakeVerification,
    ) -> Result<(), CatalogError> {
        let (count, last): (i64, i64) =
            sqlx::query_as("SELECT count(*), max(snapshot_id) FROM ducklake_snapshot")
                .fetch_one(&self.pool)
                .await?;
        let stray: i64 =
            sqlx::query_scalar("SELECT count(*) FROM ducklake_data_file WHERE begin_snapshot > $1")
                .bind(last)
                .fetch_one(&self.pool)
                .await?;
        let unexplained: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM ducklake_snapshot WHERE snapshot_id NOT IN (SELECT snapshot_id FROM ducklake_snapshot_changes)",
        )
        .fetch_one(&self.pool)
        .await?;
        if count == 0 || stray != 0 || unexplained != 0 {
            let found = format!(
                "{count} snapshots, {stray} files newer than the last, {unexplained} snapshots without changes"
            );
            verification.problems.push(LakeProblem::Catalog { found });
        }
        Ok(())
    }

    async fn verify_files(&self, verification: &mut LakeVerification) -> Result<(), CatalogError> {
        let rows = sqlx::query_as::<_, (i64, String, i64, i64, Option<String>)>(
            "SELECT f.table_id, f.path, f.file_size_bytes, f.record_count, c.xxh3 FROM ducklake_data_file f \
             LEFT JOIN trailhound_file_checksum c ON c.data_file_id = f.data_file_id WHERE f.end_snapshot IS NULL",
        )
        .fetch_all(&self.pool)
        .await?;
        for (table, path, bytes, records, checksum) in rows {
            let Some(table) = Table::of(table) else { continue };
            let path = self.table_folder(table).join(path);
            verification.files += 1;
            verification.rows += records.unsigned_abs();
            let found = match digest(&path) {
                Ok((have, _)) if have != bytes.unsigned_abs() => {
                    Some(format!("{have} bytes, expected {bytes}"))
                }
                Ok((_, have)) if checksum.as_deref().is_some_and(|want| want != have) => {
                    Some(format!("checksum {have}, expected {}", checksum.unwrap_or_default()))
                }
                Ok(_) => None,
                Err(e) => Some(e.to_string()),
            };
            if let Some(found) = found {
                verification.problems.push(LakeProblem::File { path, found });
            }
        }
        let known = self.known_paths().await?;
        for entry in self.table_folders().flat_map(walkdir::WalkDir::new) {
            match entry {
                Ok(entry) if entry.file_type().is_file() && !known.contains(entry.path()) => {
                    verification.unreferenced_files += 1
                }
                Ok(_) => {}
                Err(e) => {
                    let path = e.path().unwrap_or(self.folder()).to_owned();
                    verification.problems.push(LakeProblem::File { path, found: e.to_string() });
                }
            }
        }
        Ok(())
    }

    async fn verify_ledger(&self, verification: &mut LakeVerification) -> Result<(), CatalogError> {
        let info = self.info().await?;
        if !info.ledger.is_exact() {
            verification.problems.push(LakeProblem::Ledger {
                found: format!("received is not the sum of the rest: {:?}", info.ledger),
            });
        }
        for (what, counted, held) in [
            ("stored", info.ledger.stored, info.events),
            ("quarantined", info.ledger.quarantined, info.quarantined),
        ] {
            if counted != held {
                verification.problems.push(LakeProblem::Ledger {
                    found: format!("{what} {counted}, but the table holds {held} rows"),
                });
            }
        }
        let recorded = sqlx::query_as::<_, (i64, i64, i64, i64, i64)>(
            "SELECT s.table_id, s.record_count, s.file_size_bytes, CAST(coalesce(sum(f.record_count), 0) AS BIGINT), CAST(coalesce(sum(f.file_size_bytes), 0) AS BIGINT) \
             FROM ducklake_table_stats s LEFT JOIN ducklake_data_file f ON f.table_id = s.table_id AND f.end_snapshot IS NULL GROUP BY 1, 2, 3",
        )
        .fetch_all(&self.pool)
        .await?;
        for (table, rows, bytes, rows_held, bytes_held) in recorded {
            if (rows, bytes) != (rows_held, bytes_held) {
                let found = format!(
                    "table {table} is recorded with {rows} rows in {bytes} bytes and holds {rows_held} in {bytes_held}"
                );
                verification.problems.push(LakeProblem::Catalog { found });
            }
        }
        Ok(())
    }

    /// Looks for keys that are stored twice. Each pass checks a part of the keys, chosen by their
    /// first byte.
    async fn verify_keys(&self, verification: &mut LakeVerification) -> Result<(), CatalogError> {
        let passes = (verification.rows / KEYS_A_PASS + 1).next_power_of_two().min(256);
        for pass in 0..passes {
            let is_now = |key: &[u8; 16]| u64::from(key[0]) % passes == pass;
            let mut events = HashSet::new();
            self.each_key(Table::Events, verification, |row, problems| {
                if is_now(&row.key) && !events.insert(row.key) {
                    problems.push(LakeProblem::DoubleKey { event_key: hex(&row.key) });
                }
            })
            .await?;
            let (mut copies, mut sources) = (HashSet::new(), Vec::new());
            self.each_key(Table::EventCopies, verification, |row, problems| {
                let source =
                    sources.iter().position(|source| source == row.source).unwrap_or_else(|| {
                        sources.push(row.source.to_owned());
                        sources.len() - 1
                    });
                if is_now(&row.key)
                    && (!events.contains(&row.key) || !copies.insert((row.key, source)))
                {
                    problems.push(LakeProblem::Copy {
                        event_key: hex(&row.key),
                        source: row.source.to_owned(),
                    });
                }
            })
            .await?;
            let mut rejects = HashSet::new();
            self.each_key(Table::Quarantine, verification, |row, problems| {
                if is_now(&row.key) && !rejects.insert(row.key) {
                    problems.push(LakeProblem::DoubleKey { event_key: hex(&row.key) });
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Calls `each` with the key of every row of `table`; a file that is missing is reported elsewhere.
    async fn each_key(
        &self,
        table: Table,
        verification: &mut LakeVerification,
        mut each: impl FnMut(StoredKey<'_>, &mut Vec<LakeProblem>),
    ) -> Result<(), CatalogError> {
        for path in self.live_paths(table).await?.into_iter().filter(|path| path.exists()) {
            if let Err(e) =
                read_keys(&path, table, None, |row| each(row, &mut verification.problems))
            {
                verification.problems.push(LakeProblem::File { path, found: e.to_string() });
            }
        }
        Ok(())
    }
}

fn digest(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, format!("{:032x}", hash.digest128()))),
            count => {
                hash.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
