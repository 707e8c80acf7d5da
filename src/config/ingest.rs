//! `[lake]` and `[ingest]`: the folder of the lake, the retention, and the limits of the ingest.

use chrono::{DateTime, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::num::NonZero;
use std::path::PathBuf;
use trailhound_datasets::layout::DAY_MICROS;
use trailhound_ingest::IngestOptions;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LakeConfig {
    pub(super) path: Option<PathBuf>,
    #[serde(deserialize_with = "deserialize_retention")]
    pub(super) retention_days: Option<u32>,
    /// Largest share of the lake's rows that the service drops within a day, above 0 and up to 1.
    drop_share_max: Option<f64>,
}

/// Largest share that is dropped by default.
const DROP_SHARE_MAX: f64 = 0.1;

impl LakeConfig {
    /// The largest share of the lake's rows that the retention drops within a day: as configured, else a tenth, or the share of two
    /// days where few days are kept.
    pub(super) fn drop_share_max(&self) -> f64 {
        let of_two_days = self.retention_days.map_or(0.0, |days| 2.0 / f64::from(days.max(1)));
        self.drop_share_max.unwrap_or_else(|| DROP_SHARE_MAX.max(of_two_days)).clamp(0.0, 1.0)
    }

    /// Checks the values.
    ///
    /// # Errors
    /// A message: one is out of its range.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.drop_share_max {
            Some(share) if !(share > 0.0 && share <= 1.0) => Err(format!(
                "[lake] drop_share_max = {share}: write a share above 0 and up to 1, such as 0.1; 1 drops everything at once"
            )),
            _ => Ok(()),
        }
    }
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
        options.oldest_micros = retention_days
            .map(|days| now.timestamp_micros().saturating_sub(i64::from(days) * DAY_MICROS));
        options
    }
}
