//! Reads the files of a folder of the user's.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// The text of the file at `path`, if it has at most `bytes_max` bytes. Anything else than a file is refused: a pipe would be
/// waited for without end.
///
/// # Errors
/// The system's error, or one that says what is wrong with the file.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut text = String::new();
    File::open(path)?.take(bytes_max + 1).read_to_string(&mut text)?;
    if text.len() as u64 > bytes_max {
        return Err(Error::new(
            ErrorKind::InvalidData,
            format!("it has more than {bytes_max} bytes"),
        ));
    }
    Ok(text)
}
