//! Runs the test cases of rules, with the same evaluation as for events of a lake.

use crate::authoring::case_events::{case_events, is_firing};
use crate::authoring::evasion::attack::{Attack, BENIGN, Evasion, parameters_read};
use crate::evaluate::batch::{evaluate_rows, missing_parameters, sort_findings};
use crate::evaluate::batch_rows::BatchRows;
use crate::evaluate::scope::TimeRange;
use crate::finding::Finding;
use datafusion::arrow::array::RecordBatch;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::phrases::Phrases;
use trailhound_queries::packs::rules::{ExpectedFinding, Rule, Severity, TestCase};
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

/// What became of the findings of one case after one change of an attacker's.
#[derive(Debug, Clone)]
pub struct EvasionResult {
    /// The rule.
    pub rule_id: String,
    /// The name of the case.
    pub case: String,
    /// The name of the change.
    pub evasion: &'static str,
    /// What became of them, in the change's worst form.
    pub outcome: EvasionOutcome,
}

/// What became of the findings after a change, from the best to the worst.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvasionOutcome {
    /// A finding as severe as before.
    Held,
    /// A finding, less severe than before.
    Weaker,
    /// No open finding of the attack; what there is instead.
    Missed(String),
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

    /// Makes each change of `evasions` to each firing case of `rule`.
    ///
    /// # Errors
    /// A case of the rule that does not work, in words.
    pub async fn evade(
        &mut self,
        rule: &Rule,
        evasions: &[Evasion],
    ) -> Result<Vec<EvasionResult>, String> {
        let mut plans: Vec<(&toml::Table, CasePlan<'_>)> = Vec::new();
        let mut results = Vec::new();
        for case in rule.cases.iter().filter(|case| is_firing(case)) {
            let failed = |error| format!("{}, \"{}\": {error}", rule.id, case.name);
            let known = plans.iter().position(|(parameters, _)| **parameters == case.parameters);
            let at = match known {
                Some(at) => at,
                None => {
                    let plan = self.plan(rule, &case.parameters).await.map_err(failed)?;
                    plans.push((&case.parameters, plan));
                    plans.len() - 1
                }
            };
            let outcomes = plans[at].1.evade(case, evasions, self.decode).await.map_err(failed)?;
            results.extend(outcomes.into_iter().map(|(evasion, outcome)| EvasionResult {
                rule_id: rule.id.clone(),
                case: case.name.clone(),
                evasion,
                outcome,
            }));
        }
        Ok(results)
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
            None => {
                let (in_both_languages, reads) = (rule.built_in, parameters_read(rule));
                Ok(CasePlan { parameters, rows, in_both_languages, reads })
            }
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
    /// Every sentence of the findings must have a Chinese phrase: the rule comes with the product.
    in_both_languages: bool,
    /// The parameters that the rule reads.
    reads: Vec<String>,
}

impl CasePlan<'_> {
    async fn run(&mut self, case: &TestCase, decode: Decode<'_>) -> Result<(), String> {
        let findings = self.findings(&case_events(case)?, decode).await?;
        compare(&findings, &case.expect)?;
        if self.in_both_languages { chinese_is_complete(&findings) } else { Ok(()) }
    }

    /// The findings of the rule in `events`, sorted.
    async fn findings(
        &mut self,
        events: &[Value],
        decode: Decode<'_>,
    ) -> Result<Vec<Finding>, String> {
        let batch = decode(&serde_json::to_vec(events).map_err(|e| e.to_string())?)?;
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
        Ok(findings)
    }

    /// What becomes of the findings of `case` where an attacker makes each change of `evasions`. Changes that do not apply
    /// are left out.
    async fn evade(
        &mut self,
        case: &TestCase,
        evasions: &[Evasion],
        decode: Decode<'_>,
    ) -> Result<Vec<(&'static str, EvasionOutcome)>, String> {
        let events = case_events(case)?;
        let found: Vec<Finding> = open(self.findings(&events, decode).await?);
        let worst = found.iter().map(|finding| finding.severity).max();
        let worst = worst.ok_or("it gives no open finding unchanged")?;
        let ids: BTreeSet<&str> =
            found.iter().flat_map(|finding| &finding.event_ids).map(String::as_str).collect();
        let is_own = |event: &Value| event["eventId"].as_str().is_some_and(|id| ids.contains(id));
        let own = events.iter().map(is_own).collect();
        let attack = Attack { events, own, reads: self.reads.clone() };
        let mut outcomes = Vec::new();
        for evasion in evasions {
            let mut outcome = None;
            for (number, changed) in (evasion.change)(&attack).iter().enumerate() {
                let findings = self.findings(changed, decode).await?;
                let one = outcome_of(&findings, worst, number + 1);
                outcome = outcome.max(Some(one));
            }
            outcomes.extend(outcome.map(|outcome| (evasion.name, outcome)));
        }
        Ok(outcomes)
    }
}

fn open(findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().filter(|finding| finding.suppressed_by.is_none()).collect()
}

/// What became of the attack in its form `number`, given the findings and the severity before the change.
fn outcome_of(findings: &[Finding], worst: Severity, number: usize) -> EvasionOutcome {
    // Traffic that was put around the attack is no part of it.
    let is_attack = |finding: &&Finding| {
        finding.suppressed_by.is_none()
            && finding.event_ids.iter().any(|id| !id.starts_with(BENIGN))
    };
    match findings.iter().filter(is_attack).map(|finding| finding.severity).max() {
        Some(severity) if severity >= worst => EvasionOutcome::Held,
        Some(_) => EvasionOutcome::Weaker,
        None if findings.is_empty() => EvasionOutcome::Missed(format!("form {number}: no finding")),
        None => {
            let all = findings.iter().map(describe).collect::<Vec<_>>().join(" | ");
            EvasionOutcome::Missed(format!("form {number}: {all}"))
        }
    }
}

/// Checks that every reason and every unknown fact of the findings has a phrase.
///
/// # Errors
/// The first sentence without one.
fn chinese_is_complete(findings: &[Finding]) -> Result<(), String> {
    let phrases = Phrases::built_in();
    let mut texts = findings.iter().flat_map(|finding| finding.why.iter().chain(&finding.unknowns));
    match texts.find(|text| phrases.zh(text).is_none()) {
        Some(text) => Err(format!("no phrase in `phrases/` says `{text}` in Chinese")),
        None => Ok(()),
    }
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
