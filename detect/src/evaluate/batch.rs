//! Running rules over a session: which ones can run, over what time, and what came of it.

use crate::evaluate::batch_rows::BatchRows;
use crate::evaluate::scope::{EvaluatedScope, Range, decided, memory, radius};
use crate::finding::Finding;
use crate::finding::grouping::{self, EventKeys, GroupedFindings};
use crate::finding::match_rows::{self, dedup_columns, plan_matches};
use datafusion::arrow::array::RecordBatch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use trailhound_queries::limits::{SessionError, bounded};
use trailhound_queries::packs::rules::{Rule, RuleSet};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::{Session, within};

/// Which rules to run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Ids; empty for every rule that is on by default.
    pub rules: Vec<String>,
    /// A rule that cannot run is an error, unless it is one for those who have what it needs.
    pub require_all: bool,
}

/// A rule that did not run.
#[derive(Debug, Clone)]
pub struct Skipped {
    /// Its id.
    pub rule_id: String,
    /// The parameters it lacks.
    pub missing: Vec<String>,
}

/// What a run over the rules gave.
#[derive(Debug, Default)]
pub struct Detection {
    /// Findings in order of their first event.
    pub findings: Vec<Finding>,
    /// Ids of the rules that ran.
    pub ran: Vec<String>,
    /// What they had the say over: what they found there earlier and do not find any more no longer holds.
    pub decided: Vec<EvaluatedScope>,
    /// Rules that could not run.
    pub skipped: Vec<Skipped>,
    /// Rules that broke, with the reason; the others ran.
    pub failed: Vec<(String, String)>,
    /// How long each rule took that had something to look at.
    pub took: Vec<(String, Duration)>,
}

impl Detection {
    pub(crate) fn sort(&mut self) {
        sort(&mut self.findings);
    }
}

/// Sorts findings by their first event.
pub(crate) fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        (&a.event_time, &a.rule_id, &a.event_ids, &a.finding_id).cmp(&(
            &b.event_time,
            &b.rule_id,
            &b.event_ids,
            &b.finding_id,
        ))
    });
}

/// Why a detection run did not begin.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// An id that is none.
    #[error("there is no rule `{id}`{}", .nearest.as_ref().map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
    Unknown {
        /// As given.
        id: String,
        /// The nearest that exists.
        nearest: Option<String>,
    },
    /// A rule lacks a parameter and all were required.
    #[error("rule {rule_id} cannot run without the parameter `{parameter}`")]
    Missing {
        /// The rule.
        rule_id: String,
        /// What it lacks.
        parameter: String,
    },
    /// The session could not be narrowed to the range.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Runs the selected rules over `session`.
///
/// # Errors
/// [`EvaluateError`]; a rule that breaks while running is no error but stands in [`Detection::failed`].
pub async fn detect(
    session: &Session,
    catalogue: &RuleSet,
    selection: &Selection,
    range: Range,
) -> Result<Detection, EvaluateError> {
    let mut detection = Detection::default();
    let runnable = runnable(session.parameters(), catalogue, selection, &mut detection)?;
    // A rule that does not say what it reads would have every row held.
    let predicates = runnable
        .iter()
        .filter(|rule| rule.reads.is_some())
        .map(|&rule| (rule, seen(rule, range)))
        .collect();
    let mut gathered = BatchRows::new(planner(session)?, predicates).await?;
    gathered.read(session, &around_all(&runnable, range)).await?;
    for (rule, error) in &gathered.broken {
        detection.failed.push((rule.id.clone(), error.to_string()));
    }
    let planned: BTreeSet<&str> = gathered.rules().map(|rule| rule.id.as_str()).collect();
    let mut found = concluded(session.parameters(), &gathered, range, None).await;
    for rule in runnable
        .into_iter()
        .filter(|rule| rule.reads.is_none() || planned.contains(rule.id.as_str()))
    {
        let outcome = match found.remove(rule.id.as_str()) {
            Some(outcome) => outcome,
            None => run_over_lake(session, rule, range, None).await,
        };
        match outcome {
            Ok(found) => {
                detection.ran.push(rule.id.clone());
                detection.decided.push(decided(rule, range, found.unchanged_ids));
                detection.findings.extend(found.findings);
            }
            Err(error) => detection.failed.push((rule.id.clone(), error.to_string())),
        }
    }
    detection.sort();
    Ok(detection)
}

/// A session to prepare queries in, with the parameters and limits of `session`.
fn planner(session: &Session) -> Result<Session, SessionError> {
    Session::over_input(Arc::clone(session.parameters()), session.limits())
}

/// The selected rules whose parameters are there; the others are noted as skipped.
fn runnable<'c>(
    parameters: &Parameters,
    catalogue: &'c RuleSet,
    selection: &Selection,
    detection: &mut Detection,
) -> Result<Vec<&'c Rule>, EvaluateError> {
    let mut runnable = Vec::new();
    for rule in selected(catalogue, selection)? {
        let missing = missing_parameters(rule, parameters, selection.require_all)?;
        if missing.is_empty() {
            runnable.push(rule);
        } else {
            detection.skipped.push(Skipped { rule_id: rule.id.clone(), missing });
        }
    }
    Ok(runnable)
}

