//! `trailhound outbox`: what is still to be told to whom, and what somebody does about it.

use crate::cli::{self, Format, OutboxPlace, OutboxState};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use chrono::{DateTime, SecondsFormat};
use serde_json::json;
use trailhound_detect::store::outbox::{self, OutboxRow};
use trailhound_ingest::lake::Lake;

pub(crate) async fn run(config: &Config, command: cli::Outbox) -> Result<Exit, Failure> {
    let now = config.now().timestamp_micros();
    match command {
        cli::Outbox::List { which, state, limit, format } => {
            let lake = open(config, &which).await?;
            let state = state.map(name);
            let entries = outbox::list(lake.catalog(), which.sink.as_deref(), state, limit)
                .await
                .map_err(Failure::internal)?;
            print(&entries, format)?;
        }
        cli::Outbox::Retry { which, finding } => {
            let lake = open(config, &which).await?;
            let finding = finding.unwrap_or_default();
            let rows = outbox::retry(lake.catalog(), which.sink.as_deref(), &finding, now)
                .await
                .map_err(Failure::internal)?;
            printer::line(&format!("{rows} to be sent now by the service"))?;
        }
        cli::Outbox::Dismiss { which, finding, reason } => {
            let lake = open(config, &which).await?;
            let finding = finding.unwrap_or_default();
            let rows =
                outbox::dismiss(lake.catalog(), which.sink.as_deref(), &finding, &reason, now)
                    .await
                    .map_err(Failure::internal)?;
            printer::line(&format!("{rows} given up"))?;
        }
    }
    Ok(Exit::Done)
}

async fn open(config: &Config, which: &OutboxPlace) -> Result<Lake, Failure> {
    Ok(lake::open(&config.lake(which.place.lake.as_deref())?, config).await?)
}

fn name(state: OutboxState) -> &'static str {
    match state {
        OutboxState::Pending => "pending",
        OutboxState::Leased => "leased",
        OutboxState::Delivered => "delivered",
        OutboxState::Parked => outbox::DEAD_LETTERED,
        OutboxState::Dismissed => "dismissed",
    }
}

/// A moment of the outbox, RFC 3339.
pub(super) fn moment(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
        .unwrap_or_default()
}

const HEADER: [&str; 9] =
    ["sink", "finding_id", "revision", "severity", "state", "attempts", "unsure", "queued", "note"];

fn row(entry: &OutboxRow) -> [String; 9] {
    let OutboxRow { sink, finding_id, severity, state, note, .. } = entry.clone();
    let numbers = [entry.revision, entry.attempts, entry.unsure].map(|number| number.to_string());
    let [revision, attempts, unsure] = numbers;
    [sink, finding_id, revision, severity, state, attempts, unsure, moment(entry.queued_at), note]
}

fn print(entries: &[OutboxRow], format: Format) -> Result<(), Failure> {
    match format {
        Format::Table => {
            let mut table = printer::table(&HEADER);
            for entry in entries {
                table.add_row(row(entry).map(printer::cell));
            }
            printer::line(&table.to_string())?;
        }
        Format::Csv => printer::csv(&HEADER, entries.iter().map(|entry| row(entry).to_vec()))?,
        Format::Json => {
            for entry in entries {
                let value = json!({
                    "sink": entry.sink, "finding_id": entry.finding_id, "revision": entry.revision, "severity": entry.severity,
                    "state": entry.state, "attempts": entry.attempts, "unsure": entry.unsure, "queued_at": moment(entry.queued_at),
                    "due_at": moment(entry.due_at), "note": entry.note,
                });
                printer::line(&value.to_string())?;
            }
        }
    }
    Ok(())
}
