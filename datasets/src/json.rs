//! Reading JSON text where it lies: a validating walk over bytes that builds no tree.
//!
//! Everything that looks inside an event's JSON (the decoder, the derived facts, the SQL function `param`) goes through
//! here, so one set of rules decides what is JSON (RFC 8259, strict), how deep it may nest, and when two values are equal.
//! The walk is iterative: hostile nesting costs a counter, never stack.

use std::borrow::Cow;
use xxhash_rust::xxh3::xxh3_64;

/// Deepest nesting accepted, counted in open containers. Real events nest below ten.
pub const DEPTH_MAX: usize = 128;

/// Why a walk stopped. Offsets count from the start of the slice given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonError {
    /// The text ended inside a value; more bytes could complete it.
    Incomplete,
    /// The byte at `at` cannot stand there.
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

impl JsonError {
    /// The same error with its offset counted from `base` bytes earlier.
    #[must_use]
    pub fn shifted(self, base: usize) -> Self {
        match self {
            Self::Incomplete => Self::Incomplete,
            Self::Syntax { at, expected } => Self::Syntax { at: at + base, expected },
            Self::TooDeep { at } => Self::TooDeep { at: at + base },
        }
    }
}

/// What kind of value a slice holds, told by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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

/// A walked value: where it ends and what it says.
#[derive(Debug, Clone, Copy)]
pub struct Walked {
    /// Offset just past the value.
    pub end: usize,
    /// Kind of the value.
    pub kind: Kind,
    /// Hash of the value's meaning: equal for equal JSON values whatever their white space, key order, escapes or
    /// spelling of numbers.
    pub hash: u64,
    /// Some object inside names one key twice.
    pub duplicate_key: bool,
    /// The string (if the value is one) holds at least one escape.
    pub escaped: bool,
}

const HASH_TRUE: u64 = 0x9e37_79b9_7f4a_7c15;
const HASH_FALSE: u64 = 0xbf58_476d_1ce4_e5b9;
const HASH_NULL: u64 = 0x94d0_49bb_1331_11eb;
const SEED_STRING: u64 = 1;
const SEED_NUMBER: u64 = 2;
const SEED_ARRAY: u64 = 3;
const SEED_OBJECT: u64 = 4;

/// Mixes two hashes into one; order matters.
#[inline]
#[must_use]
pub fn mix(a: u64, b: u64) -> u64 {
    let m = u128::from(a ^ 0x2d35_8dcc_aa6c_78a5) * u128::from(b ^ 0x8bb8_4b93_962e_acc9);
    (m as u64) ^ ((m >> 64) as u64)
}

/// Hash of a string's meaning, as [`Walked::hash`] gives it for the same string inside JSON.
#[inline]
#[must_use]
pub fn hash_text(text: &str) -> u64 {
    hash_words(SEED_STRING, text.as_bytes())
}

