//! Translates Sigma correlations to SQL window queries over event time.

use super::condition::join_conditions;
use super::fields::{Dialect, quoted};
use super::translation::{RuleSql, TranslatedRule, header_comment, is_named, metadata};
use rsigma_parser::{
    ConditionExpr, ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType,
    WindowMode,
};
use std::fmt::Write as _;

/// Longest window, in seconds.
const WINDOW_MAX: u64 = 7 * 86_400;

/// A correlation with its base rules and group columns.
struct Correlation<'r, 'b> {
    rule: &'r CorrelationRule,
    bases: Vec<&'b RuleSql<'b>>,
    /// Name and SQL of the group column for each field of `group-by`.
    groups: Vec<(String, String)>,
    seconds: u64,
}

/// Translates a correlation over the rules `bases`.
pub(super) fn translate(
    rule: &CorrelationRule,
    bases: &[RuleSql<'_>],
) -> Result<TranslatedRule, String> {
    let correlation = resolve(rule, bases)?;
    // The aggregate over a window and its words in `why`. Aggregates over values read the column
    // `counted_value`.
    let (counted, label) = match rule.correlation_type {
        CorrelationType::EventCount => ("count(*)", "events"),
        CorrelationType::ValueCount => ("count(DISTINCT counted_value)", "different values"),
        CorrelationType::ValueSum => ("sum(try_cast(counted_value AS DOUBLE))", "in sum"),
        CorrelationType::ValueAvg => ("avg(try_cast(counted_value AS DOUBLE))", "on average"),
        CorrelationType::Temporal => {
            return Ok(correlation.to_rule(&correlation.temporal_query()?));
        }
        CorrelationType::TemporalOrdered => {
            return Ok(correlation.to_rule(&correlation.ordered_query()?));
        }
        CorrelationType::ValuePercentile | CorrelationType::ValueMedian => {
            return Err("percentiles over a sliding window are not supported".to_owned());
        }
    };
    let value = match rule.correlation_type {
        CorrelationType::EventCount => String::new(),
        _ => format!(", {} AS counted_value", correlation.counted_field()?),
    };
    Ok(correlation.to_rule(&correlation.window_query(
        &value,
        |over| format!("{counted} {over}"),
        threshold(rule)?,
        label,
    )))
}

/// Checks the window of the correlation and resolves its rules and group fields.
fn resolve<'r, 'b>(
    rule: &'r CorrelationRule,
    bases: &'b [RuleSql<'b>],
) -> Result<Correlation<'r, 'b>, String> {
    if rule.window != WindowMode::Sliding {
        return Err(format!(
            "its window is {}; only sliding windows are supported, because a burst can fall between two fixed ones",
            rule.window.as_str()
        ));
    }
    if rule.timespan.seconds > WINDOW_MAX {
        return Err(format!("its timespan `{}` is longer than a week", rule.timespan.original));
    }
    let base = |name: &String| {
        let known = bases.iter().find(|base| is_named(base.rule, name));
        known.ok_or_else(|| {
            format!("it refers to the rule `{name}`, which is not in the file or was rejected")
        })
    };
    let base_rules = rule.rules.iter().map(base).collect::<Result<Vec<_>, _>>()?;
    let mut groups = Vec::new();
    for (number, field) in rule.group_by.iter().enumerate() {
        groups.push((format!("group_{}", number + 1), group(rule, &base_rules, field)?));
    }
    Ok(Correlation { rule, bases: base_rules, groups, seconds: rule.timespan.seconds })
}

