//! Imports Sigma files: reads all documents, joins filters and correlations with the rules that they name in any of the files,
//! and translates each rule and correlation.

use super::condition::ConditionTranslator;
use super::correlation::{self, Base};
use super::document::{Content, Document, SigmaFile, Targets, covers, read};
use super::fields::Dialect;
use super::members::DocumentKind;
use super::sql::{join_conditions, quoted};
use super::translation::{RuleMetadata, RuleSql, TranslatedRule, header_comment, metadata};
use rsigma_parser::{FilterRule, LogSource, SigmaRule};
use std::collections::BTreeMap;

/// A document that was not translated, or not completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRule {
    /// Name of the file.
    pub file: String,
    /// Title of the document, or which document of the file it is.
    pub title: String,
    /// Why it was not translated.
    pub reason: String,
}

/// The result of importing files.
#[derive(Debug, Default)]
pub struct SigmaImport {
    /// Rules that were translated.
    pub rules: Vec<TranslatedRule>,
    /// Documents that were not translated, and filters that tune less than they say.
    pub rejected: Vec<RejectedRule>,
    /// Members and selections of translated documents that have no effect: file, title and what has none.
    pub notes: Vec<RejectedRule>,
    /// Ids, as [`TranslatedRule::id`] has them, of rules that are imported as parts of correlations only.
    pub parts: Vec<String>,
}

/// Translates the documents of `files`. Names are looked up in all files.
#[must_use]
pub fn import(files: &[SigmaFile]) -> SigmaImport {
    let mut documents: Vec<Document> = files.iter().flat_map(read).collect();
    refuse_duplicates(&mut documents);
    let mut import = SigmaImport::default();
    check_filters(&documents, &mut import);
    let rules: BTreeMap<usize, Result<RuleSql<'_>, String>> = (0..)
        .zip(&documents)
        .filter_map(|(at, document)| match &document.content {
            Ok(Content::Rule(rule)) => Some((at, translate_rule(document, rule, &documents))),
            _ => None,
        })
        .collect();
    let correlations = translate_correlations(&documents, &rules);
    for (at, document) in documents.iter().enumerate() {
        let translated = match &document.content {
            Err(reason) => Err(reason.clone()),
            Ok(Content::Filter(_)) => continue,
            Ok(Content::Correlation { .. }) => match &correlations[&at] {
                Ok(rule) => Ok(rule.clone()),
                Err(reason) => Err(reason.clone()),
            },
            Ok(Content::Rule(_)) => match &rules[&at] {
                Ok(base) => Ok(rule_files(base, document)),
                Err(reason) => Err(reason.clone()),
            },
        };
        let selection_notes = match rules.get(&at) {
            Some(Ok(base)) => base.notes.as_slice(),
            _ => &[],
        };
        let notes =
            document.notes.iter().chain(selection_notes).map(|note| rejected(document, note));
        match translated.and_then(|rule| use_of(at, &documents, &correlations).map(|is| (rule, is)))
        {
            Ok((rule, Use::Own)) => import.rules.push(rule),
            Ok((rule, Use::Part)) => import.parts.push(rule.id),
            Err(reason) => {
                import.rejected.push(rejected(document, &reason));
                continue;
            }
        }
        import.notes.extend(notes);
    }
    import
}

