//! The building blocks of reports, as data files: report profiles, sections with their queries, and
//! labels in two languages.

use crate::packs::front_matter;
use crate::packs::rules::BilingualText;
use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/reports");

/// A kind of report: which sections it shows, in which order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportProfile {
    /// Name on the command line.
    pub name: String,
    /// Title of the report.
    pub title: BilingualText,
    /// Names of its sections, in order.
    pub sections: Vec<String>,
    /// Name of the benchmark profile whose recommendations the section `controls` lists.
    pub benchmark: Option<String>,
}

/// How a section is laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SectionLayout {
    /// A table, one line per row.
    #[default]
    Table,
    /// Single figures, each beside its value in the previous period.
    Figures,
    /// Bars over time, stacked by series.
    Bars,
}

/// A section of a report.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportSection {
    /// Name of the section: the file name without its extension.
    #[serde(skip)]
    pub name: String,
    /// Title.
    pub title: BilingualText,
    /// How to read the section.
    pub about: BilingualText,
    /// Text shown instead of an empty section.
    pub empty: BilingualText,
    /// Layout.
    #[serde(default)]
    pub show: SectionLayout,
    /// Order of the series of [`SectionLayout::Bars`]. Where empty, the series of the data are
    /// shown in their own order.
    #[serde(default)]
    pub series: Vec<String>,
    /// The query; `None` for a section that the program computes itself. It reads the parameters
    /// `$since` and `$until` (the period), `$before` (start of the previous period), `$history`
    /// (ninety days before the period) and `$stored_until` (the report leaves out what was stored
    /// later).
    #[serde(skip)]
    pub sql: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfilesFile {
    profile: Vec<ReportProfile>,
}

/// Every report profile.
///
/// # Errors
/// The message of the parser. A test makes sure that all files parse.
pub fn profiles() -> Result<Vec<ReportProfile>, String> {
    let read: ProfilesFile =
        toml::from_str(text("profiles.toml")?).map_err(|e| format!("profiles.toml: {e}"))?;
    Ok(read.profile)
}

/// The section called `name`.
///
/// # Errors
/// An unknown section, or the message of the parser. A test makes sure that all files parse.
pub fn section(name: &str) -> Result<ReportSection, String> {
    let (section, sql) = match text(&format!("sections/{name}.sql")) {
        Ok(text) => {
            front_matter::parse::<ReportSection>(text).map(|(section, sql)| (section, Some(sql)))
        }
        Err(_) => toml::from_str(text(&format!("sections/{name}.toml"))?)
            .map(|section| (section, None))
            .map_err(|e| e.to_string()),
    }
    .map_err(|e| format!("section `{name}`: {e}"))?;
    Ok(ReportSection { name: name.to_owned(), sql, ..section })
}

fn text(path: &str) -> Result<&'static str, String> {
    FILES
        .get_file(path)
        .and_then(include_dir::File::contents_utf8)
        .ok_or_else(|| format!("there is no `reports/{path}`"))
}

/// The labels that reports show, in two languages: column headings, coded values and page texts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportLabels {
    /// Column headings by column name.
    pub columns: BTreeMap<String, BilingualText>,
    /// Translations of coded values by column name: the value in the data, in English, in Chinese.
    pub values: BTreeMap<String, Vec<[String; 3]>>,
    /// Labels of the page outside of the sections, by key.
    pub page: BTreeMap<String, BilingualText>,
}

/// The labels.
///
/// # Errors
/// The message of the parser. A test makes sure that the file parses.
pub fn report_labels() -> Result<ReportLabels, String> {
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
        report_labels().expect("read");
    }
}
