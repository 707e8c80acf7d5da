//! One file a command: wiring and words.

mod coverage;
mod demo;
mod detect;
mod entities;
mod findings;
mod generate;
mod ingest;
mod investigate;
mod lake;
mod outbox;
mod progress;
pub(crate) mod query;
mod reconcile;
mod report;
mod rule_files;
mod rule_work;
mod rules;
mod scan;
mod serve;
mod sigma;
mod sinks;
mod suppressions;
mod verify_findings;

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use crate::query_server;
use std::path::Path;
use trailhound_detect::Finding;

/// Does what was asked.
pub(crate) fn run(cli: Cli) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::internal)?;
    if let Some(schema) = cli.test_schema {
        crate::lake::pretend(schema);
    }
    let config = Config::load(cli.config.as_deref(), cli.now)?;
    for broken in &config.broken_rules {
        printer::talk(&format!("error: {broken}\nThe rule is left out; the others run."));
    }
    for warning in config.catalogue.warnings() {
        printer::talk(&format!("warning: {warning}"));
    }
    runtime.block_on(async {
        match cli.command {
            Command::Coverage(args) => coverage::run(&config, args).await,
            Command::Entities(args) => entities::run(&config, args).await,
            Command::Incidents(args) => entities::run_incidents(&config, args).await,
            Command::Suppressions(args) => suppressions::run(&config, args).await,
            Command::Detect(args) => detect::run(&config, args).await,
            Command::Scan(args) => scan::run(&config, args).await,
            Command::Ingest(args) => ingest::run(&config, args).await,
            Command::Query(args) => query::run(&config, args).await,
            Command::Investigate(args) => investigate::run(&config, args).await,
            Command::ServePostgres(args) => {
                query_server::serve_connection(&config, &config.lake(args.lake.as_deref())?).await
            }
            Command::Answer(args) => {
                query_server::answer(&config, &config.lake(args.lake.as_deref())?).await
            }
            Command::Rules(args) => rules::run(&config, args).await,
            Command::Report(args) => report::run(&config, args).await,
            Command::Lake(args) => lake::run(&config, args).await,
            Command::Sinks(args) => sinks::run(&config, args).await,
            Command::Outbox(args) => outbox::run(&config, args).await,
            Command::Serve(args) => serve::run(&config, args).await,
            Command::Generate(args) => generate::run(&config, &args).await,
            Command::Demo(args) => demo::run(&config, &args).await,
        }
    })
}

/// Every finding that a lake keeps.
async fn kept(config: &Config, lake: Option<&Path>) -> Result<Vec<Finding>, Failure> {
    let lake = crate::lake::open(&config.lake(lake)?, config).await?;
    trailhound_detect::all_findings(lake.catalog()).await.map_err(Failure::internal)
}
