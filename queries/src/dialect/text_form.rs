//! Values as PostgreSQL writes them, and texts as PostgreSQL reads them: `'2026-11-20 08:00'::timestamptz`, `true::text`.

use super::clock::{self, out_of_range};
use super::interval::{DAY, HOUR, Interval, MINUTE, SECOND, seconds_micros};
use super::numeric;
use super::pg_type::PgType;
use super::value::Value;
use crate::values::second_fraction as fraction;
use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;
use datafusion::common::{DataFusionError, Result, exec_err};
use std::borrow::Cow;

/// The text of `value`, as a cast to text gives it. Points in time are those of `zone`.
pub(super) fn to_text(value: &Value<'_>, type_: &PgType, zone: Tz) -> Result<String> {
    Ok(match value {
        Value::Null => String::new(),
        Value::Bool(truth) => if *truth { "true" } else { "false" }.to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) if *type_ == PgType::Float4 => {
            float_text(&format!("{:e}", *number as f32), *number)
        }
        Value::Float(number) => float_text(&format!("{number:e}"), *number),
        Value::Number { digits, scale } => match type_ {
            PgType::Numeric { exact: false, .. } => {
                return exec_err!(
                    "how many digits PostgreSQL writes for this numeric is not known here; use round(value, digits) first"
                );
            }
            _ => numeric::text((*digits, *scale)),
        },
        Value::Text(text) => text.to_string(),
        Value::Bytes(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\\x{hex}")
        }
        Value::Date(days) => date_text(clock::date(*days)?),
        Value::Time(micros) => match type_ {
            PgType::Time => clock_text(*micros),
            PgType::TimestampTz => timestamptz_text(*micros, zone)?,
            _ => timestamp_text(*micros)?,
        },
        Value::Interval(interval) => interval.text(),
        Value::List(items) => {
            let PgType::Array(item) = type_ else { return exec_err!("this is no array") };
            let texts = items.iter().map(|value| list_item(value, item, zone));
            format!("{{{}}}", texts.collect::<Result<Vec<_>>>()?.join(","))
        }
    })
}

/// The text of `value` where a function takes values of any type, as `concat` does: booleans are `t` and `f`.
pub(super) fn output_text(value: &Value<'_>, type_: &PgType, zone: Tz) -> Result<String> {
    match value {
        Value::Bool(truth) => Ok(if *truth { "t" } else { "f" }.to_owned()),
        _ => to_text(value, type_, zone),
    }
}

fn list_item(value: &Value<'_>, item: &PgType, zone: Tz) -> Result<String> {
    if value.is_null() {
        return Ok("NULL".to_owned());
    }
    let text = output_text(value, item, zone)?;
    let special = |c: char| c.is_ascii_whitespace() || "{},\"\\".contains(c);
    if text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(special) {
        return Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
    }
    Ok(text)
}

/// The shortest text of a float: plain, or with an exponent where PostgreSQL writes one. `scientific` is `1.5e-7`.
fn float_text(scientific: &str, number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..15).contains(&exponent) {
        let (sign, digits) =
            mantissa.strip_prefix('-').map_or(("", mantissa), |digits| ("-", digits));
        let digits = digits.replace('.', "");
        if exponent < 0 {
            let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or_default());
            return format!("{sign}0.{zeros}{digits}");
        }
        let whole = usize::try_from(exponent).unwrap_or_default() + 1;
        if digits.len() <= whole {
            return format!("{sign}{digits:0<whole$}");
        }
        return format!("{sign}{}.{}", &digits[..whole], &digits[whole..]);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn date_text(date: NaiveDate) -> String {
    let year = date.year();
    let (shown, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    format!("{shown:04}-{:02}-{:02}{era}", date.month(), date.day())
}

fn clock_text(micros: i64) -> String {
    format!(
        "{:02}:{:02}:{:02}{}",
        micros / HOUR,
        micros / MINUTE % 60,
        micros / SECOND % 60,
        fraction((micros % SECOND).unsigned_abs())
    )
}

/// `2026-11-20 08:00:00.5`.
pub(super) fn timestamp_text(micros: i64) -> Result<String> {
    let date = date_text(clock::wall(micros)?.date());
    let time = clock_text(micros.rem_euclid(DAY));
    Ok(match date.strip_suffix(" BC") {
        Some(date) => format!("{date} {time} BC"),
        None => format!("{date} {time}"),
    })
}

/// `2026-11-20 08:00:00.5+08`.
fn timestamptz_text(micros: i64, zone: Tz) -> Result<String> {
    let offset = offset_text(clock::offset_seconds(zone, micros)?);
    let local = timestamp_text(clock::to_wall(zone, micros)?)?;
    Ok(match local.strip_suffix(" BC") {
        Some(local) => format!("{local}{offset} BC"),
        None => format!("{local}{offset}"),
    })
}

/// `+08`, `-03:30`.
pub(super) fn offset_text(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes, rest) =
        (seconds.abs() / 3600, seconds.abs() / 60 % 60, seconds.abs() % 60);
    match (minutes, rest) {
        (0, 0) => format!("{sign}{hours:02}"),
        (minutes, 0) => format!("{sign}{hours:02}:{minutes:02}"),
        (minutes, rest) => format!("{sign}{hours:02}:{minutes:02}:{rest:02}"),
    }
}

