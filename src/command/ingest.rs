//! `trailhound ingest`, which is also the first half of `scan`: reads exports into the lake.

use super::progress;
use crate::cli::IngestArgs;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use std::path::Path;
use std::sync::Arc;
use trailhound_datasets::sanitize::sanitize;
use trailhound_ingest::source::files;
use trailhound_ingest::{IngestReport, Progress};

/// Ingests files and prints the ledger.
pub(super) async fn run(config: &Config, args: IngestArgs) -> Result<Exit, Failure> {
    let folder = config.lake(args.lake.folder())?;
    let report = ingest_files(config, &args.paths, &folder).await?;
    if args.json {
        printer::line(&serde_json::to_string(&report).map_err(Failure::internal)?)?;
    } else {
        for line in summary(&report) {
            printer::line(&line)?;
        }
        printer::line(&format!("lake: {}", folder.display()))?;
    }
    Ok(if report.is_incomplete() { Exit::Incomplete } else { Exit::Success })
}

/// Maximum number of notes that are printed.
const NOTES_SHOWN: usize = 10;

/// Ingests the files at `paths` into the lake in `folder`, which is created if it does not exist.
/// Shows progress, and writes notes and unreadable files to standard error.
pub(super) async fn ingest_files(
    config: &Config,
    paths: &[String],
    folder: &Path,
) -> Result<IngestReport, Failure> {
    let inputs = files::find(paths).map_err(Failure::usage)?;
    if inputs.inputs.is_empty() && inputs.unreadable.is_empty() {
        return Err(Failure::Usage(format!("no files below {}", paths.join(", "))));
    }
    let lake = lake::create_or_open(folder, config).await?;
    let mut options = config.ingest_options();
    if options.oldest_micros.is_some() && !lake::is_time_confirmed(&lake, config).await? {
        // What is left out is lost; what is stored can be dropped later.
        options.oldest_micros = None;
        printer::message(
            "note: nothing confirms the clock of this machine, so events beyond the retention are stored too; `--now TIME` tells the time",
        );
    }
    let progress = Arc::new(Progress::default());
    let display = progress::show(&progress, &inputs);
    let report = trailhound_ingest::ingest(&lake, inputs, &options, progress).await;
    drop(display);
    let report = report?;
    for (object, note) in report.notes.iter().take(NOTES_SHOWN) {
        printer::message(&format!("note: {}: {}", sanitize(object), sanitize(note)));
    }
    if report.notes.len() > NOTES_SHOWN {
        printer::message(&format!(
            "note: and {} more notes; `trailhound ingest --json` lists all",
            report.notes.len() - NOTES_SHOWN
        ));
    }
    for (path, reason) in &report.unreadable {
        printer::warning(&format!("`{}` could not be read: {}", sanitize(path), sanitize(reason)));
    }
    Ok(report)
}

/// Lines that sum up the ingest: the ledger, unchanged objects, quarantined records by reason.
pub(super) fn summary(report: &IngestReport) -> Vec<String> {
    let ledger = &report.ledger;
    let mut lines = vec![format!(
        "{} records received = {} stored + {} duplicate + {} quarantined + {} expired, from {} objects",
        ledger.received,
        ledger.stored,
        ledger.duplicate,
        ledger.quarantined,
        ledger.expired,
        report.objects
    )];
    if report.objects_unchanged > 0 {
        lines.push(format!(
            "{} objects were in the lake already and are unchanged: they were not read again",
            report.objects_unchanged
        ));
    }
    for (reason, count) in &report.quarantine_reasons {
        lines.push(format!(
            "quarantined: {count} x {reason}  (SELECT * FROM quarantine WHERE code = '{reason}')"
        ));
    }
    if report.facts.not_understood > 0 {
        lines.push(format!(
            "not understood: facts of {} of {} stored events: {}  (SELECT * FROM comprehension WHERE not_understood > 0); \
             rules that read them say `undetermined`",
            report.facts.not_understood,
            report.facts.events,
            report.facts.describe_not_understood()
        ));
    }
    lines
}
