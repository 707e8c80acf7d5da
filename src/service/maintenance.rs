//! Maintains the lake while the service runs: drops days beyond the retention, merges small files,
//! expires old snapshots.

use super::detector::RuleVersions;
use super::monitor::Monitor;
use crate::exit::Failure;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use trailhound_datasets::layout::DAY_MICROS;
use trailhound_detect::common_cursor;
use trailhound_detect::finding::health::retention_held_finding;
use trailhound_ingest::CheckedClock;
use trailhound_ingest::lake::{Lake, Lease};
use trailhound_ingest::supervisor::Pulse;

/// Snapshots are kept for this long, in microseconds, for readers that use them.
const SNAPSHOT_AGE_MAX: i64 = 3_600_000_000;

/// Length of the maintenance lease in microseconds.
const LEASE_MICROS: i64 = 120_000_000;

/// The lake to maintain, and what must be kept.
pub(super) struct Maintenance {
    pub(super) lake: Lake,
    /// The rules that run. A snapshot is kept until all of these rules have run over it.
    pub(super) rules: Arc<RwLock<RuleVersions>>,
    /// Days of events that are kept; all if `None`.
    pub(super) retention_days: Option<u32>,
    /// Pause between two runs.
    pub(super) interval: Duration,
    /// Where several services share the lake, only the one with the lease maintains it.
    pub(super) lease: Lease,
    pub(super) clock: CheckedClock,
    /// Largest share of the lake's rows that the retention drops within a day.
    pub(super) drop_share_max: f64,
}

/// Maintains the lake at intervals until it is aborted. A merge that is aborted leaves an
/// unreferenced file, which the next writer moves aside.
pub(super) async fn run(
    maintenance: &Maintenance,
    monitor: &Monitor,
    pulse: &Pulse,
) -> Result<(), String> {
    loop {
        pulse.sleep(maintenance.interval).await;
        match maintenance.run_once(monitor).await {
            Ok(()) => pulse.worked(),
            Err(error) => {
                tracing::warn!(%error, "the maintenance of the lake failed; it is tried again later");
            }
        }
    }
}

impl Maintenance {
    async fn run_once(&self, monitor: &Monitor) -> Result<(), Failure> {
        let now = self.clock.now();
        if !self.lake.acquire_lease(&self.lease, LEASE_MICROS).await? {
            return Ok(());
        }
        // Nothing is dropped by a clock that nothing confirms.
        let confirmed_now = self.clock.confirmed_now();
        if let (Some(days), Some(now)) = (self.retention_days, confirmed_now) {
            self.drop_old_days(days, now, monitor).await?;
        }
        let done = self.lake.compact(now).await?;
        monitor.metrics.merged.inc_by(done.files_merged);
        done.damaged.into_iter().for_each(|damage| monitor.damaged_file(damage));
        if let Some(now) = confirmed_now {
            self.lake.remove_expired_aside(now).await?;
        }
        let files = self.lake.info().await?.files;
        monitor.metrics.files.set(i64::try_from(files).unwrap_or(i64::MAX));
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        let seen = common_cursor(self.lake.catalog(), &rules).await.map_err(Failure::internal)?;
        // A snapshot from before this process is old enough when the process is.
        if self.clock.confirmed_now().is_some() || self.clock.age() >= SNAPSHOT_AGE_MAX {
            self.lake.expire_snapshots(now.saturating_sub(SNAPSHOT_AGE_MAX), seen).await?;
        }
        Ok(())
    }

    /// Drops the days that are older than `days` at `now`, microseconds since 1970 UTC, but not too many at once.
    async fn drop_old_days(&self, days: u32, now: i64, monitor: &Monitor) -> Result<(), Failure> {
        let oldest = now.saturating_sub(i64::from(days) * DAY_MICROS);
        let dropped = self.lake.drop_days_within(oldest, now, Some(self.drop_share_max)).await?;
        if dropped.files > 0 {
            tracing::info!(
                rows = dropped.rows,
                files = dropped.files,
                "days beyond the retention dropped"
            );
        }
        if dropped.held_rows > 0 {
            let what = format!(
                "{} rows are older than {days} days and are kept for now: at most {:.1} % of the lake is dropped within a day",
                dropped.held_rows,
                self.drop_share_max * 100.0
            );
            let folder = self.lake.folder().display().to_string();
            let finding = retention_held_finding(&what, &folder, now);
            if monitor.health.retention_held(&finding.finding_id) {
                tracing::warn!(what, "the retention waits");
                monitor.alarms.add(finding);
            }
        }
        Ok(())
    }
}
