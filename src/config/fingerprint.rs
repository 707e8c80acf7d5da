//! What tells one set of parameters from another.

use super::{Config, read_text};
use crate::exit::Failure;
use std::fs;
use std::path::Path;
use toml::{Table, Value};
use xxhash_rust::xxh3::Xxh3;

impl Config {
    /// A hash of the parameters as they are written, and of the files that they name.
    pub(crate) fn parameters_hash(&self) -> Result<String, Failure> {
        let mut hash = Xxh3::new();
        if let Some(path) = &self.path {
            let table: Table = toml::from_str(&read_text(path)?).map_err(Failure::usage)?;
            if let Some(parameters) = table.get("parameters") {
                hash.update(parameters.to_string().as_bytes());
                add_files(parameters, &self.folder, &mut hash).map_err(Failure::usage)?;
            }
        }
        Ok(format!("{:032x}", hash.digest128()))
    }
}

/// Adds what stands in the files whose names are among the texts of `value`.
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
