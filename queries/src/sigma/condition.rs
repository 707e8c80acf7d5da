//! Translates the selections and the condition of a Sigma rule to an SQL condition on `events`.

use super::fields::{Dialect, FieldKind, FieldSql, map_value, quoted};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, Modifier, Quantifier, SigmaString,
    SigmaValue, SpecialChar, StringPart,
};
use std::collections::BTreeMap;

/// Translates the selections of one rule.
pub(super) struct ConditionTranslator<'r> {
    dialect: Dialect,
    named: BTreeMap<&'r str, &'r Detection>,
    /// Fields that the rule compares, for the `why` of its findings: name and SQL.
    pub(super) compared_fields: BTreeMap<String, String>,
    /// Regular expressions of the rule. The import tests whether the query engine can compile them.
    pub(super) patterns: Vec<String>,
}

/// SQL, or the reason why it cannot be translated.
type SqlResult = Result<String, String>;

impl<'r> ConditionTranslator<'r> {
    pub(super) fn new(dialect: Dialect, detections: &'r Detections) -> Self {
        let named =
            detections.named.iter().map(|(name, detection)| (name.as_str(), detection)).collect();
        Self { dialect, named, compared_fields: BTreeMap::new(), patterns: Vec::new() }
    }

    /// The conditions of a rule, joined by OR.
    pub(super) fn conditions(&mut self, detections: &Detections) -> SqlResult {
        if let Some(timeframe) = &detections.timeframe {
            return Err(format!(
                "`timeframe: {timeframe}` of Sigma 1 counts events; write a correlation instead"
            ));
        }
        let parts = detections
            .conditions
            .iter()
            .map(|condition| self.condition(condition))
            .collect::<Result<Vec<_>, _>>()?;
        join_conditions(parts, "OR").ok_or_else(|| "it has no condition".to_owned())
    }

    fn condition(&mut self, condition: &ConditionExpr) -> SqlResult {
        match condition {
            ConditionExpr::And(parts) => self.all_parts(parts, "AND"),
            ConditionExpr::Or(parts) => self.all_parts(parts, "OR"),
            // In Sigma a missing value does not match, and NOT inverts that. In SQL it is NULL, so
            // NULL becomes false first.
            ConditionExpr::Not(inner) => {
                Ok(format!("NOT coalesce({}, false)", self.condition(inner)?))
            }
            ConditionExpr::Identifier(name) => self.selection(name),
            ConditionExpr::Selector { quantifier, pattern } => {
                let names: Vec<&str> = self
                    .named
                    .keys()
                    .copied()
                    .filter(|name| pattern.matches_detection_name(name))
                    .collect();
                if names.is_empty() {
                    return Err(format!("no selection is called `{pattern}`"));
                }
                let parts = names
                    .into_iter()
                    .map(|name| self.selection(name))
                    .collect::<Result<Vec<_>, _>>()?;
                match quantifier {
                    Quantifier::Any => join_conditions(parts, "OR"),
                    Quantifier::All => join_conditions(parts, "AND"),
                    Quantifier::Count(count) => {
                        let counted: Vec<String> = parts
                            .iter()
                            .map(|part| format!("CASE WHEN {part} THEN 1 ELSE 0 END"))
                            .collect();
                        Some(format!("({} >= {count})", counted.join(" + ")))
                    }
                }
                .ok_or_else(|| format!("no selection is called `{pattern}`"))
            }
        }
    }

    fn all_parts(&mut self, parts: &[ConditionExpr], operator: &str) -> SqlResult {
        let parts = parts.iter().map(|part| self.condition(part)).collect::<Result<Vec<_>, _>>()?;
        join_conditions(parts, operator).ok_or_else(|| "a condition is empty".to_owned())
    }

    fn selection(&mut self, name: &str) -> SqlResult {
        let detection =
            *self.named.get(name).ok_or_else(|| format!("no selection is called `{name}`"))?;
        self.detection(detection)
    }

