//! What is still to be told to whom: a row for each finding, revision and sink, written with the finding in one transaction and kept until the
//! sink has it, or somebody has decided otherwise. Nothing leaves the table without a note.

use crate::finding::Finding;
use crate::finding::revision::FindingRevision;
use crate::store::bulk_sql::{ROWS, statement, values};
use crate::store::error::StoreError;
use crate::store::notice::Notice;
use crate::store::routes::Routes;
use sqlx::{AnyConnection, AnyPool};
use std::time::Duration;

/// First pause after a failure; it doubles with each further one.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// How long it is remembered that something was delivered: 90 days.
const REMEMBERED_MICROS: i64 = 90 * 86_400 * 1_000_000;

/// A finding on its way to a sink.
#[derive(Debug, Clone)]
pub struct OutboxMessage {
    /// The finding as it was when this revision was kept.
    pub finding: Finding,
    /// Number of the revision, from 1.
    pub revision: i64,
    /// Attempts before this one.
    pub attempts: i64,
    /// The finding's text as it is kept.
    pub body: String,
}

impl OutboxMessage {
    /// What tells it from every other, however often it is sent: finding and revision.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}.{}", self.finding.finding_id, self.revision)
    }
}

/// A report on its way to a sink.
#[derive(Debug, Clone)]
pub struct ReportMessage {
    /// What tells it from every other, however often it is sent.
    pub id: String,
    /// What is told of it.
    pub notice: Notice,
    attempts: i64,
}

/// What is on its way together.
#[derive(Debug, Clone)]
pub enum LeasedBatch {
    /// Findings, in order.
    Findings(Vec<OutboxMessage>),
    /// A report, by itself.
    Report(Box<ReportMessage>),
}

/// A row that was taken.
struct Row<'r> {
    id: &'r str,
    revision: i64,
    attempts: i64,
}

impl LeasedBatch {
    fn rows(&self) -> Vec<Row<'_>> {
        match self {
            Self::Findings(parcels) => parcels
                .iter()
                .map(|parcel| Row {
                    id: &parcel.finding.finding_id,
                    revision: parcel.revision,
                    attempts: parcel.attempts,
                })
                .collect(),
            Self::Report(report) => {
                vec![Row { id: &report.id, revision: 1, attempts: report.attempts }]
            }
        }
    }

    /// How many rows that are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows().len()
    }

    /// Nothing was due.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What begins the id of a report's row.
const REPORT: &str = "report:";

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The sink has it; with what it said.
    Delivered(String),
    /// Not now: tried again later.
    Retry {
        /// Why.
        reason: String,
        /// The pause that the sink asks for.
        after: Option<Duration>,
        /// Something was sent, and nobody knows what became of it.
        unsure: bool,
    },
    /// Trying again would change nothing: somebody must look.
    Parked(String),
    /// Not tried, since one before it failed.
    Untried,
}

/// A row of the table, for people.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name of the sink.
    pub sink: String,
    /// The finding.
    pub finding_id: String,
    /// Its revision.
    pub revision: i64,
    /// Its severity.
    pub severity: String,
    /// `pending`, `leased`, `delivered`, `parked` or `dismissed`.
    pub state: String,
    /// Attempts so far.
    pub attempts: i64,
    /// Attempts of which nobody knows how they ended.
    pub unsure: i64,
    /// When it was put here, microseconds since 1970 UTC.
    pub queued_at: i64,
    /// When it is tried next.
    pub due_at: i64,
    /// What was last said of it.
    pub note: String,
}

/// How many rows a sink has in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Name of the sink.
    pub sink: String,
    /// The state.
    pub state: String,
    /// Rows.
    pub rows: i64,
    /// When the oldest was put there.
    pub oldest: i64,
}

