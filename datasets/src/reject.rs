//! Rejected input: the closed list of quarantine codes, and the reject that becomes a quarantine row.

use crate::sanitize::sanitize;

/// Why a piece of input was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "`ALL` documents each code")]
pub enum RejectCode {
    NotAnEventList,
    UnknownEncoding,
    UnknownLayout,
    UnsupportedEvent,
    ForeignRecord,
    NotUnderstood,
    BadJson,
    BadUtf8,
    TooDeep,
    EventTooLarge,
    TooLarge,
    Truncated,
    CorruptCompression,
    NotAnObject,
    Empty,
    TooManyRejects,
}

impl RejectCode {
    /// Every code with its meaning.
    pub const ALL: [(Self, &'static str); 16] = [
        (
            Self::NotAnEventList,
            "the document is JSON without events (`null`, `{}`, a number, a string).",
        ),
        (
            Self::UnknownEncoding,
            "the content is neither text nor in a supported compression format.",
        ),
        (
            Self::UnknownLayout,
            "an object that is neither an event nor a known wrapper around one; `found` says what it lacks.",
        ),
        (
            Self::UnsupportedEvent,
            "an event of another feed (provider-initiated Inner-ActionTrail), which is not supported.",
        ),
        (Self::ForeignRecord, "a record of another cloud or program, which `found` names."),
        (
            Self::NotUnderstood,
            "an event whose identity or action is there and cannot be read: no rule could judge it.",
        ),
        (
            Self::BadJson,
            "a JSON syntax error. The rest of the content is kept as bytes and not decoded.",
        ),
        (Self::BadUtf8, "bytes that are not UTF-8 text."),
        (Self::TooDeep, "more than 128 nested containers."),
        (
            Self::EventTooLarge,
            "an event larger than the configured limit; only its beginning is kept.",
        ),
        (
            Self::TooLarge,
            "the content exceeds the configured size or expansion ratio. The row refers to the object.",
        ),
        (Self::Truncated, "the content ends inside a value."),
        (
            Self::CorruptCompression,
            "the compressed stream is cut off or damaged. The events before that are stored.",
        ),
        (Self::NotAnObject, "an element of the list is no JSON object."),
        (Self::Empty, "a message without a value."),
        (
            Self::TooManyRejects,
            "an object, a message, or a source on one day has more records that are no events than are kept one by one. `found` says how many were left out.",
        ),
    ];

    /// The code as stored in the `code` column.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotAnEventList => "not_an_event_list",
            Self::UnknownEncoding => "unknown_encoding",
            Self::UnknownLayout => "unknown_layout",
            Self::UnsupportedEvent => "unsupported_event",
            Self::ForeignRecord => "foreign_record",
            Self::NotUnderstood => "not_understood",
            Self::BadJson => "bad_json",
            Self::BadUtf8 => "bad_utf8",
            Self::TooDeep => "too_deep",
            Self::EventTooLarge => "event_too_large",
            Self::TooLarge => "too_large",
            Self::Truncated => "truncated",
            Self::CorruptCompression => "corrupt_compression",
            Self::NotAnObject => "not_an_object",
            Self::Empty => "empty",
            Self::TooManyRejects => "too_many_rejects",
        }
    }
}

/// A piece of input that is no event, with its place and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Why it was rejected.
    pub code: RejectCode,
    /// Offset of the error in the decompressed content, in bytes.
    pub byte_offset: u64,
    /// What would have been valid.
    pub expected: String,
    /// What was found instead; see [`excerpt`].
    pub found: String,
    /// What the operator can do about it.
    pub hint: &'static str,
    /// The bytes as received, cut to the configured size.
    pub raw: Vec<u8>,
    /// Full length of the bytes; `None` where the rest was not read.
    pub raw_length: Option<u64>,
}

/// Longest excerpt, in bytes.
const EXCERPT_BYTES_MAX: usize = 200;

/// The beginning of `bytes` as readable text: at most 200 bytes, control and invisible characters escaped, invalid UTF-8
/// as `\xNN`.
#[must_use]
pub fn excerpt(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(EXCERPT_BYTES_MAX)];
    let mut out = String::with_capacity(cut.len());
    for chunk in cut.utf8_chunks() {
        out.push_str(&sanitize(chunk.valid()));
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if bytes.len() > cut.len() {
        out.push('…');
    }
    out
}
