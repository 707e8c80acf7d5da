//! Sections that are no query's result.

use super::period::Period;
use super::{ReportError, Table, rfc3339};
use crate::authoring::coverage::{AccountCoverage, coverage};
use crate::finding::risk::Risks;
use chrono::{DateTime, Utc};
use datafusion::arrow::array::RecordBatch;
use futures::StreamExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::profile::Profile;
use trailhound_queries::packs::rules::{Rule, RuleSet};
use trailhound_queries::session::{Session, within};
use trailhound_queries::values::json_value;

/// Entities named.
const ENTITIES_MAX: usize = 50;
/// Rules named beside an entity.
const RULES_MAX: usize = 6;

/// What such sections are made from.
pub(super) struct Seen<'s> {
    /// The lake with the findings that count.
    pub(super) session: &'s Session,
    pub(super) catalogue: &'s RuleSet,
    pub(super) period: Period,
    /// The rules that had run.
    pub(super) rules: &'s BTreeMap<String, String>,
}

impl Seen<'_> {
    /// The section `name`.
    pub(super) async fn section(
        &self,
        name: &str,
        benchmark: Option<&str>,
    ) -> Result<Table, ReportError> {
        match name {
            "entities_at_risk" => self.entities().await,
            "blind_spots" => Ok(self.blind_spots(&self.coverage().await?)),
            "controls" => {
                self.controls(benchmark.unwrap_or_default(), &self.coverage().await?).await
            }
            other => Err(ReportError::Material(format!("section `{other}` has no query"))),
        }
    }

    /// Rules that are on, in order.
    fn enabled(&self) -> impl Iterator<Item = &Rule> {
        self.catalogue.rules.iter().filter(|rule| rule.enabled || self.rules.contains_key(&rule.id))
    }

    async fn coverage(&self) -> Result<Vec<AccountCoverage>, ReportError> {
        let (since, until) =
            (self.period.since.timestamp_micros(), self.period.until.timestamp_micros());
        let session = self.session.narrowed(&within(since, until)).await?;
        let rules: Vec<&Rule> = self
            .enabled()
            .filter(|rule| rule.missing(self.session.parameters()).is_empty())
            .collect();
        Ok(coverage(&session, &rules).await?)
    }

    async fn entities(&self) -> Result<Table, ReportError> {
        let until = rfc3339(self.period.until);
        let began = format!(
            "SELECT finding FROM findings WHERE first_seen < TIMESTAMP '{until}' OR first_seen IS NULL"
        );
        let mut found =
            self.session.sql(&began).await?.execute_stream().await.map_err(SessionError::from)?;
        let mut risks = Risks::default();
        while let Some(batch) = found.next().await {
            let batch = batch.map_err(SessionError::from)?;
            for row in 0..batch.num_rows() {
                let finding = json_value(batch.column(0), row);
                risks.add(&serde_json::from_str(finding.as_str().unwrap_or_default())?);
            }
        }
        let entities = risks.len();
        let risks = risks.greatest(self.period.until.timestamp_micros(), ENTITIES_MAX);
        let row = |risk: &crate::finding::risk::Risk| {
            let mut rules: Vec<&str> = risk
                .terms
                .iter()
                .filter(|term| term.nth == 1)
                .map(|term| term.rule_id.as_str())
                .collect();
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
        };
        let mut table = Table::new(
            &["risk", "kind", "id", "name", "account_id", "findings", "last_seen", "rules"],
            risks.iter().map(row).collect(),
        );
        table.left = entities.saturating_sub(ENTITIES_MAX) as u64;
        Ok(table)
    }

    fn blind_spots(&self, coverage: &[AccountCoverage]) -> Table {
        let mut rows: Vec<Vec<Value>> = Vec::new();
        let mut unset: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for rule in self.enabled() {
            let missing = rule.missing(self.session.parameters());
            if !missing.is_empty() {
                unset.entry(missing.join(", ")).or_default().push(&rule.id);
            }
        }
        rows.extend(unset.into_iter().map(|(lacks, rules)| {
            vec![Value::Null, json!("all"), json!(lacks), json!(rules.join(" "))]
        }));
        for account in coverage {
            let mut by_lack: BTreeMap<(bool, &str), Vec<&str>> = BTreeMap::new();
            for blind in &account.blind {
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
                account.seen.silent_days.iter().map(|day| {
                    vec![json!(account.account_id), json!("day"), json!(day), Value::Null]
                }),
            );
        }
        Table::new(&["account_id", "affects", "lacks", "rules"], rows)
    }

    async fn controls(
        &self,
        benchmark: &str,
        coverage: &[AccountCoverage],
    ) -> Result<Table, ReportError> {
        let profiles = Profile::all().map_err(ReportError::Material)?;
        let profile = profiles.into_iter().find(|profile| profile.name == benchmark);
        let profile = profile
            .ok_or_else(|| ReportError::Material(format!("there is no benchmark `{benchmark}`")))?;
        let now = self.found(self.period.since, self.period.until).await?;
        let before = self.found(self.period.before, self.period.since).await?;
        let row = |section: &trailhound_queries::packs::profile::Section| {
            let watches: Vec<&String> =
                section.rules.iter().filter(|rule| self.watches(rule, coverage)).collect();
            let status = match watches.len() {
                0 => "blind",
                some if some < section.rules.len() => "partly",
                _ => "monitored",
            };
            let found = |by_rule: &BTreeMap<String, i64>| {
                section.rules.iter().filter_map(|rule| by_rule.get(rule)).sum::<i64>()
            };
            vec![
                json!(section.section),
                json!(section.title.en),
                json!(section.title.zh),
                json!(status),
                json!(found(&now)),
                json!(found(&before)),
                json!(section.rules.join(" ")),
            ]
        };
        Ok(Table::new(
            &["section", "title_en", "title_zh", "status", "findings", "period_before", "rules"],
            profile.sections.iter().map(row).collect(),
        ))
    }

    /// The rule runs, and somewhere the data shows what it looks for.
    fn watches(&self, rule: &str, coverage: &[AccountCoverage]) -> bool {
        let blind = |account: &AccountCoverage| {
            account.blind.iter().any(|blind| blind.wholly && blind.rule_id == rule)
        };
        self.rules.contains_key(rule) && !coverage.iter().all(blind)
    }

    /// How many findings that are open began in `[since, until)`, by rule.
    async fn found(
        &self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<BTreeMap<String, i64>, ReportError> {
        let (since, until) = (rfc3339(since), rfc3339(until));
        let counted = format!(
            "SELECT rule_id, count(*) FROM findings WHERE status = 'open' AND first_seen >= TIMESTAMP '{since}' \
             AND first_seen < TIMESTAMP '{until}' GROUP BY rule_id"
        );
        let batches =
            self.session.sql(&counted).await?.collect().await.map_err(SessionError::from)?;
        let rows =
            batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        let count = |(batch, row): (&RecordBatch, usize)| {
            let [rule, count] = [0, 1].map(|column| json_value(batch.column(column), row));
            Some((rule.as_str()?.to_owned(), count.as_i64()?))
        };
        Ok(rows.filter_map(count).collect())
    }
}
