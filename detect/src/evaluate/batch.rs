//! Batch evaluation: evaluates rules over the events of a session, which are those of a lake or
//! events in memory.

use crate::evaluate::batch_rows::BatchRows;
use crate::evaluate::scope::{EvaluatedScope, TimeRange, baseline, evaluated_scope, margin};
use crate::evaluate::undetermined::{UndeterminedRules, marks, undetermined_scopes};
use crate::finding::Finding;
use crate::finding::grouping::{self, EventKeys, GroupedFindings};
use crate::finding::match_rows::{self, dedup_columns, plan_matches};
use datafusion::arrow::array::RecordBatch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use trailhound_queries::limits::{SessionError, collect_within_limits};
use trailhound_queries::packs::rules::{Rule, RuleSet, UnknownRule};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::{Session, event_time_in};

/// The rules to evaluate.
#[derive(Debug, Clone, Default)]
pub struct RuleSelection {
    /// Their ids; empty for every rule that is enabled by default.
    pub rules: Vec<String>,
    /// A rule that lacks a parameter is an error, unless the rule is optional.
    pub require_all: bool,
}

/// A rule that was not evaluated.
#[derive(Debug, Clone)]
pub struct SkippedRule {
    /// The rule.
    pub rule_id: String,
    /// The parameters it lacks.
    pub missing: Vec<String>,
}

/// The result of evaluating rules.
#[derive(Debug, Default)]
pub struct Detection {
    /// Findings, in the order of their first event.
    pub findings: Vec<Finding>,
    /// Ids of the rules that were evaluated.
    pub ran: Vec<String>,
    /// The scope of each evaluation: the findings that it covers. Stored findings in this scope
    /// that were not found again are withdrawn.
    pub scopes: Vec<EvaluatedScope>,
    /// Rules that lack a parameter.
    pub skipped: Vec<SkippedRule>,
    /// Ids of the rules that failed, with the reason.
    pub failed: Vec<(String, String)>,
    /// Id of each rule that had new rows, and how long its evaluation took.
    pub durations: Vec<(String, Duration)>,
}

impl Detection {
    /// Sorts the findings by their first event.
    pub(crate) fn sort(&mut self) {
        sort_findings(&mut self.findings);
    }

    /// Adds rules that failed, each once. A rule that failed has not run.
    pub(crate) fn add_failed(&mut self, failed: Vec<(String, String)>) {
        for (rule_id, reason) in failed {
            self.ran.retain(|id| *id != rule_id);
            if self.failed.iter().all(|(id, _)| *id != rule_id) {
                self.failed.push((rule_id, reason));
            }
        }
    }
}

/// Sorts findings by their first event.
pub(crate) fn sort_findings(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        (&a.event_time, &a.rule_id, &a.event_ids, &a.finding_id).cmp(&(
            &b.event_time,
            &b.rule_id,
            &b.event_ids,
            &b.finding_id,
        ))
    });
}

