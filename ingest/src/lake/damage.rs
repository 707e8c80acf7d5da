//! Which data files are damaged, and which this process has found sound.

use serde::Serialize;
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A data file that is missing, or not what was committed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DamagedFile {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub found: String,
}

impl fmt::Display for DamagedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file `{}`: {}", self.path.display(), self.found)
    }
}

/// Files that this process has found as they were committed. Their content never changes.
#[derive(Debug, Default)]
pub(super) struct CheckedFiles(Mutex<HashSet<PathBuf>>);

impl CheckedFiles {
    pub(super) fn contains(&self, path: &Path) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    pub(super) fn insert(&self, path: PathBuf) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
    }
}
