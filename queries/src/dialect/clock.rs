//! Points in time: the wall clock of a zone, fields of a time, truncation, and sums with intervals, as PostgreSQL computes
//! them.

use super::interval::{DAY, HOUR, Interval, MINUTE, SECOND};
use chrono::{
    DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveDateTime, Offset, TimeDelta,
    TimeZone,
};
use chrono_tz::Tz;
use datafusion::common::{DataFusionError, Result, exec_err};

pub(super) fn out_of_range() -> DataFusionError {
    DataFusionError::Execution("timestamp out of range".to_owned())
}

/// The wall clock that shows `micros` since 1970.
pub(super) fn wall(micros: i64) -> Result<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|time| time.naive_utc()).ok_or_else(out_of_range)
}

/// Microseconds since 1970 of a wall clock.
pub(super) fn micros(wall: NaiveDateTime) -> i64 {
    wall.and_utc().timestamp_micros()
}

/// Seconds that `zone` is ahead of UTC at the point in time `utc`.
pub(super) fn offset_seconds(zone: Tz, utc: i64) -> Result<i32> {
    Ok(zone.offset_from_utc_datetime(&wall(utc)?).fix().local_minus_utc())
}

/// What the wall clocks of `zone` show at the point in time `utc`.
pub(super) fn to_wall(zone: Tz, utc: i64) -> Result<i64> {
    if zone == Tz::UTC {
        return Ok(utc);
    }
    utc.checked_add(i64::from(offset_seconds(zone, utc)?) * SECOND).ok_or_else(out_of_range)
}

/// The point in time at which the wall clocks of `zone` show `local`. Where they show it twice, the later one; where they
/// skip it, the one by the offset before. PostgreSQL decides so.
pub(super) fn from_wall(zone: Tz, local: i64) -> Result<i64> {
    if zone == Tz::UTC {
        return Ok(local);
    }
    let shown = wall(local)?;
    match zone.from_local_datetime(&shown) {
        LocalResult::Single(time) => Ok(time.timestamp_micros()),
        LocalResult::Ambiguous(_, later) => Ok(later.timestamp_micros()),
        LocalResult::None => {
            let before = [HOUR, 3 * HOUR, 25 * HOUR].into_iter().find_map(|back| {
                match zone.from_local_datetime(&wall(local - back).ok()?) {
                    LocalResult::Single(time) => Some(time.offset().fix().local_minus_utc()),
                    _ => None,
                }
            });
            before.map(|offset| local - i64::from(offset) * SECOND).ok_or_else(out_of_range)
        }
    }
}

/// `local + interval` on the wall clock: months, then days, then time.
pub(super) fn plus_on_wall(local: i64, interval: Interval) -> Result<i64> {
    let days_added = plus_days(local, interval)?;
    days_added.checked_add(interval.micros).ok_or_else(out_of_range)
}

/// `local` plus the months and days of `interval`.
fn plus_days(local: i64, interval: Interval) -> Result<i64> {
    let mut shown = wall(local)?;
    let months = Months::new(interval.months.unsigned_abs());
    shown = if interval.months < 0 {
        shown.checked_sub_months(months)
    } else {
        shown.checked_add_months(months)
    }
    .ok_or_else(out_of_range)?;
    let days = Days::new(interval.days.unsigned_abs().into());
    shown =
        if interval.days < 0 { shown.checked_sub_days(days) } else { shown.checked_add_days(days) }
            .ok_or_else(out_of_range)?;
    Ok(micros(shown))
}

/// `utc + interval` in `zone`: months and days on its wall clocks, the time in elapsed time.
pub(super) fn plus_in_zone(zone: Tz, utc: i64, interval: Interval) -> Result<i64> {
    let after_days = if interval.months == 0 && interval.days == 0 {
        utc
    } else {
        from_wall(zone, plus_days(to_wall(zone, utc)?, interval)?)?
    };
    after_days.checked_add(interval.micros).ok_or_else(out_of_range)
}

/// `age(left, right)`: years, months, days and time between two wall clocks.
pub(super) fn age(left: i64, right: i64) -> Result<Interval> {
    if left < right {
        return age(right, left)?.negated();
    }
    let (late, early) = (wall(left)?, wall(right)?);
    let mut months =
        (late.year() - early.year()) * 12 + late.month0() as i32 - early.month0() as i32;
    let mut days = late.day() as i32 - early.day() as i32;
    let mut time = left.rem_euclid(DAY) - right.rem_euclid(DAY);
    if time < 0 {
        time += DAY;
        days -= 1;
    }
    if days < 0 {
        // Days are borrowed from the month of the earlier time.
        days += i32::try_from(days_in_month(early.date())).unwrap_or(30);
        months -= 1;
    }
    Ok(Interval { months, days, micros: time })
}

