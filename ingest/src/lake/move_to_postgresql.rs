//! Moves a catalog from SQLite to PostgreSQL: every row, in one transaction. The data files stay where they are. Copies one in
//! the other direction for a backup.

use super::catalog::Lake;
use super::error::CatalogError;
use super::lock::WriterLock;
use super::{location, schema};
use crate::secret::SecretRef;
use sqlx::{AnyConnection, Connection, Executor, Row};
use std::path::Path;
use trailhound_datasets::layout::{CATALOG_FILE, CATALOG_REFERENCE_FILE, CatalogLocation};

/// Rows of one statement.
const ROWS_AT_ONCE: usize = 200;

/// A table of the catalog.
struct CatalogTable<'s> {
    name: &'s str,
    /// Names and types, as in the schema.
    columns: Vec<(&'s str, &'s str)>,
}

impl Lake {
    /// Moves the catalog into the empty PostgreSQL database whose connection string `reference` names (`env:NAME` or
    /// `file:PATH`). The SQLite file stays in the folder under another name. Returns the number of rows moved.
    ///
    /// # Errors
    /// [`CatalogError`]; nothing has moved then.
    pub async fn move_to_postgresql(
        &self,
        reference: &str,
        _lock: &WriterLock,
    ) -> Result<u64, CatalogError> {
        let refused =
            |reason: String| CatalogError::Move { folder: self.folder().to_owned(), reason };
        if self.is_shared() {
            return Err(refused("it is in PostgreSQL already".to_owned()));
        }
        let url = SecretRef::new(reference).read(self.folder()).map_err(refused)?;
        if !url.starts_with("postgresql://") && !url.starts_with("postgres://") {
            return Err(refused("a connection string begins with `postgresql://`".to_owned()));
        }
        let target = CatalogLocation::Postgresql(url);
        let pool = location::connect(&target, false).await?;
        let mut connection = pool.acquire().await?;
        let mut transaction = location::begin_empty(&mut connection, &target).await?;
        if !location::is_empty(&mut transaction, &target).await? {
            return Err(refused(
                "the database holds a catalog already; give an empty one".to_owned(),
            ));
        }
        schema::create_tables(&mut transaction, &target, self.table_sets()).await?;
        let mut moved = 0;
        let mut source = self.pool.acquire().await?;
        for table in self.table_sets().iter().flat_map(|set| tables(set.create)) {
            moved += table.copy(&mut source, (&mut transaction, &target)).await?;
        }
        transaction.commit().await?;
        drop(source);
        self.point_to(reference).await?;
        Ok(moved)
    }

    /// Makes the SQLite catalog `path` with the rows of this one, which is in PostgreSQL, as they are at one moment.
    pub(super) async fn copy_to_sqlite(&self, path: &Path) -> Result<(), CatalogError> {
        let target = CatalogLocation::Sqlite(path.to_owned());
        let pool = location::connect(&target, true).await?;
        let mut connection = pool.acquire().await?;
        let mut transaction = location::begin_empty(&mut connection, &target).await?;
        schema::create_tables(&mut transaction, &target, self.table_sets()).await?;
        let mut source = self.pool.acquire().await?;
        let mut source =
            source.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        for table in self.table_sets().iter().flat_map(|set| tables(set.create)) {
            table.copy(&mut source, (&mut transaction, &target)).await?;
        }
        source.rollback().await?;
        transaction.commit().await?;
        drop(connection);
        pool.close().await;
        Ok(())
    }

    /// Records in the folder that the catalog is where `reference` leads to.
    async fn point_to(&self, reference: &str) -> Result<(), CatalogError> {
        self.pool.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        let pointer = self.folder().join(CATALOG_REFERENCE_FILE);
        let aside = pointer.with_extension("tmp");
        let failed = |source| CatalogError::File { path: pointer.clone(), source };
        std::fs::write(&aside, format!("{reference}\n")).map_err(failed)?;
        std::fs::rename(&aside, &pointer).map_err(failed)?;
        let file = self.folder().join(CATALOG_FILE);
        std::fs::rename(&file, file.with_extension("sqlite.migrated")).map_err(failed)
    }
}

