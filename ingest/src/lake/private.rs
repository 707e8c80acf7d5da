//! Makes the files of a lake: readable for the user and the group of the program, and for nobody else. Audit logs hold the
//! names and addresses of people.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes the file at `path`, which must not exist, for writing.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    options().create_new(true).open(path)
}

/// Opens the file at `path` for reading and writing; makes an empty one where there is none.
pub(super) fn open_or_create(path: &Path) -> io::Result<File> {
    options().create(true).truncate(false).open(path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options
}
