//! Templates of times: `to_char(time, 'YYYY-MM-DD')`, and reading texts by a template, `to_timestamp('...', 'YYYY-MM-DD')`.
//!
//! A template is cut into patterns and plain text as PostgreSQL cuts it. A pattern that is not translated exactly is refused
//! by name.

use super::clock;
use super::interval::{DAY, HOUR, Interval, MINUTE, SECOND};
use super::text_form::offset_text;
use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;
use datafusion::common::{DataFusionError, Result, exec_err};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ROMAN: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// The patterns, longer ones before those they begin with.
const PATTERNS: [&str; 50] = [
    "SSSSS", "SSSS", "Y,YYY", "YYYY", "YYY", "YY", "Y", "IYYY", "IYY", "IY", "IW", "IDDD", "ID",
    "I", "HH24", "HH12", "HH", "MI", "MONTH", "Month", "month", "MON", "Mon", "mon", "MM", "MS",
    "DAY", "Day", "day", "DDD", "DD", "DY", "Dy", "dy", "D", "SS", "US", "A.M.", "P.M.", "AM",
    "PM", "WW", "W", "CC", "J", "Q", "RM", "TZH", "TZM", "TZ",
];
/// Patterns in the case that PostgreSQL writes differently.
const LOWER_CASE: [&str; 7] = ["a.m.", "p.m.", "am", "pm", "rm", "tz", "OF"];
/// Patterns that are refused.
const REFUSED: [&str; 12] =
    ["BC", "B.C.", "AD", "A.D.", "bc", "b.c.", "ad", "a.d.", "FF", "SP", "TM", "FX"];

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Pattern { name: &'static str, fill: bool, ordinal: Option<bool> },
    Plain(char),
}

/// A template that has been read.
#[derive(Debug, Clone)]
pub(super) struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Reads `text`.
    ///
    /// # Errors
    /// An error for a pattern that is not translated.
    pub(super) fn new(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if c == '"' {
                rest = plain_text(&rest[1..], &mut parts);
                continue;
            }
            if c == '\\' && rest.starts_with("\\\"") {
                parts.push(Part::Plain('"'));
                rest = &rest[2..];
                continue;
            }
            let (fill, after) = match rest.get(..2) {
                Some("FM" | "fm") => (false, &rest[2..]),
                _ => (true, rest),
            };
            if let Some((name, length)) = pattern(after)? {
                rest = &after[length..];
                let ordinal = match rest.get(..2) {
                    Some("TH") => Some(true),
                    Some("th") => Some(false),
                    _ => None,
                };
                rest = if ordinal.is_some() { &rest[2..] } else { rest };
                parts.push(Part::Pattern { name, fill, ordinal });
            } else if fill {
                parts.push(Part::Plain(c));
                rest = &rest[c.len_utf8()..];
            } else {
                return exec_err!(
                    "the template pattern FM stands before no other pattern in '{text}'"
                );
            }
        }
        Ok(Self { parts })
    }
}

/// Adds the text up to the closing quote, and returns what follows it.
fn plain_text<'t>(text: &'t str, parts: &mut Vec<Part>) -> &'t str {
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return &text[at + 1..],
            '\\' => parts.extend(characters.next().map(|(_, c)| Part::Plain(c))),
            c => parts.push(Part::Plain(c)),
        }
    }
    ""
}

/// The pattern that `text` begins with, and its length.
fn pattern(text: &str) -> Result<Option<(&'static str, usize)>> {
    let begins = |pattern: &str| {
        text.get(..pattern.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(pattern))
    };
    if let Some(refused) = REFUSED.into_iter().find(|pattern| text.starts_with(pattern)) {
        return exec_err!(
            "the template pattern {refused} is not translated; use one of YYYY, MM, DD, HH24, MI, SS, US, Mon, Day, TZH, ..."
        );
    }
    if let Some(lower) = LOWER_CASE.into_iter().find(|pattern| text.starts_with(pattern)) {
        return Ok(Some((lower, lower.len())));
    }
    // The case of names matters.
    let named = |pattern: &&str| pattern.chars().skip(1).any(|c| c.is_ascii_lowercase());
    let spelled = |pattern: &&&str| {
        if named(pattern)
            || ["MONTH", "MON", "DAY", "DY", "AM", "PM", "A.M.", "P.M.", "RM", "TZ"]
                .contains(pattern)
        {
            text.starts_with(**pattern)
        } else {
            begins(pattern)
        }
    };
    Ok(PATTERNS.iter().find(spelled).map(|name| (*name, name.len())))
}

