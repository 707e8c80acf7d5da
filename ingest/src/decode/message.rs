//! One message of a topic: mostly a single event or row, read in place; anything else goes the way of any content.

use super::envelope::{self, Context};
use super::scanner::{Scanner, Shape};
use super::{Limits, Sink, Stop};
use trailhound_datasets::json;
use trailhound_datasets::reject::{Code, Reject};

/// Decodes messages one by one; keeps its notes between them, so that a plain event allocates nothing here.
pub struct Messages {
    scanner: Scanner,
    limits: Limits,
}

impl Messages {
    /// A decoder within `limits`.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { scanner: Scanner::default(), limits }
    }

    /// Reads one message's value into `sink`. A message without a value is set aside: log services send none, so
    /// somebody should see it.
    ///
    /// # Errors
    /// [`Stop`] when the sink wants no more.
    pub fn message(&mut self, value: Option<&[u8]>, sink: &mut dyn Sink) -> Result<(), Stop> {
        let value = value.unwrap_or_default();
        let text = value.trim_ascii();
        if text.is_empty() {
            return sink.reject(empty(value));
        }
        if text.starts_with(b"{")
            && text.len() <= self.limits.event_bytes_max
            && let Ok((shape @ (Shape::Event | Shape::Row(_)), end)) = self.scanner.object(text)
            && json::skip_space(text, end) == text.len()
            && let Ok(text) = simdutf8::basic::from_utf8(text)
        {
            match envelope::open(&mut self.scanner, &text[..end], shape, &Context::default(), sink)
            {
                Ok(()) => return Ok(()),
                Err(envelope::Failed::Stop(stop)) => return Err(stop),
                // Told by the general way, with place and hint.
                Err(envelope::Failed::Reject { .. }) => {}
            }
        }
        super::object(value, None, &self.limits, sink).map(|_| ())
    }
}

fn empty(value: &[u8]) -> Reject {
    Reject {
        code: Code::Empty,
        byte_offset: 0,
        expected: "an event".to_owned(),
        found: "a message without a value".to_owned(),
        hint: "look at what else writes to this topic",
        raw: value.to_vec(),
        raw_length: Some(value.len() as u64),
    }
}
