//! The rule catalogue: rules are two files each, a query and its description with test cases. Nothing here runs them.

use crate::parameters::Parameters;
use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use trailhound_datasets::columns::EVENTS;

/// The rules that come with the product.
static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/rules");

/// How serious a finding is, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the usual five")]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// All severities, least first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// `info`, `low`, `medium`, `high` or `critical`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Text in the two languages of the product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BilingualText {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh: String,
}

/// Which matches make one finding.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dedup {
    /// Columns of the query's result whose values they share.
    pub columns: Vec<String>,
    /// Length of the stretches of time, counted from 1970, in which they fall together: `1h`, `30m`.
    #[serde(deserialize_with = "duration")]
    pub window: Duration,
}

/// Rows that count for longer than the others.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Which: an SQL condition on columns of `events`.
    pub rows: String,
    /// How long before an event they may lie.
    #[serde(rename = "for", deserialize_with = "duration")]
    pub duration: Duration,
}

/// What of the rows it reads a rule needs: of each combination of some columns, the first and the last in each stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstLast {
    /// The columns of `events`.
    pub by: Vec<String>,
    /// Length of the stretches, counted from 1970.
    #[serde(deserialize_with = "duration")]
    pub per: Duration,
}

/// What a detection needs that a trail does not deliver by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Read events; trails deliver writes unless told otherwise.
    ReadEvents,
    /// Data events of OSS and SLS.
    DataEvents,
}

impl Need {
    /// The need in words, for people.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::ReadEvents => "read events",
            Self::DataEvents => "data events (OSS and SLS object access)",
        }
    }
}

/// A description as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    version: String,
    title: BilingualText,
    status: String,
    severity: Severity,
    attack: Vec<String>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    needs: Vec<Need>,
    #[serde(default)]
    gaps: Vec<Need>,
    #[serde(default)]
    parameters: Vec<String>,
    #[serde(default)]
    optional_parameters: Vec<String>,
    #[serde(default)]
    optional: bool,
    #[serde(default, deserialize_with = "duration")]
    lookback: Duration,
    remembers: Option<Baseline>,
    reads: Option<String>,
    condensed: Option<FirstLast>,
    dedup: Option<Dedup>,
    false_positives: Vec<String>,
    runbook: BilingualText,
    references: Vec<String>,
    #[serde(default)]
    cases: Vec<Case>,
}

fn yes() -> bool {
    true
}

/// `30s`, `10m`, `1h`, `30d`.
fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = || {
        serde::de::Error::custom(format!(
            "`{text}` is no duration; write it as `30s`, `10m`, `1h` or `30d`"
        ))
    };
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// A test case of a rule: events made from samples, and the findings they must give.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Parameters as the user would write them.
    #[serde(default)]
    pub parameters: toml::Table,
    /// The events.
    pub events: Vec<CaseEvent>,
    /// The findings, in order of their first event.
    #[serde(default)]
    pub expect: Vec<Expectation>,
}

/// A sample with a few members changed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseEvent {
    /// Name of a sample.
    pub sample: String,
    /// Members to set, by path with `/` between keys.
    #[serde(default)]
    pub set: toml::Table,
    /// Members to remove, likewise.
    #[serde(default)]
    pub remove: Vec<String>,
    /// How many copies, with ids of their own and times that go on.
    #[serde(default = "one")]
    pub times: u32,
    /// How much time lies between two copies.
    #[serde(default = "second", deserialize_with = "duration")]
    pub every: Duration,
}

fn second() -> Duration {
    Duration::from_secs(1)
}

fn one() -> u32 {
    1
}

/// A finding that a case expects.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Its severity.
    pub severity: Severity,
    /// How many events it holds.
    #[serde(default = "one")]
    pub count: u32,
    /// Its variant.
    pub variant: Option<String>,
    /// Its verdict.
    pub verdict: Option<String>,
    /// A part of what suppressed it; without, it must be open.
    pub suppressed_by: Option<String>,
    /// Parts of its `why`.
    #[serde(default)]
    pub why: Vec<String>,
    /// What its `why` must not say.
    #[serde(default)]
    pub why_not: Vec<String>,
}

