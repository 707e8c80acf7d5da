//! Translates Sigma correlations to SQL window queries over event time.

use super::fields::Dialect;
use super::sql::{join_conditions, quoted};
use super::translation::{RuleSql, TranslatedRule, header_comment, is_named, metadata};
use rsigma_parser::{
    ConditionExpr, ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType,
    FieldAlias, WindowMode,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Longest window, in seconds.
const WINDOW_MAX: u64 = 7 * 86_400;
/// Most alternatives of a condition over rules.
const ALTERNATIVES_MAX: usize = 32;

/// A rule that a correlation is made of.
pub(super) struct Base<'b> {
    /// The name under which the correlation refers to it.
    pub(super) name: String,
    pub(super) sql: &'b RuleSql<'b>,
}

impl Base<'_> {
    fn is_named(&self, name: &str) -> bool {
        self.name == name || is_named(self.sql.rule, name)
    }
}

/// A correlation with its rules and group columns.
struct Correlation<'r, 'b> {
    rule: &'r CorrelationRule,
    bases: Vec<Base<'b>>,
    /// Name and SQL of the group column for each field of `group-by`.
    groups: Vec<(String, String)>,
    seconds: u64,
}

/// What the rules of a temporal correlation must do within a window.
enum Requirement {
    /// At least so many of them match.
    Count(u64),
    /// All rules of one of these sets match; the numbers are positions in the correlation's list of rules.
    AnyOf(Vec<BTreeSet<usize>>),
}

/// Translates a correlation over the rules `bases`, in the order in which it lists them.
pub(super) fn translate(
    rule: &CorrelationRule,
    has_condition: bool,
    bases: Vec<Base<'_>>,
) -> Result<TranslatedRule, String> {
    let correlation = resolve(rule, bases)?;
    // The aggregate over a window and its words in `why`. Aggregates over values read the column
    // `counted_value`.
    let (counted, label) = match rule.correlation_type {
        CorrelationType::EventCount => ("count(*)", "events"),
        CorrelationType::ValueCount => ("count(DISTINCT counted_value)", "different values"),
        CorrelationType::ValueSum => ("sum(counted_value)", "in sum"),
        CorrelationType::ValueAvg => ("avg(counted_value)", "on average"),
        CorrelationType::Temporal => {
            let requirement = correlation.requirement(has_condition)?;
            return Ok(correlation.to_rule(&correlation.temporal_query(&requirement)));
        }
        CorrelationType::TemporalOrdered => {
            correlation.check_all_in_order(has_condition)?;
            return Ok(correlation.to_rule(&correlation.ordered_query()));
        }
        CorrelationType::ValuePercentile | CorrelationType::ValueMedian => {
            return Err("percentiles over a sliding window are not supported".to_owned());
        }
    };
    let value = match rule.correlation_type {
        CorrelationType::EventCount => String::new(),
        CorrelationType::ValueCount => {
            format!(", {} AS counted_value", correlation.counted_field()?)
        }
        // Texts such as `NaN` would make the sum unknown.
        _ => format!(
            ", CASE WHEN any_is({0}, '>=', '-1e300') AND any_is({0}, '<=', '1e300') THEN try_cast({0} AS DOUBLE) END AS counted_value",
            correlation.counted_field()?
        ),
    };
    let threshold = threshold(rule)?;
    Ok(correlation.to_rule(&correlation.window_query(
        &value,
        |over| format!("{counted} {over}"),
        &threshold,
        label,
    )))
}

/// Checks the window of the correlation and resolves its group fields.
fn resolve<'r, 'b>(
    rule: &'r CorrelationRule,
    bases: Vec<Base<'b>>,
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
    if rule.timespan.seconds == 0 {
        return Err("its timespan is empty".to_owned());
    }
    if let Some(twice) = (1..bases.len())
        .find(|at| bases[..*at].iter().any(|other| std::ptr::eq(other.sql, bases[*at].sql)))
    {
        return Err(format!("it lists the rule \"{}\" twice", bases[twice].sql.rule.title));
    }
    for alias in &rule.aliases {
        check_alias(alias, &bases)?;
    }
    let mut groups = Vec::new();
    for (number, field) in rule.group_by.iter().enumerate() {
        groups.push((format!("group_{}", number + 1), field_of_rules(rule, &bases, field)?));
    }
    Ok(Correlation { rule, bases, groups, seconds: rule.timespan.seconds })
}

