//! Any bytes into the decoder: it must not panic, and must give back what a general JSON parser gives. The fuzzer feeds it, and
//! a test feeds it what the fuzzer has kept.

use std::io::Cursor;
use trailhound_datasets::derive::DerivedFacts;
use trailhound_datasets::event::Event;
use trailhound_datasets::key::event_key;
use trailhound_datasets::rebuild;
use trailhound_datasets::reject::Reject;
use trailhound_ingest::decode::{self, DecodeLimits, MessageDecoder, RecordSink, SinkStopped};

struct Check;

impl RecordSink for Check {
    fn event(&mut self, event: &Event<'_>) -> Result<(), SinkStopped> {
        let derived = DerivedFacts::of(event);
        let _ = event_key(event, derived.event_time);
        // What the oracle can read must come back equal; half surrogates and deep nesting it cannot.
        if let Ok(expected) = serde_json::from_str::<serde_json::Value>(event.text) {
            let stored = rebuild::stored_columns(event, derived.needs_raw);
            let found = rebuild::rebuild(&stored).unwrap_or_else(|e| panic!("{e}: {}", event.text));
            assert_eq!(found, expected);
        }
        Ok(())
    }

    fn reject(&mut self, reject: Reject) -> Result<(), SinkStopped> {
        assert!(!reject.expected.is_empty());
        Ok(())
    }

    fn notice(&mut self, _: &'static str) {}
}

/// Decodes `content` as an object and as a message.
pub(super) fn check(content: &[u8]) {
    let limits = DecodeLimits {
        event_bytes_max: 4096,
        content_bytes_max: 1 << 20,
        quarantine_raw_bytes_max: 64,
        block_bytes_max: 1 << 16,
        ..DecodeLimits::default()
    };
    let _ = decode::object(Cursor::new(content.to_vec()), None, &limits, &mut Check);
    let _ = MessageDecoder::new(limits).decode(Some(content), &mut Check);
}
