//! The period of a report: a day, week or month in the time zone of the reader.
//!
//! Example: at 2026-10-01T00:00Z the last completed week in UTC is 2026-09-21 to 2026-09-27, and
//! the last completed month in Shanghai is September, from 2026-08-31T16:00Z to 2026-09-30T16:00Z.

use chrono::{DateTime, Datelike, Days, Duration, Months, NaiveDate, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use trailhound_queries::local_time::start_of_day;

/// How far section queries look back before the period.
const HISTORY: Days = Days::new(90);

/// The length of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodLength {
    /// A day.
    Day,
    /// Monday to Sunday.
    Week,
    /// A month of the calendar.
    Month,
}

impl PeriodLength {
    /// `day`, `week` or `month`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The first day of the period that contains `day`.
    fn first_day(self, day: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Day => Some(day),
            Self::Week => {
                day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into()))
            }
            Self::Month => day.with_day(1),
        }
    }

    /// The first day of the period before the one that begins with `first`.
    fn first_day_before(self, first: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Day => first.checked_sub_days(Days::new(1)),
            Self::Week => first.checked_sub_days(Days::new(7)),
            Self::Month => first.checked_sub_months(Months::new(1)),
        }
    }
}

/// The period `[since, until)` of a report, and the beginning of the previous period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Its length.
    #[serde(rename = "span")]
    pub length: PeriodLength,
    /// The time zone in which its days begin and end.
    pub time_zone: Tz,
    /// The beginning of the previous period.
    pub before: DateTime<Utc>,
    /// The beginning.
    pub since: DateTime<Utc>,
    /// The end, exclusive.
    pub until: DateTime<Utc>,
}

impl Period {
    /// The last period that had ended at `at`; `None` where it is out of the range of dates.
    #[must_use]
    pub fn last_completed(length: PeriodLength, at: DateTime<Utc>, time_zone: Tz) -> Option<Self> {
        let until = length.first_day(at.with_timezone(&time_zone).date_naive())?;
        let since = length.first_day_before(until)?;
        let before = length.first_day_before(since)?;
        let start_of = |day| start_of_day(day, time_zone);
        Some(Self {
            length,
            time_zone,
            before: start_of(before)?,
            since: start_of(since)?,
            until: start_of(until)?,
        })
    }

    /// The beginning of the history that section queries read, to find what is new and to compute
    /// risk scores: ninety days before the period, or the previous period if that begins earlier.
    #[must_use]
    pub fn history(&self) -> DateTime<Utc> {
        self.since.checked_sub_days(HISTORY).unwrap_or(self.before).min(self.before)
    }

    /// Labels of the bars of a chart: the hours of a day, or the days of a week or month.
    pub(super) fn bucket_labels(&self) -> Vec<String> {
        match self.length {
            PeriodLength::Day => (0..24).map(|hour| format!("{hour:02}:00")).collect(),
            PeriodLength::Week | PeriodLength::Month => {
                let (first, end) = (self.local_date(self.since), self.local_date(self.until));
                first
                    .iter_days()
                    .take_while(|day| *day < end)
                    .map(|day| day.format("%m-%d").to_string())
                    .collect()
            }
        }
    }

    /// The number of the hour or day that contains `time`, from 0.
    pub(super) fn bucket_index(&self, time: DateTime<Utc>) -> usize {
        let index = match self.length {
            PeriodLength::Day => i64::from(time.with_timezone(&self.time_zone).hour()),
            PeriodLength::Week | PeriodLength::Month => {
                (self.local_date(time) - self.local_date(self.since)).num_days()
            }
        };
        usize::try_from(index).unwrap_or(0)
    }

    /// The day of `time` in the period's time zone.
    fn local_date(&self, time: DateTime<Utc>) -> NaiveDate {
        time.with_timezone(&self.time_zone).date_naive()
    }

