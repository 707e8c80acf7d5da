//! One writer at a time: a SQLite catalogue on one machine has exactly one. PostgreSQL keeps several apart by itself.

use super::catalog::{CatalogError, Lake};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

const LOCK_FILE: &str = "writer.lock";
/// Content while a writer has files open that no commit refers to yet.
const BUSY: &[u8] = b"writing";

/// The right to write a lake, given back when dropped. The operating system takes it back from a dead process.
#[derive(Debug)]
pub struct WriterLock {
    /// The locked file; `None` where several may write.
    file: Option<File>,
    path: PathBuf,
    after_crash: bool,
}

impl WriterLock {
    /// Takes the lock of `lake`.
    ///
    /// # Errors
    /// [`CatalogError::Locked`] while another process holds it; [`CatalogError::File`] where the file cannot be made.
    pub fn take(lake: &Lake) -> Result<Self, CatalogError> {
        let path = lake.folder().join(LOCK_FILE);
        if lake.is_shared() {
            return Ok(Self { file: None, path, after_crash: false });
        }
        let failed = |source| CatalogError::File { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
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

    /// The last writer did not end in order: files without a commit may lie about.
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

    /// Ends writing in order: everything written is committed or removed.
    ///
    /// # Errors
    /// [`CatalogError::File`] where the mark cannot be written; the next writer then sweeps for nothing.
    pub fn release(mut self) -> Result<(), CatalogError> {
        self.mark(b"")
    }
}
