//! Removes the files that an interrupted writer has left behind.

use super::catalog::Lake;
use super::error::CatalogError;
use super::lock::WriterLock;
use std::path::Path;
use std::time::Duration;

impl Lake {
    /// Removes the data files and temporary files of the lake that no commit refers to. Returns the
    /// number of removed files. The caller must hold the writer lock. In a shared lake, files
    /// younger than an hour are kept, because another process may still be writing them.
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
            let is_lake_file =
                entry.path().extension().is_some_and(|e| e == "parquet" || e == "tmp");
            if entry.file_type().is_file()
                && is_lake_file
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

/// True if the file was changed within the last hour, or if its age cannot be read.
fn is_young(path: &Path) -> bool {
    let age = path
        .metadata()
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|changed| changed.elapsed().ok());
    age.is_none_or(|age| age < Duration::from_secs(3600))
}
