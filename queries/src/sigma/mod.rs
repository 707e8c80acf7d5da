//! Sigma: rules of others translated into ours, and ours into Sigma.
//!
//! Translated is what means the same over the lake; everything else is refused with the reason. The specification is Sigma 2
//! (detection rules, filters, and the correlations `event_count`, `value_count`, `value_sum`, `value_avg`, `temporal` and
//! `temporal_ordered`).

mod condition;
mod correlation;
mod export;
mod fields;

pub use export::export;

use condition::{Translator, joined};
use fields::Dialect;
use rsigma_parser::{
    FilterRuleTarget, Level, LogSource, SigmaCollection, SigmaRule, Status, parse_sigma_yaml,
};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// A rule translated: the two files of one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// Its id among our rules.
    pub id: String,
    /// Title of the Sigma rule.
    pub title: String,
    /// Its description file.
    pub toml: String,
    /// Its query.
    pub sql: String,
    /// It was written for AWS CloudTrail.
    pub mapped: bool,
    /// Regular expressions in it, which the engine must be able to read.
    pub patterns: Vec<String>,
}

/// A rule that was not translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its title, or which part of the file it is.
    pub title: String,
    /// Why.
    pub reason: String,
}

/// What became of a file.
#[derive(Debug, Default)]
pub struct Import {
    /// Rules translated.
    pub rules: Vec<Translated>,
    /// Rules refused.
    pub refused: Vec<Refused>,
}

/// A detection rule as SQL.
struct Base<'r> {
    rule: &'r SigmaRule,
    dialect: Dialect,
    predicate: String,
    looked_at: BTreeMap<String, String>,
    patterns: Vec<String>,
}

/// Translates the rules of a YAML file.
#[must_use]
pub fn import(yaml: &str) -> Import {
    let mut import = Import::default();
    let collection = match parse_sigma_yaml(yaml) {
        Ok(collection) => collection,
        Err(error) => {
            import
                .refused
                .push(Refused { title: "the file".to_owned(), reason: error.to_string() });
            return import;
        }
    };
    import.refused.extend(
        collection
            .errors
            .iter()
            .map(|error| Refused { title: "a part of the file".to_owned(), reason: error.clone() }),
    );
    let mut bases = Vec::new();
    for rule in &collection.rules {
        match base(rule, &collection) {
            Ok(base) => bases.push(base),
            Err(reason) => import.refused.push(Refused { title: rule.title.clone(), reason }),
        }
    }
    for base in bases.iter().filter(|base| stands_alone(base.rule, &collection)) {
        import.rules.push(stateless(base));
    }
    for rule in &collection.correlations {
        match correlation::translate(rule, &bases) {
            Ok(translated) => import.rules.push(translated),
            Err(reason) => import.refused.push(Refused { title: rule.title.clone(), reason }),
        }
    }
    import
}

/// A rule that correlations are made of is none by itself unless one of them says so.
fn stands_alone(rule: &SigmaRule, collection: &SigmaCollection) -> bool {
    let mut uses = collection
        .correlations
        .iter()
        .filter(|correlation| correlation.rules.iter().any(|name| is_called(rule, name)))
        .peekable();
    uses.peek().is_none() || uses.any(|correlation| correlation.generate)
}

fn is_called(rule: &SigmaRule, name: &str) -> bool {
    rule.id.as_deref() == Some(name) || rule.name.as_deref() == Some(name)
}

fn dialect(source: &LogSource) -> Result<Dialect, String> {
    let is = |value: &Option<String>, names: &[&str]| {
        value
            .as_deref()
            .is_some_and(|value| names.iter().any(|name| name.eq_ignore_ascii_case(value)))
    };
    if is(&source.product, &["alibaba", "alibabacloud", "aliyun"])
        && is(&source.service, &["actiontrail"])
    {
        return Ok(Dialect::ActionTrail);
    }
    if is(&source.product, &["aws"]) && is(&source.service, &["cloudtrail"]) {
        return Ok(Dialect::CloudTrail);
    }
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    Err(format!(
        "its log source (product {}, service {}) is not this trail: `product: alibaba`, `service: actiontrail`, or AWS CloudTrail",
        shown(&source.product),
        shown(&source.service)
    ))
}

fn base<'r>(rule: &'r SigmaRule, collection: &SigmaCollection) -> Result<Base<'r>, String> {
    let dialect = dialect(&rule.logsource)?;
    let mut translator = Translator::new(dialect, &rule.detection);
    let mut parts = vec![translator.conditions(&rule.detection)?];
    let (looked_at, mut patterns) = (translator.looked_at, translator.patterns);
    for filter in &collection.filters {
        let concerns = match &filter.rules {
            FilterRuleTarget::Any => true,
            FilterRuleTarget::Specific(names) => {
                names.iter().any(|name| is_called(rule, name) || *name == rule.title)
            }
        };
        if concerns {
            let mut translator = Translator::new(dialect, &filter.detection);
            parts.push(
                translator
                    .conditions(&filter.detection)
                    .map_err(|e| format!("filter \"{}\": {e}", filter.title))?,
            );
            patterns.extend(translator.patterns);
        }
    }
    let predicate = joined(parts, "AND").unwrap_or_default();
    Ok(Base { rule, dialect, predicate, looked_at, patterns })
}

