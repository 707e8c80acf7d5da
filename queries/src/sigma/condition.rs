//! Translates the selections and the condition of a Sigma rule to an SQL condition on `events`.

use super::comparison::Comparison;
use super::fields::Dialect;
use super::sql::{SqlResult, join_conditions};
use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, Quantifier, SelectorPattern,
};
use std::collections::{BTreeMap, BTreeSet};

/// Translates the selections of one rule.
pub(super) struct ConditionTranslator<'r> {
    dialect: Dialect,
    named: BTreeMap<&'r str, &'r Detection>,
    /// Selections that the condition uses.
    used: BTreeSet<&'r str>,
    /// Fields that the rule compares, for the `why` of its findings: name and SQL.
    pub(super) compared_fields: BTreeMap<String, String>,
    /// Regular expressions of the rule. The import tests whether the query engine can compile them.
    pub(super) patterns: Vec<String>,
}

impl<'r> ConditionTranslator<'r> {
    pub(super) fn new(dialect: Dialect, detections: &'r Detections) -> Self {
        let named =
            detections.named.iter().map(|(name, detection)| (name.as_str(), detection)).collect();
        Self {
            dialect,
            named,
            used: BTreeSet::new(),
            compared_fields: BTreeMap::new(),
            patterns: Vec::new(),
        }
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

    /// Notes about selections that the condition does not use.
    pub(super) fn unused_selections(&self) -> Vec<String> {
        let unused = self.named.keys().filter(|name| !self.used.contains(*name));
        unused.map(|name| format!("its selection `{name}` is not used by the condition")).collect()
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
                let names = self.selected(pattern);
                if names.is_empty() {
                    return Err(format!("no selection is called `{pattern}`"));
                }
                if let Quantifier::Count(count) = quantifier
                    && !(1..=names.len() as u64).contains(count)
                {
                    return Err(format!(
                        "`{quantifier} of {pattern}` can never decide: {} selections have such a name",
                        names.len()
                    ));
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

    /// The selections that `pattern` stands for. Names that begin with `_` are left out unless the
    /// pattern begins so.
    fn selected(&self, pattern: &SelectorPattern) -> Vec<&'r str> {
        let takes_hidden =
            matches!(pattern, SelectorPattern::Pattern(pattern) if pattern.starts_with('_'));
        self.named
            .keys()
            .copied()
            .filter(|name| takes_hidden || !name.starts_with('_'))
            .filter(|name| pattern.matches_detection_name(name))
            .collect()
    }

    fn all_parts(&mut self, parts: &[ConditionExpr], operator: &str) -> SqlResult {
        let parts = parts.iter().map(|part| self.condition(part)).collect::<Result<Vec<_>, _>>()?;
        join_conditions(parts, operator).ok_or_else(|| "a condition is empty".to_owned())
    }

    fn selection(&mut self, name: &str) -> SqlResult {
        let (name, detection) = self
            .named
            .get_key_value(name)
            .map(|(name, detection)| (*name, *detection))
            .ok_or_else(|| format!("no selection is called `{name}`"))?;
        self.used.insert(name);
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
                Err(format!("`{field}[...]` selects elements of a list; write `{field}` alone, which matches where any element does"))
            }
            Detection::Conditional { .. } => Err("conditions within a selection are not supported".to_owned()),
        }
    }

    fn item(&mut self, item: &DetectionItem) -> SqlResult {
        let name =
            item.field.name.as_deref().ok_or_else(|| "a value without a field".to_owned())?;
        if name.contains(['[', ']']) {
            return Err(format!(
                "`{}` selects elements of a list by brackets, which is not supported; the name alone matches where any element does",
                // The parser escapes brackets that have no meaning to it.
                name.replace('\\', "")
            ));
        }
        let field = self.dialect.field(name)?;
        self.compared_fields.insert(name.to_owned(), field.text.clone());
        let comparison = Comparison::new(self.dialect, name, field, &item.field.modifiers)?;
        let mut parts = Vec::new();
        for value in &item.values {
            parts.push(comparison.sql(value, &mut self.patterns)?);
        }
        let joined = join_conditions(parts, if comparison.needs_all { "AND" } else { "OR" })
            .ok_or_else(|| format!("`{name}` has no value"))?;
        Ok(if comparison.is_negated { format!("NOT coalesce({joined}, false)") } else { joined })
    }
}
