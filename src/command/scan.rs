//! `trailhound scan`.

use super::{detect, ingest};
use crate::cli;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use std::path::Path;

pub(crate) async fn run(config: &Config, args: cli::Scan) -> Result<Exit, Failure> {
    let throw_away = if args.no_keep { Some(tempfile::tempdir()?) } else { None };
    let folder = match &throw_away {
        Some(folder) => folder.path().join("lake"),
        None => config.lake(args.place.lake.as_deref())?,
    };
    scan(config, &args.paths, &folder, &args.detection).await
}

/// Ingests `paths` into the lake in `folder`, runs the rules over it and prints what they find.
pub(crate) async fn scan(
    config: &Config,
    paths: &[String],
    folder: &Path,
    args: &cli::DetectionArgs,
) -> Result<Exit, Failure> {
    for warning in config.parameters.warnings() {
        printer::talk(&format!("warning: {warning}"));
    }
    let report = ingest::into_lake(config, paths, folder).await?;
    let lake = lake::open(folder, config).await?;
    detect::over(config, &lake, Some(&report), args).await
}