fn days_in_month(date: NaiveDate) -> u32 {
    let first = date.with_day(1).unwrap_or(date);
    first
        .checked_add_months(Months::new(1))
        .map_or(31, |next| u32::try_from((next - first).num_days()).unwrap_or(31))
}

/// The beginning of the `unit` that `local` lies in. `None` for an unknown unit.
pub(super) fn truncate(unit: &str, local: i64) -> Result<Option<i64>> {
    let part = |length: i64| Ok(Some(local - local.rem_euclid(length)));
    match unit {
        "microseconds" => return part(1),
        "milliseconds" => return part(1000),
        "second" => return part(SECOND),
        "minute" => return part(MINUTE),
        "hour" => return part(HOUR),
        "day" => return part(DAY),
        _ => {}
    }
    let date = wall(local)?.date();
    let year_of = |length: i32, first: i32| {
        let year = date.year();
        (year - first).div_euclid(length) * length + first
    };
    let begin = match unit {
        "week" => date.checked_sub_days(Days::new(date.weekday().num_days_from_monday().into())),
        "month" => date.with_day(1),
        "quarter" => NaiveDate::from_ymd_opt(date.year(), date.month0() / 3 * 3 + 1, 1),
        "year" => NaiveDate::from_ymd_opt(date.year(), 1, 1),
        "decade" => NaiveDate::from_ymd_opt(year_of(10, 0), 1, 1),
        "century" => NaiveDate::from_ymd_opt(year_of(100, 1), 1, 1),
        "millennium" => NaiveDate::from_ymd_opt(year_of(1000, 1), 1, 1),
        _ => return Ok(None),
    };
    let begin = begin.ok_or_else(out_of_range)?;
    Ok(Some(micros(begin.and_hms_opt(0, 0, 0).ok_or_else(out_of_range)?)))
}

/// The name of a field of a time as its full name: `min` is `minute`.
pub(super) fn unit_name(written: &str) -> Option<&'static str> {
    Some(match written.trim().to_lowercase().as_str() {
        "microsecond" | "microseconds" | "us" | "usec" | "usecs" | "usecond" | "useconds" => {
            "microseconds"
        }
        "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" | "msecond" | "mseconds" => {
            "milliseconds"
        }
        "second" | "seconds" | "s" | "sec" | "secs" => "second",
        "minute" | "minutes" | "m" | "min" | "mins" => "minute",
        "hour" | "hours" | "h" | "hr" | "hrs" => "hour",
        "day" | "days" | "d" => "day",
        "week" | "weeks" | "w" => "week",
        "month" | "months" | "mon" | "mons" => "month",
        "quarter" | "qtr" => "quarter",
        "year" | "years" | "y" | "yr" | "yrs" => "year",
        "decade" | "decades" | "dec" | "decs" => "decade",
        "century" | "centuries" | "c" | "cent" => "century",
        "millennium" | "millennia" | "mil" | "mils" => "millennium",
        "dow" => "dow",
        "doy" => "doy",
        "isodow" => "isodow",
        "isoyear" => "isoyear",
        "epoch" => "epoch",
        "julian" | "j" | "jd" => "julian",
        "timezone" => "timezone",
        "timezone_hour" => "timezone_hour",
        "timezone_minute" => "timezone_minute",
        _ => return None,
    })
}

/// The field `unit` of a wall clock, in millionths. `None` for one that a wall clock does not have.
pub(super) fn field(unit: &str, local: i64) -> Result<Option<i128>> {
    let shown = wall(local)?;
    let date = shown.date();
    let in_day = local.rem_euclid(DAY);
    let year = date.year();
    // There is no year 0: the year before 1 is -1.
    let counted = |year: i32| if year > 0 { year } else { year - 1 };
    let whole = match unit {
        "microseconds" => return Ok(Some(i128::from(in_day % MINUTE) * 1_000_000)),
        "milliseconds" => return Ok(Some(i128::from(in_day % MINUTE) * 1000)),
        "second" => return Ok(Some(i128::from(in_day % MINUTE))),
        "epoch" => return Ok(Some(i128::from(local))),
        "minute" => in_day / MINUTE % 60,
        "hour" => in_day / HOUR,
        "day" => date.day().into(),
        "week" => date.iso_week().week().into(),
        "month" => date.month().into(),
        "quarter" => (date.month0() / 3 + 1).into(),
        "year" => counted(year).into(),
        "decade" => year.div_euclid(10).into(),
        "century" => counted_period(year, 100).into(),
        "millennium" => counted_period(year, 1000).into(),
        "dow" => date.weekday().num_days_from_sunday().into(),
        "isodow" => date.weekday().number_from_monday().into(),
        "doy" => date.ordinal().into(),
        "isoyear" => counted(date.iso_week().year()).into(),
        _ => return Ok(None),
    };
    Ok(Some(i128::from(whole) * 1_000_000))
}

