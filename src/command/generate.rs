//! `trailhound generate`.

use crate::cli::{self, Destination};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use chrono::{SecondsFormat, Utc};
use flate2::read::GzDecoder;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};
use trailhound_datasets::generate::{STORY_NAMES, Traffic, TrafficSpec};
use trailhound_ingest::source::kafka::{SendError, TopicProducer};
use trailhound_ingest::source::oss::BucketWriter;

pub(crate) async fn run(config: &Config, args: &cli::Generate) -> Result<Exit, Failure> {
    let spec = TrafficSpec {
        events: args.events,
        seed: args.seed,
        company: args.company,
        stories: args.story.iter().cloned().collect(),
        end_micros: config.ingest_options().now_micros,
        days: args.days,
    };
    if args.to == Some(Destination::Oss) {
        let put = put(config, spec, args).await?;
        printer::talk(&format!("{} events put into {put} objects", args.events));
    } else if let Some(servers) = &args.bootstrap_servers {
        let sent = tokio::task::block_in_place(|| send(spec, servers, args))?;
        printer::talk(&format!("{sent} events sent to the topic `{}`", args.topic));
    } else if let Some(out) = &args.out {
        let files = write(spec, out)?;
        printer::talk(&format!(
            "{} events in {files} files below {}, with trailhound.toml and truth.json",
            args.events,
            out.display()
        ));
    }
    Ok(Exit::Done)
}

fn plan(spec: TrafficSpec) -> Result<Traffic, Failure> {
    Traffic::new(spec).map_err(|unknown| {
        Failure::Usage(format!(
            "there is no story `{unknown}`; there are {}",
            STORY_NAMES.join(", ")
        ))
    })
}

/// Writes what belongs to the traffic beside its events.
fn write_expected(traffic: &Traffic, out: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(out)?;
    std::fs::write(out.join("trailhound.toml"), traffic.configuration())?;
    std::fs::write(out.join("truth.json"), format!("{:#}\n", traffic.expected_findings()))?;
    Ok(())
}

/// Sends the events of `spec` one by one; returns their number.
fn send(spec: TrafficSpec, servers: &str, args: &cli::Generate) -> Result<u64, Failure> {
    let traffic = plan(spec)?;
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
            let sent_now = if args.live { Some(happening_now(event)?) } else { None };
            send_one(&sender, sent_now.as_deref().unwrap_or(event.get()), sent)
                .map_err(Failure::internal)?;
            sent += 1;
        }
    }
    sender.flush().map_err(Failure::internal)?;
    Ok(sent)
}

/// Puts the objects of `spec` into the bucket that the configuration names; returns their number.
async fn put(config: &Config, spec: TrafficSpec, args: &cli::Generate) -> Result<usize, Failure> {
    let traffic = plan(spec)?;
    if let Some(out) = &args.out {
        write_expected(&traffic, out)?;
    }
    let buckets = config.live_options()?.oss;
    let bucket = buckets.first().ok_or_else(|| {
        Failure::Usage("the configuration names no bucket; write a [[source.oss]]".to_owned())
    })?;
    let writer = BucketWriter::new(bucket).map_err(Failure::usage)?;
    let mut count = 0;
    for file in traffic.files() {
        writer.put(&file.path, file.content).await.map_err(Failure::internal)?;
        count += 1;
    }
    Ok(count)
}

/// The event with the present as its time.
fn happening_now(event: &RawValue) -> Result<String, Failure> {
    let mut event: Map<String, Value> =
        serde_json::from_str(event.get()).map_err(Failure::internal)?;
    event.insert(
        "eventTime".to_owned(),
        Value::from(Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)),
    );
    serde_json::to_string(&event).map_err(Failure::internal)
}

/// A Logstore with one field hands out the event itself under the field's name; one with more fields, a row of them all.
fn send_one(sender: &TopicProducer, event: &str, number: u64) -> Result<(), SendError> {
    if number.is_multiple_of(2) {
        return sender.send(Some("event"), event.as_bytes());
    }
    let row = json!({ "__topic__": "actiontrail_audit_event", "__source__": "actiontrail_internal", "event": event });
    sender.send(None, row.to_string().as_bytes())
}

/// Writes the traffic of `spec` below `out`; returns the number of files.
pub(crate) fn write(spec: TrafficSpec, out: &Path) -> Result<usize, Failure> {
    let traffic = plan(spec)?;
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
