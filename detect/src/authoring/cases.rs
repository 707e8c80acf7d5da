//! Runs the test cases of rules, with the same evaluation as for events of a lake.

use crate::evaluate::batch::{evaluate_rows, missing_parameters, sort_findings};
use crate::evaluate::batch_rows::BatchRows;
use crate::evaluate::scope::TimeRange;
use crate::finding::Finding;
use datafusion::arrow::array::RecordBatch;
use serde_json::{Map, Value};
use std::sync::Arc;
use trailhound_datasets::derive::time;
use trailhound_datasets::samples;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::{ExpectedFinding, Rule, TestCase, TestEvent};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// The result of one case.
#[derive(Debug)]
pub struct CaseResult {
    /// The rule.
    pub rule_id: String,
    /// The name of the case.
    pub case: String,
    /// Why it failed; `None` where it passed.
    pub failure: Option<String>,
}

/// Decodes a JSON list of events into a batch of `events`, as the ingest does. The caller passes it
/// in, because detection does not depend on the ingest.
pub type Decode<'d> = &'d (dyn Fn(&[u8]) -> Result<RecordBatch, String> + Sync);

/// Runs the cases of rules. Cases that share a rule and parameters share its plan; rules whose
/// cases share parameters share a session.
pub struct CaseRunner<'d> {
    decode: Decode<'d>,
    /// Sessions by the parameters of the test cases, as written in the rule file.
    sessions: Vec<(toml::Table, Session)>,
}

impl<'d> CaseRunner<'d> {
    /// Runs cases whose events `decode` reads.
    #[must_use]
    pub fn new(decode: Decode<'d>) -> Self {
        Self { decode, sessions: Vec::new() }
    }

    /// Runs every case of `rule`.
    pub async fn run(&mut self, rule: &Rule) -> Vec<CaseResult> {
        let mut plans: Vec<(&toml::Table, Result<CasePlan<'_>, String>)> = Vec::new();
        let mut results = Vec::new();
        for case in &rule.cases {
            let known = plans.iter().position(|(parameters, _)| **parameters == case.parameters);
            let at = match known {
                Some(at) => at,
                None => {
                    plans.push((&case.parameters, self.plan(rule, &case.parameters).await));
                    plans.len() - 1
                }
            };
            let failure = match &mut plans[at].1 {
                Ok(plan) => plan.run(case, self.decode).await.err(),
                Err(error) => Some(error.clone()),
            };
            results.push(CaseResult { rule_id: rule.id.clone(), case: case.name.clone(), failure });
        }
        results
    }

    async fn plan<'r>(
        &mut self,
        rule: &'r Rule,
        parameters: &toml::Table,
    ) -> Result<CasePlan<'r>, String> {
        let session = self.session(parameters)?;
        let missing =
            missing_parameters(rule, session.parameters(), true).map_err(|e| e.to_string())?;
        // An optional rule that lacks a parameter is not evaluated.
        let rules = if missing.is_empty() {
            vec![(rule, rule.prefilter.clone().unwrap_or_else(|| "true".to_owned()))]
        } else {
            Vec::new()
        };
        let parameters = Arc::clone(session.parameters());
        let rows = BatchRows::new(session, rules).await.map_err(|e| e.to_string())?;
        match rows.broken.first() {
            Some((_, error)) => Err(format!("the rule broke: {error}")),
            None => Ok(CasePlan { parameters, rows }),
        }
    }

    /// The session of cases with `parameters`.
    fn session(&mut self, parameters: &toml::Table) -> Result<Session, String> {
        if let Some((_, session)) = self.sessions.iter().find(|(known, _)| known == parameters) {
            return Ok(session.clone());
        }
        let given: Parameters = parameters
            .clone()
            .try_into()
            .map_err(|e: toml::de::Error| format!("its parameters: {e}"))?;
        let session = Session::over_input(Arc::new(given), &QueryLimits::default())
            .map_err(|e| e.to_string())?;
        self.sessions.push((parameters.clone(), session.clone()));
        Ok(session)
    }
}

/// A rule planned with some parameters.
struct CasePlan<'r> {
    parameters: Arc<Parameters>,
    rows: BatchRows<'r>,
}

