//! T2: findings kept beside the catalogue, each with its revisions counted.

use crate::finding::Finding;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;
use trailhound_datasets::layout::CATALOG_FILE;

const TABLES: &str = "\
CREATE TABLE IF NOT EXISTS trailhound_finding(finding_id TEXT PRIMARY KEY, revision BIGINT NOT NULL, rule_id TEXT NOT NULL, \
rule_version TEXT NOT NULL, status TEXT NOT NULL, severity TEXT NOT NULL, account_id TEXT, first_seen TEXT, last_seen TEXT, \
snapshot_id BIGINT NOT NULL, finding TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trailhound_rule_cursor(rule_id TEXT PRIMARY KEY, rule_version TEXT NOT NULL, snapshot_id BIGINT NOT NULL) WITHOUT ROWID;";

/// Why findings could not be kept.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The catalogue database said no.
    #[error("findings could not be kept in the lake's catalogue: {0}")]
    Sql(#[from] sqlx::Error),
    /// A finding that is no JSON.
    #[error("a finding could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What keeping findings changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Findings seen for the first time.
    pub new: u64,
    /// Findings that say something else than before.
    pub revised: u64,
    /// Findings known as they are.
    pub unchanged: u64,
    /// Ids of the new and the revised.
    pub changed: HashSet<String>,
}

/// The snapshot up to which every one of `rules` (id and version) has run over the lake in `folder`; 0 where one has not.
///
/// # Errors
/// [`StoreError`].
pub async fn cursor(folder: &Path, rules: &[(String, String)]) -> Result<i64, StoreError> {
    let mut connection = connect(folder).await?;
    sqlx::raw_sql(TABLES).execute(&mut connection).await?;
    let mut least = i64::MAX;
    for (rule_id, version) in rules {
        let at: Option<i64> = sqlx::query_scalar("SELECT snapshot_id FROM trailhound_rule_cursor WHERE rule_id = ? AND rule_version = ?")
            .bind(rule_id)
            .bind(version)
            .fetch_optional(&mut connection)
            .await?;
        least = least.min(at.unwrap_or(0));
    }
    connection.close().await?;
    Ok(least)
}

async fn connect(folder: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new().filename(folder.join(CATALOG_FILE)).busy_timeout(Duration::from_secs(30)).connect().await
}

/// Keeps `findings` in the lake in `folder` and moves the cursors of the rules in `ran` to `snapshot`, in one transaction.
///
/// # Errors
/// [`StoreError`]; nothing is kept then.
pub async fn store(folder: &Path, findings: &[Finding], ran: &[(String, String)], snapshot: i64) -> Result<Stored, StoreError> {
    let mut connection = connect(folder).await?;
    let mut t2 = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(TABLES).execute(&mut *t2).await?;
    let mut stored = Stored::default();
    for finding in findings {
        keep(&mut t2, finding, snapshot, &mut stored).await?;
    }
    for (rule_id, version) in ran {
        sqlx::query("INSERT INTO trailhound_rule_cursor VALUES (?, ?, ?) ON CONFLICT (rule_id) DO UPDATE SET rule_version = excluded.rule_version, snapshot_id = excluded.snapshot_id")
            .bind(rule_id)
            .bind(version)
            .bind(snapshot)
            .execute(&mut *t2)
            .await?;
    }
    t2.commit().await?;
    connection.close().await?;
    Ok(stored)
}

async fn keep(db: &mut SqliteConnection, finding: &Finding, snapshot: i64, stored: &mut Stored) -> Result<(), StoreError> {
    let body = serde_json::to_string(finding)?;
    let known: Option<(i64, String)> = sqlx::query_as("SELECT revision, finding FROM trailhound_finding WHERE finding_id = ?")
        .bind(&finding.finding_id)
        .fetch_optional(&mut *db)
        .await?;
    let revision = match known {
        Some((_, have)) if have == body => {
            stored.unchanged += 1;
            return Ok(());
        }
        Some((revision, _)) => {
            stored.revised += 1;
            stored.changed.insert(finding.finding_id.clone());
            revision + 1
        }
        None => {
            stored.new += 1;
            stored.changed.insert(finding.finding_id.clone());
            1
        }
    };
    sqlx::query("INSERT OR REPLACE INTO trailhound_finding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
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
        .bind(body)
        .execute(&mut *db)
        .await?;
    Ok(())
}
