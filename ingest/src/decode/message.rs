//! Decodes the messages of a topic. A message is mostly a single event or row, which is read in place; any other message is
//! decoded like an object.

use super::content;
use super::envelope;
use super::fault::DecodeStopped;
use super::limits::DecodeLimits;
use super::refusal::OpenError;
use super::scanner::{ObjectShape, Scanner};
use super::sink::RecordSink;
use super::wrappers::RecordContext;
use trailhound_datasets::json;
use trailhound_datasets::reject::{Reject, RejectCode};

/// Decodes messages one by one. It keeps its buffers between them, so that decoding a plain event allocates nothing.
pub struct MessageDecoder {
    scanner: Scanner,
    limits: DecodeLimits,
}

impl MessageDecoder {
    /// A decoder with `limits`.
    #[must_use]
    pub fn new(limits: DecodeLimits) -> Self {
        Self { scanner: Scanner::default(), limits }
    }

    /// Decodes the value of one message into `sink`. A message without a value is rejected: log
    /// services do not send such messages, so it comes from another producer.
    ///
    /// # Errors
    /// [`DecodeStopped`] where the sink stopped the decoder, or a temporary file could not be used.
    pub fn decode(
        &mut self,
        value: Option<&[u8]>,
        sink: &mut dyn RecordSink,
    ) -> Result<(), DecodeStopped> {
        let value = value.unwrap_or_default();
        let text = value.trim_ascii();
        if text.is_empty() {
            return Ok(sink.reject(empty_message(value))?);
        }
        if text.starts_with(b"{")
            && text.len() <= self.limits.event_bytes_max
            && let Ok((shape @ (ObjectShape::Event | ObjectShape::Row(_)), end)) =
                self.scanner.object(text)
            && json::skip_space(text, end) == text.len()
            && let Ok(text) = simdutf8::basic::from_utf8(text)
        {
            let context = RecordContext { path_account: None, offset: 0, limits: &self.limits };
            match envelope::open(&mut self.scanner, &text[..end], shape, &context, sink) {
                Ok(()) => return Ok(()),
                Err(OpenError::Stopped(stopped)) => return Err(stopped.into()),
                // Decoded again below, which rejects it with place and hint.
                Err(OpenError::Refused(_)) => {}
            }
        }
        content::message(value, &self.limits, sink)
    }
}

fn empty_message(value: &[u8]) -> Reject {
    Reject {
        code: RejectCode::Empty,
        byte_offset: 0,
        expected: "an event".to_owned(),
        found: "a message without a value".to_owned(),
        hint: "look at what else writes to this topic",
        raw: value.to_vec(),
        raw_length: Some(value.len() as u64),
    }
}
