//! PostgreSQL's `interval`: months, days and microseconds that stay apart; its text, and its arithmetic.

use crate::values::interval_text;
use datafusion::arrow::datatypes::{IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::common::{DataFusionError, Result, exec_err};

/// Microseconds of a second, a minute, an hour and a day.
pub(super) const SECOND: i64 = 1_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Interval {
    pub(super) months: i32,
    pub(super) days: i32,
    pub(super) micros: i64,
}

fn out_of_range() -> DataFusionError {
    DataFusionError::Execution("interval out of range".to_owned())
}

impl Interval {
    /// The value as Arrow stores it.
    pub(super) fn arrow(self) -> Result<IntervalMonthDayNano> {
        let nanos = self.micros.checked_mul(1000).ok_or_else(out_of_range)?;
        Ok(IntervalMonthDayNanoType::make_value(self.months, self.days, nanos))
    }

    /// `self + other`, part by part.
    pub(super) fn plus(self, other: Self) -> Result<Self> {
        Ok(Self {
            months: self.months.checked_add(other.months).ok_or_else(out_of_range)?,
            days: self.days.checked_add(other.days).ok_or_else(out_of_range)?,
            micros: self.micros.checked_add(other.micros).ok_or_else(out_of_range)?,
        })
    }

    /// `-self`.
    pub(super) fn negated(self) -> Result<Self> {
        Ok(Self {
            months: self.months.checked_neg().ok_or_else(out_of_range)?,
            days: self.days.checked_neg().ok_or_else(out_of_range)?,
            micros: self.micros.checked_neg().ok_or_else(out_of_range)?,
        })
    }

    /// `self * factor`: what is left of a month becomes days, what is left of a day becomes time.
    pub(super) fn times(self, factor: f64) -> Result<Self> {
        self.scaled(|part| part * factor)
    }

    fn scaled(self, scale: impl Fn(f64) -> f64) -> Result<Self> {
        let whole = |value: f64| {
            let fits = value.is_finite() && value.abs() < f64::from(i32::MAX);
            if fits { Ok(value.trunc() as i32) } else { Err(out_of_range()) }
        };
        let (months, days) = (scale(f64::from(self.months)), scale(f64::from(self.days)));
        let (whole_months, whole_days) = (whole(months)?, whole(days)?);
        let round = |value: f64| (value * 1e6).round_ties_even() / 1e6;
        let month_days = round((months - f64::from(whole_months)) * 30.0);
        let mut seconds =
            round((days - f64::from(whole_days) + month_days - month_days.trunc()) * 86400.0);
        let mut days = whole_days + month_days as i32;
        if seconds.abs() >= 86400.0 {
            days += (seconds / 86400.0) as i32;
            seconds -= (seconds / 86400.0).trunc() * 86400.0;
        }
        let micros = (scale(self.micros as f64) + seconds * 1e6).round_ties_even();
        if !micros.is_finite() || micros.abs() >= 9.2e18 {
            return Err(out_of_range());
        }
        Ok(Self { months: whole_months, days, micros: micros as i64 })
    }

    /// `self / divisor`, as [`Interval::times`].
    pub(super) fn divided(self, divisor: f64) -> Result<Self> {
        self.scaled(|part| part / divisor)
    }

    /// Microseconds by which PostgreSQL orders intervals: a month counts 30 days, a day 24 hours.
    pub(super) fn ordering(self) -> i128 {
        (i128::from(self.months) * 30 + i128::from(self.days)) * i128::from(DAY)
            + i128::from(self.micros)
    }

    /// The text, such as `1 mon 2 days 03:04:05`.
    pub(super) fn text(self) -> String {
        interval_text(self.months, self.days, self.micros)
    }

    /// Reads the text of an interval: `1 day 02:03:04`, `3 hours ago`, `-1.5 days`, `P1DT2H`.
    ///
    /// # Errors
    /// An error for what PostgreSQL does not read, or reads in another way than by units.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let invalid = || {
            DataFusionError::Execution(format!(
                "invalid input syntax for type interval: \"{text}\""
            ))
        };
        let lower = text.trim().to_lowercase();
        if lower.starts_with('p') {
            return Self::parse_iso(&lower).ok_or_else(invalid);
        }
        let spaced = with_spaces(&lower);
        let mut words = spaced.split_whitespace().peekable();
        let (mut total, mut any, mut ago) = (Self::default(), false, false);
        while let Some(word) = words.next() {
            if ago {
                return Err(invalid());
            }
            if word == "ago" {
                ago = true;
                continue;
            }
            if word == "@" && !any {
                continue;
            }
            any = true;
            if word.contains(':') {
                total = total.plus(parse_clock(word).ok_or_else(invalid)?)?;
                continue;
            }
            let number: f64 = decimal(word).ok_or_else(invalid)?;
            match words.next() {
                Some(unit) => {
                    total = total.plus(Self::of_unit(number, unit).ok_or_else(invalid)?)?
                }
                // A bare number at the end counts seconds.
                None => total = total.plus(Self::of_unit(number, "s").ok_or_else(invalid)?)?,
            }
        }
        if !any {
            return Err(invalid());
        }
        if ago { total.negated() } else { Ok(total) }
    }

    fn parse_iso(text: &str) -> Option<Self> {
        let (date, time) = match text[1..].split_once('t') {
            Some((date, time)) if !time.is_empty() => (date, time),
            Some(_) => return None,
            None => (&text[1..], ""),
        };
        let mut total = Self::default();
        for (part, in_time) in [(date, false), (time, true)] {
            let mut rest = part;
            while !rest.is_empty() {
                let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
                let number = decimal(&rest[..end])?;
                let unit = match (&rest[end..=end], in_time) {
                    ("y", false) => "year",
                    ("m", false) => "month",
                    ("w", false) => "week",
                    ("d", false) => "day",
                    ("h", true) => "hour",
                    ("m", true) => "minute",
                    ("s", true) => "second",
                    _ => return None,
                };
                total = total.plus(Self::of_unit(number, unit)?).ok()?;
                rest = &rest[end + 1..];
            }
        }
        (text.len() > 1).then_some(total)
    }

    /// `number` times the unit.
    pub(super) fn of_unit(number: f64, unit: &str) -> Option<Self> {
        let months = |per: f64| Self::fractional_months(number, per);
        let days = |per: f64| Self { days: 1, ..Self::default() }.times(number * per).ok();
        let micros = |per: i64| {
            let micros = (number * per as f64).round_ties_even();
            (micros.abs() < 9.2e18).then_some(Self { micros: micros as i64, ..Self::default() })
        };
        match unit {
            "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecond" | "microseconds" => {
                micros(1)
            }
            "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecond" | "milliseconds" => {
                micros(1000)
            }
            "s" | "sec" | "secs" | "second" | "seconds" => micros(SECOND),
            "m" | "min" | "mins" | "minute" | "minutes" => micros(MINUTE),
            "h" | "hr" | "hrs" | "hour" | "hours" => micros(HOUR),
            "d" | "day" | "days" => days(1.0),
            "w" | "week" | "weeks" => days(7.0),
            "mon" | "mons" | "month" | "months" => months(1.0),
            "y" | "yr" | "yrs" | "year" | "years" => months(12.0),
            "decade" | "decades" | "dec" | "decs" => months(120.0),
            "c" | "cent" | "century" | "centuries" => months(1200.0),
            "mil" | "mils" | "millennium" | "millennia" => months(12000.0),
            _ => None,
        }
    }

    /// Months, where a unit has `per` of them. A fraction of a year is rounded to months, that of a month becomes days.
    fn fractional_months(number: f64, per: f64) -> Option<Self> {
        if per > 1.0 {
            let months = (number * per).round_ties_even();
            return (months.abs() < 2e9)
                .then_some(Self { months: months as i32, ..Self::default() });
        }
        Self { months: 1, ..Self::default() }.times(number).ok()
    }
}