/// What a template writes of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    /// A wall clock.
    Wall(i64),
    /// A point in time, shown in a zone.
    InZone(i64, Tz),
    Span(Interval),
}

impl Template {
    /// Writes `moment`.
    ///
    /// # Errors
    /// An error for a pattern that the moment has no value for.
    pub(super) fn write(&self, moment: Moment) -> Result<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Plain(c) => text.push(*c),
                Part::Pattern { name, fill, ordinal } => {
                    let written = write_pattern(name, *fill, moment)?;
                    text.push_str(&written);
                    if let Some(upper) = ordinal {
                        let suffix = ordinal_suffix(&written)?;
                        text.push_str(&if *upper {
                            suffix.to_uppercase()
                        } else {
                            suffix.to_owned()
                        });
                    }
                }
            }
        }
        Ok(text)
    }
}

fn ordinal_suffix(number: &str) -> Result<&'static str> {
    let Ok(value) = number.trim().parse::<i64>() else {
        return exec_err!("the template suffix TH stands after a number only");
    };
    Ok(match (value.abs() % 100, value.abs() % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    })
}

/// The number with leading zeros up to `width`, or as it is.
fn number(value: i64, width: usize, fill: bool) -> String {
    if !fill {
        return value.to_string();
    }
    // The sign is no digit.
    if value < 0 { format!("-{:0width$}", -value) } else { format!("{value:0width$}") }
}

fn write_pattern(name: &str, fill: bool, moment: Moment) -> Result<String> {
    let local = match moment {
        Moment::Wall(local) => local,
        Moment::InZone(utc, zone) => clock::to_wall(zone, utc)?,
        Moment::Span(interval) => return write_span(name, fill, interval),
    };
    if let Some(text) = write_zone(name, moment)? {
        return Ok(text);
    }
    let date = clock::wall(local)?.date();
    if let Some(text) = write_name(name, fill, date) {
        return Ok(text);
    }
    let in_day = local.rem_euclid(DAY);
    if let Some(text) = write_clock(name, fill, in_day) {
        return Ok(text);
    }
    let year = if date.year() > 0 { date.year() } else { 1 - date.year() };
    let iso_year = date.iso_week().year();
    let (value, width): (i64, usize) = match name {
        "YYYY" => (year.into(), 4),
        "YYY" => ((year % 1000).into(), 3),
        "YY" => ((year % 100).into(), 2),
        "Y" => ((year % 10).into(), 1),
        "Y,YYY" => return Ok(format!("{},{:03}", year / 1000, year % 1000)),
        "IYYY" => (iso_year.into(), 4),
        "IYY" => ((iso_year % 1000).into(), 3),
        "IY" => ((iso_year % 100).into(), 2),
        "I" => ((iso_year % 10).into(), 1),
        "IW" => (date.iso_week().week().into(), 2),
        "IDDD" => {
            let day = i64::from(date.iso_week().week() - 1) * 7
                + i64::from(date.weekday().number_from_monday());
            (day, 3)
        }
        "ID" => (date.weekday().number_from_monday().into(), 1),
        "MM" => (date.month().into(), 2),
        "DDD" => (date.ordinal().into(), 3),
        "DD" => (date.day().into(), 2),
        "D" => ((date.weekday().num_days_from_sunday() + 1).into(), 1),
        "WW" => ((date.ordinal0() / 7 + 1).into(), 2),
        "W" => (((date.day() - 1) / 7 + 1).into(), 1),
        "CC" => (((year + 99) / 100).into(), 2),
        "J" => (i64::from(clock::days(date)) + 2_440_588, 1),
        "Q" => ((date.month0() / 3 + 1).into(), 1),
        _ => return exec_err!("the template pattern {name} is not translated"),
    };
    Ok(number(value, width, fill))
}

/// The patterns of a time of day.
fn write_clock(name: &str, fill: bool, in_day: i64) -> Option<String> {
    let hour = in_day / HOUR;
    let (value, width) = match name {
        "HH24" => (hour, 2),
        "HH12" | "HH" => (if hour % 12 == 0 { 12 } else { hour % 12 }, 2),
        "MI" => (in_day / MINUTE % 60, 2),
        "SS" => (in_day / SECOND % 60, 2),
        "MS" => (in_day % SECOND / 1000, 3),
        "US" => (in_day % SECOND, 6),
        "SSSS" | "SSSSS" => (in_day / SECOND, 1),
        "AM" | "PM" => return Some(if hour < 12 { "AM" } else { "PM" }.to_owned()),
        "am" | "pm" => return Some(if hour < 12 { "am" } else { "pm" }.to_owned()),
        "A.M." | "P.M." => return Some(if hour < 12 { "A.M." } else { "P.M." }.to_owned()),
        "a.m." | "p.m." => return Some(if hour < 12 { "a.m." } else { "p.m." }.to_owned()),
        _ => return None,
    };
    // Parts of a second are digits after a point: their zeros stay.
    Some(number(value, width, fill || matches!(name, "MS" | "US")))
}

