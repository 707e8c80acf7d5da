//! The files of a report: whole or not at all, whatever happens meanwhile.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Who may read a report beside its owner: the group.
const MODE: u32 = 0o640;

/// Puts `content` into `folder` under `name`, in the place of what stood there; a link there is replaced, not followed.
///
/// # Errors
/// Where it cannot be written to its end; what stood there stays then.
pub fn keep(folder: &Path, name: &str, content: &[u8]) -> io::Result<PathBuf> {
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