/// Reads `text` as a value of `type_`; times without an offset are those of `zone`.
///
/// # Errors
/// An error as PostgreSQL gives it, and for texts of times that are not written in the ISO form.
pub(super) fn parse(text: &str, type_: &PgType, zone: Tz) -> Result<Value<'static>> {
    let invalid = || {
        DataFusionError::Execution(format!(
            "invalid input syntax for type {}: \"{text}\"",
            type_.name()
        ))
    };
    let trimmed = text.trim();
    Ok(match type_ {
        PgType::Bool => Value::Bool(parse_bool(trimmed).ok_or_else(invalid)?),
        PgType::Int2 | PgType::Int4 | PgType::Int8 => {
            let number: i128 = trimmed.parse().map_err(|_| invalid())?;
            let out = || {
                let name = type_.name();
                DataFusionError::Execution(format!(
                    "value \"{text}\" is out of range for type {name}"
                ))
            };
            fits_integer(number, type_).map(Value::Int).ok_or_else(out)?
        }
        PgType::Float4 | PgType::Float8 => Value::Float(parse_float(trimmed).ok_or_else(invalid)?),
        PgType::Numeric { scale, exact } => {
            let number = numeric::parse(trimmed).ok_or_else(invalid)?;
            // An open number keeps its value, which must have no more digits than there is space for.
            let kept = numeric::rescale(number.0, number.1, *scale)?;
            if !exact && number.1 > *scale && numeric::rescale(kept, *scale, number.1)? != number.0
            {
                return Err(invalid());
            }
            Value::Number { digits: kept, scale: *scale }
        }
        PgType::Bytea => Value::Bytes(Cow::Owned(parse_bytes(text).ok_or_else(invalid)?)),
        PgType::Date => {
            let (date, _, _) = parse_moment(trimmed).ok_or_else(|| unread(text, type_))?;
            Value::Date(clock::days(date))
        }
        PgType::Time => {
            let (time, rest) = parse_clock(trimmed).ok_or_else(|| unread(text, type_))?;
            if !rest.trim().is_empty() {
                return Err(unread(text, type_));
            }
            Value::Time(time)
        }
        PgType::Timestamp | PgType::TimestampTz => {
            let (date, time, offset) = parse_moment(trimmed).ok_or_else(|| unread(text, type_))?;
            let local = i64::from(clock::days(date))
                .checked_mul(DAY)
                .and_then(|days| days.checked_add(time));
            let local = local.ok_or_else(out_of_range)?;
            Value::Time(match (type_, offset) {
                (PgType::Timestamp, _) => local,
                (_, None) => clock::from_wall(zone, local)?,
                (_, Some(Zone::Offset(seconds))) => local - i64::from(seconds) * SECOND,
                (_, Some(Zone::Named(zone))) => clock::from_wall(zone, local)?,
            })
        }
        PgType::Interval => Value::Interval(Interval::parse(text)?),
        PgType::Array(item) => parse_list(trimmed, item, zone)?.ok_or_else(invalid)?,
        PgType::Text | PgType::Unknown | PgType::Engine => Value::text(text),
    })
}

