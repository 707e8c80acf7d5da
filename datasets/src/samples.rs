//! Sample events, compiled into the binary: one for each shape that real trails show. Accounts, keys and addresses are
//! invented.

use include_dir::{Dir, include_dir};

static SAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/samples");

/// A geolocation database in MaxMind's format: the address ranges reserved for documentation, with invented places.
/// `scripts/sample-addresses` makes it.
pub const ADDRESSES: &[u8] = include_bytes!("../samples/addresses.mmdb");

/// The sample event called `name`, as JSON text; `None` where there is no such sample.
#[must_use]
pub fn event(name: &str) -> Option<&'static str> {
    SAMPLES.get_file(format!("{name}.json"))?.contents_utf8()
}

/// Names of all sample events, sorted.
#[must_use]
pub fn event_names() -> Vec<&'static str> {
    let mut names: Vec<_> =
        SAMPLES.files().filter_map(|file| file.path().to_str()?.strip_suffix(".json")).collect();
    names.sort_unstable();
    names
}

/// File name and content of every container sample: the same two events in each layout and compression that the decoder
/// reads.
#[must_use]
pub fn containers() -> Vec<(&'static str, &'static [u8])> {
    let Some(folder) = SAMPLES.get_dir("containers") else { return Vec::new() };
    folder
        .files()
        .filter_map(|file| Some((file.path().file_name()?.to_str()?, file.contents())))
        .collect()
}