fn rejected(document: &Document, reason: &str) -> RejectedRule {
    RejectedRule {
        file: document.file.clone(),
        title: document.title.clone(),
        // The parser's messages have several lines.
        reason: reason.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// Refuses documents that share an id or a name: which of them another document means is not known, and files of one rule would
/// overwrite those of the other.
fn refuse_duplicates(documents: &mut [Document]) {
    let mut named: BTreeMap<(&str, String), Vec<usize>> = BTreeMap::new();
    for (at, document) in documents.iter().enumerate() {
        let mut add = |what, name: String| named.entry((what, name)).or_default().push(at);
        if let Some(id) = &document.id {
            add("id", id.to_lowercase());
        }
        if let Some(name) = document.name.as_ref().filter(|_| document.kind != DocumentKind::Filter)
        {
            add("name", name.clone());
        }
        if let Some(id) = rule_id(document) {
            add("rule id", id);
        }
    }
    let mut reasons = BTreeMap::new();
    for ((what, name), places) in named.iter().filter(|(_, places)| places.len() > 1) {
        for at in places {
            let other = places.iter().find(|other| *other != at).unwrap_or(at);
            reasons.entry(*at).or_insert_with(|| {
                format!("it has the same {what} `{name}` as {}", documents[*other].label())
            });
        }
    }
    for (at, reason) in reasons {
        if documents[at].content.is_ok() {
            documents[at].content = Err(reason);
        }
    }
}

/// The id of the rule that a document becomes.
fn rule_id(document: &Document) -> Option<String> {
    match &document.content {
        Ok(Content::Rule(rule)) => Some(metadata!(rule, false).rule_id()),
        Ok(Content::Correlation { rule, .. }) => Some(metadata!(rule, false).rule_id()),
        _ => None,
    }
}

/// The rules and correlations that are called `name`.
fn named<'d>(documents: &'d [Document], name: &str) -> Vec<(usize, &'d Document)> {
    let is_named =
        |document: &Document| document.kind != DocumentKind::Filter && document.is_named(name);
    documents.iter().enumerate().filter(|(_, document)| is_named(document)).collect()
}

/// Reports filters that tune no rule, and names in filters that are not there.
fn check_filters(documents: &[Document], import: &mut SigmaImport) {
    for filter in documents {
        let Ok(Content::Filter(_)) = &filter.content else { continue };
        let problems = match &filter.targets {
            Targets::Any if rules(documents).any(|rule| tunes(filter, rule)) => Vec::new(),
            Targets::Any => vec![
                "it tunes no rule: none that is imported with it has its log source".to_owned(),
            ],
            Targets::Named(names) => names
                .iter()
                .filter_map(|name| filter_target_problem(documents, filter, name))
                .collect(),
        };
        import.rejected.extend(problems.iter().map(|problem| rejected(filter, problem)));
    }
}

fn rules(documents: &[Document]) -> impl Iterator<Item = &Document> {
    documents.iter().filter(|document| document.kind == DocumentKind::Rule)
}

fn filter_target_problem(documents: &[Document], filter: &Document, name: &str) -> Option<String> {
    let targets: Vec<&Document> =
        rules(documents).filter(|rule| rule.is_named(name) || rule.title == name).collect();
    if targets.iter().any(|rule| covers(&filter.log_source, &rule.log_source)) {
        return None;
    }
    Some(match (targets.first(), named(documents, name).first()) {
        (Some(_), _) => format!("it does not tune `{name}`, whose log source is another one"),
        (None, Some(_)) => format!("it names `{name}`, which is a correlation; filters tune rules"),
        (None, None) => format!(
            "it names the rule `{name}`, which is not among the imported files; import them together"
        ),
    })
}

/// True where `filter` tunes `rule`.
fn tunes(filter: &Document, rule: &Document) -> bool {
    let is_target = match &filter.targets {
        Targets::Any => true,
        Targets::Named(names) => {
            names.iter().any(|name| rule.is_named(name) || *name == rule.title)
        }
    };
    is_target && covers(&filter.log_source, &rule.log_source)
}

/// How a translated rule is used.
enum Use {
    /// As a rule that makes findings.
    Own,
    /// Only as a part of correlations.
    Part,
}

/// How the translated document with the index `at` is used. A rule that correlations name makes no
/// findings itself, unless one of the correlations has `generate: true`.
///
/// # Errors
/// The document is not used: all correlations that name it were refused.
fn use_of(
    at: usize,
    documents: &[Document],
    correlations: &BTreeMap<usize, Result<TranslatedRule, String>>,
) -> Result<Use, String> {
    let mut is_part = false;
    let mut refused = None;
    for (user, document) in documents.iter().enumerate() {
        let Targets::Named(names) = &document.targets else { continue };
        let names_it = names.iter().any(|name| documents[at].is_named(name));
        if document.kind != DocumentKind::Correlation || user == at || !names_it {
            continue;
        }
        if document.generate {
            return Ok(Use::Own);
        }
        match correlations.get(&user) {
            Some(Ok(_)) if use_of(user, documents, correlations).is_ok() => is_part = true,
            _ => refused = Some(document),
        }
    }
    match (is_part, refused) {
        (true, _) => Ok(Use::Part),
        (false, None) => Ok(Use::Own),
        (false, Some(correlation)) => Err(format!(
            "it is only a part of the correlation {}, which was refused; `generate: true` there makes it a rule of its own",
            correlation.label()
        )),
    }
}

fn translate_correlations(
    documents: &[Document],
    rules: &BTreeMap<usize, Result<RuleSql<'_>, String>>,
) -> BTreeMap<usize, Result<TranslatedRule, String>> {
    let translate = |document: &Document| match &document.content {
        Ok(Content::Correlation { rule, has_condition }) => {
            let bases = rule
                .rules
                .iter()
                .map(|name| base(documents, rules, name))
                .collect::<Result<Vec<_>, _>>();
            Some(bases.and_then(|bases| {
                let translated = correlation::translate(rule, *has_condition, bases)?;
                Ok(TranslatedRule { file: document.file.clone(), ..translated })
            }))
        }
        _ => None,
    };
    (0..).zip(documents).filter_map(|(at, document)| Some((at, translate(document)?))).collect()
}

/// The rule that a correlation calls `name`.
fn base<'r>(
    documents: &[Document],
    rules: &'r BTreeMap<usize, Result<RuleSql<'r>, String>>,
    name: &str,
) -> Result<Base<'r>, String> {
    match named(documents, name)[..] {
        [] => Err(format!(
            "it refers to the rule `{name}`, which is not among the imported files; import them together"
        )),
        [(at, document)] => match (document.kind, rules.get(&at)) {
            (DocumentKind::Correlation, _) => Err(format!(
                "it refers to `{name}`, which is a correlation itself; chains of correlations are not supported"
            )),
            (_, Some(Ok(sql))) => Ok(Base { name: name.to_owned(), sql }),
            _ => Err(format!("it refers to the rule `{name}`, which was refused")),
        },
        _ => Err(format!("it refers to `{name}`, which is the name of several documents")),
    }
}

