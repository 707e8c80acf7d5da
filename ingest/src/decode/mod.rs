//! Bytes in, events and rejects out. Pure: no lake, no clock; the only state is the content being read.
//!
//! Content is sniffed, names are not trusted. Whatever goes wrong becomes a reject with its bytes and its place; good
//! neighbours come through. Memory is bounded by [`Limits`], never by the size of the input.

mod columns;
mod compression;
mod csv;
mod document;
mod envelope;
mod flattened;
mod message;
#[doc(hidden)]
pub mod oracle;
mod scanner;
mod sniff;
mod window;

use document::{Broken, Documents};
pub use message::Messages;
use sniff::Content;
use std::io::{self, Read};
use trailhound_datasets::event::Event;
use trailhound_datasets::reject::{Code, Reject, shown};

/// Bounds on what one object may make this process hold or do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest single event, in bytes of JSON text.
    pub event_bytes_max: usize,
    /// Largest content of one object, decompressed, in bytes.
    pub content_bytes_max: u64,
    /// Largest growth by decompression, as a factor; judged once 32 MiB have come out.
    pub expansion_max: u64,
    /// Bytes of a reject that are kept.
    pub quarantine_raw_bytes_max: usize,
    /// Largest content held in memory at once, in bytes: for formats that cannot be read as a stream.
    pub block_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes_max: 16 << 20,
            content_bytes_max: 64 << 30,
            // JSON of one repeated call shrinks to a hundredth; only filler shrinks further.
            expansion_max: 250,
            quarantine_raw_bytes_max: 1 << 20,
            block_bytes_max: 128 << 20,
        }
    }
}

