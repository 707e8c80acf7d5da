//! The keys of a rule's description file, as TOML. `docs/writing-rules.md` explains them to
//! authors of rules.

use crate::packs::retired_rules::RetiredRule;
use crate::parameters::Parameters;
use crate::suggestion::did_you_mean;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use trailhound_datasets::columns::EVENTS;

/// How serious a finding is, in ascending order.
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
    /// All severities, in ascending order.
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

    /// The severity called `name`.
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

/// Which matches make one finding: those with the same values of `columns` in one time window.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dedup {
    /// Columns of the query's result.
    pub columns: Vec<String>,
    /// Length of the time windows, `1h` or `30m`. Windows are aligned to 1970-01-01 UTC.
    #[serde(deserialize_with = "deserialize_duration")]
    pub window: Duration,
}

/// Rows that stay relevant for longer than the rule's `lookback`, such as a month of sign-ins
/// that a new sign-in is compared with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The rows: an SQL predicate on columns of `events`.
    pub rows: String,
    /// How long before an event they are relevant.
    #[serde(rename = "for", deserialize_with = "deserialize_duration")]
    pub duration: Duration,
}

/// Reduces the rows of a rule to the first and the last row for each combination of some columns
/// and each time bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstLast {
    /// The columns of `events`.
    pub by: Vec<String>,
    /// Length of the time buckets. Buckets are aligned to 1970-01-01 UTC.
    #[serde(deserialize_with = "deserialize_duration")]
    pub per: Duration,
}

/// Events that a rule needs and that a trail does not deliver by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequiredData {
    /// Read events: a trail delivers only write events by default.
    ReadEvents,
    /// Data events of OSS and SLS.
    DataEvents,
}

impl RequiredData {
    /// The events, in words for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::ReadEvents => "read events",
            Self::DataEvents => "data events (OSS and SLS object access)",
        }
    }
}

/// A test case of a rule: events made from samples, and the findings that are expected.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestCase {
    /// What the case shows.
    pub name: String,
    /// Parameters, as in the `[parameters]` table of the configuration.
    #[serde(default)]
    pub parameters: toml::Table,
    /// The events.
    pub events: Vec<TestEvent>,
    /// The expected findings, in the order of their first events.
    #[serde(default)]
    pub expect: Vec<ExpectedFinding>,
}

/// A sample event with changes, repeated `times` times.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestEvent {
    /// Name of the sample.
    pub sample: String,
    /// Members to set, by path: keys joined by `/`.
    #[serde(default)]
    pub set: toml::Table,
    /// Paths of members to remove.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Number of copies. Each copy has its own event id and a later time.
    #[serde(default = "default_times")]
    pub times: u32,
    /// Time between two copies.
    #[serde(default = "default_interval", deserialize_with = "deserialize_duration")]
    pub every: Duration,
}

fn default_times() -> u32 {
    1
}

fn default_interval() -> Duration {
    Duration::from_secs(1)
}

/// A finding that a test case expects.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFinding {
    /// Severity.
    pub severity: Severity,
    /// Number of its events.
    #[serde(default = "default_count")]
    pub count: u32,
    /// Variant.
    pub variant: Option<String>,
    /// Verdict.
    pub verdict: Option<String>,
    /// Text that the reason of suppression must contain. If absent, the finding must be open.
    pub suppressed_by: Option<String>,
    /// Parts that its `why` must contain.
    #[serde(default)]
    pub why: Vec<String>,
    /// Parts that its `why` must not contain.
    #[serde(default)]
    pub why_not: Vec<String>,
}

fn default_count() -> u32 {
    1
}

/// A key of a rule file that has a new name. The old name is accepted until
/// [`DeprecatedKey::REMOVED_IN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeprecatedKey {
    /// Name up to 0.1.0.
    pub old: &'static str,
    /// Name since 0.2.0.
    pub new: &'static str,
}

impl DeprecatedKey {
    /// The version that no longer accepts old names.
    pub const REMOVED_IN: &'static str = "0.3.0";

    const PREFILTER: Self = Self { old: "reads", new: "prefilter" };
    const BASELINE: Self = Self { old: "remembers", new: "baseline" };
    const FIRST_LAST: Self = Self { old: "condensed", new: "first_last" };
}

impl fmt::Display for DeprecatedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { old, new } = self;
        write!(f, "the key `{old}` is now `{new}`; `{old}` works until {}", Self::REMOVED_IN)
    }
}

/// A description file as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) title: BilingualText,
    pub(crate) status: String,
    pub(crate) severity: Severity,
    pub(crate) attack: Vec<String>,
    #[serde(default = "default_enabled")]
    pub(crate) enabled: bool,
    #[serde(default)]
    pub(crate) needs: Vec<RequiredData>,
    #[serde(default)]
    pub(crate) gaps: Vec<RequiredData>,
    #[serde(default)]
    pub(crate) parameters: Vec<String>,
    #[serde(default)]
    pub(crate) optional_parameters: Vec<String>,
    #[serde(default)]
    pub(crate) optional: bool,
    #[serde(default, deserialize_with = "deserialize_duration")]
    pub(crate) lookback: Duration,
    pub(crate) baseline: Option<Baseline>,
    pub(crate) prefilter: Option<String>,
    pub(crate) first_last: Option<FirstLast>,
    pub(crate) dedup: Option<Dedup>,
    pub(crate) false_positives: Vec<String>,
    pub(crate) runbook: BilingualText,
    pub(crate) references: Vec<String>,
    #[serde(default)]
    pub(crate) cases: Vec<TestCase>,
    /// Old name of `baseline`.
    remembers: Option<Baseline>,
    /// Old name of `prefilter`.
    reads: Option<String>,
    /// Old name of `first_last`.
    condensed: Option<FirstLast>,
    /// Old names that the file uses.
    #[serde(skip)]
    pub(crate) deprecated_keys: Vec<DeprecatedKey>,
}