/// The dialect of a log source.
///
/// # Errors
/// The log source is neither ActionTrail nor CloudTrail.
fn dialect(source: &LogSource) -> Result<Dialect, String> {
    let is = |value: &Option<String>, names: &[&str]| {
        value
            .as_deref()
            .is_some_and(|value| names.iter().any(|name| name.eq_ignore_ascii_case(value)))
    };
    let known = if is(&source.product, &["alibaba", "alibabacloud", "aliyun"])
        && is(&source.service, &["actiontrail"])
    {
        Dialect::ActionTrail
    } else if is(&source.product, &["aws"]) && is(&source.service, &["cloudtrail"]) {
        Dialect::CloudTrail
    } else {
        let name_of = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        return Err(format!(
            "its log source (product {}, service {}) is not this trail: `product: alibaba`, `service: actiontrail`, or AWS CloudTrail",
            name_of(&source.product),
            name_of(&source.service)
        ));
    };
    match &source.category {
        Some(category) => {
            Err(format!("the category `{category}` of its log source is not known here"))
        }
        None => Ok(known),
    }
}

/// Translates the condition of a rule, combined with the filters that tune it.
fn translate_rule<'r>(
    document: &Document,
    rule: &'r SigmaRule,
    documents: &[Document],
) -> Result<RuleSql<'r>, String> {
    let dialect = dialect(&rule.logsource)?;
    let mut translator = ConditionTranslator::new(dialect, &rule.detection);
    let mut parts = vec![translator.conditions(&rule.detection)?];
    let notes = translator.unused_selections();
    let (compared_fields, mut patterns) = (translator.compared_fields, translator.patterns);
    let mut filters = Vec::new();
    for filter in documents {
        if filter.kind != DocumentKind::Filter || !tunes(filter, document) {
            continue;
        }
        let translated = match &filter.content {
            Ok(Content::Filter(filter)) => filter_condition(dialect, filter, &mut patterns),
            Ok(_) => continue,
            Err(reason) => Err(reason.clone()),
        };
        parts.push(translated.map_err(|e| format!("filter {}: {e}", filter.label()))?);
        filters.push(filter.title.clone());
    }
    let predicate = join_conditions(parts, "AND").unwrap_or_default();
    Ok(RuleSql { rule, dialect, predicate, compared_fields, patterns, filters, notes })
}

fn filter_condition(
    dialect: Dialect,
    filter: &FilterRule,
    patterns: &mut Vec<String>,
) -> Result<String, String> {
    let mut translator = ConditionTranslator::new(dialect, &filter.detection);
    let condition = translator.conditions(&filter.detection)?;
    patterns.extend(translator.patterns);
    Ok(condition)
}

/// The files of a rule that looks at single events.
fn rule_files(base: &RuleSql<'_>, document: &Document) -> TranslatedRule {
    let rule = base.rule;
    let mut why = vec!["'event = ' || event_name".to_owned()];
    why.extend(base.compared_fields.iter().filter(|(_, sql)| sql.as_str() != "event_name").map(
        |(name, sql)| {
            let label = quoted(&format!("{name} = "));
            format!("{label} || {sql}")
        },
    ));
    let sql = format!(
        "{}SELECT\n    events.*,\n    concat_ws('; ',\n        {}) AS why\nFROM events\nWHERE {}\n",
        header_comment(&rule.title, rule.id.as_deref(), base.dialect),
        why.join(",\n        "),
        base.predicate
    );
    let metadata: RuleMetadata<'_> = metadata!(rule, base.dialect == Dialect::CloudTrail);
    let mut description = metadata.description_file();
    description.insert("prefilter".to_owned(), base.predicate.clone().into());
    TranslatedRule {
        id: metadata.rule_id(),
        title: rule.title.clone(),
        file: document.file.clone(),
        toml: description.to_string(),
        sql,
        mapped: metadata.mapped,
        patterns: base.patterns.clone(),
        rules: Vec::new(),
        filters: base.filters.clone(),
    }
}
