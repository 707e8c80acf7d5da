//! Reads the documents of Sigma files. The parser ignores members that Sigma does not define,
//! values of a wrong type and names that are no text. A document with one of them is refused here;
//! if it cannot change what the rule finds, a note is made instead.

use super::members::{self, DocumentKind};
use rsigma_parser::{
    CorrelationRule, FilterRule, LogSource, SigmaCollection, SigmaRule, parse_sigma_yaml,
};
use serde::Deserialize as _;
use yaml_serde::{Mapping, Value};

/// A file of Sigma documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigmaFile {
    /// Name of the file, for messages.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// One document: a rule, a correlation or a filter.
pub(super) struct Document {
    /// Name of the file.
    pub(super) file: String,
    /// Title; without one, `document` and its number in the file.
    pub(super) title: String,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    /// The rules that a correlation or filter names. Read also if the document is refused.
    pub(super) targets: Targets,
    /// The log source of a rule or filter.
    pub(super) log_source: LogSource,
    /// `generate: true` of a correlation: the rules that it names make findings themselves too.
    pub(super) generate: bool,
    pub(super) kind: DocumentKind,
    /// The parsed document, or why it is refused.
    pub(super) content: Result<Content, String>,
    /// Members that have no effect.
    pub(super) notes: Vec<String>,
}

/// The rules that a filter or correlation names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Targets {
    /// Every rule of the log source.
    Any,
    /// The rules with these ids or names.
    Named(Vec<String>),
}

/// A parsed document.
pub(super) enum Content {
    Rule(Box<SigmaRule>),
    Correlation {
        rule: Box<CorrelationRule>,
        /// True if the document has a condition. If it has none, the parser fills in a default.
        has_condition: bool,
    },
    Filter(Box<FilterRule>),
}

impl Document {
    /// True where `name` is the id or name of the document.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
            || self.id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(name))
    }

    /// Title and file of the document, for messages about other documents.
    pub(super) fn label(&self) -> String {
        format!("\"{}\" ({})", self.title, self.file)
    }
}

/// The documents of `file`. A YAML document that cannot be read is returned as a refused one.
pub(super) fn read(file: &SigmaFile) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut reader = Reader { file, global: None, previous: None };
    for (number, part) in (1..).zip(yaml_serde::Deserializer::from_str(&file.text)) {
        let value =
            Value::deserialize(part).and_then(|mut value| value.apply_merge().map(|()| value));
        match value {
            Ok(Value::Null) => {}
            Ok(value) => documents.extend(reader.document(number, value)),
            Err(error) => {
                // The parser cannot go on behind a syntax error.
                let reason = format!("{error}; nothing is read from this place on");
                documents.push(refused(file, &Mapping::new(), number, DocumentKind::Rule, reason));
                break;
            }
        }
    }
    if documents.is_empty() {
        let reason = "the file holds no rule, correlation or filter".to_owned();
        documents.push(refused(file, &Mapping::new(), 1, DocumentKind::Rule, reason));
    }
    documents
}

/// Reads one file. In a collection of Sigma 1, documents share members by `action`: `global`,
/// `repeat` and `reset`.
struct Reader<'f> {
    file: &'f SigmaFile,
    global: Option<Mapping>,
    previous: Option<Mapping>,
}

impl Reader<'_> {
    fn document(&mut self, number: usize, value: Value) -> Option<Document> {
        let refuse = |reason: String| {
            Some(refused(self.file, &Mapping::new(), number, DocumentKind::Rule, reason))
        };
        let Value::Mapping(mut own) = value else {
            return refuse("expected a rule, correlation or filter with named members".to_owned());
        };
        let mut members = match own.remove("action").as_ref().map(|action| action.as_str()) {
            None => own,
            Some(Some("global")) => {
                self.global = Some(own);
                return None;
            }
            Some(Some("reset")) => {
                self.global = None;
                return None;
            }
            Some(Some("repeat")) => match self.previous.clone() {
                Some(previous) => merged(previous, own),
                None => return refuse("`action: repeat` follows no document".to_owned()),
            },
            Some(other) => {
                return refuse(format!(
                    "`action: {}` is not known; there are `global`, `reset` and `repeat`",
                    other.unwrap_or("...")
                ));
            }
        };
        if let Some(global) = self.global.clone() {
            members = merged(global, members);
        }
        self.previous = Some(members.clone());
        Some(document(self.file, number, &members))
    }
}

