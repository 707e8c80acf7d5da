//! What became of each time a scheduled report was due: written down, so that none is made twice and none forgotten.

use crate::store::error::StoreError;
use crate::store::notice::Notice;
use crate::store::outbox::put_report;
use sqlx::{AnyConnection, AnyPool};

/// A time at which a report was due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Name of the report.
    pub report: String,
    /// When it was due, microseconds since 1970 UTC.
    pub due_at: i64,
    /// `registered` (from then on), `made`, `failed` (tried again) or `skipped`.
    pub state: String,
    /// Since when it has been so.
    pub changed_at: i64,
    /// Its files, or the reason.
    pub note: String,
}

/// The last time of `report` that is done with; none where it was never seen before.
///
/// # Errors
/// [`StoreError`].
pub async fn settled(catalogue: &AnyPool, report: &str) -> Result<Option<i64>, StoreError> {
    let last = sqlx::query_scalar(
        "SELECT max(due_at) FROM trailhound_report WHERE report = $1 AND state <> 'failed'",
    );
    Ok(last.bind(report).fetch_one(catalogue).await?)
}

/// Writes down what became of a time. What was made stays made.
///
/// # Errors
/// [`StoreError`].
pub async fn note(catalogue: &AnyPool, run: &Run) -> Result<(), StoreError> {
    written(&mut *catalogue.acquire().await?, run).await
}

/// Writes down that a report was made, and for whom word of it is put into the outbox, in one transaction.
///
/// # Errors
/// [`StoreError`]; nothing is written down then.
pub async fn made(
    catalogue: &AnyPool,
    run: &Run,
    sinks: &[String],
    notice: &Notice,
) -> Result<(), StoreError> {
    let mut transaction = catalogue.begin().await?;
    written(&mut transaction, run).await?;
    put_report(&mut transaction, sinks, &run.report, run.due_at, notice, run.changed_at).await?;
    transaction.commit().await?;
    Ok(())
}

async fn written(db: &mut AnyConnection, run: &Run) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO trailhound_report VALUES ($1, $2, $3, $4, $5) ON CONFLICT (report, due_at) DO UPDATE SET state = excluded.state, \
         changed_at = excluded.changed_at, note = excluded.note WHERE trailhound_report.state <> 'made'",
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

/// Everything written down, the latest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list(catalogue: &AnyPool) -> Result<Vec<Run>, StoreError> {
    let rows: Vec<(String, i64, String, i64, String)> =
        sqlx::query_as("SELECT report, due_at, state, changed_at, note FROM trailhound_report ORDER BY due_at DESC, report")
            .fetch_all(catalogue)
            .await?;
    Ok(rows
        .into_iter()
        .map(|(report, due_at, state, changed_at, note)| Run {
            report,
            due_at,
            state,
            changed_at,
            note,
        })
        .collect())
}
