//! `trailhound generate`: writes sample traffic to files, a Kafka topic or a bucket.

use crate::cli::{Destination, GenerateArgs};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use chrono::{DateTime, SecondsFormat, Utc};
use flate2::read::GzDecoder;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trailhound_datasets::generate::{STORY_NAMES, Traffic, TrafficSpec};
use trailhound_ingest::Clock;
use trailhound_ingest::source::kafka::{SendError, TopicProducer};
use trailhound_ingest::source::oss::BucketWriter;

/// Generates the traffic that `args` describe.
#[expect(clippy::disallowed_methods, reason = "live traffic has the times at which it is sent")]
pub(super) async fn run(config: &Config, args: &GenerateArgs) -> Result<Exit, Failure> {
    let spec = TrafficSpec {
        events: args.events,
        seed: args.seed,
        company: args.company,
        stories: args.story.iter().cloned().collect(),
        end_micros: config.ingest_options().now_micros,
        days: args.days,
    };
    if args.to == Some(Destination::Oss) {
        let objects = put_objects(config, spec, args).await?;
        printer::message(&format!("{} events written to {objects} objects", args.events));
    } else if let Some(servers) = &args.bootstrap_servers {
        // `--live` dates events by the time at which they are sent, also where `--now` is given.
        let wall_clock: Clock = Arc::new(|| Utc::now().timestamp_micros());
        let sent = tokio::task::block_in_place(|| send_events(spec, servers, args, &wall_clock))?;
        printer::message(&format!("{sent} events sent to the topic `{}`", args.topic));
    } else if let Some(out) = &args.out {
        let files = write_files(spec, out)?;
        printer::message(&format!(
            "{} events in {files} files below {}, with trailhound.toml and truth.json",
            args.events,
            out.display()
        ));
    }
    Ok(Exit::Success)
}

/// The traffic that `spec` describes.
fn plan_traffic(spec: TrafficSpec) -> Result<Traffic, Failure> {
    Traffic::new(spec).map_err(|unknown| {
        Failure::Usage(format!(
            "there is no story `{unknown}`; there are {}",
            STORY_NAMES.join(", ")
        ))
    })
}

/// Writes the configuration that belongs to the traffic, and the findings that a correct detector
/// reports for it.
fn write_expected(traffic: &Traffic, out: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(out)?;
    std::fs::write(out.join("trailhound.toml"), traffic.configuration())?;
    std::fs::write(out.join("truth.json"), format!("{:#}\n", traffic.expected_findings()))?;
    Ok(())
}

/// Sends the events to the Kafka topic one by one, at the rate of `args`. Returns their number.
#[expect(clippy::disallowed_methods, reason = "the traffic is sent at a steady rate")]
fn send_events(
    spec: TrafficSpec,
    servers: &str,
    args: &GenerateArgs,
    clock: &Clock,
) -> Result<u64, Failure> {
    let traffic = plan_traffic(spec)?;
    if let Some(out) = &args.out {
        write_expected(&traffic, out)?;
    }
    let settings = BTreeMap::from([("bootstrap.servers".to_owned(), servers.to_owned())]);
    let sender = TopicProducer::connect(&settings, &args.topic).map_err(Failure::usage)?;
    let started = Instant::now();
    let mut sent = 0;
    for file in traffic.files() {
        let mut text = String::new();
        GzDecoder::new(&file.content[..]).read_to_string(&mut text)?;
        let events: Vec<&RawValue> = serde_json::from_str(&text).map_err(Failure::internal)?;
        for event in events {
            if let Some(rate) = args.rate {
                let due = started
                    + Duration::from_secs_f64(
                        f64::from(u32::try_from(sent).unwrap_or(u32::MAX)) / f64::from(rate.get()),
                    );
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            let live = if args.live { Some(with_time(event, clock())?) } else { None };
            send_event(&sender, live.as_deref().unwrap_or(event.get()), sent)
                .map_err(Failure::internal)?;
            sent += 1;
        }
    }
    sender.flush().map_err(Failure::internal)?;
    Ok(sent)
}

/// Writes the files as objects into the first bucket of the configuration. Returns their number.
async fn put_objects(
    config: &Config,
    spec: TrafficSpec,
    args: &GenerateArgs,
) -> Result<usize, Failure> {
    let traffic = plan_traffic(spec)?;
    if let Some(out) = &args.out {
        write_expected(&traffic, out)?;
    }
    let buckets = config.live_options(&config.checked_clock(None))?.oss;
    let bucket = buckets.first().ok_or_else(|| {
        Failure::Usage("the configuration has no bucket; write a [[source.oss]]".to_owned())
    })?;
    let writer = BucketWriter::new(bucket).map_err(Failure::usage)?;
    let mut count = 0;
    for file in traffic.files() {
        writer.put(&file.path, file.content).await.map_err(Failure::internal)?;
        count += 1;
    }
    Ok(count)
}

/// The event with its time set to `now`, microseconds since 1970 UTC.
fn with_time(event: &RawValue, now: i64) -> Result<String, Failure> {
    let mut event: Map<String, Value> =
        serde_json::from_str(event.get()).map_err(Failure::internal)?;
    let time = DateTime::<Utc>::from_timestamp_micros(now).unwrap_or_default();
    event.insert(
        "eventTime".to_owned(),
        Value::from(time.to_rfc3339_opts(SecondsFormat::Secs, true)),
    );
    serde_json::to_string(&event).map_err(Failure::internal)
}

/// Sends one event. Events alternate between the two layouts of a Logstore: a Logstore with one
/// field delivers the event itself, with the name of the field as the message key; a Logstore with
/// several fields delivers a row of fields.
fn send_event(sender: &TopicProducer, event: &str, number: u64) -> Result<(), SendError> {
    if number.is_multiple_of(2) {
        return sender.send(Some("event"), event.as_bytes());
    }
    let row = json!({ "__topic__": "actiontrail_audit_event", "__source__": "actiontrail_internal", "event": event });
    sender.send(None, row.to_string().as_bytes())
}

/// Writes the traffic to files below `out`. Returns their number.
pub(super) fn write_files(spec: TrafficSpec, out: &Path) -> Result<usize, Failure> {
    let traffic = plan_traffic(spec)?;
    write_expected(&traffic, out)?;
    let mut files = 0;
    for file in traffic.files() {
        let path = out.join("events").join(&file.path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, &file.content)?;
        files += 1;
    }
    Ok(files)
}
