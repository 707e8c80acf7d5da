//! The lake, for runs that need rows which are not held in memory.

use std::sync::Arc;
use tokio::sync::OnceCell;
use trailhound_datasets::layout::CatalogLocation;
use trailhound_queries::limits::{QueryLimits, SessionError};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// A session over the lake that is opened when a run first needs it, and at most once.
pub(super) struct LakeFallback<'l> {
    catalog: &'l CatalogLocation,
    parameters: Arc<Parameters>,
    limits: &'l QueryLimits,
    session: OnceCell<Session>,
}

impl<'l> LakeFallback<'l> {
    /// The lake whose catalog is at `catalog`.
    pub(super) fn new(
        catalog: &'l CatalogLocation,
        parameters: Arc<Parameters>,
        limits: &'l QueryLimits,
    ) -> Self {
        Self { catalog, parameters, limits, session: OnceCell::new() }
    }

    /// The session, over the newest snapshot at its first use.
    ///
    /// # Errors
    /// [`SessionError`] where the lake cannot be opened.
    pub(super) async fn session(&self) -> Result<&Session, SessionError> {
        self.session
            .get_or_try_init(|| {
                Session::over_lake(self.catalog, Arc::clone(&self.parameters), self.limits)
            })
            .await
    }
}
