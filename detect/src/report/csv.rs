//! Writes the sections of a report as CSV, one file per section, and a file that lists them. No field
//! becomes a formula in a spreadsheet program. Times are in the time zone of the report.

use crate::report::model::{Report, SectionData};
use crate::report::period::Period;
use crate::report::view::local_value;
use serde_json::Value;
use std::borrow::Cow;
use trailhound_datasets::sanitize::sanitize;
use trailhound_datasets::spreadsheet::{BYTE_ORDER_MARK, csv_field, csv_line};

/// Name of the file that lists the sections.
const CONTENTS: &str = "contents";

/// Returns name and CSV text of each section, and first a list of the sections with the number of
/// their rows in the files and beyond. With `bom` each text starts with a byte order mark.
#[must_use]
pub fn csv(report: &Report, bom: bool) -> Vec<(String, String)> {
    let start = if bom { BYTE_ORDER_MARK } else { "" };
    let contents = (CONTENTS.to_owned(), format!("{start}{}", contents_csv(report)));
    let section = |section: &SectionData| {
        (section.name.clone(), format!("{start}{}", section_csv(section, report.period)))
    };
    std::iter::once(contents).chain(report.sections.iter().map(section)).collect()
}

/// The sections with the number of their rows, and of those that the report leaves out.
fn contents_csv(report: &Report) -> String {
    let header = ["section", "title_en", "title_zh", "rows", "omitted_rows"];
    let mut text = csv_line(header.map(Cow::Borrowed));
    for section in &report.sections {
        let (rows, omitted) = (section.rows.len().to_string(), section.omitted_rows.to_string());
        let fields = [&section.name, &section.title.en, &section.title.zh, &rows, &omitted];
        text.push_str(&csv_line(fields.map(|field| csv_field(field))));
    }
    text
}

fn section_csv(section: &SectionData, period: Period) -> String {
    let mut text = csv_line(section.columns.iter().map(|name| csv_field(name)));
    for row in &section.rows {
        let fields = section.columns.iter().zip(row);
        text.push_str(&csv_line(fields.map(|(column, value)| field(column, value, period))));
    }
    text
}

/// Writes a value. Numbers stay numbers, negative ones too; a text that would be a formula is
/// escaped.
fn field<'v>(column: &str, value: &'v Value, period: Period) -> Cow<'v, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => {
            let text = sanitize(&local_value(column, text, period.time_zone));
            Cow::Owned(csv_field(&text).into_owned())
        }
        other => Cow::Owned(other.to_string()),
    }
}
