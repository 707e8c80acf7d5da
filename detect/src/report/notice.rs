//! What people are told of a report that was made: its first numbers and where it is.

use super::Report;
use super::view::{Cell, Said};
use crate::finding::language::Language;
use crate::store::Notice;
use std::path::PathBuf;

/// Figures that are told.
const TOLD: [&str; 8] =
    ["critical", "high", "medium", "low", "info", "sign_ins_without_mfa", "root_events", "stops"];

/// Of `report`, whose `files` are in place.
///
/// # Errors
/// What of the product's own material does not read; a test makes sure that all does.
pub fn notice(report: &Report, language: Language, files: Vec<PathBuf>) -> Result<Notice, String> {
    let said = Said::new(language)?;
    let figures = report
        .sections
        .iter()
        .find(|section| section.name == "figures")
        .map(|section| said.part(section, usize::MAX));
    let told =
        |row: &&Vec<Cell>| row[0].tone.as_deref().is_some_and(|figure| TOLD.contains(&figure));
    let line = |row: &Vec<Cell>| {
        format!("{}: {} ({} {})", row[0].text, row[1].text, said.page("before"), row[2].text)
    };
    Ok(Notice {
        subject: format!("{}, {}", super::said(&report.title, language), report.period.in_words()),
        figures: figures
            .map(|part| part.rows.iter().filter(told).map(line).collect())
            .unwrap_or_default(),
        places: files.iter().map(|file| file.display().to_string()).collect(),
        files,
    })
}