/// The patterns of a zone.
fn write_zone(name: &str, moment: Moment) -> Result<Option<String>> {
    let is_zone = matches!(name, "TZ" | "tz" | "TZH" | "TZM" | "OF");
    if !is_zone {
        return Ok(None);
    }
    let Moment::InZone(utc, zone) = moment else {
        // A wall clock has no zone: the name is empty, the offset nothing.
        return match name {
            "TZ" | "tz" => Ok(Some(String::new())),
            "OF" | "TZH" => Ok(Some("+00".to_owned())),
            _ => Ok(Some("00".to_owned())),
        };
    };
    let seconds = clock::offset_seconds(zone, utc)?;
    let sign = if seconds < 0 { '-' } else { '+' };
    Ok(Some(match name {
        "OF" => offset_text(seconds),
        "TZH" => format!("{sign}{:02}", seconds.abs() / 3600),
        "TZM" => format!("{:02}", seconds.abs() / 60 % 60),
        _ if zone == Tz::UTC => if name == "TZ" { "UTC" } else { "utc" }.to_owned(),
        _ => {
            use chrono::{Offset as _, TimeZone as _};
            let shown = zone.offset_from_utc_datetime(&clock::wall(utc)?);
            // Where the zone has no letters of its own, both write the offset.
            let abbreviation = format!("{shown}");
            let abbreviation = if abbreviation.starts_with(['+', '-']) {
                offset_text(shown.fix().local_minus_utc())
            } else {
                abbreviation
            };
            if name == "TZ" { abbreviation } else { abbreviation.to_lowercase() }
        }
    }))
}

/// The patterns of names of months and days.
fn write_name(name: &str, fill: bool, date: NaiveDate) -> Option<String> {
    let month = MONTHS[date.month0() as usize];
    let day = DAYS[date.weekday().num_days_from_sunday() as usize];
    let (text, width) = match name {
        "MONTH" => (month.to_uppercase(), 9),
        "Month" => (month.to_owned(), 9),
        "month" => (month.to_lowercase(), 9),
        "MON" => (month[..3].to_uppercase(), 3),
        "Mon" => (month[..3].to_owned(), 3),
        "mon" => (month[..3].to_lowercase(), 3),
        "DAY" => (day.to_uppercase(), 9),
        "Day" => (day.to_owned(), 9),
        "day" => (day.to_lowercase(), 9),
        "DY" => (day[..3].to_uppercase(), 3),
        "Dy" => (day[..3].to_owned(), 3),
        "dy" => (day[..3].to_lowercase(), 3),
        "RM" => (ROMAN[date.month0() as usize].to_owned(), 4),
        "rm" => (ROMAN[date.month0() as usize].to_lowercase(), 4),
        _ => return None,
    };
    Some(if fill { format!("{text:<width$}") } else { text })
}

/// The patterns of an interval.
fn write_span(name: &str, fill: bool, interval: Interval) -> Result<String> {
    let Interval { months, days, micros } = interval;
    let value_width: (i64, usize) = match name {
        "YYYY" => ((months / 12).into(), 4),
        "MM" => ((months % 12).into(), 2),
        "DD" => (days.into(), 2),
        "HH24" => (micros / HOUR, 2),
        "MI" => (micros / MINUTE % 60, 2),
        "SS" => (micros / SECOND % 60, 2),
        "MS" => (micros % SECOND / 1000, 3),
        "US" => (micros % SECOND, 6),
        _ => {
            return exec_err!(
                "the template pattern {name} is not translated for an interval; use HH24, MI, SS, DD, MM, YYYY"
            );
        }
    };
    Ok(number(value_width.0, value_width.1, fill))
}

/// What a text says by its template.
#[derive(Debug, Default)]
struct Read {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: i64,
    half_day: Option<bool>,
    is_twelve: bool,
    minute: i64,
    second: i64,
    micros: i64,
    day_seconds: Option<i64>,
    zone_hours: Option<i64>,
    zone_minutes: i64,
}

