//! Who has asked the lake what, by the doors of the service.

use super::catalog::{CatalogError, Lake};
use std::time::Duration;

/// A question that was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// When, microseconds since 1970 UTC.
    pub at: i64,
    /// By which door: `http`, `postgres`.
    pub door: String,
    /// Under which name.
    pub who: String,
    /// From which address.
    pub address: String,
    /// The statement.
    pub statement: String,
    /// `answered`, `cancelled`, `busy`, or the code of the refusal.
    pub result: String,
    /// Rows of the answer.
    pub rows: u64,
    /// Bytes of the answer.
    pub bytes: u64,
    /// From question to answer.
    pub took: Duration,
}

impl Lake {
    /// Notes `asked`, and forgets what was asked longer ago than notes are kept.
    ///
    /// # Errors
    /// [`CatalogError::Sql`].
    pub async fn note_query(&self, asked: &Asked) -> Result<(), CatalogError> {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        // Notes sort by time; two of one moment have different ids.
        sqlx::query(
            "INSERT INTO trailhound_query VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(uuid::Uuid::now_v7().to_string())
        .bind(asked.at)
        .bind(&asked.door)
        .bind(&asked.who)
        .bind(&asked.address)
        // PostgreSQL holds no text with a NUL in it.
        .bind(asked.statement.replace('\0', "\u{fffd}"))
        .bind(&asked.result)
        .bind(whole(asked.rows))
        .bind(whole(asked.bytes))
        .bind(i64::try_from(asked.took.as_micros()).unwrap_or(i64::MAX))
        .execute(&self.writer_pool)
        .await?;
        sqlx::query("DELETE FROM trailhound_query WHERE asked_at < $1")
            .bind(asked.at - KEPT_MICROS)
            .execute(&self.writer_pool)
            .await?;
        Ok(())
    }
}

/// How long notes are kept: 400 days.
const KEPT_MICROS: i64 = 400 * 86_400 * 1_000_000;
