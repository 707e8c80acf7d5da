//! Measures the stages of ingest on one thread: gunzip, decode, derive and key, columns, encode.
//! Results are nanoseconds per event.

use flate2::read::GzDecoder;
use serde_json::json;
use std::io::{Cursor, Read};
use trailhound_benches::{median, print_result};
use trailhound_datasets::derive::DerivedFacts;
use trailhound_datasets::event::Event;
use trailhound_datasets::generate::{Traffic, TrafficSpec};
use trailhound_datasets::key::event_key;
use trailhound_datasets::reject::Reject;
use trailhound_ingest::decode::{self, DecodeLimits, RecordSink, SinkStopped};

const NOW: i64 = 1_790_812_800_000_000;
const EVENTS: u64 = 100_000;

/// Counts events; with `derive`, also derives their columns and keys.
struct CountingSink {
    events: u64,
    derive: bool,
    /// Makes sure that keys are computed and not optimized away.
    check: u64,
}

impl RecordSink for CountingSink {
    fn event(&mut self, event: &Event<'_>) -> Result<(), SinkStopped> {
        self.events += 1;
        if self.derive {
            let derived = DerivedFacts::of(event);
            self.check ^= u64::from(event_key(event, derived.event_time)[15]);
        }
        Ok(())
    }

    fn reject(&mut self, _: Reject) -> Result<(), SinkStopped> {
        Ok(())
    }

    fn notice(&mut self, _: &'static str) {}
}

fn main() {
    let spec = TrafficSpec {
        events: EVENTS,
        seed: 1,
        company: None,
        stories: Vec::new(),
        end_micros: NOW,
        days: 5,
    };
    let packed: Vec<Vec<u8>> = Traffic::new(spec)
        .map(|traffic| traffic.files().map(|file| file.content).collect())
        .unwrap_or_default();
    let unpack = |content: &[u8]| {
        let mut text = Vec::new();
        GzDecoder::new(content).read_to_end(&mut text).map(|_| text).unwrap_or_default()
    };
    let texts: Vec<Vec<u8>> = packed.iter().map(|content| unpack(content)).collect();
    let bytes: usize = texts.iter().map(Vec::len).sum();
    let per_event = |seconds: f64| (seconds * 1e9 / EVENTS as f64).round();
    let gunzip = median(5, || packed.iter().for_each(|content| drop(unpack(content))));
    let run = |derive: bool| {
        median(5, || {
            let mut count = CountingSink { events: 0, derive, check: 0 };
            for text in &texts {
                let _ = decode::object(
                    Cursor::new(&text[..]),
                    None,
                    &DecodeLimits::default(),
                    &mut count,
                );
            }
            assert_eq!(count.events, EVENTS);
        })
    };
    let (scan, derive) = (run(false), run(true));
    let columns = median(5, || {
        for text in &texts {
            trailhound_ingest::decode_to_batch(text, NOW)
                .map(drop)
                .unwrap_or_else(|e| panic!("{e}"));
        }
    });
    // Batches of 2,048 rows, as in the pipeline.
    let batches: Vec<_> = texts
        .iter()
        .map(|text| trailhound_ingest::decode_to_batch(text, NOW).unwrap_or_else(|e| panic!("{e}")))
        .flat_map(|batch| {
            (0..batch.num_rows())
                .step_by(2048)
                .map(move |row| batch.slice(row, 2048.min(batch.num_rows() - row)))
        })
        .collect();
    let encode = median(5, || {
        drop(trailhound_ingest::lake::encoded(&batches).unwrap_or_else(|e| panic!("{e}")))
    });
    let general = median(3, || texts.iter().for_each(|text| drop(decode::oracle::events(text))));
    print_result(
        "stages",
        json!({
            "events": EVENTS, "bytes_per_event": bytes as f64 / EVENTS as f64, "unit": "ns per event, one thread",
            "gunzip": per_event(gunzip), "decode": per_event(scan), "derive_and_key": per_event(derive - scan),
            "columns": per_event(columns - derive), "encode": per_event(encode), "serde_json_value": per_event(general),
        }),
    );
}
