//! The rule set: detection rules as data files. A rule is two files with one name, in a folder
//! that names the rule's group: a query, and a description with test cases.
//!
//! Example: `own/snapshot_deleted.sql` returns one row for each event that matches.
//!
//! ```sql
//! -- Snapshots that are deleted.
//! SELECT events.*, 'event = ' || event_name AS why
//! FROM events
//! WHERE event_action = 'deletesnapshot' AND outcome = 'success'
//! ```
//!
//! `own/snapshot_deleted.toml` describes it (the texts in Chinese, the references and the test
//! cases are left out here):
//!
//! ```toml
//! id = "AT-OWN-001"
//! version = "1.0.0"
//! title = { en = "Snapshot deleted", zh = "..." }
//! severity = "medium"
//! attack = ["T1490"]
//! prefilter = "event_action = 'deletesnapshot'"
//! dedup = { columns = ["principal_id"], window = "1h" }
//! ```
//!
//! Detection reads the rows that fulfil `prefilter`, runs the query over them, and groups the
//! matches of one principal and hour to one finding.
//!
//! [`RuleSet::built_in`] has the rules of the product, and [`RuleSet::add_folder`] adds those of
//! the user. This module only reads and validates the files; the crate `detect` runs the rules.

use crate::packs::rule_file::{self, RuleFile};
use crate::packs::text_file;
use crate::parameters::Parameters;
use crate::sql_guard::{QueryErrorCode, check_text};
use crate::suggestion::did_you_mean;
use include_dir::{Dir, include_dir};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

pub use crate::packs::retired_rules::RetiredRule;
pub use crate::packs::rule_file::{
    Baseline, BilingualText, Dedup, DeprecatedKey, ExpectedFinding, FirstLast, RequiredData,
    Severity, TestCase, TestEvent,
};
pub use crate::packs::test_cases::TestCases;

/// Largest file of a rule, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The rules that come with the product.
static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/rules");

/// A detection rule: its query and its description.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Id, such as `AT-ECS-001`.
    pub id: String,
    /// Version, `major.minor.patch`.
    pub version: String,
    /// Group: the name of its folder.
    pub group: String,
    /// Title of its findings.
    pub title: BilingualText,
    /// Maturity, in Sigma's words: `stable`, `test` or `experimental`.
    pub status: String,
    /// Severity of its findings, unless the query returns one.
    pub severity: Severity,
    /// Techniques of MITRE ATT&CK.
    pub attack: Vec<String>,
    /// Whether it runs by default.
    pub enabled: bool,
    /// Events without which it cannot work.
    pub needs: Vec<RequiredData>,
    /// Events with which it would find more.
    pub gaps: Vec<RequiredData>,
    /// Parameters without which it is not loaded.
    pub parameters: Vec<String>,
    /// Parameters that it uses where they are set.
    pub optional_parameters: Vec<String>,
    /// Whether it is silently off while one of its parameters is missing.
    pub optional: bool,
    /// Maximum time between an event and other events that can change the result for it.
    pub lookback: Duration,
    /// Rows that stay relevant for longer than `lookback`.
    pub baseline: Option<Baseline>,
    /// An SQL predicate on `events` that every row the query uses fulfils.
    pub prefilter: Option<String>,
    /// Reduces the rows that fulfil `prefilter`, where the query only needs first and last rows.
    pub first_last: Option<FirstLast>,
    /// Which matches make one finding.
    pub dedup: Option<Dedup>,
    /// Harmless reasons for its findings.
    pub false_positives: Vec<String>,
    /// What to do about a finding.
    pub runbook: BilingualText,
    /// Where the attack or misconfiguration is described.
    pub references: Vec<String>,
    /// Test cases.
    pub cases: TestCases,
    /// Deprecated keys that its description uses.
    pub deprecated_keys: Vec<DeprecatedKey>,
    /// The query.
    pub sql: String,
    /// Path of the description file.
    pub path: PathBuf,
    /// Whether the rule comes with the product. Its query is then known to plan, because the tests
    /// of the product run its test cases.
    pub built_in: bool,
}

impl Rule {
    /// The major version: the number before the first dot. Findings of different major versions
    /// are different findings.
    #[must_use]
    pub fn major_version(&self) -> &str {
        self.version.split('.').next().unwrap_or(&self.version)
    }

    /// The parameters that the rule requires and `parameters` lacks.
    #[must_use]
    pub fn missing_parameters(&self, parameters: &Parameters) -> Vec<&str> {
        let required = self.parameters.iter().map(String::as_str);
        required.filter(|name| !parameters.is_set(name)).collect()
    }

