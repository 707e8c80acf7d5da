//! JSON strings and the text they stand for.

use std::borrow::Cow;

/// A `\uXXXX` escape names half a surrogate pair, which no Unicode text can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoneSurrogate;

/// Appends the text that `raw` (the inside of a valid JSON string) stands for.
///
/// # Errors
/// [`LoneSurrogate`] where the string has no Unicode equivalent; `out` then holds the part before it.
pub fn unescape_into(raw: &str, out: &mut String) -> Result<(), LoneSurrogate> {
    let mut rest = raw;
    while let Some(i) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..i]);
        let code = rest.as_bytes().get(i + 1).copied().unwrap_or(b'\\');
        rest = rest.get(i + 2..).unwrap_or("");
        match code {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let unit = hex4(rest).ok_or(LoneSurrogate)?;
                rest = &rest[4..];
                let point = match unit {
                    0xd800..=0xdbff => {
                        let low = rest.strip_prefix("\\u").and_then(hex4).ok_or(LoneSurrogate)?;
                        if !(0xdc00..=0xdfff).contains(&low) {
                            return Err(LoneSurrogate);
                        }
                        rest = &rest[6..];
                        0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                    }
                    other => other,
                };
                out.push(char::from_u32(point).ok_or(LoneSurrogate)?);
            }
            other => out.push(char::from(other)),
        }
    }
    out.push_str(rest);
    Ok(())
}

fn hex4(text: &str) -> Option<u32> {
    u32::from_str_radix(text.get(..4)?, 16).ok()
}

/// The text of the JSON string `raw` (with its quotes); borrowed where nothing is escaped. `None` where `raw` is no
/// string or has no Unicode equivalent.
#[must_use]
pub fn unquote(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut out = String::with_capacity(inner.len());
    unescape_into(inner, &mut out).ok()?;
    Some(Cow::Owned(out))
}

/// `text` as a JSON string with its quotes.
#[must_use]
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_have_no_text() {
        assert_eq!(unquote(r#""\ud83d\ude00""#).as_deref(), Some("😀"));
        assert_eq!(unquote(r#""\ud800""#), None);
        assert_eq!(unquote(r#""\ud800\u0041""#), None);
        assert_eq!(unquote(r#""\udc00""#), None);
    }
}
