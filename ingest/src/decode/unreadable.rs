//! Creates rejects for content that cannot be decoded: an unknown format, a corrupt stream, or a
//! stream that exceeds a limit.

use super::compression::LimitExceeded;
use super::fault::{DecodeStopped, verdict};
use super::limits::DecodeLimits;
use super::sink::{Completeness, RecordSink};
use super::sniff;
use std::io::{self, Read};
use trailhound_datasets::reject::{Reject, RejectCode, excerpt};

/// Rejects content of an unknown format. `expected` says which content would have been valid.
pub(super) fn reject_unknown(
    input: impl Read,
    expected: &str,
    limits: &DecodeLimits,
    sink: &mut dyn RecordSink,
) -> Result<Completeness, DecodeStopped> {
    let (raw, raw_length) = quarantined_bytes(input, limits)?;
    let code =
        if raw.starts_with(b"\xff\xfe") || raw.starts_with(b"\xfe\xff") || sniff::is_utf16(&raw) {
            RejectCode::BadUtf8
        } else {
            RejectCode::UnknownEncoding
        };
    sink.reject(Reject {
        code,
        byte_offset: 0,
        expected: expected.to_owned(),
        found: excerpt(&raw),
        hint: "this object holds no events; take it out of the path, or export it again as JSON",
        raw,
        raw_length,
    })?;
    Ok(Completeness::Complete)
}

/// Rejects the rest of a stream after reading has failed with `error`. `offset` is the offset of
/// the failure in bytes of decompressed content; for Parquet it is the number of the row.
///
/// # Errors
/// [`DecodeStopped::Fault`] where `error` is no verdict on the content: nothing is rejected then.
pub(super) fn reject_broken(
    sink: &mut dyn RecordSink,
    error: io::Error,
    offset: u64,
    raw: &[u8],
) -> Result<Completeness, DecodeStopped> {
    let error = verdict(error)?;
    let (code, expected, hint) = match LimitExceeded::of(&error) {
        Some(exceeded) => (
            RejectCode::TooLarge,
            exceeded.to_string(),
            "if this is no attack, raise `ingest.content_bytes_max` or `ingest.expansion_max`",
        ),
        None => (
            RejectCode::CorruptCompression,
            "an intact compressed stream".to_owned(),
            "fetch the object again; everything before this place is stored",
        ),
    };
    sink.reject(Reject {
        code,
        byte_offset: offset,
        expected,
        found: excerpt(error.to_string().as_bytes()),
        hint,
        raw: raw.to_vec(),
        raw_length: None,
    })?;
    Ok(Completeness::Partial)
}

/// Reads the first bytes of `input`, as many as the quarantine keeps. Also returns the length of
/// `input`, or `None` if `input` is longer or damaged before its end.
///
/// # Errors
/// [`DecodeStopped::Fault`] where `input` cannot be read.
pub(super) fn quarantined_bytes(
    input: impl Read,
    limits: &DecodeLimits,
) -> Result<(Vec<u8>, Option<u64>), DecodeStopped> {
    let mut raw = Vec::new();
    let read = input.take(limits.quarantine_raw_bytes_max as u64 + 1).read_to_end(&mut raw);
    let is_damaged = match read {
        Ok(_) => false,
        // The reject holds the bytes before the damage.
        Err(error) => verdict(error).map(|_| true)?,
    };
    let is_whole = !is_damaged && raw.len() <= limits.quarantine_raw_bytes_max;
    raw.truncate(limits.quarantine_raw_bytes_max);
    let length = is_whole.then_some(raw.len() as u64);
    Ok((raw, length))
}
