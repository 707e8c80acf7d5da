//! The walk over one JSON value: checks every byte, finds the value's end and hashes its meaning.

use super::hash::{
    HASH_FALSE, HASH_NULL, HASH_TRUE, SEED_ARRAY, SEED_OBJECT, SEED_STRING, finish_words,
    hash_number, hash_text, hash_words, mix,
};
use super::syntax::{
    DEPTH_MAX, JsonError, ValueKind, literal_end, number_end, skip_space, special_bytes, string_end,
};
use super::text::unescape_into;

/// A walked value: its end, kind and hash.
#[derive(Debug, Clone, Copy)]
pub struct WalkedValue {
    /// Offset just past the value.
    pub end: usize,
    /// Kind of the value.
    pub kind: ValueKind,
    /// Hash of the value's meaning: equal for equal JSON values whatever their white space, key order, escapes or
    /// spelling of numbers.
    pub hash: u64,
    /// Some object inside has two members of one name.
    pub duplicate_key: bool,
    /// The value is a string that holds at least one escape.
    pub escaped: bool,
}

/// An object or array whose end has not been reached.
struct OpenContainer {
    object: bool,
    /// Hash of the members or elements so far.
    hash: u64,
    /// Hash of the key whose value is being read.
    key: u64,
    /// Where this object's keys start in [`Walker::keys`].
    keys_from: usize,
}

/// A value whose end has been reached.
struct FinishedValue {
    end: usize,
    hash: u64,
    escaped: bool,
}

/// What follows the opening bracket of a container.
enum AfterOpening {
    /// The first value inside, at this offset.
    Value(usize),
    /// The closing bracket: the container is empty.
    Closed(FinishedValue),
}

/// What follows a finished value.
enum AfterValue {
    /// The next value of a container that is still open, at this offset.
    Value(usize),
    /// Nothing: the outermost value is finished.
    End(FinishedValue),
}

/// A reusable walker. It owns the stacks of the walk, so that walking a value allocates nothing once they have grown.
#[derive(Default)]
pub struct Walker {
    open: Vec<OpenContainer>,
    /// Hashes of the keys of all open objects.
    keys: Vec<u64>,
    duplicate_key: bool,
    scratch: String,
}

// The steps of the walk are inlined into its loop: without that, a walk takes a tenth longer.
impl Walker {
    /// Walks the value that starts at `at` (white space already skipped) and checks every byte of it.
    ///
    /// # Errors
    /// [`JsonError`], with offsets counted from the start of `text`.
    pub fn value(&mut self, text: &[u8], at: usize) -> Result<WalkedValue, JsonError> {
        self.value_at_depth(text, at, 0)
    }

    /// [`Walker::value`] for a value that lies inside `depth` open containers already.
    ///
    /// # Errors
    /// As [`Walker::value`]; the depth limit counts the containers outside.
    pub fn value_at_depth(
        &mut self,
        text: &[u8],
        at: usize,
        depth: usize,
    ) -> Result<WalkedValue, JsonError> {
        self.open.clear();
        self.keys.clear();
        self.duplicate_key = false;
        let first = *text.get(at).ok_or(JsonError::Incomplete)?;
        let kind = ValueKind::from_first_byte(first)
            .ok_or(JsonError::Syntax { at, expected: "a JSON value" })?;
        let mut at = at;
        loop {
            let byte = *text.get(at).ok_or(JsonError::Incomplete)?;
            let value = match byte {
                b'{' | b'[' => match self.open_container(text, at, byte, depth)? {
                    AfterOpening::Value(next) => {
                        at = next;
                        continue;
                    }
                    AfterOpening::Closed(value) => value,
                },
                _ => self.scalar(text, at, byte)?,
            };
            match self.close_containers(text, value)? {
                AfterValue::Value(next) => at = next,
                AfterValue::End(value) => {
                    return Ok(WalkedValue {
                        end: value.end,
                        kind,
                        hash: value.hash,
                        duplicate_key: self.duplicate_key,
                        escaped: value.escaped,
                    });
                }
            }
        }
    }

    /// Reads the string, number or literal at `at`, which starts with `byte`.
    #[inline(always)]
    fn scalar(&mut self, text: &[u8], at: usize, byte: u8) -> Result<FinishedValue, JsonError> {
        let (end, hash) = match byte {
            b'"' => {
                let (end, escaped, hash) = self.hashed_string(text, at)?;
                return Ok(FinishedValue { end, hash, escaped });
            }
            b't' => (literal_end(text, at, b"true")?, HASH_TRUE),
            b'f' => (literal_end(text, at, b"false")?, HASH_FALSE),
            b'n' => (literal_end(text, at, b"null")?, HASH_NULL),
            b'-' | b'0'..=b'9' => {
                let end = number_end(text, at)?;
                (end, hash_number(&text[at..end]))
            }
            _ => return Err(JsonError::Syntax { at, expected: "a JSON value" }),
        };
        Ok(FinishedValue { end, hash, escaped: false })
    }

