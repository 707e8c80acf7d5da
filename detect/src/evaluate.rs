//! Running rules over a session: which ones can run, over what time, and what came of it.

use crate::finding::Finding;
use crate::group;
use crate::matched::{self, EVENT_COLUMNS, JUDGEMENT_COLUMNS};
use std::collections::BTreeSet;
use thiserror::Error;
use trailhound_queries::catalogue::{Catalogue, Need, Rule};
use trailhound_queries::session::{Session, SessionError};

/// Which rules to run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Ids; empty for every rule that is on by default.
    pub rules: Vec<String>,
    /// A rule that cannot run is an error.
    pub require_all: bool,
}

/// Time range of the events a finding may hold: `[since, until)`, microseconds UTC.
#[derive(Debug, Clone, Copy, Default)]
pub struct Range {
    /// First instant.
    pub since: Option<i64>,
    /// First instant after.
    pub until: Option<i64>,
    /// Only what events taken in from this moment on can have changed, microseconds UTC.
    pub ingested_since: Option<i64>,
}

/// A rule that did not run.
#[derive(Debug, Clone)]
pub struct Skipped {
    /// Its id.
    pub rule_id: String,
    /// Its title.
    pub title: String,
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
    /// Rules that could not run.
    pub skipped: Vec<Skipped>,
    /// Rules that broke, with the reason; the others ran.
    pub failed: Vec<(String, String)>,
    /// What the rules that ran would need to see everything.
    pub gaps: Vec<(String, Need)>,
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
pub async fn detect(session: &Session, catalogue: &Catalogue, selection: &Selection, range: Range) -> Result<Detection, EvaluateError> {
    let mut detection = Detection::default();
    let rules = selected(catalogue, selection)?;
    let news = news(session, &rules, range).await?;
    for rule in rules {
        let missing = rule.missing(session.parameters());
        if let Some(parameter) = missing.first() {
            if selection.require_all {
                return Err(EvaluateError::Missing { rule_id: rule.id.clone(), parameter: (*parameter).to_owned() });
            }
            let missing = missing.into_iter().map(str::to_owned).collect();
            detection.skipped.push(Skipped { rule_id: rule.id.clone(), title: rule.title.en.clone(), missing });
            continue;
        }
        let outcome = match &news {
            Some(news) => run_on_news(session, news, rule, range).await,
            None => run(session, rule, range).await,
        };
        match outcome {
            Ok(findings) => {
                detection.ran.push(rule.id.clone());
                detection.findings.extend(findings);
                detection.gaps.extend(rule.needs.iter().chain(&rule.gaps).map(|&need| (rule.id.clone(), need)));
            }
            Err(error) => detection.failed.push((rule.id.clone(), error.to_string())),
        }
    }
    detection.findings.sort_by(|a, b| {
        (&a.event_time, &a.rule_id, &a.event_ids, &a.finding_id).cmp(&(&b.event_time, &b.rule_id, &b.event_ids, &b.finding_id))
    });
    Ok(detection)
}

fn selected<'c>(catalogue: &'c Catalogue, selection: &Selection) -> Result<Vec<&'c Rule>, EvaluateError> {
    if selection.rules.is_empty() {
        return Ok(catalogue.rules.iter().filter(|rule| rule.enabled).collect());
    }
    selection
        .rules
        .iter()
        .map(|id| {
            let unknown = || EvaluateError::Unknown { id: id.clone(), nearest: catalogue.nearest(id).map(str::to_owned) };
            catalogue.find(id).ok_or_else(unknown)
        })
        .collect()
}

/// How far around its range a rule looks, in microseconds.
fn reach(rule: &Rule) -> i64 {
    let lookback = i64::try_from(rule.lookback.as_micros()).unwrap_or(i64::MAX);
    // A finding whose stretch began before the range keeps all its events, so that its content does not depend on the range.
    let stretch = rule.dedup.as_ref().map_or(0, |dedup| i64::try_from(dedup.window.as_micros()).unwrap_or(0));
    lookback.saturating_add(stretch)
}

async fn narrowed(session: &Session, range: Range, reach: i64) -> Result<Session, SessionError> {
    let (since, until) = (range.since.map(|since| since.saturating_sub(reach)), range.until.map(|until| until.saturating_add(reach)));
    session.narrowed(since, until).await
}

/// The new rows that any of the rules looks at, read from the lake once: most commits bring few. `None` where it is not asked for what is
/// new, or where a rule does not say what it reads.
async fn news(session: &Session, rules: &[&Rule], range: Range) -> Result<Option<Session>, SessionError> {
    let Some(ingested_since) = range.ingested_since else { return Ok(None) };
    let Some(reads) = rules.iter().map(|rule| rule.reads.as_deref()).collect::<Option<BTreeSet<_>>>() else { return Ok(None) };
    let any: Vec<String> = reads.into_iter().map(|predicate| format!("({predicate})")).collect();
    let of_any_rule = if any.is_empty() { "false".to_owned() } else { any.join(" OR ") };
    let new = session.narrowed(range.since, range.until).await?.taken_in_since(ingested_since).await?;
    new.gathered(&of_any_rule).await.map(Some)
}

/// Runs a rule over the time around the new rows it looks at. Where there are none, nothing it finds can have changed:
/// a finding follows from rows the rule reads, and all of those were there before.
async fn run_on_news(session: &Session, news: &Session, rule: &Rule, range: Range) -> Result<Vec<Finding>, SessionError> {
    let Some(predicate) = &rule.reads else { return run(session, rule, range).await };
    match news.event_times(predicate).await? {
        Some((first, last)) => run(session, rule, Range { since: Some(first), until: Some(last.saturating_add(1)), ..range }).await,
        None => Ok(Vec::new()),
    }
}

/// Runs one rule. It sees its look-back before the range too, and what it finds there is dropped.
async fn run(session: &Session, rule: &Rule, range: Range) -> Result<Vec<Finding>, SessionError> {
    let mut narrowed = narrowed(session, range, reach(rule)).await?;
    if let Some(predicate) = &rule.reads {
        narrowed = narrowed.gathered(predicate).await?;
    }
    let frame = narrowed.sql(&rule.sql).await?;
    let dedup = rule.dedup.as_ref().map_or(&[][..], |dedup| &dedup.columns);
    let schema = frame.schema().clone();
    let mut wanted: Vec<&str> = EVENT_COLUMNS.to_vec();
    wanted.extend(JUDGEMENT_COLUMNS.into_iter().filter(|name| schema.has_column_with_unqualified_name(name)));
    for name in dedup {
        if !wanted.contains(&name.as_str()) {
            wanted.push(name);
        }
    }
    let batches = frame.select_columns(&wanted)?.collect().await?;
    let mut matches = Vec::new();
    for batch in &batches {
        matches.extend(matched::read(batch, dedup)?);
    }
    let inside = |time: i64| range.since.is_none_or(|since| time >= since) && range.until.is_none_or(|until| time < until);
    let mut findings = group::findings(rule, session.parameters(), matches);
    if range.since.is_some() || range.until.is_some() {
        let parse = |text: &Option<String>| text.as_deref().and_then(trailhound_datasets::derive::time::parse);
        findings.retain(|finding| parse(&finding.last_seen).is_some_and(inside) || parse(&finding.first_seen).is_some_and(inside));
    }
    Ok(findings)
}
