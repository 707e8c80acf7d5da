//! Findings in the lake's catalog. Detection may find the same thing again and again; the store keeps one row per finding id
//! and counts its revisions: a finding whose text changes gets the next revision, one that stays as it is changes nothing, and
//! one that the rules no longer find is withdrawn.

use crate::evaluate::scope::{EvaluatedScope, UNDETERMINED};
use crate::finding::revision::FindingRevision;
use crate::finding::{Finding, FindingStatus};
use crate::store::bulk_sql::{ROWS, statement, values};
use crate::store::error::StoreError;
use crate::store::outbox;
use crate::store::routes::Routes;
use crate::store::transaction;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Deserialize;
use serde_json::Value;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, Row, Transaction};
use std::collections::{BTreeMap, HashMap, HashSet};
use trailhound_datasets::derive::time::{parse, second};

/// Number of chunks of [`ROWS`] findings that one transaction stores. Other writers wait until a
/// transaction ends, so it must be short.
const STATEMENTS: usize = 64;

/// Result of storing findings: counts, and the ids of changed findings.
#[derive(Debug, Clone, Default)]
pub struct StoreSummary {
    /// Findings that were not stored before.
    pub new: u64,
    /// Findings whose text changed.
    pub revised: u64,
    /// Findings that were already stored with the same text.
    pub unchanged: u64,
    /// Ids of the new and the revised findings.
    pub changed: HashSet<String>,
    /// Findings that the rules no longer find, with the status `withdrawn`.
    pub withdrawn: Vec<Finding>,
}

impl StoreSummary {
    fn add(&mut self, more: Self) {
        self.new += more.new;
        self.revised += more.revised;
        self.unchanged += more.unchanged;
        self.changed.extend(more.changed);
        self.withdrawn.extend(more.withdrawn);
    }
}

/// Returns the snapshot up to which all `rules` (id and version) have run over the lake; 0 if any
/// rule has never run.
///
/// # Errors
/// [`StoreError`].
pub async fn common_cursor(
    catalog: &AnyPool,
    rules: &[(String, String)],
) -> Result<i64, StoreError> {
    let mut least = i64::MAX;
    for (rule_id, version) in rules {
        let at: Option<i64> = sqlx::query_scalar("SELECT snapshot_id FROM trailhound_rule_cursor WHERE rule_id = $1 AND rule_version = $2")
            .bind(rule_id)
            .bind(version)
            .fetch_optional(catalog)
            .await?;
        least = least.min(at.unwrap_or(0));
    }
    Ok(least)
}

/// The snapshots up to which rules have run over the lake.
#[derive(Debug, Clone, Default)]
pub struct RuleCursors {
    /// Rule id, version, snapshot.
    pub rules: Vec<(String, String, i64)>,
    /// The last snapshot that added events: a rule that has run up to it has seen all events.
    pub newest: i64,
}

/// The cursor of every rule that ever ran.
///
/// # Errors
/// [`StoreError`].
pub async fn rule_cursors(catalog: &AnyPool) -> Result<RuleCursors, StoreError> {
    let rules = sqlx::query_as(
        "SELECT rule_id, rule_version, snapshot_id FROM trailhound_rule_cursor ORDER BY rule_id",
    )
    .fetch_all(catalog);
    let newest = sqlx::query_scalar(
        "SELECT COALESCE(max(snapshot_id), 0) FROM trailhound_ingest_ledger WHERE stored > 0",
    )
    .fetch_one(catalog);
    Ok(RuleCursors { rules: rules.await?, newest: newest.await? })
}

/// Every stored finding in order of time, suppressed and withdrawn ones too.
///
/// # Errors
/// [`StoreError`].
pub async fn all_findings(catalog: &AnyPool) -> Result<Vec<Finding>, StoreError> {
    let bodies: Vec<String> = sqlx::query_scalar(
        "SELECT finding FROM trailhound_latest_finding ORDER BY first_seen, finding_id",
    )
    .fetch_all(catalog)
    .await?;
    bodies.iter().map(|body| Ok(serde_json::from_str(body)?)).collect()
}

/// A stored finding: parsed, and its JSON as text and value, so that nobody parses it again.
#[derive(Debug, Clone)]
pub struct StoredFinding {
    /// The finding.
    pub finding: Finding,
    /// The finding as JSON text.
    pub body: String,
    /// The same JSON as a value.
    pub json: Value,
}

impl StoredFinding {
    /// Makes the JSON of `finding`.
    ///
    /// # Errors
    /// [`StoreError::Json`].
    pub fn new(finding: Finding) -> Result<Self, StoreError> {
        let (body, json) = (serde_json::to_string(&finding)?, serde_json::to_value(&finding)?);
        Ok(Self { finding, body, json })
    }

    /// Parses the JSON text `body`.
    ///
    /// # Errors
    /// [`StoreError::Json`].
    pub fn parse(body: String) -> Result<Self, StoreError> {
        let json: Value = serde_json::from_str(&body)?;
        Ok(Self { finding: Finding::deserialize(&json)?, body, json })
    }
}