impl CatalogTable<'_> {
    /// Copies the rows from `source` into `target`, a database at that location; gives their number.
    async fn copy(
        &self,
        source: &mut AnyConnection,
        (target, location): (&mut AnyConnection, &CatalogLocation),
    ) -> Result<u64, CatalogError> {
        // Values travel as text: each database casts it to its own types. SQLite has numbers for truth values.
        let is_sqlite = matches!(location, CatalogLocation::Sqlite(_));
        let as_text = |(name, kind): &(&str, &str)| match *kind {
            "{boolean}" if is_sqlite => format!("CAST(CAST({name} AS INTEGER) AS TEXT)"),
            _ => format!("CAST({name} AS TEXT)"),
        };
        let columns: Vec<String> = self.columns.iter().map(as_text).collect();
        let read = format!("SELECT {} FROM {}", columns.join(", "), self.name);
        let rows = sqlx::query(sqlx::AssertSqlSafe(read)).fetch_all(&mut *source).await?;
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let insert = format!(
                "INSERT INTO {} VALUES {}",
                self.name,
                placeholders(self, rows.len(), is_sqlite)
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(insert));
            for row in rows {
                for at in 0..self.columns.len() {
                    query = query.bind(row.try_get::<Option<String>, _>(at)?);
                }
            }
            query.execute(&mut *target).await?;
        }
        Ok(rows.len() as u64)
    }
}

/// Returns the placeholders `(CAST($1 AS BIGINT), ...), (...)` for `rows` rows.
fn placeholders(table: &CatalogTable<'_>, rows: usize, is_sqlite: bool) -> String {
    let mut number = 0;
    let row = |_| {
        let values: Vec<String> = table
            .columns
            .iter()
            .map(|(_, kind)| {
                number += 1;
                let kind = match *kind {
                    "{boolean}" if is_sqlite => "BIGINT",
                    "{instant}" | "{uuid}" if is_sqlite => "TEXT",
                    "{boolean}" => "BOOLEAN",
                    "{instant}" => "TIMESTAMPTZ",
                    "{uuid}" => "UUID",
                    kind => kind,
                };
                format!("CAST(${number} AS {kind})")
            })
            .collect();
        format!("({})", values.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// The tables that `schema` makes.
fn tables(schema: &str) -> impl Iterator<Item = CatalogTable<'_>> {
    schema.lines().filter_map(|line| line.strip_prefix("CREATE TABLE ")).filter_map(|line| {
        let (name, rest) = line.split_once('(')?;
        let (columns, _) = rest.split_once(", PRIMARY KEY").or_else(|| rest.rsplit_once(')'))?;
        let column = |text| {
            let mut words = str::split_whitespace(text);
            Some((words.next()?, words.next()?))
        };
        Some(CatalogTable { name, columns: columns.split(", ").filter_map(column).collect() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_schema_is_moved() {
        let all: Vec<CatalogTable<'_>> = schema::table_sets(&[])
            .iter()
            .flat_map(|set| {
                let tables: Vec<CatalogTable<'_>> = tables(set.create).collect();
                assert_eq!(tables.len(), set.create.matches("CREATE TABLE").count());
                tables
            })
            .collect();
        let position = all.iter().find(|table| table.name == "trailhound_position").expect("there");
        assert_eq!(position.columns.first(), Some(&("source", "TEXT")));
        assert_eq!(position.columns.last(), Some(&("snapshot_id", "BIGINT")));
        let kinds = ["BIGINT", "TEXT", "VARCHAR", "{boolean}", "{instant}", "{uuid}"];
        for table in &all {
            assert!(
                table.columns.iter().all(|(_, kind)| kinds.contains(kind)),
                "{}: {:?}",
                table.name,
                table.columns
            );
        }
    }
}
