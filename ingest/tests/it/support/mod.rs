//! A sink that keeps what it receives, and rows as text to compare.

pub(crate) mod encodings;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::collections::BTreeMap;
use std::io::Cursor;
use trailhound_datasets::derive::DerivedFacts;
use trailhound_datasets::event::{Event, Field, Flag};
use trailhound_datasets::key::event_key;
use trailhound_datasets::rebuild;
use trailhound_datasets::reject::Reject;
use trailhound_ingest::decode::{self, Completeness, DecodeLimits, RecordSink, SinkStopped};

/// The present in all tests.
pub(crate) const NOW: i64 = 1_790_812_800_000_000; // 2026-10-01T00:00:00Z

/// What decoding gave.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// Rebuilt events.
    pub(crate) events: Vec<serde_json::Value>,
    pub(crate) keys: Vec<[u8; 16]>,
    pub(crate) flags: Vec<Vec<&'static str>>,
    pub(crate) rejects: Vec<Reject>,
    pub(crate) notices: Vec<&'static str>,
    pub(crate) partial: bool,
}

impl RecordSink for Decoded {
    fn event(&mut self, event: &Event<'_>) -> Result<(), SinkStopped> {
        let derived = DerivedFacts::of(event);
        let stored = rebuild::stored_columns(event, derived.needs_raw);
        // serde_json knows no half surrogates and no nesting beyond 127; such events are only named.
        self.events.push(
            rebuild::rebuild(&stored)
                .unwrap_or_else(|_| serde_json::json!({ "eventId": event.get(Field::EventId) })),
        );
        self.keys.push(event_key(event, derived.event_time));
        self.flags.push(derived.flags.iter().map(Flag::name).collect());
        Ok(())
    }

    fn reject(&mut self, reject: Reject) -> Result<(), SinkStopped> {
        self.rejects.push(reject);
        Ok(())
    }

    fn notice(&mut self, notice: &'static str) {
        self.notices.push(notice);
    }
}

impl Decoded {
    pub(crate) fn codes(&self) -> Vec<&'static str> {
        self.rejects.iter().map(|reject| reject.code.name()).collect()
    }

    pub(crate) fn ids(&self) -> Vec<&str> {
        self.events.iter().map(|event| event["eventId"].as_str().unwrap_or("")).collect()
    }
}

pub(crate) fn decode(content: &[u8]) -> Decoded {
    decode_within(content, &DecodeLimits::default())
}

pub(crate) fn decode_within(content: &[u8], limits: &DecodeLimits) -> Decoded {
    let mut decoded = Decoded::default();
    let end = decode::object(Cursor::new(content.to_vec()), None, limits, &mut decoded)
        .expect("the sink never stops");
    decoded.partial = end == Completeness::Partial;
    decoded
}

/// Rows of `content` as `column -> text`, without where and when they came in.
pub(crate) fn rows(content: &[u8]) -> Vec<BTreeMap<String, String>> {
    let batch = trailhound_ingest::decode_to_batch(content, NOW).unwrap_or_else(|e| panic!("{e}"));
    (0..batch.num_rows()).map(|row| row_of(&batch, row)).collect()
}

fn row_of(batch: &RecordBatch, row: usize) -> BTreeMap<String, String> {
    let provenance =
        ["source", "source_object", "source_partition", "source_position", "ingested_at"];
    let options = FormatOptions::default().with_null("");
    let mut shown = BTreeMap::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if column.is_null(row) || provenance.contains(&field.name().as_str()) {
            continue;
        }
        let text = ArrayFormatter::try_new(column, &options)
            .expect("a type that can be shown")
            .value(row)
            .to_string();
        shown.insert(field.name().clone(), text);
    }
    shown
}

/// A small event with the id `id`.
pub(crate) fn event(id: &str) -> String {
    event_at(id, "2026-09-21T02:14:05Z")
}

/// A small event with the id `id` at `time`.
pub(crate) fn event_at(id: &str, time: &str) -> String {
    format!(
        r#"{{"eventId":"{id}","eventName":"StartInstance","eventTime":"{time}","serviceName":"Ecs","userIdentity":{{"type":"ram-user","accountId":"1","userName":"a"}}}}"#
    )
}

/// The share of random cases that is asked for: `TRAILHOUND_TEST_SCALE`, 1 unless set.
pub(crate) fn scaled(cases: u64) -> u64 {
    let scale = std::env::var("TRAILHOUND_TEST_SCALE")
        .map_or(1.0, |scale| scale.parse::<f64>().expect("TRAILHOUND_TEST_SCALE is a number"));
    (cases as f64 * scale).ceil() as u64
}