    /// Checks the query, the prefilter and the baseline against the bounds of every statement. The parser and the planner
    /// are recursive, so a text without bounds could overflow the stack of the service.
    ///
    /// # Errors
    /// The key and what is too large.
    fn check_texts(&self) -> Result<(), String> {
        let texts = [
            ("the query", Some(self.sql.as_str())),
            ("`prefilter`", self.prefilter.as_deref()),
            ("`baseline`", self.baseline.as_ref().map(|baseline| baseline.rows.as_str())),
        ];
        for (key, text) in texts {
            match text.map_or(Ok(()), check_text) {
                Err(error) if error.code == QueryErrorCode::TooComplex => {
                    return Err(format!("{}: {key}: {error}", self.id));
                }
                // What else is wrong is told when the rule is planned.
                _ => {}
            }
        }
        Ok(())
    }

    /// Joins a description and a query to a rule.
    fn parse(path: &Path, description: &str, sql: Option<&str>) -> Result<Self, RuleSetError> {
        let invalid = |message| RuleSetError::Invalid { path: path.to_owned(), message };
        let file = RuleFile::parse(description).map_err(invalid)?;
        let missing = || RuleSetError::missing_file(path, "sql");
        let sql = sql.ok_or_else(missing)?;
        let retired = RetiredRule::all().map_err(invalid)?;
        rule_file::check(&file, retired).map_err(invalid)?;
        let group = path
            .parent()
            .and_then(Path::file_name)
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self {
            id: file.id,
            version: file.version,
            group,
            title: file.title,
            status: file.status,
            severity: file.severity,
            attack: file.attack,
            enabled: file.enabled,
            needs: file.needs,
            gaps: file.gaps,
            parameters: file.parameters,
            optional_parameters: file.optional_parameters,
            optional: file.optional,
            lookback: file.lookback,
            baseline: file.baseline,
            prefilter: file.prefilter,
            first_last: file.first_last,
            dedup: file.dedup,
            false_positives: file.false_positives,
            runbook: file.runbook,
            references: file.references,
            cases: file.cases.into(),
            deprecated_keys: file.deprecated_keys,
            sql: sql.to_owned(),
            path: path.to_owned(),
            built_in: false,
        })
    }
}

/// Why a rule or a rule set is rejected.
#[derive(Debug, Error)]
pub enum RuleSetError {
    /// A file that cannot be read or is invalid.
    #[error("rule file `{path}`: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where they are known.
        message: String,
    },
    /// A description without a query, or a query without a description.
    #[error("rule file `{path}` has no `{extension}` beside it")]
    MissingFile {
        /// The file that exists.
        path: PathBuf,
        /// Extension of the file that is missing.
        extension: String,
    },
    /// A folder of rules that cannot be read.
    #[error("the rules' folder `{path}` cannot be read: {source}")]
    UnreadableFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Two rules with one id.
    #[error("two rules have the id `{id}`: `{first}` and `{second}`")]
    DuplicateId {
        /// The id.
        id: String,
        /// Description file of one rule.
        first: PathBuf,
        /// Description file of the other rule.
        second: PathBuf,
    },
}

impl RuleSetError {
    fn missing_file(path: &Path, extension: &str) -> Self {
        Self::MissingFile { path: path.to_owned(), extension: extension.to_owned() }
    }
}

/// A rule id that no rule has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no rule `{id}`{suggestion}")]
pub struct UnknownRule {
    /// The id.
    pub id: String,
    /// The end of the message: the nearest id, or how to list the rules.
    pub suggestion: String,
}

/// Rules, sorted by id.
///
/// ```
/// use trailhound_queries::packs::rules::{RuleSet, Severity};
///
/// let rule_set = RuleSet::built_in()?;
/// let rule = rule_set.find("at-root-001").expect("ids are compared without regard to case");
/// assert_eq!((rule.group.as_str(), rule.severity), ("root", Severity::Critical));
/// let error = rule_set.get("AT-ROTO-001").expect_err("a typing error");
/// assert_eq!(error.to_string(), "there is no rule `AT-ROTO-001`; did you mean `AT-ROOT-001`?");
/// # Ok::<(), trailhound_queries::packs::rules::RuleSetError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RuleSet {
    /// The rules.
    pub rules: Vec<Rule>,
}

impl RuleSet {
    /// The rules of the product.
    ///
    /// # Errors
    /// [`RuleSetError`]. A test makes sure that there is none.
    pub fn built_in() -> Result<Self, RuleSetError> {
        let mut rules = Vec::new();
        let files = BUILT_IN.dirs().flat_map(Dir::files);
        for file in files.filter(|file| has_extension(file.path(), "toml")) {
            let sql = BUILT_IN
                .get_file(file.path().with_extension("sql"))
                .and_then(|file| file.contents_utf8());
            let (description, cases) = TestCases::split(file.contents_utf8().unwrap_or_default());
            let rule = Rule::parse(file.path(), description, sql)?;
            rules.push(Rule { cases, built_in: true, ..rule });
        }
        Self::new(rules)
    }

