//! The writer lock of a lake on SQLite: one process writes at a time. A lake on PostgreSQL needs no lock; its transactions keep
//! several writers apart.

use super::catalog::Lake;
use super::error::CatalogError;
use super::private;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

const LOCK_FILE: &str = "writer.lock";
/// Content of the lock file while a writer may have files that no commit refers to yet.
const BUSY: &[u8] = b"writing";

/// The right to write a lake, released when dropped. The operating system releases it when the
/// process ends.
#[derive(Debug)]
pub struct WriterLock {
    /// The locked file; `None` on PostgreSQL.
    file: Option<File>,
    path: PathBuf,
    after_crash: bool,
}

impl WriterLock {
    /// Takes the lock of `lake`.
    ///
    /// # Errors
    /// [`CatalogError::OlderCatalog`] where the catalog is not the one that was last written; [`CatalogError::Locked`] while
    /// another process holds the lock; [`CatalogError::ReadOnly`]; [`CatalogError::File`] where the file cannot be made.
    pub async fn take(lake: &Lake) -> Result<Self, CatalogError> {
        let lock = Self::take_whatever_catalog(lake)?;
        lake.refuse_stale_catalog().await?;
        Ok(lock)
    }

    /// As [`Self::take`], also where the catalog is not the one that was last written: to repair that.
    ///
    /// # Errors
    /// As [`Self::take`], without [`CatalogError::OlderCatalog`].
    pub fn take_whatever_catalog(lake: &Lake) -> Result<Self, CatalogError> {
        if lake.is_read_only() {
            return Err(CatalogError::ReadOnly { folder: lake.folder().to_owned() });
        }
        let path = lake.folder().join(LOCK_FILE);
        if lake.is_shared() {
            return Ok(Self { file: None, path, after_crash: false });
        }
        let failed = |source| CatalogError::File { path: path.clone(), source };
        let mut file = private::open_or_create(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CatalogError::Locked { folder: lake.folder().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(CatalogError::File { path, source }),
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(failed)?;
        let mut lock = Self { after_crash: content == BUSY, file: Some(file), path: path.clone() };
        lock.mark(BUSY)?;
        Ok(lock)
    }

    /// True where another process holds the lock of `lake`. Does not take it.
    #[must_use]
    pub fn is_held(lake: &Lake) -> bool {
        let file = OpenOptions::new().read(true).open(lake.folder().join(LOCK_FILE));
        // A shared lock is refused while a writer has its own; it is released when the file is closed.
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The last writer did not release the lock: there may be files that no commit refers to.
    #[must_use]
    pub fn after_crash(&self) -> bool {
        self.after_crash
    }

    fn mark(&mut self, content: &[u8]) -> Result<(), CatalogError> {
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(content)?;
            file.sync_all()
        };
        let Some(file) = &mut self.file else { return Ok(()) };
        write(file).map_err(|source| CatalogError::File { path: self.path.clone(), source })
    }

    /// Releases the lock after everything written is committed or removed.
    ///
    /// # Errors
    /// [`CatalogError::File`] where the lock file cannot be written; the next writer then looks for files that are not there.
    pub fn release(mut self) -> Result<(), CatalogError> {
        self.mark(b"")
    }
}
