//! Writes the files of a report atomically: each is complete or not there, also after a crash.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// File mode: the owner reads and writes, the group reads.
const MODE: u32 = 0o640;

/// Writes `content` to the file `name` in `folder` and returns its path. A missing folder is created.
/// An existing file is replaced; so is a link, which is not followed.
///
/// # Errors
/// [`io::Error`] where the folder or file cannot be written. An existing file stays as it is then.
pub fn write_atomically(folder: &Path, name: &str, content: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".report-")
        .permissions(Permissions::from_mode(MODE))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    let path = folder.join(name);
    file.persist(&path)?;
    Ok(path)
}
