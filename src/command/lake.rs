//! `trailhound lake`.

use crate::cli;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::{lake, printer};
use std::path::Path;
use trailhound_ingest::lake::{Lake, LakeInfo, LakeVerification, WriterLock};

pub(crate) async fn run(config: &Config, args: cli::Lake) -> Result<Exit, Failure> {
    match args {
        cli::Lake::Info { place, json } => info(config, place.lake.as_deref(), json).await,
        cli::Lake::Compact { place } => {
            let now = config.ingest_options().now_micros;
            let summary =
                as_writer(config, place.lake.as_deref(), async |lake, _| lake.compact(now).await)
                    .await?;
            printer::line(&format!(
                "{} files merged into {}",
                summary.files_merged, summary.files_written
            ))?;
            Ok(Exit::Done)
        }
        cli::Lake::Expire { place } => {
            let options = config.ingest_options();
            let oldest = options.oldest_micros.ok_or_else(|| {
                Failure::Usage("nothing says how long events are kept; write `retention_days = 400` under [lake]".to_owned())
            })?;
            let dropped = as_writer(config, place.lake.as_deref(), async |lake, _| {
                lake.drop_days_before(oldest, options.now_micros).await
            })
            .await?;
            printer::line(&format!("{} rows in {} files dropped", dropped.rows, dropped.files))?;
            Ok(Exit::Done)
        }
        cli::Lake::Migrate { place, to } => {
            let moved = as_writer(config, place.lake.as_deref(), async |lake, lock| {
                lake.move_to_postgresql(&to, lock).await
            })
            .await?;
            printer::line(&format!(
                "{moved} rows of the catalog moved; several services may share the lake from now on"
            ))?;
            Ok(Exit::Done)
        }
        cli::Lake::Reconcile { place, all, format } => {
            super::reconcile::run(config, place.lake.as_deref(), all, format).await
        }
        cli::Lake::Verify { place, findings: true, since, until, json } => {
            super::verify_findings::run(config, place.lake.as_deref(), since, until, json).await
        }
        cli::Lake::Verify { place, json, .. } => verify(config, place.lake.as_deref(), json).await,
    }
}

/// Opens the lake, takes the writer lock, and runs `task`. The lock is released where the task succeeds; after a failed task
/// the next writer looks for files that it left.
async fn as_writer<T>(
    config: &Config,
    folder: Option<&Path>,
    task: impl AsyncFnOnce(&Lake, &WriterLock) -> Result<T, trailhound_ingest::lake::CatalogError>,
) -> Result<T, Failure> {
    let lake = lake::open(&config.lake(folder)?, config).await?;
    let lock = WriterLock::take(&lake)?;
    let result = task(&lake, &lock).await?;
    lock.release()?;
    Ok(result)
}

async fn info(config: &Config, folder: Option<&Path>, json: bool) -> Result<Exit, Failure> {
    let info = lake::open(&config.lake(folder)?, config).await?.info().await?;
    if json {
        printer::line(&serde_json::to_string(&info).map_err(Failure::internal)?)?;
    } else {
        print(&info)?;
    }
    Ok(Exit::Done)
}

async fn verify(config: &Config, folder: Option<&Path>, json: bool) -> Result<Exit, Failure> {
    let verification = lake::open(&config.lake(folder)?, config).await?.verify().await?;
    if json {
        printer::line(&serde_json::to_string(&verification).map_err(Failure::internal)?)?;
    } else {
        print_verification(&verification)?;
    }
    Ok(if verification.problems.is_empty() { Exit::Done } else { Exit::Found })
}

fn print_verification(verification: &LakeVerification) -> Result<(), Failure> {
    for problem in &verification.problems {
        printer::line(&format!("PROBLEM {problem}"))?;
    }
    printer::line(&format!(
        "{} files, {} rows checked; {} problems",
        verification.files,
        verification.rows,
        verification.problems.len()
    ))?;
    if verification.unreferenced_files > 0 {
        printer::line(&format!(
            "{} files of an interrupted run lie about; the next ingest removes them",
            verification.unreferenced_files
        ))?;
    }
    Ok(())
}

fn print(info: &LakeInfo) -> Result<(), Failure> {
    printer::line(&format!("lake      {}", info.folder))?;
    printer::line(&format!("snapshot  {} of {}", info.snapshot, info.snapshot_time))?;
    printer::line(&format!(
        "holds     {} events, {} quarantined, in {} files, {} bytes",
        info.events, info.quarantined, info.files, info.bytes
    ))?;
    let ledger = &info.ledger;
    printer::line(&format!(
        "ledger    {} received = {} stored + {} duplicate + {} quarantined + {} expired",
        ledger.received, ledger.stored, ledger.duplicate, ledger.quarantined, ledger.expired
    ))?;
    let mut days = printer::table(&["day", "files", "rows", "bytes"]);
    for day in &info.days {
        days.add_row(
            [day.day.clone(), day.files.to_string(), day.rows.to_string(), day.bytes.to_string()]
                .map(printer::cell),
        );
    }
    printer::line(&days.to_string())?;
    print_sources(info)?;
    print_gaps(info)
}

fn print_sources(info: &LakeInfo) -> Result<(), Failure> {
    let mut sources = printer::table(&[
        "source",
        "objects done",
        "in part",
        "noted",
        "received",
        "stored",
        "duplicate",
        "quarantined",
        "expired",
    ]);
    for source in &info.sources {
        let ledger = &source.ledger;
        let counts = [
            source.objects_done,
            source.objects_open,
            source.objects_noted,
            ledger.received,
            ledger.stored,
            ledger.duplicate,
            ledger.quarantined,
            ledger.expired,
        ];
        sources.add_row(
            std::iter::once(source.source.clone())
                .chain(counts.iter().map(u64::to_string))
                .map(printer::cell),
        );
    }
    printer::line(&sources.to_string())?;
    Ok(())
}

fn print_gaps(info: &LakeInfo) -> Result<(), Failure> {
    if info.gaps.is_empty() {
        return Ok(());
    }
    let mut gaps =
        printer::table(&["source", "missing from", "first", "first after", "reason", "noted"]);
    for gap in &info.gaps {
        let (from, to) = (gap.from.to_string(), gap.to.to_string());
        gaps.add_row(
            [&gap.source, &gap.object, &from, &to, &gap.reason, &gap.noted_at].map(printer::cell),
        );
    }
    printer::line(&gaps.to_string())?;
    printer::line(
        "what is missing can be filled from an export of that time: trailhound ingest PATH...; what is there already is not stored twice",
    )?;
    Ok(())
}