/// The receiver asked to stop; its own error tells why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// Takes records in the order of the content.
pub trait Sink {
    /// An event. Borrowed: whoever needs it longer copies.
    ///
    /// # Errors
    /// [`Stop`] ends the decoding.
    fn event(&mut self, event: &Event<'_>) -> Result<(), Stop>;

    /// A piece of input that is no event.
    ///
    /// # Errors
    /// [`Stop`] ends the decoding.
    fn reject(&mut self, reject: Reject) -> Result<(), Stop>;

    /// Something odd about the object that costs no record: `trailing_bytes`.
    fn notice(&mut self, notice: &'static str);
}

/// How reading an object ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// To its end.
    Complete,
    /// The content broke off; what came before is stored, the rest is in quarantine.
    Partial,
}

/// Reads one object's content into `sink`. `path_account` is the account id its path names, if any.
///
/// # Errors
/// [`Stop`] when the sink wants no more.
pub fn object(
    input: impl Read + Send,
    path_account: Option<&str>,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<End, Stop> {
    content(Box::new(input), path_account, limits, sink, 0)
}

/// Compressed content inside compressed content that is opened.
const NESTED_COMPRESSION_MAX: usize = 2;

fn content(
    mut input: Box<dyn Read + Send + '_>,
    path_account: Option<&str>,
    limits: &Limits,
    sink: &mut dyn Sink,
    nesting: usize,
) -> Result<End, Stop> {
    let (head, error) = sniff::head(&mut input);
    if head.is_empty()
        && let Some(error) = error
    {
        return broken_input(sink, &error, 0, b"");
    }
    let kind = sniff::content(&head);
    // What the head's reading ran into must be met again behind it.
    let whole = io::Cursor::new(head.clone()).chain(compression::Failing(error)).chain(input);
    match kind {
        Content::Compressed(_) if nesting >= NESTED_COMPRESSION_MAX => {
            unknown(whole, "content compressed at most twice", limits, sink)
        }
        Content::Compressed(method) => {
            let plain = compression::reader(method, whole, limits);
            let notices = plain.notices();
            let end = content(Box::new(plain), path_account, limits, sink, nesting + 1)?;
            if notices.trailing_bytes() {
                sink.notice("trailing_bytes");
            }
            Ok(end)
        }
        Content::Parquet => columns::parquet(whole, path_account, limits, sink),
        Content::Json => documents(whole, path_account, limits, sink),
        Content::Blank => documents(whole, path_account, limits, sink),
        Content::Text => csv::rows(whole, &head, path_account, limits, sink),
        Content::Unknown => raw_snappy(whole, path_account, limits, sink, nesting),
        Content::Foreign(expected) => unknown(whole, expected, limits, sink),
    }
}

fn documents(
    input: impl Read,
    path_account: Option<&str>,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<End, Stop> {
    match Documents::new(input, limits, envelope::Context { path_account }).run(sink) {
        Ok(()) => Ok(End::Complete),
        Err(Broken::Stop(stop)) => Err(stop),
        Err(Broken::Input(error, offset)) => broken_input(sink, &error, offset, b""),
    }
}

/// A raw Snappy block has no magic; it is one if it decompresses to something known.
fn raw_snappy(
    mut input: impl Read,
    path_account: Option<&str>,
    limits: &Limits,
    sink: &mut dyn Sink,
    nesting: usize,
) -> Result<End, Stop> {
    let mut packed = Vec::new();
    if let Err(error) =
        (&mut input).take(limits.block_bytes_max as u64 + 1).read_to_end(&mut packed)
    {
        packed.truncate(limits.quarantine_raw_bytes_max);
        return broken_input(sink, &error, 0, &packed);
    }
    if nesting < NESTED_COMPRESSION_MAX
        && let Some(plain) = compression::raw_snappy(&packed, limits)
    {
        let known = matches!(
            sniff::content(&plain[..plain.len().min(sniff::HEAD_BYTES)]),
            Content::Json | Content::Text | Content::Parquet
        );
        if known {
            return content(
                Box::new(io::Cursor::new(plain)),
                path_account,
                limits,
                sink,
                NESTED_COMPRESSION_MAX,
            );
        }
    }
    let expected = "JSON, CSV or Parquet, plain or compressed with gzip, zstd or Snappy";
    unknown(io::Cursor::new(packed).chain(input), expected, limits, sink)
}

/// Sets aside content that holds nothing this reader knows.
fn unknown(
    input: impl Read,
    expected: &str,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<End, Stop> {
    let (raw, raw_length) = kept(input, limits);
    let code =
        if raw.starts_with(b"\xff\xfe") || raw.starts_with(b"\xfe\xff") || sniff::is_utf16(&raw) {
            Code::BadUtf8
        } else {
            Code::UnknownEncoding
        };
    sink.reject(Reject {
        code,
        byte_offset: 0,
        expected: expected.to_owned(),
        found: shown(&raw),
        hint: "this object holds no events; take it out of the path, or export it again as JSON",
        raw,
        raw_length,
    })?;
    Ok(End::Complete)
}

/// As much of `input` as quarantine keeps, and its full length where that is all.
fn kept(input: impl Read, limits: &Limits) -> (Vec<u8>, Option<u64>) {
    let mut raw = Vec::new();
    // What cannot be read any more is missing from the kept bytes; the reject stands either way.
    let read = input.take(limits.quarantine_raw_bytes_max as u64 + 1).read_to_end(&mut raw);
    let whole = read.is_ok() && raw.len() <= limits.quarantine_raw_bytes_max;
    raw.truncate(limits.quarantine_raw_bytes_max);
    let length = whole.then_some(raw.len() as u64);
    (raw, length)
}

fn broken_input(
    sink: &mut dyn Sink,
    error: &io::Error,
    offset: u64,
    raw: &[u8],
) -> Result<End, Stop> {
    let (code, expected, hint) = match compression::TooMuch::of(error) {
        Some(too_much) => (
            Code::TooLarge,
            too_much.to_string(),
            "if this is no attack, raise `ingest.content_bytes_max` or `ingest.expansion_max`",
        ),
        None => (
            Code::CorruptCompression,
            "an intact compressed stream".to_owned(),
            "fetch the object again; everything before this place is stored",
        ),
    };
    sink.reject(Reject {
        code,
        byte_offset: offset,
        expected,
        found: shown(error.to_string().as_bytes()),
        hint,
        raw: raw.to_vec(),
        raw_length: None,
    })?;
    Ok(End::Partial)
}
