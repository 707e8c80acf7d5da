//! The layout of a lake: table names, partitions, file paths.

use chrono::{DateTime, Datelike};
use std::fmt;
use std::path::PathBuf;

/// Name of the event table.
pub const EVENTS_TABLE: &str = "events";
/// Name of the quarantine table.
pub const QUARANTINE_TABLE: &str = "quarantine";
/// Name of the table with a row for each further source that has delivered a stored event.
pub const EVENT_COPIES_TABLE: &str = "event_copies";
/// Its name in snapshots that 0.1.0 has made.
pub const EVENT_COPIES_TABLE_OF_0_1_0: &str = "copies";
/// Folder of its files: DuckLake keeps a table's folder when it renames the table, and new lakes have the same folder.
pub const EVENT_COPIES_FOLDER: &str = "copies";
/// File name of the SQLite catalog in the lake's folder.
pub const CATALOG_FILE: &str = "catalog.sqlite";
/// File in the lake's folder with a reference to the connection string of its catalog in PostgreSQL.
pub const CATALOG_REFERENCE_FILE: &str = "catalog.postgresql";
/// Folder of the Parquet files, below the lake's folder.
pub const FILES_FOLDER: &str = "files";

/// Age at ingest, in microseconds, up to which an event gets the partition of its day.
const BACK_MICROS_MAX: i64 = 400 * DAY_MICROS;
/// How far ahead of the ingest, in microseconds, an event may be and still get the partition of its day.
const AHEAD_MICROS_MAX: i64 = 2 * DAY_MICROS;
/// A day in microseconds.
pub const DAY_MICROS: i64 = 86_400_000_000;

/// Where a lake's catalog is.
#[derive(Clone, PartialEq, Eq)]
pub enum CatalogLocation {
    /// An SQLite file in the lake's folder: one process writes at a time.
    Sqlite(PathBuf),
    /// A PostgreSQL database, by its connection string: several processes may write.
    Postgresql(String),
}

impl CatalogLocation {
    /// The URL for SQL clients. It may hold a password.
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
    /// Times out of range or unreadable, by the day of ingest as days since 1970.
    OutOfRange(i32),
}

impl Partition {
    /// The partition of an event of `event_time` that is ingested at `now` (both microseconds since 1970 UTC).
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
