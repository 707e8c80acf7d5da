//! Detects the format of content from its first bytes.

use std::io::{self, Read};

/// Number of bytes that decide the format.
pub(super) const HEAD_BYTES: usize = 4096;

/// A compression format with a magic number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CompressionFormat {
    Gzip,
    Zstd,
    SnappyFramed,
    SnappyXerial,
}

/// Format of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentKind {
    Compressed(CompressionFormat),
    Parquet,
    /// Text that starts like JSON.
    Json,
    /// Nothing but white space in the first bytes.
    Blank,
    /// Text that does not start like JSON, possibly CSV.
    Text,
    /// A known format without events, with a description of the expected content.
    Foreign(&'static str),
    Unknown,
}

/// Reads the first bytes of `input`; the error is the reason why the input ended early.
pub(super) fn head(input: &mut impl Read) -> (Vec<u8>, Option<io::Error>) {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let mut chunk = [0; HEAD_BYTES];
    while head.len() < HEAD_BYTES {
        let room = HEAD_BYTES - head.len();
        match input.read(&mut chunk[..room]) {
            Ok(0) => break,
            Ok(count) => head.extend_from_slice(&chunk[..count]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (head, Some(e)),
        }
    }
    (head, None)
}

/// Format of the content that starts with `head`.
pub(super) fn content(head: &[u8]) -> ContentKind {
    for (magic, content) in [
        (&b"\x1f\x8b"[..], ContentKind::Compressed(CompressionFormat::Gzip)),
        (b"\x28\xb5\x2f\xfd", ContentKind::Compressed(CompressionFormat::Zstd)),
        (b"\xff\x06\x00\x00sNaPpY", ContentKind::Compressed(CompressionFormat::SnappyFramed)),
        (b"\x82SNAPPY\x00", ContentKind::Compressed(CompressionFormat::SnappyXerial)),
        (b"PAR1", ContentKind::Parquet),
        (b"PK\x03\x04", ContentKind::Foreign("JSON, CSV or Parquet; this is a zip archive")),
        (b"ORC", ContentKind::Foreign("JSON, CSV or Parquet; this is an ORC file")),
        (b"\xff\xfe", ContentKind::Foreign("UTF-8 text; this is UTF-16")),
        (b"\xfe\xff", ContentKind::Foreign("UTF-8 text; this is UTF-16")),
    ] {
        if head.starts_with(magic) {
            return content;
        }
    }
    let mut text = head;
    // Programs that write a mark before what has one already leave several.
    while let Some(rest) = text.strip_prefix(b"\xef\xbb\xbf") {
        text = rest;
    }
    let start = text.iter().position(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t'));
    let Some(start) = start else { return ContentKind::Blank };
    let text = &text[start..];
    if is_utf16(text) {
        return ContentKind::Foreign("UTF-8 text; this is UTF-16");
    }
    if let Some(foreign) = markup(text) {
        return ContentKind::Foreign(foreign);
    }
    match text[0] {
        b'{' | b'[' => ContentKind::Json,
        // An event as JSON text. In CSV its quotes would be doubled.
        b'"' if [&b"\"{\\\""[..], b"\"[{\\\"", b"\"\\\"{"]
            .iter()
            .any(|head| text.starts_with(head)) =>
        {
            ContentKind::Json
        }
        b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9' if is_json_scalar(text) => ContentKind::Json,
        _ if looks_like_text(text) => ContentKind::Text,
        _ => ContentKind::Unknown,
    }
}

/// True for UTF-16 without byte order mark, in which every other byte of ASCII text is zero.
pub(super) fn is_utf16(text: &[u8]) -> bool {
    text.len() >= 4
        && ((text[0] != 0 && text[1] == 0 && text[3] == 0)
            || (text[0] == 0 && text[1] != 0 && text[2] == 0))
}

/// A description of `text` where it is HTML or XML.
fn markup(text: &[u8]) -> Option<&'static str> {
    let lower = text[..text.len().min(64)].to_ascii_lowercase();
    if lower.starts_with(b"<!doctype html")
        || lower.starts_with(b"<html")
        || lower.starts_with(b"<head")
    {
        return Some(
            "JSON, CSV or Parquet; this is an HTML page, as a captive portal or an error page would send",
        );
    }
    lower.starts_with(b"<").then_some(
        "JSON, CSV or Parquet; this is XML or HTML, perhaps an error answer of the object store",
    )
}

/// True for a document that is one JSON scalar. A CSV line may start with one too.
fn is_json_scalar(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    serde_json::from_str::<serde_json::Value>(text.trim()).is_ok()
}

/// True where the first bytes hold no control characters other than white space.
fn looks_like_text(text: &[u8]) -> bool {
    !text[..text.len().min(512)].iter().any(|&b| b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_by_content() {
        for (head, content_is) in [
            (&b"[{"[..], ContentKind::Json),
            (b"\xef\xbb\xbf {", ContentKind::Json),
            (b" \n\t", ContentKind::Blank),
            (b"", ContentKind::Blank),
            (b"null", ContentKind::Json),
            (b"\"{\\\"eventId\\\":", ContentKind::Json),
            (b"\"{\"\"eventId\"\":", ContentKind::Text),
            (b"\x1f\x8b\x08", ContentKind::Compressed(CompressionFormat::Gzip)),
            (b"PAR1\x15", ContentKind::Parquet),
            (b"event,owner_id\n", ContentKind::Text),
            (b"1649759057,topic,{}", ContentKind::Text),
            (b"\x00\x01\x02\x03", ContentKind::Unknown),
        ] {
            assert_eq!(content(head), content_is, "{head:?}");
        }
        assert!(
            matches!(content(b"<!DOCTYPE HTML><html>"), ContentKind::Foreign(text) if text.contains("HTML"))
        );
        assert!(
            matches!(content(b"[\0{\0"), ContentKind::Foreign(text) if text.contains("UTF-16"))
        );
    }
}
