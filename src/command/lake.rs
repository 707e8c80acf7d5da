//! `trailhound lake`: inspects and maintains the lake.

use super::lake_access::open_lake;
use super::{detect, lake_backup, lake_info, reconcile, verify_findings};
use crate::cli::{DetectionArgs, KeepCommand, LakeCommand};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use std::path::Path;
use trailhound_detect::store::store_problems;
use trailhound_ingest::lake::{
    AsideInfo, BackupMode, CatalogError, KEPT_DAYS, Lake, LakeProblem, WriterLock,
};

/// Runs one of the commands on the lake.
pub(super) async fn run(config: &Config, command: LakeCommand) -> Result<Exit, Failure> {
    match command {
        LakeCommand::Info { lake, json } => info(config, lake.folder(), json).await,
        LakeCommand::Compact { lake } => compact(config, lake.folder()).await,
        LakeCommand::Expire { lake } => expire(config, lake.folder()).await,
        LakeCommand::Migrate { lake, to } => migrate(config, lake.folder(), &to).await,
        LakeCommand::Reconcile { lake, all, list } => {
            reconcile::run(config, lake.folder(), all, list).await
        }
        LakeCommand::Keep(command) => keep(config, command).await,
        LakeCommand::Reread { lake, detection } => reread(config, lake.folder(), &detection).await,
        LakeCommand::Verify { lake, findings: true, since, until, json } => {
            let range = config.time_range(since, until)?;
            verify_findings::run(config, lake.folder(), range, json).await
        }
        LakeCommand::Verify { lake, json, .. } => verify(config, lake.folder(), json).await,
    }
}

async fn keep(config: &Config, command: KeepCommand) -> Result<Exit, Failure> {
    match command {
        KeepCommand::Backup { target, lake, hard_links, json } => {
            let mode = if hard_links { BackupMode::HardLink } else { BackupMode::Copy };
            lake_backup::back_up(config, lake.folder(), &target, mode, json).await
        }
        KeepCommand::Restore { backup, lake, json } => {
            lake_backup::restore(config, lake.folder(), &backup, json).await
        }
        KeepCommand::Sweep { lake, accept_catalog } => {
            sweep(config, lake.folder(), accept_catalog).await
        }
    }
}

/// Opens the lake and runs `work` while this process holds the writer lock.
async fn with_writer_lock<T>(
    config: &Config,
    folder: Option<&Path>,
    work: impl AsyncFnOnce(&Lake, &WriterLock) -> Result<T, CatalogError>,
) -> Result<T, Failure> {
    let lake = open_lake(config, folder).await?;
    let lock = WriterLock::take(&lake).await?;
    let result = work(&lake, &lock).await?;
    lock.release()?;
    Ok(result)
}

async fn info(config: &Config, folder: Option<&Path>, json: bool) -> Result<Exit, Failure> {
    let info = open_lake(config, folder).await?.info().await?;
    if json {
        printer::line(&serde_json::to_string(&info).map_err(Failure::internal)?)?;
    } else {
        lake_info::print(&info, config.time_zone)?;
    }
    Ok(Exit::Success)
}

async fn compact(config: &Config, folder: Option<&Path>) -> Result<Exit, Failure> {
    let now = config.ingest_options().now_micros;
    let summary = with_writer_lock(config, folder, async |lake, _| lake.compact(now).await).await?;
    for damage in &summary.damaged {
        printer::line(&format!("PROBLEM {damage}; the files of its day were not merged"))?;
    }
    printer::line(&format!(
        "{} files merged into {}",
        summary.files_merged, summary.files_written
    ))?;
    Ok(if summary.damaged.is_empty() { Exit::Success } else { Exit::CheckFailed })
}

