//! Parses and formats timestamps of events.

use chrono::{DateTime, Datelike, NaiveDate};

/// Parses `text` as microseconds since 1970 UTC: RFC 3339 with `Z` or an offset, also with an offset without colon
/// (`+0000`); or the number of seconds, milliseconds, microseconds or nanoseconds since 1970, which the number of digits tells
/// apart (10, 13, 16, 19: the years 2001 to 2286). Fractions are cut to microseconds; a leap second counts as the second after
/// it. `None` for anything else, including times without zone, whose meaning is ambiguous.
///
/// ```
/// use trailhound_datasets::derive::time;
///
/// let micros = time::parse("2026-01-31T16:00:00+08:00").expect("RFC 3339");
/// assert_eq!(time::canonical(micros).as_deref(), Some("2026-01-31T08:00:00Z"));
/// assert_eq!(time::parse("1769846400000"), Some(micros));
/// assert_eq!(time::parse("2026-01-31 08:00"), None);
/// ```
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    parse_utc_seconds(text.as_bytes())
        .or_else(|| parse_rfc3339(text))
        .or_else(|| parse_epoch(text.trim()))
}

fn parse_epoch(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) || whole.starts_with('0')
    {
        return None;
    }
    let number: i64 = whole.parse().ok()?;
    let micros = match whole.len() {
        10 => number * 1_000_000,
        13 => number * 1_000,
        16 => number,
        19 => number / 1_000,
        _ => return None,
    };
    let fraction: i64 = match fraction.len() {
        0 => 0,
        _ if whole.len() != 10 => return None,
        _ => format!("{fraction:0<6}").get(..6)?.parse().ok()?,
    };
    Some(micros + fraction)
}

/// Fast path for the form of nearly every event, `2026-01-31T08:00:00Z`.
fn parse_utc_seconds(text: &[u8]) -> Option<i64> {
    if text.len() != 20 || text[19] != b'Z' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<u32> {
        text[range]
            .iter()
            .try_fold(0u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
    };
    if text[4] != b'-'
        || text[7] != b'-'
        || text[10] != b'T'
        || text[13] != b':'
        || text[16] != b':'
    {
        return None;
    }
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let day = NaiveDate::from_ymd_opt(number(0..4)? as i32, number(5..7)?, number(8..10)?)?;
    let days = i64::from(chrono::Datelike::num_days_from_ce(&day)) - 719_163;
    Some((days * 86_400 + i64::from(hour * 3600 + minute * 60 + second)) * 1_000_000)
}

fn parse_rfc3339(text: &str) -> Option<i64> {
    let text = text.trim();
    let bytes = text.as_bytes();
    // RFC 3339 years have four digits.
    if bytes.len() < 20 || bytes[4] != b'-' || !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let mut spelled = text.to_owned();
    let leap = bytes.get(16..19) == Some(b":60");
    if leap {
        spelled.replace_range(17..19, "59");
    }
    let zone_without_colon = bytes.len() > 24
        && matches!(bytes[bytes.len() - 5], b'+' | b'-')
        && bytes[bytes.len() - 4..].iter().all(u8::is_ascii_digit);
    if zone_without_colon {
        spelled.insert(spelled.len() - 2, ':');
    }
    let micros = DateTime::parse_from_rfc3339(&spelled).ok()?.timestamp_micros();
    Some(if leap { micros - micros.rem_euclid(1_000_000) + 1_000_000 } else { micros })
}

/// The second of `micros` (since 1970 UTC) as text without zone, `2026-01-31T08:00:00`. Texts of all times within that
/// second start with it, so it serves as a bound in text order. `None` outside the years 0 to 9999.
#[must_use]
pub fn second(micros: i64) -> Option<String> {
    let time = DateTime::from_timestamp_micros(micros)
        .filter(|time| (0..10_000).contains(&time.year()))?;
    Some(time.format("%Y-%m-%dT%H:%M:%S").to_string())
}

/// `micros` (since 1970 UTC) in the form of nearly every event, `2026-01-31T08:00:00Z`. `None` for fractions of a second
/// and years outside 1 to 9999, which that form cannot hold.
#[must_use]
pub fn canonical(micros: i64) -> Option<String> {
    if micros.rem_euclid(1_000_000) != 0 {
        return None;
    }
    let time = DateTime::from_timestamp_micros(micros)?;
    (1..=9999).contains(&time.year()).then(|| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_forms_are_read_and_no_other() {
        let base = 1_649_759_057_000_000;
        for (text, micros) in [
            ("2022-04-12T10:24:17Z", base),
            ("2022-04-12T18:24:17+08:00", base),
            ("2022-04-12T10:24:17.366+0000", base + 366_000),
            ("2022-04-12T10:24:17.123456789012Z", base + 123_456),
            (" 2022-04-12T10:24:17Z ", base),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
            ("1969-12-31T23:59:59Z", -1_000_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000_000),
            ("1649759057", base),
            ("1649759057.25", base + 250_000),
            ("1649759057000", base),
            ("1649759057000001", base + 1),
            ("1649759057000001999", base + 1),
        ] {
            assert_eq!(parse(text), Some(micros), "{text}");
        }
        for text in [
            "",
            "not a date",
            "164975905",
            "0649759057",
            "-1649759057",
            "16497590570",
            "1649759057000.5",
            "1.649759057e9",
            "2022-04-12T10:24:17",
            "2022-04-12",
            "2022-02-30T00:00:00Z",
            "2022-04-12T24:00:00Z",
            "2022-13-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "2022-04-12T10:60:00Z",
            "２022-04-12T10:24:17Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn canonical_form_reads_back() {
        for text in ["2022-04-12T10:24:17Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
            assert_eq!(parse(text).and_then(canonical).as_deref(), Some(text));
        }
        assert_eq!(canonical(1), None);
    }
}
