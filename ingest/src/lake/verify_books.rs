//! Recomputes the catalog's own figures: columns, tables, commits, row ids, merges, ledger and positions. What a version of
//! this program never writes, such as deletions of rows, is a problem too.

use super::catalog::Lake;
use super::error::CatalogError;
use super::head::HeadState;
use super::table::Table;
use super::verify::LakeProblem;
use super::verify_content::RowTotals;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;
use trailhound_datasets::columns::CatalogColumn;

/// Tables of DuckLake in which a row would change what readers see of the lake's tables, and that this program leaves empty.
const EMPTY_TABLES: [&str; 4] = [
    "ducklake_delete_file",
    "ducklake_inlined_data_tables",
    "ducklake_column_mapping",
    "ducklake_name_mapping",
];

impl Lake {
    /// Problems of the catalog's figures.
    pub(super) async fn verify_books(&self) -> Result<Vec<LakeProblem>, CatalogError> {
        let mut found = Vec::new();
        if let HeadState::Differs(how) = self.head_state().await? {
            found.push(format!("it is not the one that was last written: {how}"));
        }
        for table in EMPTY_TABLES {
            let count = format!("SELECT count(*) FROM {table}");
            let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&self.pool).await?;
            if rows > 0 {
                found.push(format!("{table} holds {rows} rows, which trailhound never writes"));
            }
        }
        self.verify_columns(&mut found).await?;
        self.verify_row_ids(&mut found).await?;
        self.verify_commits(&mut found).await?;
        Ok(found.into_iter().map(|found| LakeProblem::Catalog { found }).collect())
    }

    /// The columns of each table are those of this version.
    async fn verify_columns(&self, found: &mut Vec<String>) -> Result<(), CatalogError> {
        for table in Table::ALL {
            let columns: Vec<(i64, String, String, Option<i64>)> = sqlx::query_as(
                "SELECT column_id, column_name, column_type, parent_column FROM ducklake_column WHERE table_id = $1 AND end_snapshot IS NULL ORDER BY column_id",
            )
            .bind(table.id())
            .fetch_all(&self.pool)
            .await?;
            let expected = |column: &CatalogColumn| {
                (column.id, column.name.clone(), column.lake_type.to_owned(), column.parent)
            };
            let mut expected: Vec<_> =
                table.schema().catalog_columns.iter().map(expected).collect();
            expected.sort();
            let differs = columns.iter().zip(&expected).find(|(have, want)| have != want);
            if let Some((have, want)) = differs {
                found.push(format!(
                    "column {} of table {} is `{}` {}, expected `{}` {}",
                    have.0,
                    table.name(),
                    have.1,
                    have.2,
                    want.1,
                    want.2
                ));
            } else if columns.len() != expected.len() {
                found.push(format!(
                    "table {} has {} columns, expected {}",
                    table.name(),
                    columns.len(),
                    expected.len()
                ));
            }
            let named: Vec<(String, String)> = sqlx::query_as(
                "SELECT table_name, path FROM ducklake_table WHERE table_id = $1 AND end_snapshot IS NULL",
            )
            .bind(table.id())
            .fetch_all(&self.pool)
            .await?;
            if named != [(table.name().to_owned(), format!("{}/", table.folder()))] {
                found.push(format!("table {} is `{named:?}`", table.name()));
            }
        }
        Ok(())
    }

    /// The row ids of a table's files do not overlap, and the next one is beyond them.
    async fn verify_row_ids(&self, found: &mut Vec<String>) -> Result<(), CatalogError> {
        let files: Vec<(i64, i64, i64)> = sqlx::query_as(
            "SELECT table_id, coalesce(row_id_start, 0), record_count FROM ducklake_data_file ORDER BY table_id, row_id_start, record_count",
        )
        .fetch_all(&self.pool)
        .await?;
        let next: Vec<(i64, i64)> =
            sqlx::query_as("SELECT table_id, next_row_id FROM ducklake_table_stats")
                .fetch_all(&self.pool)
                .await?;
        let mut ends: BTreeMap<i64, i64> = BTreeMap::new();
        for (table, start, rows) in files {
            if Table::of(table).is_none() || rows == 0 {
                continue;
            }
            let end = ends.entry(table).or_insert(0);
            if start < *end {
                found.push(format!("rows of table {table} from {start} on have an id twice"));
            }
            *end = start.saturating_add(rows);
        }
        for (table, next) in next {
            let end = ends.get(&table).copied().unwrap_or(0);
            if next < end {
                found.push(format!(
                    "the next row id of table {table} is {next}, and {end} is taken"
                ));
            }
        }
        Ok(())
    }

    /// Each commit of ingest has the ledger that it recorded, and files with as many rows; each merge keeps the number of rows.
    async fn verify_commits(&self, found: &mut Vec<String>) -> Result<(), CatalogError> {
        let commits: Vec<(i64, String, Option<String>)> = sqlx::query_as(
            "SELECT snapshot_id, coalesce(commit_message, ''), commit_extra_info FROM ducklake_snapshot_changes \
             WHERE snapshot_id > (SELECT min(snapshot_id) FROM ducklake_snapshot) ORDER BY snapshot_id",
        )
        .fetch_all(&self.pool)
        .await?;
        let ledger = self.ledger_by_snapshot().await?;
        let begun = self.rows_by_snapshot("begin_snapshot").await?;
        let ended = self.rows_by_snapshot("end_snapshot").await?;
        let rows = |of: &BTreeMap<(i64, i64), i64>, snapshot, table: Table| {
            of.get(&(snapshot, table.id())).copied().unwrap_or(0)
        };
        for (snapshot, message, extra) in commits {
            if message == "compaction" {
                for table in Table::ALL {
                    let (before, after) =
                        (rows(&ended, snapshot, table), rows(&begun, snapshot, table));
                    if before != after {
                        found.push(format!(
                            "the merge of snapshot {snapshot} made {after} rows of {before} in {}",
                            table.name()
                        ));
                    }
                }
            }
            let Some(extra) = extra else { continue };
            let Some(recorded) = recorded_ledger(&extra) else {
                found.push(format!("what the commit of snapshot {snapshot} recorded is no ledger"));
                continue;
            };
            let counted = ledger.get(&snapshot).cloned().unwrap_or_default();
            if recorded != counted {
                found.push(format!(
                    "the ledger of snapshot {snapshot} is not what its commit recorded"
                ));
            }
            for (table, at) in [(Table::Events, 1), (Table::Quarantine, 3)] {
                let stored: i64 = recorded.values().map(|counts| counts[at]).sum();
                let held = rows(&begun, snapshot, table);
                if held != stored {
                    found.push(format!(
                        "snapshot {snapshot} recorded {stored} rows of {}, and its files hold {held}",
                        table.name()
                    ));
                }
            }
        }
        Ok(())
    }

    async fn ledger_by_snapshot(
        &self,
    ) -> Result<BTreeMap<i64, BTreeMap<String, [i64; 5]>>, CatalogError> {
        let rows: Vec<(i64, String, i64, i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT snapshot_id, source, received, stored, duplicate, quarantined, expired FROM trailhound_ingest_ledger",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut ledger: BTreeMap<i64, BTreeMap<String, [i64; 5]>> = BTreeMap::new();
        for (snapshot, source, received, stored, duplicate, quarantined, expired) in rows {
            let counts = [received, stored, duplicate, quarantined, expired];
            ledger.entry(snapshot).or_default().insert(source, counts);
        }
        Ok(ledger)
    }

    /// The rows of the files that a snapshot begins or ends, by snapshot and table.
    async fn rows_by_snapshot(
        &self,
        column: &'static str,
    ) -> Result<BTreeMap<(i64, i64), i64>, CatalogError> {
        let sum = format!(
            "SELECT {column}, table_id, CAST(sum(record_count) AS BIGINT) FROM ducklake_data_file WHERE {column} IS NOT NULL GROUP BY 1, 2"
        );
        let rows: Vec<(i64, i64, i64)> =
            sqlx::query_as(AssertSqlSafe(sum)).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(snapshot, table, rows)| ((snapshot, table), rows)).collect())
    }

    /// Problems of the ledger's counts by source, and of the positions.
    pub(super) async fn verify_sources(
        &self,
        totals: &RowTotals,
    ) -> Result<Vec<LakeProblem>, CatalogError> {
        let mut found = Vec::new();
        for source in self.sources().await? {
            for (table, counted) in [
                (Table::Events, source.ledger.stored),
                (Table::Quarantine, source.ledger.quarantined),
            ] {
                let held = totals.rows.get(&(table, source.source.clone())).copied().unwrap_or(0);
                if counted != held {
                    found.push(format!(
                        "source `{}` is counted with {counted} rows of {}, and {held} are there",
                        source.source,
                        table.name()
                    ));
                }
            }
            let read: i64 = sqlx::query_scalar(
                "SELECT CAST(coalesce(sum(records), 0) AS BIGINT) FROM trailhound_position WHERE source = $1 AND done <> 0",
            )
            .bind(&source.source)
            .fetch_one(&self.pool)
            .await?;
            if read.unsigned_abs() > source.ledger.received {
                found.push(format!(
                    "the positions of source `{}` say that {read} records were read, and {} were received",
                    source.source, source.ledger.received
                ));
            }
        }
        self.verify_positions(totals, &mut found).await?;
        Ok(found.into_iter().map(|found| LakeProblem::Ledger { found }).collect())
    }

    /// No position lies before a row that is stored, or was written by a snapshot that there is not.
    async fn verify_positions(
        &self,
        totals: &RowTotals,
        found: &mut Vec<String>,
    ) -> Result<(), CatalogError> {
        let newest = self.snapshot().await?;
        let from_nowhere: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM trailhound_position WHERE snapshot_id < 0 OR snapshot_id > $1 OR records < 0",
        )
        .bind(newest)
        .fetch_one(&self.pool)
        .await?;
        if from_nowhere > 0 {
            found.push(format!("{from_nowhere} positions are of no snapshot, or negative"));
        }
        for ((source, object), last) in &totals.offsets {
            let reset: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM trailhound_gap WHERE source = $1 AND object = $2 AND reason = 'source_reset'",
            )
            .bind(source)
            .bind(object)
            .fetch_one(&self.pool)
            .await?;
            let position = self.position(source, object).await?;
            let next = position.and_then(|position| i64::try_from(position.records).ok());
            if reset == 0 && next.is_none_or(|next| next <= *last) {
                found.push(format!(
                    "the position of `{object}` in source `{source}` is {}, and offset {last} is stored",
                    next.map_or_else(|| "missing".to_owned(), |next| next.to_string())
                ));
            }
        }
        Ok(())
    }
}

/// The ledger that a commit of ingest recorded, by source: received, stored, duplicate, quarantined, expired. `None` where
/// the text is none.
fn recorded_ledger(text: &str) -> Option<BTreeMap<String, [i64; 5]>> {
    let Value::Object(sources) = serde_json::from_str(text).ok()? else { return None };
    let counts = |counts: &Value| {
        let mut row = [0; 5];
        let names = ["received", "stored", "duplicate", "quarantined", "expired"];
        for (slot, name) in row.iter_mut().zip(names) {
            *slot = counts.get(name)?.as_i64()?;
        }
        Some(row)
    };
    sources.into_iter().map(|(source, value)| Some((source, counts(&value)?))).collect()
}