/// Moves files that no commit refers to aside.
async fn sweep(
    config: &Config,
    folder: Option<&Path>,
    accept_catalog: bool,
) -> Result<Exit, Failure> {
    let now = config.ingest_options().now_micros;
    let lake = open_lake(config, folder).await?;
    let lock = WriterLock::take_whatever_catalog(&lake)?;
    let moved = if accept_catalog {
        lake.accept_catalog(&lock, now).await?
    } else {
        lake.sweep(&lock, now).await?
    };
    if crate::lake::is_time_confirmed(&lake, config).await? {
        for AsideInfo { day, files, bytes, .. } in lake.remove_expired_aside(now).await? {
            printer::message(&format!(
                "{files} files ({bytes} bytes) that stood aside since {day} were removed"
            ));
        }
    }
    lock.release()?;
    printer::line(&format!(
        "{moved} files that no commit refers to moved aside; they are removed after {KEPT_DAYS} days"
    ))?;
    Ok(Exit::Success)
}

async fn expire(config: &Config, folder: Option<&Path>) -> Result<Exit, Failure> {
    let options = config.ingest_options();
    let oldest = options.oldest_micros.ok_or_else(|| {
        Failure::Usage(
            "no retention is configured; write `retention_days = 400` under [lake]".to_owned(),
        )
    })?;
    let dropped = with_writer_lock(config, folder, async |lake, _| {
        let is_confirmed = crate::lake::is_time_confirmed(lake, config).await?;
        let share_max = (!is_confirmed).then(|| config.drop_share_max());
        lake.drop_days_within(oldest, options.now_micros, share_max).await
    })
    .await?;
    printer::line(&format!("{} rows in {} files dropped", dropped.rows, dropped.files))?;
    if dropped.held_rows > 0 {
        printer::message(&format!(
            "note: {} more rows are old enough and stay for a day: nothing confirms the clock of this machine; `--now TIME` tells the time",
            dropped.held_rows
        ));
    }
    Ok(Exit::Success)
}

async fn migrate(config: &Config, folder: Option<&Path>, to: &str) -> Result<Exit, Failure> {
    let moved = with_writer_lock(config, folder, async |lake, lock| {
        lake.move_to_postgresql(to, lock).await
    })
    .await?;
    printer::line(&format!(
        "{moved} rows of the catalog moved; several services can share the lake now"
    ))?;
    Ok(Exit::Success)
}

/// Reads stored events anew and runs the rules over the whole lake, also where nothing was read
/// anew: an earlier run may have ended in between.
async fn reread(
    config: &Config,
    folder: Option<&Path>,
    detection: &DetectionArgs,
) -> Result<Exit, Failure> {
    let now = config.ingest_options().now_micros;
    let summary = with_writer_lock(config, folder, async |lake, lock| {
        trailhound_ingest::reread::reread(lake, lock, now).await
    })
    .await?;
    printer::message(&format!(
        "{} events read anew in {} files; {} records are no events and moved to the quarantine; {} events were stored already and dropped",
        summary.mended, summary.files, summary.quarantined, summary.duplicate
    ));
    let lake = open_lake(config, folder).await?;
    detect::detect_in_lake(config, &lake, None, detection).await
}

async fn verify(config: &Config, folder: Option<&Path>, json: bool) -> Result<Exit, Failure> {
    let lake = open_lake(config, folder).await?;
    let mut verified = lake.verify().await?;
    let stored = store_problems(lake.catalog(), lake.snapshot().await?);
    let stored = stored.await.map_err(Failure::internal)?.into_iter();
    verified.problems.extend(stored.map(|found| LakeProblem::Catalog { found }));
    let half_understood = trailhound_ingest::reread::half_understood(&lake).await?;
    if half_understood.rows > 0 {
        verified.problems.push(LakeProblem::HalfUnderstood {
            rows: half_understood.rows,
            examples: half_understood.examples,
        });
    }
    if json {
        printer::line(&serde_json::to_string(&verified).map_err(Failure::internal)?)?;
    } else {
        for problem in &verified.problems {
            printer::line(&format!("PROBLEM {problem}"))?;
        }
        printer::line(&format!(
            "{} files, {} rows checked; {} problems",
            verified.files,
            verified.rows,
            verified.problems.len()
        ))?;
        if verified.unreferenced_files > 0 {
            printer::line(&format!(
                "{} files of an interrupted run are unreferenced; the next ingest moves them aside",
                verified.unreferenced_files
            ))?;
        }
    }
    Ok(if verified.problems.is_empty() { Exit::Success } else { Exit::CheckFailed })
}