/// A rule: its query and everything said about it.
#[derive(Debug, Clone)]
#[allow(
    missing_docs,
    reason = "named as in the rule's description file, which docs/writing-rules.md explains"
)]
pub struct Rule {
    pub id: String,
    pub version: String,
    pub group: String,
    pub title: BilingualText,
    pub status: String,
    pub severity: Severity,
    pub attack: Vec<String>,
    pub enabled: bool,
    pub needs: Vec<Need>,
    pub gaps: Vec<Need>,
    pub parameters: Vec<String>,
    pub optional_parameters: Vec<String>,
    pub optional: bool,
    pub lookback: Duration,
    pub remembers: Option<Baseline>,
    pub reads: Option<String>,
    pub condensed: Option<FirstLast>,
    pub dedup: Option<Dedup>,
    pub false_positives: Vec<String>,
    pub runbook: BilingualText,
    pub references: Vec<String>,
    pub cases: Vec<Case>,
    pub sql: String,
    pub path: PathBuf,
    /// It comes with the product, so its query is known to plan: its test cases run in the product's tests.
    pub built_in: bool,
}

impl Rule {
    /// The number before the first dot of the version; findings of different majors are different findings.
    #[must_use]
    pub fn major(&self) -> &str {
        self.version.split('.').next().unwrap_or(&self.version)
    }

    /// The parameters it requires and `parameters` lacks.
    #[must_use]
    pub fn missing(&self, parameters: &Parameters) -> Vec<&str> {
        self.parameters.iter().map(String::as_str).filter(|name| !parameters.has(name)).collect()
    }
}

/// Why a rule or a set of rules was refused.
#[derive(Debug, Error)]
pub enum RuleSetError {
    /// A description that does not read.
    #[error("rule file `{path}`: {message}")]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },
    /// A description without its query, or the other way round.
    #[error("rule file `{path}` has no `{wanted}` beside it")]
    Alone {
        /// The file.
        path: PathBuf,
        /// The missing one.
        wanted: String,
    },
    /// A folder of rules that cannot be read.
    #[error("the rules' folder `{path}` cannot be read: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Two rules with one id.
    #[error("two rules have the id `{id}`: `{first}` and `{second}`")]
    Twice {
        /// The id.
        id: String,
        /// Where it is.
        first: PathBuf,
        /// Where it is again.
        second: PathBuf,
    },
}

/// Rules in order of their ids.
#[derive(Debug, Clone)]
pub struct RuleSet {
    /// The rules.
    pub rules: Vec<Rule>,
}

impl RuleSet {
    /// The rules that come with the product.
    ///
    /// # Errors
    /// [`RuleSetError`]; a test makes sure there is none.
    pub fn built_in() -> Result<Self, RuleSetError> {
        let mut rules = Vec::new();
        for folder in BUILT_IN.dirs() {
            for file in
                folder.files().filter(|file| file.path().extension().is_some_and(|e| e == "toml"))
            {
                let sql = BUILT_IN
                    .get_file(file.path().with_extension("sql"))
                    .and_then(|file| file.contents_utf8());
                let description = file.contents_utf8().unwrap_or_default();
                rules.push(Rule { built_in: true, ..read(file.path(), description, sql)? });
            }
        }
        Self::new(rules)
    }

    /// Adds the user's own rules: every `<group>/<rule>.toml` in `folder` with its query. What is broken is left out and told; the others
    /// are there.
    ///
    /// # Errors
    /// [`RuleSetError::Folder`] where the folder cannot be read.
    pub fn add(&mut self, folder: &Path) -> Result<Vec<RuleSetError>, RuleSetError> {
        let unreadable = |source| RuleSetError::Folder { path: folder.to_owned(), source };
        let mut files = Vec::new();
        for group in std::fs::read_dir(folder).map_err(unreadable)? {
            let group = group.map_err(unreadable)?.path();
            if group.is_dir() {
                for file in std::fs::read_dir(&group).map_err(unreadable)? {
                    files.push(file.map_err(unreadable)?.path());
                }
            }
        }
        files.retain(|file| {
            file.extension().is_some_and(|extension| extension == "toml" || extension == "sql")
        });
        files.sort();
        let mut broken = Vec::new();
        for file in &files {
            if let Err(error) = self.add_file(file, &files) {
                broken.push(error);
            }
        }
        self.rules.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(broken)
    }

