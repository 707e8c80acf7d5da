//! The catalogue database: opening it, making a new lake, finding files.

use super::place;
use super::table::Table;
use sqlx::{AnyConnection, AnyPool, Executor};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use trailhound_datasets::layout::{CATALOG_FILE, CatalogLocation, FILES_FOLDER};

/// Version of our own tables beside DuckLake's.
const LAKE_VERSION: &str = "8";

/// Why the lake could not be opened, read or written.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// The catalogue database said no.
    #[error("the lake's catalogue could not be used: {0}")]
    Sql(#[from] sqlx::Error),
    /// A file of the lake could not be used.
    #[error("`{path}` could not be used")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A Parquet file of the lake could not be written or read.
    #[error("`{path}` is no readable Parquet file of this lake")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the Parquet library said.
        source: parquet::errors::ParquetError,
    },
    /// No lake there.
    #[error(
        "there is no lake in `{folder}`; `trailhound ingest --lake {folder} PATH...` makes one"
    )]
    Missing {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// Another process writes.
    #[error(
        "another process is writing the lake in `{folder}`; a lake on SQLite has one writer at a time. Wait for it, or give this run another `--lake`; several services share a lake whose catalogue is in PostgreSQL"
    )]
    Locked {
        /// The lake.
        folder: PathBuf,
    },
    /// The folder says that the catalogue is in PostgreSQL but not how to reach it.
    #[error("`{path}` does not say how to reach the lake's catalogue: {reason}")]
    Reference {
        /// The file.
        path: PathBuf,
        /// What is wrong with the reference.
        reason: String,
    },
    /// The catalogue stays where it is.
    #[error("the catalogue of the lake in `{folder}` was not moved: {reason}")]
    Move {
        /// The lake.
        folder: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another program's database, or another version's.
    #[error(
        "`{folder}` holds no lake of this version (found {found}, expected {LAKE_VERSION}); take a fresh folder with `--lake`"
    )]
    Version {
        /// The lake's folder.
        folder: PathBuf,
        /// What it says.
        found: String,
    },
    /// Another writer has committed records since `seen`: what it stored must be looked at first. Nothing was stored.
    #[error("another writer has committed up to snapshot {snapshot}")]
    Behind {
        /// The newest snapshot.
        snapshot: i64,
    },
    /// Positions or snapshot moved since they were read.
    #[error(
        "the lake changed while this batch was being written: {what}. Nothing of the batch was stored; run again"
    )]
    Conflict {
        /// What moved.
        what: String,
    },
}

/// An open lake.
#[derive(Debug, Clone)]
pub struct Lake {
    pub(crate) pool: AnyPool,
    /// For all that write.
    pub(crate) writer_pool: AnyPool,
    folder: PathBuf,
    place: CatalogLocation,
}