    /// Opens the container whose bracket `byte` is at `at`, and reads up to its first value.
    #[inline(always)]
    fn open_container(
        &mut self,
        text: &[u8],
        at: usize,
        byte: u8,
        depth: usize,
    ) -> Result<AfterOpening, JsonError> {
        if self.open.len() + depth >= DEPTH_MAX {
            return Err(JsonError::TooDeep { at });
        }
        let object = byte == b'{';
        let (seed, close) = if object { (SEED_OBJECT, b'}') } else { (SEED_ARRAY, b']') };
        let at = skip_space(text, at + 1);
        match text.get(at) {
            None => return Err(JsonError::Incomplete),
            Some(&byte) if byte == close => {
                let value = FinishedValue { end: at + 1, hash: seed, escaped: false };
                return Ok(AfterOpening::Closed(value));
            }
            Some(_) => {}
        }
        let keys_from = self.keys.len();
        self.open.push(OpenContainer { object, hash: seed, key: 0, keys_from });
        Ok(AfterOpening::Value(if object { self.key(text, at)? } else { at }))
    }

    /// Adds `value` to the container around it, and closes every container that ends right behind it.
    #[inline(always)]
    fn close_containers(
        &mut self,
        text: &[u8],
        mut value: FinishedValue,
    ) -> Result<AfterValue, JsonError> {
        loop {
            let Some(container) = self.open.last_mut() else { return Ok(AfterValue::End(value)) };
            let object = container.object;
            // Members are added, so that their order does not matter; elements are mixed in order.
            container.hash = if object {
                container.hash.wrapping_add(mix(container.key, value.hash))
            } else {
                mix(container.hash, value.hash)
            };
            let hash = container.hash;
            let at = skip_space(text, value.end);
            match (*text.get(at).ok_or(JsonError::Incomplete)?, object) {
                (b',', _) => {
                    let at = skip_space(text, at + 1);
                    return Ok(AfterValue::Value(if object { self.key(text, at)? } else { at }));
                }
                (b'}', true) => {
                    let keys_from = container.keys_from;
                    self.duplicate_key |= has_duplicate(&mut self.keys[keys_from..]);
                    self.keys.truncate(keys_from);
                }
                (b']', false) => {}
                (_, true) => return Err(JsonError::Syntax { at, expected: "`,` or `}`" }),
                (_, false) => return Err(JsonError::Syntax { at, expected: "`,` or `]`" }),
            }
            self.open.pop();
            value = FinishedValue { end: at + 1, hash, escaped: false };
        }
    }

    /// Reads `"key" :` at `at` into the innermost container; returns the offset of the key's value.
    fn key(&mut self, text: &[u8], at: usize) -> Result<usize, JsonError> {
        match text.get(at) {
            None => return Err(JsonError::Incomplete),
            Some(b'"') => {}
            Some(_) => return Err(JsonError::Syntax { at, expected: "a key in double quotes" }),
        }
        let (end, _, hash) = self.hashed_string(text, at)?;
        self.keys.push(hash);
        self.open.last_mut().expect("a container is open").key = hash;
        let at = skip_space(text, end);
        match text.get(at) {
            None => Err(JsonError::Incomplete),
            Some(b':') => Ok(skip_space(text, at + 1)),
            Some(_) => Err(JsonError::Syntax { at, expected: "`:`" }),
        }
    }

    /// [`string_end`] with the hash of the string's text. Strings without escapes are read once.
    #[inline]
    fn hashed_string(&mut self, text: &[u8], at: usize) -> Result<(usize, bool, u64), JsonError> {
        let mut i = at + 1;
        let mut hash = SEED_STRING;
        while let Some(chunk) = text.get(i..i + 8) {
            let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
            let marks = special_bytes(word);
            if marks == 0 {
                hash = mix(hash, word);
                i += 8;
                continue;
            }
            let plain = marks.trailing_zeros() & !7;
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

/// True where `keys` holds a hash twice. Sorting only pays for wide objects.
fn has_duplicate(keys: &mut [u64]) -> bool {
    if keys.len() <= 8 {
        return keys.iter().enumerate().any(|(i, key)| keys[..i].contains(key));
    }
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
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
}
