//! The option that names the lake.

use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct LakeArgs {
    /// Folder of the lake. Default: `lake` beside the configuration file, or in the user's data
    /// folder.
    #[arg(long, value_name = "DIR", env = "TRAILHOUND_LAKE")]
    lake: Option<PathBuf>,
}

impl LakeArgs {
    /// The folder, if it is given.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.lake.as_deref()
    }
}
