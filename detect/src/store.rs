//! T2: findings kept beside the catalogue, each with its revisions counted.

use crate::finding::Finding;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Findings seen for the first time.
    pub new: u64,
    /// Findings that say something else than before.
    pub revised: u64,
    /// Findings known as they are.
    pub unchanged: u64,
}

/// Keeps `findings` in the lake in `folder` and moves the cursors of the rules in `ran` to `snapshot`, in one transaction.
///
/// # Errors
/// [`StoreError`]; nothing is kept then.
pub async fn store(folder: &Path, findings: &[Finding], ran: &[(String, String)], snapshot: i64) -> Result<Stored, StoreError> {
    let options = SqliteConnectOptions::new().filename(folder.join(CATALOG_FILE)).busy_timeout(Duration::from_secs(30));
    let mut connection = options.connect().await?;
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
            revision + 1
        }
        None => {
            stored.new += 1;
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
