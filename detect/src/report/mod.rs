//! Reports: the same numbers for people and programs, that can be computed again from the lake.

mod chart;
mod computed;
mod csv;
pub mod files;
mod html;
mod markdown;
mod notice;
mod period;
mod print;
mod view;

pub use self::csv::csv;
pub use html::html;
pub use markdown::markdown;
pub use notice::notice;
pub use period::{Period, Span};
pub use print::{PrintError, browser, print};

use crate::finding::language::Language;
use crate::finding::{Finding, Status};
use crate::store::StoreError;
use chrono::{DateTime, SecondsFormat, Utc};
use computed::Seen;
use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::reports::{ReportProfile, Section, Show, section};
use trailhound_queries::packs::rules::{BilingualText, RuleSet};
use trailhound_queries::session::Session;
use trailhound_queries::session::ad_hoc::refused;
use trailhound_queries::sql_guard::{Refused, Values};
use trailhound_queries::values::json_value;

/// Rows of a section that a report holds; how many more there are is said.
const ROWS_MAX: usize = 20_000;

/// A report: its numbers and by what they can be computed again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The profile's name.
    pub profile: String,
    /// The profile's title.
    pub title: BilingualText,
    /// What it is about.
    pub period: Period,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// By what it can be computed again.
    pub proof: Proof,
    /// Its parts in order.
    pub sections: Vec<Filled>,
}

/// By what a report can be computed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Version of the program.
    pub version: String,
    /// Snapshot of the lake that was seen.
    pub snapshot: i64,
    /// Events stored later do not count; the snapshot itself is forgotten after a while.
    pub stored_until: DateTime<Utc>,
    /// Hash of the parameters.
    pub parameters: String,
    /// The rules that had run, with their versions.
    pub rules: BTreeMap<String, String>,
    /// Those of them that had not yet run over everything.
    pub behind: BTreeSet<String>,
}

/// A section with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Filled {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub title: BilingualText,
    /// How to read it.
    pub about: BilingualText,
    /// What is said where it has no rows.
    pub empty: BilingualText,
    /// How it is shown.
    pub show: Show,
    /// Names of its columns. Of two that end in `_en` and `_zh` each language shows its own.
    pub columns: Vec<String>,
    /// Its rows: texts, numbers, truth values, nothing.
    pub rows: Vec<Vec<Value>>,
    /// Rows beyond those that a report holds.
    pub left: u64,
}

impl Filled {
    /// The same with no more than `rows_max` rows.
    fn cut(&self, rows_max: usize) -> Self {
        let left = self.left + self.rows.len().saturating_sub(rows_max) as u64;
        Self { rows: self.rows.iter().take(rows_max).cloned().collect(), left, ..self.clone() }
    }

    /// Rows that there are, held or not.
    fn all(&self) -> u64 {
        self.rows.len() as u64 + self.left
    }

    /// As many rows there are, and those that it holds are the first of `other`.
    fn is_beginning_of(&self, other: &Self) -> bool {
        self.columns == other.columns
            && self.all() == other.all()
            && other.rows.starts_with(&self.rows)
    }
}

/// What a report is made from.
pub struct Material<'m> {
    /// The lake.
    pub session: &'m Session,
    /// The rules.
    pub catalogue: &'m RuleSet,
    /// The findings; those withdrawn count nothing, nor those from before the period's history.
    pub findings: BoxStream<'m, Result<Finding, ReportError>>,
    /// How they came about.
    pub proof: Proof,
}

