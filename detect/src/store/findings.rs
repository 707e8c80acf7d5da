//! T2: findings kept beside the catalogue, each with its revisions counted.

use crate::evaluate::scope::EvaluatedScope;
use crate::finding::revision::FindingRevision;
use crate::finding::{Finding, FindingStatus};
use crate::store::bulk_sql::{ROWS, statement, values};
use crate::store::error::StoreError;
use crate::store::outbox;
use crate::store::routes::Routes;
use futures::StreamExt;
use futures::stream::BoxStream;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, Row, Transaction};
use std::collections::{BTreeMap, HashMap, HashSet};
use trailhound_datasets::derive::time::{parse, second};

/// Statements of one transaction that keep findings: whoever else writes waits no longer than for these.
const STATEMENTS: usize = 64;

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

impl Stored {
    fn add(&mut self, more: Self) {
        self.new += more.new;
        self.revised += more.revised;
        self.unchanged += more.unchanged;
        self.changed.extend(more.changed);
        self.withdrawn.extend(more.withdrawn);
    }
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
    let rules = sqlx::query_as(
        "SELECT rule_id, rule_version, snapshot_id FROM trailhound_rule_cursor ORDER BY rule_id",
    )
    .fetch_all(catalogue);
    let newest = sqlx::query_scalar(
        "SELECT COALESCE(max(snapshot_id), 0) FROM trailhound_ledger WHERE stored > 0",
    )
    .fetch_one(catalogue);
    Ok(RulesRun { rules: rules.await?, newest: newest.await? })
}

/// Every finding kept in the lake's catalogue, in order of time, those suppressed and withdrawn too.
///
/// # Errors
/// [`StoreError`].
pub async fn kept(catalogue: &AnyPool) -> Result<Vec<Finding>, StoreError> {
    let bodies: Vec<String> = sqlx::query_scalar(
        "SELECT finding FROM trailhound_finding ORDER BY first_seen, finding_id",
    )
    .fetch_all(catalogue)
    .await?;
    bodies.iter().map(|body| Ok(serde_json::from_str(body)?)).collect()
}

/// A finding and the JSON text of it that is stored.
#[derive(Debug, Clone)]
pub struct StoredFinding {
    /// The finding.
    pub finding: Finding,
    /// The finding as JSON.
    pub body: String,
}

impl StoredFinding {
    /// Makes the JSON text of `finding`.
    ///
    /// # Errors
    /// [`StoreError::Json`].
    pub fn new(finding: Finding) -> Result<Self, StoreError> {
        Ok(Self { body: serde_json::to_string(&finding)?, finding })
    }

    /// Parses the JSON text `body`.
    ///
    /// # Errors
    /// [`StoreError::Json`].
    pub fn parse(body: String) -> Result<Self, StoreError> {
        Ok(Self { finding: serde_json::from_str(&body)?, body })
    }
}

/// Streams the stored findings whose first event is not before `since` (RFC 3339 UTC) or has no time, in order of time.
pub fn kept_since<'c>(
    catalogue: &'c AnyPool,
    since: &str,
) -> BoxStream<'c, Result<StoredFinding, StoreError>> {
    let query = "SELECT finding FROM trailhound_finding WHERE first_seen >= $1 OR first_seen IS NULL ORDER BY first_seen, finding_id";
    let bodies = sqlx::query_scalar(query).bind(since.to_owned()).fetch(catalogue);
    bodies.map(|body: Result<String, sqlx::Error>| StoredFinding::parse(body?)).boxed()
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
/// rules in `ran` to `snapshot`. A finding and who is to be told of it are put down in one transaction, of more findings than come in an
/// ordinary hour in several; the cursors move with the last, so that what is not kept is found again. A finding stays whose events, or those
/// it may depend on, the retention has dropped. To `stored` is added what was kept, also where it broke off.
///
/// # Errors
/// [`StoreError`]; the cursors stay where they were then.
pub async fn store(
    catalogue: &AnyPool,
    findings: &[Finding],
    decided: &[EvaluatedScope],
    ran: &[(String, String)],
    snapshot: i64,
    keeping: Keeping<'_>,
    stored: &mut Stored,
) -> Result<(), StoreError> {
    // In order of their ids, as the table is; and each once, for a statement may change a row only once.
    let found: BTreeMap<&str, &Finding> =
        findings.iter().map(|finding| (finding.finding_id.as_str(), finding)).collect();
    let in_order: Vec<&Finding> = found.values().copied().collect();
    let mut t2 = begin(catalogue, keeping).await?;
    // What this transaction keeps.
    let mut keeps = Stored::default();
    for (number, some) in in_order.chunks(ROWS).enumerate() {
        if number > 0 && number % STATEMENTS == 0 {
            t2.commit().await?;
            stored.add(std::mem::take(&mut keeps));
            t2 = begin(catalogue, keeping).await?;
        }
        keep(&mut t2, some, snapshot, keeping, &mut keeps).await?;
    }
    let retained_from = retained_from(&mut t2).await?;
    for decided in decided {
        withdraw(&mut t2, decided, retained_from, &found, snapshot, keeping, &mut keeps).await?;
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
    stored.add(keeps);
    Ok(())
}

/// Begins a transaction of who holds the right to detect.
async fn begin(
    catalogue: &AnyPool,
    keeping: Keeping<'_>,
) -> Result<Transaction<'static, Any>, StoreError> {
    let mut t2 = catalogue.begin().await?;
    // Written first, so that the right to write is held before anything is read.
    let held = sqlx::query("UPDATE trailhound_lease SET until = until WHERE holder = $1")
        .bind(keeping.holder.unwrap_or(""))
        .execute(&mut *t2)
        .await?;
    if keeping.holder.is_some() && held.rows_affected() == 0 {
        return Err(StoreError::TakenOver);
    }
    Ok(t2)
}

