//! Decodes a few objects or messages to see what they are, without a lake.

use crate::batch::BatchSink;
use crate::decode::{self, DecodeLimits, RecordSink, SinkStopped};
use arrow::array::{Array, AsArray, RecordBatch};
use std::collections::BTreeMap;
use trailhound_datasets::event::Event;
use trailhound_datasets::reject::Reject;

/// The most rejects of a sample whose text is kept.
const REJECTS_KEPT: usize = 10;

/// What a sample of a source decodes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecodedSample {
    /// Number of events.
    pub events: u64,
    /// Number of records that are no events.
    pub rejected: u64,
    /// Code, place and text of the first of these.
    pub rejects: Vec<String>,
    /// Number of events by the marks that they carry in the column `flags`.
    pub flags: BTreeMap<String, u64>,
}

impl DecodedSample {
    /// Decodes `content`, in any layout that the decoder reads, and adds what it holds. `now_micros` is the present,
    /// microseconds since 1970 UTC.
    pub fn add(&mut self, content: &[u8], now_micros: i64) {
        let mut sink = SampleSink { batch: BatchSink::new(now_micros), sample: self };
        let content = std::io::Cursor::new(content.to_vec());
        // This sink never stops the decoder, and its rejects tell whether the content was complete.
        let _ = decode::object(content, None, &DecodeLimits::default(), &mut sink);
        let (batch, _) = sink.batch.finish();
        self.count_flags(&batch);
    }

    fn count_flags(&mut self, batch: &RecordBatch) {
        let Some(flags) =
            batch.column_by_name("flags").and_then(|flags| flags.as_list_opt::<i32>())
        else {
            return;
        };
        for row in (0..flags.len()).filter(|row| flags.is_valid(*row)) {
            let of_event = flags.value(row);
            for flag in of_event.as_string_opt::<i32>().into_iter().flatten().flatten() {
                *self.flags.entry(flag.to_owned()).or_default() += 1;
            }
        }
    }
}

struct SampleSink<'s> {
    batch: BatchSink,
    sample: &'s mut DecodedSample,
}

impl RecordSink for SampleSink<'_> {
    fn event(&mut self, event: &Event<'_>) -> Result<(), SinkStopped> {
        self.sample.events += 1;
        self.batch.event(event)
    }

    fn reject(&mut self, reject: Reject) -> Result<(), SinkStopped> {
        self.sample.rejected += 1;
        if self.sample.rejects.len() < REJECTS_KEPT {
            self.sample.rejects.push(format!(
                "{} at byte {}: expected {}, found {}; {}",
                reject.code.name(),
                reject.byte_offset,
                reject.expected,
                reject.found,
                reject.hint
            ));
        }
        Ok(())
    }

    fn reject_left_out(&mut self) -> Result<(), SinkStopped> {
        self.sample.rejected += 1;
        Ok(())
    }

    fn notice(&mut self, _: &'static str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_rejects_and_flags_are_counted() {
        let mut sample = DecodedSample::default();
        sample.add(br#"[{"eventId":"a","eventTime":"2026-09-30T10:00:00Z","eventName":"X"}]"#, 0);
        sample.add(b"<html>not here</html>", 0);
        assert_eq!((sample.events, sample.rejected), (1, 1));
        assert!(sample.rejects[0].contains("expected"), "{:?}", sample.rejects);
    }
}