    fn add_file(&mut self, file: &Path, files: &[PathBuf]) -> Result<(), RuleSetError> {
        let refused = |e: std::io::Error| RuleSetError::Description {
            path: file.to_owned(),
            message: e.to_string(),
        };
        if file.extension().is_some_and(|extension| extension == "sql") {
            return if files.contains(&file.with_extension("toml")) {
                Ok(())
            } else {
                Err(RuleSetError::Alone { path: file.to_owned(), wanted: "toml".to_owned() })
            };
        }
        let sql = file.with_extension("sql");
        let sql = if sql.is_file() {
            Some(std::fs::read_to_string(&sql).map_err(refused)?)
        } else {
            None
        };
        let rule = read(file, &std::fs::read_to_string(file).map_err(refused)?, sql.as_deref())?;
        if let Some(first) = self.find(&rule.id) {
            return Err(RuleSetError::Twice {
                id: rule.id,
                first: first.path.clone(),
                second: rule.path,
            });
        }
        self.rules.push(rule);
        Ok(())
    }

    fn new(mut rules: Vec<Rule>) -> Result<Self, RuleSetError> {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(pair) = rules.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(RuleSetError::Twice {
                id: pair[0].id.clone(),
                first: pair[0].path.clone(),
                second: pair[1].path.clone(),
            });
        }
        Ok(Self { rules })
    }

    /// The rule with that id, in any case.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id.eq_ignore_ascii_case(id))
    }

    /// The known id nearest to `id`, for messages.
    #[must_use]
    pub fn nearest(&self, id: &str) -> Option<&str> {
        let upper = id.to_uppercase();
        self.rules
            .iter()
            .map(|rule| rule.id.as_str())
            .min_by_key(|known| strsim::damerau_levenshtein(known, &upper))
            .filter(|known| strsim::damerau_levenshtein(known, &upper) <= 4)
    }

    /// Problems of the rule set as a whole with `parameters`: exceptions that name no rule.
    #[must_use]
    pub fn check(&self, parameters: &Parameters) -> Vec<String> {
        let known: BTreeSet<&str> = self.rules.iter().map(|rule| rule.id.as_str()).collect();
        let unknown = parameters
            .allowed_principals
            .iter()
            .filter(|principal| !known.contains(principal.rule.as_str()));
        unknown
            .map(|principal| match self.nearest(&principal.rule) {
                Some(near) => {
                    format!("`allowed_principals` names the rule `{}`, which does not exist; did you mean `{near}`?", principal.rule)
                }
                None => format!("`allowed_principals` names the rule `{}`, which does not exist", principal.rule),
            })
            .collect()
    }
}

fn read(path: &Path, text: &str, sql: Option<&str>) -> Result<Rule, RuleSetError> {
    let refused = |message: String| RuleSetError::Description { path: path.to_owned(), message };
    let written: Written = toml::from_str(text).map_err(|e| refused(e.to_string()))?;
    let sql = sql.ok_or(RuleSetError::Alone { path: path.to_owned(), wanted: "sql".to_owned() })?;
    if !written.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        || written.id.strip_prefix("AT-").is_none_or(str::is_empty)
    {
        return Err(refused(format!("`{}` is no rule id; ids look like `AT-ECS-001`", written.id)));
    }
    for name in written.parameters.iter().chain(&written.optional_parameters) {
        if !Parameters::NAMES.contains(&name.as_str()) {
            return Err(refused(format!("there is no parameter `{name}`")));
        }
    }
    let columns: Vec<&str> =
        EVENTS.arrow.fields().iter().map(|field| field.name().as_str()).collect();
    for name in written.condensed.iter().flat_map(|condensed| &condensed.by) {
        if !columns.contains(&name.as_str()) {
            return Err(refused(format!(
                "`condensed` names `{name}`, which is no column of `events`"
            )));
        }
    }
    let group = path
        .parent()
        .and_then(Path::file_name)
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok(Rule {
        id: written.id,
        version: written.version,
        group,
        title: written.title,
        status: written.status,
        severity: written.severity,
        attack: written.attack,
        enabled: written.enabled,
        needs: written.needs,
        gaps: written.gaps,
        parameters: written.parameters,
        optional_parameters: written.optional_parameters,
        optional: written.optional,
        lookback: written.lookback,
        remembers: written.remembers,
        reads: written.reads,
        condensed: written.condensed,
        dedup: written.dedup,
        false_positives: written.false_positives,
        runbook: written.runbook,
        references: written.references,
        cases: written.cases,
        sql: sql.to_owned(),
        path: path.to_owned(),
        built_in: false,
    })
}
