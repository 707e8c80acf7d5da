//! How the lake is laid out: table names, partitions, file paths.

use chrono::{DateTime, Datelike};
use std::fmt;
use std::path::PathBuf;

/// Name of the event table.
pub const EVENTS_TABLE: &str = "events";
/// Name of the quarantine table.
pub const QUARANTINE_TABLE: &str = "quarantine";
/// Name of the table of further copies of stored events.
pub const COPIES_TABLE: &str = "copies";
/// File name of the SQLite catalogue in the lake's folder.
pub const CATALOG_FILE: &str = "catalog.sqlite";
/// File in the lake's folder that says where its catalogue in PostgreSQL is, as a reference to the connection string.
pub const CATALOG_REFERENCE_FILE: &str = "catalog.postgresql";
/// Folder of the Parquet files, below the lake's folder.
pub const FILES_FOLDER: &str = "files";

/// Oldest event, relative to the ingest, that gets a day partition of its own, in microseconds.
const BACK_MICROS_MAX: i64 = 400 * DAY_MICROS;
/// Furthest ahead of the ingest, likewise.
const AHEAD_MICROS_MAX: i64 = 2 * DAY_MICROS;
/// A day in microseconds.
pub const DAY_MICROS: i64 = 86_400_000_000;

/// Where a lake's catalogue is.
#[derive(Clone, PartialEq, Eq)]
pub enum CatalogLocation {
    /// A file of its own in the lake's folder: one writer at a time.
    Sqlite(PathBuf),
    /// A database, by its connection string: as many writers as one likes.
    Postgresql(String),
}

impl CatalogLocation {
    /// The place as SQL clients want it. It may hold a password.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", percent_encoded(&path.to_string_lossy())),
            Self::Postgresql(url) => url.clone(),
        }
    }
}

impl fmt::Debug for CatalogLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgresql(_) => f.write_str("Postgresql"),
        }
    }
}

/// A path as part of a URL: folders may be called anything.
fn percent_encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    path.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The partition of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partition {
    /// A day by event time, as days since 1970.
    Day(i32),
    /// Times out of range or unreadable, by ingest day as days since 1970.
    OutOfRange(i32),
}

impl Partition {
    /// Where an event of `event_time` goes when ingested at `now` (both microseconds since 1970 UTC).
    #[must_use]
    pub fn of(event_time: Option<i64>, now: i64) -> Self {
        match event_time {
            Some(time) if time >= now - BACK_MICROS_MAX && time <= now + AHEAD_MICROS_MAX => {
                Self::Day(day_of(time))
            }
            _ => Self::OutOfRange(day_of(now)),
        }
    }

    /// The partition's value in the `day` column.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Day(day) => day_text(day),
            Self::OutOfRange(day) => format!("out_of_range_{}", day_text(day)),
        }
    }
}

/// Days since 1970 of `micros`.
#[must_use]
pub fn day_of(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(DAY_MICROS)).unwrap_or(if micros < 0 {
        i32::MIN
    } else {
        i32::MAX
    })
}

/// `2026-01-31`.
#[must_use]
pub fn day_text(day: i32) -> String {
    match DateTime::from_timestamp(i64::from(day) * 86_400, 0) {
        Some(time) => format!("{:04}-{:02}-{:02}", time.year(), time.month(), time.day()),
        None => day.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_by_event_day_within_range_else_by_ingest_day() {
        let now = 1_767_225_600_000_000; // 2026-01-01T00:00:00Z
        for (time, name) in [
            (Some(now), "2026-01-01"),
            (Some(now - 1), "2025-12-31"),
            (Some(now + AHEAD_MICROS_MAX), "2026-01-03"),
            (Some(now + AHEAD_MICROS_MAX + 1), "out_of_range_2026-01-01"),
            (Some(now - BACK_MICROS_MAX - 1), "out_of_range_2026-01-01"),
            (Some(-62_135_596_800_000_000), "out_of_range_2026-01-01"),
            (None, "out_of_range_2026-01-01"),
        ] {
            assert_eq!(Partition::of(time, now).name(), name, "{time:?}");
        }
    }
}
