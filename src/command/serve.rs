//! `trailhound serve`: sets up logging and runs the service.

use crate::cli::ServeArgs;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::service;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Runs the service until a signal ends it. Logs go to standard error: lines for people on a
/// terminal, else JSON.
pub(super) async fn run(config: &Config, args: ServeArgs) -> Result<Exit, Failure> {
    let filter = args
        .log_filter
        .as_deref()
        .and_then(|filter| EnvFilter::try_new(filter).ok())
        .unwrap_or_else(|| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    let initialized =
        if std::io::stderr().is_terminal() { logs.try_init() } else { logs.json().try_init() };
    initialized.map_err(|e| Failure::Internal(e.to_string()))?;
    let folder = config.lake(args.lake.folder())?;
    service::run(config, &folder, &args.test).await
}
