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
    /// Number of days that it asks audit records to be kept.
    pub retention_days_min: Option<u32>,
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
    /// What answers the recommendation beside rules: sections of reports, and commands that begin
    /// with `trailhound `.
    #[serde(default)]
    pub reports: Vec<String>,
    /// What rules and reports cannot show for the recommendation.
    pub cannot_show: Option<BilingualText>,
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

    /// A warning where the lake keeps events for `retention_days` and the benchmark asks for more.
    #[must_use]
    pub fn retention_warning(&self, retention_days: Option<u32>) -> Option<String> {
        let (asked, kept) = (self.retention_days_min?, retention_days?);
        (kept < asked).then(|| {
            format!(
                "`retention_days` is {kept}, and the benchmark {} asks for audit records of at least {asked} days",
                self.name
            )
        })
    }

    /// Ids of all rules of the profile, without duplicates.
    #[must_use]
    pub fn rules(&self) -> BTreeSet<&str> {
        self.sections.iter().flat_map(|section| &section.rules).map(String::as_str).collect()
    }
}