/// Why a report could not be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// What comes with the product does not read.
    #[error("{0}")]
    Material(String),
    /// A section's query failed.
    #[error("section `{section}`: {refused}")]
    Section {
        /// The section.
        section: String,
        /// Why.
        refused: Refused,
    },
    /// The lake cannot be read.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A finding cannot be written down.
    #[error(transparent)]
    Finding(#[from] serde_json::Error),
    /// The findings that are kept cannot be read.
    #[error(transparent)]
    Kept(#[from] StoreError),
}

/// Makes the report `profile` about `period`. `progress` is told the number of each section that begins.
///
/// # Errors
/// [`ReportError`].
pub async fn report(
    profile: &ReportProfile,
    period: Period,
    made_at: DateTime<Utc>,
    material: Material<'_>,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Report, ReportError> {
    let Material { session, catalogue, findings, proof } = material;
    let session =
        as_stored(session, proof.stored_until).await?.with_findings(rows(findings, period)).await?;
    let values = values(period, proof.stored_until);
    let seen = Seen { session: &session, catalogue, period, rules: &proof.rules };
    let mut sections = Vec::with_capacity(profile.sections.len());
    for (number, name) in profile.sections.iter().enumerate() {
        progress(number);
        let section = section(name).map_err(ReportError::Material)?;
        let table = match &section.sql {
            Some(sql) => {
                let failed = |refused| ReportError::Section { section: name.clone(), refused };
                asked(&session, sql, &values).await.map_err(failed)?
            }
            None => seen.section(name, profile.benchmark.as_deref()).await?,
        };
        let table = if section.show == Show::Bars {
            over_time(&table, &section.series, period)
        } else {
            table
        };
        sections.push(filled(section, table));
    }
    Ok(Report {
        profile: profile.name.clone(),
        title: profile.title.clone(),
        period,
        made_at,
        proof,
        sections,
    })
}

/// The session with the events stored until `moment`.
///
/// # Errors
/// [`SessionError`].
pub async fn as_stored(session: &Session, moment: DateTime<Utc>) -> Result<Session, SessionError> {
    session.narrowed(&format!("ingested_at <= TIMESTAMP '{}'", rfc3339(moment))).await
}

/// When the last event of the lake was stored; nothing where there is none.
///
/// # Errors
/// [`SessionError`].
pub async fn stored_until(session: &Session) -> Result<Option<DateTime<Utc>>, SessionError> {
    let batches = session
        .sql("SELECT max(ingested_at) FROM events")
        .await?
        .collect()
        .await
        .map_err(SessionError::from)?;
    let text = batches.first().map(|batch| json_value(batch.column(0), 0)).unwrap_or_default();
    let moment = text.as_str().map(str::parse::<DateTime<Utc>>).transpose();
    moment.map_err(|e| SessionError::Engine(DataFusionError::External(Box::new(e))))
}

/// The findings that count, as they are kept.
fn rows<'f>(
    findings: BoxStream<'f, Result<Finding, ReportError>>,
    period: Period,
) -> impl Stream<Item = Result<(i64, String, String), ReportError>> + 'f {
    let history = rfc3339(period.history());
    let counts = move |finding: &Finding| {
        finding.status != Status::Withdrawn
            && finding.first_seen.as_ref().is_none_or(|first| *first >= history)
    };
    let row = |finding: Finding| {
        Ok((1, finding.status.name().to_owned(), serde_json::to_string(&finding)?))
    };
    findings
        .try_filter(move |finding| std::future::ready(counts(finding)))
        .map(move |finding| row(finding?))
}

