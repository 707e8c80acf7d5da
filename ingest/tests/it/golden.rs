//! Compares decoded samples with golden files. `TRAILHOUND_WRITE_GOLDEN=1` overwrites the golden
//! files, to accept an intended difference.

use crate::support::rows;
use std::path::Path;
use trailhound_datasets::samples;

#[test]
fn every_sample_decodes_to_its_golden_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets/golden");
    let write = std::env::var_os("TRAILHOUND_WRITE_GOLDEN").is_some();
    for name in samples::event_names() {
        let row = rows(samples::event(name).expect("a sample").as_bytes());
        let found = format!("{}\n", serde_json::to_string_pretty(&row).expect("text"));
        let path = folder.join(format!("{name}.json"));
        if write {
            std::fs::write(&path, &found).expect("the golden file is written");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(expected, found, "{name}");
    }
}

#[test]
fn the_column_documentation_is_generated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    let found = trailhound_datasets::columns::documentation();
    if std::env::var_os("TRAILHOUND_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &found).expect("the documentation is written");
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap_or_default(),
        found,
        "docs/events.md; TRAILHOUND_WRITE_GOLDEN=1 writes it"
    );
}
