//! Profiles: which rules fulfil the recommendations of a benchmark.

use crate::packs::rules::BilingualText;
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use std::collections::BTreeSet;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles");

/// A benchmark's recommendations with the rules that fulfil them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What it is asked for by.
    pub name: String,
    /// What it is.
    pub title: BilingualText,
    /// Its recommendations in order.
    pub sections: Vec<Section>,
}

/// One recommendation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Its number.
    pub section: String,
    /// What is to be monitored.
    pub title: BilingualText,
    /// Ids of the rules that do.
    pub rules: Vec<String>,
}

impl Profile {
    /// All profiles.
    ///
    /// # Errors
    /// The file that does not read and why; a test makes sure there is none.
    pub fn all() -> Result<Vec<Self>, String> {
        let files = FILES.files();
        files
            .map(|file| {
                let text = file.contents_utf8().unwrap_or_default();
                toml::from_str(text)
                    .map_err(|e| format!("profile `{}`: {e}", file.path().display()))
            })
            .collect()
    }

    /// Ids of its rules, each once.
    #[must_use]
    pub fn rules(&self) -> BTreeSet<&str> {
        self.sections.iter().flat_map(|section| &section.rules).map(String::as_str).collect()
    }
}
