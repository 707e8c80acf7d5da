//! When people work.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Weekday};
use chrono_tz::Tz;
use serde::Deserialize;
use serde::de::Error as _;

/// Working hours in one time zone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusinessHours {
    /// IANA time zone.
    pub timezone: Tz,
    /// First minute, `09:00`.
    #[serde(deserialize_with = "time_of_day")]
    pub from: NaiveTime,
    /// Last minute, inclusive.
    #[serde(deserialize_with = "time_of_day")]
    pub to: NaiveTime,
    /// Working days; Monday to Friday unless said otherwise.
    #[serde(default = "weekdays")]
    pub days: Vec<Weekday>,
    /// Days off.
    #[serde(default)]
    pub holidays: Vec<NaiveDate>,
}

fn weekdays() -> Vec<Weekday> {
    vec![Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri]
}

impl BusinessHours {
    /// True where nobody is expected to work at `micros` (UTC).
    #[must_use]
    pub fn is_off(&self, micros: i64) -> Option<bool> {
        let local =
            DateTime::from_timestamp_micros(micros)?.with_timezone(&self.timezone).naive_local();
        let works = self.days.contains(&local.weekday())
            && !self.holidays.contains(&local.date())
            && self.from <= local.time()
            && local.time() <= self.to;
        Some(!works)
    }
}

/// `HH:MM` or `HH:MM:SS`.
pub(crate) fn time_of_day<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<NaiveTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_time(&text).map_err(D::Error::custom)
}

pub(crate) fn parse_time(text: &str) -> Result<NaiveTime, String> {
    NaiveTime::parse_from_str(text, "%H:%M")
        .or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S"))
        .map_err(|_| format!("`{text}` is no time of day; write it as `22:00`"))
}
