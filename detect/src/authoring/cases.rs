//! The case runner: a rule's own test cases, run through the same engine as everything else.

use crate::evaluate::batch::{Selection, detect};
use crate::evaluate::scope::Range;
use crate::finding::Finding;
use datafusion::arrow::array::RecordBatch;
use serde_json::{Map, Value};
use std::sync::Arc;
use trailhound_datasets::derive::time;
use trailhound_datasets::samples;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::{Case, CaseEvent, Expectation, Rule, RuleSet};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// What became of one case.
#[derive(Debug)]
pub struct CaseResult {
    /// The rule.
    pub rule_id: String,
    /// The case.
    pub case: String,
    /// What went wrong; `None` where it passed.
    pub failure: Option<String>,
}

/// Decodes events into a batch as the ingest does; handed in, because detection does not know how events arrive.
pub type Decode<'d> = &'d (dyn Fn(&[u8]) -> Result<RecordBatch, String> + Sync);

/// Runs every case of `rule`.
pub async fn run(catalogue: &RuleSet, rule: &Rule, decode: Decode<'_>) -> Vec<CaseResult> {
    let mut results = Vec::new();
    for case in &rule.cases {
        let failure = run_case(catalogue, rule, case, decode).await.err();
        results.push(CaseResult { rule_id: rule.id.clone(), case: case.name.clone(), failure });
    }
    results
}

async fn run_case(
    catalogue: &RuleSet,
    rule: &Rule,
    case: &Case,
    decode: Decode<'_>,
) -> Result<(), String> {
    let parameters: Parameters = case
        .parameters
        .clone()
        .try_into()
        .map_err(|e: toml::de::Error| format!("its parameters: {e}"))?;
    let mut events = Vec::new();
    for (index, event) in case.events.iter().enumerate() {
        build(event, index, &mut events)?;
    }
    let batch = decode(&serde_json::to_vec(&events).map_err(|e| e.to_string())?)?;
    let session = Session::over_events(vec![batch], Arc::new(parameters), &QueryLimits::default())
        .await
        .map_err(|e| e.to_string())?;
    let selection = Selection { rules: vec![rule.id.clone()], require_all: true };
    let detection = detect(&session, catalogue, &selection, Range::default())
        .await
        .map_err(|e| e.to_string())?;
    if let Some((_, error)) = detection.failed.first() {
        return Err(format!("the rule broke: {error}"));
    }
    compare(&detection.findings, &case.expect)
}

/// Adds the events that `written` stands for.
fn build(written: &CaseEvent, index: usize, events: &mut Vec<Value>) -> Result<(), String> {
    let sample = samples::event(&written.sample)
        .ok_or_else(|| format!("there is no sample `{}`", written.sample))?;
    for copy in 0..written.times {
        let mut event: Value = serde_json::from_str(sample).map_err(|e| e.to_string())?;
        // Samples are told apart by their place in the case unless the case says otherwise.
        set(&mut event, "eventId", Value::from(format!("case-{index}-{copy}")))?;
        for path in &written.remove {
            remove(&mut event, path);
        }
        for (path, value) in &written.set {
            set(&mut event, path, serde_json::to_value(value).map_err(|e| e.to_string())?)?;
        }
        if copy > 0 {
            later(
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

fn later(event: &mut Value, seconds: i64) -> Result<(), String> {
    let micros = event["eventTime"]
        .as_str()
        .and_then(time::parse)
        .ok_or("a case with copies needs an eventTime")?;
    let moved = time::canonical(micros + seconds * 1_000_000)
        .ok_or("the time of a copy is out of range")?;
    set(event, "eventTime", Value::from(moved))
}

fn compare(findings: &[Finding], expected: &[Expectation]) -> Result<(), String> {
    let told = || findings.iter().map(told).collect::<Vec<_>>().join(" | ");
    if findings.len() != expected.len() {
        return Err(format!(
            "expected {} findings, found {}: {}",
            expected.len(),
            findings.len(),
            told()
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
            return Err(format!("finding {} is not as expected ({want:?}): {}", index + 1, told()));
        }
    }
    Ok(())
}

fn told(finding: &Finding) -> String {
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
