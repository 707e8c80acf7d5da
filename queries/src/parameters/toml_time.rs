//! Dates and times of day in configuration files: written as text or as TOML's own values.

use chrono::{NaiveDate, NaiveTime};
use serde::Deserialize;
use serde::de::Error as _;

/// The text of a date, a time of day or a local time, which may be written in quotes (`"22:00"`) or
/// as a value of TOML (`2026-01-01`, `22:00:00`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateTimeText(pub String);

impl<'de> Deserialize<'de> for DateTimeText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Value(toml::value::Datetime),
        }
        Ok(match Written::deserialize(deserializer) {
            Ok(Written::Text(text)) => Self(text),
            Ok(Written::Value(value)) => Self(value.to_string()),
            Err(_) => return Err(D::Error::custom("expected a date or a time such as 2026-12-31")),
        })
    }
}

impl DateTimeText {
    /// The day, `2026-12-31`.
    ///
    /// # Errors
    /// A sentence with the text and an example.
    pub fn day(&self) -> Result<NaiveDate, String> {
        NaiveDate::parse_from_str(&self.0, "%Y-%m-%d")
            .map_err(|_| format!("`{}` is not a date; write it as `2026-12-31`", self.0))
    }

    /// The time of day, `HH:MM` or `HH:MM:SS`.
    ///
    /// # Errors
    /// A sentence with the text and an example.
    pub fn time_of_day(&self) -> Result<NaiveTime, String> {
        let text = &self.0;
        NaiveTime::parse_from_str(text, "%H:%M")
            .or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S"))
            .map_err(|_| {
                format!("`{text}` is not a time of day; write the time of day as \"22:00\"")
            })
    }
}

/// Deserializes a day.
///
/// # Errors
/// The value is no day.
pub fn deserialize_day<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NaiveDate>, D::Error> {
    DateTimeText::deserialize(deserializer)?.day().map(Some).map_err(D::Error::custom)
}

/// Deserializes a list of days.
///
/// # Errors
/// A value is no day.
pub fn deserialize_days<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<NaiveDate>, D::Error> {
    let texts = Vec::<DateTimeText>::deserialize(deserializer)?;
    texts.iter().map(DateTimeText::day).collect::<Result<_, _>>().map_err(D::Error::custom)
}

/// Deserializes a time of day.
///
/// # Errors
/// The value is no time of day.
pub fn deserialize_time_of_day<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<NaiveTime, D::Error> {
    DateTimeText::deserialize(deserializer)?.time_of_day().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_read_as_text_and_as_values_of_toml() {
        #[derive(Deserialize)]
        struct Written {
            #[serde(default, deserialize_with = "deserialize_day")]
            day: Option<NaiveDate>,
            #[serde(default, deserialize_with = "deserialize_days")]
            days: Vec<NaiveDate>,
            #[serde(deserialize_with = "deserialize_time_of_day")]
            from: NaiveTime,
        }
        let read = |text: &str| toml::from_str::<Written>(text).map_err(|e| e.to_string());
        for text in [
            "day = 2026-01-31\ndays = [2026-01-31, \"2026-01-31\"]\nfrom = 22:00:00",
            "day = \"2026-01-31\"\ndays = [2026-01-31, 2026-01-31]\nfrom = \"22:00\"",
        ] {
            let written = read(text).expect("read");
            let day = NaiveDate::from_ymd_opt(2026, 1, 31);
            assert_eq!((written.day, written.days.len()), (day, 2), "{text}");
            assert_eq!(Some(written.from), NaiveTime::from_hms_opt(22, 0, 0), "{text}");
        }
        for (text, complaint) in [
            ("day = 2026-01-31T10:00:00Z\nfrom = 22:00:00", "is not a date"),
            ("day = 31\nfrom = 22:00:00", "expected a date"),
            ("from = 2026-01-31", "is not a time of day"),
            ("from = \"25:00\"", "is not a time of day"),
        ] {
            let error = read(text).err().unwrap_or_default();
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }
}
