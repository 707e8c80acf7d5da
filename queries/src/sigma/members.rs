//! The members that Sigma documents may have. The parser leaves out what it does not know or cannot read; a rule without
//! that part would find something else.

use crate::suggestion::{did_you_mean, nearest};
use yaml_serde::{Mapping, Value};

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DocumentKind {
    Rule,
    Filter,
    Correlation,
}

impl DocumentKind {
    pub(super) const ALL: [Self; 3] = [Self::Rule, Self::Filter, Self::Correlation];

    /// The member that makes a document this kind.
    pub(super) fn member(self) -> &'static str {
        match self {
            Self::Rule => "detection",
            Self::Filter => "filter",
            Self::Correlation => "correlation",
        }
    }
}

/// Members of every document.
const COMMON: [&str; 19] = [
    "title",
    "id",
    "related",
    "name",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "fields",
    "falsepositives",
    "level",
    "tags",
    "scope",
    "sigma-version",
    "custom_attributes",
];
/// Members that describe how a rule is tested.
const INFORMATIVE: [&str; 3] = ["simulation", "regression_tests_path", "custom"];
/// Members of a correlation.
const CORRELATION: [&str; 10] = [
    "type",
    "rules",
    "group-by",
    "timespan",
    "timeframe",
    "condition",
    "aliases",
    "generate",
    "window",
    "gap",
];
/// Members that belong inside of a section and have no meaning outside of it.
const MISPLACED: [(&str, &str); 9] = [
    ("condition", "detection"),
    ("timeframe", "detection"),
    ("selection", "detection"),
    ("keywords", "detection"),
    ("rules", "correlation"),
    ("group-by", "correlation"),
    ("timespan", "correlation"),
    ("aliases", "correlation"),
    ("type", "correlation"),
];
const CORRELATION_TYPES: [&str; 8] = [
    "event_count",
    "value_count",
    "value_sum",
    "value_avg",
    "value_median",
    "value_percentile",
    "temporal",
    "temporal_ordered",
];
const OPERATORS: [&str; 6] = ["gte", "gt", "lte", "lt", "eq", "neq"];

type Checked = Result<(), String>;

/// Checks the members of a document. Returns notes about members that have no effect, or switch the rule off.
///
/// # Errors
/// What is wrong with the document.
pub(super) fn check(kind: DocumentKind, members: &Mapping) -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    for key in members.keys() {
        let name = text_key(key, "the document")?;
        if let Some(note) = top_member(kind, name)? {
            notes.push(note);
        }
    }
    for name in ["title", "id", "name", "status", "level", "taxonomy"] {
        match members.get(name) {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(_) => return Err(format!("`{name}` must be text; put it in quotes")),
        }
    }
    if let Some(status @ ("deprecated" | "unsupported")) =
        members.get("status").and_then(Value::as_str)
    {
        notes.push(format!("its status is `{status}`, so the rule is imported switched off"));
    }
    if let Some(taxonomy) = members.get("taxonomy").and_then(Value::as_str)
        && taxonomy != "sigma"
    {
        return Err(format!(
            "its field names are those of the taxonomy `{taxonomy}`, which is not known; expected `sigma`"
        ));
    }
    if let Some(source) = members.get("logsource") {
        log_source(source)?;
    }
    let section = members
        .get(kind.member())
        .and_then(Value::as_mapping)
        .ok_or_else(|| format!("`{}` must have named members", kind.member()))?;
    match kind {
        DocumentKind::Rule => selections(section, &["condition", "timeframe"])?,
        DocumentKind::Filter => filter(members, section)?,
        DocumentKind::Correlation => correlation(members, section)?,
    }
    Ok(notes)
}

