//! The stretch of time a report is about, in the days of its time zone.

use chrono::{DateTime, Datelike, Days, Duration, Months, NaiveDate, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// How far a report looks back before its period.
const HISTORY: Days = Days::new(90);

/// How long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// A day.
    Day,
    /// Monday to Sunday.
    Week,
    /// A month of the calendar.
    Month,
}

impl Span {
    /// `day`, `week` or `month`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// First day of the stretch that `day` lies in.
    fn first(self, day: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Day => Some(day),
            Self::Week => {
                day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into()))
            }
            Self::Month => day.with_day(1),
        }
    }

    /// First day of the stretch before the one that begins with `first`.
    fn before(self, first: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Day => first.checked_sub_days(Days::new(1)),
            Self::Week => first.checked_sub_days(Days::new(7)),
            Self::Month => first.checked_sub_months(Months::new(1)),
        }
    }
}

/// `[since, until)`, and where the one before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// How long it is.
    pub span: Span,
    /// Whose days.
    pub time_zone: Tz,
    /// First moment of the one before.
    pub before: DateTime<Utc>,
    /// First moment.
    pub since: DateTime<Utc>,
    /// First moment after.
    pub until: DateTime<Utc>,
}

impl Period {
    /// The last one that was over at `at`; `None` where the calendar ends.
    #[must_use]
    pub fn last_over(span: Span, at: DateTime<Utc>, time_zone: Tz) -> Option<Self> {
        let until = span.first(at.with_timezone(&time_zone).date_naive())?;
        let since = span.before(until)?;
        let before = span.before(since)?;
        let begins = |day| begins(day, time_zone);
        Some(Self {
            span,
            time_zone,
            before: begins(before)?,
            since: begins(since)?,
            until: begins(until)?,
        })
    }

    /// From when on a report looks back: to tell what is new, and what findings still weigh.
    #[must_use]
    pub fn history(&self) -> DateTime<Utc> {
        self.since.checked_sub_days(HISTORY).unwrap_or(self.before).min(self.before)
    }

    /// Names of its parts, in order: the hours of a day, the days of a week or month.
    pub(super) fn parts(&self) -> Vec<String> {
        match self.span {
            Span::Day => (0..24).map(|hour| format!("{hour:02}:00")).collect(),
            Span::Week | Span::Month => {
                let (first, end) = (self.local(self.since), self.local(self.until));
                first
                    .iter_days()
                    .take_while(|day| *day < end)
                    .map(|day| day.format("%m-%d").to_string())
                    .collect()
            }
        }
    }

    /// The number of the part in which `moment` lies.
    pub(super) fn part(&self, moment: DateTime<Utc>) -> usize {
        let part = match self.span {
            Span::Day => i64::from(moment.with_timezone(&self.time_zone).hour()),
            Span::Week | Span::Month => (self.local(moment) - self.local(self.since)).num_days(),
        };
        usize::try_from(part).unwrap_or(0)
    }

    fn local(&self, moment: DateTime<Utc>) -> NaiveDate {
        moment.with_timezone(&self.time_zone).date_naive()
    }

    /// As people write it: its first and last day.
    #[must_use]
    pub fn in_words(&self) -> String {
        let (first, last) = (self.local(self.since), self.local(self.until - Duration::seconds(1)));
        match first == last {
            true => format!("{first} ({})", self.time_zone),
            false => format!("{first} – {last} ({})", self.time_zone),
        }
    }

    /// What tells it from others in the name of a file.
    #[must_use]
    pub fn in_file_name(&self) -> String {
        format!("{}-{}", self.local(self.since), self.span.name())
    }
}

/// The first moment of `day`, which is not always midnight.
fn begins(day: NaiveDate, time_zone: Tz) -> Option<DateTime<Utc>> {
    let midnight = day.and_hms_opt(0, 0, 0)?;
    // Where clocks are put forward at midnight there is none.
    (0..24)
        .find_map(|quarter| {
            time_zone.from_local_datetime(&(midnight + Duration::minutes(15 * quarter))).earliest()
        })
        .map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(span: Span, at: &str, time_zone: Tz) -> (String, String, String) {
        let period =
            Period::last_over(span, at.parse().expect("a time"), time_zone).expect("a period");
        let text = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%MZ").to_string();
        (text(period.before), text(period.since), text(period.until))
    }

    fn texts(all: [&str; 3]) -> (String, String, String) {
        (all[0].to_owned(), all[1].to_owned(), all[2].to_owned())
    }

    #[test]
    fn it_is_the_last_one_over_in_the_days_of_its_zone() {
        use chrono_tz::{America, Asia, UTC};
        let at = "2026-10-01T00:00:00Z";
        assert_eq!(
            of(Span::Day, at, UTC),
            texts(["2026-09-29T00:00Z", "2026-09-30T00:00Z", "2026-10-01T00:00Z"])
        );
        assert_eq!(
            of(Span::Week, at, UTC),
            texts(["2026-09-14T00:00Z", "2026-09-21T00:00Z", "2026-09-28T00:00Z"])
        );
        assert_eq!(
            of(Span::Month, at, UTC),
            texts(["2026-08-01T00:00Z", "2026-09-01T00:00Z", "2026-10-01T00:00Z"])
        );
        assert_eq!(
            of(Span::Month, "2026-09-30T23:59:59Z", UTC),
            texts(["2026-07-01T00:00Z", "2026-08-01T00:00Z", "2026-09-01T00:00Z"])
        );
        // Eight hours ahead it is October already.
        assert_eq!(
            of(Span::Month, "2026-09-30T16:00:00Z", Asia::Shanghai),
            texts(["2026-07-31T16:00Z", "2026-08-31T16:00Z", "2026-09-30T16:00Z"])
        );
        // A day of 23 hours, and one that begins at one o'clock.
        assert_eq!(
            of(Span::Day, "2026-03-09T12:00:00Z", America::New_York),
            texts(["2026-03-07T05:00Z", "2026-03-08T05:00Z", "2026-03-09T04:00Z"])
        );
        assert_eq!(
            of(Span::Day, "2026-09-07T12:00:00Z", America::Santiago),
            texts(["2026-09-05T04:00Z", "2026-09-06T04:00Z", "2026-09-07T03:00Z"])
        );
    }

    #[test]
    fn moments_fall_into_its_parts() {
        let zone = chrono_tz::America::New_York;
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let week =
            Period::last_over(Span::Week, at("2026-03-11T12:00:00Z"), zone).expect("a period");
        assert_eq!(week.parts(), ["03-02", "03-03", "03-04", "03-05", "03-06", "03-07", "03-08"]);
        assert_eq!(
            (
                week.part(week.since),
                week.part(at("2026-03-08T04:59:59Z")),
                week.part(at("2026-03-09T03:59:59Z"))
            ),
            (0, 5, 6)
        );
        let day = Period::last_over(Span::Day, at("2026-03-09T12:00:00Z"), zone).expect("a period");
        assert_eq!(
            (
                day.parts().len(),
                day.part(at("2026-03-08T06:30:00Z")),
                day.part(at("2026-03-08T07:30:00Z"))
            ),
            (24, 1, 3)
        );
        assert_eq!(day.in_words(), "2026-03-08 (America/New_York)");
        assert_eq!(week.in_file_name(), "2026-03-02-week");
    }
}
