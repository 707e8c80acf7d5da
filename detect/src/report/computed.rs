//! Sections that are no query's result.

use super::period::Period;
use super::{ReportError, Table};
use crate::coverage::{AccountCoverage, coverage};
use crate::finding::{Finding, Status};
use crate::risk::risks;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use trailhound_queries::catalogue::{Catalogue, Rule};
use trailhound_queries::profile::Profile;
use trailhound_queries::session::{Session, within};

/// Entities named.
const ENTITIES_MAX: usize = 50;
/// Rules named beside an entity.
const RULES_MAX: usize = 6;

/// What such sections are made from.
pub(super) struct Seen<'s> {
    pub(super) session: &'s Session,
    pub(super) catalogue: &'s Catalogue,
    pub(super) findings: &'s [Finding],
    pub(super) period: Period,
    /// The rules that had run.
    pub(super) rules: &'s BTreeMap<String, String>,
}

impl Seen<'_> {
    /// The section `name`.
    pub(super) async fn section(&self, name: &str, benchmark: Option<&str>) -> Result<Table, ReportError> {
        match name {
            "entities_at_risk" => Ok(self.entities()),
            "blind_spots" => Ok(self.blind_spots(&self.coverage().await?)),
            "controls" => self.controls(benchmark.unwrap_or_default(), &self.coverage().await?),
            other => Err(ReportError::Material(format!("section `{other}` has no query"))),
        }
    }

    /// Rules that are on, in order.
    fn enabled(&self) -> impl Iterator<Item = &Rule> {
        self.catalogue.rules.iter().filter(|rule| rule.enabled || self.rules.contains_key(&rule.id))
    }

    async fn coverage(&self) -> Result<Vec<AccountCoverage>, ReportError> {
        let (since, until) = (self.period.since.timestamp_micros(), self.period.until.timestamp_micros());
        let session = self.session.narrowed(&within(since, until)).await?;
        let rules: Vec<&Rule> = self.enabled().filter(|rule| rule.missing(self.session.parameters()).is_empty()).collect();
        Ok(coverage(&session, &rules).await?)
    }

    fn entities(&self) -> Table {
        let until = self.period.until.timestamp_micros();
        let began = |finding: &&Finding| {
            finding.first_seen.as_deref().and_then(trailhound_datasets::derive::time::parse).is_none_or(|first| first < until)
        };
        let risks = risks(self.findings.iter().filter(began), until);
        let row = |risk: &crate::risk::Risk| {
            let mut rules: Vec<&str> = risk.terms.iter().filter(|term| term.nth == 1).map(|term| term.rule_id.as_str()).collect();
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
            risks.iter().take(ENTITIES_MAX).map(row).collect(),
        );
        table.left = risks.len().saturating_sub(ENTITIES_MAX) as u64;
        table
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
        rows.extend(unset.into_iter().map(|(lacks, rules)| vec![Value::Null, json!("all"), json!(lacks), json!(rules.join(" "))]));
        for account in coverage {
            let mut by_lack: BTreeMap<(bool, &str), Vec<&str>> = BTreeMap::new();
            for blind in &account.blind {
                by_lack.entry((!blind.wholly, blind.lacks)).or_default().push(&blind.rule_id);
            }
            let affects = |partly: bool| if partly { "part" } else { "all" };
            rows.extend(by_lack.into_iter().map(|((partly, lacks), rules)| {
                vec![json!(account.account_id), json!(affects(partly)), json!(lacks), json!(rules.join(" "))]
            }));
            rows.extend(account.seen.silent_days.iter().map(|day| vec![json!(account.account_id), json!("day"), json!(day), Value::Null]));
        }
        Table::new(&["account_id", "affects", "lacks", "rules"], rows)
    }

    fn controls(&self, benchmark: &str, coverage: &[AccountCoverage]) -> Result<Table, ReportError> {
        let profiles = Profile::all().map_err(ReportError::Material)?;
        let profile = profiles.into_iter().find(|profile| profile.name == benchmark);
        let profile = profile.ok_or_else(|| ReportError::Material(format!("there is no benchmark `{benchmark}`")))?;
        let row = |section: &trailhound_queries::profile::Section| {
            let watches: Vec<&String> = section.rules.iter().filter(|rule| self.watches(rule, coverage)).collect();
            let status = match watches.len() {
                0 => "blind",
                some if some < section.rules.len() => "partly",
                _ => "monitored",
            };
            let found = |since, until| self.found(&section.rules, since, until);
            vec![
                json!(section.section),
                json!(section.title.en),
                json!(section.title.zh),
                json!(status),
                json!(found(self.period.since, self.period.until)),
                json!(found(self.period.before, self.period.since)),
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
        let blind = |account: &AccountCoverage| account.blind.iter().any(|blind| blind.wholly && blind.rule_id == rule);
        self.rules.contains_key(rule) && !coverage.iter().all(blind)
    }

    fn found(&self, rules: &[String], since: chrono::DateTime<chrono::Utc>, until: chrono::DateTime<chrono::Utc>) -> usize {
        let (since, until) = (since.timestamp_micros(), until.timestamp_micros());
        let counts = |finding: &&Finding| {
            let first = finding.first_seen.as_deref().and_then(trailhound_datasets::derive::time::parse);
            finding.status == Status::Open && rules.contains(&finding.rule_id) && first.is_some_and(|first| since <= first && first < until)
        };
        self.findings.iter().filter(counts).count()
    }
}
