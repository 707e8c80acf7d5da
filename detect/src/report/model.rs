//! The data of a report: sections with columns and rows, and the provenance by which the report can
//! be computed again.

use crate::report::period::Period;
use crate::store::StoreError;
use crate::store::findings::StoredFinding;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::reports::SectionLayout;
use trailhound_queries::packs::rules::{BilingualText, RuleSet};
use trailhound_queries::session::Session;
use trailhound_queries::sql_guard::QueryError;

/// A report: its sections, and the provenance by which they can be computed again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Name of the report profile.
    pub profile: String,
    /// Title of the report profile.
    pub title: BilingualText,
    /// The period that the report covers.
    pub period: Period,
    /// When the report was made.
    pub made_at: DateTime<Utc>,
    /// The state of lake, parameters and rules that the report was made from.
    #[serde(rename = "proof")]
    pub provenance: ReportProvenance,
    /// The sections in order.
    pub sections: Vec<SectionData>,
}

/// The state of lake, parameters and rules that a report was made from. With it the report can be
/// computed again and compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportProvenance {
    /// Version of the program.
    pub version: String,
    /// Snapshot of the lake.
    pub snapshot: i64,
    /// Time at which the last event of that snapshot was stored. Compaction drops old snapshots, so
    /// a later computation leaves out the events stored after this time instead.
    pub stored_until: DateTime<Utc>,
    /// Hash of the parameters.
    #[serde(rename = "parameters")]
    pub parameters_hash: String,
    /// Version of each rule that had run, by rule id.
    #[serde(rename = "rules")]
    pub rule_versions: BTreeMap<String, String>,
    /// Ids of the rules that had not yet run over all events.
    #[serde(rename = "behind")]
    pub lagging_rules: BTreeSet<String>,
}

/// A section of a report with its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SectionData {
    /// Name of the section.
    pub name: String,
    /// Title.
    pub title: BilingualText,
    /// Explanation of how to read it.
    pub about: BilingualText,
    /// Text in place of the table if there are no rows.
    pub empty: BilingualText,
    /// How it is shown.
    pub show: SectionLayout,
    /// Column names. Of two columns that end in `_en` and `_zh`, each language shows its own.
    pub columns: Vec<String>,
    /// Rows of texts, numbers, booleans and nulls.
    pub rows: Vec<Vec<Value>>,
    /// Number of rows beyond those in `rows`.
    #[serde(rename = "left")]
    pub omitted_rows: u64,
}

impl SectionData {
    /// Returns the section with at most `rows_max` rows.
    pub(super) fn truncated(&self, rows_max: usize) -> Self {
        let omitted_rows = self.omitted_rows + self.rows.len().saturating_sub(rows_max) as u64;
        let rows = self.rows.iter().take(rows_max).cloned().collect();
        Self { rows, omitted_rows, ..self.clone() }
    }

    /// The number of all rows, omitted ones included.
    pub(super) fn row_count(&self) -> u64 {
        self.rows.len() as u64 + self.omitted_rows
    }
}

/// Inputs of a report.
pub struct ReportInputs<'i> {
    /// A session over the lake.
    pub session: &'i Session,
    /// The rule set.
    pub rules: &'i RuleSet,
    /// The findings. Withdrawn ones, and those from before the period's history, are left out of
    /// the report.
    pub findings: BoxStream<'i, Result<StoredFinding, ReportError>>,
    /// The state of lake, parameters and rules.
    pub provenance: ReportProvenance,
}

/// Why a report could not be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A report definition that comes with the product cannot be read.
    #[error("{0}")]
    Definition(String),
    /// The query of a section failed.
    #[error("section `{section}`: {refused}")]
    Section {
        /// Name of the section.
        section: String,
        /// The reason.
        refused: QueryError,
    },
    /// The lake cannot be read.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A finding cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The stored findings cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Columns and rows of a section before they get title and explanation.
#[derive(Debug, Default)]
pub(super) struct SectionTable {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Value>>,
    /// Number of rows beyond those in `rows`.
    pub(super) omitted_rows: u64,
}

impl SectionTable {
    /// Makes a table with all its rows.
    pub(super) fn new(columns: &[&str], rows: Vec<Vec<Value>>) -> Self {
        let columns = columns.iter().map(|&name| name.to_owned()).collect();
        Self { columns, rows, omitted_rows: 0 }
    }
}

/// Writes a time as findings and SQL statements of reports do: RFC 3339 UTC with microseconds.
pub(super) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
