//! A translated Sigma rule: its SQL, and its metadata as a description file.

use super::fields::Dialect;
use rsigma_parser::{Level, SigmaRule, Status};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// A translated rule: the content of its two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranslatedRule {
    /// Id of the rule, `AT-SIGMA-...`.
    pub id: String,
    /// Title of the Sigma rule.
    pub title: String,
    /// Name of the Sigma file that it was translated from.
    pub file: String,
    /// The content of the description file.
    pub toml: String,
    /// The content of the query file.
    pub sql: String,
    /// Whether the Sigma rule was written for AWS CloudTrail, so that its fields were mapped.
    pub mapped: bool,
    /// Regular expressions of the rule, which the query engine must be able to compile.
    pub patterns: Vec<String>,
    /// Titles of the rules that a correlation refers to; empty for a detection rule.
    pub rules: Vec<String>,
    /// Titles of the Sigma filters that the query contains.
    pub filters: Vec<String>,
}

/// The SQL of a detection rule.
pub(super) struct RuleSql<'r> {
    pub(super) rule: &'r SigmaRule,
    pub(super) dialect: Dialect,
    /// The condition on `events`.
    pub(super) predicate: String,
    /// The fields that the rule compares, by name, as SQL expressions.
    pub(super) compared_fields: BTreeMap<String, String>,
    /// Regular expressions of the rule.
    pub(super) patterns: Vec<String>,
    /// Titles of the Sigma filters that the condition contains.
    pub(super) filters: Vec<String>,
    /// Notes for the user about selections that the condition does not use.
    pub(super) notes: Vec<String>,
}

/// True where `name` refers to `rule`: by its id or its name.
pub(super) fn is_named(rule: &SigmaRule, name: &str) -> bool {
    rule.name.as_deref() == Some(name)
        || rule.id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(name))
}

/// The comment above a translated query.
pub(super) fn header_comment(title: &str, id: Option<&str>, dialect: Dialect) -> String {
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mapped = match dialect {
        Dialect::ActionTrail => "",
        Dialect::CloudTrail => {
            "\n-- Written for AWS CloudTrail: fields, event names and values are carried over where there is a counterpart."
        }
    };
    format!(
        "-- {}\n-- Translated from the Sigma rule {}.{mapped}\n",
        one_line(title),
        one_line(id.unwrap_or("without an id"))
    )
}

/// The metadata of a Sigma rule or correlation.
pub(super) struct RuleMetadata<'r> {
    pub(super) title: &'r str,
    pub(super) id: Option<&'r str>,
    pub(super) status: Option<Status>,
    pub(super) level: Option<Level>,
    pub(super) tags: &'r [String],
    pub(super) description: Option<&'r str>,
    pub(super) author: Option<&'r str>,
    pub(super) references: &'r [String],
    pub(super) false_positives: &'r [String],
    pub(super) mapped: bool,
}

/// The metadata of a detection rule or of a correlation: the parser has two types with the same
/// fields.
macro_rules! metadata {
    ($rule:expr, $mapped:expr) => {
        $crate::sigma::translation::RuleMetadata {
            title: &$rule.title,
            id: $rule.id.as_deref(),
            status: $rule.status,
            level: $rule.level,
            tags: &$rule.tags,
            description: $rule.description.as_deref(),
            author: $rule.author.as_deref(),
            references: &$rule.references,
            false_positives: &$rule.falsepositives,
            mapped: $mapped,
        }
    };
}
pub(super) use metadata;

impl RuleMetadata<'_> {
    /// The id of the imported rule: `AT-SIGMA-` and the first eight digits of the UUID, or a hash of
    /// the title.
    pub(super) fn rule_id(&self) -> String {
        let hash = || {
            format!(
                "{:08x}",
                self.title.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte))
                    .wrapping_mul(0x0100_0193))
            )
        };
        let start = self
            .id
            .and_then(|id| id.split('-').next())
            .filter(|id| id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit()));
        format!("AT-SIGMA-{}", start.map_or_else(hash, str::to_uppercase))
    }

    /// The description file, without the keys that depend on the query.
    pub(super) fn description_file(&self) -> Table {
        let title = truncated(self.title, 90);
        let mut table = Table::new();
        let mut put = |key: &str, value: Value| {
            table.insert(key.to_owned(), value);
        };
        put("id", self.rule_id().into());
        put("version", "1.0.0".into());
        put("title", bilingual(&title, &format!("Sigma 规则：{title}")));
        put("status", status_name(self.status).into());
        put("severity", severity_name(self.level).into());
        put("attack", techniques(self.tags).into());
        put(
            "enabled",
            (!matches!(self.status, Some(Status::Deprecated | Status::Unsupported))).into(),
        );
        put("false_positives", texts_or(self.false_positives, "Not said by the Sigma rule."));
        let mut references: Vec<String> = vec![match (self.id, self.author) {
            (Some(id), Some(author)) => format!("Sigma rule {id} by {author}"),
            (Some(id), None) => format!("Sigma rule {id}"),
            (None, _) => "A Sigma rule without an id".to_owned(),
        }];
        if self.mapped {
            references
                .push("Written for AWS CloudTrail and carried over by a field mapping".to_owned());
        }
        references.extend(self.references.iter().cloned());
        put("references", references.into());
        let summary =
            self.description.unwrap_or(self.title).split_whitespace().collect::<Vec<_>>().join(" ");
        let next_query = "SELECT event_time, service_name, event_name, outcome, source_ip_address FROM events WHERE principal_id = '<principal>' ORDER BY event_time";
        put(
            "runbook",
            bilingual(
                &format!("{summary} What else they did: {next_query}."),
                &format!("核对触发事件，并查看该身份的其他操作：{next_query}。"),
            ),
        );
        table
    }
}

fn bilingual(en: &str, zh: &str) -> Value {
    let mut table = Table::new();
    table.insert("en".to_owned(), en.into());
    table.insert("zh".to_owned(), zh.into());
    table.into()
}

fn texts_or(texts: &[String], otherwise: &str) -> Value {
    let texts: Vec<String> =
        if texts.is_empty() { vec![otherwise.to_owned()] } else { texts.to_vec() };
    texts.into()
}

/// At most `characters` characters of `text`, on one line and without a final full stop.
fn truncated(text: &str, characters: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_end_matches('.');
    text.chars().take(characters).collect()
}

fn status_name(status: Option<Status>) -> &'static str {
    match status {
        Some(Status::Stable) => "stable",
        Some(Status::Test) => "test",
        _ => "experimental",
    }
}

fn severity_name(level: Option<Level>) -> &'static str {
    match level {
        Some(Level::Informational) => "info",
        Some(Level::Low) => "low",
        Some(Level::High) => "high",
        Some(Level::Critical) => "critical",
        Some(Level::Medium) | None => "medium",
    }
}

/// The techniques among the tags: `attack.t1078.004` as `T1078.004`. Tactics are left out.
fn techniques(tags: &[String]) -> Vec<String> {
    let technique = |tag: &String| {
        let name = tag.to_lowercase().strip_prefix("attack.")?.to_uppercase();
        (name.starts_with('T') && name[1..].starts_with(|c: char| c.is_ascii_digit()))
            .then_some(name)
    };
    tags.iter().filter_map(technique).collect()
}
