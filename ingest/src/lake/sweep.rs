//! Removes files that an interrupted writer left.

use super::catalog::Lake;
use super::error::CatalogError;
use super::lock::WriterLock;
use std::path::Path;
use std::time::Duration;

impl Lake {
    /// Removes files below the lake that no commit refers to. Only for the holder of the writer lock. Where others may be
    /// writing, files younger than an hour may be theirs and stay.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn sweep(&self, _lock: &WriterLock) -> Result<u64, CatalogError> {
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
