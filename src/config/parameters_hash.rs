//! A hash that identifies the parameters of the rules. A report stores it, so that `--verify` can
//! tell whether they have changed.

use super::location::ConfigLocation;
use crate::exit::Failure;
use std::fs;
use std::path::Path;
use toml::{Table, Value};
use xxhash_rust::xxh3::Xxh3;

/// The hash, in hexadecimal, of the `[parameters]` section and of the files that it names.
///
/// # Errors
/// [`Failure::Usage`]: the configuration or a file cannot be read.
pub(super) fn parameters_hash(location: &ConfigLocation) -> Result<String, Failure> {
    let mut hash = Xxh3::new();
    let table: Table = toml::from_str(&location.read_text()?).map_err(Failure::usage)?;
    if let Some(parameters) = table.get("parameters") {
        hash.update(parameters.to_string().as_bytes());
        add_files(parameters, &location.folder, &mut hash).map_err(Failure::usage)?;
    }
    Ok(format!("{:032x}", hash.digest128()))
}

/// Adds the content of each file whose path is a string in `value`.
fn add_files(value: &Value, folder: &Path, hash: &mut Xxh3) -> std::io::Result<()> {
    match value {
        Value::String(text) if folder.join(text).is_file() => {
            hash.update(&fs::read(folder.join(text))?)
        }
        Value::Array(values) => {
            values.iter().try_for_each(|value| add_files(value, folder, hash))?
        }
        Value::Table(table) => {
            table.values().try_for_each(|value| add_files(value, folder, hash))?
        }
        _ => {}
    }
    Ok(())
}
