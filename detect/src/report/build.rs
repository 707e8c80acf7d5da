//! Builds a report: runs the query of each section, and computes the sections without a query.

use crate::finding::FindingStatus;
use crate::finding::risk::RiskAccumulator;
use crate::report::computed::{ComputedSections, entities_table};
use crate::report::model::{Report, ReportError, ReportInputs, SectionData, SectionTable, rfc3339};
use crate::report::period::Period;
use crate::store::findings::StoredFinding;
use chrono::{DateTime, Utc};
use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use futures::stream::BoxStream;
use futures::{Stream, TryStreamExt};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::reports::{ReportProfile, ReportSection, SectionLayout, section};
use trailhound_queries::session::{FindingRow, Session};
use trailhound_queries::sql_guard::{ParameterValues, QueryError};
use trailhound_queries::values::json_value;

/// Maximum number of rows of a section in a report. The number of omitted rows is recorded.
const ROWS_MAX: usize = 20_000;
/// Name of the section of entities and their risk scores.
const ENTITIES_SECTION: &str = "entities_at_risk";

/// Builds the report of `profile` over `period`. `made_at` is the present time. `progress` is
/// called with the number of each section that begins, from 0.
///
/// # Errors
/// [`ReportError`] where a definition, the lake or the stored findings cannot be read, or a
/// section's query fails.
pub async fn build_report(
    profile: &ReportProfile,
    period: Period,
    made_at: DateTime<Utc>,
    inputs: ReportInputs<'_>,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Report, ReportError> {
    let ReportInputs { session, rules, findings, provenance } = inputs;
    let has_entities = profile.sections.iter().any(|name| name == ENTITIES_SECTION);
    let mut risks = has_entities.then(RiskAccumulator::default);
    let session = session_stored_until(session, provenance.stored_until)
        .await?
        .with_findings(finding_rows(findings, period, risks.as_mut()))
        .await?;
    // Scored at once: the accumulator takes memory for every finding, the table only for few
    // entities.
    let mut entities = risks.map(|risks| entities_table(risks, period));
    let values = parameter_values(period, provenance.stored_until);
    let computed = ComputedSections {
        session: &session,
        rules,
        period,
        rule_versions: &provenance.rule_versions,
    };
    let mut sections = Vec::with_capacity(profile.sections.len());
    for (number, name) in profile.sections.iter().enumerate() {
        progress(number);
        let section = section(name).map_err(ReportError::Definition)?;
        let table = match &section.sql {
            Some(sql) => {
                let failed = |refused| ReportError::Section { section: name.clone(), refused };
                query_table(&session, sql, &values).await.map_err(failed)?
            }
            None if name == ENTITIES_SECTION => entities.take().unwrap_or_default(),
            None => computed.table(name, profile.benchmark.as_deref()).await?,
        };
        let table = if section.show == SectionLayout::Bars {
            pivot_over_time(&table, &section.series, period)
        } else {
            table
        };
        sections.push(section_data(section, table));
    }
    Ok(Report {
        profile: profile.name.clone(),
        title: profile.title.clone(),
        period,
        made_at,
        provenance,
        sections,
    })
}

/// Narrows `session` to the events that were stored until `time`.
///
/// # Errors
/// [`SessionError`] where the session cannot be narrowed.
pub async fn session_stored_until(
    session: &Session,
    time: DateTime<Utc>,
) -> Result<Session, SessionError> {
    session.with_events_where(&format!("ingested_at <= TIMESTAMP '{}'", rfc3339(time))).await
}

/// Returns the time at which the last event of the lake was stored; `None` for an empty lake.
///
/// # Errors
/// [`SessionError`] where the lake cannot be read.
pub async fn last_stored_at(session: &Session) -> Result<Option<DateTime<Utc>>, SessionError> {
    let batches = session
        .sql("SELECT max(ingested_at) FROM events")
        .await?
        .collect()
        .await
        .map_err(SessionError::from)?;
    let text = batches.first().map(|batch| json_value(batch.column(0), 0)).unwrap_or_default();
    let time = text.as_str().map(str::parse::<DateTime<Utc>>).transpose();
    time.map_err(|e| SessionError::Engine(DataFusionError::External(Box::new(e))))
}

