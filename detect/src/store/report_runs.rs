//! Report runs: the outcome of each time at which a scheduled report was due, so that no report is made twice and none is
//! forgotten.

use crate::store::error::StoreError;
use crate::store::notice::Notice;
use crate::store::outbox::enqueue_report;
use crate::store::transaction::begin;
use sqlx::{AnyConnection, AnyPool};

/// A time at which a report was due, and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRun {
    /// Name of the report.
    pub report: String,
    /// When it was due, microseconds since 1970 UTC.
    pub due_at: i64,
    /// `registered` (the report is scheduled from then on), `made`, `failed` (tried again) or `skipped`.
    pub state: String,
    /// When it got this state, microseconds since 1970 UTC.
    pub changed_at: i64,
    /// The report's files, or the reason of the state.
    pub note: String,
}

/// The last due time of `report` up to `until` that needs no further attempt, both in microseconds since 1970 UTC; `None` where there
/// is none.
///
/// # Errors
/// [`StoreError`].
pub async fn last_finished(
    catalog: &AnyPool,
    report: &str,
    until: i64,
) -> Result<Option<i64>, StoreError> {
    let last = sqlx::query_scalar(
        "SELECT max(due_at) FROM trailhound_report_run WHERE report = $1 AND state <> 'failed' AND due_at <= $2",
    );
    Ok(last.bind(report).bind(until).fetch_one(catalog).await?)
}

/// Records the state of a run. The state `made` is final: a later state does not replace it.
///
/// # Errors
/// [`StoreError`].
pub async fn record(catalog: &AnyPool, run: &ReportRun) -> Result<(), StoreError> {
    let mut transaction = begin(catalog).await?;
    upsert(&mut transaction, run).await?;
    transaction.commit().await?;
    Ok(())
}

/// Records that a report was made and puts its notice for each of `sinks` into the outbox, in one transaction.
///
/// # Errors
/// [`StoreError`]; nothing is recorded then.
pub async fn record_made(
    catalog: &AnyPool,
    run: &ReportRun,
    sinks: &[String],
    notice: &Notice,
) -> Result<(), StoreError> {
    let mut transaction = begin(catalog).await?;
    upsert(&mut transaction, run).await?;
    enqueue_report(&mut transaction, sinks, &run.report, run.due_at, notice, run.changed_at)
        .await?;
    transaction.commit().await?;
    Ok(())
}

async fn upsert(db: &mut AnyConnection, run: &ReportRun) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO trailhound_report_run VALUES ($1, $2, $3, $4, $5) ON CONFLICT (report, due_at) DO UPDATE SET state = excluded.state, \
         changed_at = excluded.changed_at, note = excluded.note WHERE trailhound_report_run.state <> 'made'",
    )
    .bind(&run.report)
    .bind(run.due_at)
    .bind(&run.state)
    .bind(run.changed_at)
    .bind(&run.note)
    .execute(db)
    .await?;
    Ok(())
}

/// All runs, the latest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list(catalog: &AnyPool) -> Result<Vec<ReportRun>, StoreError> {
    let rows: Vec<(String, i64, String, i64, String)> =
        sqlx::query_as("SELECT report, due_at, state, changed_at, note FROM trailhound_report_run ORDER BY due_at DESC, report")
            .fetch_all(catalog)
            .await?;
    Ok(rows
        .into_iter()
        .map(|(report, due_at, state, changed_at, note)| ReportRun {
            report,
            due_at,
            state,
            changed_at,
            note,
        })
        .collect())
}
