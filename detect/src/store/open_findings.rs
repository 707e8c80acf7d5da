//! The findings of a rule that are not withdrawn.

use crate::store::error::StoreError;
use sqlx::AnyPool;
use std::collections::HashSet;

/// Ids of the findings of `rule_id` that are stored and not withdrawn.
///
/// # Errors
/// [`StoreError`].
pub async fn open_finding_ids(
    catalog: &AnyPool,
    rule_id: &str,
) -> Result<HashSet<String>, StoreError> {
    let ids: Vec<(String,)> = sqlx::query_as(
        "SELECT finding_id FROM trailhound_latest_finding WHERE rule_id = $1 AND status <> 'withdrawn'",
    )
    .bind(rule_id)
    .fetch_all(catalog)
    .await?;
    Ok(ids.into_iter().map(|(id,)| id).collect())
}
