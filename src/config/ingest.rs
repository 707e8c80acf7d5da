//! `[lake]` and `[ingest]`: the folder of the lake, the retention, and the limits of the ingest.

use chrono::{DateTime, Duration, Utc};
use serde::Deserialize;
use std::num::NonZero;
use std::path::PathBuf;
use trailhound_ingest::IngestOptions;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LakeConfig {
    pub(super) path: Option<PathBuf>,
    pub(super) retention_days: Option<u32>,
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