/// SQL of a field of `group-by`: one field of all rules, or an alias that each rule maps to a field
/// of its own.
fn group(rule: &CorrelationRule, bases: &[&RuleSql<'_>], field: &str) -> Result<String, String> {
    let Some(alias) = rule.aliases.iter().find(|alias| alias.alias == field) else {
        let dialect = bases.first().map_or(Dialect::ActionTrail, |base| base.dialect);
        return Ok(dialect.field(field)?.text);
    };
    let mut cases = String::from("CASE");
    for base in bases {
        let named = alias.mapping.iter().find(|(name, _)| is_named(base.rule, name));
        let (_, own) = named.ok_or_else(|| {
            format!("the alias `{field}` has no field for the rule \"{}\"", base.rule.title)
        })?;
        let _ = write!(cases, " WHEN {} THEN {}", base.predicate, base.dialect.field(own)?.text);
    }
    Ok(format!("{cases} END"))
}

/// The threshold of the condition: the smallest count that fulfils it.
fn threshold(rule: &CorrelationRule) -> Result<u64, String> {
    let CorrelationCondition::Threshold { predicates, .. } = &rule.condition else {
        return Err("its condition names rules instead of a threshold".to_owned());
    };
    match predicates[..] {
        [(ConditionOperator::Gte, count)] => Ok(count),
        [(ConditionOperator::Gt, count)] => Ok(count.saturating_add(1)),
        _ => Err("only `gte` and `gt` are supported: a count below a threshold is true at every quiet moment".to_owned()),
    }
}

impl Correlation<'_, '_> {
    /// SQL of the field whose values are aggregated.
    fn counted_field(&self) -> Result<String, String> {
        let CorrelationCondition::Threshold { field: Some(fields), .. } = &self.rule.condition
        else {
            return Err("its condition names no `field`".to_owned());
        };
        match &fields[..] {
            [field] => group(self.rule, &self.bases, field),
            _ => Err("counting values of several fields is not supported".to_owned()),
        }
    }

    /// The number of its rules that must match, for `temporal`.
    fn required_rules(&self) -> Result<u64, String> {
        match &self.rule.condition {
            // The parser sets a threshold of one where the rule has no condition.
            CorrelationCondition::Threshold { .. } => match threshold(self.rule)? {
                0 | 1 => Ok(self.bases.len() as u64),
                count => Ok(count),
            },
            CorrelationCondition::Extended(ConditionExpr::And(parts))
                if parts.len() == self.bases.len() =>
            {
                Ok(parts.len() as u64)
            }
            CorrelationCondition::Extended(_) => {
                Err("only `and` of all its rules is supported".to_owned())
            }
        }
    }

    /// The condition that an event matches at least one of the rules.
    fn any_rule(&self) -> String {
        join_conditions(self.bases.iter().map(|base| base.predicate.clone()).collect(), "OR")
            .unwrap_or_default()
    }

    /// The SQL fragments for the group columns.
    fn partition(&self) -> (String, String, String, String) {
        let names: Vec<&str> = self.groups.iter().map(|(name, _)| name.as_str()).collect();
        let made: String =
            self.groups.iter().map(|(name, sql)| format!(", {sql} AS {name}")).collect();
        let carried: String = names.iter().map(|name| format!(", {name}")).collect();
        let by = if names.is_empty() {
            String::new()
        } else {
            format!("PARTITION BY {} ", names.join(", "))
        };
        let known: Vec<String> = names.iter().map(|name| format!("{name} IS NOT NULL")).collect();
        let known = if known.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", known.join(" AND "))
        };
        (by, made, carried, known)
    }

    /// The query for `temporal`: events of windows in which enough of the rules match.
    fn temporal_query(&self) -> Result<String, String> {
        let flags: String = self
            .bases
            .iter()
            .enumerate()
            .map(|(at, base)| {
                format!(", CASE WHEN {} THEN 1 ELSE 0 END AS rule_{at}", base.predicate)
            })
            .collect();
        let counted = |over: &str| {
            (0..self.bases.len())
                .map(|at| format!("max(rule_{at}) {over}"))
                .collect::<Vec<_>>()
                .join(" + ")
        };
        Ok(self.window_query(&flags, counted, self.required_rules()?, "kinds of event"))
    }

    /// The query that returns every event of each window whose aggregate reaches `threshold`.
    /// `columns` are the columns that the aggregate reads, and `aggregate` gives its SQL for an
    /// OVER clause.
    fn window_query(
        &self,
        made: &str,
        counted: impl Fn(&str) -> String,
        threshold: u64,
        label: &str,
    ) -> String {
        let (by, groups, carried, known) = self.partition();
        let span = format!("INTERVAL '{} seconds'", self.seconds);
        let before = format!(
            "OVER ({by}ORDER BY event_time RANGE BETWEEN {span} PRECEDING AND CURRENT ROW)"
        );
        let after = format!(
            "OVER ({by}ORDER BY event_time RANGE BETWEEN CURRENT ROW AND {span} FOLLOWING)"
        );
        format!(
            "WITH chosen AS (\n    SELECT event_key, event_time{groups}{made}\n    FROM events\n    WHERE event_time IS NOT NULL AND {}\n),\n\
             counted AS (\n    SELECT *, {} AS in_window\n    FROM chosen{known}\n),\n\
             marked AS (\n    SELECT event_key{carried}, max(in_window) {after} AS most\n    FROM counted\n)\n\
             SELECT\n    events.*{},\n    concat_ws('; ', CAST(most AS VARCHAR) || {}, 'event = ' || event_name) AS why\n\
             FROM marked\nJOIN events ON events.event_key = marked.event_key\nWHERE most >= {threshold}\n",
            self.any_rule(),
            counted(&before),
            self.groups.iter().map(|(name, _)| format!(",\n    marked.{name}")).collect::<String>(),
            quoted(&format!(" {label} within {}", self.rule.timespan.original)),
        )
    }

    /// The query for `temporal_ordered`: events of the last rule that events of the other rules
    /// precede, in order, within the window.
    fn ordered_query(&self) -> Result<String, String> {
        if self.required_rules()? != self.bases.len() as u64 {
            return Err("an ordered correlation must match all of its rules".to_owned());
        }
        let (by, made, _, known) = self.partition();
        let span = format!("INTERVAL '{} seconds'", self.seconds);
        let over = format!(
            "OVER ({by}ORDER BY event_time RANGE BETWEEN {span} PRECEDING AND CURRENT ROW)"
        );
        let flags: String = self
            .bases
            .iter()
            .enumerate()
            .map(|(at, base)| format!(", coalesce({}, false) AS rule_{at}", base.predicate))
            .collect();
        // For each rule, the latest start of a chain of events that has reached it. It is passed
        // from rule to rule.
        let mut steps = String::new();
        let mut from = "chosen".to_owned();
        for at in 0..self.bases.len() {
            let begun = match at {
                0 => "CASE WHEN rule_0 THEN event_time END".to_owned(),
                _ => format!(
                    "CASE WHEN rule_{at} AND begun_{0} >= event_time - {span} THEN begun_{0} END",
                    at - 1
                ),
            };
            let known = if at == 0 { known.as_str() } else { "" };
            let _ = write!(
                steps,
                "begins_{at} AS (\n    SELECT *, {begun} AS begins_{at}\n    FROM {from}{known}\n),\n"
            );
            let _ = write!(
                steps,
                "step_{at} AS (\n    SELECT *, max(begins_{at}) {over} AS begun_{at}\n    FROM begins_{at}\n),\n"
            );
            from = format!("step_{at}");
        }
        let last = self.bases.len() - 1;
        let steps = steps.trim_end().trim_end_matches(',');
        Ok(format!(
            "WITH chosen AS (\n    SELECT event_key, event_time{made}{flags}\n    FROM events\n    WHERE event_time IS NOT NULL AND {}\n),\n{steps}\n\
             SELECT\n    events.*{},\n    concat_ws('; ', {} || CAST(begins_{last} AS VARCHAR), 'event = ' || event_name) AS why\n\
             FROM {from}\nJOIN events ON events.event_key = {from}.event_key\nWHERE begins_{last} IS NOT NULL\n",
            self.any_rule(),
            self.groups.iter().map(|(name, _)| format!(",\n    {from}.{name}")).collect::<String>(),
            quoted(&format!(
                "the last of {} steps within {}, the first at ",
                self.bases.len(),
                self.rule.timespan.original
            )),
        ))
    }

    fn to_rule(&self, sql: &str) -> TranslatedRule {
        let rule = self.rule;
        let mapped = self.bases.iter().any(|base| base.dialect == Dialect::CloudTrail);
        let metadata = metadata!(rule, mapped);
        let mut description = metadata.description_file();
        description.insert("prefilter".to_owned(), self.any_rule().into());
        description.insert("lookback".to_owned(), format!("{}s", self.seconds).into());
        let mut dedup = toml::Table::new();
        dedup.insert(
            "columns".to_owned(),
            self.groups.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>().into(),
        );
        dedup.insert("window".to_owned(), format!("{}s", self.seconds.clamp(60, 86_400)).into());
        description.insert("dedup".to_owned(), dedup.into());
        let dialect = if mapped { Dialect::CloudTrail } else { Dialect::ActionTrail };
        TranslatedRule {
            id: metadata.rule_id(),
            title: rule.title.clone(),
            toml: description.to_string(),
            sql: format!("{}{sql}", header_comment(&rule.title, rule.id.as_deref(), dialect)),
            mapped,
            patterns: self.bases.iter().flat_map(|base| base.patterns.clone()).collect(),
        }
    }
}
