//! T2: findings kept beside the catalogue, each with its revisions counted.

use crate::evaluate::Decided;
use crate::finding::{Finding, Status};
use crate::outbox;
use crate::routes::Routes;
use sqlx::{AnyConnection, AnyPool};
use std::collections::HashSet;
use thiserror::Error;
use trailhound_datasets::derive::time::{parse, second};

/// Why findings could not be kept.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The catalogue database said no.
    #[error("findings could not be kept in the lake's catalogue: {0}")]
    Sql(#[from] sqlx::Error),
    /// Another service has taken over detection.
    #[error("another service on this lake has taken over detection; nothing of this run was kept")]
    TakenOver,
    /// A finding that is no JSON.
    #[error("a finding could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What keeping findings changed.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// Findings seen for the first time.
    pub new: u64,
    /// Findings that say something else than before.
    pub revised: u64,
    /// Findings known as they are.
    pub unchanged: u64,
    /// Ids of the new and the revised.
    pub changed: HashSet<String>,
    /// Findings that no longer hold, as they were but for their status.
    pub withdrawn: Vec<Finding>,
}

/// The snapshot up to which every one of `rules` (id and version) has run over the lake; 0 where one has not.
///
/// # Errors
/// [`StoreError`].
pub async fn cursor(catalogue: &AnyPool, rules: &[(String, String)]) -> Result<i64, StoreError> {
    let mut least = i64::MAX;
    for (rule_id, version) in rules {
        let at: Option<i64> = sqlx::query_scalar("SELECT snapshot_id FROM trailhound_rule_cursor WHERE rule_id = $1 AND rule_version = $2")
            .bind(rule_id)
            .bind(version)
            .fetch_optional(catalogue)
            .await?;
        least = least.min(at.unwrap_or(0));
    }
    Ok(least)
}

/// How far rules have run over the lake.
#[derive(Debug, Clone, Default)]
pub struct RulesRun {
    /// Rule id, version, snapshot.
    pub rules: Vec<(String, String, i64)>,
    /// The last snapshot that brought events: a rule that has seen it has seen all.
    pub newest: i64,
}

/// How far every rule that has ever run has run.
///
/// # Errors
/// [`StoreError`].
pub async fn rules_run(catalogue: &AnyPool) -> Result<RulesRun, StoreError> {
    let rules =
        sqlx::query_as("SELECT rule_id, rule_version, snapshot_id FROM trailhound_rule_cursor ORDER BY rule_id").fetch_all(catalogue);
    let newest = sqlx::query_scalar("SELECT COALESCE(max(snapshot_id), 0) FROM trailhound_ledger WHERE stored > 0").fetch_one(catalogue);
    Ok(RulesRun { rules: rules.await?, newest: newest.await? })
}

/// Every finding kept in the lake's catalogue, in order of time, those suppressed and withdrawn too.
///
/// # Errors
/// [`StoreError`].
pub async fn kept(catalogue: &AnyPool) -> Result<Vec<Finding>, StoreError> {
    let bodies: Vec<String> =
        sqlx::query_scalar("SELECT finding FROM trailhound_finding ORDER BY first_seen, finding_id").fetch_all(catalogue).await?;
    bodies.iter().map(|body| Ok(serde_json::from_str(body)?)).collect()
}

/// The same of those alone whose first event is not before `since`, RFC 3339 UTC, or has no time.
///
/// # Errors
/// [`StoreError`].
pub async fn kept_since(catalogue: &AnyPool, since: &str) -> Result<Vec<Finding>, StoreError> {
    let query = "SELECT finding FROM trailhound_finding WHERE first_seen >= $1 OR first_seen IS NULL ORDER BY first_seen, finding_id";
    let bodies: Vec<String> = sqlx::query_scalar(query).bind(since).fetch_all(catalogue).await?;
    bodies.iter().map(|body| Ok(serde_json::from_str(body)?)).collect()
}

/// On whose behalf findings are kept, and who is told of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keeping<'k> {
    /// Who must hold the right to detect, where several services share the lake.
    pub holder: Option<&'k str>,
    /// The ways to the sinks; none: nobody is told.
    pub routes: Option<&'k Routes>,
    /// The present, microseconds since 1970 UTC.
    pub now: i64,
}

