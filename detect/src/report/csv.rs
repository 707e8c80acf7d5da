//! The sections of a report as CSV, a file each, every field safe to open in a spreadsheet.

use super::{Filled, Report};
use serde_json::Value;
use std::io;
use trailhound_datasets::sanitize::{csv_field, sanitize};

/// Name and content of each section's file.
///
/// # Errors
/// None that is known: memory is written to.
pub fn csv(report: &Report) -> io::Result<Vec<(String, Vec<u8>)>> {
    report.sections.iter().map(|section| Ok((section.name.clone(), written(section)?))).collect()
}

fn written(section: &Filled) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(section.columns.iter().map(|name| csv_field(name)))?;
    for row in &section.rows {
        writer.write_record(row.iter().map(field))?;
    }
    writer.into_inner().map_err(|e| e.into_error())
}

/// A number stays one, a negative one too; a text cannot become a formula.
fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => csv_field(&sanitize(text)),
        other => other.to_string(),
    }
}