    fn detection(&mut self, detection: &Detection) -> SqlResult {
        let empty = || "a selection is empty".to_owned();
        match detection {
            Detection::AllOf(items) => {
                let parts = items.iter().map(|item| self.item(item)).collect::<Result<Vec<_>, _>>()?;
                join_conditions(parts, "AND").ok_or_else(empty)
            }
            Detection::AnyOf(parts) => {
                let parts = parts.iter().map(|part| self.detection(part)).collect::<Result<Vec<_>, _>>()?;
                join_conditions(parts, "OR").ok_or_else(empty)
            }
            Detection::And(parts) => {
                let parts = parts.iter().map(|part| self.detection(part)).collect::<Result<Vec<_>, _>>()?;
                join_conditions(parts, "AND").ok_or_else(empty)
            }
            Detection::Keywords(_) => {
                Err("keywords search the whole text of an event, which the lake does not store: name a field".to_owned())
            }
            Detection::ArrayMatch { field, .. } => {
                Err(format!("`{field}[...]` matches elements of a list; only whole values can be compared"))
            }
            Detection::Conditional { .. } => Err("conditions within a selection are not supported".to_owned()),
        }
    }

    fn item(&mut self, item: &DetectionItem) -> SqlResult {
        let name =
            item.field.name.as_deref().ok_or_else(|| "a value without a field".to_owned())?;
        let field = self.dialect.field(name)?;
        self.compared_fields.insert(name.to_owned(), field.text.clone());
        let modifiers = &item.field.modifiers;
        let has = |modifier| modifiers.contains(&modifier);
        if has(Modifier::Expand) {
            return Err(format!(
                "`{name}|expand` needs a list of the company, which is not part of the Sigma rule"
            ));
        }
        let mut parts = Vec::new();
        for value in &item.values {
            let part = self.value(name, &field, modifiers, value)?;
            parts.push(if has(Modifier::Neq) {
                format!("NOT coalesce({part}, false)")
            } else {
                part
            });
        }
        join_conditions(parts, if has(Modifier::All) || has(Modifier::Neq) { "AND" } else { "OR" })
            .ok_or_else(|| format!("`{name}` has no value"))
    }

    fn value(
        &mut self,
        name: &str,
        field: &FieldSql,
        modifiers: &[Modifier],
        value: &SigmaValue,
    ) -> SqlResult {
        let has = |modifier| modifiers.contains(&modifier);
        if has(Modifier::Exists) {
            let SigmaValue::Bool(there) = value else {
                return Err(format!("the value of `{name}|exists` must be true or false"));
            };
            return Ok(format!("{} IS {}NULL", field.text, if *there { "NOT " } else { "" }));
        }
        if matches!(value, SigmaValue::Null) {
            return Ok(format!("{} IS NULL", field.text));
        }
        if let Some(part) = modifiers.iter().find_map(|modifier| time_part(*modifier)) {
            return match field.kind {
                FieldKind::Time => {
                    Ok(format!("date_part('{part}', event_time) = {}", number(value)?))
                }
                _ => Err(format!("`{name}` is not a time field")),
            };
        }
        if let Some(sign) = modifiers.iter().find_map(|modifier| comparison(*modifier)) {
            return Ok(format!("try_cast({} AS DOUBLE) {sign} {}", field.text, number(value)?));
        }
        if has(Modifier::FieldRef) {
            return self.field_comparison(field, modifiers, &value.to_string());
        }
        if has(Modifier::Cidr) {
            let address = if field.kind == FieldKind::Address { "source_ip" } else { &field.text };
            crate::parameters::parse_range(&value.to_string())
                .map_err(|e| format!("`{name}`: {e}"))?;
            return Ok(format!("ip_in_cidr({address}, {})", quoted(&value.to_string())));
        }
        if has(Modifier::Re) {
            return Ok(self.regex(field, modifiers, &value.to_string()));
        }
        if modifiers.iter().any(|modifier| is_encoding(*modifier)) {
            return base64_comparison(field, modifiers, &value.to_string());
        }
        match field.kind {
            FieldKind::Text | FieldKind::Address => {}
            FieldKind::Time => {
                return Err(
                    "a time is compared by its parts (`eventTime|hour`), not as text".to_owned()
                );
            }
            FieldKind::Mfa => return mfa_comparison(field, value),
            _ => return mapped_comparison(name, field, modifiers, value),
        }
        let strings = match value {
            SigmaValue::String(text) if has(Modifier::WindAsh) => dash_variants(text),
            SigmaValue::String(text) => vec![text.clone()],
            other => vec![SigmaString::from_raw(&other.to_string())],
        };
        let parts = strings.iter().map(|text| text_comparison(field, modifiers, text)).collect();
        join_conditions(parts, "OR").ok_or_else(|| format!("`{name}` has no value"))
    }

