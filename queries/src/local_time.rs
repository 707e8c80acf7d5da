//! Times as people write and read them: days of one time zone, and times with their offset.

use chrono::{DateTime, Duration, NaiveDate, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;

/// A point in time as a person writes it: a time with its offset, or a day, which begins at its
/// midnight in the time zone of the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeOrDay {
    /// A time.
    Time(DateTime<Utc>),
    /// A day of the calendar.
    Day(NaiveDate),
}

impl TimeOrDay {
    /// Reads RFC 3339, or a day such as `2026-09-21`; `None` for anything else.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(Self::Time(time.to_utc()));
        }
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(Self::Day)?;
        // The midnight of the last possible date is out of range in some zones.
        day.at(chrono_tz::UTC).map(|_| day)
    }

    /// The point in time; a day begins at its midnight in `zone`. `None` where that is out of
    /// range.
    #[must_use]
    pub fn at(self, zone: Tz) -> Option<DateTime<Utc>> {
        match self {
            Self::Time(time) => Some(time),
            Self::Day(day) => start_of_day(day, zone),
        }
    }
}

/// The beginning of `day` in `zone`, which is not midnight where clocks are put forward at midnight.
/// `None` where it is out of the range of dates.
#[must_use]
pub fn start_of_day(day: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    let midnight = day.and_hms_opt(0, 0, 0)?;
    // In that case midnight does not exist; the first quarter of an hour that does is taken. A zone
    // may also have skipped a whole day.
    (0..=2 * 96)
        .find_map(|quarter| {
            let time = midnight.checked_add_signed(Duration::minutes(15 * quarter))?;
            zone.from_local_datetime(&time).earliest()
        })
        .map(|time| time.to_utc())
}

/// `time` for people: RFC 3339 in `zone`, such as `2026-09-21T10:00:00+08:00`, or with `Z` in UTC.
#[must_use]
pub fn local_time(time: DateTime<Utc>, zone: Tz) -> String {
    time.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Converts a time in RFC 3339 to `zone`, as [`local_time`] writes it. Text that is no time, and
/// every text if `zone` is UTC, is returned unchanged.
#[must_use]
pub fn local_text(text: &str, zone: Tz) -> String {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) if zone != Tz::UTC => local_time(time.to_utc(), zone),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::{America, Asia, Pacific, UTC};

    #[test]
    fn a_day_begins_in_the_zone_of_the_reader() {
        let at = |text: &str, zone: Tz| {
            TimeOrDay::read(text).and_then(|time| time.at(zone)).map(|time| local_time(time, UTC))
        };
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(at("2026-09-21", UTC), is("2026-09-21T00:00:00Z"));
        assert_eq!(at("2026-09-21", Asia::Shanghai), is("2026-09-20T16:00:00Z"));
        // Clocks are put forward at midnight; a day that a zone skipped begins with the next one.
        assert_eq!(at("2026-09-06", America::Santiago), is("2026-09-06T04:00:00Z"));
        assert_eq!(at("2011-12-30", Pacific::Apia), is("2011-12-30T10:00:00Z"));
        // A time has its own offset.
        assert_eq!(at("2026-09-21T08:00:00+08:00", Asia::Tokyo), is("2026-09-21T00:00:00Z"));
        for wrong in ["", "21.9.2026", "2026-02-30", "2026-09-21T08:00:00", "today"] {
            assert_eq!(TimeOrDay::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_shown_with_their_offset() {
        let shown = |text: &str| local_text(text, Asia::Shanghai);
        assert_eq!(shown("2026-09-21T02:00:00Z"), "2026-09-21T10:00:00+08:00");
        assert_eq!(shown("2026-09-21T02:00:00.500Z"), "2026-09-21T10:00:00.500+08:00");
        assert_eq!(shown("not a time"), "not a time");
        assert_eq!(local_text("2026-09-21T02:00:00.000Z", UTC), "2026-09-21T02:00:00.000Z");
    }
}
