//! An open lake: its folder, its catalog database, its files.

use super::damage::CheckedFiles;
use super::error::CatalogError;
use super::location::{self, CatalogCopy};
use super::schema::{self, LAKE_TABLES, table_sets};
use super::table::Table;
use sqlx::{Any, AnyConnection, AnyPool, Transaction};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trailhound_datasets::catalog_schema::TableSet;
use trailhound_datasets::layout::{CATALOG_FILE, CatalogLocation, FILES_FOLDER};

/// An open lake.
#[derive(Debug, Clone)]
pub struct Lake {
    pub(crate) pool: AnyPool,
    /// Connections for writing.
    pub(crate) writer_pool: AnyPool,
    folder: PathBuf,
    location: CatalogLocation,
    table_sets: Arc<[TableSet]>,
    /// The files that this process has checked.
    pub(super) checked: Arc<CheckedFiles>,
    /// The copy of the catalog that stands in for one that cannot be written.
    copy: Option<Arc<CatalogCopy>>,
}

impl Lake {
    /// Opens the lake in `folder`, making folder and lake where there is none. `tables` are those that crates other than this
    /// one keep in the catalog; they are made with the lake. An older lake is migrated. `now` is the time of a snapshot that
    /// is made (microseconds UTC).
    ///
    /// # Errors
    /// [`CatalogError::CatalogMissing`] where the folder holds data and no catalog: nothing is made then;
    /// [`CatalogError::ReadOnly`] where the lake cannot be written. Any other [`CatalogError`].
    pub async fn create_or_open(
        folder: &Path,
        tables: &[TableSet],
        now: i64,
    ) -> Result<Self, CatalogError> {
        std::fs::create_dir_all(folder.join(FILES_FOLDER))
            .map_err(|source| CatalogError::File { path: folder.to_owned(), source })?;
        let folder = absolute(folder)?;
        let found = location::find_catalog(&folder)?;
        if found.is_none() {
            location::refuse_if_data_exists(&folder)?;
        }
        let location = found.unwrap_or_else(|| CatalogLocation::Sqlite(folder.join(CATALOG_FILE)));
        let lake = Self::connect(folder, location, tables, true).await?;
        if lake.is_read_only() {
            return Err(CatalogError::ReadOnly { folder: lake.folder });
        }
        let is_new = lake.holds_no_tables().await?;
        if is_new {
            // The file of the catalog is empty, or the database is another one.
            location::refuse_if_data_exists(&lake.folder)?;
        }
        let data_path = data_path(&lake.folder);
        schema::create_if_empty(&lake.pool, &lake.location, &lake.table_sets, &data_path, now)
            .await?;
        lake.bring_up_to_date(now).await?;
        if is_new {
            // What a crash in the first commit leaves is known to be younger than this catalog.
            lake.record_head().await;
        }
        Ok(lake)
    }

    /// Opens the lake in `folder`; see [`Self::create_or_open`]. One that cannot be written is opened to be read.
    ///
    /// # Errors
    /// [`CatalogError::Missing`] if the folder holds no lake; any other [`CatalogError`] if the
    /// lake cannot be opened.
    pub async fn open(folder: &Path, tables: &[TableSet], now: i64) -> Result<Self, CatalogError> {
        let Some(location) = location::find_catalog(folder)? else {
            location::refuse_if_data_exists(folder)?;
            return Err(CatalogError::Missing { folder: folder.to_owned() });
        };
        let lake = Self::connect(absolute(folder)?, location, tables, false).await?;
        lake.bring_up_to_date(now).await?;
        Ok(lake)
    }

    /// The recorded version and the version that this program needs, of the first of the catalog's table sets that is older
    /// than needed; `None` where all are as needed. Changes nothing.
    ///
    /// # Errors
    /// [`CatalogError`], as [`Self::open`].
    pub async fn outdated(
        folder: &Path,
        tables: &[TableSet],
    ) -> Result<Option<(i64, i64)>, CatalogError> {
        let Some(location) = location::find_catalog(folder)? else {
            return Err(CatalogError::Missing { folder: folder.to_owned() });
        };
        let lake = Self::connect(absolute(folder)?, location, tables, false).await?;
        schema::find_outdated(&lake.pool, &lake.folder, &lake.table_sets).await
    }

