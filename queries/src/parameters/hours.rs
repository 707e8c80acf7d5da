//! Business hours of the company.

use super::toml_time::{deserialize_days, deserialize_time_of_day};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Weekday};
use chrono_tz::Tz;
use serde::Deserialize;

/// Business hours, in one time zone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusinessHours {
    /// IANA time zone.
    pub timezone: Tz,
    /// Start of the working day, `09:00`, inclusive.
    #[serde(deserialize_with = "deserialize_time_of_day")]
    pub from: NaiveTime,
    /// End of the working day, inclusive.
    #[serde(deserialize_with = "deserialize_time_of_day")]
    pub to: NaiveTime,
    /// Working days; Monday to Friday by default.
    #[serde(default = "weekdays")]
    pub days: Vec<Weekday>,
    /// Days off, in the same time zone.
    #[serde(default, deserialize_with = "deserialize_days")]
    pub holidays: Vec<NaiveDate>,
}

fn weekdays() -> Vec<Weekday> {
    vec![Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri]
}

impl BusinessHours {
    /// True where `micros` (microseconds since 1970 UTC) lies outside of the business hours. `None`
    /// where the time is out of the range of dates.
    #[must_use]
    pub fn is_off_hours(&self, micros: i64) -> Option<bool> {
        let local =
            DateTime::from_timestamp_micros(micros)?.with_timezone(&self.timezone).naive_local();
        let works = self.days.contains(&local.weekday())
            && !self.holidays.contains(&local.date())
            && self.from <= local.time()
            && local.time() <= self.to;
        Some(!works)
    }
}