/// Checks the name of a member of the document. Returns a note where the member has no effect.
fn top_member(kind: DocumentKind, name: &str) -> Result<Option<String>, String> {
    let own: &[&str] = match kind {
        DocumentKind::Rule => &["logsource", "detection"],
        DocumentKind::Filter => &["logsource", "filter"],
        DocumentKind::Correlation => &["correlation", "generate"],
    };
    let known = || COMMON.iter().chain(own).copied();
    if known().any(|known| known == name) || INFORMATIVE.contains(&name) {
        return Ok(None);
    }
    if let Some((_, section)) = MISPLACED.iter().find(|(misplaced, _)| *misplaced == name) {
        return Err(format!("`{name}` stands outside of `{section}`, where it has no effect"));
    }
    if let Some(near) = nearest(name, known()) {
        return Err(format!(
            "`{name}` is not a member of a Sigma document; did you mean `{near}`?"
        ));
    }
    if ["logsource", "generate"].contains(&name) || name.starts_with("rsigma.") {
        return Err(format!("`{name}` is not supported in a document with `{}`", kind.member()));
    }
    Ok(Some(format!("its member `{name}` is not part of Sigma and has no effect")))
}

fn text_key<'v>(key: &'v Value, place: &str) -> Result<&'v str, String> {
    key.as_str()
        .filter(|name| !name.is_empty())
        .ok_or_else(|| format!("{place} has a member whose name is no text; put it in quotes"))
}

fn log_source(source: &Value) -> Checked {
    let Some(members) = source.as_mapping() else {
        return Err("`logsource` must have named members".to_owned());
    };
    for (key, value) in members {
        let name = text_key(key, "`logsource`")?;
        if !["product", "service", "category", "definition"].contains(&name) {
            return Err(format!(
                "`logsource` has the member `{name}`, which is not known{}",
                did_you_mean(name, ["product", "service", "category", "definition"], "")
            ));
        }
        if !value.is_string() {
            return Err(format!("`logsource`: `{name}` must be text"));
        }
    }
    Ok(())
}

/// Checks the selections of a detection or filter. `others` are its members that are no selections.
fn selections(section: &Mapping, others: &[&str]) -> Checked {
    for (key, value) in section {
        let name = text_key(key, "a detection")?;
        if !others.contains(&name) {
            selection(name, value)?;
        }
    }
    if let Some(condition) = section.get("condition").and_then(Value::as_str)
        && condition.contains('|')
    {
        return Err(format!(
            "the aggregation in `{condition}` is one of Sigma 1; write a correlation instead"
        ));
    }
    match section.get("timeframe") {
        None | Some(Value::String(_)) => Ok(()),
        Some(_) => Err("`timeframe` must be text".to_owned()),
    }
}

fn selection(name: &str, value: &Value) -> Checked {
    match value {
        Value::Mapping(items) => {
            for (key, value) in items {
                let field = text_key(key, &format!("the selection `{name}`"))?;
                match value {
                    Value::Sequence(values) => {
                        values.iter().try_for_each(|value| scalar(field, value))?;
                    }
                    value => scalar(field, value)?,
                }
            }
            Ok(())
        }
        Value::Sequence(parts) => parts.iter().try_for_each(|part| match part {
            Value::Sequence(_) => Err(format!("the selection `{name}` has a list in a list")),
            part => selection(name, part),
        }),
        value => scalar(name, value),
    }
}

fn scalar(field: &str, value: &Value) -> Checked {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(number) if number.as_i64().is_some() => Ok(()),
        Value::Number(number) if number.is_f64() && number.as_f64().is_some_and(f64::is_finite) => {
            Ok(())
        }
        Value::Number(number) => {
            Err(format!("`{field}`: the number {number} is not read exactly; put it in quotes"))
        }
        Value::Mapping(_) => Err(format!(
            "`{field}` has members of its own; write the path with dots, such as `{field}.name`"
        )),
        Value::Sequence(_) => Err(format!("`{field}` has a list in a list")),
        Value::Tagged(_) => Err(format!("`{field}` has a YAML tag, which has no meaning in Sigma")),
    }
}

fn filter(members: &Mapping, section: &Mapping) -> Checked {
    if !members.contains_key("logsource") {
        return Err("a filter needs a `logsource`, whose rules it may tune".to_owned());
    }
    selections(section, &["condition", "rules"])?;
    if !matches!(section.get("condition"), Some(Value::String(_))) {
        return Err("a filter needs one `condition`".to_owned());
    }
    names(section, "rules", "the ids or names of the rules that it tunes, or `any`")
}