    fn field_comparison(
        &mut self,
        field: &FieldSql,
        modifiers: &[Modifier],
        other: &str,
    ) -> SqlResult {
        let other = self.dialect.field(other)?;
        let (a, b) = if modifiers.contains(&Modifier::Cased) {
            (&field.text, &other.text)
        } else {
            (&field.lower, &other.lower)
        };
        Ok(if modifiers.contains(&Modifier::StartsWith) {
            format!("starts_with({a}, {b})")
        } else if modifiers.contains(&Modifier::EndsWith) {
            format!("ends_with({a}, {b})")
        } else if modifiers.contains(&Modifier::Contains) {
            format!("strpos({a}, {b}) > 0")
        } else {
            format!("{a} = {b}")
        })
    }

    fn regex(&mut self, field: &FieldSql, modifiers: &[Modifier], pattern: &str) -> String {
        let flags: String =
            [(Modifier::IgnoreCase, 'i'), (Modifier::Multiline, 'm'), (Modifier::DotAll, 's')]
                .into_iter()
                .filter(|(modifier, _)| modifiers.contains(modifier))
                .map(|(_, flag)| flag)
                .collect();
        let pattern =
            if flags.is_empty() { pattern.to_owned() } else { format!("(?{flags}){pattern}") };
        self.patterns.push(pattern.clone());
        format!("regexp_like({}, {})", field.text, quoted(&pattern))
    }
}

/// Joins `parts` by the operator, in parentheses where there are several. `None` without parts.
pub(super) fn join_conditions(mut parts: Vec<String>, operator: &str) -> Option<String> {
    parts.dedup();
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(format!("({})", parts.join(&format!(" {operator} ")))),
    }
}

fn time_part(modifier: Modifier) -> Option<&'static str> {
    Some(match modifier {
        Modifier::Minute => "minute",
        Modifier::Hour => "hour",
        Modifier::Day => "day",
        Modifier::Week => "week",
        Modifier::Month => "month",
        Modifier::Year => "year",
        _ => return None,
    })
}

fn comparison(modifier: Modifier) -> Option<&'static str> {
    Some(match modifier {
        Modifier::Gt => ">",
        Modifier::Gte => ">=",
        Modifier::Lt => "<",
        Modifier::Lte => "<=",
        _ => return None,
    })
}

fn number(value: &SigmaValue) -> SqlResult {
    let text = value.to_string();
    text.parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
        .map(|_| text.clone())
        .ok_or_else(|| format!("`{text}` is not a number"))
}

fn is_encoding(modifier: Modifier) -> bool {
    matches!(
        modifier,
        Modifier::Base64
            | Modifier::Base64Offset
            | Modifier::Wide
            | Modifier::Utf16
            | Modifier::Utf16be
    )
}

/// A comparison of a field with a text: case-insensitive unless `cased`; wildcards become LIKE;
/// `startswith`, `endswith` and `contains` add `%`.
fn text_comparison(field: &FieldSql, modifiers: &[Modifier], text: &SigmaString) -> String {
    let has = |modifier| modifiers.contains(&modifier);
    let cased = has(Modifier::Cased);
    let value = if cased { &field.text } else { &field.lower };
    let before = has(Modifier::Contains) || has(Modifier::EndsWith);
    let after = has(Modifier::Contains) || has(Modifier::StartsWith);
    let fold = |text: &str| if cased { text.to_owned() } else { text.to_lowercase() };
    match text.as_plain() {
        Some(plain) if !before && !after => format!("{value} = {}", quoted(&fold(&plain))),
        _ => {
            let mut pattern = String::from(if before { "%" } else { "" });
            for part in &text.parts {
                match part {
                    StringPart::Plain(plain) => pattern.push_str(&escaped(&fold(plain))),
                    StringPart::Special(SpecialChar::WildcardMulti) => pattern.push('%'),
                    StringPart::Special(SpecialChar::WildcardSingle) => pattern.push('_'),
                }
            }
            pattern.push_str(if after { "%" } else { "" });
            format!("{value} LIKE {}", quoted(&pattern))
        }
    }
}

