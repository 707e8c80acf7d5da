//! `[lake]` and `[ingest]`: the folder of the lake, the retention, and the limits of the ingest.

use chrono::{DateTime, Duration, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::num::NonZero;
use std::path::PathBuf;
use trailhound_ingest::IngestOptions;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LakeConfig {
    pub(super) path: Option<PathBuf>,
    #[serde(deserialize_with = "deserialize_retention")]
    pub(super) retention_days: Option<u32>,
}

/// The longest retention, in days: a hundred years.
const RETENTION_DAYS_MAX: u32 = 36_500;

/// Deserializes a number of days. None would drop what was just stored, and very many are no date.
fn deserialize_retention<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    let days = i64::deserialize(deserializer)?;
    match u32::try_from(days) {
        Ok(days) if (1..=RETENTION_DAYS_MAX).contains(&days) => Ok(Some(days)),
        _ => Err(D::Error::custom(format!(
            "`retention_days` is {days}; write 1 to {RETENTION_DAYS_MAX}, or leave it out to keep everything"
        ))),
    }
}

/// Limits that replace the defaults of the ingest.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IngestConfig {
    workers: Option<NonZero<usize>>,
    event_bytes_max: Option<NonZero<usize>>,
    content_bytes_max: Option<NonZero<u64>>,
    expansion_max: Option<NonZero<u64>>,
    quarantine_raw_bytes_max: Option<NonZero<usize>>,
    block_bytes_max: Option<NonZero<usize>>,
    flush_rows_max: Option<NonZero<u64>>,
    keys_max: Option<NonZero<usize>>,
}

impl IngestConfig {
    /// The options of an ingest at `now`. Events older than `retention_days` are not stored.
    pub(super) fn options(&self, now: DateTime<Utc>, retention_days: Option<u32>) -> IngestOptions {
        let mut options = IngestOptions::at(now.timestamp_micros());
        let limits = &mut options.limits;
        limits.event_bytes_max = self.event_bytes_max.map_or(limits.event_bytes_max, Into::into);
        limits.content_bytes_max =
            self.content_bytes_max.map_or(limits.content_bytes_max, Into::into);
        limits.expansion_max = self.expansion_max.map_or(limits.expansion_max, Into::into);
        limits.quarantine_raw_bytes_max =
            self.quarantine_raw_bytes_max.map_or(limits.quarantine_raw_bytes_max, Into::into);
        limits.block_bytes_max = self.block_bytes_max.map_or(limits.block_bytes_max, Into::into);
        options.workers = self.workers.map_or(options.workers, Into::into);
        options.flush_rows_max = self.flush_rows_max.map_or(options.flush_rows_max, Into::into);
        options.keys_max = self.keys_max.map_or(options.keys_max, Into::into);
        options.oldest_micros =
            retention_days.map(|days| (now - Duration::days(days.into())).timestamp_micros());
        options
    }
}
