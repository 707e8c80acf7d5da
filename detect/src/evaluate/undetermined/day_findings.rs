//! The findings about the events of a day that rules cannot judge, while the events are read.

use super::marked_day::{MarkedDay, facts_of_rows};
use super::marked_events::SourceTotals;
use crate::evaluate::scope::UNDETERMINED;
use crate::finding::Finding;
use crate::finding::event_summary::EventSummary;
use crate::finding::grouping;
use crate::finding::health::NotUnderstood;
use crate::finding::match_rows::{self, MatchBatch, MatchRow};
use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use std::collections::{BTreeMap, HashSet};
use trailhound_datasets::fact::{Fact, FactSet};
use trailhound_queries::packs::rules::{Rule, Severity};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::projection::required_column;

/// Keys of events.
pub(super) type FoundKeys = HashSet<Vec<u8>>;

/// Rows of events with the facts of each that were not understood.
pub(super) struct MarkedRows {
    rows: MatchBatch,
    marks: Vec<FactSet>,
}

impl MarkedRows {
    /// Reads `batch`, which has the columns of `EVENT_COLUMNS`.
    ///
    /// # Errors
    /// [`DataFusionError`] where it lacks one.
    pub(super) fn new(batch: &RecordBatch) -> Result<Self, DataFusionError> {
        let marks = facts_of_rows(batch)?;
        Ok(Self { marks, rows: match_rows::read_matches(batch, &[])? })
    }

    fn iter(&self) -> impl Iterator<Item = (MatchRow<'_>, FactSet)> {
        self.rows.iter().zip(self.marks.iter().copied())
    }
}

/// A finding that begins with its first event, and all its events.
type Group = (Finding, EventSummary);

/// What was found about the events of a day so far.
pub(super) struct DayFindings<'p> {
    parameters: &'p Parameters,
    day: MarkedDay,
    /// By finding id.
    groups: BTreeMap<String, Group>,
    sources: BTreeMap<(String, Fact), EventSummary>,
}

impl<'p> DayFindings<'p> {
    pub(super) fn new(parameters: &'p Parameters, day: MarkedDay) -> Self {
        Self { parameters, day, groups: BTreeMap::new(), sources: BTreeMap::new() }
    }

    /// Adds the events `rows`, which `rule` cannot judge because it reads some of `facts`, without
    /// those in `found`.
    pub(super) fn add(
        &mut self,
        rule: &Rule,
        facts: FactSet,
        rows: &MarkedRows,
        found: &FoundKeys,
    ) {
        for (row, marks) in rows.iter().filter(|(row, _)| !found.contains(row.event_key())) {
            let mut unread = FactSet::default();
            marks.iter().filter(|&fact| facts.contains(fact)).for_each(|fact| unread.insert(fact));
            let suppressed = grouping::suppressed_by(rule, self.parameters, row);
            let names: Vec<&str> = unread.iter().map(Fact::name).collect();
            let key = [
                row.text("account_id").unwrap_or(""),
                UNDETERMINED,
                &names.join("+"),
                &self.day.key(),
            ]
            .join("\u{1f}");
            let id = grouping::finding_id(rule, &key, suppressed.as_deref());
            let group = self.groups.entry(id);
            let group = group.or_insert_with(|| {
                let finding =
                    undetermined(rule, self.parameters, &key, suppressed.clone(), unread, row);
                (finding, EventSummary::default())
            });
            if group.1.add(row) {
                group.0 = undetermined(rule, self.parameters, &key, suppressed, unread, row);
            }
        }
    }

    /// Adds the events `rows` of the source `source`.
    pub(super) fn add_sources(
        &mut self,
        batch: &RecordBatch,
        rows: &MarkedRows,
    ) -> Result<(), DataFusionError> {
        let sources = match_rows::utf8(required_column(batch, "source")?)?;
        for ((row, marks), source) in rows.iter().zip(&sources) {
            for fact in marks.iter() {
                let key = (source.unwrap_or_default().to_owned(), fact);
                self.sources.entry(key).or_default().add(row);
            }
        }
        Ok(())
    }

    /// The findings. `totals` counts all events of each source on the day.
    pub(super) fn finish(self, totals: &BTreeMap<String, SourceTotals>) -> Vec<Finding> {
        let day = self.day;
        let of_rules = self.groups.into_values();
        let mut findings: Vec<Finding> =
            of_rules.map(|(finding, summary)| summary.complete(finding)).collect();
        for ((source, fact), summary) in self.sources {
            let Some(total) = totals.get(&source) else { continue };
            let state = NotUnderstood {
                source: &source,
                fact,
                day: day.start(),
                marked_in_all: total.marked,
                events: total.events,
            };
            if state.is_alarming() {
                findings.push(summary.complete(state.finding()));
            }
        }
        findings
    }
}

/// The finding of a group whose first event is `row`.
fn undetermined(
    rule: &Rule,
    parameters: &Parameters,
    key: &str,
    suppressed: Option<String>,
    unread: FactSet,
    row: MatchRow<'_>,
) -> Finding {
    let facts: Vec<String> = unread.iter().map(|fact| fact.name().replace('_', " ")).collect();
    Finding {
        variant: Some(UNDETERMINED.to_owned()),
        title: format!("{} (undetermined)", rule.title.en),
        title_zh: format!("{}（无法判定）", rule.title.zh),
        severity: rule.severity.min(Severity::Low),
        why: vec![format!(
            "the rule cannot judge these events: {} not understood",
            facts.join(", ")
        )],
        unknowns: facts,
        ..grouping::finding(rule, parameters, key, suppressed, vec![row])
    }
}