/// Puts a space between a number and the unit that follows it: `1day` becomes `1 day`.
fn with_spaces(text: &str) -> String {
    let mut spaced = String::new();
    let mut before = ' ';
    for c in text.chars() {
        if c.is_ascii_alphabetic() && before.is_ascii_digit() {
            spaced.push(' ');
        }
        spaced.push(c);
        before = c;
    }
    spaced
}

fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (plain && digits.bytes().any(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// `02:03`, `02:03:04.5`, with a sign.
fn parse_clock(text: &str) -> Option<Interval> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let parts: Vec<&str> = digits.split(':').collect();
    let [hours, minutes, ref seconds @ ..] = parts[..] else { return None };
    let seconds = match seconds {
        [] => 0,
        [seconds] => seconds_micros(seconds)?,
        _ => return None,
    };
    let whole = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i64>().ok()).flatten()
    };
    let (hours, minutes) = (whole(hours)?, whole(minutes)?);
    // `02:03.5` counts minutes and seconds: another reading.
    let valid = minutes < 60 && seconds < 60 * SECOND && hours < 2_000_000_000;
    valid.then(|| Interval {
        micros: sign * (hours * HOUR + minutes * MINUTE + seconds),
        ..Interval::default()
    })
}

/// `04.5` as microseconds, rounded to whole ones.
pub(super) fn seconds_micros(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(part) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let part = format!("{:0<7}", part.get(..part.len().min(7))?);
    let tenths: i64 = part.parse().ok()?;
    Some(seconds.checked_mul(SECOND)? + (tenths + 5) / 10)
}

/// The interval between two points of the wall clock, `left - right`: whole days and the time that is left.
pub(super) fn between(left: i64, right: i64) -> Result<Interval> {
    let Some(micros) = left.checked_sub(right) else { return exec_err!("interval out of range") };
    let days = i32::try_from(micros / DAY).map_err(|_| out_of_range())?;
    Ok(Interval { months: 0, days, micros: micros % DAY })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_postgresql() {
        for (given, expected) in [
            ("1 day 02:03:04.5", "1 day 02:03:04.5"),
            ("1.5 days", "1 day 12:00:00"),
            ("1.5 months", "1 mon 15 days"),
            ("-1 day +02:00", "-1 days +02:00:00"),
            ("2 weeks ago", "-14 days"),
            ("P1Y2M3DT4H5M6S", "1 year 2 mons 3 days 04:05:06"),
            ("90 minutes", "01:30:00"),
            ("1day", "1 day"),
            ("36 hours", "36:00:00"),
            ("30", "00:00:30"),
            ("0 s", "00:00:00"),
            ("1.5 years", "1 year 6 mons"),
        ] {
            assert_eq!(
                Interval::parse(given).map(Interval::text).ok().as_deref(),
                Some(expected),
                "{given}"
            );
        }
        for wrong in ["", "x", "1 fortnight", "1 day ago ago", "P", "01:02:03:04"] {
            assert!(Interval::parse(wrong).is_err(), "{wrong}");
        }
    }
}
