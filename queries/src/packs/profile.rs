//! Benchmark profiles: which rules cover which recommendations of a security benchmark.

use crate::packs::rules::BilingualText;
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use std::collections::BTreeSet;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles");

/// A benchmark with its recommendations and the rules that cover them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkProfile {
    /// Name on the command line.
    pub name: String,
    /// Title of the benchmark.
    pub title: BilingualText,
    /// Recommendations, in the benchmark's order.
    pub sections: Vec<BenchmarkSection>,
}

/// One recommendation of a benchmark.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkSection {
    /// Section number in the benchmark.
    pub section: String,
    /// Title of the recommendation: the activity that the benchmark recommends to monitor.
    pub title: BilingualText,
    /// Ids of the rules that cover the recommendation.
    pub rules: Vec<String>,
}

impl BenchmarkProfile {
    /// Every built-in profile.
    ///
    /// # Errors
    /// The file that cannot be parsed, with the parser's message. A test makes sure there is none.
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

    /// Ids of all rules of the profile, without duplicates.
    #[must_use]
    pub fn rules(&self) -> BTreeSet<&str> {
        self.sections.iter().flat_map(|section| &section.rules).map(String::as_str).collect()
    }
}