/// Why rules could not be evaluated.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// A rule id that does not exist.
    #[error(transparent)]
    UnknownRule(#[from] UnknownRule),
    /// A required rule lacks a parameter.
    #[error("rule {rule_id} cannot run without the parameter `{parameter}`")]
    Missing {
        /// The rule.
        rule_id: String,
        /// The parameter.
        parameter: String,
    },
    /// The rows could not be read.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Evaluates the selected rules over `session`, for findings in `range`.
///
/// # Errors
/// [`EvaluateError`]. The failure of a single rule is no error; it is listed in
/// [`Detection::failed`].
pub async fn detect(
    session: &Session,
    rule_set: &RuleSet,
    selection: &RuleSelection,
    range: TimeRange,
) -> Result<Detection, EvaluateError> {
    let mut detection = Detection::default();
    let runnable = runnable(session.parameters(), rule_set, selection, &mut detection)?;
    // For a rule without a condition on the rows it reads, every row would be held.
    let predicates = runnable
        .iter()
        .filter(|rule| rule.prefilter.is_some())
        .map(|&rule| (rule, rows_read(rule, range)))
        .collect();
    let mut rows = BatchRows::new(planner(session)?, predicates).await?;
    rows.read(session, &times_read(&runnable, range)).await?;
    for (rule, error) in &rows.broken {
        detection.failed.push((rule.id.clone(), error.to_string()));
    }
    let planned: BTreeSet<&str> = rows.rules().map(|rule| rule.id.as_str()).collect();
    let mut found = evaluate_rows(session.parameters(), &rows, range, None).await;
    for rule in runnable
        .into_iter()
        .filter(|rule| rule.prefilter.is_none() || planned.contains(rule.id.as_str()))
    {
        let outcome = match found.remove(rule.id.as_str()) {
            Some(outcome) => outcome,
            None => evaluate_over_lake(session, rule, range, None).await,
        };
        match outcome {
            Ok(found) => {
                detection.ran.push(rule.id.clone());
                detection.scopes.push(evaluated_scope(rule, range, found.unchanged_ids));
                detection.findings.extend(found.findings);
            }
            Err(error) => detection.failed.push((rule.id.clone(), error.to_string())),
        }
    }
    evaluate_undetermined(session, rule_set, range, &mut detection).await?;
    detection.sort();
    Ok(detection)
}

/// Adds the findings about the events in `range` that rules cannot judge, and about the sources
/// with too many events of which a fact was not understood.
async fn evaluate_undetermined(
    session: &Session,
    rule_set: &RuleSet,
    range: TimeRange,
    detection: &mut Detection,
) -> Result<(), EvaluateError> {
    let planner = planner(session)?;
    let marks = marks(session, &planner, range).await?;
    if !marks.days.is_empty() {
        let ran = detection.ran.iter().filter_map(|id| rule_set.find(id)).cloned();
        let rules = UndeterminedRules::new(ran, planner, marks.facts).await?;
        for day in marks.days {
            let found = rules.evaluate_day(session, day).await?;
            let is_included = |finding: &Finding| range.is_everything() || range.includes(finding);
            detection.findings.extend(found.findings.into_iter().filter(is_included));
            detection.add_failed(found.failed);
        }
    }
    detection.scopes.extend(undetermined_scopes(&detection.ran, range, true));
    Ok(())
}

/// A session to prepare queries in, with the parameters and limits of `session`.
fn planner(session: &Session) -> Result<Session, SessionError> {
    Session::over_input(Arc::clone(session.parameters()), session.limits())
}

/// The selected rules whose parameters are given. The others are added to [`Detection::skipped`].
fn runnable<'c>(
    parameters: &Parameters,
    rule_set: &'c RuleSet,
    selection: &RuleSelection,
    detection: &mut Detection,
) -> Result<Vec<&'c Rule>, EvaluateError> {
    let mut runnable = Vec::new();
    for rule in selected(rule_set, selection)? {
        let missing = missing_parameters(rule, parameters, selection.require_all)?;
        if missing.is_empty() {
            runnable.push(rule);
        } else {
            detection.skipped.push(SkippedRule { rule_id: rule.id.clone(), missing });
        }
    }
    Ok(runnable)
}

/// The required parameters of `rule` that are not given.
///
/// # Errors
/// [`EvaluateError::Missing`] where there is one and the rule `is_required`, unless the rule is
/// optional.
pub(crate) fn missing_parameters(
    rule: &Rule,
    parameters: &Parameters,
    is_required: bool,
) -> Result<Vec<String>, EvaluateError> {
    let missing = rule.missing_parameters(parameters);
    match missing.first() {
        Some(parameter) if is_required && !rule.optional => Err(EvaluateError::Missing {
            rule_id: rule.id.clone(),
            parameter: (*parameter).to_owned(),
        }),
        _ => Ok(missing.into_iter().map(str::to_owned).collect()),
    }
}

/// Evaluates the rules of `rows` over their rows: the findings in `range` by rule id. Rules whose
/// rows were too many to be held are missing. `new_keys` is as for [`grouping::group_matches`].
pub(crate) async fn evaluate_rows<'r>(
    parameters: &Parameters,
    rows: &BatchRows<'r>,
    range: TimeRange,
    new_keys: Option<&EventKeys>,
) -> BTreeMap<&'r str, Result<GroupedFindings, SessionError>> {
    let mut found = BTreeMap::new();
    let mut results = rows.results();
    while let Some((number, batches)) = results.recv().await {
        let rule = rows.rule(number);
        found.insert(
            rule.id.as_str(),
            batches.and_then(|batches| group_in_range(rule, parameters, &batches, range, new_keys)),
        );
    }
    found
}

/// Evaluates one rule whose rows are not held in memory. `new_keys` is as for
/// [`grouping::group_matches`].
async fn evaluate_over_lake(
    session: &Session,
    rule: &Rule,
    range: TimeRange,
    new_keys: Option<&EventKeys>,
) -> Result<GroupedFindings, SessionError> {
    let filtered = session.with_events_where(&rows_read(rule, range)).await?;
    let frame = plan_matches(&filtered, &rule.sql, dedup_columns(rule)).await?;
    let batches = collect_within_limits(frame.execute_stream().await?, session.limits()).await?;
    group_in_range(rule, session.parameters(), &batches, range, new_keys)
}

