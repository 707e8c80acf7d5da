//! Moves files that an interrupted writer has left behind out of the data's folder. Nothing is deleted: a file that the
//! catalog does not know may be one that only a newer catalog knows.

use super::catalog::Lake;
use super::error::CatalogError;
use super::head::HeadState;
use super::instant::parse_time_text;
use super::lock::WriterLock;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Without a head record so many files that the catalog does not know, and more than one in
/// [`UNKNOWN_ONE_IN`] of those that it knows, are too many to be the rest of one interrupted commit.
const UNKNOWN_FILES: usize = 16;
/// See [`UNKNOWN_FILES`].
const UNKNOWN_ONE_IN: usize = 10;
/// Without a head record, files of a commit that was interrupted are at most this much newer than the commit before it.
const COMMIT_MICROS_MAX: i64 = 86_400_000_000;

impl Lake {
    /// Moves the data files and temporary files of the lake that no commit refers to aside, at `now` (microseconds UTC).
    /// Returns the number of files moved. In a shared lake, files younger than an hour stay, because another process may still
    /// be writing them.
    ///
    /// # Errors
    /// [`CatalogError::OlderCatalog`] where the catalog looks older than the files; nothing is moved then. Any other
    /// [`CatalogError`].
    pub async fn sweep(&self, _lock: &WriterLock, now: i64) -> Result<u64, CatalogError> {
        let unknown = self.unknown_files().await?;
        self.refuse_older_catalog(&unknown).await?;
        self.move_unknown(&unknown, now).await
    }

    /// Takes the catalog as it is, also where it is older than the files: moves every file that it does not know aside and
    /// records its newest snapshot. Returns the number of files moved.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn accept_catalog(&self, _lock: &WriterLock, now: i64) -> Result<u64, CatalogError> {
        let unknown = self.unknown_files().await?;
        let moved = self.move_unknown(&unknown, now).await?;
        self.record_head().await;
        Ok(moved)
    }

    /// Refuses to write a lake whose catalog is not the one that was last written.
    ///
    /// # Errors
    /// [`CatalogError::OlderCatalog`]; [`CatalogError::Sql`].
    pub async fn refuse_stale_catalog(&self) -> Result<(), CatalogError> {
        match self.head_state().await? {
            HeadState::Differs(found) => Err(self.older_catalog(found)),
            HeadState::Agrees | HeadState::Missing => Ok(()),
        }
    }

    fn older_catalog(&self, found: String) -> CatalogError {
        CatalogError::OlderCatalog { folder: self.folder().to_owned(), found }
    }

    /// Without a head record the files alone tell whether the catalog is older than they are.
    async fn refuse_older_catalog(&self, unknown: &[PathBuf]) -> Result<(), CatalogError> {
        match self.head_state().await? {
            HeadState::Differs(found) => return Err(self.older_catalog(found)),
            HeadState::Agrees => return Ok(()),
            HeadState::Missing => {}
        }
        let data: Vec<&PathBuf> = unknown
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "parquet"))
            .collect();
        let known = self.known_paths().await?.len();
        if data.len() > UNKNOWN_FILES && data.len() * UNKNOWN_ONE_IN > known {
            return Err(self.older_catalog(format!(
                "the folder holds {} data files that the catalog does not know, beside {known} that it knows",
                data.len()
            )));
        }
        let newest = self.catalog_head().await?.snapshot_time;
        let limit = parse_time_text(&newest).map(|at| at.saturating_add(COMMIT_MICROS_MAX));
        let newer = data.iter().find(|path| limit.is_some_and(|limit| made_at(path) > Some(limit)));
        match newer {
            Some(path) => Err(self.older_catalog(format!(
                "`{}`, which the catalog does not know, was written more than a day after the catalog's newest commit of {newest}",
                path.display()
            ))),
            None => Ok(()),
        }
    }

    /// Data files and temporary files of the lake's tables that no commit refers to.
    async fn unknown_files(&self) -> Result<Vec<PathBuf>, CatalogError> {
        let known = self.known_paths().await?;
        let mut unknown = Vec::new();
        for entry in self.table_folders().flat_map(walkdir::WalkDir::new) {
            let entry = entry.map_err(|e| CatalogError::File {
                path: e.path().unwrap_or(self.folder()).to_owned(),
                source: e.into_io_error().unwrap_or_else(|| std::io::ErrorKind::Other.into()),
            })?;
            let is_lake_file =
                entry.path().extension().is_some_and(|e| e == "parquet" || e == "tmp");
            if entry.file_type().is_file() && is_lake_file && !known.contains(entry.path()) {
                unknown.push(entry.into_path());
            }
        }
        Ok(unknown)
    }

    async fn move_unknown(&self, unknown: &[PathBuf], now: i64) -> Result<u64, CatalogError> {
        let mut moved = 0;
        // A clock that is wrong must not make the files look old.
        let now = self.newest_commit_time().await?.map_or(now, |newest| newest.max(now));
        for path in unknown.iter().filter(|path| !(self.is_shared() && is_young(path))) {
            self.move_aside(path, now)?;
            moved += 1;
        }
        Ok(moved)
    }
}

/// When a data file was made (microseconds since 1970 UTC), by its name; by its last change where the name does not say.
fn made_at(path: &Path) -> Option<i64> {
    let name = path.file_stem().and_then(|name| name.to_str());
    let id = name.and_then(|name| uuid::Uuid::parse_str(name).ok());
    if let Some(made) = id.and_then(|id| id.get_timestamp()) {
        let (seconds, nanos) = made.to_unix();
        return i64::try_from(seconds)
            .ok()?
            .checked_mul(1_000_000)?
            .checked_add(i64::from(nanos / 1000));
    }
    let changed = path.metadata().and_then(|metadata| metadata.modified()).ok()?;
    i64::try_from(changed.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()
}

/// True if the file was changed within the last hour, or if its age cannot be read.
fn is_young(path: &Path) -> bool {
    let age = path
        .metadata()
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|changed| changed.elapsed().ok());
    age.is_none_or(|age| age < Duration::from_secs(3600))
}
