//! Makes the notice of a report, which sinks send to people: its key figures and where its files
//! are.

use crate::finding::language::Language;
use crate::report::model::Report;
use crate::report::view::{CellView, Labels};
use crate::store::Notice;
use std::path::PathBuf;

/// The figures that a notice lists.
const LISTED_FIGURES: [&str; 8] =
    ["critical", "high", "medium", "low", "info", "sign_ins_without_mfa", "root_events", "stops"];

/// Makes the notice of `report`, which was written to `files`.
///
/// # Errors
/// A sentence where a label that comes with the product cannot be read; tests rule that out.
pub fn report_notice(
    report: &Report,
    language: Language,
    files: Vec<PathBuf>,
) -> Result<Notice, String> {
    let labels = Labels::new(language)?;
    let figures = report
        .sections
        .iter()
        .find(|section| section.name == "figures")
        .map(|section| labels.section_view(section, usize::MAX));
    let is_listed = |row: &&Vec<CellView>| {
        row[0].tone.as_deref().is_some_and(|figure| LISTED_FIGURES.contains(&figure))
    };
    let line = |row: &Vec<CellView>| {
        format!(
            "{}: {} ({} {})",
            row[0].text,
            row[1].text,
            labels.page_label("before"),
            row[2].text
        )
    };
    Ok(Notice {
        subject: format!("{}, {}", language.pick(&report.title), report.period.label()),
        figures: figures
            .map(|section| section.rows.iter().filter(is_listed).map(line).collect())
            .unwrap_or_default(),
        places: files.iter().map(|file| file.display().to_string()).collect(),
        files,
    })
}