    /// Returns the first and last day for display, such as `2026-09-21 – 2026-09-27 (UTC)`.
    #[must_use]
    pub fn label(&self) -> String {
        let (first, last) =
            (self.local_date(self.since), self.local_date(self.until - Duration::seconds(1)));
        match first == last {
            true => format!("{first} ({})", self.time_zone),
            false => format!("{first} – {last} ({})", self.time_zone),
        }
    }

    /// Returns the part of a file name that identifies the period, such as `2026-09-21-week`.
    #[must_use]
    pub fn file_name_part(&self) -> String {
        format!("{}-{}", self.local_date(self.since), self.length.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(length: PeriodLength, at: &str, time_zone: Tz) -> (String, String, String) {
        let period = Period::last_completed(length, at.parse().expect("a time"), time_zone)
            .expect("a period");
        let text = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%MZ").to_string();
        (text(period.before), text(period.since), text(period.until))
    }

    fn texts(all: [&str; 3]) -> (String, String, String) {
        (all[0].to_owned(), all[1].to_owned(), all[2].to_owned())
    }

    #[test]
    fn the_last_completed_period_follows_the_time_zone() {
        use chrono_tz::{America, Asia, UTC};
        let at = "2026-10-01T00:00:00Z";
        assert_eq!(
            of(PeriodLength::Day, at, UTC),
            texts(["2026-09-29T00:00Z", "2026-09-30T00:00Z", "2026-10-01T00:00Z"])
        );
        assert_eq!(
            of(PeriodLength::Week, at, UTC),
            texts(["2026-09-14T00:00Z", "2026-09-21T00:00Z", "2026-09-28T00:00Z"])
        );
        assert_eq!(
            of(PeriodLength::Month, at, UTC),
            texts(["2026-08-01T00:00Z", "2026-09-01T00:00Z", "2026-10-01T00:00Z"])
        );
        assert_eq!(
            of(PeriodLength::Month, "2026-09-30T23:59:59Z", UTC),
            texts(["2026-07-01T00:00Z", "2026-08-01T00:00Z", "2026-09-01T00:00Z"])
        );
        // Eight hours ahead it is October already.
        assert_eq!(
            of(PeriodLength::Month, "2026-09-30T16:00:00Z", Asia::Shanghai),
            texts(["2026-07-31T16:00Z", "2026-08-31T16:00Z", "2026-09-30T16:00Z"])
        );
        // A day of 23 hours, and one that begins at one o'clock.
        assert_eq!(
            of(PeriodLength::Day, "2026-03-09T12:00:00Z", America::New_York),
            texts(["2026-03-07T05:00Z", "2026-03-08T05:00Z", "2026-03-09T04:00Z"])
        );
        assert_eq!(
            of(PeriodLength::Day, "2026-09-07T12:00:00Z", America::Santiago),
            texts(["2026-09-05T04:00Z", "2026-09-06T04:00Z", "2026-09-07T03:00Z"])
        );
    }

    #[test]
    fn times_fall_into_buckets() {
        let zone = chrono_tz::America::New_York;
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let week = Period::last_completed(PeriodLength::Week, at("2026-03-11T12:00:00Z"), zone)
            .expect("a period");
        assert_eq!(
            week.bucket_labels(),
            ["03-02", "03-03", "03-04", "03-05", "03-06", "03-07", "03-08"]
        );
        assert_eq!(
            (
                week.bucket_index(week.since),
                week.bucket_index(at("2026-03-08T04:59:59Z")),
                week.bucket_index(at("2026-03-09T03:59:59Z"))
            ),
            (0, 5, 6)
        );
        let day = Period::last_completed(PeriodLength::Day, at("2026-03-09T12:00:00Z"), zone)
            .expect("a period");
        assert_eq!(
            (
                day.bucket_labels().len(),
                day.bucket_index(at("2026-03-08T06:30:00Z")),
                day.bucket_index(at("2026-03-08T07:30:00Z"))
            ),
            (24, 1, 3)
        );
        assert_eq!(day.label(), "2026-03-08 (America/New_York)");
        assert_eq!(week.file_name_part(), "2026-03-02-week");
    }
}