/// Makes rows of the table `findings`, without withdrawn findings and those from before the
/// period's history. Adds the findings that began before the end of the period to `risks`.
fn finding_rows<'f>(
    findings: BoxStream<'f, Result<StoredFinding, ReportError>>,
    period: Period,
    mut risks: Option<&'f mut RiskAccumulator>,
) -> impl Stream<Item = Result<FindingRow, ReportError>> + 'f {
    let history = rfc3339(period.history());
    let until = period.until.timestamp_micros();
    let mut row = move |StoredFinding { finding, body, json }: StoredFinding| {
        let is_old = finding.first_seen.as_ref().is_some_and(|first| *first < history);
        if finding.status == FindingStatus::Withdrawn || is_old {
            return None;
        }
        if let Some(risks) = &mut risks
            && finding.first_seen_micros().is_none_or(|first| first < until)
        {
            risks.add(&finding);
        }
        // A report reads the content of findings, not how often they changed.
        const REVISION: i64 = 1;
        let status = finding.status.name().to_owned();
        Some(FindingRow { revision: REVISION, status, text: body, json })
    };
    findings.try_filter_map(move |stored| std::future::ready(Ok(row(stored))))
}

/// The values that section queries can use: `$since`, `$until`, `$before`, `$history` and
/// `$stored_until`.
fn parameter_values(period: Period, stored_until: DateTime<Utc>) -> ParameterValues {
    let text = |time| Some(rfc3339(time));
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

/// Runs the query of a section with the `values` that the query uses.
async fn query_table(
    session: &Session,
    sql: &str,
    values: &ParameterValues,
) -> Result<SectionTable, QueryError> {
    let used_values = values
        .iter()
        .filter(|(name, _)| sql.contains(&format!("${name}")))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut rows = session.stream_rows(sql, &used_values, usize::MAX).await?;
    let columns = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut table = SectionTable { columns, rows: Vec::new(), omitted_rows: 0 };
    while let Some(batch) = rows.next().await? {
        append_rows(&mut table, &batch);
    }
    Ok(table)
}

/// Appends the rows of `batch`, and counts those beyond [`ROWS_MAX`].
fn append_rows(table: &mut SectionTable, batch: &RecordBatch) {
    for row in 0..batch.num_rows() {
        if table.rows.len() < ROWS_MAX {
            let values = batch.columns().iter().map(|column| json_value(column, row));
            table.rows.push(values.collect());
        } else {
            table.omitted_rows += 1;
        }
    }
}

/// Turns rows of (time, series, value) into one row per hour or day of `period` and one column per
/// series, with the sums of the values. `series` are the columns in order; if it is empty, all
/// series that occur are columns.
fn pivot_over_time(table: &SectionTable, series: &[String], period: Period) -> SectionTable {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let occurring: BTreeSet<String> = table.rows.iter().map(|row| text(row.get(1))).collect();
    let series: Vec<String> =
        if series.is_empty() { occurring.into_iter().collect() } else { series.to_vec() };
    let buckets = period.bucket_labels();
    let mut sums = vec![vec![0_i64; series.len()]; buckets.len()];
    for row in &table.rows {
        let time = text(row.first()).parse::<DateTime<Utc>>().ok();
        let column = series.iter().position(|name| *name == text(row.get(1)));
        if let (Some(time), Some(column)) = (time, column)
            && let Some(sum) =
                sums.get_mut(period.bucket_index(time)).and_then(|bucket| bucket.get_mut(column))
        {
            *sum += row.get(2).and_then(Value::as_i64).unwrap_or(0);
        }
    }
    let rows = buckets.into_iter().zip(sums).map(|(label, sums)| {
        [json!(label)].into_iter().chain(sums.into_iter().map(Value::from)).collect()
    });
    let rows = if table.rows.is_empty() { Vec::new() } else { rows.collect() };
    let columns = ["moment".to_owned()].into_iter().chain(series).collect();
    SectionTable { columns, rows, omitted_rows: table.omitted_rows }
}

/// Puts title and explanation of `section` to the rows of `table`.
fn section_data(section: ReportSection, table: SectionTable) -> SectionData {
    let ReportSection { name, title, about, empty, show, .. } = section;
    let SectionTable { columns, rows, omitted_rows } = table;
    SectionData { name, title, about, empty, show, columns, rows, omitted_rows }
}
