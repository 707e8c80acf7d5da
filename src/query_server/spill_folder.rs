//! The folder for the temporary files of one worker. A worker that is killed leaves what it has spilled; the service removes it.

use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Beginning of the folders' names. The process id of the service follows.
const PREFIX: &str = "trailhound-worker-";

/// The folder of one worker. It is removed when this is dropped.
pub(super) struct SpillFolder(TempDir);

impl SpillFolder {
    /// A new folder, which only this user can read.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written.
    pub(super) fn create() -> io::Result<Self> {
        let prefix = format!("{PREFIX}{}-", std::process::id());
        tempfile::Builder::new().prefix(&prefix).tempdir().map(Self)
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Removes the folders that services which have ended have left in the folder for temporary files.
pub(super) fn remove_left_folders() {
    let folder = std::env::temp_dir();
    let left = match left_folders(&folder) {
        Ok(left) => left,
        Err(error) => {
            tracing::warn!(%error, folder = %folder.display(), "temporary files of earlier services are not looked for");
            return;
        }
    };
    for path in left {
        match std::fs::remove_dir_all(&path) {
            Ok(()) => tracing::info!(path = %path.display(), "removed what a worker had left"),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "what a worker has left cannot be removed");
            }
        }
    }
}

/// The folders of workers in `folder` whose service does not run any more.
fn left_folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let process = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|rest| rest.split('-').next())
            .and_then(|process| process.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            left.push(entry.path());
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folders_of_services_that_have_ended_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = std::process::id();
        // No process has the highest id that a number can have.
        for name in [
            format!("{PREFIX}{}-a", u32::MAX),
            format!("{PREFIX}{own}-b"),
            "trailhound-worker-x-c".to_owned(),
            "other-4294967295-d".to_owned(),
        ] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let left = left_folders(folder.path()).expect("folders");
        assert_eq!(left, [folder.path().join(format!("{PREFIX}{}-a", u32::MAX))]);
    }

    #[test]
    fn a_folder_is_removed_with_what_is_in_it() {
        let spill = SpillFolder::create().expect("a folder");
        let path = spill.path().to_owned();
        std::fs::write(path.join("spilled"), b"x").expect("a file");
        drop(spill);
        assert!(!path.exists());
    }
}