fn unread(text: &str, type_: &PgType) -> DataFusionError {
    DataFusionError::Execution(format!(
        "invalid input syntax for type {}: \"{text}\"; write it as 2026-11-20 08:30:00, with an offset such as +08:00 where one is meant",
        type_.name()
    ))
}

/// `number` where `type_` can hold it.
pub(super) fn fits_integer(number: i128, type_: &PgType) -> Option<i64> {
    let number = i64::try_from(number).ok()?;
    let fits = match type_ {
        PgType::Int2 => i16::try_from(number).is_ok(),
        PgType::Int4 => i32::try_from(number).is_ok(),
        _ => true,
    };
    fits.then_some(number)
}

fn parse_bool(text: &str) -> Option<bool> {
    let lower = text.to_lowercase();
    let begins = |whole: &str, least: usize| lower.len() >= least && whole.starts_with(&lower);
    if begins("true", 1) || begins("yes", 1) || lower == "on" || lower == "1" {
        return Some(true);
    }
    let is_false = begins("false", 1) || begins("no", 1) || begins("off", 2) || lower == "0";
    is_false.then_some(false)
}

fn parse_float(text: &str) -> Option<f64> {
    let lower = text.to_lowercase();
    let unsigned = lower.strip_prefix(['+', '-']).unwrap_or(&lower);
    match unsigned {
        "infinity" | "inf" => {
            return Some(if lower.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        "nan" => return (lower == "nan").then_some(f64::NAN),
        _ => {}
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    // A number too large for a float is an error, not infinity.
    lower.parse::<f64>().ok().filter(|number| number.is_finite())
}

fn parse_bytes(text: &str) -> Option<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        return parse_hex(hex);
    }
    (!text.contains('\\')).then(|| text.as_bytes().to_vec())
}

/// Reads hexadecimal digits.
pub(super) fn parse_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect();
    let digits = digits?;
    let pairs = digits.chunks_exact(2);
    pairs
        .remainder()
        .is_empty()
        .then(|| digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect())
}

/// The zone that a text of a time ends with.
enum Zone {
    /// Seconds ahead of UTC.
    Offset(i32),
    Named(Tz),
}

/// Reads `2026-11-20`, `2026-11-20 08:30:00.5+08:00`, `2026-11-20T08:30Z`, `20261120`: date, microseconds of the day, zone.
fn parse_moment(text: &str) -> Option<(NaiveDate, i64, Option<Zone>)> {
    if text == "epoch" {
        return Some((NaiveDate::from_ymd_opt(1970, 1, 1)?, 0, Some(Zone::Offset(0))));
    }
    let date_end = text.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(text.len());
    let (date, rest) = text.split_at(date_end);
    let date = parse_date(date)?;
    let rest = match rest.strip_prefix('T') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
        Some(_) => return None,
        None => rest.trim_start(),
    };
    if rest.is_empty() {
        return Some((date, 0, None));
    }
    let (time, zone) = parse_clock(rest)?;
    let zone = zone.trim();
    if zone.is_empty() {
        return Some((date, time, None));
    }
    Some((date, time, Some(parse_zone(zone)?)))
}

fn parse_zone(text: &str) -> Option<Zone> {
    let Some(digits) = text.strip_prefix(['+', '-']) else {
        return clock::zone(text).ok().map(Zone::Named);
    };
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let number = |text: &str| {
        let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<i32>().ok()).flatten()
    };
    let parts: Vec<&str> = match digits.len() {
        4 if !digits.contains(':') => vec![digits.get(..2)?, digits.get(2..)?],
        _ => digits.split(':').collect(),
    };
    let (hours, minutes) = match parts[..] {
        [hours] if hours.len() == 1 => (hours.parse().ok()?, 0),
        [hours] => (number(hours)?, 0),
        [hours, minutes] => (number(hours)?, number(minutes)?),
        _ => return None,
    };
    (hours <= 15 && minutes < 60).then_some(Zone::Offset(sign * (hours * 3600 + minutes * 60)))
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let (year, rest) = text.split_at(4);
        let (month, day) = rest.split_at(2);
        return NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    }
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    // A year of two digits would be guessed.
    if parts.next().is_some() || !(4..=6).contains(&year.len()) || month.len() > 2 || day.len() > 2
    {
        return None;
    }
    let year: i32 = year.parse().ok().filter(|year| *year > 0)?;
    NaiveDate::from_ymd_opt(year, month.parse().ok()?, day.parse().ok()?)
}

