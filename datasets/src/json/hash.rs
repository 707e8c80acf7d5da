//! Hashes of JSON values by their meaning. Equal values have equal hashes whatever their white space, key order, escapes
//! or spelling of numbers.
//!
//! The hashes are fast and have no secret key, so an attacker can construct collisions.
//! [`crate::key::event_key`] explains why that is harmless.

use xxhash_rust::xxh3::xxh3_64;

pub(super) const HASH_TRUE: u64 = 0x9e37_79b9_7f4a_7c15;
pub(super) const HASH_FALSE: u64 = 0xbf58_476d_1ce4_e5b9;
pub(super) const HASH_NULL: u64 = 0x94d0_49bb_1331_11eb;
pub(super) const SEED_STRING: u64 = 1;
const SEED_NUMBER: u64 = 2;
pub(super) const SEED_ARRAY: u64 = 3;
pub(super) const SEED_OBJECT: u64 = 4;

/// Hash of an empty object, as [`WalkedValue::hash`](super::WalkedValue::hash) gives it.
pub(crate) const HASH_EMPTY_OBJECT: u64 = SEED_OBJECT;

/// Mixes two hashes into one; their order matters.
#[inline]
#[must_use]
pub fn mix(a: u64, b: u64) -> u64 {
    let m = u128::from(a ^ 0x2d35_8dcc_aa6c_78a5) * u128::from(b ^ 0x8bb8_4b93_962e_acc9);
    (m as u64) ^ ((m >> 64) as u64)
}

/// Hash of a text: equal to the hash that [`Walker`](super::Walker) gives for the same text as a JSON string.
#[inline]
#[must_use]
pub fn hash_text(text: &str) -> u64 {
    hash_words(SEED_STRING, text.as_bytes())
}

/// Hash of bytes as they are, for content that is not JSON.
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Hash of `bytes`, eight at a time. The walker computes the same hash while it looks for the end of a string.
#[inline]
pub(super) fn hash_words(seed: u64, bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(seed, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    finish_words(hash, u64::from_le_bytes(last), bytes.len())
}

/// Mixes the last, incomplete word and the length in bytes into `hash`.
#[inline]
pub(super) fn finish_words(hash: u64, tail: u64, length: usize) -> u64 {
    mix(mix(hash, tail), length as u64)
}

/// Hash of a number's value: `1`, `1.0` and `10e-1` have one hash. Exact for any length, because no float is involved.
pub(super) fn hash_number(text: &[u8]) -> u64 {
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
    // A number whose exponent does not fit 64 bits is hashed as it is spelled: nobody writes one value in two such ways.
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
