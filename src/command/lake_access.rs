//! Opens the lake that a command works on.

use crate::config::Config;
use crate::exit::Failure;
use crate::lake;
use std::path::Path;
use std::sync::Arc;
use trailhound_detect::Finding;
use trailhound_ingest::lake::Lake;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// Opens the lake in `folder`, or the one that the configuration names.
pub(super) async fn open_lake(config: &Config, folder: Option<&Path>) -> Result<Lake, Failure> {
    Ok(lake::open(&config.lake(folder)?, config).await?)
}

/// An SQL session over the newest snapshot of the lake, with the parameters of the configuration.
pub(super) async fn open_session(
    config: &Config,
    folder: Option<&Path>,
) -> Result<Session, Failure> {
    open_session_with(config, folder, Arc::clone(&config.parameters)).await
}

/// An SQL session over the newest snapshot of the lake, with other parameters.
pub(super) async fn open_session_with(
    config: &Config,
    folder: Option<&Path>,
    parameters: Arc<Parameters>,
) -> Result<Session, Failure> {
    // Opening a lake that was moved or copied stores its new folder first.
    let lake = open_lake(config, folder).await?;
    let session = Session::over_lake(lake.location(), parameters, &QueryLimits::default()).await?;
    Ok(session.holding(lake))
}

/// All findings that the lake stores.
pub(super) async fn stored_findings(
    config: &Config,
    folder: Option<&Path>,
) -> Result<Vec<Finding>, Failure> {
    let lake = open_lake(config, folder).await?;
    trailhound_detect::all_findings(lake.catalog()).await.map_err(Failure::internal)
}
