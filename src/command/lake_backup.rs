//! `trailhound lake backup` and `trailhound lake restore`.

use super::lake_access::open_lake;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use std::path::{Path, PathBuf};
use trailhound_ingest::lake::{BackupMode, BackupSummary};

/// Backs the lake up into the folder `target`.
pub(super) async fn back_up(
    config: &Config,
    folder: Option<&Path>,
    target: &Path,
    mode: BackupMode,
    json: bool,
) -> Result<Exit, Failure> {
    let lake = open_lake(config, folder).await?;
    let mut configuration: Vec<(String, PathBuf)> = Vec::new();
    if let Some(path) = config.path() {
        configuration.push(("trailhound.toml".to_owned(), path.to_owned()));
    }
    if let Some(rules) = &config.rules_folder {
        configuration.push(("rules".to_owned(), rules.clone()));
    }
    let summary = lake.back_up(target, &configuration, mode).await?;
    print(&summary, json, &format!("backed up in {}", target.display()))?;
    if !json && !configuration.is_empty() {
        printer::message(
            "files that the configuration names for secrets are no part of the backup",
        );
    }
    Ok(Exit::Success)
}

/// Makes the lake in `folder` of the backup in the folder `backup`.
pub(super) async fn restore(
    config: &Config,
    folder: Option<&Path>,
    backup: &Path,
    json: bool,
) -> Result<Exit, Failure> {
    let target = config.lake(folder)?;
    let summary = lake::restore(backup, &target, config).await?;
    print(&summary, json, &format!("restored in {}", target.display()))?;
    if !json {
        for path in &summary.configuration {
            printer::message(&format!("the backup's configuration: {}", path.display()));
        }
    }
    Ok(Exit::Success)
}

fn print(summary: &BackupSummary, json: bool, done: &str) -> Result<(), Failure> {
    if json {
        printer::line(&serde_json::to_string(summary).map_err(Failure::internal)?)?;
        return Ok(());
    }
    printer::line(&format!(
        "snapshot {} {done}: {} files of {} bytes, {} of them new",
        summary.snapshot, summary.files, summary.bytes, summary.files_new
    ))?;
    Ok(())
}
