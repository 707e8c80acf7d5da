//! Compares what the catalog stores of detection with itself: the columns of a finding with its text, cursors with the
//! snapshots that there are, messages with the findings that they are about.

use super::error::StoreError;
use futures::TryStreamExt;
use serde_json::Value;
use sqlx::{AnyPool, Row};

/// States of a message in the outbox.
const STATES: &str = "'pending', 'leased', 'delivered', 'dead_lettered', 'dismissed'";
/// Problems of one kind that are named; the others are counted.
const NAMED_MAX: usize = 20;

/// What is wrong with findings, cursors and messages of a lake whose newest snapshot is `newest`; empty where nothing is.
/// Findings that rules would no longer find, or would find too, are for `trailhound lake verify --findings`.
///
/// # Errors
/// [`StoreError`].
pub async fn store_problems(catalog: &AnyPool, newest: i64) -> Result<Vec<String>, StoreError> {
    let mut found = cursor_problems(catalog, newest).await?;
    found.extend(finding_problems(catalog, newest).await?);
    found.extend(outbox_problems(catalog).await?);
    Ok(found)
}

async fn cursor_problems(catalog: &AnyPool, newest: i64) -> Result<Vec<String>, StoreError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT rule_id, snapshot_id FROM trailhound_rule_cursor WHERE snapshot_id < 0 OR snapshot_id > $1 ORDER BY rule_id",
    )
    .bind(newest)
    .fetch_all(catalog)
    .await?;
    let problem = |(rule, at): (String, i64)| {
        format!("rule {rule} has run up to snapshot {at}, and the newest is {newest}")
    };
    Ok(rows.into_iter().map(problem).collect())
}

/// The columns of each finding are those of its text.
async fn finding_problems(catalog: &AnyPool, newest: i64) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    let mut more = 0;
    let mut rows = sqlx::query(
        "SELECT finding_id, rule_id, rule_version, status, severity, account_id, first_seen, last_seen, finding, revision, snapshot_id \
         FROM trailhound_latest_finding ORDER BY finding_id",
    )
    .fetch(catalog);
    while let Some(row) = rows.try_next().await? {
        let id: String = row.try_get(0)?;
        let mut problems = Vec::new();
        match serde_json::from_str::<Value>(&row.try_get::<String, _>(8)?) {
            Ok(finding) => {
                let names = ["finding_id", "rule_id", "rule_version", "status", "severity"];
                let optional = ["account_id", "first_seen", "last_seen"];
                for (at, name) in names.into_iter().chain(optional).enumerate() {
                    let column: Option<String> = row.try_get(at)?;
                    if finding[name].as_str() != column.as_deref() {
                        problems.push(format!("its {name} is not that of its text"));
                    }
                }
                let events = finding["event_ids"].as_array().map_or(0, Vec::len) as u64;
                if finding["count"].as_u64().is_none_or(|count| count < events) {
                    problems.push("it counts fewer events than it names".to_owned());
                }
            }
            Err(error) => problems.push(format!("its text is none: {error}")),
        }
        let (revision, snapshot): (i64, i64) = (row.try_get(9)?, row.try_get(10)?);
        if revision < 1 || !(0..=newest).contains(&snapshot) {
            problems.push(format!("revision {revision} of snapshot {snapshot} cannot be"));
        }
        for problem in problems {
            if found.len() < NAMED_MAX {
                found.push(format!("finding {id}: {problem}"));
            } else {
                more += 1;
            }
        }
    }
    if more > 0 {
        found.push(format!("{more} more problems of findings"));
    }
    Ok(found)
}

/// Each message is in a state that there is, and about a revision that there was.
async fn outbox_problems(catalog: &AnyPool) -> Result<Vec<String>, StoreError> {
    let statement = format!(
        "SELECT m.sink, m.finding_id, m.revision, m.state FROM trailhound_outbox_message m \
         LEFT JOIN trailhound_latest_finding f ON f.finding_id = m.finding_id \
         WHERE m.state NOT IN ({STATES}) OR m.attempts < 0 OR m.unsure < 0 OR (m.kind = 'finding' AND (f.finding_id IS NULL \
         OR m.revision < 1 OR m.revision > f.revision OR (m.revision = f.revision AND m.severity <> f.severity))) \
         ORDER BY m.sink, m.finding_id, m.revision LIMIT {NAMED_MAX}"
    );
    let rows: Vec<(String, String, i64, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_all(catalog).await?;
    let problem = |(sink, finding, revision, state): (String, String, i64, String)| {
        format!(
            "the message to sink `{sink}` about revision {revision} of {finding} in state {state} cannot be"
        )
    };
    Ok(rows.into_iter().map(problem).collect())
}
