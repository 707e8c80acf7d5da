//! Compares a report with the same report computed again.

use crate::report::model::{Report, SectionData};
use serde_json::{Value, json};

/// Describes each difference between `report` and `again`, the same report computed again, in a
/// sentence. Empty if all numbers are the same.
#[must_use]
pub fn differences(report: &Report, again: &Report) -> Vec<String> {
    let mut differences = Vec::new();
    if report.provenance.parameters_hash != again.provenance.parameters_hash {
        differences.push("the parameters are not those of the report".to_owned());
    }
    for (rule, version) in &report.provenance.rule_versions {
        match again.provenance.rule_versions.get(rule) {
            Some(now) if now == version => {}
            Some(now) => differences
                .push(format!("rule {rule} was of version {version} and is of version {now}")),
            None => differences.push(format!("rule {rule} does not run here")),
        }
    }
    for section in &report.sections {
        let name = &section.name;
        match again.sections.iter().find(|other| other.name == *name) {
            None => {
                differences.push(format!("section `{name}`: this program does not know it"));
            }
            Some(other) if is_same_data(section, other) => {}
            Some(other) => {
                differences.push(format!("section `{name}`: {}", first_difference(section, other)));
            }
        }
    }
    differences
}

/// True if both sections have the same columns and number of rows, and the rows that `section`
/// holds are the first rows of `again`. An HTML report holds fewer rows than the report it was made
/// from.
fn is_same_data(section: &SectionData, again: &SectionData) -> bool {
    section.columns == again.columns
        && section.row_count() == again.row_count()
        && again.rows.starts_with(&section.rows)
}

/// Describes the first row in which the sections differ.
fn first_difference(section: &SectionData, again: &SectionData) -> String {
    let line = |row: Option<&Vec<Value>>| {
        row.map_or_else(|| "nothing".to_owned(), |row| json!(row).to_string())
    };
    if section.columns != again.columns {
        return "its columns are others now".to_owned();
    }
    let first = (0..section.rows.len()).find(|&at| section.rows.get(at) != again.rows.get(at));
    let counts = format!("{} rows in the report, {} now", section.row_count(), again.row_count());
    first.map_or_else(
        || counts.clone(),
        |at| {
            format!(
                "{counts}; row {}: {} in the report, {} now",
                at + 1,
                line(section.rows.get(at)),
                line(again.rows.get(at))
            )
        },
    )
}