fn stateless(base: &Base<'_>) -> Translated {
    let rule = base.rule;
    let mut why = vec!["'event = ' || event_name".to_owned()];
    why.extend(base.looked_at.iter().filter(|(_, sql)| sql.as_str() != "event_name").map(
        |(name, sql)| {
            let label = fields::quoted(&format!("{name} = "));
            format!("{label} || {sql}")
        },
    ));
    let sql = format!(
        "{}SELECT\n    events.*,\n    concat_ws('; ',\n        {}) AS why\nFROM events\nWHERE {}\n",
        comment(&rule.title, rule.id.as_deref(), base.dialect),
        why.join(",\n        "),
        base.predicate
    );
    let about = about!(rule, base.dialect == Dialect::CloudTrail);
    let mut description = about.description_file();
    description.insert("reads".to_owned(), base.predicate.clone().into());
    Translated {
        id: about.rule_id(),
        title: rule.title.clone(),
        toml: description.to_string(),
        sql,
        mapped: about.mapped,
        patterns: base.patterns.clone(),
    }
}

/// What stands above a translated query.
fn comment(title: &str, id: Option<&str>, dialect: Dialect) -> String {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mapped = match dialect {
        Dialect::ActionTrail => "",
        Dialect::CloudTrail => {
            "\n-- Written for AWS CloudTrail: fields, event names and values are carried over where there is a counterpart."
        }
    };
    format!(
        "-- {}\n-- Translated from the Sigma rule {}.{mapped}\n",
        line(title),
        line(id.unwrap_or("without an id"))
    )
}

/// What a Sigma rule says of itself.
struct About<'r> {
    title: &'r str,
    id: Option<&'r str>,
    status: Option<Status>,
    level: Option<Level>,
    tags: &'r [String],
    description: Option<&'r str>,
    author: Option<&'r str>,
    references: &'r [String],
    false_positives: &'r [String],
    mapped: bool,
}

/// What a detection rule or a correlation says of itself: two types with the same members.
macro_rules! about {
    ($rule:expr, $mapped:expr) => {
        About {
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
use about;

impl About<'_> {
    /// `AT-SIGMA-` and the beginning of its UUID, or a hash of its title.
    fn rule_id(&self) -> String {
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

    fn description_file(&self) -> Table {
        let title = cut(self.title, 90);
        let mut table = Table::new();
        let mut put = |key: &str, value: Value| {
            table.insert(key.to_owned(), value);
        };
        put("id", self.rule_id().into());
        put("version", "1.0.0".into());
        put("title", bilingual(&title, &format!("Sigma 规则：{title}")));
        put("status", status(self.status).into());
        put("severity", severity(self.level).into());
        put("attack", techniques(self.tags).into());
        put(
            "enabled",
            (!matches!(self.status, Some(Status::Deprecated | Status::Unsupported))).into(),
        );
        put("false_positives", texts(self.false_positives, "Not said by the Sigma rule."));
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
        let what =
            self.description.unwrap_or(self.title).split_whitespace().collect::<Vec<_>>().join(" ");
        let look = "SELECT event_time, service_name, event_name, outcome, source_ip_address FROM events WHERE principal_id = '<principal>' ORDER BY event_time";
        put(
            "runbook",
            bilingual(
                &format!("{what} What else they did: {look}."),
                &format!("核对触发事件，并查看该身份的其他操作：{look}。"),
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

fn texts(texts: &[String], otherwise: &str) -> Value {
    let texts: Vec<String> =
        if texts.is_empty() { vec![otherwise.to_owned()] } else { texts.to_vec() };
    texts.into()
}

fn cut(text: &str, characters: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_end_matches('.');
    text.chars().take(characters).collect()
}

fn status(status: Option<Status>) -> &'static str {
    match status {
        Some(Status::Stable) => "stable",
        Some(Status::Test) => "test",
        _ => "experimental",
    }
}

fn severity(level: Option<Level>) -> &'static str {
    match level {
        Some(Level::Informational) => "info",
        Some(Level::Low) => "low",
        Some(Level::High) => "high",
        Some(Level::Critical) => "critical",
        Some(Level::Medium) | None => "medium",
    }
}

/// `attack.t1078.004` as `T1078.004`; tactics are left out.
fn techniques(tags: &[String]) -> Vec<String> {
    let technique = |tag: &String| {
        let name = tag.to_lowercase().strip_prefix("attack.")?.to_uppercase();
        (name.starts_with('T') && name[1..].starts_with(|c: char| c.is_ascii_digit()))
            .then_some(name)
    };
    tags.iter().filter_map(technique).collect()
}
