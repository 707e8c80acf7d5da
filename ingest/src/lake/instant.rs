//! Instants in the text form that DuckLake keeps them in: `2026-11-23 15:43:57.201073+00`.

use chrono::DateTime;

/// The text of an instant (microseconds since 1970 UTC). Whole seconds have no fraction; an instant outside of the calendar is empty.
pub(crate) fn time_text(micros: i64) -> String {
    match DateTime::from_timestamp_micros(micros) {
        Some(time) if time.timestamp_subsec_micros() == 0 => {
            time.format("%Y-%m-%d %H:%M:%S+00").to_string()
        }
        Some(time) => time.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string(),
        None => String::new(),
    }
}

/// The instant that [`time_text`] wrote, microseconds since 1970 UTC; `None` for any other text.
pub(crate) fn parse_time_text(text: &str) -> Option<i64> {
    DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z")
        .ok()
        .map(|time| time.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::{parse_time_text, time_text};

    #[test]
    fn an_instant_survives_its_text() {
        for micros in [0, 1, -1, 1_795_449_837_201_073] {
            assert_eq!(parse_time_text(&time_text(micros)), Some(micros));
        }
        assert_eq!(parse_time_text(&time_text(i64::MAX)), None);
    }
}
