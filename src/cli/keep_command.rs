//! The commands that keep a lake safe: backups, and files that no commit refers to.

use super::lake_args::LakeArgs;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum KeepCommand {
    /// Move files that no commit refers to into the folder `aside`, as a writer does after a crash.
    /// They are removed after seven days.
    Sweep {
        #[command(flatten)]
        lake: LakeArgs,
        /// Take the catalog as it is, also where it is older than the data: everything that it does
        /// not know is moved aside, and the sources are read on from its positions.
        #[arg(long)]
        accept_catalog: bool,
    },
}
