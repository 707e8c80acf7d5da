//! `trailhound config check`: checks every section of the configuration, as the service would read
//! it, and starts nothing.

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;

/// Checks the configuration and prints what it contains.
pub(super) fn run(config: &Config) -> Result<Exit, Failure> {
    let sources = match config.has_sources() {
        true => config
            .live_options(&config.checked_clock(None))
            .map(|options| options.kafka.len() + options.oss.len())?,
        false => 0,
    };
    let (sinks, _) = config.sinks()?;
    let reports = config.reports()?;
    let interfaces = usize::from(config.query_token()?.is_some())
        + usize::from(config.postgres_endpoint()?.is_some());
    let investigations = config.investigations()?;
    let name = config.path().map_or_else(
        || "no configuration file; the defaults".to_owned(),
        |path| path.display().to_string(),
    );
    printer::line(&format!(
        "{name}: valid. {sources} sources, {} sinks, {} scheduled reports, {interfaces} query interfaces, {} rules, {} investigations. People read times in {}.",
        sinks.len(),
        reports.len(),
        config.rule_set.rules.len(),
        investigations.len(),
        config.time_zone
    ))?;
    Ok(if config.broken_rules.is_empty() { Exit::Success } else { Exit::Usage })
}
