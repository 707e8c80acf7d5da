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

    /// The text of the message, at most `bytes_max` bytes: the subject, the figures, and the places
    /// of the files. Of many places as many as fit are listed, at least one, and the number of the
    /// others; figures that do not fit are left out before it.
    #[must_use]
    pub fn text(&self, bytes_max: usize) -> String {
        let text = |figures: usize, places: usize| {
            let mut lines = vec![self.subject.clone()];
            lines.extend(self.figures.iter().take(figures).cloned());
            if figures < self.figures.len() {
                lines.push(format!("… (+{})", self.figures.len() - figures));
            }
            lines.extend(self.places.iter().take(places).cloned());
            if places < self.places.len() {
                lines.push(format!("… (+{})", self.places.len() - places));
            }
            lines.join("\n")
        };
        let (figures, places) = (self.figures.len(), self.places.len());
        let fewer_places = (1..=places).rev().map(|places| (figures, places));
        let fewer_figures = (0..figures).rev().map(|figures| (figures, places.min(1)));
        std::iter::once((figures, places))
            .chain(fewer_places)
            .chain(fewer_figures)
            .map(|(figures, places)| text(figures, places))
            .find(|text| text.len() <= bytes_max)
            .unwrap_or_else(|| cut(&text(0, places.min(1)), bytes_max))
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
                Some("xlsx") => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_that_does_not_fit_keeps_a_place_and_says_what_it_leaves_out() {
        let notice = Notice {
            subject: "周报".to_owned(),
            figures: (0..8).map(|number| format!("figure {number}: 12 (before 3)")).collect(),
            files: Vec::new(),
            places: (0..20).map(|n| format!("https://reports.example.com/{n:0>60}.csv")).collect(),
        };
        let whole = notice.text(8000);
        assert!(whole.ends_with(&notice.places[19]) && whole.lines().count() == 29, "{whole}");
        let text = notice.text(2000);
        assert!(text.len() <= 2000 && text.contains("figure 7"), "{text}");
        let listed = text.lines().filter(|line| line.starts_with("https")).count();
        assert!(listed > 10 && text.ends_with(&format!("\n… (+{})", 20 - listed)), "{text}");
        let text = notice.text(200);
        assert!(text.len() <= 200 && text.contains(&notice.places[0]), "{text}");
        assert!(text.contains("\n… (+") && text.ends_with("\n… (+19)"), "{text}");
    }
}