/// Streams the stored findings whose first event is not before `since` (RFC 3339 UTC) or has no
/// time, in order of time.
pub fn findings_since<'c>(
    catalog: &'c AnyPool,
    since: &str,
) -> BoxStream<'c, Result<StoredFinding, StoreError>> {
    let query = "SELECT finding FROM trailhound_latest_finding WHERE first_seen >= $1 OR first_seen IS NULL ORDER BY first_seen, finding_id";
    let bodies = sqlx::query_scalar(query).bind(since.to_owned()).fetch(catalog);
    bodies.map(|body: Result<String, sqlx::Error>| StoredFinding::parse(body?)).boxed()
}

/// What storing needs besides the findings: the lease holder, the routes to sinks and the time.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreContext<'k> {
    /// Name of this service, which must hold the lease on detection; `None` where the lake has one
    /// writer.
    pub holder: Option<&'k str>,
    /// The routes to the sinks; `None` if findings are not sent to sinks.
    pub routes: Option<&'k Routes>,
    /// The present time, microseconds since 1970 UTC.
    pub now: i64,
}

/// Stores `findings`, withdraws stored findings that the rules have not found again in the scopes
/// they `evaluated`, and moves the cursors of the rules in `ran` to `snapshot`. A finding and its
/// outbox messages are written in one transaction. Very many findings take several transactions;
/// the cursors move with the last, so that findings which were not stored are found again. A stored
/// finding is not withdrawn when the retention has dropped its events or events that it may depend
/// on. `summary` counts what was committed, also when storing fails halfway.
///
/// # Errors
/// [`StoreError::TakenOver`] where another service holds the lease, and the other [`StoreError`]s.
/// The cursors then stay where they were.
pub async fn store_findings(
    catalog: &AnyPool,
    findings: &[Finding],
    evaluated: &[EvaluatedScope],
    ran: &[(String, String)],
    snapshot: i64,
    context: StoreContext<'_>,
    summary: &mut StoreSummary,
) -> Result<(), StoreError> {
    // In the order of the table, and each once: a statement may change a row only once.
    let found: BTreeMap<&str, &Finding> =
        findings.iter().map(|finding| (finding.finding_id.as_str(), finding)).collect();
    let in_order: Vec<&Finding> = found.values().copied().collect();
    let mut transaction = begin(catalog, context).await?;
    let mut in_transaction = StoreSummary::default();
    for (number, chunk) in in_order.chunks(ROWS).enumerate() {
        if number > 0 && number % STATEMENTS == 0 {
            transaction.commit().await?;
            summary.add(std::mem::take(&mut in_transaction));
            transaction = begin(catalog, context).await?;
        }
        store_chunk(&mut transaction, chunk, snapshot, context, &mut in_transaction).await?;
    }
    let retained_from = retained_from(&mut transaction).await?;
    for scope in evaluated {
        withdraw(
            &mut transaction,
            scope,
            retained_from,
            &found,
            snapshot,
            context,
            &mut in_transaction,
        )
        .await?;
    }
    for (rule_id, version) in ran {
        sqlx::query("INSERT INTO trailhound_rule_cursor VALUES ($1, $2, $3) ON CONFLICT (rule_id) DO UPDATE SET rule_version = excluded.rule_version, snapshot_id = excluded.snapshot_id")
            .bind(rule_id)
            .bind(version)
            .bind(snapshot)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    summary.add(in_transaction);
    Ok(())
}

/// Begins a transaction. Until it ends, the lease on detection cannot pass to another service.
///
/// # Errors
/// [`StoreError::TakenOver`] where `context` names a holder that does not hold the lease.
async fn begin(
    catalog: &AnyPool,
    context: StoreContext<'_>,
) -> Result<Transaction<'static, Any>, StoreError> {
    let mut transaction = transaction::begin(catalog).await?;
    // An update locks the row: the lease cannot pass to another service before this transaction ends.
    let held = sqlx::query("UPDATE trailhound_leader_lease SET until = until WHERE holder = $1")
        .bind(context.holder.unwrap_or(""))
        .execute(&mut *transaction)
        .await?;
    if context.holder.is_some() && held.rows_affected() == 0 {
        return Err(StoreError::TakenOver);
    }
    Ok(transaction)
}

/// Stores new and changed `findings` with their outbox messages, and counts all in `summary`. There
/// are at most [`ROWS`] of them.
async fn store_chunk(
    db: &mut AnyConnection,
    findings: &[&Finding],
    snapshot: i64,
    context: StoreContext<'_>,
    summary: &mut StoreSummary,
) -> Result<(), StoreError> {
    let known = stored_revisions(db, findings).await?;
    let mut revisions = Vec::new();
    for &finding in findings {
        let body = serde_json::to_string(finding)?;
        let (revision, before) = match known.get(&finding.finding_id) {
            Some((_, have)) if *have == body => {
                summary.unchanged += 1;
                continue;
            }
            Some((revision, have)) => {
                summary.revised += 1;
                (revision + 1, Some(serde_json::from_str(have)?))
            }
            None => {
                summary.new += 1;
                (1, None)
            }
        };
        summary.changed.insert(finding.finding_id.clone());
        revisions.push(FindingRevision { finding, revision, body, before });
    }
    outbox::preserve_texts(db, &revisions).await?;
    write(db, &revisions, snapshot).await?;
    if let Some(routes) = context.routes {
        outbox::enqueue(db, routes, &revisions, context.now).await?;
    }
    Ok(())
}

