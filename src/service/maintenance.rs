//! Keeps the lake tidy while it grows: small files merged, old snapshots forgotten.

use super::Watch;
use super::detector::Rules;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use trailhound_datasets::layout::DAY_MICROS;
use trailhound_detect::common_cursor;
use trailhound_ingest::Clock;
use trailhound_ingest::lake::{Lake, Lease};

/// A reader may go on with a snapshot for this long, in microseconds.
const SNAPSHOTS_KEPT: i64 = 3_600_000_000;

/// The right to tidy lasts so long unless it is renewed, in microseconds.
const LEASED: i64 = 120_000_000;

/// What is kept tidy, and what must not be tidied away.
pub(super) struct Maintenance {
    pub(super) lake: Lake,
    /// The rules that still have to see what is new.
    pub(super) rules: Arc<RwLock<Rules>>,
    /// Days that are kept; all of them without.
    pub(super) retention_days: Option<u32>,
    /// Pause between two rounds.
    pub(super) every: Duration,
    /// The right to tidy, where several services share the lake.
    pub(super) lease: Lease,
    pub(super) clock: Clock,
}

/// Runs until aborted. A merge that is cut off leaves a file nobody refers to, which the next writer sweeps.
pub(super) async fn run(maintenance: Maintenance, watch: Arc<Watch>) {
    loop {
        tokio::time::sleep(maintenance.every).await;
        if let Err(error) = maintenance.round(&watch).await {
            tracing::warn!(error, "the lake could not be tidied; tried again later");
        }
    }
}

impl Maintenance {
    async fn round(&self, watch: &Watch) -> Result<(), String> {
        let now = (self.clock)();
        if !self
            .lake
            .acquire_lease(&self.lease, now, now.saturating_add(LEASED))
            .await
            .map_err(|e| e.to_string())?
        {
            return Ok(());
        }
        if let Some(days) = self.retention_days {
            let oldest = now.saturating_sub(i64::from(days) * DAY_MICROS);
            let dropped =
                self.lake.drop_days_before(oldest, now).await.map_err(|e| e.to_string())?;
            if dropped.files > 0 {
                tracing::info!(
                    rows = dropped.rows,
                    files = dropped.files,
                    "days beyond the retention dropped"
                );
            }
        }
        let done = self.lake.compact(now).await.map_err(|e| e.to_string())?;
        watch.metrics.merged.inc_by(done.files_merged);
        let files = self.lake.info().await.map_err(|e| e.to_string())?.files;
        watch.metrics.files.set(i64::try_from(files).unwrap_or(i64::MAX));
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        let seen = common_cursor(self.lake.catalog(), &rules).await.map_err(|e| e.to_string())?;
        self.lake.expire_snapshots(now - SNAPSHOTS_KEPT, seen).await.map_err(|e| e.to_string())?;
        Ok(())
    }
}