impl Template {
    /// Reads `text`. Returns a wall clock, and the seconds ahead of UTC where the template says them.
    ///
    /// # Errors
    /// An error where the text does not follow the template, or a field is out of its range.
    pub(super) fn read(&self, text: &str) -> Result<(i64, Option<i64>)> {
        let mut read = Read::default();
        let mut rest = text.trim_start();
        for (at, part) in self.parts.iter().enumerate() {
            match part {
                Part::Plain(c) => rest = skip_plain(*c, rest),
                Part::Pattern { name, .. } => {
                    // A number ends where the next number begins only if a pattern follows at once.
                    let joined = matches!(self.parts.get(at + 1), Some(Part::Pattern { name, .. }) if is_number(name));
                    rest = read.pattern(name, rest.trim_start(), joined, text)?;
                }
            }
        }
        read.finish(text)
    }
}

/// Skips what stands for the plain character `c` of a template: a separator stands for any separators.
fn skip_plain(c: char, rest: &str) -> &str {
    let is_separator = |c: char| c.is_ascii_punctuation() || c.is_whitespace();
    if is_separator(c) {
        let rest = rest.trim_start();
        // A sign belongs to the number that follows, unless the template has the same character here.
        return match rest.chars().next() {
            Some(found)
                if is_separator(found)
                    && (found == c || !matches!(found, '+' | '-') || c == '-') =>
            {
                rest[found.len_utf8()..].trim_start()
            }
            _ => rest,
        };
    }
    rest.chars().next().map_or(rest, |found| &rest[found.len_utf8()..])
}

fn is_number(name: &str) -> bool {
    !matches!(
        name,
        "AM" | "PM" | "am" | "pm" | "A.M." | "P.M." | "a.m." | "p.m." | "TZ" | "tz" | "OF" | "TZH"
    ) && !name.eq_ignore_ascii_case("month")
        && !name.eq_ignore_ascii_case("mon")
        && !name.eq_ignore_ascii_case("day")
        && !name.eq_ignore_ascii_case("dy")
        && !name.eq_ignore_ascii_case("rm")
}

