//! `trailhound sinks`: who is told, and whether a sink takes what it is sent.

use super::outbox::moment;
use crate::cli::{self, Format};
use crate::config::{Config, Ready};
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use serde_json::json;
use trailhound_detect::finding::health::sample_finding;
use trailhound_detect::store::outbox::{self, DeliveryOutcome, OutboxCount, OutboxMessage};

pub(crate) async fn run(config: &Config, command: cli::Sinks) -> Result<Exit, Failure> {
    let (sinks, _) = config.sinks()?;
    match command {
        cli::Sinks::List { place, format } => {
            list(config, &sinks, place.lake.as_deref(), format).await
        }
        cli::Sinks::Test { name } => test(config, sinks, &name).await,
    }
}

async fn list(
    config: &Config,
    sinks: &[Ready],
    lake: Option<&std::path::Path>,
    format: Format,
) -> Result<Exit, Failure> {
    let counts = match lake::open(&config.lake(lake)?, config).await {
        Ok(lake) => outbox::counts(lake.catalog()).await.map_err(Failure::internal)?,
        // Before the first run there is nothing to count.
        Err(trailhound_ingest::lake::CatalogError::Missing { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    const HEADER: [&str; 6] = ["sink", "kind", "pending", "parked", "delivered", "oldest pending"];
    let rows = sinks.iter().map(|ready| {
        let of = |state: &str| {
            counts.iter().find(|count| count.sink == ready.name && count.state == state)
        };
        let rows = |state: &str| of(state).map_or(0, |count: &OutboxCount| count.rows).to_string();
        let oldest = of("pending").map(|count| moment(count.oldest)).unwrap_or_default();
        [
            ready.name.clone(),
            ready.kind.to_owned(),
            rows("pending"),
            rows(outbox::DEAD_LETTERED),
            rows("delivered"),
            oldest,
        ]
    });
    match format {
        Format::Table => {
            let mut table = printer::table(&HEADER);
            for row in rows {
                table.add_row(row.map(printer::cell));
            }
            printer::line(&table.to_string())?;
        }
        Format::Csv => printer::csv(&HEADER, rows.map(|row| row.to_vec()))?,
        Format::Json => {
            for [sink, kind, pending, parked, delivered, oldest] in rows {
                let value = json!({"sink": sink, "kind": kind, "pending": pending, "parked": parked, "delivered": delivered, "oldest_pending": oldest});
                printer::line(&value.to_string())?;
            }
        }
    }
    Ok(Exit::Done)
}

async fn test(config: &Config, sinks: Vec<Ready>, name: &str) -> Result<Exit, Failure> {
    let names: Vec<String> = sinks.iter().map(|ready| ready.name.clone()).collect();
    let Some(mut ready) = sinks.into_iter().find(|ready| ready.name == name) else {
        return Err(Failure::Usage(match names.as_slice() {
            [] => "the configuration has no [[sink]]".to_owned(),
            some => format!("there is no sink `{name}`; there is {}", some.join(", ")),
        }));
    };
    let finding = sample_finding(config.now().timestamp_micros());
    let body = serde_json::to_string(&finding).map_err(Failure::internal)?;
    let deliveries = ready
        .sink
        .deliver(&[OutboxMessage { finding, revision: 1, attempts: 0, body }], config.now())
        .await;
    let (words, exit) = match deliveries.into_iter().next().unwrap_or(DeliveryOutcome::NotAttempted)
    {
        DeliveryOutcome::Delivered(proof) => {
            (format!("{name} ({}) has taken it: {proof}", ready.kind), Exit::Done)
        }
        DeliveryOutcome::DeadLettered(reason) => {
            (format!("{name} ({}) refuses it, and will again: {reason}", ready.kind), Exit::Found)
        }
        DeliveryOutcome::Retry { reason, .. } => {
            (format!("{name} ({}) does not take it now: {reason}", ready.kind), Exit::Found)
        }
        DeliveryOutcome::NotAttempted => {
            (format!("{name} ({}) was not asked", ready.kind), Exit::Found)
        }
    };
    printer::line(&words)?;
    Ok(exit)
}
