//! The outbox: messages that are to be delivered to sinks. Each revision of a finding has one row per sink that
//! receives it, written in the transaction that stores the finding. Each report has one row per sink that receives it.
//! A row is deleted 90 days after the sink has accepted the message or an operator has dismissed it.
//!
//! A row is `pending` until a sink worker takes it into a leased batch, `leased` while it is being sent, then
//! `delivered`, `pending` again for a later attempt, or `dead_lettered` where another attempt would change nothing.
//! [`retry`] makes a `dead_lettered` row `pending` again. [`dismiss`] makes a `pending` or `dead_lettered` row
//! `dismissed`, and no worker sends it any more.
//!
//! Example: finding `f1` is stored with revision 1 and routed to the sink `oncall`.
//!
//! | step | `oncall`, `f1`, 1 |
//! | --- | --- |
//! | `enqueue`, with the finding | `pending`, due now |
//! | [`lease_batch`] by worker A | `leased`, holder A |
//! | the sink answers 503, [`acknowledge`] with [`DeliveryOutcome::Retry`] | `pending`, 1 attempt,
//! due in 0.5 to 1 s |
//! | [`lease_batch`] by worker A, which crashes while it sends | `leased`, holder A |
//! | [`recover_leased`] by its successor | `pending`, `unsure` 1: it may have been sent |
//! | the sink accepts it under the same key `f1.1`, [`acknowledge`] | `delivered` |
//!
//! The message's text is not copied while its revision is the latest one: [`lease_batch`] reads it from the finding.
//! Before a new revision replaces that text, `preserve_texts` copies it into the rows that are neither delivered nor
//! dismissed.

use crate::finding::Finding;
use crate::finding::revision::FindingRevision;
use crate::store::bulk_sql::{ROWS, statement, values};
use crate::store::error::StoreError;
use crate::store::notice::Notice;
use crate::store::routes::Routes;
use crate::store::transaction::begin;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool};
use std::time::Duration;

/// Longest pause after the first failed attempt; it doubles after each further failed attempt.
const PAUSE: Duration = Duration::from_secs(1);
/// Maximum of this pause. A sink can ask for a longer one.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// No attempt waits longer than this. A row that is due later was written by a clock that was wrong, and is due now. An hour and some
/// minutes, in microseconds.
const WAIT_MAX: i64 = 3_900_000_000;
/// How long rows are kept after they were delivered or dismissed: 90 days.
const KEPT_MICROS: i64 = 90 * 86_400 * 1_000_000;

/// State of a message that no further attempt can deliver.
pub const DEAD_LETTERED: &str = "dead_lettered";

/// A finding on its way to a sink.
#[derive(Debug, Clone)]
pub struct OutboxMessage {
    /// The finding as this revision has it.
    pub finding: Finding,
    /// Number of the revision, from 1.
    pub revision: i64,
    /// Attempts before this one.
    pub attempts: i64,
    /// The finding's JSON text as it is stored.
    pub body: String,
}

impl OutboxMessage {
    /// The idempotency key: finding and revision. A message that is sent again has the same key.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}.{}", self.finding.finding_id, self.revision)
    }
}

/// A report on its way to a sink.
#[derive(Debug, Clone)]
pub struct ReportMessage {
    /// The idempotency key. A message that is sent again has the same key.
    pub id: String,
    /// The notice to send.
    pub notice: Notice,
    attempts: i64,
}

/// Messages that a sink worker has leased and sends together.
#[derive(Debug, Clone)]
pub enum LeasedBatch {
    /// Findings in the order in which they became due; empty where no message is due.
    Findings(Vec<OutboxMessage>),
    /// A report; it is sent alone.
    Report(Box<ReportMessage>),
}

/// A leased row.
struct LeasedRow<'r> {
    id: &'r str,
    revision: i64,
    attempts: i64,
}

impl LeasedBatch {
    fn rows(&self) -> Vec<LeasedRow<'_>> {
        match self {
            Self::Findings(messages) => messages
                .iter()
                .map(|message| LeasedRow {
                    id: &message.finding.finding_id,
                    revision: message.revision,
                    attempts: message.attempts,
                })
                .collect(),
            Self::Report(report) => {
                vec![LeasedRow { id: &report.id, revision: 1, attempts: report.attempts }]
            }
        }
    }

    /// Number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows().len()
    }

    /// True if no message was due.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Kind of an outbox row for a report. All other kinds are for findings.
const REPORT: &str = "report";

