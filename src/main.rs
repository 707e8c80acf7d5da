//! The `trailhound` program: parses the command line, runs one command and returns its exit status.

mod answer;
mod arguments;
mod cli;
mod command;
mod config;
mod exit;
mod lake;
mod legacy_names;
mod list_output;
mod printer;
mod query_server;
mod report;
mod row_writer;
mod service;
mod shell;

use exit::Exit;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let exit = match cli::parse() {
        Ok(cli) => command::run(cli).unwrap_or_else(|error| error.report()),
        Err(exit) => exit,
    };
    ExitCode::from(exit)
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}
