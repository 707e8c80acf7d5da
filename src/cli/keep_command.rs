//! The commands that keep a lake safe: backups, and files that no commit refers to.

use super::lake_args::LakeArgs;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum KeepCommand {
    /// Back the lake up into a folder, also while the service runs: one snapshot with catalog, data
    /// files, configuration and rules. A later backup into the same folder adds what is new.
    Backup {
        /// Folder of the backup, on another disk.
        #[arg(value_name = "DIR")]
        target: PathBuf,
        #[command(flatten)]
        lake: LakeArgs,
        /// Link data files instead of copying them, where both folders are on one file system. Links
        /// take no space; what damages the lake's file damages the backup.
        #[arg(long)]
        hard_links: bool,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a lake of a backup. Its folder must hold none.
    Restore {
        /// Folder of the backup.
        #[arg(value_name = "DIR")]
        backup: PathBuf,
        #[command(flatten)]
        lake: LakeArgs,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
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
