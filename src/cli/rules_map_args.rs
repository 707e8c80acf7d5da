//! The options of `trailhound rules map`.

use super::lake_args::LakeArgs;
use crate::list_output::ListOptions;
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct RulesMapArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Only operations that no rule looks at, sorted by risk. Those that only read are left out,
    /// unless they read secrets or data.
    #[arg(long)]
    pub(crate) unwatched: bool,
    /// Only operations of this product, such as `ecs`.
    #[arg(long, value_name = "PRODUCT")]
    pub(crate) product: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListOptions,
}
