//! `trailhound lake`.

use crate::cli;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use trailhound_ingest::lake::{Lake, LakeInfo, WriterLock};

pub(crate) async fn run(config: &Config, args: cli::Lake) -> Result<Exit, Failure> {
    match args {
        cli::Lake::Info { place, json } => {
            let info = Lake::open(&config.lake(place.lake.as_deref())?).await?.info().await?;
            if json {
                printer::line(&serde_json::to_string(&info).map_err(Failure::internal)?)?;
            } else {
                print(&info)?;
            }
            Ok(Exit::Done)
        }
        cli::Lake::Compact { place } => {
            let lake = Lake::open(&config.lake(place.lake.as_deref())?).await?;
            let lock = WriterLock::take(&lake)?;
            let done = lake.compact(config.ingest_options().now_micros).await?;
            lock.release()?;
            printer::line(&format!("{} files merged into {}", done.merged, done.made))?;
            Ok(Exit::Done)
        }
        cli::Lake::Expire { place } => {
            let options = config.ingest_options();
            let oldest = options.oldest_micros.ok_or_else(|| {
                Failure::Usage("nothing says how long events are kept; write `retention_days = 400` under [lake]".to_owned())
            })?;
            let lake = Lake::open(&config.lake(place.lake.as_deref())?).await?;
            let lock = WriterLock::take(&lake)?;
            let dropped = lake.drop_days_before(oldest, options.now_micros).await?;
            lock.release()?;
            printer::line(&format!("{} rows in {} files dropped", dropped.rows, dropped.files))?;
            Ok(Exit::Done)
        }
        cli::Lake::Migrate { place, to } => {
            let lake = Lake::open(&config.lake(place.lake.as_deref())?).await?;
            let lock = WriterLock::take(&lake)?;
            let moved = lake.migrate(&to, &lock).await?;
            lock.release()?;
            printer::line(&format!(
                "{moved} rows of the catalogue moved; several services may share the lake from now on"
            ))?;
            Ok(Exit::Done)
        }
        cli::Lake::Reconcile { place, all, format } => {
            super::reconcile::run(config, place.lake.as_deref(), all, format).await
        }
        cli::Lake::Verify { place, findings: true, since, until, json } => {
            super::verify_findings::run(config, place.lake.as_deref(), since, until, json).await
        }
        cli::Lake::Verify { place, json, .. } => {
            let verified = Lake::open(&config.lake(place.lake.as_deref())?).await?.verify().await?;
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
                        "{} files of an interrupted run lie about; the next ingest removes them",
                        verified.unreferenced_files
                    ))?;
                }
            }
            Ok(if verified.problems.is_empty() { Exit::Done } else { Exit::Found })
        }
    }
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
    if !info.gaps.is_empty() {
        let mut gaps =
            printer::table(&["source", "missing from", "first", "first after", "reason", "noted"]);
        for gap in &info.gaps {
            let (from, to) = (gap.from.to_string(), gap.to.to_string());
            gaps.add_row(
                [&gap.source, &gap.object, &from, &to, &gap.reason, &gap.noted_at]
                    .map(printer::cell),
            );
        }
        printer::line(&gaps.to_string())?;
        printer::line(
            "what is missing can be filled from an export of that time: trailhound ingest PATH...; what is there already is not stored twice",
        )?;
    }
    Ok(())
}