/// The outcome of an attempt to deliver a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The sink has accepted the message and has returned this answer.
    Delivered(String),
    /// The attempt failed; it is repeated later.
    Retry {
        /// Why the attempt failed.
        reason: String,
        /// The pause that the sink has asked for.
        after: Option<Duration>,
        /// True if the message may have reached the sink.
        unsure: bool,
    },
    /// The sink has rejected the message permanently, with this reason. An operator must
    /// investigate.
    DeadLettered(String),
    /// The message was not sent, because one before it failed.
    NotAttempted,
}

/// A row of the outbox without its text, as `trailhound outbox list` prints it.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// Name of the sink.
    pub sink: String,
    /// Id of the finding, or of the report's message.
    pub finding_id: String,
    /// Revision of the finding; 1 for a report.
    pub revision: i64,
    /// Severity of the finding; `info` for a report.
    pub severity: String,
    /// `pending`, `leased`, `delivered`, `dead_lettered` or `dismissed`.
    pub state: String,
    /// Attempts so far.
    pub attempts: i64,
    /// Attempts whose outcome is unknown.
    pub unsure: i64,
    /// When it was enqueued, microseconds since 1970 UTC.
    pub queued_at: i64,
    /// When the next attempt is due, microseconds since 1970 UTC.
    pub due_at: i64,
    /// The sink's last answer, or the reason of the state.
    pub note: String,
}

/// Number of rows of a sink in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxCount {
    /// Name of the sink.
    pub sink: String,
    /// The state.
    pub state: String,
    /// Rows.
    pub rows: i64,
    /// When the oldest of them was enqueued, microseconds since 1970 UTC.
    pub oldest: i64,
}

