//! Why the store failed.

use thiserror::Error;

/// Why findings could not be kept.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The catalogue database said no.
    #[error("findings could not be kept in the lake's catalogue: {0}")]
    Sql(#[from] sqlx::Error),
    /// Another service has taken over detection.
    #[error("another service on this lake has taken over detection; nothing of this run was kept")]
    TakenOver,
    /// A finding that is no JSON.
    #[error("a finding could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}