impl Read {
    /// Reads the value of one pattern, and returns what follows it.
    fn pattern<'t>(
        &mut self,
        name: &str,
        rest: &'t str,
        joined: bool,
        text: &str,
    ) -> Result<&'t str> {
        let invalid = || {
            let shown: String = rest.chars().take(10).collect();
            DataFusionError::Execution(format!(
                "invalid value \"{shown}\" for \"{name}\" in the text \"{text}\""
            ))
        };
        if let Some(after) = self.name(name, rest) {
            return after.ok_or_else(invalid);
        }
        let width = match name {
            "YYYY" => 4,
            "DDD" | "MS" => 3,
            "US" => 6,
            "SSSS" | "SSSSS" => 5,
            "MM" | "DD" | "HH24" | "HH12" | "HH" | "MI" | "SS" | "TZM" => 2,
            "TZH" => 2,
            _ => {
                return exec_err!(
                    "the template pattern {name} is not translated for reading; use YYYY, MM, DD, HH24, MI, SS, US"
                );
            }
        };
        let (negative, digits_at) = match rest.strip_prefix('-') {
            Some(after) if name == "TZH" => (true, after),
            _ if name == "TZH" => (false, rest.strip_prefix('+').unwrap_or(rest)),
            _ => (false, rest),
        };
        let all = digits_at.bytes().take_while(u8::is_ascii_digit).count();
        // Without a number right behind it, YYYY takes every digit that is there.
        let taken = if name == "YYYY" && !joined { all } else { all.min(width) };
        let digits = &digits_at[..taken];
        let value: i64 = digits.parse().map_err(|_| invalid())?;
        let value = if negative { -value } else { value };
        match name {
            "YYYY" if digits.len() < 4 => return Err(invalid()),
            "YYYY" => self.year = Some(value),
            "MM" => self.month = Some(value),
            "DD" => self.day = Some(value),
            "DDD" => self.day_of_year = Some(value),
            "HH24" => self.hour = value,
            "HH12" | "HH" => (self.hour, self.is_twelve) = (value, true),
            "MI" => self.minute = value,
            "SS" => self.second = value,
            "MS" => self.micros += value * 10_i64.pow(6 - u32::try_from(taken).unwrap_or(3)),
            "US" => self.micros += value * 10_i64.pow(6 - u32::try_from(taken).unwrap_or(6)),
            "TZH" => self.zone_hours = Some(value),
            "TZM" => self.zone_minutes = value,
            _ => self.day_seconds = Some(value),
        }
        Ok(&digits_at[taken..])
    }

    /// Reads a name: `Some(None)` where the text has none, `None` where the pattern is no name.
    fn name<'t>(&mut self, name: &str, rest: &'t str) -> Option<Option<&'t str>> {
        let found = |names: &[&str], short: bool| {
            names.iter().position(|name| {
                let name = if short { &name[..3] } else { name };
                rest.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
            })
        };
        let lower = name.to_lowercase();
        match lower.as_str() {
            "month" | "mon" => {
                let short = lower == "mon";
                let month = found(&MONTHS, short);
                self.month = month.and_then(|month| i64::try_from(month + 1).ok());
                Some(month.map(|month| &rest[if short { 3 } else { MONTHS[month].len() }..]))
            }
            "day" | "dy" => {
                let short = lower == "dy";
                // The day of the week is read and says nothing beside a date.
                Some(
                    found(&DAYS, short).map(|day| &rest[if short { 3 } else { DAYS[day].len() }..]),
                )
            }
            "am" | "pm" | "a.m." | "p.m." => {
                let half = ["a.m.", "p.m.", "am", "pm"].into_iter().find(|half| {
                    rest.get(..half.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(half))
                });
                self.half_day = half.map(|half| half.starts_with('p'));
                Some(half.map(|half| &rest[half.len()..]))
            }
            _ => None,
        }
    }

    /// Puts the fields together.
    fn finish(&self, text: &str) -> Result<(i64, Option<i64>)> {
        let out_of_range = || {
            DataFusionError::Execution(format!("date/time field value out of range: \"{text}\""))
        };
        let mut hour = self.hour;
        if self.is_twelve || self.half_day.is_some() {
            if !(1..=12).contains(&hour) {
                return exec_err!("hour \"{hour}\" is invalid for the 12-hour clock");
            }
            hour = hour % 12 + if self.half_day == Some(true) { 12 } else { 0 };
        }
        if hour > 23 || self.minute > 59 || self.second > 59 {
            return Err(out_of_range());
        }
        let Some(year) = self.year else {
            return exec_err!(
                "the template must hold YYYY: PostgreSQL takes the year 1 BC without it"
            );
        };
        let year = i32::try_from(year).map_err(|_| out_of_range())?;
        let part = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        let date = match self.day_of_year {
            Some(day) if self.month.is_none() && self.day.is_none() => {
                NaiveDate::from_yo_opt(year, part(day))
            }
            _ => NaiveDate::from_ymd_opt(
                year,
                part(self.month.unwrap_or(1)),
                part(self.day.unwrap_or(1)),
            ),
        };
        let date = date.filter(|_| year > 0).ok_or_else(out_of_range)?;
        let time = match self.day_seconds {
            Some(seconds) if seconds < 86_400 => seconds * SECOND,
            Some(_) => return Err(out_of_range()),
            None => hour * HOUR + self.minute * MINUTE + self.second * SECOND,
        };
        let zone = self.zone_hours.map(|hours| {
            hours * 3600 + if hours < 0 { -self.zone_minutes } else { self.zone_minutes } * 60
        });
        Ok((i64::from(clock::days(date)) * DAY + time + self.micros, zone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_write_and_read_as_in_postgresql() {
        let at = 1_795_152_605_250_000; // 2026-11-20 05:30:05.25 UTC
        let shanghai = clock::zone("Asia/Shanghai").expect("a zone");
        for (template, expected) in [
            ("YYYY-MM-DD HH24:MI:SS.US", "2026-11-20 13:30:05.250000"),
            ("FMMonth FMDDth, YYYY", "November 20th, 2026"),
            ("Dy HH12:MI am", "Fri 01:30 pm"),
            ("\"Week\" IW IYYY Q", "Week 47 2026 4"),
            ("TZH:TZM TZ", "+08:00 CST"),
            ("Day|Mon|DDD|D|J", "Friday   |Nov|324|6|2461365"),
        ] {
            let written =
                Template::new(template).and_then(|t| t.write(Moment::InZone(at, shanghai)));
            assert_eq!(written.ok().as_deref(), Some(expected), "{template}");
        }
        for (template, text, expected) in [
            ("YYYY-MM-DD HH24:MI:SS.US", "2026-11-20 13:30:05.25", Some(at + 8 * HOUR)),
            ("YYYYMMDD", "20261120", Some(1_795_132_800_000_000)),
            ("DD Mon YYYY", "20 Nov 2026", Some(1_795_132_800_000_000)),
            ("YYYY-MM-DD", "2026-02-30", None),
            ("YYYY-MM-DD", "x", None),
        ] {
            let read = Template::new(template).and_then(|t| t.read(text)).map(|(local, _)| local);
            assert_eq!(read.ok(), expected, "{template} {text}");
        }
    }
}
