//! What people are told of a report that was made: its first numbers and where it is.

use super::Report;
use super::view::{Cell, Said};
use crate::sinks::words::{Language, cut};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Figures that are told.
const TOLD: [&str; 8] =
    ["critical", "high", "medium", "low", "info", "sign_ins_without_mfa", "root_events", "stops"];
/// Files beyond so many bytes in all are not attached to a mail.
const ATTACHED_BYTES_MAX: u64 = 10 << 20;

/// A report that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its title with its period, in its language.
    pub subject: String,
    /// Its first numbers, a line each: with words of ours and numbers only.
    pub figures: Vec<String>,
    /// Its files.
    pub files: Vec<PathBuf>,
    /// Where people open them: paths, or links.
    pub places: Vec<String>,
}

impl Notice {
    /// Of `report`, whose `files` are in place.
    ///
    /// # Errors
    /// What of the product's own material does not read; a test makes sure that all does.
    pub fn new(report: &Report, language: Language, files: Vec<PathBuf>) -> Result<Self, String> {
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
        Ok(Self {
            subject: format!(
                "{}, {}",
                super::said(&report.title, language),
                report.period.in_words()
            ),
            figures: figures
                .map(|part| part.rows.iter().filter(told).map(line).collect())
                .unwrap_or_default(),
            places: files.iter().map(|file| file.display().to_string()).collect(),
            files,
        })
    }

    /// The same with links below `base` in the place of paths.
    #[must_use]
    pub fn linked(mut self, base: &str) -> Self {
        let name =
            |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.places = self
            .files
            .iter()
            .map(|file| format!("{}/{}", base.trim_end_matches('/'), name(file)))
            .collect();
        self
    }

    /// The message, at most `bytes_max` bytes.
    #[must_use]
    pub fn text(&self, bytes_max: usize) -> String {
        let lines: Vec<&str> = std::iter::once(&self.subject)
            .chain(&self.figures)
            .chain(&self.places)
            .map(String::as_str)
            .collect();
        cut(&lines.join("\n"), bytes_max)
    }

    /// Name, media type and content of the files that go with a mail; none where they are too large together.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub(crate) fn attachments(&self) -> std::io::Result<Vec<(String, &'static str, Vec<u8>)>> {
        let sizes = self
            .files
            .iter()
            .map(|file| Ok(std::fs::metadata(file)?.len()))
            .collect::<std::io::Result<Vec<u64>>>()?;
        if sizes.iter().sum::<u64>() > ATTACHED_BYTES_MAX {
            return Ok(Vec::new());
        }
        let attached = |file: &PathBuf| {
            let media = match file.extension().and_then(|extension| extension.to_str()) {
                Some("html") => "text/html",
                Some("pdf") => "application/pdf",
                Some("json") => "application/json",
                Some("csv") => "text/csv",
                _ => "text/markdown",
            };
            Ok((
                file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                media,
                std::fs::read(file)?,
            ))
        };
        self.files.iter().map(attached).collect()
    }
}