/// Reads `08:30`, `08:30:00.5`: microseconds of the day, and what follows.
fn parse_clock(text: &str) -> Option<(i64, &str)> {
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.')).unwrap_or(text.len());
    let (time, rest) = text.split_at(end);
    let parts: Vec<&str> = time.split(':').collect();
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (hours, minutes, 0),
        [hours, minutes, seconds] if seconds.starts_with(|c: char| c.is_ascii_digit()) => {
            (hours, minutes, seconds_micros(seconds)?)
        }
        _ => return None,
    };
    let short = |text: &str| (1..=2).contains(&text.len());
    if !short(hours) || !short(minutes) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let micros = hours * HOUR + minutes * MINUTE + seconds;
    (minutes < 60 && seconds < 60 * SECOND && micros <= DAY).then_some((micros, rest))
}

/// Reads `{a,"b c",NULL}`. `None` where it is not written so, or has more than one dimension.
fn parse_list(text: &str, item: &PgType, zone: Tz) -> Result<Option<Value<'static>>> {
    let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
        return Ok(None);
    };
    let mut values = Vec::new();
    if inner.trim().is_empty() {
        return Ok(Some(Value::List(values)));
    }
    let mut characters = inner.chars().peekable();
    loop {
        let (mut current, mut quoted) = (String::new(), false);
        while let Some(c) = characters.next_if(|c| *c != ',') {
            match c {
                '"' if current.trim().is_empty() && !quoted => {
                    quoted = true;
                    current.clear();
                    loop {
                        match characters.next() {
                            Some('"') => break,
                            Some('\\') => current.extend(characters.next()),
                            Some(c) => current.push(c),
                            None => return Ok(None),
                        }
                    }
                }
                '{' | '}' | '"' | '\\' => return Ok(None),
                c if quoted && !c.is_whitespace() => return Ok(None),
                c if !quoted => current.push(c),
                _ => {}
            }
        }
        let bare = current.trim();
        values.push(match (quoted, bare) {
            (false, "") => return Ok(None),
            (false, bare) if bare.eq_ignore_ascii_case("null") => Value::Null,
            (false, bare) => parse(bare, item, zone)?,
            (true, _) => parse(&current, item, zone)?,
        });
        if characters.next().is_none() {
            return Ok(Some(Value::List(values)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written_as_in_postgresql() {
        let shanghai = clock::zone("Asia/Shanghai").expect("a zone");
        for (type_, given, expected) in [
            (PgType::TimestampTz, "2026-11-20", "2026-11-20 00:00:00+08"),
            (PgType::TimestampTz, "2026-11-20T00:00:00.25Z", "2026-11-20 08:00:00.25+08"),
            (PgType::TimestampTz, "2026-11-20 00:00 Europe/Berlin", "2026-11-20 07:00:00+08"),
            (PgType::Timestamp, "2026-11-20 10:00+05", "2026-11-20 10:00:00"),
            (PgType::Timestamp, "2026-11-20 24:00", "2026-11-21 00:00:00"),
            (PgType::Date, "20261120", "2026-11-20"),
            (PgType::Bool, " YES ", "true"),
            (PgType::Float8, "1e15", "1e+15"),
            (PgType::Float8, "123456.5", "123456.5"),
            (PgType::Float8, "0.00001", "1e-05"),
            (PgType::Bytea, "\\x0aFF", "\\x0aff"),
            (
                PgType::Array(Box::new(PgType::Text)),
                "{a,\"b c\",NULL,\"\"}",
                "{a,\"b c\",NULL,\"\"}",
            ),
        ] {
            let value = parse(given, &type_, shanghai).expect(given);
            assert_eq!(to_text(&value, &type_, shanghai).expect(given), expected, "{given}");
        }
        for (type_, wrong) in [
            (PgType::Date, "2026-02-30"),
            (PgType::Date, "20.11.2026"),
            (PgType::TimestampTz, "now"),
            (PgType::Int4, "3000000000"),
            (PgType::Int4, "1.5"),
            (PgType::Bool, "maybe"),
            (PgType::Float8, "1e999"),
        ] {
            assert!(parse(wrong, &type_, shanghai).is_err(), "{wrong}");
        }
    }
}
