//! `trailhound outbox`: lists, retries and dismisses the messages in the outbox.

use super::lake_access::open_lake;
use crate::cli::{OutboxCommand, OutboxState};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::legacy_names::{DEAD_LETTERED, PARKED, current_state, former_state};
use crate::list_output::{ListOptions, OutputFormat, Sheet};
use crate::printer;
use chrono_tz::Tz;
use serde_json::json;
use trailhound_detect::store::outbox::{self, OutboxRow};

/// Runs one of the commands on the outbox.
pub(super) async fn run(config: &Config, command: OutboxCommand) -> Result<Exit, Failure> {
    let now = config.now().timestamp_micros();
    match command {
        OutboxCommand::List { filter, state, limit, list } => {
            list.checked_format()?;
            let lake = open_lake(config, filter.lake.folder()).await?;
            let state = state.map(stored_state);
            let entries = outbox::list(lake.catalog(), filter.sink.as_deref(), state, limit)
                .await
                .map_err(Failure::internal)?;
            print(&entries, list, config.time_zone)?;
        }
        OutboxCommand::Retry { filter, finding } => {
            let lake = open_lake(config, filter.lake.folder()).await?;
            let finding = finding.unwrap_or_default();
            let rows = outbox::retry(lake.catalog(), filter.sink.as_deref(), &finding, now)
                .await
                .map_err(Failure::internal)?;
            printer::line(&format!("{rows} messages are due now; the service sends them"))?;
        }
        OutboxCommand::Dismiss { filter, finding, reason } => {
            let lake = open_lake(config, filter.lake.folder()).await?;
            let finding = finding.unwrap_or_default();
            let rows =
                outbox::dismiss(lake.catalog(), filter.sink.as_deref(), &finding, &reason, now)
                    .await
                    .map_err(Failure::internal)?;
            printer::line(&format!("{rows} messages dismissed"))?;
        }
    }
    Ok(Exit::Success)
}

/// The name under which the outbox stores `state`. The former name of a state is accepted with a
/// warning.
fn stored_state(state: OutboxState) -> &'static str {
    match state {
        OutboxState::Pending => "pending",
        OutboxState::Leased => "leased",
        OutboxState::Delivered => "delivered",
        OutboxState::DeadLettered => DEAD_LETTERED,
        OutboxState::Parked => {
            printer::warning(&format!(
                "the state `{PARKED}` is called `{DEAD_LETTERED}` since 0.2.0; the former name is accepted until 0.3.0"
            ));
            DEAD_LETTERED
        }
        OutboxState::Dismissed => "dismissed",
    }
}

const TABLE_HEADER: [&str; 9] =
    ["sink", "finding_id", "revision", "severity", "state", "attempts", "unsure", "queued", "note"];

/// Columns of the CSV output. Until version 0.3.0 the column `state` has the former names of states,
/// so that existing scripts keep working. The column `delivery_state` has the current names.
const CSV_HEADER: [&str; 10] = [
    "sink",
    "finding_id",
    "revision",
    "severity",
    "state",
    "attempts",
    "unsure",
    "queued",
    "note",
    "delivery_state",
];

/// The fields of [`TABLE_HEADER`], with `state` as the name of the message's state.
fn row(entry: &OutboxRow, state: &str, zone: Tz) -> [String; 9] {
    [
        entry.sink.clone(),
        entry.finding_id.clone(),
        entry.revision.to_string(),
        entry.severity.clone(),
        state.to_owned(),
        entry.attempts.to_string(),
        entry.unsure.to_string(),
        printer::local_timestamp(entry.queued_at, zone),
        entry.note.clone(),
    ]
}

fn print(entries: &[OutboxRow], list: ListOptions, zone: Tz) -> Result<(), Failure> {
    match list.format {
        OutputFormat::Table => {
            let mut table = printer::table(&TABLE_HEADER);
            for entry in entries {
                table.add_row(row(entry, current_state(&entry.state), zone).map(printer::cell));
            }
            printer::line(&table.to_string())?;
        }
        OutputFormat::Csv | OutputFormat::Xlsx => {
            let rows = entries.iter().map(|entry| {
                let mut row = row(entry, former_state(&entry.state), zone).to_vec();
                row.push(current_state(&entry.state).to_owned());
                row
            });
            let numbers = &["revision", "attempts", "unsure"];
            list.write_sheet(&Sheet { name: "outbox", header: &CSV_HEADER, numbers }, rows)?;
        }
        OutputFormat::Json => {
            for entry in entries {
                let value = json!({
                    "sink": entry.sink, "finding_id": entry.finding_id, "revision": entry.revision, "severity": entry.severity,
                    "state": former_state(&entry.state), "delivery_state": current_state(&entry.state),
                    "attempts": entry.attempts, "unsure": entry.unsure, "queued_at": printer::timestamp(entry.queued_at),
                    "due_at": printer::timestamp(entry.due_at), "note": entry.note,
                });
                printer::line(&value.to_string())?;
            }
        }
    }
    Ok(())
}