/// `under` with the members of `over`; objects in both are merged.
fn merged(mut under: Mapping, over: Mapping) -> Mapping {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Mapping(have)), Value::Mapping(more)) => {
                *have = merged(std::mem::take(have), more);
            }
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
    under
}

fn document(file: &SigmaFile, number: usize, members: &Mapping) -> Document {
    let kinds: Vec<DocumentKind> =
        DocumentKind::ALL.into_iter().filter(|kind| members.contains_key(kind.member())).collect();
    let kind = *kinds.last().unwrap_or(&DocumentKind::Rule);
    let checked = match kinds.len() {
        1 => members::check(kind, members),
        0 => Err("it has no `detection`, `correlation` or `filter`".to_owned()),
        _ => Err("it has more than one of `detection`, `correlation` and `filter`".to_owned()),
    };
    let (content, notes) = match checked {
        Ok(mut notes) => (parsed(kind, members, &mut notes), notes),
        Err(reason) => (Err(reason), Vec::new()),
    };
    Document { content, notes, ..refused(file, members, number, kind, String::new()) }
}

/// The document whose members are `members`, refused for `reason`.
fn refused(
    file: &SigmaFile,
    members: &Mapping,
    number: usize,
    kind: DocumentKind,
    reason: String,
) -> Document {
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    let section = members.get(kind.member()).and_then(Value::as_mapping);
    let is_true =
        |members: &Mapping| members.get("generate").and_then(Value::as_bool) == Some(true);
    Document {
        file: file.name.clone(),
        title: text("title").unwrap_or_else(|| format!("document {number}")),
        id: text("id"),
        name: text("name"),
        targets: targets(section.and_then(|section| section.get("rules"))),
        log_source: log_source(members.get("logsource")),
        generate: is_true(members) || section.is_some_and(is_true),
        kind,
        content: Err(reason),
        notes: Vec::new(),
    }
}

fn log_source(source: Option<&Value>) -> LogSource {
    let text = |name: &str| source?.get(name)?.as_str().map(str::to_owned);
    LogSource {
        product: text("product"),
        service: text("service"),
        category: text("category"),
        ..LogSource::default()
    }
}

fn targets(rules: Option<&Value>) -> Targets {
    match rules {
        Some(Value::String(name)) if name.eq_ignore_ascii_case("any") => Targets::Any,
        Some(Value::String(name)) => Targets::Named(vec![name.clone()]),
        Some(Value::Sequence(names)) => {
            Targets::Named(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        _ => Targets::Named(Vec::new()),
    }
}

/// Parses a document whose members were checked. The parser's complaints about `related` become notes.
fn parsed(
    kind: DocumentKind,
    members: &Mapping,
    notes: &mut Vec<String>,
) -> Result<Content, String> {
    let text = yaml_serde::to_string(members).map_err(|e| e.to_string())?;
    let collection = parse_sigma_yaml(&text).map_err(|e| e.to_string())?;
    let SigmaCollection { mut rules, mut correlations, mut filters, errors, .. } = collection;
    let (related, errors): (Vec<_>, Vec<_>) =
        errors.into_iter().partition(|error| error.contains("related"));
    notes.extend(related);
    if !errors.is_empty() {
        return Err(errors.join("; "));
    }
    let content = match kind {
        DocumentKind::Rule => rules.pop().map(|rule| Content::Rule(Box::new(rule))),
        DocumentKind::Filter => filters.pop().map(|filter| Content::Filter(Box::new(filter))),
        DocumentKind::Correlation => correlations.pop().map(|rule| Content::Correlation {
            rule: Box::new(rule),
            has_condition: members
                .get("correlation")
                .and_then(|section| section.get("condition"))
                .is_some(),
        }),
    };
    content.ok_or_else(|| "it could not be read".to_owned())
}

/// True where a filter for the log source `filter` covers rules for `rule`.
pub(super) fn covers(filter: &LogSource, rule: &LogSource) -> bool {
    let covered = |filter: &Option<String>, rule: &Option<String>| match (filter, rule) {
        (None, _) => true,
        (Some(filter), Some(rule)) => filter.eq_ignore_ascii_case(rule),
        (Some(_), None) => false,
    };
    covered(&filter.product, &rule.product)
        && covered(&filter.service, &rule.service)
        && covered(&filter.category, &rule.category)
}