/// Checks that the member `name` is a text or a list of texts that are not empty.
fn names(section: &Mapping, name: &str, what: &str) -> Checked {
    let is_name = |value: &Value| value.as_str().is_some_and(|name| !name.trim().is_empty());
    let is_valid = match section.get(name) {
        Some(Value::Sequence(names)) => !names.is_empty() && names.iter().all(is_name),
        Some(value) => is_name(value),
        None => false,
    };
    if !is_valid {
        return Err(format!("`{name}` must be {what}"));
    }
    if let Some(Value::Sequence(names)) = section.get(name)
        && let Some(twice) = names.iter().enumerate().find(|(at, one)| names[..*at].contains(one))
    {
        return Err(format!("`{name}` lists `{}` twice", twice.1.as_str().unwrap_or_default()));
    }
    Ok(())
}

fn correlation(members: &Mapping, section: &Mapping) -> Checked {
    for key in section.keys() {
        let name = text_key(key, "`correlation`")?;
        if !CORRELATION.contains(&name) {
            let near = did_you_mean(name, CORRELATION, "");
            return Err(format!("`correlation` has the member `{name}`, which is not known{near}"));
        }
    }
    let Some(kind) = section.get("type").and_then(Value::as_str) else {
        return Err("the `type` of the correlation is missing".to_owned());
    };
    if !CORRELATION_TYPES.contains(&kind) {
        return Err(unknown_type(kind));
    }
    names(section, "rules", "a list of the ids or names of its rules")?;
    if section.contains_key("group-by") {
        names(section, "group-by", "a list of fields")?;
    }
    for place in [members, section] {
        if place.get("generate").is_some_and(|generate| !generate.is_bool()) {
            return Err("`generate` must be true or false".to_owned());
        }
    }
    match (section.get("timespan"), section.get("timeframe")) {
        (Some(_), Some(_)) => return Err("it has both `timespan` and `timeframe`".to_owned()),
        (None, None) => return Err("its `timespan` is missing".to_owned()),
        (Some(span), None) | (None, Some(span)) if !span.is_string() => {
            return Err("`timespan` must be a number and a unit, such as `10m`".to_owned());
        }
        _ => {}
    }
    if let Some(aliases) = section.get("aliases") {
        check_aliases(aliases)?;
    }
    match section.get("condition") {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Mapping(condition)) => threshold(kind, condition),
        Some(_) => Err("its `condition` must be text or a threshold such as `gte: 5`".to_owned()),
    }
}

fn unknown_type(kind: &str) -> String {
    let swapped: Vec<&str> = kind.rsplit('_').collect();
    let meant = if CORRELATION_TYPES.contains(&swapped.join("_").as_str()) {
        format!("; did you mean `{}`?", swapped.join("_"))
    } else if kind == "temporal_extended" {
        "; conditions over rules belong to `temporal`".to_owned()
    } else {
        did_you_mean(
            kind,
            CORRELATION_TYPES,
            &format!("there are {}", CORRELATION_TYPES.join(", ")),
        )
    };
    format!("`{kind}` is not a type of correlation{meant}")
}

fn check_aliases(aliases: &Value) -> Checked {
    let is_text = |value: &Value| value.is_string();
    let are_fields = |fields: &Value| {
        fields.as_mapping().is_some_and(|fields| {
            fields.iter().all(|(rule, field)| is_text(rule) && is_text(field))
        })
    };
    let valid = aliases.as_mapping().is_some_and(|aliases| {
        aliases.iter().all(|(alias, fields)| is_text(alias) && are_fields(fields))
    });
    match valid {
        true => Ok(()),
        false => Err("`aliases` must give for each alias the field of each rule".to_owned()),
    }
}

fn threshold(kind: &str, condition: &Mapping) -> Checked {
    let counts_values = kind.starts_with("value_");
    for (key, value) in condition {
        let name = text_key(key, "`condition`")?;
        match name {
            "field" if !counts_values => {
                return Err(format!("a correlation of type `{kind}` has no `field`"));
            }
            "field" => names(condition, "field", "the field whose values are counted")?,
            "percentile" if kind == "value_percentile" => {}
            _ if !OPERATORS.contains(&name) => {
                let near = did_you_mean(name, OPERATORS, "");
                return Err(format!(
                    "`condition` has the member `{name}`, which is not known{near}"
                ));
            }
            _ if value.as_u64().is_none() => {
                return Err(format!("`condition`: `{name}` must be a whole number from 0"));
            }
            _ => {}
        }
    }
    Ok(())
}
