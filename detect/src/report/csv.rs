//! Writes the sections of a report as CSV, one file per section. No field becomes a formula in a
//! spreadsheet program.

use crate::report::model::{Report, SectionData};
use serde_json::Value;
use std::io;
use trailhound_datasets::sanitize::{csv_field, sanitize};

/// Returns name and CSV text of each section.
///
/// # Errors
/// [`io::Error`] of the CSV writer. It writes to memory, so none is expected.
pub fn csv(report: &Report) -> io::Result<Vec<(String, Vec<u8>)>> {
    report
        .sections
        .iter()
        .map(|section| Ok((section.name.clone(), section_csv(section)?)))
        .collect()
}

fn section_csv(section: &SectionData) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(section.columns.iter().map(|name| csv_field(name)))?;
    for row in &section.rows {
        writer.write_record(row.iter().map(field))?;
    }
    writer.into_inner().map_err(|e| e.into_error())
}

/// Writes a value. Numbers stay numbers, negative ones too; a text that would be a formula is
/// escaped.
fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => csv_field(&sanitize(text)),
        other => other.to_string(),
    }
}
