//! The notice of a report: the message that sinks send when a report was created.

use crate::finding::language::cut;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Files of more bytes than this together are not attached to a mail.
const ATTACHED_BYTES_MAX: u64 = 10 << 20;

/// The message about a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The report's title with its period, in its language.
    pub subject: String,
    /// The report's first figures, one per line: the program's own words and numbers, nothing out of events.
    pub figures: Vec<String>,
    /// The report's files.
    pub files: Vec<PathBuf>,
    /// Where people open the files: paths or links.
    pub places: Vec<String>,
}

impl Notice {
    /// This notice with links below `base` instead of paths.
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

    /// The text of the message, at most `bytes_max` bytes.
    #[must_use]
    pub fn text(&self, bytes_max: usize) -> String {
        let lines: Vec<&str> = std::iter::once(&self.subject)
            .chain(&self.figures)
            .chain(&self.places)
            .map(String::as_str)
            .collect();
        cut(&lines.join("\n"), bytes_max)
    }

    /// Name, media type and content of the files to attach to a mail; none where they are too large together.
    ///
    /// # Errors
    /// Where a file cannot be read.
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