    /// Adds the rules of the user: every `<group>/<rule>.toml` in `folder` with its query. Rules
    /// that are invalid are left out; the errors are returned.
    ///
    /// # Errors
    /// [`RuleSetError::UnreadableFolder`].
    pub fn add_folder(&mut self, folder: &Path) -> Result<Vec<RuleSetError>, RuleSetError> {
        let unreadable =
            |source| RuleSetError::UnreadableFolder { path: folder.to_owned(), source };
        let files = rule_files(folder).map_err(unreadable)?;
        let errors = files.iter().filter_map(|file| self.add_file(file, &files).err()).collect();
        self.rules.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(errors)
    }

    fn add_file(&mut self, file: &Path, files: &[PathBuf]) -> Result<(), RuleSetError> {
        let unreadable = |e: std::io::Error| RuleSetError::Invalid {
            path: file.to_owned(),
            message: e.to_string(),
        };
        if has_extension(file, "sql") {
            let is_described = files.contains(&file.with_extension("toml"));
            return is_described
                .then_some(())
                .ok_or_else(|| RuleSetError::missing_file(file, "toml"));
        }
        let sql = file.with_extension("sql");
        let sql = match sql.try_exists() {
            Ok(false) => None,
            _ => Some(text_file::read(&sql, FILE_BYTES_MAX).map_err(unreadable)?),
        };
        let description = text_file::read(file, FILE_BYTES_MAX).map_err(unreadable)?;
        let rule = Rule::parse(file, &description, sql.as_deref())?;
        rule.check_texts()
            .map_err(|message| RuleSetError::Invalid { path: file.to_owned(), message })?;
        if let Some(first) = self.find(&rule.id) {
            let first = first.path.clone();
            return Err(RuleSetError::DuplicateId { id: rule.id, first, second: rule.path });
        }
        self.rules.push(rule);
        Ok(())
    }

    fn new(mut rules: Vec<Rule>) -> Result<Self, RuleSetError> {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(pair) = rules.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(RuleSetError::DuplicateId {
                id: pair[0].id.clone(),
                first: pair[0].path.clone(),
                second: pair[1].path.clone(),
            });
        }
        Ok(Self { rules })
    }

    /// The rule with this id, in upper or lower case.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id.eq_ignore_ascii_case(id))
    }

    /// The rule with this id, in upper or lower case.
    ///
    /// # Errors
    /// [`UnknownRule`] with the nearest id.
    pub fn get(&self, id: &str) -> Result<&Rule, UnknownRule> {
        self.find(id).ok_or_else(|| UnknownRule {
            id: id.to_owned(),
            suggestion: self.suggestion(id, "`trailhound rules list` shows all"),
        })
    }

    /// Returns the ending of an error message about the unknown id `id`: a similar id or
    /// `otherwise`.
    fn suggestion(&self, id: &str, otherwise: &str) -> String {
        did_you_mean(id, self.rules.iter().map(|rule| rule.id.as_str()), otherwise)
    }

    /// Problems of `parameters` with this rule set: exceptions that name no rule.
    #[must_use]
    pub fn check_parameters(&self, parameters: &Parameters) -> Vec<String> {
        let known: BTreeSet<&str> = self.rules.iter().map(|rule| rule.id.as_str()).collect();
        let ids = parameters.allowed_principals.iter().map(|principal| principal.rule.as_str());
        ids.filter(|id| !known.contains(id))
            .map(|id| {
                let suggestion = self.suggestion(id, "");
                format!(
                    "`allowed_principals` names the rule `{id}`, which does not exist{suggestion}"
                )
            })
            .collect()
    }

    /// Warnings about the rules' files: keys that are deprecated. Sorted by rule id.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let of_rule = |rule: &Rule| {
            let path = rule.path.display().to_string();
            let keys = rule.deprecated_keys.clone();
            keys.into_iter().map(move |key| format!("rule file `{path}`: {key}"))
        };
        self.rules.iter().flat_map(of_rule).collect()
    }
}

/// The description and query files of `folder`, in its groups, sorted.
fn rule_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for group in std::fs::read_dir(folder)? {
        let group = group?.path();
        if group.is_dir() {
            for file in std::fs::read_dir(&group)? {
                files.push(file?.path());
            }
        }
    }
    files.retain(|file| has_extension(file, "toml") || has_extension(file, "sql"));
    files.sort();
    Ok(files)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own == extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_parsed_apart_from_a_description_are_those_of_the_whole() {
        for rule in RuleSet::built_in().expect("rules").rules {
            let file = BUILT_IN.get_file(&rule.path).expect("a description");
            let whole = RuleFile::parse(file.contents_utf8().expect("text")).expect("a rule");
            assert_eq!(format!("{:?}", whole.cases), format!("{:?}", &rule.cases[..]));
            assert!(!rule.cases.is_empty(), "{}", rule.id);
        }
    }
}
