//! What reports are made of: profiles, sections with their queries, and the words for people, as data files.

use crate::packs::front_matter;
use crate::packs::rules::BilingualText;
use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/reports");

/// For whom a report is, and what stands in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportProfile {
    /// What it is asked for by.
    pub name: String,
    /// What it is.
    pub title: BilingualText,
    /// Names of its sections in order.
    pub sections: Vec<String>,
    /// The benchmark whose recommendations it goes through.
    pub benchmark: Option<String>,
}

/// How a section is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    /// Row by row.
    #[default]
    Table,
    /// A number each with what it was before.
    Figures,
    /// Stacked bars over time.
    Bars,
}

/// A part of a report.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Its name: the file's.
    #[serde(skip)]
    pub name: String,
    /// What it shows.
    pub title: BilingualText,
    /// How to read it.
    pub about: BilingualText,
    /// What is said where there is nothing.
    pub empty: BilingualText,
    /// How it is shown.
    #[serde(default)]
    pub show: Show,
    /// The series of bars in order; those there are without.
    #[serde(default)]
    pub series: Vec<String>,
    /// The query; none where it is no query's result. It reads `$since`, `$until` (the period), `$before` (first moment of the one before),
    /// `$history` (ninety days before the period) and `$stored_until`.
    #[serde(skip)]
    pub sql: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profiles {
    profile: Vec<ReportProfile>,
}

/// Every profile.
///
/// # Errors
/// What does not read; a test makes sure that all do.
pub fn profiles() -> Result<Vec<ReportProfile>, String> {
    let read: Profiles =
        toml::from_str(text("profiles.toml")?).map_err(|e| format!("profiles.toml: {e}"))?;
    Ok(read.profile)
}

/// The section `name`.
///
/// # Errors
/// What does not read; a test makes sure that all do.
pub fn section(name: &str) -> Result<Section, String> {
    let (section, sql) = match text(&format!("sections/{name}.sql")) {
        Ok(text) => front_matter::read::<Section>(text).map(|(section, sql)| (section, Some(sql))),
        Err(_) => toml::from_str(text(&format!("sections/{name}.toml"))?)
            .map(|section| (section, None))
            .map_err(|e| e.to_string()),
    }
    .map_err(|e| format!("section `{name}`: {e}"))?;
    Ok(Section { name: name.to_owned(), sql, ..section })
}

fn text(path: &str) -> Result<&'static str, String> {
    FILES
        .get_file(path)
        .and_then(include_dir::File::contents_utf8)
        .ok_or_else(|| format!("there is no `reports/{path}`"))
}

/// What stands in reports for people.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// Columns by name.
    pub columns: BTreeMap<String, BilingualText>,
    /// Values of columns that hold words of ours: as they stand in the data, in English, in Chinese.
    pub values: BTreeMap<String, Vec<[String; 3]>>,
    /// Words around the sections.
    pub page: BTreeMap<String, BilingualText>,
}

/// The words.
///
/// # Errors
/// What does not read; a test makes sure that all do.
pub fn words() -> Result<Words, String> {
    toml::from_str(text("words.toml")?).map_err(|e| format!("words.toml: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_profile_has_its_sections_and_every_section_a_profile() {
        let profiles = profiles().expect("read");
        let mut used = BTreeSet::new();
        for name in profiles.iter().flat_map(|profile| &profile.sections) {
            let section = section(name).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(
                section.sql.is_none(),
                ["entities_at_risk", "controls", "blind_spots"].contains(&name.as_str()),
                "{name}"
            );
            used.insert(name.clone());
        }
        let there = FILES.get_dir("sections").expect("sections").files();
        let there: BTreeSet<String> = there
            .map(|file| file.path().file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        assert_eq!(used, there);
        words().expect("read");
    }
}
