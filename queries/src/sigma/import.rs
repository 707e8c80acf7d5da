//! Imports Sigma rules: reads a YAML file and translates each rule and correlation.

use super::condition::{ConditionTranslator, join_conditions};
use super::correlation;
use super::fields::{self, Dialect};
use super::translation::{RuleSql, TranslatedRule, header_comment, is_named, metadata};
use rsigma_parser::{FilterRuleTarget, LogSource, SigmaCollection, SigmaRule, parse_sigma_yaml};

/// A rule that was not translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRule {
    /// Title of the rule, or which part of the file it is.
    pub title: String,
    /// Why it was not translated.
    pub reason: String,
}

/// The result of importing a file.
#[derive(Debug, Default)]
pub struct SigmaImport {
    /// Rules that were translated.
    pub rules: Vec<TranslatedRule>,
    /// Rules that were not translated.
    pub rejected: Vec<RejectedRule>,
}

/// Translates the rules of a YAML file.
#[must_use]
pub fn import(yaml: &str) -> SigmaImport {
    let mut import = SigmaImport::default();
    let collection = match parse_sigma_yaml(yaml) {
        Ok(collection) => collection,
        Err(error) => {
            import
                .rejected
                .push(RejectedRule { title: "the file".to_owned(), reason: error.to_string() });
            return import;
        }
    };
    import.rejected.extend(collection.errors.iter().map(|error| RejectedRule {
        title: "a part of the file".to_owned(),
        reason: error.clone(),
    }));
    let mut bases = Vec::new();
    for rule in &collection.rules {
        match translate_rule(rule, &collection) {
            Ok(base) => bases.push(base),
            Err(reason) => import.rejected.push(RejectedRule { title: rule.title.clone(), reason }),
        }
    }
    for base in bases.iter().filter(|base| is_standalone(base.rule, &collection)) {
        import.rules.push(rule_files(base));
    }
    for rule in &collection.correlations {
        match correlation::translate(rule, &bases) {
            Ok(translated) => import.rules.push(translated),
            Err(reason) => import.rejected.push(RejectedRule { title: rule.title.clone(), reason }),
        }
    }
    import
}

/// Returns true if the rule is imported as a standalone rule. A rule that correlations refer to is
/// not imported, unless at least one of these correlations sets `generate`.
fn is_standalone(rule: &SigmaRule, collection: &SigmaCollection) -> bool {
    let mut uses = collection
        .correlations
        .iter()
        .filter(|correlation| correlation.rules.iter().any(|name| is_named(rule, name)))
        .peekable();
    uses.peek().is_none() || uses.any(|correlation| correlation.generate)
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
    if is(&source.product, &["alibaba", "alibabacloud", "aliyun"])
        && is(&source.service, &["actiontrail"])
    {
        return Ok(Dialect::ActionTrail);
    }
    if is(&source.product, &["aws"]) && is(&source.service, &["cloudtrail"]) {
        return Ok(Dialect::CloudTrail);
    }
    let name_of = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    Err(format!(
        "its log source (product {}, service {}) is not this trail: `product: alibaba`, `service: actiontrail`, or AWS CloudTrail",
        name_of(&source.product),
        name_of(&source.service)
    ))
}

/// Translates the condition of a rule, combined with the filters of the file that apply to it.
fn translate_rule<'r>(
    rule: &'r SigmaRule,
    collection: &SigmaCollection,
) -> Result<RuleSql<'r>, String> {
    let dialect = dialect(&rule.logsource)?;
    let mut translator = ConditionTranslator::new(dialect, &rule.detection);
    let mut parts = vec![translator.conditions(&rule.detection)?];
    let (compared_fields, mut patterns) = (translator.compared_fields, translator.patterns);
    for filter in &collection.filters {
        let is_for_rule = match &filter.rules {
            FilterRuleTarget::Any => true,
            FilterRuleTarget::Specific(names) => {
                names.iter().any(|name| is_named(rule, name) || *name == rule.title)
            }
        };
        if is_for_rule {
            let mut translator = ConditionTranslator::new(dialect, &filter.detection);
            parts.push(
                translator
                    .conditions(&filter.detection)
                    .map_err(|e| format!("filter \"{}\": {e}", filter.title))?,
            );
            patterns.extend(translator.patterns);
        }
    }
    let predicate = join_conditions(parts, "AND").unwrap_or_default();
    Ok(RuleSql { rule, dialect, predicate, compared_fields, patterns })
}

/// The files of a rule that looks at single events.
fn rule_files(base: &RuleSql<'_>) -> TranslatedRule {
    let rule = base.rule;
    let mut why = vec!["'event = ' || event_name".to_owned()];
    why.extend(base.compared_fields.iter().filter(|(_, sql)| sql.as_str() != "event_name").map(
        |(name, sql)| {
            let label = fields::quoted(&format!("{name} = "));
            format!("{label} || {sql}")
        },
    ));
    let sql = format!(
        "{}SELECT\n    events.*,\n    concat_ws('; ',\n        {}) AS why\nFROM events\nWHERE {}\n",
        header_comment(&rule.title, rule.id.as_deref(), base.dialect),
        why.join(",\n        "),
        base.predicate
    );
    let metadata = metadata!(rule, base.dialect == Dialect::CloudTrail);
    let mut description = metadata.description_file();
    description.insert("prefilter".to_owned(), base.predicate.clone().into());
    TranslatedRule {
        id: metadata.rule_id(),
        title: rule.title.clone(),
        toml: description.to_string(),
        sql,
        mapped: metadata.mapped,
        patterns: base.patterns.clone(),
    }
}
