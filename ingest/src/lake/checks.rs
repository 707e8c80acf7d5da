//! Checks data files against the size and the checksum that their commit recorded: before their rows are used, once per
//! file and process.

use super::catalog::Lake;
use super::damage::DamagedFile;
use super::error::CatalogError;
use super::table::Table;
use crate::supervisor::run_blocking;
use std::fs::File;
use std::path::{Path, PathBuf};
use trailhound_datasets::checksum::FileDigest;

/// A data file as the catalog records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its checksum; `None` for a file that another program has added.
    pub checksum: Option<String>,
}

impl RecordedFile {
    /// The file of `table` with the catalog's columns `path`, `file_size_bytes` and `xxh3`.
    pub(super) fn of(
        lake: &Lake,
        table: Table,
        (path, bytes, checksum): (String, i64, Option<String>),
    ) -> Self {
        let path = lake.table_folder(table).join(path);
        Self { path, bytes: bytes.unsigned_abs(), checksum }
    }

    /// What is wrong with the file; `None` where it is as it was committed. Reads it in full, and blocks.
    ///
    /// # Errors
    /// [`CatalogError::File`] where the file exists and cannot be read: that says nothing about its content.
    pub fn find_damage(&self) -> Result<Option<DamagedFile>, CatalogError> {
        let failed = |source| CatalogError::File { path: self.path.clone(), source };
        let found = match File::open(&self.path) {
            Ok(file) => FileDigest::of(file)
                .map_err(failed)?
                .difference(self.bytes, self.checksum.as_deref()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Some("it is missing".to_owned())
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(found.map(|found| DamagedFile { path: self.path.clone(), found }))
    }
}

impl Lake {
    /// Checks those of `files` that this process has not checked yet; gives the paths of all.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] with the first file that is not as it was committed; none may be used then.
    pub(super) async fn check_files(
        &self,
        files: Vec<RecordedFile>,
    ) -> Result<Vec<PathBuf>, CatalogError> {
        let lake = self.clone();
        run_blocking(move || files.into_iter().map(|file| lake.check_file(file)).collect())
            .await
            .map_err(|e| CatalogError::Conflict {
                what: format!("a check of files broke off: {e}"),
            })?
    }

    /// Checks `file` unless this process has; gives its path. Blocks.
    pub(super) fn check_file(&self, file: RecordedFile) -> Result<PathBuf, CatalogError> {
        if !self.checked.contains(&file.path) {
            if let Some(damage) = file.find_damage()? {
                return Err(CatalogError::Damaged(damage));
            }
            self.checked.insert(file.path.clone());
        }
        Ok(file.path)
    }

    /// True where this process has found the file at `path` as it was committed.
    pub(super) fn is_checked(&self, path: &Path) -> bool {
        self.checked.contains(path)
    }

    /// Notes that the file at `path` is as it was committed.
    pub(super) fn mark_checked(&self, path: PathBuf) {
        self.checked.insert(path);
    }

    /// Every file of the newest snapshot, in the order in which they were added.
    ///
    /// # Errors
    /// [`CatalogError::Sql`].
    pub async fn recorded_files(&self) -> Result<Vec<RecordedFile>, CatalogError> {
        self.recorded_files_where("f.end_snapshot IS NULL").await
    }

    /// Every file that only earlier snapshots see.
    pub(super) async fn ended_files(&self) -> Result<Vec<RecordedFile>, CatalogError> {
        self.recorded_files_where("f.end_snapshot IS NOT NULL").await
    }

    async fn recorded_files_where(
        &self,
        condition: &'static str,
    ) -> Result<Vec<RecordedFile>, CatalogError> {
        let select = format!(
            "SELECT f.table_id, f.path, f.file_size_bytes, c.xxh3 FROM ducklake_data_file f \
             LEFT JOIN trailhound_file_checksum c ON c.data_file_id = f.data_file_id WHERE {condition} ORDER BY f.data_file_id"
        );
        let rows: Vec<(i64, String, i64, Option<String>)> =
            sqlx::query_as(sqlx::AssertSqlSafe(select)).fetch_all(&self.pool).await?;
        let file = |(table, path, bytes, checksum)| {
            Some(RecordedFile::of(self, Table::of(table)?, (path, bytes, checksum)))
        };
        Ok(rows.into_iter().filter_map(file).collect())
    }
}
