//! The syntax of JSON tokens: where strings, numbers, literals and white space end.

/// Deepest nesting accepted, counted in open containers. Real events nest below ten.
pub const DEPTH_MAX: usize = 128;

/// Why reading a JSON value stopped. Offsets count from the start of the given slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonError {
    /// The text ended inside a value; more bytes could complete it.
    Incomplete,
    /// The byte at `at` is not allowed there, or a word other than `true`, `false` and `null` starts there.
    Syntax {
        /// Offset of the offending byte.
        at: usize,
        /// What would have been valid.
        expected: &'static str,
    },
    /// More than [`DEPTH_MAX`] containers are open at `at`.
    TooDeep {
        /// Offset of the bracket that opened one container too many.
        at: usize,
    },
}

/// Kind of a JSON value. Its first byte decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// `"..."`
    String,
    /// `-1.5e3`
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
    /// `{...}`
    Object,
    /// `[...]`
    Array,
}

impl ValueKind {
    /// The kind of a value that starts with the byte `first`; `None` where no value starts so.
    pub(super) fn from_first_byte(first: u8) -> Option<Self> {
        Some(match first {
            b'"' => Self::String,
            b'{' => Self::Object,
            b'[' => Self::Array,
            b't' | b'f' => Self::Bool,
            b'n' => Self::Null,
            b'-' | b'0'..=b'9' => Self::Number,
            _ => return None,
        })
    }
}

/// Offset of the first byte at or after `at` that is not JSON white space; the length of `text` if there is none.
#[inline]
#[must_use]
pub fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marks the bytes of `word` that are `"`, `\` or a control character by their high bits. Marks above the lowest one may
/// be spurious.
#[inline]
pub(super) fn special_bytes(word: u64) -> u64 {
    let quote = word ^ (ONES * 0x22);
    let slash = word ^ (ONES * 0x5c);
    let quote = quote.wrapping_sub(ONES) & !quote;
    let slash = slash.wrapping_sub(ONES) & !slash;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | slash | control) & HIGHS
}

/// Offset past the closing quote of the string whose opening quote is at `at`, and whether the string holds escapes.
///
/// # Errors
/// [`JsonError`] for a control character, an invalid escape or the end of the text.
#[inline]
pub fn string_end(text: &[u8], at: usize) -> Result<(usize, bool), JsonError> {
    let mut i = at + 1;
    let mut escaped = false;
    loop {
        while let Some(chunk) = text.get(i..i + 8) {
            let marks = special_bytes(u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
            if marks != 0 {
                i += (marks.trailing_zeros() / 8) as usize;
                break;
            }
            i += 8;
        }
        match text.get(i) {
            None => return Err(JsonError::Incomplete),
            Some(b'"') => return Ok((i + 1, escaped)),
            Some(b'\\') => {
                escaped = true;
                i = escape_end(text, i)?;
            }
            Some(0..=0x1f) => {
                return Err(JsonError::Syntax {
                    at: i,
                    expected: "no control character inside a string",
                });
            }
            Some(_) => i += 1,
        }
    }
}

fn escape_end(text: &[u8], at: usize) -> Result<usize, JsonError> {
    match text.get(at + 1) {
        None => Err(JsonError::Incomplete),
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            for i in at + 2..at + 6 {
                match text.get(i) {
                    None => return Err(JsonError::Incomplete),
                    Some(b) if b.is_ascii_hexdigit() => {}
                    Some(_) => {
                        return Err(JsonError::Syntax {
                            at: i,
                            expected: "four hex digits after `\\u`",
                        });
                    }
                }
            }
            Ok(at + 6)
        }
        Some(_) => {
            Err(JsonError::Syntax { at: at + 1, expected: "one of `\"\\/bfnrtu` after `\\`" })
        }
    }
}

/// Offset past the literal `word` that starts at `at`.
///
/// # Errors
/// [`JsonError::Incomplete`] if the text ends within `word`, and [`JsonError::Syntax`] if another word starts at `at`.
pub(super) fn literal_end(text: &[u8], at: usize, word: &'static [u8]) -> Result<usize, JsonError> {
    let found = &text[at..text.len().min(at + word.len())];
    if found == word {
        Ok(at + word.len())
    } else if word.starts_with(found) {
        Err(JsonError::Incomplete)
    } else {
        Err(JsonError::Syntax { at, expected: "true, false or null" })
    }
}

/// Offset past the number that starts at `at`. A number at the very end of the text is reported as incomplete, because
/// more digits could follow.
pub(super) fn number_end(text: &[u8], at: usize) -> Result<usize, JsonError> {
    let digits = |mut i: usize| -> Result<usize, JsonError> {
        let from = i;
        while text.get(i).is_some_and(u8::is_ascii_digit) {
            i += 1;
        }
        match text.get(i) {
            None => Err(JsonError::Incomplete),
            Some(_) if i == from => Err(JsonError::Syntax { at: i, expected: "a digit" }),
            Some(_) => Ok(i),
        }
    };
    let mut i = at;
    if text[i] == b'-' {
        i += 1;
    }
    i = match text.get(i) {
        None => return Err(JsonError::Incomplete),
        Some(b'0') => i + 1,
        Some(_) => digits(i)?,
    };
    if text.get(i) == Some(&b'.') {
        i = digits(i + 1)?;
    }
    if matches!(text.get(i), Some(b'e' | b'E')) {
        i += 1;
        if matches!(text.get(i), Some(b'+' | b'-')) {
            i += 1;
        }
        i = digits(i)?;
    }
    match text.get(i) {
        None => Err(JsonError::Incomplete),
        Some(b) if b.is_ascii_digit() => {
            Err(JsonError::Syntax { at: i, expected: "no leading zero" })
        }
        Some(_) => Ok(i),
    }
}
