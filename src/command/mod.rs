//! One file a command: wiring and words.

mod demo;
mod detect;
mod findings;
mod generate;
mod ingest;
mod lake;
mod progress;
mod query;
mod reconcile;
mod rule_files;
mod rules;
mod scan;
mod serve;

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;

/// Does what was asked.
pub(crate) fn run(cli: Cli) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::internal)?;
    let config = Config::load(cli.config.as_deref(), cli.now)?;
    for broken in &config.broken_rules {
        printer::talk(&format!("error: {broken}\nThe rule is left out; the others run."));
    }
    runtime.block_on(async {
        match cli.command {
            Command::Detect(args) => detect::run(&config, args).await,
            Command::Scan(args) => scan::run(&config, args).await,
            Command::Ingest(args) => ingest::run(&config, args).await,
            Command::Query(args) => query::run(&config, args).await,
            Command::Rules(args) => rules::run(&config, args).await,
            Command::Lake(args) => lake::run(&config, args).await,
            Command::Serve(args) => serve::run(&config, args).await,
            Command::Generate(args) => generate::run(&config, &args).await,
            Command::Demo(args) => demo::run(&config, &args).await,
        }
    })
}