/// Escapes the wildcards of LIKE.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// A comparison with an MFA field, whose values are `yes`, `no` and `unknown`.
fn mfa_comparison(field: &FieldSql, value: &SigmaValue) -> SqlResult {
    let text = value.to_string().to_lowercase();
    match text.as_str() {
        "true" | "yes" => Ok(format!("{} = 'yes'", field.text)),
        "false" | "no" => Ok(format!("{} = 'no'", field.text)),
        _ => Err(format!("an MFA field must be `true`, `false`, `yes` or `no`, not `{text}`")),
    }
}

/// A comparison with a CloudTrail value, which is mapped to ActionTrail's values.
fn mapped_comparison(
    name: &str,
    field: &FieldSql,
    modifiers: &[Modifier],
    value: &SigmaValue,
) -> SqlResult {
    let plain = match value {
        SigmaValue::String(text) => text.as_plain(),
        other => Some(other.to_string()),
    };
    let plain = plain.filter(|_| {
        modifiers
            .iter()
            .all(|modifier| matches!(modifier, Modifier::All | Modifier::Cased | Modifier::Neq))
    });
    let plain = plain.ok_or_else(|| {
        format!("`{name}` is compared with a pattern, which cannot be mapped: names differ between the clouds")
    })?;
    let values = map_value(field.kind, &plain).map_err(|e| format!("`{name}`: {e}"))?;
    let part = |value: &&str| match value.strip_suffix('*') {
        Some(start) => format!("{} LIKE {}", field.lower, quoted(&format!("{start}%"))),
        None => format!("{} = {}", field.lower, quoted(value)),
    };
    join_conditions(values.iter().map(part).collect(), "OR")
        .ok_or_else(|| format!("`{name}` has no value"))
}

/// Builds a comparison with the base64 form of `value`, encoded according to the modifiers
/// `base64`, `base64offset`, `wide` and `utf16`.
fn base64_comparison(field: &FieldSql, modifiers: &[Modifier], value: &str) -> SqlResult {
    let has = |modifier| modifiers.contains(&modifier);
    let bytes: Vec<u8> = if has(Modifier::Wide) || has(Modifier::Utf16) {
        let units = if has(Modifier::Utf16) { vec![0xfeff] } else { Vec::new() };
        units.into_iter().chain(value.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    } else if has(Modifier::Utf16be) {
        value.encode_utf16().flat_map(u16::to_be_bytes).collect()
    } else {
        value.as_bytes().to_vec()
    };
    let texts = if has(Modifier::Base64Offset) {
        (0..3).map(|offset| base64_at_offset(&bytes, offset)).collect()
    } else if has(Modifier::Base64) {
        vec![STANDARD.encode(&bytes)]
    } else {
        return Err(
            "a UTF-16 value only occurs in an event as base64; add a base64 modifier".to_owned()
        );
    };
    let contains = has(Modifier::Contains) || has(Modifier::Base64Offset);
    let part = |text: String| match contains {
        true => format!("strpos({}, {}) > 0", field.text, quoted(&text)),
        false => format!("{} = {}", field.text, quoted(&text)),
    };
    join_conditions(texts.into_iter().map(part).collect(), "OR")
        .ok_or_else(|| "an empty value".to_owned())
}

/// Returns the part of the base64 text that depends on `bytes` only and not on the bytes around
/// them. `offset` is the offset of `bytes` modulo three.
fn base64_at_offset(bytes: &[u8], offset: usize) -> String {
    let mut padded = vec![b' '; offset];
    padded.extend(bytes);
    let text = STANDARD.encode(&padded);
    let (start, cut) = ([0, 2, 3][offset], [0, 3, 2][padded.len() % 3]);
    text[start..text.len() - cut].to_owned()
}

/// Variants of the text: each dash or slash that starts a command line option is written as every
/// character that command lines accept.
fn dash_variants(text: &SigmaString) -> Vec<SigmaString> {
    let original: Vec<char> = text.original.chars().collect();
    let starts_option = |at: usize| {
        matches!(original[at], '-' | '/')
            && at.checked_sub(1).is_none_or(|before| !original[before].is_alphanumeric())
            && original.get(at + 1).is_some_and(|after| after.is_alphanumeric())
    };
    let with = |dash: char| {
        let written: String = (0..original.len())
            .map(|at| if starts_option(at) { dash } else { original[at] })
            .collect();
        SigmaString::new(&written)
    };
    ['-', '/', '–', '—', '―'].into_iter().map(with).collect()
}
