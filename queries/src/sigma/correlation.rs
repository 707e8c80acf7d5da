//! Correlations of Sigma as window queries over event time.

use super::condition::joined;
use super::fields::{Dialect, quoted};
use super::{About, Base, Translated, about, comment, is_called};
use rsigma_parser::{
    ConditionExpr, ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType,
    WindowMode,
};
use std::fmt::Write as _;

/// Window lengths beyond this are no windows any more; in seconds.
const WINDOW_MAX: u64 = 7 * 86_400;

/// The rules a correlation is made of, and what it groups by.
struct Parts<'r, 'b> {
    rule: &'r CorrelationRule,
    bases: Vec<&'b Base<'b>>,
    /// Name of the column and its SQL, for each field of `group-by`.
    groups: Vec<(String, String)>,
    seconds: u64,
}

/// Translates a correlation of `bases`.
pub(super) fn translate(rule: &CorrelationRule, bases: &[Base<'_>]) -> Result<Translated, String> {
    let parts = parts(rule, bases)?;
    // What is counted over a window; where values are, they are the column `counted_value`.
    let (counted, said) = match rule.correlation_type {
        CorrelationType::EventCount => ("count(*)", "events"),
        CorrelationType::ValueCount => ("count(DISTINCT counted_value)", "different values"),
        CorrelationType::ValueSum => ("sum(try_cast(counted_value AS DOUBLE))", "in sum"),
        CorrelationType::ValueAvg => ("avg(try_cast(counted_value AS DOUBLE))", "on average"),
        CorrelationType::Temporal => return Ok(parts.translated(&parts.together()?)),
        CorrelationType::TemporalOrdered => return Ok(parts.translated(&parts.ordered()?)),
        CorrelationType::ValuePercentile | CorrelationType::ValueMedian => {
            return Err("percentiles over a sliding window are not translated".to_owned());
        }
    };
    let value = match rule.correlation_type {
        CorrelationType::EventCount => String::new(),
        _ => format!(", {} AS counted_value", parts.value()?),
    };
    Ok(parts.translated(&parts.windowed(
        &value,
        |over| format!("{counted} {over}"),
        at_least(rule)?,
        said,
    )))
}

fn parts<'r, 'b>(
    rule: &'r CorrelationRule,
    bases: &'b [Base<'b>],
) -> Result<Parts<'r, 'b>, String> {
    if rule.window != WindowMode::Sliding {
        return Err(format!(
            "its window is {}; windows slide here, so that no burst falls between two",
            rule.window.as_str()
        ));
    }
    if rule.timespan.seconds > WINDOW_MAX {
        return Err(format!("its timespan `{}` is longer than a week", rule.timespan.original));
    }
    let base = |name: &String| {
        let known = bases.iter().find(|base| is_called(base.rule, name));
        known.ok_or_else(|| {
            format!("it is made of the rule `{name}`, which is not in the file or was refused")
        })
    };
    let of = rule.rules.iter().map(base).collect::<Result<Vec<_>, _>>()?;
    let mut groups = Vec::new();
    for (number, field) in rule.group_by.iter().enumerate() {
        groups.push((format!("group_{}", number + 1), group(rule, &of, field)?));
    }
    Ok(Parts { rule, bases: of, groups, seconds: rule.timespan.seconds })
}

