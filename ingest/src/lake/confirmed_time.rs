//! The last time that another clock has confirmed, kept in the lake for the next start.

use super::catalog::Lake;
use super::error::CatalogError;
use super::retention::replace_metadata;

/// Key of the lake's metadata.
const KEY: &str = "trailhound_confirmed_time";

impl Lake {
    /// The last confirmed time that a service has recorded, microseconds since 1970 UTC; `None` where there is none.
    ///
    /// # Errors
    /// [`CatalogError::Sql`].
    pub async fn confirmed_time(&self) -> Result<Option<i64>, CatalogError> {
        let text: Option<String> =
            sqlx::query_scalar("SELECT value FROM ducklake_metadata WHERE key = $1")
                .bind(KEY)
                .fetch_optional(&self.pool)
                .await?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Records `now` (microseconds since 1970 UTC) as a confirmed time.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn record_confirmed_time(&self, now: i64) -> Result<(), CatalogError> {
        let mut connection = self.writer_pool.acquire().await?;
        let mut transaction =
            self.begin_write(&mut connection, &super::schema::LAKE_TABLES).await?;
        replace_metadata(&mut transaction, KEY, &now.to_string()).await?;
        transaction.commit().await?;
        Ok(())
    }
}