/// The number of the period of `length` years, the first of which begins in the year 1.
fn counted_period(year: i32, length: i32) -> i32 {
    if year > 0 { (year + length - 1) / length } else { -((length - year) / length) }
}

/// The field `unit` of an interval, in millionths.
pub(super) fn interval_field(unit: &str, interval: Interval) -> Option<i128> {
    let Interval { months, days, micros } = interval;
    let whole = match unit {
        "microseconds" => return Some(i128::from(micros % MINUTE) * 1_000_000),
        "milliseconds" => return Some(i128::from(micros % MINUTE) * 1000),
        "second" => return Some(i128::from(micros % MINUTE)),
        "epoch" => {
            // A year counts 365.25 days, a month 30.
            let (years, months) = (i128::from(months / 12), i128::from(months % 12));
            let seconds = years * 31_557_600 + months * 2_592_000 + i128::from(days) * 86_400;
            return Some(seconds * 1_000_000 + i128::from(micros));
        }
        "minute" => micros / MINUTE % 60,
        "hour" => micros / HOUR,
        "day" => days.into(),
        "month" => (months % 12).into(),
        "quarter" => (months % 12 / 3 + 1).into(),
        "year" => (months / 12).into(),
        "decade" => (months / 120).into(),
        "century" => (months / 1200).into(),
        "millennium" => (months / 12000).into(),
        _ => return None,
    };
    Some(i128::from(whole) * 1_000_000)
}

/// The beginning of the bin of length `stride` that `time` lies in, counted from `origin`.
pub(super) fn bin(stride: Interval, time: i64, origin: i64) -> Result<i64> {
    if stride.months != 0 {
        return exec_err!("timestamps cannot be binned into intervals containing months or years");
    }
    let length =
        i64::from(stride.days).checked_mul(DAY).and_then(|days| days.checked_add(stride.micros));
    match length {
        Some(length) if length > 0 => {
            let since = time.checked_sub(origin).ok_or_else(out_of_range)?;
            (time - since.rem_euclid(length)).checked_add(0).ok_or_else(out_of_range)
        }
        _ => exec_err!("stride must be greater than zero"),
    }
}

/// The zone named `name`; upper and lower case are the same.
///
/// # Errors
/// An error for a zone that is not in the time zone database. Offsets are refused: PostgreSQL reads `+08` in a zone's place
/// as west of Greenwich.
pub(super) fn zone(name: &str) -> Result<Tz> {
    if let Ok(zone) = name.parse() {
        return Ok(zone);
    }
    if name.eq_ignore_ascii_case("z") || name.eq_ignore_ascii_case("utc") {
        return Ok(Tz::UTC);
    }
    match chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(name)) {
        Some(zone) => Ok(*zone),
        None => exec_err!(
            "there is no time zone \"{name}\"; name one of the time zone database, such as Asia/Shanghai or UTC"
        ),
    }
}

/// The date `days` after 1970-01-01.
pub(super) fn date(days: i32) -> Result<NaiveDate> {
    NaiveDate::from_ymd_opt(1970, 1, 1)
        .and_then(|first| first.checked_add_signed(TimeDelta::days(days.into())))
        .ok_or_else(|| DataFusionError::Execution("date out of range".to_owned()))
}

/// Days since 1970-01-01.
pub(super) fn days(date: NaiveDate) -> i32 {
    // 719163 days lie between the first day of the calendar and 1970-01-01.
    date.num_days_from_ce() - 719_163
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_clocks_skip_and_repeat_hours_as_in_postgresql() {
        let berlin = zone("europe/berlin").expect("a zone");
        let at = |text: &str| micros(text.parse().expect("a time"));
        // Skipped: read with the offset before. Repeated: the later one.
        assert_eq!(
            from_wall(berlin, at("2026-03-29T02:30:00")).ok(),
            Some(at("2026-03-29T01:30:00"))
        );
        assert_eq!(
            from_wall(berlin, at("2026-10-25T02:30:00")).ok(),
            Some(at("2026-10-25T01:30:00"))
        );
        assert!(zone("+08").is_err());
        let month = Interval { months: 1, ..Interval::default() };
        assert_eq!(
            plus_on_wall(at("2026-01-31T10:00:00"), month).ok(),
            Some(at("2026-02-28T10:00:00"))
        );
        let lived = age(at("2026-03-01T00:00:00"), at("2026-01-31T12:00:00")).expect("an age");
        assert_eq!(lived.text(), "1 mon 12:00:00");
    }
}
