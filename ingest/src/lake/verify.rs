//! Verification of a lake: every file is there and unchanged, what the catalog says of it follows from its rows, the ledger adds
//! up, no event is stored twice.

use super::catalog::Lake;
use super::checks::RecordedFile;
use super::error::CatalogError;
use super::files::ColumnRange;
use super::stored_keys::{StoredKey, read_keys};
use super::table::Table;
use super::verify_content::{CatalogedFile, RowTotals};
use crate::supervisor::run_blocking;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use trailhound_datasets::layout::CatalogLocation;

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
    /// Files in the lake's folder that no commit refers to; harmless, the next ingest moves them aside.
    pub unreferenced_files: u64,
    /// Faults; empty for a sound lake.
    pub problems: Vec<LakeProblem>,
}

/// The statistics of a column of a file as the catalog has them: file, column, bytes, values, nulls, smallest and largest value.
type RangeRow = (i64, i64, i64, i64, i64, Option<String>, Option<String>);

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
        verification.problems.extend(self.verify_books().await?);
        let totals = self.verify_files(&mut verification).await?;
        self.verify_ledger(&mut verification).await?;
        verification.problems.extend(self.verify_sources(&totals).await?);
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

    /// Reads every file and compares it with the checksum of its commit; of those that agree, the rows with what the catalog
    /// says of them.
    async fn verify_files(
        &self,
        verification: &mut LakeVerification,
    ) -> Result<RowTotals, CatalogError> {
        let mut totals = RowTotals::default();
        for (recorded, cataloged) in self.cataloged_files().await? {
            verification.files += 1;
            verification.rows += cataloged.rows;
            let lake = self.clone();
            let path = recorded.path.clone();
            let checked = run_blocking(move || {
                let found = differences(&lake, recorded, &cataloged, &mut totals);
                (found, totals)
            })
            .await;
            let found;
            (found, totals) = checked.map_err(|e| CatalogError::Conflict {
                what: format!("the verification of `{}` broke off: {e}", path.display()),
            })?;
            let problems = found.into_iter();
            verification
                .problems
                .extend(problems.map(|found| LakeProblem::File { path: path.clone(), found }));
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
        Ok(totals)
    }

    /// Every file of the newest snapshot with what the catalog says of it.
    async fn cataloged_files(&self) -> Result<Vec<(RecordedFile, CatalogedFile)>, CatalogError> {
        let ranges: Vec<RangeRow> = sqlx::query_as(
            "SELECT s.data_file_id, s.column_id, coalesce(s.column_size_bytes, 0), coalesce(s.value_count, 0), coalesce(s.null_count, 0), s.min_value, s.max_value \
             FROM ducklake_file_column_stats s JOIN ducklake_data_file f ON f.data_file_id = s.data_file_id WHERE f.end_snapshot IS NULL",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut ranges_of: BTreeMap<i64, BTreeMap<i64, (ColumnRange, i64)>> = BTreeMap::new();
        for (file, column, bytes, values, nulls, min, max) in ranges {
            let range = ColumnRange { bytes, nulls, min, max, ..ColumnRange::default() };
            ranges_of.entry(file).or_default().insert(column, (range, values));
        }
        let rows = sqlx::query_as::<_, (i64, i64, String, i64, i64, i64, Option<String>, Option<String>)>(
            "SELECT f.data_file_id, f.table_id, f.path, f.file_size_bytes, f.record_count, coalesce(f.footer_size, 0), p.partition_value, c.xxh3 FROM ducklake_data_file f \
             LEFT JOIN ducklake_file_partition_value p ON p.data_file_id = f.data_file_id \
             LEFT JOIN trailhound_file_checksum c ON c.data_file_id = f.data_file_id WHERE f.end_snapshot IS NULL ORDER BY f.data_file_id",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut files = Vec::new();
        for (id, table, path, bytes, rows, footer_bytes, day, checksum) in rows {
            let Some(table) = Table::of(table) else { continue };
            let recorded = RecordedFile::of(self, table, (path, bytes, checksum));
            let cataloged = CatalogedFile {
                table,
                path: recorded.path.clone(),
                rows: rows.unsigned_abs(),
                bytes: recorded.bytes,
                footer_bytes,
                day,
                ranges: ranges_of.remove(&id).unwrap_or_default(),
            };
            files.push((recorded, cataloged));
        }
        Ok(files)
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

    /// Calls `each` with the key of every row of `table` in files that are as they were committed.
    async fn each_key(
        &self,
        table: Table,
        verification: &mut LakeVerification,
        mut each: impl FnMut(StoredKey<'_>, &mut Vec<LakeProblem>),
    ) -> Result<(), CatalogError> {
        // A file that is missing or damaged is reported already.
        let paths = self.live_paths(table).await?.into_iter();
        for path in paths.filter(|path| self.is_checked(path)) {
            let problems = &mut verification.problems;
            let read =
                AssertUnwindSafe(|| read_keys(&path, table, None, |row| each(row, problems)));
            // What cannot be decoded is reported already, too.
            if let Ok(Err(error)) = catch_unwind(read) {
                verification.problems.push(LakeProblem::File { path, found: describe(&error) });
            }
        }
        Ok(())
    }
}

/// What is wrong with a file. The rows of a sound one are added to `totals`. Blocks.
fn differences(
    lake: &Lake,
    recorded: RecordedFile,
    cataloged: &CatalogedFile,
    totals: &mut RowTotals,
) -> Vec<String> {
    match recorded.find_damage() {
        Ok(None) if recorded.checksum.is_none() => {
            return vec![
                "the catalog has no checksum of it: another program has added it, or the checksum was removed"
                    .to_owned(),
            ];
        }
        Ok(None) => lake.mark_checked(recorded.path),
        Ok(Some(damage)) => return vec![damage.found],
        Err(error) => return vec![describe(&error)],
    }
    // The checksum may be that of a file that somebody has made: the library must not end the program over it.
    match catch_unwind(AssertUnwindSafe(|| cataloged.differences(totals))) {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => vec![describe(&error)],
        Err(_) => vec!["it cannot be decoded".to_owned()],
    }
}

/// The error with its causes.
fn describe(error: &CatalogError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
