//! `trailhound sinks`: lists the sinks and tests one with a sample finding.

use crate::cli::SinksCommand;
use crate::config::{Config, SinkInstance};
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::legacy_names::{DEAD_LETTERED, current_state};
use crate::list_output::{ListOptions, OutputFormat, Sheet};
use crate::printer;
use chrono_tz::Tz;
use serde_json::json;
use std::path::Path;
use trailhound_detect::finding::health::sample_finding;
use trailhound_detect::store::outbox::{self, DeliveryOutcome, OutboxCount, OutboxMessage};
use trailhound_ingest::lake::CatalogError;

/// Runs `trailhound sinks list` or `sinks test`.
pub(super) async fn run(config: &Config, command: SinksCommand) -> Result<Exit, Failure> {
    let (sinks, _) = config.sinks()?;
    match command {
        SinksCommand::List { lake, list } => print_list(config, &sinks, lake.folder(), list).await,
        SinksCommand::Test { name } => test(config, sinks, &name).await,
    }
}

async fn print_list(
    config: &Config,
    sinks: &[SinkInstance],
    folder: Option<&Path>,
    list: ListOptions,
) -> Result<Exit, Failure> {
    let format = list.checked_format()?;
    let counts = match lake::open(&config.lake(folder)?, config).await {
        Ok(lake) => outbox::counts(lake.catalog()).await.map_err(Failure::internal)?,
        // The lake does not exist before the first run.
        Err(CatalogError::Missing { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    // JSON has times in UTC.
    let zone = if format == OutputFormat::Json { Tz::UTC } else { config.time_zone };
    let rows: Vec<SinkRow> = sinks.iter().map(|sink| SinkRow::new(sink, &counts, zone)).collect();
    match format {
        OutputFormat::Table => {
            let mut table = printer::table(&TABLE_HEADER);
            for row in rows {
                table.add_row(row.fields().map(printer::cell));
            }
            printer::line(&table.to_string())?;
        }
        OutputFormat::Csv | OutputFormat::Xlsx => {
            let fields = |row: SinkRow| {
                let mut fields = row.fields().to_vec();
                fields.push(row.dead_lettered.to_string());
                fields
            };
            let numbers = &["pending", "parked", "dead_lettered", "delivered"];
            let sheet = Sheet { name: "sinks", header: &CSV_HEADER, numbers };
            list.write_sheet(&sheet, rows.into_iter().map(fields))?;
        }
        OutputFormat::Json => {
            for row in rows {
                let [sink, kind, pending, dead_lettered, delivered, oldest] = row.fields();
                let value = json!({
                    "sink": sink, "kind": kind, "pending": pending, "parked": dead_lettered, "dead_lettered": dead_lettered,
                    "delivered": delivered, "oldest_pending": oldest,
                });
                printer::line(&value.to_string())?;
            }
        }
    }
    Ok(Exit::Success)
}

const TABLE_HEADER: [&str; 6] =
    ["sink", "kind", "pending", "dead_lettered", "delivered", "oldest pending"];

/// `parked` is the name of `dead_lettered` before 0.2.0; both are given until 0.3.0.
const CSV_HEADER: [&str; 7] =
    ["sink", "kind", "pending", "parked", "delivered", "oldest pending", "dead_lettered"];

/// A sink with the number of its messages in the outbox.
struct SinkRow {
    name: String,
    kind: &'static str,
    pending: i64,
    dead_lettered: i64,
    delivered: i64,
    /// Time since which the oldest pending message waits, RFC 3339; empty if there is none.
    oldest_pending: String,
}

impl SinkRow {
    fn new(sink: &SinkInstance, counts: &[OutboxCount], zone: Tz) -> Self {
        let of = |state: &str| {
            counts
                .iter()
                .find(|count| count.sink == sink.name && current_state(&count.state) == state)
        };
        let rows = |state: &str| of(state).map_or(0, |count| count.rows);
        Self {
            name: sink.name.clone(),
            kind: sink.kind,
            pending: rows("pending"),
            dead_lettered: rows(DEAD_LETTERED),
            delivered: rows("delivered"),
            oldest_pending: of("pending")
                .map(|count| printer::local_timestamp(count.oldest, zone))
                .unwrap_or_default(),
        }
    }

    /// The fields of [`TABLE_HEADER`].
    fn fields(&self) -> [String; 6] {
        [
            self.name.clone(),
            self.kind.to_owned(),
            self.pending.to_string(),
            self.dead_lettered.to_string(),
            self.delivered.to_string(),
            self.oldest_pending.clone(),
        ]
    }
}

/// Sends a sample finding to the sink `name`. Fails the check if the sink does not accept it.
async fn test(config: &Config, sinks: Vec<SinkInstance>, name: &str) -> Result<Exit, Failure> {
    let names: Vec<String> = sinks.iter().map(|sink| sink.name.clone()).collect();
    let Some(mut instance) = sinks.into_iter().find(|sink| sink.name == name) else {
        return Err(Failure::Usage(match names.as_slice() {
            [] => "the configuration has no [[sink]]".to_owned(),
            names => format!("there is no sink `{name}`; there is {}", names.join(", ")),
        }));
    };
    let finding = sample_finding(config.now().timestamp_micros());
    let body = serde_json::to_string(&finding).map_err(Failure::internal)?;
    let message = OutboxMessage { finding, revision: 1, attempts: 0, body };
    let deliveries = instance.sink.deliver(&[message], config.now()).await;
    let (message, exit) =
        match deliveries.into_iter().next().unwrap_or(DeliveryOutcome::NotAttempted) {
            DeliveryOutcome::Delivered(proof) => {
                (format!("{name} ({}) accepted it: {proof}", instance.kind), Exit::Success)
            }
            DeliveryOutcome::DeadLettered(reason) => (
                format!("{name} ({}) rejects it for good: {reason}", instance.kind),
                Exit::CheckFailed,
            ),
            DeliveryOutcome::Retry { reason, .. } => (
                format!("{name} ({}) does not accept it now: {reason}", instance.kind),
                Exit::CheckFailed,
            ),
            DeliveryOutcome::NotAttempted => {
                (format!("{name} ({}) was not tried", instance.kind), Exit::CheckFailed)
            }
        };
    printer::line(&message)?;
    Ok(exit)
}
