//! The query log: records every statement that clients sent to the query interfaces of the service.

use super::catalog::Lake;
use super::error::CatalogError;
use super::schema::QUERY_LOG_TABLES;
use std::time::Duration;

/// How long entries are kept: 400 days.
const KEPT_MICROS: i64 = 400 * 86_400 * 1_000_000;

/// A query and its outcome.
#[derive(Debug, Clone)]
pub struct QueryLogEntry {
    /// Time at which the statement was received, in microseconds since 1970 UTC.
    pub at: i64,
    /// The protocol: `http`, `postgres`.
    pub door: String,
    /// The user's name.
    pub who: String,
    /// The client's address.
    pub address: String,
    /// The statement.
    pub statement: String,
    /// `answered`, `cancelled`, `busy`, `login_failed`, `not_recorded`, or the error code.
    pub result: String,
    /// Rows of the answer.
    pub rows: u64,
    /// Bytes of the answer.
    pub bytes: u64,
    /// Time from the query to the end of the answer.
    pub took: Duration,
}

impl Lake {
    /// Adds `entry` to the log, and deletes entries that are older than the log keeps them at `confirmed_now` (microseconds since
    /// 1970 UTC), if that is known.
    ///
    /// # Errors
    /// [`CatalogError::Sql`]; [`CatalogError::VersionMismatch`] where another version has migrated the lake.
    pub async fn log_query(
        &self,
        entry: &QueryLogEntry,
        confirmed_now: Option<i64>,
    ) -> Result<(), CatalogError> {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut connection = self.writer_pool.acquire().await?;
        let mut transaction = self.begin_write(&mut connection, &QUERY_LOG_TABLES).await?;
        // Ids sort by time; two entries of one moment have different ids.
        sqlx::query(
            "INSERT INTO trailhound_query_log VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(uuid::Uuid::now_v7().to_string())
        .bind(entry.at)
        .bind(&entry.door)
        .bind(&entry.who)
        .bind(&entry.address)
        // PostgreSQL holds no text with a NUL in it.
        .bind(entry.statement.replace('\0', "\u{fffd}"))
        .bind(&entry.result)
        .bind(whole(entry.rows))
        .bind(whole(entry.bytes))
        .bind(i64::try_from(entry.took.as_micros()).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await?;
        if let Some(now) = confirmed_now {
            sqlx::query("DELETE FROM trailhound_query_log WHERE asked_at < $1")
                .bind(now.saturating_sub(KEPT_MICROS))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