/// A field of `group-by`: the same in all rules, or an alias for one of each.
fn group(rule: &CorrelationRule, bases: &[&Base<'_>], field: &str) -> Result<String, String> {
    let Some(alias) = rule.aliases.iter().find(|alias| alias.alias == field) else {
        let dialect = bases.first().map_or(Dialect::ActionTrail, |base| base.dialect);
        return Ok(dialect.field(field)?.text);
    };
    let mut cases = String::from("CASE");
    for base in bases {
        let named = alias.mapping.iter().find(|(name, _)| is_called(base.rule, name));
        let (_, own) = named.ok_or_else(|| {
            format!("the alias `{field}` says nothing of \"{}\"", base.rule.title)
        })?;
        let _ = write!(cases, " WHEN {} THEN {}", base.predicate, base.dialect.field(own)?.text);
    }
    Ok(format!("{cases} END"))
}

/// The least count of the condition.
fn at_least(rule: &CorrelationRule) -> Result<u64, String> {
    let CorrelationCondition::Threshold { predicates, .. } = &rule.condition else {
        return Err("its condition names rules where it should count".to_owned());
    };
    match predicates[..] {
        [(ConditionOperator::Gte, count)] => Ok(count),
        [(ConditionOperator::Gt, count)] => Ok(count.saturating_add(1)),
        _ => Err("only `gte` and `gt` are translated: what is below a count is true of every quiet moment".to_owned()),
    }
}

impl Parts<'_, '_> {
    /// The field whose values are counted.
    fn value(&self) -> Result<String, String> {
        let CorrelationCondition::Threshold { field: Some(fields), .. } = &self.rule.condition
        else {
            return Err("its condition names no `field`".to_owned());
        };
        match &fields[..] {
            [field] => group(self.rule, &self.bases, field),
            _ => Err("the values of several fields together are not counted".to_owned()),
        }
    }

    /// How many of its rules must match for `temporal`.
    fn different(&self) -> Result<u64, String> {
        match &self.rule.condition {
            // Without a condition of its own the parser counts one.
            CorrelationCondition::Threshold { .. } => match at_least(self.rule)? {
                0 | 1 => Ok(self.bases.len() as u64),
                count => Ok(count),
            },
            CorrelationCondition::Extended(ConditionExpr::And(parts))
                if parts.len() == self.bases.len() =>
            {
                Ok(parts.len() as u64)
            }
            CorrelationCondition::Extended(_) => {
                Err("only `and` of all its rules is translated".to_owned())
            }
        }
    }

    fn any(&self) -> String {
        joined(self.bases.iter().map(|base| base.predicate.clone()).collect(), "OR")
            .unwrap_or_default()
    }

    /// `PARTITION BY` and the columns to carry along.
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

    /// Events of windows in which enough of the rules match.
    fn together(&self) -> Result<String, String> {
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
        Ok(self.windowed(&flags, counted, self.different()?, "kinds of event"))
    }

    /// Marks every event of each window in which what is `counted` over it, of the columns `made` for that, reaches `least`.
    fn windowed(
        &self,
        made: &str,
        counted: impl Fn(&str) -> String,
        least: u64,
        said: &str,
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
             FROM marked\nJOIN events ON events.event_key = marked.event_key\nWHERE most >= {least}\n",
            self.any(),
            counted(&before),
            self.groups.iter().map(|(name, _)| format!(",\n    marked.{name}")).collect::<String>(),
            quoted(&format!(" {said} within {}", self.rule.timespan.original)),
        )
    }

    /// Events of the last rule that the others precede in their order, all within the window.
    fn ordered(&self) -> Result<String, String> {
        if self.different()? != self.bases.len() as u64 {
            return Err("in an order, all of its rules must match".to_owned());
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
        // How late a chain up to each rule may have begun: it is carried from rule to rule.
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
            self.any(),
            self.groups.iter().map(|(name, _)| format!(",\n    {from}.{name}")).collect::<String>(),
            quoted(&format!(
                "the last of {} steps within {}, the first at ",
                self.bases.len(),
                self.rule.timespan.original
            )),
        ))
    }

    fn translated(&self, sql: &str) -> Translated {
        let rule = self.rule;
        let mapped = self.bases.iter().any(|base| base.dialect == Dialect::CloudTrail);
        let about = about!(rule, mapped);
        let mut description = about.description_file();
        description.insert("reads".to_owned(), self.any().into());
        description.insert("lookback".to_owned(), format!("{}s", self.seconds).into());
        let mut dedup = toml::Table::new();
        dedup.insert(
            "columns".to_owned(),
            self.groups.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>().into(),
        );
        dedup.insert("window".to_owned(), format!("{}s", self.seconds.clamp(60, 86_400)).into());
        description.insert("dedup".to_owned(), dedup.into());
        let dialect = if mapped { Dialect::CloudTrail } else { Dialect::ActionTrail };
        Translated {
            id: about.rule_id(),
            title: rule.title.clone(),
            toml: description.to_string(),
            sql: format!("{}{sql}", comment(&rule.title, rule.id.as_deref(), dialect)),
            mapped,
            patterns: self.bases.iter().flat_map(|base| base.patterns.clone()).collect(),
        }
    }
}