/// Keeps `findings`, no more than a statement is about.
async fn keep(
    db: &mut AnyConnection,
    findings: &[&Finding],
    snapshot: i64,
    keeping: Keeping<'_>,
    stored: &mut Stored,
) -> Result<(), StoreError> {
    let known = known(db, findings).await?;
    let mut said = Vec::new();
    for &finding in findings {
        let body = serde_json::to_string(finding)?;
        let (revision, before) = match known.get(&finding.finding_id) {
            Some((_, have)) if *have == body => {
                stored.unchanged += 1;
                continue;
            }
            Some((revision, have)) => {
                stored.revised += 1;
                (revision + 1, Some(serde_json::from_str(have)?))
            }
            None => {
                stored.new += 1;
                (1, None)
            }
        };
        stored.changed.insert(finding.finding_id.clone());
        said.push(FindingRevision { finding, revision, body, before });
    }
    outbox::hold(db, &said).await?;
    write(db, &said, snapshot).await?;
    if let Some(routes) = keeping.routes {
        outbox::put(db, routes, &said, keeping.now).await?;
    }
    Ok(())
}

/// Revision and text of those of `findings` that are kept, by their ids.
async fn known(
    db: &mut AnyConnection,
    findings: &[&Finding],
) -> Result<HashMap<String, (i64, String)>, StoreError> {
    let text = format!(
        "SELECT finding_id, revision, finding FROM trailhound_finding WHERE finding_id IN (VALUES {})",
        values("(?)", findings.len(), 0)
    );
    let ids = findings.iter().map(|finding| &finding.finding_id);
    let rows = ids.fold(statement(text, findings.len()), Query::bind).fetch_all(db).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?)))).collect()
}

async fn write(
    db: &mut AnyConnection,
    said: &[FindingRevision<'_>],
    snapshot: i64,
) -> Result<(), StoreError> {
    if said.is_empty() {
        return Ok(());
    }
    let text = format!(
        "INSERT INTO trailhound_finding VALUES {} ON CONFLICT (finding_id) DO UPDATE SET \
         revision = excluded.revision, rule_version = excluded.rule_version, status = excluded.status, severity = excluded.severity, \
         account_id = excluded.account_id, first_seen = excluded.first_seen, last_seen = excluded.last_seen, \
         snapshot_id = excluded.snapshot_id, finding = excluded.finding",
        values("(?, ?, ?, ?, ?, ?, ?, ?, ?, $1, ?)", said.len(), 1)
    );
    let mut query = statement(text, said.len()).bind(snapshot);
    for FindingRevision { finding, revision, body, .. } in said {
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

/// Time from which on the lake has dropped nothing.
pub(crate) async fn retained_from(db: &mut AnyConnection) -> Result<i64, StoreError> {
    let oldest: Option<String> = sqlx::query_scalar(
        "SELECT value FROM ducklake_metadata WHERE key = 'trailhound_retained_from'",
    )
    .fetch_optional(db)
    .await?;
    Ok(oldest.and_then(|oldest| oldest.parse().ok()).unwrap_or(i64::MIN))
}

async fn withdraw(
    db: &mut AnyConnection,
    decided: &EvaluatedScope,
    retained_from: i64,
    found: &BTreeMap<&str, &Finding>,
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
        let decides =
            parse(&first_seen).is_some_and(|time| decided.range.has(time) && time >= earliest);
        if !decides || found.contains_key(finding_id.as_str()) || decided.same.contains(&finding_id)
        {
            continue;
        }
        let body: String =
            sqlx::query_scalar("SELECT finding FROM trailhound_finding WHERE finding_id = $1")
                .bind(&finding_id)
                .fetch_one(&mut *db)
                .await?;
        let finding = Finding { status: FindingStatus::Withdrawn, ..serde_json::from_str(&body)? };
        keep(db, &[&finding], snapshot, keeping, &mut Stored::default()).await?;
        stored.withdrawn.push(finding);
    }
    Ok(())
}