impl Lake {
    /// Opens the lake in `folder`, making folder and lake where there is none.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn create_or_open(folder: &Path) -> Result<Self, CatalogError> {
        std::fs::create_dir_all(folder.join(FILES_FOLDER))
            .map_err(|source| CatalogError::File { path: folder.to_owned(), source })?;
        let folder = folder
            .canonicalize()
            .map_err(|source| CatalogError::File { path: folder.to_owned(), source })?;
        let place = place::find(&folder)?
            .unwrap_or_else(|| CatalogLocation::Sqlite(folder.join(CATALOG_FILE)));
        let lake = Self::at(folder, place, true).await?;
        lake.create_if_empty().await?;
        lake.check().await?;
        lake.follow_moved_folder().await?;
        Ok(lake)
    }

    /// Opens the lake in `folder`.
    ///
    /// # Errors
    /// [`CatalogError::Missing`] where there is none, and the others.
    pub async fn open(folder: &Path) -> Result<Self, CatalogError> {
        let Some(place) = place::find(folder)? else {
            return Err(CatalogError::Missing { folder: folder.to_owned() });
        };
        let folder = folder
            .canonicalize()
            .map_err(|source| CatalogError::File { path: folder.to_owned(), source })?;
        let lake = Self::at(folder, place, false).await?;
        lake.check().await?;
        lake.follow_moved_folder().await?;
        Ok(lake)
    }

    async fn at(
        folder: PathBuf,
        place: CatalogLocation,
        create: bool,
    ) -> Result<Self, CatalogError> {
        let pool = place::connect(&place, create).await?;
        Ok(Self { writer_pool: place::writer_pool(&place, &pool)?, pool, folder, place })
    }

    /// The lake's folder, absolute.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where its catalogue is.
    #[must_use]
    pub fn place(&self) -> &CatalogLocation {
        &self.place
    }

    /// Connections to its catalogue.
    #[must_use]
    pub fn catalogue(&self) -> &AnyPool {
        &self.pool
    }

    /// Connections for those who write to it again and again: on SQLite one, which they take in turn. Whoever holds it must not wait for it.
    #[must_use]
    pub fn writer_pool(&self) -> &AnyPool {
        &self.writer_pool
    }

    /// A transaction that holds the right to write from its start.
    pub(super) async fn begin<'c>(
        &self,
        connection: &'c mut AnyConnection,
    ) -> Result<sqlx::Transaction<'c, sqlx::Any>, CatalogError> {
        place::begin(connection, &self.place).await
    }

    /// Folder of the Parquet files.
    #[must_use]
    pub fn files_folder(&self) -> PathBuf {
        self.folder.join(FILES_FOLDER)
    }

    /// The newest snapshot's id.
    ///
    /// # Errors
    /// [`CatalogError::Sql`].
    pub async fn snapshot(&self) -> Result<i64, CatalogError> {
        Ok(sqlx::query_scalar("SELECT max(snapshot_id) FROM ducklake_snapshot")
            .fetch_one(&self.pool)
            .await?)
    }

    async fn create_if_empty(&self) -> Result<(), CatalogError> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = place::begin_empty(&mut connection, &self.place).await?;
        if place::is_empty(&mut transaction, &self.place).await? {
            transaction.execute(place::schema(&self.place)).await?;
            let data_path = data_path(&self.folder);
            for (key, value) in [
                ("version", "1.0"),
                ("created_by", concat!("trailhound ", env!("CARGO_PKG_VERSION"))),
                ("data_path", data_path.as_str()),
                ("encrypted", "false"),
                ("trailhound_version", LAKE_VERSION),
            ] {
                sqlx::query("INSERT INTO ducklake_metadata(key, value) VALUES ($1, $2)")
                    .bind(key)
                    .bind(value)
                    .execute(&mut *transaction)
                    .await?;
            }
            create_tables(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn check(&self) -> Result<(), CatalogError> {
        let found: Result<Option<String>, _> = sqlx::query_scalar(
            "SELECT value FROM ducklake_metadata WHERE key = 'trailhound_version'",
        )
        .fetch_optional(&self.pool)
        .await;
        match found {
            Ok(Some(version)) if version == LAKE_VERSION => Ok(()),
            Ok(found) => Err(CatalogError::Version {
                folder: self.folder.clone(),
                found: found.unwrap_or_else(|| "none".to_owned()),
            }),
            Err(sqlx::Error::Database(e)) => Err(CatalogError::Version {
                folder: self.folder.clone(),
                found: e.message().to_owned(),
            }),
            Err(e) => Err(e.into()),
        }
    }

    /// DuckLake keeps the files' folder as an absolute path; a lake that was moved or copied is told its new place.
    async fn follow_moved_folder(&self) -> Result<(), CatalogError> {
        let here = data_path(&self.folder);
        let known: String =
            sqlx::query_scalar("SELECT value FROM ducklake_metadata WHERE key = 'data_path'")
                .fetch_one(&self.pool)
                .await?;
        if known != here {
            sqlx::query("UPDATE ducklake_metadata SET value = $1 WHERE key = 'data_path'")
                .bind(here)
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }

    /// Removes files below the lake that no commit refers to. Only for the holder of the writer lock. Where others may be
    /// writing, files younger than an hour may be theirs and stay.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn sweep(&self, _lock: &super::WriterLock) -> Result<u64, CatalogError> {
        let known = self.known_paths().await?;
        let mut removed = 0;
        for entry in self.table_folders().flat_map(walkdir::WalkDir::new) {
            let entry = entry.map_err(|e| CatalogError::File {
                path: e.path().unwrap_or(self.folder()).to_owned(),
                source: e.into_io_error().unwrap_or_else(|| std::io::ErrorKind::Other.into()),
            })?;
            let ours = entry.path().extension().is_some_and(|e| e == "parquet" || e == "tmp");
            if entry.file_type().is_file()
                && ours
                && !known.contains(entry.path())
                && !(self.is_shared() && is_young(entry.path()))
            {
                std::fs::remove_file(entry.path()).map_err(|source| CatalogError::File {
                    path: entry.path().to_owned(),
                    source,
                })?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Checks that the lake's disk takes `bytes` more.
    pub(crate) fn probe(&self, bytes: usize) -> Result<(), CatalogError> {
        use std::io::Write;
        let path = self.files_folder().join("probe.tmp");
        let write = || {
            let mut file = std::fs::File::create(&path)?;
            file.write_all(&vec![0; bytes])?;
            file.sync_all()
        };
        let written = write().map_err(|source| CatalogError::File { path: path.clone(), source });
        let _ = std::fs::remove_file(&path);
        written
    }

    /// Every file some snapshot can see.
    pub(crate) async fn known_paths(&self) -> Result<HashSet<PathBuf>, CatalogError> {
        let rows: Vec<(i64, String)> =
            sqlx::query_as("SELECT table_id, path FROM ducklake_data_file")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows
            .into_iter()
            .filter_map(|(table, path)| Some(self.table_folder(Table::of(table)?).join(path)))
            .collect())
    }

    /// Every file of `table` in the newest snapshot.
    pub(crate) async fn live_paths(&self, table: Table) -> Result<Vec<PathBuf>, CatalogError> {
        let paths: Vec<(String,)> = sqlx::query_as(
            "SELECT path FROM ducklake_data_file WHERE end_snapshot IS NULL AND table_id = $1",
        )
        .bind(table.id())
        .fetch_all(&self.pool)
        .await?;
        Ok(self.paths(table, paths))
    }

    pub(super) fn paths(&self, table: Table, paths: Vec<(String,)>) -> Vec<PathBuf> {
        let folder = self.table_folder(table);
        paths.into_iter().map(|(path,)| folder.join(path)).collect()
    }

    /// Folder of one table's files.
    pub(crate) fn table_folder(&self, table: Table) -> PathBuf {
        self.files_folder().join("main").join(table.name())
    }

    /// Folders of all tables' files, those that exist.
    pub(crate) fn table_folders(&self) -> impl Iterator<Item = PathBuf> {
        Table::ALL
            .into_iter()
            .map(|table| self.table_folder(table))
            .filter(|folder| folder.exists())
    }
}

/// Changed within the last hour, or nobody knows.
fn is_young(path: &Path) -> bool {
    let age = path
        .metadata()
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|changed| changed.elapsed().ok());
    age.is_none_or(|age| age < Duration::from_secs(3600))
}

fn data_path(folder: &Path) -> String {
    format!("{}/", folder.join(FILES_FOLDER).display())
}

/// The first snapshot: schema `main` with all tables, partitioned by `day`.
async fn create_tables(db: &mut AnyConnection) -> Result<(), CatalogError> {
    let now = super::commit::time_text(chrono::Utc::now().timestamp_micros());
    execute(
        db,
        format!("INSERT INTO ducklake_snapshot VALUES (0, '{now}', 0, {}, 0)", Table::NEXT_ID),
    )
    .await?;
    sqlx::query("INSERT INTO ducklake_snapshot_changes VALUES (0, $1, 'trailhound', 'the lake is made', NULL)")
        .bind(format!(
            r#"created_schema:"main",{}"#,
            Table::ALL.map(|table| format!(r#"created_table:"main"."{}""#, table.name())).join(",")
        ))
        .execute(&mut *db)
        .await?;
    execute(
        db,
        format!(
            "INSERT INTO ducklake_schema VALUES (0, '{}', 0, NULL, 'main', 'main/', TRUE)",
            uuid()
        ),
    )
    .await?;
    sqlx::query("INSERT INTO ducklake_schema_versions VALUES (0, 0, NULL)")
        .execute(&mut *db)
        .await?;
    for table in Table::ALL {
        create_table(db, table).await?;
    }
    Ok(())
}

async fn create_table(db: &mut AnyConnection, table: Table) -> Result<(), CatalogError> {
    let (schema, name, uuid, partition) =
        (table.schema(), table.name(), uuid(), table.partition_id());
    let table = table.id();
    execute(db, format!("INSERT INTO ducklake_table VALUES ({table}, '{uuid}', 0, NULL, 0, '{name}', '{name}/', TRUE)")).await?;
    for column in &schema.catalog_columns {
        let nested = matches!(column.lake_type, "list" | "struct");
        sqlx::query("INSERT INTO ducklake_column VALUES ($1, 0, NULL, $2, $3, $4, $5, NULL, 'NULL', TRUE, $6, $7, 'duckdb')")
            .bind(column.id)
            .bind(table)
            .bind(column.id)
            .bind(&column.name)
            .bind(column.lake_type)
            .bind(column.parent)
            .bind(if nested { "" } else { "literal" })
            .execute(&mut *db)
            .await?;
    }
    let day = schema
        .catalog_columns
        .iter()
        .find(|column| column.name == "day")
        .map_or(0, |column| column.id);
    sqlx::query("INSERT INTO ducklake_partition_info VALUES ($1, $2, 0, NULL)")
        .bind(partition)
        .bind(table)
        .execute(&mut *db)
        .await?;
    sqlx::query("INSERT INTO ducklake_partition_column VALUES ($1, $2, 0, $3, 'identity')")
        .bind(partition)
        .bind(table)
        .bind(day)
        .execute(&mut *db)
        .await?;
    sqlx::query("INSERT INTO ducklake_table_stats VALUES ($1, 0, 0, 0)")
        .bind(table)
        .execute(&mut *db)
        .await?;
    Ok(())
}

/// Runs a statement made of our own text: instants and identifiers, which each database takes as literals of its own types.
pub(super) async fn execute(db: &mut AnyConnection, statement: String) -> Result<(), CatalogError> {
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(db).await?;
    Ok(())
}

fn uuid() -> String {
    uuid::Uuid::now_v7().to_string()
}

#[cfg(test)]
mod tests {
    use super::Lake;

    #[tokio::test]
    async fn an_embedded_lake_is_written_by_one_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::create_or_open(&folder.path().join("lake")).await.expect("a lake");
        let [writer_pool, others] =
            [lake.writer_pool(), lake.catalogue()].map(|pool| pool.options().get_max_connections());
        assert!(writer_pool == 1 && others > 1, "{writer_pool} write, {others} read");
    }
}