/// Adds a pending row for each of `revisions` and every sink that `routes` names for it.
pub(crate) async fn enqueue(
    db: &mut AnyConnection,
    routes: &Routes,
    revisions: &[FindingRevision<'_>],
    now: i64,
) -> Result<(), StoreError> {
    let rows: Vec<(&str, &FindingRevision<'_>)> = revisions
        .iter()
        .flat_map(|revision| {
            let sinks = routes.sinks_for(revision.finding, revision.before.as_ref());
            sinks.map(move |sink| (sink, revision))
        })
        .collect();
    for rows in rows.chunks(ROWS) {
        let text = format!(
            "INSERT INTO trailhound_outbox_message VALUES {} ON CONFLICT DO NOTHING",
            values(
                "(?, ?, ?, ?, 'pending', '', 0, 0, $1, $1, $1, '', '', 'finding')",
                rows.len(),
                1
            )
        );
        let mut query = statement(text, rows.len()).bind(now);
        for (sink, FindingRevision { finding, revision, .. }) in rows {
            let severity = finding.severity.name();
            query = query.bind(sink).bind(&finding.finding_id).bind(revision).bind(severity);
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

/// Copies the stored texts of findings into their rows that are neither delivered nor dismissed. The caller then
/// replaces the stored texts by those of `revisions`.
pub(crate) async fn preserve_texts(
    db: &mut AnyConnection,
    revisions: &[FindingRevision<'_>],
) -> Result<(), StoreError> {
    let revised: Vec<&str> = revisions
        .iter()
        .filter(|revision| revision.before.is_some())
        .map(|revision| revision.finding.finding_id.as_str())
        .collect();
    if revised.is_empty() {
        return Ok(());
    }
    let text = preserve_statement(revised.len());
    let count = revised.len();
    revised
        .into_iter()
        .fold(statement(text, count), |query, id| query.bind(id))
        .execute(db)
        .await?;
    Ok(())
}

/// The statement of [`preserve_texts`] for `rows` findings. Because of `state || ''` the database does not use the
/// index on `state`; it finds the rows by `finding_id`. The index would find nearly all rows while many messages are
/// undelivered.
fn preserve_statement(rows: usize) -> String {
    format!(
        "UPDATE trailhound_outbox_message SET finding = (SELECT kept.finding FROM trailhound_latest_finding kept \
         WHERE kept.finding_id = trailhound_outbox_message.finding_id) \
         WHERE finding_id IN (VALUES {}) AND state || '' IN ('pending', 'leased', 'dead_lettered') AND finding = ''",
        values("(?)", rows, 0)
    )
}

/// Adds a pending row for each of `sinks` with the notice of the report `report` that was due at `due_at`. Times are in
/// microseconds since 1970 UTC.
pub(crate) async fn enqueue_report(
    db: &mut AnyConnection,
    sinks: &[String],
    report: &str,
    due_at: i64,
    notice: &Notice,
    now: i64,
) -> Result<(), StoreError> {
    for sink in sinks {
        sqlx::query(
            "INSERT INTO trailhound_outbox_message VALUES ($1, $2, 1, 'info', 'pending', '', 0, 0, $3, $3, $3, '', $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(sink)
        .bind(format!("report:{report}:{due_at}"))
        .bind(now)
        .bind(serde_json::to_string(notice)?)
        .bind(REPORT)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// Runs `statement` in a transaction of its own. Returns the number of rows it changed.
async fn change(
    catalog: &AnyPool,
    statement: Query<'_, Any, AnyArguments>,
) -> Result<u64, StoreError> {
    let mut transaction = begin(catalog).await?;
    let changed = statement.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(changed.rows_affected())
}

/// Makes all leased rows of `sink` pending and due at `now`, and adds 1 to their `unsure`: an earlier run leased them
/// and ended before it acknowledged them, so they may have been sent. Returns their number.
///
/// # Errors
/// [`StoreError`].
pub async fn recover_leased(catalog: &AnyPool, sink: &str, now: i64) -> Result<u64, StoreError> {
    let statement = sqlx::query(
        "UPDATE trailhound_outbox_message SET state = 'pending', holder = '', unsure = unsure + 1, due_at = $1, changed_at = $1, \
         note = 'the service ended while it was being sent' WHERE sink = $2 AND state = 'leased'",
    )
    .bind(now)
    .bind(sink);
    change(catalog, statement).await
}

/// Leases to `holder` up to `limit` rows of `sink` that are due at `now`, in the order in which they became due. A
/// report is leased alone. Rows of the severities `held_back` are left out.
///
/// # Errors
/// [`StoreError`].
pub async fn lease_batch(
    catalog: &AnyPool,
    sink: &str,
    holder: &str,
    now: i64,
    limit: usize,
    held_back: &[&str],
) -> Result<LeasedBatch, StoreError> {
    let mut transaction = begin(catalog).await?;
    let mut rows: Vec<(String, i64, i64, String, String)> = sqlx::query_as(
        "SELECT due.finding_id, due.revision, due.attempts, CASE due.finding WHEN '' THEN kept.finding ELSE due.finding END, due.kind \
         FROM trailhound_outbox_message due LEFT JOIN trailhound_latest_finding kept ON kept.finding_id = due.finding_id \
         WHERE due.sink = $1 AND due.state = 'pending' AND (due.due_at <= $2 OR due.due_at > $5) AND $3 NOT LIKE '%,' || due.severity || ',%' \
         ORDER BY due.due_at, due.finding_id, due.revision LIMIT $4",
    )
    .bind(sink)
    .bind(now)
    .bind(format!(",{},", held_back.join(",")))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .bind(now.saturating_add(WAIT_MAX))
    .fetch_all(&mut *transaction)
    .await?;
    let report = rows.iter().position(|(.., kind)| kind == REPORT);
    rows.truncate(report.map_or(rows.len(), |at| at.max(1)));
    for rows in rows.chunks(ROWS) {
        let text = format!(
            "UPDATE trailhound_outbox_message SET state = 'leased', holder = $1, changed_at = $2 FROM (VALUES {}) AS leased \
             WHERE sink = $3 AND finding_id = leased.column1 AND revision = leased.column2",
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
        && let Some((id, _, attempts, body, _)) = rows.pop()
    {
        return Ok(LeasedBatch::Report(Box::new(ReportMessage {
            id,
            notice: serde_json::from_str(&body)?,
            attempts,
        })));
    }
    let message = |(_, revision, attempts, body, _): (String, i64, i64, String, String)| {
        Ok(OutboxMessage { finding: serde_json::from_str(&body)?, revision, attempts, body })
    };
    Ok(LeasedBatch::Findings(rows.into_iter().map(message).collect::<Result<_, StoreError>>()?))
}

/// Records the outcome of each message of `batch`: `outcomes` has the same order. A row that is no longer leased to
/// `holder` does not change. `position` is the position up to which the file of a file sink is written.
///
/// # Errors
/// [`StoreError`].
pub async fn acknowledge(
    catalog: &AnyPool,
    sink: &str,
    holder: &str,
    now: i64,
    batch: &LeasedBatch,
    outcomes: &[DeliveryOutcome],
    position: Option<&str>,
) -> Result<(), StoreError> {
    let mut transaction = begin(catalog).await?;
    let rows = batch.rows();
    let updates: Vec<(&LeasedRow<'_>, RowUpdate<'_>)> = rows
        .iter()
        .zip(outcomes)
        .map(|(row, outcome)| (row, RowUpdate::new(row, outcome, now)))
        .collect();
    for updates in updates.chunks(ROWS) {
        let text = acknowledge_statement(updates.len());
        let mut query = statement(text, updates.len()).bind(now).bind(sink).bind(holder);
        for (row, update) in updates {
            query = query
                .bind(row.id)
                .bind(row.revision)
                .bind(update.state)
                .bind(update.attempts)
                .bind(update.unsure)
                .bind(update.due)
                .bind(update.note);
        }
        query.execute(&mut *transaction).await?;
    }
    if let Some(position) = position {
        sqlx::query("INSERT INTO trailhound_sink_position VALUES ($1, $2) ON CONFLICT (sink) DO UPDATE SET position = excluded.position")
            .bind(sink)
            .bind(position)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// The statement of [`acknowledge`] for `rows` messages. Because of `state || ''` the database does not use the index
/// on `state`; it finds the rows by their key. With the index, the statement of each chunk would read all leased rows.
fn acknowledge_statement(rows: usize) -> String {
    format!(
        "UPDATE trailhound_outbox_message SET state = ended.column3, holder = '', attempts = attempts + ended.column4, \
         unsure = unsure + ended.column5, due_at = ended.column6, changed_at = $1, note = ended.column7, \
         finding = CASE ended.column3 WHEN 'delivered' THEN '' ELSE finding END FROM (VALUES {}) AS ended \
         WHERE sink = $2 AND finding_id = ended.column1 AND revision = ended.column2 AND state || '' = 'leased' AND holder = $3",
        values("(?, ?, ?, ?, ?, ?, ?)", rows, 3)
    )
}

/// Changes to an outbox row after a delivery attempt.
struct RowUpdate<'d> {
    state: &'static str,
    attempts: i64,
    unsure: i64,
    due: i64,
    note: &'d str,
}

impl<'d> RowUpdate<'d> {
    fn new(row: &LeasedRow<'_>, outcome: &'d DeliveryOutcome, now: i64) -> Self {
        let (state, attempts, note) = match outcome {
            DeliveryOutcome::Delivered(proof) => ("delivered", 1, proof.as_str()),
            DeliveryOutcome::DeadLettered(reason) => (DEAD_LETTERED, 1, reason.as_str()),
            DeliveryOutcome::NotAttempted => ("pending", 0, ""),
            DeliveryOutcome::Retry { reason, .. } => ("pending", 1, reason.as_str()),
        };
        let (pause, unsure) = match outcome {
            DeliveryOutcome::Retry { after, unsure, .. } => {
                (after.unwrap_or_else(|| pause(row)), *unsure)
            }
            _ => (Duration::ZERO, false),
        };
        let pause = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX).min(WAIT_MAX);
        let due = now.saturating_add(pause);
        Self { state, attempts, unsure: i64::from(unsure), due, note }
    }
}

/// Returns the pause before the next attempt: exponential backoff with jitter. The jitter shortens the
/// pause by up to one half. It depends on the message, so that retries do not happen all at once.
fn pause(row: &LeasedRow<'_>) -> Duration {
    let doubled = PAUSE.saturating_mul(1 << row.attempts.clamp(0, 16)).min(PAUSE_MAX);
    let key = format!("{}.{}.{}", row.id, row.revision, row.attempts);
    let part = u32::try_from(xxhash_rust::xxh3::xxh3_64(key.as_bytes()) % 512).unwrap_or(0);
    doubled * (512 + part) / 1024
}

/// The position up to which the file of `sink` was written when its last batch was acknowledged.
///
/// # Errors
/// [`StoreError`].
pub async fn position(catalog: &AnyPool, sink: &str) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar("SELECT position FROM trailhound_sink_position WHERE sink = $1")
        .bind(sink)
        .fetch_optional(catalog)
        .await?)
}

/// When the next pending row of `sink` is due, seen at `now`, both in microseconds since 1970 UTC; `None` where no row is pending.
///
/// # Errors
/// [`StoreError`].
pub async fn next_due(catalog: &AnyPool, sink: &str, now: i64) -> Result<Option<i64>, StoreError> {
    let due: Option<i64> = sqlx::query_scalar(
        "SELECT min(CASE WHEN due_at > $2 THEN $3 ELSE due_at END) FROM trailhound_outbox_message WHERE sink = $1 AND state = 'pending'",
    )
    .bind(sink)
    .bind(now.saturating_add(WAIT_MAX))
    .bind(now)
    .fetch_one(catalog)
    .await?;
    Ok(due)
}

/// Returns at most `limit` rows of `sink` in `state`, the newest first. `None` selects all sinks or all states.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    catalog: &AnyPool,
    sink: Option<&str>,
    state: Option<&str>,
    limit: usize,
) -> Result<Vec<OutboxRow>, StoreError> {
    type Row = (String, String, i64, String, String, i64, i64, i64, i64, String);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT sink, finding_id, revision, severity, state, attempts, unsure, queued_at, due_at, note FROM trailhound_outbox_message \
         WHERE ($1 = '' OR sink = $1) AND ($2 = '' OR state = $2) ORDER BY queued_at DESC, sink, finding_id, revision LIMIT $3",
    )
    .bind(sink.unwrap_or_default())
    .bind(state.unwrap_or_default())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(catalog)
    .await?;
    let outbox_row = |(
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
    ): Row| OutboxRow {
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
    Ok(rows.into_iter().map(outbox_row).collect())
}

/// Numbers of rows by sink and state.
///
/// # Errors
/// [`StoreError`].
pub async fn counts(catalog: &AnyPool) -> Result<Vec<OutboxCount>, StoreError> {
    let rows: Vec<(String, String, i64, i64)> =
        sqlx::query_as("SELECT sink, state, count(*), min(queued_at) FROM trailhound_outbox_message GROUP BY sink, state ORDER BY sink, state")
            .fetch_all(catalog)
            .await?;
    Ok(rows
        .into_iter()
        .map(|(sink, state, rows, oldest)| OutboxCount { sink, state, rows, oldest })
        .collect())
}

/// Numbers of rows that are neither delivered nor dismissed, by sink and state.
///
/// # Errors
/// [`StoreError`].
pub async fn undelivered(catalog: &AnyPool) -> Result<Vec<OutboxCount>, StoreError> {
    let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT sink, state, count(*), min(queued_at) FROM trailhound_outbox_message WHERE state IN ('pending', 'leased', 'dead_lettered') GROUP BY sink, state",
    )
    .fetch_all(catalog)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(sink, state, rows, oldest)| OutboxCount { sink, state, rows, oldest })
        .collect())
}

/// Makes pending and dead-lettered rows pending and due now. Returns their number. `None` selects all sinks, an empty
/// `finding_id` selects all findings.
///
/// # Errors
/// [`StoreError`].
pub async fn retry(
    catalog: &AnyPool,
    sink: Option<&str>,
    finding_id: &str,
    now: i64,
) -> Result<u64, StoreError> {
    let statement = sqlx::query(
        "UPDATE trailhound_outbox_message SET state = 'pending', due_at = $1, changed_at = $1 WHERE state IN ('pending', 'dead_lettered') \
         AND ($2 = '' OR sink = $2) AND ($3 = '' OR finding_id = $3)",
    )
    .bind(now)
    .bind(sink.unwrap_or_default())
    .bind(finding_id);
    change(catalog, statement).await
}

/// Dismisses pending and dead-lettered rows with the reason. Returns their number. The findings themselves stay stored.
/// `None` selects all sinks, an empty `finding_id` selects all findings.
///
/// # Errors
/// [`StoreError`].
pub async fn dismiss(
    catalog: &AnyPool,
    sink: Option<&str>,
    finding_id: &str,
    reason: &str,
    now: i64,
) -> Result<u64, StoreError> {
    let statement = sqlx::query(
        "UPDATE trailhound_outbox_message SET state = 'dismissed', changed_at = $1, note = $2, finding = '' WHERE state IN ('pending', 'dead_lettered') \
         AND ($3 = '' OR sink = $3) AND ($4 = '' OR finding_id = $4)",
    )
    .bind(now)
    .bind(reason)
    .bind(sink.unwrap_or_default())
    .bind(finding_id);
    change(catalog, statement).await
}

/// Deletes rows that were delivered or dismissed more than 90 days ago. Returns their number.
///
/// # Errors
/// [`StoreError`].
pub async fn delete_old(catalog: &AnyPool, now: i64) -> Result<u64, StoreError> {
    let statement = sqlx::query("DELETE FROM trailhound_outbox_message WHERE state IN ('delivered', 'dismissed') AND changed_at < $1")
        .bind(now.saturating_sub(KEPT_MICROS));
    change(catalog, statement).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::TABLES;
    use sqlx::Row as _;
    use trailhound_ingest::lake::Lake;

    #[tokio::test]
    async fn sqlite_finds_rows_by_their_keys_however_many_wait() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::create_or_open(folder.path(), &[TABLES], 0).await.expect("a lake");
        for text in [preserve_statement(ROWS), acknowledge_statement(ROWS)] {
            let explain = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")));
            let plan = explain.fetch_all(lake.catalog()).await.expect("a plan");
            let plan: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
            let by_key = plan.iter().any(|step| {
                step.contains("sqlite_autoindex_trailhound_outbox_message_1 (finding_id=?")
            });
            assert!(by_key, "{text}: {plan:?}");
        }
    }
}
