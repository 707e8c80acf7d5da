//! The sections that no query can compute: entities at risk, blind spots of rules, and controls of
//! a benchmark.

use crate::authoring::coverage::{AccountCoverage, coverage};
use crate::finding::risk::{EntityRisk, RiskAccumulator};
use crate::report::model::{ReportError, SectionTable, rfc3339};
use crate::report::period::Period;
use chrono::{DateTime, Utc};
use datafusion::arrow::array::RecordBatch;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::profile::BenchmarkProfile;
use trailhound_queries::packs::rules::{Rule, RuleSet};
use trailhound_queries::session::{Session, event_time_in};
use trailhound_queries::values::json_value;

/// Maximum number of entities that the section lists.
const ENTITIES_MAX: usize = 50;
/// Maximum number of rules that an entity's row lists.
const RULES_MAX: usize = 6;

/// Makes the section `entities_at_risk`: the entities with the greatest risk scores at the end of
/// the period.
pub(super) fn entities_table(risks: RiskAccumulator, period: Period) -> SectionTable {
    let omitted_entities = risks.entity_count().saturating_sub(ENTITIES_MAX);
    let top = risks.top(period.until.timestamp_micros(), ENTITIES_MAX);
    let mut table = SectionTable::new(
        &["risk", "kind", "id", "name", "account_id", "findings", "last_seen", "rules"],
        top.iter().map(entity_row).collect(),
    );
    table.omitted_rows = omitted_entities as u64;
    table
}

/// Makes the row of one entity, with up to [`RULES_MAX`] of the rules that found it.
fn entity_row(risk: &EntityRisk) -> Vec<Value> {
    // Each rule once: its first finding stands for all.
    let first_findings = risk.terms.iter().filter(|term| term.nth == 1);
    let mut rules: Vec<&str> = first_findings.map(|term| term.rule_id.as_str()).collect();
    let more = rules.len().saturating_sub(RULES_MAX);
    rules.truncate(RULES_MAX);
    let more = if more > 0 { format!(" +{more}") } else { String::new() };
    vec![
        json!((risk.score * 10.0).round() / 10.0),
        json!(risk.entity.kind.name()),
        json!(risk.entity.id),
        json!(risk.name),
        json!(risk.entity.account_id),
        json!(risk.terms.len()),
        json!(risk.last_seen),
        json!(format!("{}{more}", rules.join(" "))),
    ]
}

/// Inputs of the computed sections.
pub(super) struct ComputedSections<'s> {
    /// The lake with the findings of the report.
    pub(super) session: &'s Session,
    /// The rule set.
    pub(super) rules: &'s RuleSet,
    /// The period of the report.
    pub(super) period: Period,
    /// Version of each rule that had run, by rule id.
    pub(super) rule_versions: &'s BTreeMap<String, String>,
}