    async fn connect(
        folder: PathBuf,
        location: CatalogLocation,
        tables: &[TableSet],
        create: bool,
    ) -> Result<Self, CatalogError> {
        let table_sets: Arc<[TableSet]> = table_sets(tables).into();
        if location::is_read_only(&location, &folder) {
            return Self::connect_read_only(folder, &location, table_sets).await;
        }
        let pool = location::connect(&location, create).await?;
        let writer_pool = location::writer_pool(&location, &pool)?;
        let checked = Arc::default();
        Ok(Self { pool, writer_pool, folder, location, table_sets, checked, copy: None })
    }

    /// SQLite writes beside its file even to read it, and the catalog records where the data was when it could be written. So a
    /// catalog that cannot be written is read from a copy, which nothing can be written to.
    async fn connect_read_only(
        folder: PathBuf,
        location: &CatalogLocation,
        table_sets: Arc<[TableSet]>,
    ) -> Result<Self, CatalogError> {
        let copy = location::copy_catalog(location, &folder)?;
        let pool = location::connect(&copy.location, false).await?;
        if let Some((found, needed)) = schema::find_outdated(&pool, &folder, &table_sets).await? {
            let reason = "the folder is read-only".to_owned();
            return Err(CatalogError::Migration { folder, found, needed, reason });
        }
        let writer_pool = pool.clone();
        let (location, checked) = (copy.location.clone(), Arc::default());
        let mut lake =
            Self { pool, writer_pool, folder, location, table_sets, checked, copy: None };
        lake.follow_moved_folder().await?;
        lake.pool.close().await;
        lake.pool = location::connect_to_read(&lake.location)?;
        lake.writer_pool = lake.pool.clone();
        lake.copy = Some(Arc::new(copy));
        Ok(lake)
    }

    /// The lake in `folder` by the copy `catalog` of its SQLite catalog, to read.
    pub(super) fn of_copy(
        folder: &Path,
        catalog: &Path,
        table_sets: &Arc<[TableSet]>,
    ) -> Result<Self, CatalogError> {
        let location = CatalogLocation::Sqlite(catalog.to_owned());
        let pool = location::connect_plainly(&location)?;
        Ok(Self {
            writer_pool: pool.clone(),
            pool,
            folder: folder.to_owned(),
            location,
            table_sets: Arc::clone(table_sets),
            checked: Arc::default(),
            copy: None,
        })
    }

    async fn holds_no_tables(&self) -> Result<bool, CatalogError> {
        location::is_empty(&mut *self.pool.acquire().await?, &self.location).await
    }