/// Checks that an alias names the rules of the correlation and no other.
fn check_alias(alias: &FieldAlias, bases: &[Base<'_>]) -> Result<(), String> {
    match alias.mapping.keys().find(|name| !bases.iter().any(|base| base.is_named(name))) {
        Some(name) => Err(format!(
            "the alias `{}` names `{name}`, which is not among the rules of the correlation",
            alias.alias
        )),
        None => Ok(()),
    }
}

/// SQL of a field of `group-by` or of the counted field: one field of all rules, or an alias that
/// each rule maps to a field of its own.
fn field_of_rules(
    rule: &CorrelationRule,
    bases: &[Base<'_>],
    field: &str,
) -> Result<String, String> {
    let alias = rule.aliases.iter().find(|alias| alias.alias == field);
    let mut fields: Vec<String> = Vec::new();
    for base in bases {
        let own = match alias {
            None => field,
            Some(alias) => {
                let named = alias.mapping.iter().find(|(name, _)| base.is_named(name));
                let (_, own) = named.ok_or_else(|| {
                    format!(
                        "the alias `{field}` has no field for the rule \"{}\"",
                        base.sql.rule.title
                    )
                })?;
                own
            }
        };
        fields.push(base.sql.dialect.field(own)?.text);
    }
    if fields.iter().all(|other| *other == fields[0])
        && let Some(same) = fields.pop()
    {
        return Ok(same);
    }
    let mut cases = String::from("CASE");
    for (base, own) in bases.iter().zip(fields) {
        let _ = write!(cases, " WHEN {} THEN {own}", base.sql.predicate);
    }
    Ok(format!("{cases} END"))
}

/// The comparison of a count with the threshold of the condition, such as `>= 5`.
fn threshold(rule: &CorrelationRule) -> Result<String, String> {
    let CorrelationCondition::Threshold { predicates, .. } = &rule.condition else {
        return Err("its condition names rules instead of a threshold".to_owned());
    };
    match predicates[..] {
        [(ConditionOperator::Gte, count)] if count > 0 => Ok(format!(">= {count}")),
        [(ConditionOperator::Gt, count)] => Ok(format!("> {count}")),
        [_] => Err("only `gte` (from 1) and `gt` are supported: a count below a threshold is true at every quiet moment".to_owned()),
        _ => Err("only one threshold is supported: a count below another one is true at every quiet moment".to_owned()),
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
            [field] => field_of_rules(self.rule, &self.bases, field),
            _ => Err("counting values of several fields is not supported".to_owned()),
        }
    }

    /// What its rules must do, for `temporal`.
    fn requirement(&self, has_condition: bool) -> Result<Requirement, String> {
        let all = self.bases.len() as u64;
        match &self.rule.condition {
            CorrelationCondition::Threshold { .. } if !has_condition => Ok(Requirement::Count(all)),
            CorrelationCondition::Threshold { predicates, .. } => match predicates[..] {
                [(ConditionOperator::Eq, count)] if count == all => Ok(Requirement::Count(all)),
                [(ConditionOperator::Gte, count)] if (1..=all).contains(&count) => {
                    Ok(Requirement::Count(count))
                }
                [(ConditionOperator::Gt, count)] if count < all => {
                    Ok(Requirement::Count(count + 1))
                }
                _ => Err(format!(
                    "its threshold must be `gte` or `gt` of a number that its {all} rules can reach: fewer rules than a threshold is true at every quiet moment"
                )),
            },
            CorrelationCondition::Extended(condition) => {
                let sets = self.alternatives(condition)?;
                let used: BTreeSet<usize> = sets.iter().flatten().copied().collect();
                match (0..self.bases.len()).find(|at| !used.contains(at)) {
                    Some(at) => Err(format!(
                        "its condition does not name its rule `{}`",
                        self.bases[at].name
                    )),
                    None => Ok(Requirement::AnyOf(sets)),
                }
            }
        }
    }

    /// The condition as alternatives: sets of rules that must all match.
    fn alternatives(&self, condition: &ConditionExpr) -> Result<Vec<BTreeSet<usize>>, String> {
        let sets = match condition {
            ConditionExpr::Identifier(name) => {
                let at =
                    self.bases.iter().position(|base| base.is_named(name)).ok_or_else(|| {
                        format!("its condition names `{name}`, which is not among its rules")
                    })?;
                vec![BTreeSet::from([at])]
            }
            ConditionExpr::Or(parts) => {
                let mut sets = Vec::new();
                for part in parts {
                    sets.extend(self.alternatives(part)?);
                }
                sets
            }
            ConditionExpr::And(parts) => {
                let mut sets = vec![BTreeSet::new()];
                for part in parts {
                    let more = self.alternatives(part)?;
                    let joined = |set: &BTreeSet<usize>| {
                        more.iter().map(|other| set | other).collect::<Vec<_>>()
                    };
                    sets = sets.iter().flat_map(joined).collect();
                    if sets.len() > ALTERNATIVES_MAX {
                        break;
                    }
                }
                sets
            }
            ConditionExpr::Not(_) => {
                return Err(format!(
                    "its condition `{condition}` contains `not`: that a rule has not matched is true at every quiet moment, and only known when the window has passed"
                ));
            }
            ConditionExpr::Selector { .. } => {
                return Err(format!(
                    "`{condition}` is not supported in a condition over rules; join their names by `and` and `or`"
                ));
            }
        };
        match sets.len() > ALTERNATIVES_MAX {
            true => Err(format!("its condition has more than {ALTERNATIVES_MAX} alternatives")),
            false => Ok(sets),
        }
    }

    /// Checks that an ordered correlation asks for all of its rules, in the order in which it lists them.
    fn check_all_in_order(&self, has_condition: bool) -> Result<(), String> {
        let in_order = match &self.rule.condition {
            CorrelationCondition::Extended(ConditionExpr::And(parts)) => {
                parts.len() == self.bases.len()
                    && parts.iter().zip(&self.bases).all(|(part, base)| {
                        matches!(part, ConditionExpr::Identifier(name) if base.is_named(name))
                    })
            }
            CorrelationCondition::Extended(_) => false,
            CorrelationCondition::Threshold { .. } => {
                let all = Requirement::Count(self.bases.len() as u64);
                matches!((self.requirement(has_condition)?, all),
                    (Requirement::Count(count), Requirement::Count(all)) if count == all)
            }
        };
        match in_order {
            true => Ok(()),
            false => Err("an ordered correlation must match all of its rules, in the order in which it lists them".to_owned()),
        }
    }

    /// The condition that an event matches at least one of the rules.
    fn any_rule(&self) -> String {
        join_conditions(self.bases.iter().map(|base| base.sql.predicate.clone()).collect(), "OR")
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
        let mut known: Vec<String> =
            names.iter().map(|name| format!("{name} IS NOT NULL")).collect();
        // An event without a number is no part of a sum.
        let kind = self.rule.correlation_type;
        if matches!(kind, CorrelationType::ValueSum | CorrelationType::ValueAvg) {
            known.push("counted_value IS NOT NULL".to_owned());
        }
        let known = if known.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", known.join(" AND "))
        };
        (by, made, carried, known)
    }

    /// The frames of the windows that end, and that start, with the current event.
    fn frames(&self) -> (String, String) {
        let (by, ..) = self.partition();
        let span = format!("INTERVAL '{} seconds'", self.seconds);
        (
            format!(
                "OVER ({by}ORDER BY event_time RANGE BETWEEN {span} PRECEDING AND CURRENT ROW)"
            ),
            format!(
                "OVER ({by}ORDER BY event_time RANGE BETWEEN CURRENT ROW AND {span} FOLLOWING)"
            ),
        )
    }

    /// The query for `temporal`: events of windows in which enough of the rules match.
    fn temporal_query(&self, requirement: &Requirement) -> String {
        let flags: String = self
            .bases
            .iter()
            .enumerate()
            .map(|(at, base)| {
                format!(", CASE WHEN {} THEN 1 ELSE 0 END AS rule_{at}", base.sql.predicate)
            })
            .collect();
        let sets = match requirement {
            Requirement::AnyOf(sets) => sets,
            Requirement::Count(count) => {
                let counted = |over: &str| {
                    (0..self.bases.len())
                        .map(|at| format!("max(rule_{at}) {over}"))
                        .collect::<Vec<_>>()
                        .join(" + ")
                };
                return self.window_query(
                    &flags,
                    counted,
                    &format!(">= {count}"),
                    "kinds of event",
                );
            }
        };
        let (before, after) = self.frames();
        let each = |set: &BTreeSet<usize>, by: &str, sql: &dyn Fn(&usize) -> String| {
            set.iter().map(sql).collect::<Vec<_>>().join(by)
        };
        let mut holds = String::new();
        let mut marks = Vec::new();
        for (number, set) in sets.iter().enumerate() {
            let all = each(set, " AND ", &|at| format!("max(rule_{at}) {before} = 1"));
            let _ = write!(holds, ", CASE WHEN {all} THEN 1 ELSE 0 END AS holds_{number}");
            let any = each(set, " OR ", &|at| format!("rule_{at} = 1"));
            marks.push(format!("CASE WHEN {any} THEN max(holds_{number}) {after} ELSE 0 END"));
        }
        let why =
            quoted(&format!("{} within {}", self.condition_text(), self.rule.timespan.original));
        self.marked_events(&flags, &holds, &format!("greatest({})", marks.join(", ")), ">= 1", &why)
    }

    fn condition_text(&self) -> String {
        match &self.rule.condition {
            CorrelationCondition::Extended(condition) => condition.to_string(),
            CorrelationCondition::Threshold { .. } => String::new(),
        }
    }

    /// The query that returns every event of each window whose aggregate fulfils `threshold`.
    /// `made` are the columns that the aggregate reads, and `counted` gives its SQL for an
    /// OVER clause.
    fn window_query(
        &self,
        made: &str,
        counted: impl Fn(&str) -> String,
        threshold: &str,
        label: &str,
    ) -> String {
        let (before, after) = self.frames();
        let in_window = format!(", {} AS in_window", counted(&before));
        let most = format!("max(in_window) {after}");
        let label = quoted(&format!(" {label} within {}", self.rule.timespan.original));
        let why = format!("CAST(most AS VARCHAR) || {label}");
        self.marked_events(made, &in_window, &most, threshold, &why)
    }

    /// The query in three steps: the events of any rule with the columns `made`; the columns `counted` over the windows that end
    /// with each event; and `most`, over the windows that start with it. It returns the events whose `most` fulfils `threshold`.
    fn marked_events(
        &self,
        made: &str,
        counted: &str,
        most: &str,
        threshold: &str,
        why: &str,
    ) -> String {
        let (_, groups, carried, known) = self.partition();
        format!(
            "WITH chosen AS (\n    SELECT event_key, event_time{groups}{made}\n    FROM events\n    WHERE event_time IS NOT NULL AND {}\n),\n\
             counted AS (\n    SELECT *{counted}\n    FROM chosen{known}\n),\n\
             marked AS (\n    SELECT event_key{carried}, {most} AS most\n    FROM counted\n)\n\
             SELECT\n    events.*{},\n    concat_ws('; ', {why}, 'event = ' || event_name) AS why\n\
             FROM marked\nJOIN events ON events.event_key = marked.event_key\nWHERE most {threshold}\n",
            self.any_rule(),
            self.groups.iter().map(|(name, _)| format!(",\n    marked.{name}")).collect::<String>(),
        )
    }

    /// The query for `temporal_ordered`: events of the last rule that events of the other rules
    /// precede, in order, within the window.
    fn ordered_query(&self) -> String {
        let (_, made, _, known) = self.partition();
        let span = format!("INTERVAL '{} seconds'", self.seconds);
        let (over, _) = self.frames();
        let flags: String = self
            .bases
            .iter()
            .enumerate()
            .map(|(at, base)| format!(", coalesce({}, false) AS rule_{at}", base.sql.predicate))
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
        format!(
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
        )
    }

    fn to_rule(&self, sql: &str) -> TranslatedRule {
        let rule = self.rule;
        let sqls = || self.bases.iter().map(|base| base.sql);
        let mapped = sqls().any(|base| base.dialect == Dialect::CloudTrail);
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
            file: String::new(),
            toml: description.to_string(),
            sql: format!("{}{sql}", header_comment(&rule.title, rule.id.as_deref(), dialect)),
            mapped,
            patterns: sqls().flat_map(|base| base.patterns.clone()).collect(),
            rules: sqls().map(|base| base.rule.title.clone()).collect(),
            filters: sqls().flat_map(|base| base.filters.clone()).collect(),
        }
    }
}