/// The rules that `selection` names, or every enabled rule.
fn selected<'c>(
    rule_set: &'c RuleSet,
    selection: &RuleSelection,
) -> Result<Vec<&'c Rule>, EvaluateError> {
    if selection.rules.is_empty() {
        return Ok(rule_set.rules.iter().filter(|rule| rule.enabled).collect());
    }
    Ok(selection.rules.iter().map(|id| rule_set.get(id)).collect::<Result<_, _>>()?)
}

/// The SQL condition on the rows that `rule` reads for findings in `range`.
fn rows_read(rule: &Rule, range: TimeRange) -> String {
    match &rule.prefilter {
        Some(predicate) if range.is_everything() => predicate.clone(),
        Some(predicate) => format!("({}) AND ({predicate})", rows_around(rule, range)),
        None => rows_around(rule, range),
    }
}

/// The SQL condition on the times that any of `rules` reads for findings in `range`.
fn times_read(rules: &[&Rule], range: TimeRange) -> String {
    if range.is_everything() {
        return "true".to_owned();
    }
    let before =
        rules.iter().map(|rule| margin(rule).saturating_add(baseline(rule))).max().unwrap_or(0);
    let after = rules.iter().map(|rule| margin(rule)).max().unwrap_or(0);
    let since = range.since.map_or(i64::MIN, |since| since.saturating_sub(before));
    let times =
        event_time_in(since, range.until.map_or(i64::MAX, |until| until.saturating_add(after)));
    if range.include_untimed { format!("({times} OR event_time IS NULL)") } else { times }
}

/// The SQL condition on the rows around `range` that the findings of `rule` in `range` depend on:
/// those within the rule's windows, and those of its baseline.
pub(crate) fn rows_around(rule: &Rule, range: TimeRange) -> String {
    if range.is_everything() {
        return "true".to_owned();
    }
    let since = range.since.map_or(i64::MIN, |since| since.saturating_sub(margin(rule)));
    let until = range.until.map_or(i64::MAX, |until| until.saturating_add(margin(rule)));
    let mut conditions = vec![event_time_in(since, until)];
    conditions.extend(rule.baseline.as_ref().map(|own| {
        format!("({}) AND {}", own.rows, event_time_in(since.saturating_sub(baseline(rule)), since))
    }));
    conditions.extend(range.include_untimed.then(|| "event_time IS NULL".to_owned()));
    conditions.join(" OR ")
}

/// Evaluates one rule over `session`, for findings in `range`. `new_keys` is as for
/// [`grouping::group_matches`].
///
/// # Errors
/// [`SessionError`] where the rule cannot be planned or the rows cannot be read.
pub(crate) async fn evaluate_rule(
    session: &Session,
    rule: &Rule,
    range: TimeRange,
    new_keys: Option<&EventKeys>,
) -> Result<GroupedFindings, SessionError> {
    let mut rows = BatchRows::new(planner(session)?, vec![(rule, rows_read(rule, range))]).await?;
    if let Some((_, error)) = rows.broken.pop() {
        return Err(error);
    }
    rows.read(session, &times_read(&[rule], range)).await?;
    match evaluate_rows(session.parameters(), &rows, range, new_keys).await.remove(rule.id.as_str())
    {
        Some(found) => found,
        None => evaluate_over_lake(session, rule, range, new_keys).await,
    }
}

/// Groups the matches that a rule's query returned into findings, and keeps those in `range`.
/// `new_keys` is as for [`grouping::group_matches`].
///
/// # Errors
/// [`SessionError`] where the matches lack a column of the rule's dedup key.
pub(crate) fn group_in_range(
    rule: &Rule,
    parameters: &Parameters,
    batches: &[RecordBatch],
    range: TimeRange,
    new_keys: Option<&EventKeys>,
) -> Result<GroupedFindings, SessionError> {
    let rows = batches
        .iter()
        .map(|batch| match_rows::read_matches(batch, dedup_columns(rule)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut found = grouping::group_matches(
        rule,
        parameters,
        rows.iter().flat_map(match_rows::MatchBatch::iter),
        new_keys,
    );
    if !range.is_everything() {
        found.findings.retain(|finding| range.includes(finding));
    }
    Ok(found)
}
