//! Generated documents that are kept in the repository.

use std::path::Path;

/// Asserts that `file` holds `found`; with `TRAILHOUND_WRITE_GOLDEN=1` writes the file first.
pub(crate) fn assert_written(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("TRAILHOUND_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("the file is written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == found, "{file} is not as generated; TRAILHOUND_WRITE_GOLDEN=1 writes it");
}