/// The parameters that `rule` lacks.
///
/// # Errors
/// [`EvaluateError::Missing`] where it lacks one and `is_required`, unless it is a rule for those who have what it needs.
pub(crate) fn missing_parameters(
    rule: &Rule,
    parameters: &Parameters,
    is_required: bool,
) -> Result<Vec<String>, EvaluateError> {
    let missing = rule.missing(parameters);
    match missing.first() {
        Some(parameter) if is_required && !rule.optional => Err(EvaluateError::Missing {
            rule_id: rule.id.clone(),
            parameter: (*parameter).to_owned(),
        }),
        _ => Ok(missing.into_iter().map(str::to_owned).collect()),
    }
}

/// What the rules find in the rows gathered for them, by their ids. They see what lies around the range too, and what they find there is
/// dropped. Rules whose rows were too many to be held are not among them.
pub(crate) async fn concluded<'r>(
    parameters: &Parameters,
    gathered: &BatchRows<'r>,
    range: Range,
    fresh: Option<&EventKeys>,
) -> BTreeMap<&'r str, Result<GroupedFindings, SessionError>> {
    let mut found = BTreeMap::new();
    let mut results = gathered.results();
    while let Some((number, batches)) = results.recv().await {
        let rule = gathered.rule(number);
        found.insert(
            rule.id.as_str(),
            batches.and_then(|batches| conclude(rule, parameters, &batches, range, fresh)),
        );
    }
    found
}

/// Runs one rule over the lake itself.
async fn run_over_lake(
    session: &Session,
    rule: &Rule,
    range: Range,
    fresh: Option<&EventKeys>,
) -> Result<GroupedFindings, SessionError> {
    let narrowed = session.narrowed(&seen(rule, range)).await?;
    let frame = plan_matches(&narrowed, &rule.sql, dedup_columns(rule)).await?;
    let batches = bounded(frame.execute_stream().await?, session.limits()).await?;
    conclude(rule, session.parameters(), &batches, range, fresh)
}

fn selected<'c>(
    catalogue: &'c RuleSet,
    selection: &Selection,
) -> Result<Vec<&'c Rule>, EvaluateError> {
    if selection.rules.is_empty() {
        return Ok(catalogue.rules.iter().filter(|rule| rule.enabled).collect());
    }
    selection
        .rules
        .iter()
        .map(|id| {
            let unknown = || EvaluateError::Unknown {
                id: id.clone(),
                nearest: catalogue.nearest(id).map(str::to_owned),
            };
            catalogue.find(id).ok_or_else(unknown)
        })
        .collect()
}

/// Which rows a run of `rule` over `range` looks at, as a SQL condition.
fn seen(rule: &Rule, range: Range) -> String {
    match &rule.reads {
        Some(predicate) if range.is_everything() => predicate.clone(),
        Some(predicate) => format!("({}) AND ({predicate})", around(rule, range)),
        None => around(rule, range),
    }
}

/// The times that what any of `rules` says of `range` depends on, as a SQL condition.
fn around_all(rules: &[&Rule], range: Range) -> String {
    if range.is_everything() {
        return "true".to_owned();
    }
    let before =
        rules.iter().map(|rule| radius(rule).saturating_add(memory(rule))).max().unwrap_or(0);
    let after = rules.iter().map(|rule| radius(rule)).max().unwrap_or(0);
    let since = range.since.map_or(i64::MIN, |since| since.saturating_sub(before));
    let times = within(since, range.until.map_or(i64::MAX, |until| until.saturating_add(after)));
    if range.timeless { format!("({times} OR event_time IS NULL)") } else { times }
}

/// The times that what `rule` says of `range` depends on, as a SQL condition: what lies around it too, and what the rule remembers.
pub(crate) fn around(rule: &Rule, range: Range) -> String {
    if range.is_everything() {
        return "true".to_owned();
    }
    let since = range.since.map_or(i64::MIN, |since| since.saturating_sub(radius(rule)));
    let until = range.until.map_or(i64::MAX, |until| until.saturating_add(radius(rule)));
    let mut any = vec![within(since, until)];
    any.extend(rule.remembers.as_ref().map(|remembers| {
        format!("({}) AND {}", remembers.rows, within(since.saturating_sub(memory(rule)), since))
    }));
    any.extend(range.timeless.then(|| "event_time IS NULL".to_owned()));
    any.join(" OR ")
}

/// Runs one rule. `fresh` as for [`grouping::group_matches`].
pub(crate) async fn run(
    session: &Session,
    rule: &Rule,
    range: Range,
    fresh: Option<&EventKeys>,
) -> Result<GroupedFindings, SessionError> {
    let mut gathered = BatchRows::new(planner(session)?, vec![(rule, seen(rule, range))]).await?;
    if let Some((_, error)) = gathered.broken.pop() {
        return Err(error);
    }
    gathered.read(session, &around_all(&[rule], range)).await?;
    match concluded(session.parameters(), &gathered, range, fresh).await.remove(rule.id.as_str()) {
        Some(found) => found,
        None => run_over_lake(session, rule, range, fresh).await,
    }
}

/// The findings within `range` of the rows that the rule's query gave. `fresh` as for [`grouping::group_matches`].
pub(crate) fn conclude(
    rule: &Rule,
    parameters: &Parameters,
    batches: &[RecordBatch],
    range: Range,
    fresh: Option<&EventKeys>,
) -> Result<GroupedFindings, SessionError> {
    let rows = batches
        .iter()
        .map(|batch| match_rows::read_matches(batch, dedup_columns(rule)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut found = grouping::group_matches(
        rule,
        parameters,
        rows.iter().flat_map(match_rows::MatchBatch::iter),
        fresh,
    );
    if !range.is_everything() {
        found.findings.retain(|finding| range.holds(finding));
    }
    Ok(found)
}
