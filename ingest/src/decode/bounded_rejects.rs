//! Bounds the rejects of one object or message: a few kilobytes of compressed input can hold millions of records that are no
//! events. The first ones pass; one more says how many were left out.

use super::limits::DecodeLimits;
use super::sink::{RecordSink, SinkStopped};
use trailhound_datasets::event::Event;
use trailhound_datasets::reject::{Reject, RejectCode};

/// A sink that passes on a bounded number of rejects.
pub(super) struct BoundedRejects<'s> {
    sink: &'s mut dyn RecordSink,
    limits: &'s DecodeLimits,
    passed: usize,
    passed_bytes: usize,
    left_out: u64,
    /// Code and place of the first reject that was left out.
    first: Option<(&'static str, u64)>,
}

impl<'s> BoundedRejects<'s> {
    pub(super) fn new(sink: &'s mut dyn RecordSink, limits: &'s DecodeLimits) -> Self {
        Self { sink, limits, passed: 0, passed_bytes: 0, left_out: 0, first: None }
    }

    /// At the end of the content: passes the reject that sums up those left out. `whole` is the content as received where
    /// nobody else keeps it; empty for an object.
    pub(super) fn finish(self, whole: &[u8]) -> Result<(), SinkStopped> {
        let Some((code, byte_offset)) = self.first else { return Ok(()) };
        let kept = whole.len().min(self.limits.quarantine_raw_bytes_max);
        self.sink.reject(Reject {
            code: RejectCode::TooManyRejects,
            byte_offset,
            expected: format!("at most {} records that are no events", self.limits.rejects_max),
            found: format!("{} more, of which the first is `{code}`", self.left_out),
            hint: "only the first ones have rows of their own; the object or message is whole at its source: find out who writes it",
            raw: whole[..kept].to_vec(),
            raw_length: (!whole.is_empty()).then_some(whole.len() as u64),
        })
    }
}

impl RecordSink for BoundedRejects<'_> {
    fn event(&mut self, event: &Event<'_>) -> Result<(), SinkStopped> {
        self.sink.event(event)
    }

    fn reject(&mut self, reject: Reject) -> Result<(), SinkStopped> {
        let bytes = self.passed_bytes.saturating_add(reject.raw.len());
        if self.first.is_none()
            && self.passed < self.limits.rejects_max
            && (self.passed == 0 || bytes <= self.limits.reject_bytes_max)
        {
            self.passed += 1;
            self.passed_bytes = bytes;
            return self.sink.reject(reject);
        }
        self.first.get_or_insert((reject.code.name(), reject.byte_offset));
        self.left_out += 1;
        self.sink.reject_left_out()
    }

    fn reject_left_out(&mut self) -> Result<(), SinkStopped> {
        self.left_out += 1;
        self.sink.reject_left_out()
    }

    fn notice(&mut self, notice: &'static str) {
        self.sink.notice(notice);
    }
}
