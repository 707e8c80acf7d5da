//! Detects the format of an object's content and decodes it.

use super::bounded_rejects::BoundedRejects;
use super::compression::{self, ErrorReader};
use super::document::{DocumentError, DocumentReader};
use super::fault::{DecodeStopped, InputReader};
use super::limits::DecodeLimits;
use super::sink::{Completeness, RecordSink};
use super::sniff::{self, ContentKind};
use super::unreadable::{reject_broken, reject_unknown};
use super::{csv, parquet_file};
use std::io::{self, Read};

/// Levels of compressed content inside compressed content that are opened.
const NESTED_COMPRESSION_MAX: usize = 2;

/// Decodes one object's content into `sink`. `path_account` is the account id in the object's path, if any.
///
/// # Errors
/// [`DecodeStopped`] where the sink stopped the decoder, or something could not be read for a reason that is not in the
/// content.
pub fn object(
    input: impl Read + Send,
    path_account: Option<&str>,
    limits: &DecodeLimits,
    sink: &mut dyn RecordSink,
) -> Result<Completeness, DecodeStopped> {
    let mut bounded = BoundedRejects::new(sink, limits);
    let end = content(Box::new(InputReader(input)), path_account, limits, &mut bounded, 0)?;
    bounded.finish(b"")?;
    Ok(end)
}

/// Decodes the value of a message, like an object's content.
pub(super) fn message(
    value: &[u8],
    limits: &DecodeLimits,
    sink: &mut dyn RecordSink,
) -> Result<(), DecodeStopped> {
    let mut bounded = BoundedRejects::new(sink, limits);
    content(Box::new(value), None, limits, &mut bounded, 0)?;
    // The topic deletes the message some day.
    Ok(bounded.finish(value)?)
}

/// Decodes content that lies inside `nesting` levels of compression.
fn content(
    mut input: Box<dyn Read + Send + '_>,
    path_account: Option<&str>,
    limits: &DecodeLimits,
    sink: &mut dyn RecordSink,
    nesting: usize,
) -> Result<Completeness, DecodeStopped> {
    let (head, error) = sniff::head(&mut input);
    if head.is_empty()
        && let Some(error) = error
    {
        return reject_broken(sink, error, 0, b"");
    }
    let kind = sniff::content(&head);
    // An error at the end of the head must be reported again behind the head's bytes.
    let whole = io::Cursor::new(head.clone()).chain(ErrorReader(error)).chain(input);
    match kind {
        ContentKind::Compressed(_) if nesting >= NESTED_COMPRESSION_MAX => {
            reject_unknown(whole, "content compressed at most twice", limits, sink)
        }
        ContentKind::Compressed(method) => {
            let plain = compression::reader(method, whole, limits);
            let trailing_bytes = plain.trailing_bytes();
            let end = content(Box::new(plain), path_account, limits, sink, nesting + 1)?;
            if trailing_bytes.were_seen() {
                sink.notice("trailing_bytes");
            }
            Ok(end)
        }
        ContentKind::Parquet => parquet_file::rows(whole, path_account, limits, sink),
        ContentKind::Json | ContentKind::Blank => documents(whole, path_account, limits, sink),
        ContentKind::Text => csv::rows(whole, &head, path_account, limits, sink),
        ContentKind::Unknown => raw_snappy(whole, path_account, limits, sink, nesting),
        ContentKind::Foreign(expected) => reject_unknown(whole, expected, limits, sink),
    }
}

fn documents(
    input: impl Read,
    path_account: Option<&str>,
    limits: &DecodeLimits,
    sink: &mut dyn RecordSink,
) -> Result<Completeness, DecodeStopped> {
    match DocumentReader::new(input, limits, path_account).run(sink) {
        Ok(()) => Ok(Completeness::Complete),
        Err(DocumentError::Stopped(stopped)) => Err(stopped.into()),
        Err(DocumentError::Input(error, offset)) => reject_broken(sink, error, offset, b""),
    }
}

/// Decodes content that may be a raw Snappy block. Such a block has no magic number: it is one if it decompresses to a
/// known format.
fn raw_snappy(
    mut input: impl Read,
    path_account: Option<&str>,
    limits: &DecodeLimits,
    sink: &mut dyn RecordSink,
    nesting: usize,
) -> Result<Completeness, DecodeStopped> {
    let mut packed = Vec::new();
    let block = (&mut input).take(limits.block_bytes_max as u64 + 1).read_to_end(&mut packed);
    if let Err(error) = block {
        packed.truncate(limits.quarantine_raw_bytes_max);
        return reject_broken(sink, error, 0, &packed);
    }
    if nesting < NESTED_COMPRESSION_MAX
        && let Some(plain) = compression::raw_snappy(&packed, limits)
    {
        let is_known = matches!(
            sniff::content(&plain[..plain.len().min(sniff::HEAD_BYTES)]),
            ContentKind::Json | ContentKind::Text | ContentKind::Parquet
        );
        if is_known {
            let plain = Box::new(io::Cursor::new(plain));
            return content(plain, path_account, limits, sink, NESTED_COMPRESSION_MAX);
        }
    }
    let expected = "JSON, CSV or Parquet, plain or compressed with gzip, zstd or Snappy";
    reject_unknown(io::Cursor::new(packed).chain(input), expected, limits, sink)
}