    /// True where the lake cannot be written: only its content can be read.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.copy.is_some()
    }

    /// Refuses to write a lake that cannot be written.
    ///
    /// # Errors
    /// [`CatalogError::ReadOnly`].
    pub fn refuse_read_only(&self) -> Result<(), CatalogError> {
        if self.is_read_only() {
            return Err(CatalogError::ReadOnly { folder: self.folder.clone() });
        }
        Ok(())
    }

    /// Migrates an older lake, and records the folder of a lake that was moved.
    async fn bring_up_to_date(&self, now: i64) -> Result<(), CatalogError> {
        if self.is_read_only() {
            return Ok(());
        }
        schema::migrate_if_older(&self.pool, &self.location, &self.folder, &self.table_sets, now)
            .await?;
        self.follow_moved_folder().await
    }

    /// The lake's folder, absolute.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where its catalog is. That of a lake that cannot be written is a copy, which lasts as long as this value and its clones.
    #[must_use]
    pub fn location(&self) -> &CatalogLocation {
        &self.location
    }

    /// The tables in its catalog, of all crates.
    pub(super) fn table_sets(&self) -> &Arc<[TableSet]> {
        &self.table_sets
    }

    /// Connections to its catalog.
    #[must_use]
    pub fn catalog(&self) -> &AnyPool {
        &self.pool
    }

    /// Returns the connection pool for frequent writers. On SQLite the pool has a single
    /// connection. A caller that holds this connection must not acquire it again.
    #[must_use]
    pub fn writer_pool(&self) -> &AnyPool {
        &self.writer_pool
    }

    /// A transaction that adds a snapshot. No other process adds one meanwhile, and the tables have the version of this
    /// process until it ends.
    ///
    /// # Errors
    /// [`CatalogError::VersionMismatch`] where another version has migrated the lake; nothing may be written then.
    pub(super) async fn begin<'c>(
        &self,
        connection: &'c mut AnyConnection,
    ) -> Result<Transaction<'c, Any>, CatalogError> {
        self.refuse_read_only()?;
        let mut transaction = location::begin_exclusive(connection, &self.location).await?;
        schema::check(&mut transaction, &LAKE_TABLES).await?;
        Ok(transaction)
    }

    /// A transaction that writes to the tables of `set` and adds no snapshot.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(super) async fn begin_write<'c>(
        &self,
        connection: &'c mut AnyConnection,
        set: &TableSet,
    ) -> Result<Transaction<'c, Any>, CatalogError> {
        self.refuse_read_only()?;
        let mut transaction = location::begin_write(connection, &self.location).await?;
        schema::check(&mut transaction, set).await?;
        Ok(transaction)
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

    /// DuckLake keeps the files' folder as an absolute path. Records the new path of a lake that was moved or copied.
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

    /// At the end of a service: moves what stands in SQLite's write-ahead log into the catalog's file, so that the file alone is
    /// the whole catalog. Where others still read it, the last of them does so.
    pub async fn fold_log(&self) {
        if self.is_shared() {
            return;
        }
        let folded =
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writer_pool).await;
        if let Err(error) = folded {
            tracing::warn!(%error, "the catalog's write-ahead log stays beside it");
        }
    }

    /// Checks that the lake's disk takes `bytes` more.
    ///
    /// # Errors
    /// [`CatalogError::File`].
    pub fn probe(&self, bytes: usize) -> Result<(), CatalogError> {
        use std::io::Write;
        let path = self.files_folder().join("probe.tmp");
        let write = || {
            let mut file = std::fs::File::create(&path)?;
            file.write_all(&vec![0; bytes])?;
            file.sync_all()
        };
        let written = write().map_err(|source| CatalogError::File { path: path.clone(), source });
        // Where it cannot be removed it is swept with the other unfinished files, or written over by the next probe.
        let _ = std::fs::remove_file(&path);
        written
    }

    /// Every file some snapshot can see, or that another program has yet to delete.
    pub(crate) async fn known_paths(&self) -> Result<HashSet<PathBuf>, CatalogError> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT table_id, path FROM ducklake_data_file UNION ALL SELECT table_id, path FROM ducklake_delete_file",
        )
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
        self.files_folder().join("main").join(table.folder())
    }

    /// Folders of all tables' files, those that exist.
    pub(crate) fn table_folders(&self) -> impl Iterator<Item = PathBuf> {
        Table::ALL
            .into_iter()
            .map(|table| self.table_folder(table))
            .filter(|folder| folder.exists())
    }
}

/// `folder` as an absolute path without links.
fn absolute(folder: &Path) -> Result<PathBuf, CatalogError> {
    folder.canonicalize().map_err(|source| CatalogError::File { path: folder.to_owned(), source })
}

fn data_path(folder: &Path) -> String {
    format!("{}/", folder.join(FILES_FOLDER).display())
}

#[cfg(test)]
mod tests {
    use super::Lake;

    #[tokio::test]
    async fn an_embedded_lake_is_written_by_one_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::create_or_open(&folder.path().join("lake"), &[], 0).await.expect("a lake");
        let [writer_pool, others] =
            [lake.writer_pool(), lake.catalog()].map(|pool| pool.options().get_max_connections());
        assert!(writer_pool == 1 && others > 1, "{writer_pool} write, {others} read");
    }
}