fn default_enabled() -> bool {
    true
}

impl RuleFile {
    /// Parses a description file and moves the values of old keys to the new ones.
    ///
    /// # Errors
    /// The message of the TOML parser, or a key that is given under both of its names.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut file: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        let deprecated = &mut file.deprecated_keys;
        let (reads, prefilter) = (file.reads.take(), &mut file.prefilter);
        move_value(DeprecatedKey::PREFILTER, reads, prefilter, deprecated)?;
        let (remembers, baseline) = (file.remembers.take(), &mut file.baseline);
        move_value(DeprecatedKey::BASELINE, remembers, baseline, deprecated)?;
        let (condensed, first_last) = (file.condensed.take(), &mut file.first_last);
        move_value(DeprecatedKey::FIRST_LAST, condensed, first_last, deprecated)?;
        Ok(file)
    }
}

/// Checks the values of a description that its types do not.
///
/// # Errors
/// A retired or malformed id, an unknown parameter, or an unknown column in `first_last`.
pub(crate) fn check(file: &RuleFile, retired: &[RetiredRule]) -> Result<(), String> {
    let id = &file.id;
    if !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        || id.strip_prefix("AT-").is_none_or(str::is_empty)
    {
        return Err(format!("`{id}` is not a rule id; ids look like `AT-ECS-001`"));
    }
    if let Some(retired) = retired.iter().find(|retired| retired.id.eq_ignore_ascii_case(id)) {
        return Err(retired.refusal());
    }
    for name in file.parameters.iter().chain(&file.optional_parameters) {
        if !Parameters::NAMES.contains(&name.as_str()) {
            let suggestion = did_you_mean(name, Parameters::NAMES, "");
            return Err(format!("there is no parameter `{name}`{suggestion}"));
        }
    }
    for name in file.first_last.iter().flat_map(|first_last| &first_last.by) {
        if EVENTS.arrow.column_with_name(name).is_none() {
            return Err(format!("`first_last` names `{name}`, which is not a column of `events`"));
        }
    }
    Ok(())
}

/// Moves the value of an old key, where there is one, to the new key.
fn move_value<T>(
    key: DeprecatedKey,
    old: Option<T>,
    new: &mut Option<T>,
    deprecated: &mut Vec<DeprecatedKey>,
) -> Result<(), String> {
    let Some(value) = old else { return Ok(()) };
    if new.is_some() {
        return Err(format!(
            "`{}` is the old name of the key `{}`; give only `{}`",
            key.old, key.new, key.new
        ));
    }
    *new = Some(value);
    deprecated.push(key);
    Ok(())
}

/// Deserializes a duration: `30s`, `10m`, `1h`, `30d`.
fn deserialize_duration<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let invalid = || {
        serde::de::Error::custom(format!(
            "`{text}` is not a duration; write it as `30s`, `10m`, `1h` or `30d`"
        ))
    };
    let unit = text.chars().last().ok_or_else(invalid)?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| invalid())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(invalid()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "id = \"AT-OWN-001\"\nversion = \"1.0.0\"\ntitle = { en = \"a\", zh = \"b\" }\n\
        status = \"test\"\nseverity = \"low\"\nattack = []\nfalse_positives = []\nreferences = []\n\
        runbook = { en = \"a\", zh = \"b\" }\n";

    #[test]
    fn old_keys_are_read_and_named_and_exclude_the_new_ones() {
        let old = "reads = \"true\"\nremembers = { rows = \"true\", for = \"30d\" }\n\
            condensed = { by = [\"account_id\"], per = \"1d\" }\n";
        let file = RuleFile::parse(&format!("{old}{REST}")).expect("old keys are accepted");
        assert_eq!(file.prefilter.as_deref(), Some("true"));
        assert_eq!(file.baseline.map(|baseline| baseline.rows).as_deref(), Some("true"));
        assert_eq!(file.first_last.map(|first_last| first_last.by.len()), Some(1));
        assert_eq!(
            file.deprecated_keys.iter().map(|key| key.old).collect::<Vec<_>>(),
            ["reads", "remembers", "condensed"]
        );
        assert_eq!(
            file.deprecated_keys[0].to_string(),
            "the key `reads` is now `prefilter`; `reads` works until 0.3.0"
        );
        let new = "prefilter = \"true\"\n";
        let file = RuleFile::parse(&format!("{new}{REST}")).expect("new keys are accepted");
        assert!(file.prefilter.is_some() && file.deprecated_keys.is_empty());
        let error = RuleFile::parse(&format!("{new}{old}{REST}")).expect_err("both names");
        assert_eq!(error, "`reads` is the old name of the key `prefilter`; give only `prefilter`");
    }

    #[test]
    fn a_retired_id_is_refused() {
        let file = RuleFile::parse(REST).expect("a description");
        assert_eq!(check(&file, &[]), Ok(()));
        let retired = RetiredRule {
            id: "AT-own-001".to_owned(),
            since: "0.2.0".to_owned(),
            reason: "a test".to_owned(),
            replaced_by: Vec::new(),
        };
        let refusal = check(&file, &[retired]).expect_err("ids are never used again");
        assert!(refusal.contains("is retired since 0.2.0 (a test); ids"), "{refusal}");
    }
}
