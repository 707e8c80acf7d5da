//! What the service saw at its last look at each source, for those who ask the lake and not the service.

use super::catalog::Lake;
use super::error::CatalogError;
use super::instant::time_text;
use super::schema::SURVEY_TABLES;
use crate::survey::SourceSurvey;
use serde::Serialize;
use std::collections::BTreeMap;

/// A look at a source.
#[derive(Debug, Clone, Serialize)]
pub struct StoredSurvey {
    /// When the service looked, UTC.
    pub surveyed_at: String,
    /// What it saw.
    #[serde(flatten)]
    pub survey: SourceSurvey,
}

impl Lake {
    /// Stores what was seen of `source` at `now` (microseconds UTC), in place of what was seen before.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub(crate) async fn store_survey(
        &self,
        source: &str,
        survey: &SourceSurvey,
        now: i64,
    ) -> Result<(), CatalogError> {
        let text = serde_json::to_string(survey).unwrap_or_default();
        let mut connection = self.writer_pool.acquire().await?;
        let mut transaction = self.begin_write(&mut connection, &SURVEY_TABLES).await?;
        sqlx::query("INSERT INTO trailhound_source_survey VALUES ($1, $2, $3) ON CONFLICT (source) DO UPDATE SET surveyed_at = excluded.surveyed_at, survey = excluded.survey")
            .bind(source)
            .bind(now)
            .bind(text)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What was last seen of each source, by its name.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn surveys(&self) -> Result<BTreeMap<String, StoredSurvey>, CatalogError> {
        let rows: Vec<(String, i64, String)> =
            sqlx::query_as("SELECT source, surveyed_at, survey FROM trailhound_source_survey")
                .fetch_all(&self.pool)
                .await?;
        let survey = |(source, at, text): (String, i64, String)| {
            // A newer version may have written what this one does not read.
            let survey = serde_json::from_str(&text).unwrap_or_default();
            (source, StoredSurvey { surveyed_at: time_text(at), survey })
        };
        Ok(rows.into_iter().map(survey).collect())
    }

    /// True where the lake has read an object of `source` in `folder` to its end, and events of this source at all: records
    /// that are no events do not count.
    pub(crate) async fn has_events_of(
        &self,
        source: &str,
        folder: &str,
    ) -> Result<bool, CatalogError> {
        let (first, after) = super::commit::below(folder);
        let understood: Option<i64> = sqlx::query_scalar(
            "SELECT stored FROM trailhound_ingest_ledger WHERE source = $1 AND stored + duplicate + expired > 0 LIMIT 1",
        )
        .bind(source)
        .fetch_optional(&self.pool)
        .await?;
        if understood.is_none() {
            return Ok(false);
        }
        let read: Option<i64> = sqlx::query_scalar(
            "SELECT records FROM trailhound_position WHERE source = $1 AND object >= $2 AND object < $3 AND records > 0 LIMIT 1",
        )
        .bind(source)
        .bind(first)
        .bind(after)
        .fetch_optional(&self.pool)
        .await?;
        Ok(read.is_some())
    }
}
