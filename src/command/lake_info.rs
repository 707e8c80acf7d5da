//! Prints the content of a lake for people.

use crate::exit::Failure;
use crate::printer;
use chrono_tz::Tz;
use comfy_table::Table;
use trailhound_datasets::sanitize::sanitize;
use trailhound_ingest::lake::LakeInfo;
use trailhound_queries::local_time::local_text;

/// Prints the folder, the newest snapshot, the counts, and a table each of days, sources and gaps.
pub(super) fn print(info: &LakeInfo, zone: Tz) -> Result<(), Failure> {
    printer::line(&format!("lake      {}", info.folder))?;
    printer::line(&format!(
        "snapshot  {} of {}",
        info.snapshot,
        local_text(&info.snapshot_time, zone)
    ))?;
    printer::line(&format!(
        "holds     {} events, {} quarantined, in {} files, {} bytes",
        info.events, info.quarantined, info.files, info.bytes
    ))?;
    let ledger = &info.ledger;
    printer::line(&format!(
        "ledger    {} received = {} stored + {} duplicate + {} quarantined + {} expired",
        ledger.received, ledger.stored, ledger.duplicate, ledger.quarantined, ledger.expired
    ))?;
    printer::line(&days(info).to_string())?;
    printer::line(&sources(info).to_string())?;
    for source in &info.sources {
        if let Some(seen) = &source.survey {
            let trouble = if seen.survey.reads_nothing() { " NOTHING OF IT IS READ:" } else { "" };
            printer::line(&sanitize(&format!(
                "source {} at {}:{trouble} {}",
                source.source,
                seen.surveyed_at,
                seen.survey.describe()
            )))?;
        }
    }
    for aside in &info.aside {
        printer::line(&format!(
            "aside     {} files of {} bytes that no commit refers to, moved on {}, removed from {} on",
            aside.files, aside.bytes, aside.day, aside.removed_on
        ))?;
    }
    if !info.gaps.is_empty() {
        printer::line(&gaps(info, zone).to_string())?;
        printer::line(
            "to fill a gap, ingest an export of that time: trailhound ingest PATH...; events that are stored already are not stored again",
        )?;
    }
    Ok(())
}

fn days(info: &LakeInfo) -> Table {
    let mut table = printer::table(&["day (UTC)", "files", "rows", "bytes"]);
    for day in &info.days {
        let row =
            [day.day.clone(), day.files.to_string(), day.rows.to_string(), day.bytes.to_string()];
        table.add_row(row.map(printer::cell));
    }
    table
}

fn sources(info: &LakeInfo) -> Table {
    let mut table = printer::table(&[
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
        table.add_row(
            std::iter::once(source.source.clone())
                .chain(counts.iter().map(u64::to_string))
                .map(printer::cell),
        );
    }
    table
}

fn gaps(info: &LakeInfo, zone: Tz) -> Table {
    let mut table =
        printer::table(&["source", "missing from", "first", "first after", "reason", "noted"]);
    for gap in &info.gaps {
        let (from, to) = (gap.from.to_string(), gap.to.to_string());
        let noted_at = local_text(&gap.noted_at, zone);
        table.add_row(
            [&gap.source, &gap.object, &from, &to, &gap.reason, &noted_at].map(printer::cell),
        );
    }
    table
}
