//! The language of messages and reports, and cutting a text to a length.

use trailhound_queries::packs::rules::BilingualText;

/// The language of a message or report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Chinese.
    Zh,
}

impl Language {
    /// `en` or `zh`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// Returns the text in this language.
    #[must_use]
    pub fn pick(self, text: &BilingualText) -> &str {
        match self {
            Self::En => &text.en,
            Self::Zh => &text.zh,
        }
    }
}

/// Cuts `text` to at most `bytes_max` bytes, mark included. It cuts between characters and appends
/// the mark `…[cut]`. A text that fits is returned unchanged.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> String {
    const MARK: &str = "…[cut]";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &text[..end])
}
