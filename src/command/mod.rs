//! The commands, one file each: they open what a command needs, call the libraries and print the
//! result.

mod config_check;
mod coverage;
mod demo;
mod detect;
mod doctor;
mod entities;
mod findings;
mod generate;
mod ingest;
mod investigate;
mod lake;
mod lake_access;
mod lake_backup;
mod lake_info;
mod outbox;
mod progress;
mod query;
mod query_output;
mod reconcile;
mod report;
mod rule_backtest;
mod rule_explain;
mod rule_skeleton;
mod rules;
mod scan;
mod serve;
mod sigma;
mod sinks;
mod suppressions;
mod verify_findings;

use crate::cli::{Cli, Command, ConfigCommand};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use crate::query_server;

/// Loads the configuration and runs the command of `cli`.
///
/// # Errors
/// The error that ends the command.
pub(crate) fn run(cli: Cli) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::internal)?;
    if let Some(schema) = cli.test_schema {
        crate::lake::pretend(schema);
    }
    let command = match cli.command {
        // It reports what is wrong with the configuration instead of ending there.
        Command::Doctor(args) => {
            return runtime.block_on(doctor::run(cli.config.as_deref(), cli.now, args));
        }
        command => command,
    };
    let config = Config::load(cli.config.as_deref(), cli.now)?;
    for warning in &config.warnings {
        printer::warning(warning);
    }
    for warning in config.rule_set.warnings() {
        printer::warning(&warning);
    }
    for broken in &config.broken_rules {
        printer::message(&format!("error: {broken}\nThe rule is skipped; the others run."));
    }
    runtime.block_on(async {
        match command {
            Command::Config(ConfigCommand::Check) => config_check::run(&config),
            // It has run above.
            Command::Doctor(_) => Ok(Exit::Success),
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
                query_server::serve_connection(&config, &config.lake(args.folder())?).await
            }
            Command::QueryWorker(args) => {
                query_server::run_worker(&config, &config.lake(args.folder())?).await
            }
            Command::Rules(command) => rules::run(&config, command).await,
            Command::Report(args) => report::run(&config, args).await,
            Command::Lake(command) => lake::run(&config, command).await,
            Command::Sinks(command) => sinks::run(&config, command).await,
            Command::Outbox(command) => outbox::run(&config, command).await,
            Command::Serve(args) => serve::run(&config, args).await,
            Command::Generate(args) => generate::run(&config, &args).await,
            Command::Demo(args) => demo::run(&config, &args).await,
        }
    })
}
