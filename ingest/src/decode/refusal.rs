//! Why a record gives no event: the code of the quarantine, the place, what would have been valid, and what was found.

use super::limits::DecodeLimits;
use super::sink::SinkStopped;
use trailhound_datasets::json::JsonError;
use trailhound_datasets::reject::{Reject, RejectCode, excerpt};

/// The reason why a record is no event.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) code: RejectCode,
    /// Offset of the error in the record, in bytes.
    pub(super) at: usize,
    /// What would have been valid.
    pub(super) expected: String,
    /// What was found, where that says more than the bytes at `at`: `looks like AWS CloudTrail`.
    pub(super) found: Option<String>,
}

impl Refusal {
    /// A refusal of the whole record.
    pub(super) fn new(code: RejectCode, expected: impl Into<String>) -> Self {
        Self { code, at: 0, expected: expected.into(), found: None }
    }

    /// The refusal for JSON text that starts at `base` and cannot be read because of `error`.
    pub(super) fn of_json(error: JsonError, base: usize) -> Self {
        let (code, at, expected) = match error {
            JsonError::TooDeep { at } => {
                (RejectCode::TooDeep, base + at, "at most 128 nested containers")
            }
            JsonError::Syntax { at, expected } => (RejectCode::BadJson, base + at, expected),
            JsonError::Incomplete => {
                (RejectCode::Truncated, base, "a complete event inside the row")
            }
        };
        Self { at, ..Self::new(code, expected) }
    }

    /// Moves the place by `base` bytes: the refused text starts there in the record.
    pub(super) fn moved(mut self, base: usize) -> Self {
        self.at += base;
        self
    }

    /// The quarantine row for `bytes`, which lie at `offset` in the content.
    pub(super) fn reject(
        self,
        bytes: &[u8],
        offset: u64,
        hint: &'static str,
        limits: &DecodeLimits,
    ) -> Reject {
        let at = self.at.min(bytes.len());
        let shown = excerpt(&bytes[at..]);
        Reject {
            code: self.code,
            byte_offset: offset + at as u64,
            expected: self.expected,
            found: match self.found {
                Some(found) => excerpt(format!("{found}: {shown}").as_bytes()),
                None => shown,
            },
            hint,
            raw: bytes[..bytes.len().min(limits.quarantine_raw_bytes_max)].to_vec(),
            raw_length: Some(bytes.len() as u64),
        }
    }
}

/// Why no event was passed to the sink.
pub(super) enum OpenError {
    /// The sink stopped the decoder.
    Stopped(SinkStopped),
    /// The record must be rejected. Nothing of it has reached the sink.
    Refused(Refusal),
}

impl From<SinkStopped> for OpenError {
    fn from(stopped: SinkStopped) -> Self {
        Self::Stopped(stopped)
    }
}

impl From<Refusal> for OpenError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