/// Puts each of `said` down for every sink that `routes` names for it.
pub(crate) async fn put(
    db: &mut AnyConnection,
    routes: &Routes,
    said: &[FindingRevision<'_>],
    now: i64,
) -> Result<(), StoreError> {
    let rows: Vec<(&str, &FindingRevision<'_>)> = said
        .iter()
        .flat_map(|said| {
            routes.of(said.finding, said.before.as_ref()).map(move |sink| (sink, said))
        })
        .collect();
    for rows in rows.chunks(ROWS) {
        let text = format!(
            "INSERT INTO trailhound_outbox VALUES {} ON CONFLICT DO NOTHING",
            values("(?, ?, ?, ?, 'pending', '', 0, 0, $1, $1, $1, '', '')", rows.len(), 1)
        );
        let mut query = statement(text, rows.len()).bind(now);
        for (sink, said) in rows {
            let severity = said.finding.severity.name();
            query =
                query.bind(sink).bind(&said.finding.finding_id).bind(said.revision).bind(severity);
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

/// Before some of `said` take the place of what is kept: what waits of it is told as it was.
pub(crate) async fn hold(
    db: &mut AnyConnection,
    said: &[FindingRevision<'_>],
) -> Result<(), StoreError> {
    let revised: Vec<&str> = said
        .iter()
        .filter(|said| said.before.is_some())
        .map(|said| said.finding.finding_id.as_str())
        .collect();
    if revised.is_empty() {
        return Ok(());
    }
    let text = holding(revised.len());
    let count = revised.len();
    revised
        .into_iter()
        .fold(statement(text, count), |query, id| query.bind(id))
        .execute(db)
        .await?;
    Ok(())
}

/// The statement of [`hold`]. The state is asked so that its index is not used: in a flood everything waits.
fn holding(rows: usize) -> String {
    format!(
        "UPDATE trailhound_outbox SET finding = (SELECT kept.finding FROM trailhound_finding kept \
         WHERE kept.finding_id = trailhound_outbox.finding_id) \
         WHERE finding_id IN (VALUES {}) AND state || '' IN ('pending', 'leased', 'parked') AND finding = ''",
        values("(?)", rows, 0)
    )
}

/// Puts a report down for `sinks`: that of the name `report` which was due at `due_at`.
pub(crate) async fn put_report(
    db: &mut AnyConnection,
    sinks: &[String],
    report: &str,
    due_at: i64,
    notice: &Notice,
    now: i64,
) -> Result<(), StoreError> {
    for sink in sinks {
        sqlx::query(
            "INSERT INTO trailhound_outbox VALUES ($1, $2, 1, 'info', 'pending', '', 0, 0, $3, $3, $3, '', $4) ON CONFLICT DO NOTHING",
        )
        .bind(sink)
        .bind(format!("{REPORT}{report}:{due_at}"))
        .bind(now)
        .bind(serde_json::to_string(notice)?)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// Makes rows that a run before this one had taken and not given back pending again: nobody knows whether they were sent.
///
/// # Errors
/// [`StoreError`].
pub async fn recover(catalogue: &AnyPool, sink: &str, now: i64) -> Result<u64, StoreError> {
    let recovered = sqlx::query(
        "UPDATE trailhound_outbox SET state = 'pending', holder = '', unsure = unsure + 1, due_at = $1, changed_at = $1, \
         note = 'the service ended while it was being sent' WHERE sink = $2 AND state = 'leased'",
    )
    .bind(now)
    .bind(sink)
    .execute(catalogue)
    .await?;
    Ok(recovered.rows_affected())
}

/// Takes up to `most` rows of `sink` that are due, the longest waiting first, a report by itself; `held_back` are severities whose time has not
/// come.
///
/// # Errors
/// [`StoreError`].
pub async fn take(
    catalogue: &AnyPool,
    sink: &str,
    holder: &str,
    now: i64,
    most: usize,
    held_back: &[&str],
) -> Result<LeasedBatch, StoreError> {
    let mut transaction = catalogue.begin().await?;
    // Written first, so that the right to write is held before anything is read.
    sqlx::query("UPDATE trailhound_outbox SET holder = holder WHERE sink = $1 AND state = 'leased' AND holder = $2")
        .bind(sink)
        .bind(holder)
        .execute(&mut *transaction)
        .await?;
    let mut rows: Vec<(String, i64, i64, String)> = sqlx::query_as(
        "SELECT due.finding_id, due.revision, due.attempts, CASE due.finding WHEN '' THEN kept.finding ELSE due.finding END \
         FROM trailhound_outbox due LEFT JOIN trailhound_finding kept ON kept.finding_id = due.finding_id \
         WHERE due.sink = $1 AND due.state = 'pending' AND due.due_at <= $2 AND $3 NOT LIKE '%,' || due.severity || ',%' \
         ORDER BY due.due_at, due.finding_id, due.revision LIMIT $4",
    )
    .bind(sink)
    .bind(now)
    .bind(format!(",{},", held_back.join(",")))
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .fetch_all(&mut *transaction)
    .await?;
    let report = rows.iter().position(|(id, ..)| id.starts_with(REPORT));
    rows.truncate(report.map_or(rows.len(), |at| at.max(1)));
    for rows in rows.chunks(ROWS) {
        let text = format!(
            "UPDATE trailhound_outbox SET state = 'leased', holder = $1, changed_at = $2 FROM (VALUES {}) AS taken \
             WHERE sink = $3 AND finding_id = taken.column1 AND revision = taken.column2",
            values("(?, ?)", rows.len(), 3)
        );
        let query = statement(text, rows.len()).bind(holder).bind(now).bind(sink);
        let query = rows
            .iter()
            .fold(query, |query, (finding_id, revision, ..)| query.bind(finding_id).bind(revision));
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    if report == Some(0)
        && let Some((id, _, attempts, body)) = rows.pop()
    {
        return Ok(LeasedBatch::Report(Box::new(ReportMessage {
            id,
            notice: serde_json::from_str(&body)?,
            attempts,
        })));
    }
    let parcel = |(_, revision, attempts, body): (String, i64, i64, String)| {
        Ok(OutboxMessage { finding: serde_json::from_str(&body)?, revision, attempts, body })
    };
    Ok(LeasedBatch::Findings(rows.into_iter().map(parcel).collect::<Result<_, StoreError>>()?))
}

/// Notes what became of what was `taken`, one delivery for each, and how far the sink's file is written, where it is one.
///
/// # Errors
/// [`StoreError`].
pub async fn settle(
    catalogue: &AnyPool,
    sink: &str,
    holder: &str,
    now: i64,
    taken: &LeasedBatch,
    deliveries: &[Delivery],
    position: Option<&str>,
) -> Result<(), StoreError> {
    let mut transaction = catalogue.begin().await?;
    let rows = taken.rows();
    let ends: Vec<(&Row<'_>, End<'_>)> = rows
        .iter()
        .zip(deliveries)
        .map(|(row, delivery)| (row, End::of(row, delivery, now)))
        .collect();
    for ends in ends.chunks(ROWS) {
        let text = settling(ends.len());
        let mut query = statement(text, ends.len()).bind(now).bind(sink).bind(holder);
        for (row, end) in ends {
            query = query
                .bind(row.id)
                .bind(row.revision)
                .bind(end.state)
                .bind(end.attempts)
                .bind(end.unsure)
                .bind(end.due)
                .bind(end.note);
        }
        query.execute(&mut *transaction).await?;
    }
    if let Some(position) = position {
        sqlx::query("INSERT INTO trailhound_sink VALUES ($1, $2) ON CONFLICT (sink) DO UPDATE SET position = excluded.position")
            .bind(sink)
            .bind(position)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// The statement of [`settle`]. The state is asked so that its index is not used: all that was taken would be gone through for each chunk.
fn settling(rows: usize) -> String {
    format!(
        "UPDATE trailhound_outbox SET state = ended.column3, holder = '', attempts = attempts + ended.column4, \
         unsure = unsure + ended.column5, due_at = ended.column6, changed_at = $1, note = ended.column7, \
         finding = CASE ended.column3 WHEN 'delivered' THEN '' ELSE finding END FROM (VALUES {}) AS ended \
         WHERE sink = $2 AND finding_id = ended.column1 AND revision = ended.column2 AND state || '' = 'leased' AND holder = $3",
        values("(?, ?, ?, ?, ?, ?, ?)", rows, 3)
    )
}

/// How an attempt ends for its row.
struct End<'d> {
    state: &'static str,
    attempts: i64,
    unsure: i64,
    due: i64,
    note: &'d str,
}

impl<'d> End<'d> {
    fn of(row: &Row<'_>, delivery: &'d Delivery, now: i64) -> Self {
        let (state, attempts, note) = match delivery {
            Delivery::Delivered(proof) => ("delivered", 1, proof.as_str()),
            Delivery::Parked(reason) => ("parked", 1, reason.as_str()),
            Delivery::Untried => ("pending", 0, ""),
            Delivery::Retry { reason, .. } => ("pending", 1, reason.as_str()),
        };
        let (pause, unsure) = match delivery {
            Delivery::Retry { after, unsure, .. } => (after.unwrap_or_else(|| pause(row)), *unsure),
            _ => (Duration::ZERO, false),
        };
        let due = now.saturating_add(i64::try_from(pause.as_micros()).unwrap_or(i64::MAX));
        Self { state, attempts, unsure: i64::from(unsure), due, note }
    }
}

/// The pause before the next attempt: longer each time, and never the same for two findings, so that they do not come all at once.
fn pause(row: &Row<'_>) -> Duration {
    let doubled = PAUSE.saturating_mul(1 << row.attempts.clamp(0, 16)).min(PAUSE_MAX);
    let key = format!("{}.{}.{}", row.id, row.revision, row.attempts);
    let part = u32::try_from(xxhash_rust::xxh3::xxh3_64(key.as_bytes()) % 512).unwrap_or(0);
    doubled * (512 + part) / 1024
}

/// How far the file of `sink` was written when that was last noted.
///
/// # Errors
/// [`StoreError`].
pub async fn position(catalogue: &AnyPool, sink: &str) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar("SELECT position FROM trailhound_sink WHERE sink = $1")
        .bind(sink)
        .fetch_optional(catalogue)
        .await?)
}

/// When the next row of `sink` is due.
///
/// # Errors
/// [`StoreError`].
pub async fn next_due(catalogue: &AnyPool, sink: &str) -> Result<Option<i64>, StoreError> {
    let due: Option<i64> = sqlx::query_scalar(
        "SELECT min(due_at) FROM trailhound_outbox WHERE sink = $1 AND state = 'pending'",
    )
    .bind(sink)
    .fetch_one(catalogue)
    .await?;
    Ok(due)
}

/// Every row in one of `states`, or every row at all; the newest first, at most `most`.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    catalogue: &AnyPool,
    sink: Option<&str>,
    state: Option<&str>,
    most: usize,
) -> Result<Vec<Entry>, StoreError> {
    type Row = (String, String, i64, String, String, i64, i64, i64, i64, String);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT sink, finding_id, revision, severity, state, attempts, unsure, queued_at, due_at, note FROM trailhound_outbox \
         WHERE ($1 = '' OR sink = $1) AND ($2 = '' OR state = $2) ORDER BY queued_at DESC, sink, finding_id, revision LIMIT $3",
    )
    .bind(sink.unwrap_or_default())
    .bind(state.unwrap_or_default())
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .fetch_all(catalogue)
    .await?;
    let entry = |(
        sink,
        finding_id,
        revision,
        severity,
        state,
        attempts,
        unsure,
        queued_at,
        due_at,
        note,
    ): Row| Entry {
        sink,
        finding_id,
        revision,
        severity,
        state,
        attempts,
        unsure,
        queued_at,
        due_at,
        note,
    };
    Ok(rows.into_iter().map(entry).collect())
}

/// Rows by sink and state.
///
/// # Errors
/// [`StoreError`].
pub async fn counts(catalogue: &AnyPool) -> Result<Vec<Count>, StoreError> {
    let rows: Vec<(String, String, i64, i64)> =
        sqlx::query_as("SELECT sink, state, count(*), min(queued_at) FROM trailhound_outbox GROUP BY sink, state ORDER BY sink, state")
            .fetch_all(catalogue)
            .await?;
    Ok(rows
        .into_iter()
        .map(|(sink, state, rows, oldest)| Count { sink, state, rows, oldest })
        .collect())
}

/// Rows that are not delivered, by sink and state.
///
/// # Errors
/// [`StoreError`].
pub async fn waiting(catalogue: &AnyPool) -> Result<Vec<Count>, StoreError> {
    let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT sink, state, count(*), min(queued_at) FROM trailhound_outbox WHERE state IN ('pending', 'leased', 'parked') GROUP BY sink, state",
    )
    .fetch_all(catalogue)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(sink, state, rows, oldest)| Count { sink, state, rows, oldest })
        .collect())
}

/// Makes what waits or is parked due at once; gives how many rows that are. An empty `finding_id` means all.
///
/// # Errors
/// [`StoreError`].
pub async fn retry(
    catalogue: &AnyPool,
    sink: Option<&str>,
    finding_id: &str,
    now: i64,
) -> Result<u64, StoreError> {
    let retried = sqlx::query(
        "UPDATE trailhound_outbox SET state = 'pending', due_at = $1, changed_at = $1 WHERE state IN ('pending', 'parked') \
         AND ($2 = '' OR sink = $2) AND ($3 = '' OR finding_id = $3)",
    )
    .bind(now)
    .bind(sink.unwrap_or_default())
    .bind(finding_id)
    .execute(catalogue)
    .await?;
    Ok(retried.rows_affected())
}

/// Gives up what waits or is parked, with the reason; gives how many rows that are. The findings themselves stay. An empty `finding_id`
/// means all.
///
/// # Errors
/// [`StoreError`].
pub async fn dismiss(
    catalogue: &AnyPool,
    sink: Option<&str>,
    finding_id: &str,
    reason: &str,
    now: i64,
) -> Result<u64, StoreError> {
    let dismissed = sqlx::query(
        "UPDATE trailhound_outbox SET state = 'dismissed', changed_at = $1, note = $2, finding = '' WHERE state IN ('pending', 'parked') \
         AND ($3 = '' OR sink = $3) AND ($4 = '' OR finding_id = $4)",
    )
    .bind(now)
    .bind(reason)
    .bind(sink.unwrap_or_default())
    .bind(finding_id)
    .execute(catalogue)
    .await?;
    Ok(dismissed.rows_affected())
}

/// Forgets what was delivered or dismissed long ago.
///
/// # Errors
/// [`StoreError`].
pub async fn forget(catalogue: &AnyPool, now: i64) -> Result<u64, StoreError> {
    let forgotten = sqlx::query("DELETE FROM trailhound_outbox WHERE state IN ('delivered', 'dismissed') AND changed_at < $1")
        .bind(now.saturating_sub(REMEMBERED_MICROS))
        .execute(catalogue)
        .await?;
    Ok(forgotten.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Row as _;
    use trailhound_ingest::lake::Lake;

    #[tokio::test]
    async fn sqlite_finds_rows_by_their_keys_however_many_wait() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::create_or_open(folder.path()).await.expect("a lake");
        for text in [holding(ROWS), settling(ROWS)] {
            let asked = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")));
            let plan = asked.fetch_all(lake.catalogue()).await.expect("a plan");
            let plan: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
            let by_key = plan
                .iter()
                .any(|step| step.contains("sqlite_autoindex_trailhound_outbox_1 (finding_id=?"));
            assert!(by_key, "{text}: {plan:?}");
        }
    }
}