/// Returns a map from id to revision and text, for the `findings` that are stored already.
async fn stored_revisions(
    db: &mut AnyConnection,
    findings: &[&Finding],
) -> Result<HashMap<String, (i64, String)>, StoreError> {
    let text = format!(
        "SELECT finding_id, revision, finding FROM trailhound_latest_finding WHERE finding_id IN (VALUES {})",
        values("(?)", findings.len(), 0)
    );
    let ids = findings.iter().map(|finding| &finding.finding_id);
    let rows = ids.fold(statement(text, findings.len()), Query::bind).fetch_all(db).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?)))).collect()
}

/// Writes the rows of `revisions`.
async fn write(
    db: &mut AnyConnection,
    revisions: &[FindingRevision<'_>],
    snapshot: i64,
) -> Result<(), StoreError> {
    if revisions.is_empty() {
        return Ok(());
    }
    let text = format!(
        "INSERT INTO trailhound_latest_finding VALUES {} ON CONFLICT (finding_id) DO UPDATE SET \
         revision = excluded.revision, rule_version = excluded.rule_version, status = excluded.status, severity = excluded.severity, \
         account_id = excluded.account_id, first_seen = excluded.first_seen, last_seen = excluded.last_seen, \
         snapshot_id = excluded.snapshot_id, finding = excluded.finding",
        values("(?, ?, ?, ?, ?, ?, ?, ?, ?, $1, ?)", revisions.len(), 1)
    );
    let mut query = statement(text, revisions.len()).bind(snapshot);
    for FindingRevision { finding, revision, body, .. } in revisions {
        query = query
            .bind(&finding.finding_id)
            .bind(revision)
            .bind(&finding.rule_id)
            .bind(&finding.rule_version)
            .bind(finding.status.name())
            .bind(finding.severity.name())
            .bind(&finding.account_id)
            .bind(&finding.first_seen)
            .bind(&finding.last_seen)
            .bind(body);
    }
    query.execute(db).await?;
    Ok(())
}

/// The time from which on the retention has dropped no events, microseconds UTC.
pub(crate) async fn retained_from(db: &mut AnyConnection) -> Result<i64, StoreError> {
    let oldest: Option<String> = sqlx::query_scalar(
        "SELECT value FROM ducklake_metadata WHERE key = 'trailhound_retained_from'",
    )
    .fetch_optional(db)
    .await?;
    Ok(oldest.and_then(|oldest| oldest.parse().ok()).unwrap_or(i64::MIN))
}

/// Withdraws the stored findings of the rule in its evaluated range that it has not found again.
async fn withdraw(
    db: &mut AnyConnection,
    scope: &EvaluatedScope,
    retained_from: i64,
    found: &BTreeMap<&str, &Finding>,
    snapshot: i64,
    context: StoreContext<'_>,
    summary: &mut StoreSummary,
) -> Result<(), StoreError> {
    let known: Vec<(String, String)> = sqlx::query_as(
        "SELECT finding_id, first_seen FROM trailhound_latest_finding WHERE rule_id = $1 AND status <> 'withdrawn' \
         AND first_seen >= $2 AND first_seen < $3",
    )
    .bind(&scope.rule_id)
    .bind(scope.range.since.and_then(second).unwrap_or_default())
    // `~` sorts after every digit.
    .bind(scope.range.until.and_then(|until| second(until.saturating_add(1_000_000))).unwrap_or_else(|| "~".to_owned()))
    .fetch_all(&mut *db)
    .await?;
    let earliest = retained_from.saturating_add(scope.dependency_micros);
    for (finding_id, first_seen) in known {
        let was_evaluated =
            parse(&first_seen).is_some_and(|time| scope.range.has(time) && time >= earliest);
        if !was_evaluated
            || found.contains_key(finding_id.as_str())
            || scope.unchanged_ids.contains(&finding_id)
        {
            continue;
        }
        let body: String = sqlx::query_scalar(
            "SELECT finding FROM trailhound_latest_finding WHERE finding_id = $1",
        )
        .bind(&finding_id)
        .fetch_one(&mut *db)
        .await?;
        let finding: Finding = serde_json::from_str(&body)?;
        if (finding.variant.as_deref() == Some(UNDETERMINED)) != scope.is_undetermined {
            continue;
        }
        let finding = Finding { status: FindingStatus::Withdrawn, ..finding };
        store_chunk(db, &[&finding], snapshot, context, &mut StoreSummary::default()).await?;
        summary.withdrawn.push(finding);
    }
    Ok(())
}