impl CasePlan<'_> {
    async fn run(&mut self, case: &TestCase, decode: Decode<'_>) -> Result<(), String> {
        let mut events = Vec::new();
        for (index, event) in case.events.iter().enumerate() {
            build(event, index, &mut events)?;
        }
        let batch = decode(&serde_json::to_vec(&events).map_err(|e| e.to_string())?)?;
        self.rows.clear();
        self.rows.add(&batch).map_err(|e| e.to_string())?;
        let mut findings = Vec::new();
        for found in evaluate_rows(&self.parameters, &self.rows, TimeRange::default(), None)
            .await
            .into_values()
        {
            findings.extend(found.map_err(|e| format!("the rule broke: {e}"))?.findings);
        }
        sort_findings(&mut findings);
        compare(&findings, &case.expect)
    }
}

/// Adds the events that `written` describes: copies of a sample with changes.
///
/// # Errors
/// Why an event cannot be made.
fn build(written: &TestEvent, index: usize, events: &mut Vec<Value>) -> Result<(), String> {
    let sample = samples::event(&written.sample)
        .ok_or_else(|| format!("there is no sample `{}`", written.sample))?;
    for copy in 0..written.times {
        let mut event: Value = serde_json::from_str(sample).map_err(|e| e.to_string())?;
        // Each event has an id of its own, which the case can replace.
        set(&mut event, "eventId", Value::from(format!("case-{index}-{copy}")))?;
        for path in &written.remove {
            remove(&mut event, path);
        }
        for (path, value) in &written.set {
            set(&mut event, path, serde_json::to_value(value).map_err(|e| e.to_string())?)?;
        }
        if copy > 0 {
            move_time(
                &mut event,
                i64::from(copy) * i64::try_from(written.every.as_secs()).unwrap_or(1),
            )?;
        }
        events.push(event);
    }
    Ok(())
}

fn set(event: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let mut at = event;
    let mut keys = path.split('/').peekable();
    while let Some(key) = keys.next() {
        let object = at
            .as_object_mut()
            .ok_or_else(|| format!("`{path}` leads through something that is no object"))?;
        if keys.peek().is_none() {
            object.insert(key.to_owned(), value);
            return Ok(());
        }
        at = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
    }
    Ok(())
}

fn remove(event: &mut Value, path: &str) {
    let (parents, key) = path.rsplit_once('/').unwrap_or(("", path));
    let mut at = event;
    for parent in parents.split('/').filter(|parent| !parent.is_empty()) {
        match at.get_mut(parent) {
            Some(inner) => at = inner,
            None => return,
        }
    }
    if let Some(object) = at.as_object_mut() {
        object.remove(key);
    }
}

fn move_time(event: &mut Value, seconds: i64) -> Result<(), String> {
    let micros = event["eventTime"]
        .as_str()
        .and_then(time::parse)
        .ok_or("a case with copies needs an eventTime")?;
    let moved = time::canonical(micros + seconds * 1_000_000)
        .ok_or("the time of a copy is out of range")?;
    set(event, "eventTime", Value::from(moved))
}

/// Compares the findings of a case with those it expects.
///
/// # Errors
/// The first difference, in words.
fn compare(findings: &[Finding], expected: &[ExpectedFinding]) -> Result<(), String> {
    let described = || findings.iter().map(describe).collect::<Vec<_>>().join(" | ");
    if findings.len() != expected.len() {
        return Err(format!(
            "expected {} findings, found {}: {}",
            expected.len(),
            findings.len(),
            described()
        ));
    }
    for (index, (finding, want)) in findings.iter().zip(expected).enumerate() {
        let suppressed = match (&finding.suppressed_by, &want.suppressed_by) {
            (None, None) => true,
            (Some(have), Some(want)) => have.contains(want.as_str()),
            _ => false,
        };
        let says = |part: &str| finding.why.iter().any(|why| why.contains(part));
        let fits = finding.severity == want.severity
            && finding.count == u64::from(want.count)
            && finding.variant == want.variant
            && (want.verdict.is_none() || finding.verdict == want.verdict)
            && suppressed
            && want.why.iter().all(|part| says(part))
            && !want.why_not.iter().any(|part| says(part));
        if !fits {
            return Err(format!(
                "finding {} is not as expected ({want:?}): {}",
                index + 1,
                described()
            ));
        }
    }
    Ok(())
}

fn describe(finding: &Finding) -> String {
    format!(
        "{} x{} variant={:?} verdict={:?} suppressed_by={:?} why={:?}",
        finding.severity,
        finding.count,
        finding.variant,
        finding.verdict,
        finding.suppressed_by,
        finding.why
    )
}
