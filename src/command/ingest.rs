//! `trailhound ingest`.

use super::progress;
use crate::cli;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use std::path::Path;
use std::sync::Arc;
use trailhound_datasets::sanitize::sanitize;
use trailhound_ingest::source::files;
use trailhound_ingest::{IngestReport, Progress};

pub(crate) async fn run(config: &Config, args: cli::Ingest) -> Result<Exit, Failure> {
    let folder = config.lake(args.place.lake.as_deref())?;
    let report = into_lake(config, &args.paths, &folder).await?;
    if args.json {
        printer::line(&serde_json::to_string(&report).map_err(Failure::internal)?)?;
    } else {
        for line in summary(&report) {
            printer::line(&line)?;
        }
        printer::line(&format!("lake: {}", folder.display()))?;
    }
    Ok(if report.is_incomplete() { Exit::Incomplete } else { Exit::Done })
}

/// Ingests `paths` into the lake in `folder`, showing progress and telling what was odd.
pub(crate) async fn into_lake(
    config: &Config,
    paths: &[String],
    folder: &Path,
) -> Result<IngestReport, Failure> {
    let inputs = files::find(paths).map_err(Failure::usage)?;
    if inputs.inputs.is_empty() && inputs.unreadable.is_empty() {
        return Err(Failure::Usage(format!("no files below {}", paths.join(", "))));
    }
    let lake = lake::create_or_open(folder, config).await?;
    let progress = Arc::new(Progress::default());
    let shown = progress::show(&progress, &inputs);
    let report = trailhound_ingest::ingest(&lake, inputs, &config.ingest_options(), progress).await;
    drop(shown);
    let report = report?;
    for (object, note) in report.notes.iter().take(NOTES_SHOWN) {
        printer::talk(&format!("note: {}: {}", sanitize(object), sanitize(note)));
    }
    if report.notes.len() > NOTES_SHOWN {
        printer::talk(&format!(
            "note: and {} more like these; `trailhound ingest --json` lists all",
            report.notes.len() - NOTES_SHOWN
        ));
    }
    for (path, reason) in &report.unreadable {
        printer::talk(&format!(
            "warning: `{}` could not be read: {}",
            sanitize(path),
            sanitize(reason)
        ));
    }
    Ok(report)
}

/// Notes told one by one.
const NOTES_SHOWN: usize = 10;

/// The ledger in words.
pub(crate) fn summary(report: &IngestReport) -> Vec<String> {
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
            "{} objects were in the lake already and are unchanged: nothing read, nothing stored",
            report.objects_unchanged
        ));
    }
    for (reason, count) in &report.quarantine_reasons {
        lines.push(format!(
            "quarantined: {count} x {reason}  (SELECT * FROM quarantine WHERE code = '{reason}')"
        ));
    }
    lines
}