/// Keeps `findings` in the lake's catalogue, withdraws those that rules have `decided` no longer to hold, and moves the cursors of the
/// rules in `ran` to `snapshot`, and puts down for the outbox who is to be told, in one transaction. A finding stays whose events, or those it
/// may depend on, the retention has dropped.
///
/// # Errors
/// [`StoreError`]; nothing is kept then.
pub async fn store(
    catalogue: &AnyPool,
    findings: &[Finding],
    decided: &[Decided],
    ran: &[(String, String)],
    snapshot: i64,
    keeping: Keeping<'_>,
) -> Result<Stored, StoreError> {
    let mut t2 = catalogue.begin().await?;
    // Written first, so that the right to write is held before anything is read.
    let held = sqlx::query("UPDATE trailhound_lease SET until = until WHERE holder = $1")
        .bind(keeping.holder.unwrap_or(""))
        .execute(&mut *t2)
        .await?;
    if keeping.holder.is_some() && held.rows_affected() == 0 {
        return Err(StoreError::TakenOver);
    }
    let mut stored = Stored::default();
    for finding in findings {
        keep(&mut t2, finding, snapshot, keeping, &mut stored).await?;
    }
    let found: HashSet<&str> = findings.iter().map(|finding| finding.finding_id.as_str()).collect();
    let retained_from = retained_from(&mut t2).await?;
    for decided in decided {
        withdraw(&mut t2, decided, retained_from, &found, snapshot, keeping, &mut stored).await?;
    }
    for (rule_id, version) in ran {
        sqlx::query("INSERT INTO trailhound_rule_cursor VALUES ($1, $2, $3) ON CONFLICT (rule_id) DO UPDATE SET rule_version = excluded.rule_version, snapshot_id = excluded.snapshot_id")
            .bind(rule_id)
            .bind(version)
            .bind(snapshot)
            .execute(&mut *t2)
            .await?;
    }
    t2.commit().await?;
    Ok(stored)
}

async fn keep(
    db: &mut AnyConnection,
    finding: &Finding,
    snapshot: i64,
    keeping: Keeping<'_>,
    stored: &mut Stored,
) -> Result<(), StoreError> {
    let body = serde_json::to_string(finding)?;
    let known: Option<(i64, String)> = sqlx::query_as("SELECT revision, finding FROM trailhound_finding WHERE finding_id = $1")
        .bind(&finding.finding_id)
        .fetch_optional(&mut *db)
        .await?;
    let (revision, before) = match known {
        Some((_, have)) if have == body => {
            stored.unchanged += 1;
            return Ok(());
        }
        Some((revision, have)) => {
            stored.revised += 1;
            stored.changed.insert(finding.finding_id.clone());
            (revision + 1, Some(have))
        }
        None => {
            stored.new += 1;
            stored.changed.insert(finding.finding_id.clone());
            (1, None)
        }
    };
    sqlx::query(
        "INSERT INTO trailhound_finding VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (finding_id) DO UPDATE SET \
         revision = excluded.revision, rule_version = excluded.rule_version, status = excluded.status, severity = excluded.severity, \
         account_id = excluded.account_id, first_seen = excluded.first_seen, last_seen = excluded.last_seen, \
         snapshot_id = excluded.snapshot_id, finding = excluded.finding",
    )
    .bind(&finding.finding_id)
    .bind(revision)
    .bind(&finding.rule_id)
    .bind(&finding.rule_version)
    .bind(finding.status.name())
    .bind(finding.severity.name())
    .bind(&finding.account_id)
    .bind(&finding.first_seen)
    .bind(&finding.last_seen)
    .bind(snapshot)
    .bind(&body)
    .execute(&mut *db)
    .await?;
    if let Some(routes) = keeping.routes {
        let before = before.map(|before| serde_json::from_str::<Finding>(&before)).transpose()?;
        outbox::put(db, routes, finding, before.as_ref(), revision, &body, keeping.now).await?;
    }
    Ok(())
}

/// Time from which on the lake has dropped nothing.
pub(crate) async fn retained_from(db: &mut AnyConnection) -> Result<i64, StoreError> {
    let oldest: Option<String> =
        sqlx::query_scalar("SELECT value FROM ducklake_metadata WHERE key = 'trailhound_retained_from'").fetch_optional(db).await?;
    Ok(oldest.and_then(|oldest| oldest.parse().ok()).unwrap_or(i64::MIN))
}

async fn withdraw(
    db: &mut AnyConnection,
    decided: &Decided,
    retained_from: i64,
    found: &HashSet<&str>,
    snapshot: i64,
    keeping: Keeping<'_>,
    stored: &mut Stored,
) -> Result<(), StoreError> {
    let known: Vec<(String, String)> = sqlx::query_as(
        "SELECT finding_id, first_seen FROM trailhound_finding WHERE rule_id = $1 AND status <> 'withdrawn' \
         AND first_seen >= $2 AND first_seen < $3",
    )
    .bind(&decided.rule_id)
    .bind(decided.range.since.and_then(second).unwrap_or_default())
    // After every digit.
    .bind(decided.range.until.and_then(|until| second(until.saturating_add(1_000_000))).unwrap_or_else(|| "~".to_owned()))
    .fetch_all(&mut *db)
    .await?;
    let earliest = retained_from.saturating_add(decided.depends);
    for (finding_id, first_seen) in known {
        let decides = parse(&first_seen).is_some_and(|time| decided.range.has(time) && time >= earliest);
        if !decides || found.contains(finding_id.as_str()) {
            continue;
        }
        let body: String = sqlx::query_scalar("SELECT finding FROM trailhound_finding WHERE finding_id = $1")
            .bind(&finding_id)
            .fetch_one(&mut *db)
            .await?;
        let finding = Finding { status: Status::Withdrawn, ..serde_json::from_str(&body)? };
        keep(db, &finding, snapshot, keeping, &mut Stored::default()).await?;
        stored.withdrawn.push(finding);
    }
    Ok(())
}
