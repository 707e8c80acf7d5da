//! `trailhound serve`.

use crate::cli;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::service;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

pub(crate) async fn run(config: &Config, args: cli::Serve) -> Result<Exit, Failure> {
    let filter =
        EnvFilter::try_from_env("TRAILHOUND_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    // People read lines, collectors read JSON.
    let set =
        if std::io::stderr().is_terminal() { logs.try_init() } else { logs.json().try_init() };
    set.map_err(|e| Failure::Internal(e.to_string()))?;
    let folder = config.lake(args.place.lake.as_deref())?;
    service::run(config, &folder).await
}
