//! `trailhound scan`: ingests exports, runs the rules and prints the findings.

use super::{detect, ingest};
use crate::cli::{DetectionArgs, ScanArgs};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use std::path::Path;

/// Scans into the lake that `args` name, or into a temporary one.
pub(super) async fn run(config: &Config, args: ScanArgs) -> Result<Exit, Failure> {
    let temporary = if args.no_keep { Some(tempfile::tempdir()?) } else { None };
    let folder = match &temporary {
        Some(folder) => folder.path().join("lake"),
        None => config.lake(args.lake.folder())?,
    };
    scan(config, &args.paths, &folder, &args.detection).await
}

/// Ingests the files at `paths` into the lake in `folder`, runs the rules over it and prints the
/// findings.
pub(super) async fn scan(
    config: &Config,
    paths: &[String],
    folder: &Path,
    args: &DetectionArgs,
) -> Result<Exit, Failure> {
    args.list.checked_format()?;
    for warning in config.parameters.warnings() {
        printer::warning(&warning);
    }
    let report = ingest::ingest_files(config, paths, folder).await?;
    let lake = lake::open(folder, config).await?;
    detect::detect_in_lake(config, &lake, Some(&report), args).await
}
