//! What content is, told by its first bytes.

use std::io::{self, Read};

/// Bytes looked at.
pub(super) const HEAD_BYTES: usize = 4096;

/// A compression that announces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Gzip,
    Zstd,
    SnappyFramed,
    SnappyXerial,
}

/// What content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Compressed(Method),
    Parquet,
    /// Starts like JSON.
    Json,
    /// Empty or white space as far as seen.
    Blank,
    /// Text that does not start like JSON: perhaps CSV.
    Text,
    /// Something known that holds no events; says what was expected instead.
    Foreign(&'static str),
    Unknown,
}

/// The first bytes of `input`, and the error that ended them early.
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

/// What content starting with `head` is.
pub(super) fn content(head: &[u8]) -> Content {
    for (magic, content) in [
        (&b"\x1f\x8b"[..], Content::Compressed(Method::Gzip)),
        (b"\x28\xb5\x2f\xfd", Content::Compressed(Method::Zstd)),
        (b"\xff\x06\x00\x00sNaPpY", Content::Compressed(Method::SnappyFramed)),
        (b"\x82SNAPPY\x00", Content::Compressed(Method::SnappyXerial)),
        (b"PAR1", Content::Parquet),
        (b"PK\x03\x04", Content::Foreign("JSON, CSV or Parquet; this is a zip archive")),
        (b"ORC", Content::Foreign("JSON, CSV or Parquet; this is an ORC file")),
        (b"\xff\xfe", Content::Foreign("UTF-8 text; this is UTF-16")),
        (b"\xfe\xff", Content::Foreign("UTF-8 text; this is UTF-16")),
    ] {
        if head.starts_with(magic) {
            return content;
        }
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let start = text.iter().position(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t'));
    let Some(start) = start else { return Content::Blank };
    let text = &text[start..];
    if is_utf16(text) {
        return Content::Foreign("UTF-8 text; this is UTF-16");
    }
    if let Some(foreign) = markup(text) {
        return Content::Foreign(foreign);
    }
    match text[0] {
        b'{' | b'[' => Content::Json,
        b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9' if is_json_scalar(text) => Content::Json,
        _ if looks_like_text(text) => Content::Text,
        _ => Content::Unknown,
    }
}

/// UTF-16 without a mark: every other byte of ASCII text is zero.
pub(super) fn is_utf16(text: &[u8]) -> bool {
    text.len() >= 4
        && ((text[0] != 0 && text[1] == 0 && text[3] == 0)
            || (text[0] == 0 && text[1] != 0 && text[2] == 0))
}

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

/// A document that is one JSON scalar, and not a CSV line that starts with one.
fn is_json_scalar(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    serde_json::from_str::<serde_json::Value>(text.trim()).is_ok()
}

/// No control characters but white space in the first bytes.
fn looks_like_text(text: &[u8]) -> bool {
    !text[..text.len().min(512)].iter().any(|&b| b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_by_content() {
        for (head, content_is) in [
            (&b"[{"[..], Content::Json),
            (b"\xef\xbb\xbf {", Content::Json),
            (b" \n\t", Content::Blank),
            (b"", Content::Blank),
            (b"null", Content::Json),
            (b"\x1f\x8b\x08", Content::Compressed(Method::Gzip)),
            (b"PAR1\x15", Content::Parquet),
            (b"event,owner_id\n", Content::Text),
            (b"1649759057,topic,{}", Content::Text),
            (b"\x00\x01\x02\x03", Content::Unknown),
        ] {
            assert_eq!(content(head), content_is, "{head:?}");
        }
        assert!(
            matches!(content(b"<!DOCTYPE HTML><html>"), Content::Foreign(text) if text.contains("HTML"))
        );
        assert!(matches!(content(b"[\0{\0"), Content::Foreign(text) if text.contains("UTF-16")));
    }
}
