//! Why findings or messages could not be stored.

use thiserror::Error;
use trailhound_datasets::catalog_schema::VersionMismatch;

/// Why findings or messages could not be stored or read.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The catalog database refused a statement or could not be reached.
    #[error("findings could not be kept in the lake's catalog: {0}")]
    Sql(#[from] sqlx::Error),
    /// Another service holds the lease on detection.
    #[error("another service on this lake has taken over detection; nothing of this run was kept")]
    TakenOver,
    /// Another version of the program has migrated the lake. Nothing was stored.
    #[error(transparent)]
    VersionMismatch(#[from] VersionMismatch),
    /// A stored text is no finding, or a finding has no JSON form.
    #[error("a finding could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}