/// Hash of bytes, eight at a time: what [`hashed_string`] works out while it looks for a string's end. Not for keeping
/// a hostile writer from colliding: see `event_key` for why nothing hangs on that.
#[inline]
fn hash_words(seed: u64, bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(seed, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    finish_words(hash, u64::from_le_bytes(last), bytes.len())
}

#[inline]
fn finish_words(hash: u64, tail: u64, length: usize) -> u64 {
    mix(mix(hash, tail), length as u64)
}

/// Offset of the first byte at or after `at` that is not JSON white space.
#[inline]
#[must_use]
pub fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

struct Level {
    object: bool,
    hash: u64,
    key: u64,
    /// Where this object's keys start in `Walker::keys`.
    keys_from: usize,
}

/// A reusable walker; it owns the small stacks so that walking a value allocates nothing once warm.
#[derive(Default)]
pub struct Walker {
    levels: Vec<Level>,
    keys: Vec<u64>,
    scratch: String,
}

impl Walker {
    /// Walks the value that starts at `at` (white space already skipped), checking every byte of it.
    ///
    /// # Errors
    /// [`JsonError`], with offsets counted from the start of `text`.
    pub fn value(&mut self, text: &[u8], at: usize) -> Result<Walked, JsonError> {
        self.value_at_depth(text, at, 0)
    }

    /// [`Walker::value`] for a value that already lies inside `depth` open containers.
    ///
    /// # Errors
    /// As [`Walker::value`]; the depth limit counts the containers outside.
    pub fn value_at_depth(
        &mut self,
        text: &[u8],
        at: usize,
        depth: usize,
    ) -> Result<Walked, JsonError> {
        self.levels.clear();
        self.keys.clear();
        let mut duplicate_key = false;
        let mut at = at;
        let first = *text.get(at).ok_or(JsonError::Incomplete)?;
        let kind = kind_of(first).ok_or(JsonError::Syntax { at, expected: "a JSON value" })?;
        loop {
            // A value is due at `at`.
            let byte = *text.get(at).ok_or(JsonError::Incomplete)?;
            let mut done: u64;
            let mut escaped_now = false;
            match byte {
                b'"' => {
                    (at, escaped_now, done) = self.hashed_string(text, at)?;
                }
                b'{' | b'[' => {
                    if self.levels.len() + depth >= DEPTH_MAX {
                        return Err(JsonError::TooDeep { at });
                    }
                    let object = byte == b'{';
                    let seed = if object { SEED_OBJECT } else { SEED_ARRAY };
                    self.levels.push(Level {
                        object,
                        hash: seed,
                        key: 0,
                        keys_from: self.keys.len(),
                    });
                    at = skip_space(text, at + 1);
                    let close = if object { b'}' } else { b']' };
                    match text.get(at) {
                        None => return Err(JsonError::Incomplete),
                        Some(&b) if b == close => {
                            self.levels.pop();
                            done = seed;
                            at += 1;
                        }
                        Some(_) if object => {
                            at = self.key(text, at)?;
                            continue;
                        }
                        Some(_) => continue,
                    }
                }
                b't' => {
                    at = literal(text, at, b"true")?;
                    done = HASH_TRUE;
                }
                b'f' => {
                    at = literal(text, at, b"false")?;
                    done = HASH_FALSE;
                }
                b'n' => {
                    at = literal(text, at, b"null")?;
                    done = HASH_NULL;
                }
                b'-' | b'0'..=b'9' => {
                    let end = number_end(text, at)?;
                    done = hash_number(&text[at..end]);
                    at = end;
                }
                _ => return Err(JsonError::Syntax { at, expected: "a JSON value" }),
            }
            // A value is finished: hand it to the container around it, closing as many as end here.
            loop {
                let Some(level) = self.levels.last_mut() else {
                    return Ok(Walked {
                        end: at,
                        kind,
                        hash: done,
                        duplicate_key,
                        escaped: escaped_now,
                    });
                };
                if level.object {
                    level.hash = level.hash.wrapping_add(mix(level.key, done));
                } else {
                    level.hash = mix(level.hash, done);
                }
                at = skip_space(text, at);
                let byte = *text.get(at).ok_or(JsonError::Incomplete)?;
                match (byte, level.object) {
                    (b',', true) => {
                        at = skip_space(text, at + 1);
                        at = self.key(text, at)?;
                        break;
                    }
                    (b',', false) => {
                        at = skip_space(text, at + 1);
                        break;
                    }
                    (b'}', true) => {
                        let level = self.levels.pop().expect("a level is open");
                        duplicate_key |= has_duplicate(&mut self.keys[level.keys_from..]);
                        self.keys.truncate(level.keys_from);
                        done = level.hash;
                        at += 1;
                    }
                    (b']', false) => {
                        done = level.hash;
                        self.levels.pop();
                        at += 1;
                    }
                    (_, true) => return Err(JsonError::Syntax { at, expected: "`,` or `}`" }),
                    (_, false) => return Err(JsonError::Syntax { at, expected: "`,` or `]`" }),
                }
                escaped_now = false;
            }
        }
    }

    /// Reads `"key" :` at `at` into the innermost level; returns where its value starts.
    fn key(&mut self, text: &[u8], at: usize) -> Result<usize, JsonError> {
        match text.get(at) {
            None => return Err(JsonError::Incomplete),
            Some(b'"') => {}
            Some(_) => return Err(JsonError::Syntax { at, expected: "a key in double quotes" }),
        }
        let (end, _, hash) = self.hashed_string(text, at)?;
        self.keys.push(hash);
        self.levels.last_mut().expect("a level is open").key = hash;
        let at = skip_space(text, end);
        match text.get(at) {
            None => Err(JsonError::Incomplete),
            Some(b':') => Ok(skip_space(text, at + 1)),
            Some(_) => Err(JsonError::Syntax { at, expected: "`:`" }),
        }
    }

    /// [`string_end`] with the hash of the string's meaning, in one pass over plain strings.
    #[inline]
    fn hashed_string(&mut self, text: &[u8], at: usize) -> Result<(usize, bool, u64), JsonError> {
        let mut i = at + 1;
        let mut hash = SEED_STRING;
        while let Some(chunk) = text.get(i..i + 8) {
            let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
            let hits = special_bytes(word);
            if hits == 0 {
                hash = mix(hash, word);
                i += 8;
                continue;
            }
            let plain = hits.trailing_zeros() & !7;
            let quote = i + (plain / 8) as usize;
            if text[quote] != b'"' {
                break;
            }
            let tail = word & !(u64::MAX << plain);
            return Ok((quote + 1, false, finish_words(hash, tail, quote - at - 1)));
        }
        let (end, escaped) = string_end(text, at)?;
        Ok((end, escaped, self.hash_string(&text[at + 1..end - 1], escaped)))
    }

    fn hash_string(&mut self, raw: &[u8], escaped: bool) -> u64 {
        if escaped && let Ok(raw) = std::str::from_utf8(raw) {
            self.scratch.clear();
            if unescape_into(raw, &mut self.scratch).is_ok() {
                return hash_text(&self.scratch);
            }
        }
        hash_words(SEED_STRING, raw)
    }
}

fn kind_of(first: u8) -> Option<Kind> {
    Some(match first {
        b'"' => Kind::String,
        b'{' => Kind::Object,
        b'[' => Kind::Array,
        b't' | b'f' => Kind::Bool,
        b'n' => Kind::Null,
        b'-' | b'0'..=b'9' => Kind::Number,
        _ => return None,
    })
}

/// True where a key hash stands twice. Sorting only pays for wide objects.
fn has_duplicate(keys: &mut [u64]) -> bool {
    if keys.len() <= 8 {
        return keys.iter().enumerate().any(|(i, key)| keys[..i].contains(key));
    }
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Bytes of `word` (as high bits) that are `"`, `\` or a control character. Bits above the first hit may be spurious.
#[inline]
fn special_bytes(word: u64) -> u64 {
    let quote = word ^ (ONES * 0x22);
    let slash = word ^ (ONES * 0x5c);
    let quote = quote.wrapping_sub(ONES) & !quote;
    let slash = slash.wrapping_sub(ONES) & !slash;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | slash | control) & HIGHS
}

/// End (past the closing quote) of the string whose opening quote is at `at`, and whether it holds escapes.
///
/// # Errors
/// [`JsonError`] for a control character, a bad escape or the end of the text.
#[inline]
pub fn string_end(text: &[u8], at: usize) -> Result<(usize, bool), JsonError> {
    let mut i = at + 1;
    let mut escaped = false;
    loop {
        while let Some(chunk) = text.get(i..i + 8) {
            let hits = special_bytes(u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
            if hits != 0 {
                i += (hits.trailing_zeros() / 8) as usize;
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

fn literal(text: &[u8], at: usize, word: &'static [u8]) -> Result<usize, JsonError> {
    let have = &text[at..text.len().min(at + word.len())];
    if have == word {
        Ok(at + word.len())
    } else if word.starts_with(have) {
        Err(JsonError::Incomplete)
    } else {
        Err(JsonError::Syntax { at, expected: "true, false or null" })
    }
}

/// End of the number at `at`. A number that touches the end of the text is complete only if the caller knows that
/// nothing follows, so it is reported as incomplete; top-level numbers are no events and never get here.
fn number_end(text: &[u8], at: usize) -> Result<usize, JsonError> {
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

/// Hash of a number's value: `1`, `1.0` and `10e-1` are one. Exact for any length, nothing goes through a float.
fn hash_number(text: &[u8]) -> u64 {
    if !text.iter().any(|b| matches!(b, b'.' | b'e' | b'E')) && text != b"-0" {
        return hash_words(SEED_NUMBER, text);
    }
    let (negative, body) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let (mantissa, exponent) = match body.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(i) => (
            &body[..i],
            std::str::from_utf8(&body[i + 1..]).ok().and_then(|e| e.parse::<i64>().ok()),
        ),
        None => (body, Some(0)),
    };
    // An exponent beyond i64 is kept as spelt: nobody writes one value in two such ways.
    let Some(exponent) = exponent else { return hash_words(SEED_NUMBER, text) };
    let point = mantissa.iter().position(|&b| b == b'.').unwrap_or(mantissa.len());
    let mut digits: Vec<u8> = mantissa.iter().copied().filter(u8::is_ascii_digit).collect();
    let mut exponent = exponent.saturating_sub((mantissa.len().saturating_sub(point + 1)) as i64);
    while digits.last() == Some(&b'0') {
        digits.pop();
        exponent = exponent.saturating_add(1);
    }
    let start = digits.iter().position(|&b| b != b'0').unwrap_or(digits.len());
    let digits = &digits[start..];
    if digits.is_empty() {
        return hash_words(SEED_NUMBER, b"0");
    }
    let mut canonical = Vec::with_capacity(digits.len() + 24);
    if negative {
        canonical.push(b'-');
    }
    canonical.extend_from_slice(digits);
    if (0..64).contains(&exponent) {
        canonical.extend(std::iter::repeat_n(b'0', exponent as usize));
    } else {
        canonical.push(b'e');
        canonical.extend_from_slice(exponent.to_string().as_bytes());
    }
    hash_words(SEED_NUMBER, &canonical)
}

/// A `\uXXXX` escape names half a surrogate pair: no Unicode text can hold it.
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

/// The text of a JSON string value `raw` (with its quotes); borrowed where nothing is escaped.
/// `None` where it is no string or has no Unicode equivalent.
#[must_use]
pub fn text_of(raw: &str) -> Option<Cow<'_, str>> {
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

/// Members of an object's text: `(key, value text)` in order. Stops at the first thing that is not JSON, so it is meant
/// for text that has been walked before; for any other it yields what is valid from the left.
pub struct Members<'a> {
    text: &'a str,
    at: usize,
    walker: Walker,
}

/// Iterates the members of the object that `text` holds; empty for anything else.
#[must_use]
pub fn members(text: &str) -> Members<'_> {
    let start = skip_space(text.as_bytes(), 0);
    let at = if text.as_bytes().get(start) == Some(&b'{') { start + 1 } else { text.len() };
    Members { text, at, walker: Walker::default() }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        let mut at = skip_space(bytes, self.at);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        if bytes.get(at) != Some(&b'"') {
            self.at = bytes.len();
            return None;
        }
        let (key_end, _) = string_end(bytes, at).ok()?;
        let key = text_of(&self.text[at..key_end])
            .unwrap_or(Cow::Borrowed(&self.text[at + 1..key_end - 1]));
        at = skip_space(bytes, key_end);
        if bytes.get(at) != Some(&b':') {
            self.at = bytes.len();
            return None;
        }
        at = skip_space(bytes, at + 1);
        let walked = self.walker.value(bytes, at).ok()?;
        self.at = walked.end;
        Some((key, &self.text[at..walked.end]))
    }
}

/// Elements of an array's text, under the same terms as [`members`].
pub fn elements(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let start = skip_space(bytes, 0);
    let mut at = if bytes.get(start) == Some(&b'[') { start + 1 } else { bytes.len() };
    let mut walker = Walker::default();
    std::iter::from_fn(move || {
        at = skip_space(bytes, at);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        let walked = walker.value(bytes, at).ok()?;
        let element = &text[at..walked.end];
        at = walked.end;
        Some(element)
    })
}

/// Hash of bytes as they are, for content that is no JSON.
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> u64 {
        let padded = format!("{text} ");
        Walker::default().value(padded.as_bytes(), 0).expect(text).hash
    }

    #[test]
    fn equal_values_hash_alike_whatever_their_spelling() {
        for (a, b) in [
            (r#"{"a":1,"b":[2,"x"]}"#, r#"{ "b" : [2.0, "\u0078"], "a":10e-1 }"#),
            ("1e2", "100"),
            ("-0", "0"),
            ("1.50", "15e-1"),
            (r#""é\/""#, r#""\u00e9/""#),
        ] {
            assert_eq!(hash(a), hash(b), "{a} and {b}");
        }
        for (a, b) in [
            ("[1,2]", "[2,1]"),
            ("1", "\"1\""),
            (r#"{"a":1}"#, r#"{"a":2}"#),
            ("{}", "[]"),
            ("null", "false"),
        ] {
            assert_ne!(hash(a), hash(b), "{a} and {b}");
        }
    }

    #[test]
    fn strings_of_every_length_hash_as_their_text() {
        let long = "abcdefghijklmnopqrstuvwxyzé".repeat(2);
        for cut in (0..long.len()).filter(|&cut| long.is_char_boundary(cut)) {
            let text = &long[..cut];
            assert_eq!(hash(&format!("\"{text}\"")), hash_text(text), "{text}");
            let padded = format!("\"{text}\"{}", " ".repeat(20));
            assert_eq!(
                Walker::default().value(padded.as_bytes(), 0).expect(text).hash,
                hash_text(text),
                "{text}"
            );
        }
        assert_ne!(hash_text("a"), hash_text("a\0"));
        assert_ne!(hash_text(""), hash_text("\0\0\0\0\0\0\0\0"));
    }

    #[test]
    fn duplicate_keys_are_seen_at_depth_and_through_escapes() {
        let seen = |t: &str| Walker::default().value(t.as_bytes(), 0).expect(t).duplicate_key;
        assert!(seen(r#"{"a":1,"a":2}"#));
        assert!(seen(r#"[{"x":{"user":1,"\u0075ser":2}}]"#));
        assert!(!seen(r#"{"a":{"a":1},"b":{"a":2}}"#));
    }

    #[test]
    fn depth_is_a_limit_and_not_a_stack() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        let walk = |t: &str| Walker::default().value(t.as_bytes(), 0).map(|w| w.end);
        assert_eq!(walk(&nested(128)), Ok(256));
        assert_eq!(walk(&nested(129)), Err(JsonError::TooDeep { at: 128 }));
        assert_eq!(walk(&"[".repeat(100_000)), Err(JsonError::TooDeep { at: 128 }));
        assert_eq!(walk(&"{\"a\":".repeat(100_000)), Err(JsonError::TooDeep { at: 128 * 5 }));
    }

    #[test]
    fn every_cut_of_a_value_is_incomplete() {
        let text = r#"{"a":[1.5e+3,true,null,"x\u00e9\n"],"b":{"c":-0.1}}"#;
        for cut in 0..text.len() {
            assert_eq!(
                Walker::default().value(&text.as_bytes()[..cut], 0).map(|_| ()),
                Err(JsonError::Incomplete),
                "{cut}"
            );
        }
        assert!(Walker::default().value(text.as_bytes(), 0).is_ok());
    }

    #[test]
    fn members_and_elements_give_the_parts() {
        let got: Vec<_> =
            members(r#" {"a" : 1, "b\"": [ {} ,2]} "#).map(|(k, v)| (k.into_owned(), v)).collect();
        assert_eq!(got, [("a".to_owned(), "1"), ("b\"".to_owned(), "[ {} ,2]")]);
        assert_eq!(elements("[1, [2] ,\"3\"]").collect::<Vec<_>>(), ["1", "[2]", "\"3\""]);
        assert_eq!(members("[1]").count(), 0);
    }

    #[test]
    fn lone_surrogates_are_told_apart() {
        assert_eq!(text_of(r#""\ud83d\ude00""#).as_deref(), Some("😀"));
        assert_eq!(text_of(r#""\ud800""#), None);
        assert_eq!(text_of(r#""\ud800\u0041""#), None);
        assert_eq!(text_of(r#""\udc00""#), None);
    }
}