/// As statements and findings write times.
fn rfc3339(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn values(period: Period, stored_until: DateTime<Utc>) -> Values {
    let text = |moment| Some(rfc3339(moment));
    [
        ("since", text(period.since)),
        ("until", text(period.until)),
        ("before", text(period.before)),
        ("history", text(period.history())),
        ("stored_until", text(stored_until)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// Columns and rows.
#[derive(Debug, Default)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    left: u64,
}

impl Table {
    fn new(columns: &[&str], rows: Vec<Vec<Value>>) -> Self {
        Self { columns: columns.iter().map(|&name| name.to_owned()).collect(), rows, left: 0 }
    }
}

/// What `sql` gives, with the values that it asks for.
async fn asked(session: &Session, sql: &str, values: &Values) -> Result<Table, Refused> {
    let its = values
        .iter()
        .filter(|(name, _)| sql.contains(&format!("${name}")))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let frame = session.ask(sql, &its).await?;
    let columns = frame.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut table = Table { columns, rows: Vec::new(), left: 0 };
    let mut stream = frame.execute_stream().await.map_err(|e| refused(&e))?;
    while let Some(batch) = stream.next().await {
        table.add(&batch.map_err(|e| refused(&e))?);
    }
    Ok(table)
}

impl Table {
    fn add(&mut self, batch: &RecordBatch) {
        for row in 0..batch.num_rows() {
            if self.rows.len() < ROWS_MAX {
                self.rows
                    .push(batch.columns().iter().map(|column| json_value(column, row)).collect());
            } else {
                self.left += 1;
            }
        }
    }
}

/// Rows of moment, series and value as a table over the parts of `period`, a column a series.
fn over_time(table: &Table, series: &[String], period: Period) -> Table {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let there: BTreeSet<String> = table.rows.iter().map(|row| text(row.get(1))).collect();
    let series: Vec<String> =
        if series.is_empty() { there.into_iter().collect() } else { series.to_vec() };
    let parts = period.parts();
    let mut counts = vec![vec![0_i64; series.len()]; parts.len()];
    for row in &table.rows {
        let moment = text(row.first()).parse::<DateTime<Utc>>().ok();
        let at = series.iter().position(|name| *name == text(row.get(1)));
        if let (Some(moment), Some(at)) = (moment, at)
            && let Some(count) =
                counts.get_mut(period.part(moment)).and_then(|part| part.get_mut(at))
        {
            *count += row.get(2).and_then(Value::as_i64).unwrap_or(0);
        }
    }
    let is_empty = table.rows.is_empty();
    let rows = parts.into_iter().zip(counts).map(|(part, counts)| {
        [json!(part)].into_iter().chain(counts.into_iter().map(Value::from)).collect()
    });
    let columns = ["moment".to_owned()].into_iter().chain(series).collect();
    Table { columns, rows: if is_empty { Vec::new() } else { rows.collect() }, left: table.left }
}

fn filled(section: Section, table: Table) -> Filled {
    let Section { name, title, about, empty, show, .. } = section;
    let Table { columns, rows, left } = table;
    Filled { name, title, about, empty, show, columns, rows, left }
}

/// Sections in which `again` differs from `report`, in words; none where all the numbers are the same.
#[must_use]
pub fn differences(report: &Report, again: &Report) -> Vec<String> {
    let mut all = Vec::new();
    if report.proof.parameters != again.proof.parameters {
        all.push("the parameters are not those of the report".to_owned());
    }
    for (rule, version) in &report.proof.rules {
        match again.proof.rules.get(rule) {
            Some(now) if now == version => {}
            Some(now) => {
                all.push(format!("rule {rule} was of version {version} and is of version {now}"))
            }
            None => all.push(format!("rule {rule} does not run here")),
        }
    }
    for section in &report.sections {
        match again.sections.iter().find(|other| other.name == section.name) {
            None => all.push(format!("section `{}`: this program does not know it", section.name)),
            Some(other) if section.is_beginning_of(other) => {}
            Some(other) => {
                all.push(format!("section `{}`: {}", section.name, difference(section, other)))
            }
        }
    }
    all
}

/// The first row that differs.
fn difference(section: &Filled, other: &Filled) -> String {
    let line = |row: Option<&Vec<Value>>| {
        row.map_or_else(|| "nothing".to_owned(), |row| json!(row).to_string())
    };
    if section.columns != other.columns {
        return "its columns are others now".to_owned();
    }
    let first = (0..section.rows.len()).find(|&at| section.rows.get(at) != other.rows.get(at));
    let of = format!("{} rows in the report, {} now", section.all(), other.all());
    first.map_or_else(
        || of.clone(),
        |at| {
            format!(
                "{of}; row {}: {} in the report, {} now",
                at + 1,
                line(section.rows.get(at)),
                line(other.rows.get(at))
            )
        },
    )
}

/// `text` in the language.
fn said(text: &BilingualText, language: Language) -> &str {
    match language {
        Language::En => &text.en,
        Language::Zh => &text.zh,
    }
}
