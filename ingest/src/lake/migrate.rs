//! From SQLite to PostgreSQL: every row of the catalogue, in one transaction. The data files stay where they are.

use super::catalog::{CatalogError, Lake};
use super::{WriterLock, place};
use crate::secret::SecretRef;
use sqlx::{AnyConnection, Executor, Row};
use trailhound_datasets::layout::{CATALOG_FILE, CATALOG_REFERENCE_FILE, CatalogLocation};

/// Rows of one statement.
const ROWS_AT_ONCE: usize = 200;

/// A table of the catalogue.
struct Table<'s> {
    name: &'s str,
    /// Names and types, as in the schema.
    columns: Vec<(&'s str, &'s str)>,
}

impl Lake {
    /// Moves the catalogue into the empty PostgreSQL database that `reference` (`env:NAME` or `file:PATH`) leads to. The
    /// SQLite file stays beside it under another name. Returns the number of rows moved.
    ///
    /// # Errors
    /// [`CatalogError`]; nothing has moved then.
    pub async fn migrate(&self, reference: &str, _lock: &WriterLock) -> Result<u64, CatalogError> {
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
        let pool = place::connect(&target, false).await?;
        let mut connection = pool.acquire().await?;
        let mut transaction = place::begin_empty(&mut connection, &target).await?;
        if !place::is_empty(&mut transaction, &target).await? {
            return Err(refused(
                "the database holds a catalogue already; give an empty one".to_owned(),
            ));
        }
        transaction.execute(place::schema(&target)).await?;
        let mut moved = 0;
        for table in tables(place::SCHEMA) {
            moved += self.copy(&table, &mut transaction).await?;
        }
        transaction.commit().await?;
        self.follow(reference).await?;
        Ok(moved)
    }

    /// From now on the catalogue is where `reference` leads to.
    async fn follow(&self, reference: &str) -> Result<(), CatalogError> {
        self.pool.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        let told = self.folder().join(CATALOG_REFERENCE_FILE);
        let aside = told.with_extension("tmp");
        let failed = |source| CatalogError::File { path: told.clone(), source };
        std::fs::write(&aside, format!("{reference}\n")).map_err(failed)?;
        std::fs::rename(&aside, &told).map_err(failed)?;
        let file = self.folder().join(CATALOG_FILE);
        std::fs::rename(&file, file.with_extension("sqlite.migrated")).map_err(failed)
    }

    async fn copy(
        &self,
        table: &Table<'_>,
        target: &mut AnyConnection,
    ) -> Result<u64, CatalogError> {
        // As text on its way: each database reads its own types from it.
        let columns: Vec<String> =
            table.columns.iter().map(|(name, _)| format!("CAST({name} AS TEXT)")).collect();
        let read = format!("SELECT {} FROM {}", columns.join(", "), table.name);
        let rows = sqlx::query(sqlx::AssertSqlSafe(read)).fetch_all(&self.pool).await?;
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let insert = format!("INSERT INTO {} VALUES {}", table.name, places(table, rows.len()));
            let mut query = sqlx::query(sqlx::AssertSqlSafe(insert));
            for row in rows {
                for at in 0..table.columns.len() {
                    query = query.bind(row.try_get::<Option<String>, _>(at)?);
                }
            }
            query.execute(&mut *target).await?;
        }
        Ok(rows.len() as u64)
    }
}

/// `(CAST($1 AS BIGINT), ...), (...)` for so many rows.
fn places(table: &Table<'_>, rows: usize) -> String {
    let mut number = 0;
    let row = |_| {
        let values: Vec<String> = table
            .columns
            .iter()
            .map(|(_, kind)| {
                number += 1;
                let kind = match *kind {
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
fn tables(schema: &str) -> impl Iterator<Item = Table<'_>> {
    schema.lines().filter_map(|line| line.strip_prefix("CREATE TABLE ")).filter_map(|line| {
        let (name, rest) = line.split_once('(')?;
        let (columns, _) = rest.split_once(", PRIMARY KEY").or_else(|| rest.rsplit_once(')'))?;
        let column = |text| {
            let mut words = str::split_whitespace(text);
            Some((words.next()?, words.next()?))
        };
        Some(Table { name, columns: columns.split(", ").filter_map(column).collect() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_schema_is_moved() {
        let all: Vec<Table<'_>> = tables(place::SCHEMA).collect();
        assert_eq!(all.len(), place::SCHEMA.matches("CREATE TABLE").count());
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