impl ComputedSections<'_> {
    /// Computes the section `name`. `benchmark` is the profile of controls, for the section
    /// `controls`.
    ///
    /// # Errors
    /// [`ReportError`] where there is no such section or benchmark, or the lake cannot be read.
    pub(super) async fn table(
        &self,
        name: &str,
        benchmark: Option<&str>,
    ) -> Result<SectionTable, ReportError> {
        match name {
            "blind_spots" => Ok(self.blind_spots(&self.coverage().await?)),
            "controls" => {
                self.controls(benchmark.unwrap_or_default(), &self.coverage().await?).await
            }
            other => Err(ReportError::Definition(format!("section `{other}` has no query"))),
        }
    }

    /// The rules that are enabled or have run, in order.
    fn enabled(&self) -> impl Iterator<Item = &Rule> {
        self.rules
            .rules
            .iter()
            .filter(|rule| rule.enabled || self.rule_versions.contains_key(&rule.id))
    }

    /// Computes the coverage of the events of the period, for the rules that have their parameters.
    async fn coverage(&self) -> Result<Vec<AccountCoverage>, ReportError> {
        let (since, until) =
            (self.period.since.timestamp_micros(), self.period.until.timestamp_micros());
        let session = self.session.with_events_where(&event_time_in(since, until)).await?;
        let rules: Vec<&Rule> = self
            .enabled()
            .filter(|rule| rule.missing_parameters(self.session.parameters()).is_empty())
            .collect();
        Ok(coverage(&session, &rules).await?)
    }

    /// Lists what rules lack: parameters, kinds of events, and days without events.
    fn blind_spots(&self, coverage: &[AccountCoverage]) -> SectionTable {
        let mut rows: Vec<Vec<Value>> = Vec::new();
        let mut by_parameters: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for rule in self.enabled() {
            let missing = rule.missing_parameters(self.session.parameters());
            if !missing.is_empty() {
                by_parameters.entry(missing.join(", ")).or_default().push(&rule.id);
            }
        }
        rows.extend(by_parameters.into_iter().map(|(lacks, rules)| {
            vec![Value::Null, json!("all"), json!(lacks), json!(rules.join(" "))]
        }));
        for account in coverage {
            let mut by_lack: BTreeMap<(bool, &str), Vec<&str>> = BTreeMap::new();
            for blind in &account.blind_spots {
                by_lack.entry((!blind.wholly, blind.lacks)).or_default().push(&blind.rule_id);
            }
            let affects = |partly: bool| if partly { "part" } else { "all" };
            rows.extend(by_lack.into_iter().map(|((partly, lacks), rules)| {
                vec![
                    json!(account.account_id),
                    json!(affects(partly)),
                    json!(lacks),
                    json!(rules.join(" ")),
                ]
            }));
            rows.extend(
                account.totals.silent_days.iter().map(|day| {
                    vec![json!(account.account_id), json!("day"), json!(day), Value::Null]
                }),
            );
        }
        SectionTable::new(&["account_id", "affects", "lacks", "rules"], rows)
    }

    /// Lists the sections of the benchmark: whether rules monitor them, and how many findings these
    /// rules made in this period and the one before.
    async fn controls(
        &self,
        benchmark: &str,
        coverage: &[AccountCoverage],
    ) -> Result<SectionTable, ReportError> {
        let profiles = BenchmarkProfile::all().map_err(ReportError::Definition)?;
        let profile = profiles.into_iter().find(|profile| profile.name == benchmark);
        let profile = profile.ok_or_else(|| {
            ReportError::Definition(format!("there is no benchmark `{benchmark}`"))
        })?;
        let now = self.open_findings_by_rule(self.period.since, self.period.until).await?;
        let before = self.open_findings_by_rule(self.period.before, self.period.since).await?;
        let row = |section: &trailhound_queries::packs::profile::BenchmarkSection| {
            let watching: Vec<&String> =
                section.rules.iter().filter(|rule| self.is_watching(rule, coverage)).collect();
            let status = match watching.len() {
                0 => "blind",
                some if some < section.rules.len() => "partly",
                _ => "monitored",
            };
            let sum = |by_rule: &BTreeMap<String, i64>| {
                section.rules.iter().filter_map(|rule| by_rule.get(rule)).sum::<i64>()
            };
            vec![
                json!(section.section),
                json!(section.title.en),
                json!(section.title.zh),
                json!(status),
                json!(sum(&now)),
                json!(sum(&before)),
                json!(section.rules.join(" ")),
            ]
        };
        Ok(SectionTable::new(
            &["section", "title_en", "title_zh", "status", "findings", "period_before", "rules"],
            profile.sections.iter().map(row).collect(),
        ))
    }

    /// True if the rule has run and at least one account delivers the events that it needs.
    fn is_watching(&self, rule: &str, coverage: &[AccountCoverage]) -> bool {
        let is_blind = |account: &AccountCoverage| {
            account.blind_spots.iter().any(|blind| blind.wholly && blind.rule_id == rule)
        };
        self.rule_versions.contains_key(rule) && !coverage.iter().all(is_blind)
    }

    /// Counts the open findings that began in `[since, until)`, by rule id.
    async fn open_findings_by_rule(
        &self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<BTreeMap<String, i64>, ReportError> {
        let (since, until) = (rfc3339(since), rfc3339(until));
        let sql = format!(
            "SELECT rule_id, count(*) FROM findings WHERE status = 'open' AND first_seen >= TIMESTAMP '{since}' \
             AND first_seen < TIMESTAMP '{until}' GROUP BY rule_id"
        );
        let batches = self.session.sql(&sql).await?.collect().await.map_err(SessionError::from)?;
        let rows =
            batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        let count = |(batch, row): (&RecordBatch, usize)| {
            let [rule, count] = [0, 1].map(|column| json_value(batch.column(column), row));
            Some((rule.as_str()?.to_owned(), count.as_i64()?))
        };
        Ok(rows.filter_map(count).collect())
    }
}
