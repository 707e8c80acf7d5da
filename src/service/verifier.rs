//! Reads the data files of the lake again while the service runs, at a bounded rate, and compares each with the checksum of its
//! commit: damage is known before a merge, a query or a restore needs the file.

use super::monitor::Monitor;
use crate::exit::Failure;
use std::time::Duration;
use tokio::time::Instant;
use trailhound_detect::finding::health::damaged_file_finding;
use trailhound_ingest::Clock;
use trailhound_ingest::lake::{CatalogError, DamagedFile, Lake, Lease, RecordedFile};
use trailhound_ingest::supervisor::{Pulse, run_blocking};

/// Bytes that are read in a second at most.
const BYTES_PER_SECOND: u64 = 16 << 20;
/// A walk over the lake begins this long after the one before has begun, or when that has ended.
const WALK_INTERVAL: Duration = Duration::from_secs(86_400);
/// Length of the lease: longer than the pause after the largest file. Who does not get it tries again after this time.
const LEASE_LENGTH: Duration = Duration::from_secs(600);

/// What is walked.
pub(super) struct Verifier {
    pub(super) lake: Lake,
    /// Pause after which damaged files are read again: somebody may have put them back.
    pub(super) interval: Duration,
    /// Where several services share the lake, they read it one after the other.
    pub(super) lease: Lease,
    pub(super) clock: Clock,
}

/// Walks the lake again and again until it is aborted.
pub(super) async fn run(
    verifier: &Verifier,
    monitor: &Monitor,
    pulse: &Pulse,
) -> Result<(), String> {
    loop {
        let mut next = Instant::now() + WALK_INTERVAL;
        match verifier.walk(monitor, pulse).await {
            Ok(is_whole) => {
                if !is_whole {
                    next = Instant::now() + LEASE_LENGTH;
                }
                pulse.worked();
            }
            Err(error) => {
                tracing::warn!(%error, "the verification of the lake's files failed; it is tried again in ten minutes");
                next = Instant::now() + LEASE_LENGTH;
            }
        }
        loop {
            pulse.sleep(verifier.interval).await;
            match verifier.look_again(monitor, pulse).await {
                Ok(()) => pulse.worked(),
                Err(error) => tracing::warn!(%error, "damaged files could not be read again"),
            }
            if Instant::now() >= next {
                break;
            }
        }
    }
}

impl Verifier {
    /// Reads every file of the newest snapshot once. False where another service has the lease.
    async fn walk(&self, monitor: &Monitor, pulse: &Pulse) -> Result<bool, Failure> {
        let length = i64::try_from(LEASE_LENGTH.as_micros()).unwrap_or(i64::MAX);
        let mut damaged = Vec::new();
        for file in self.lake.recorded_files().await? {
            if !self.lake.acquire_lease(&self.lease, length).await? {
                return Ok(false);
            }
            let bytes = file.bytes;
            if let Some(damage) = self.find_damage(file).await? {
                self.report(&damage, monitor);
                damaged.push(damage);
            }
            monitor.metrics.verified(bytes);
            let pause = Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND as f64);
            pulse.sleep(pause).await;
        }
        monitor.metrics.walks.inc();
        monitor.damaged_files(damaged);
        self.lake.release_lease(&self.lease).await?;
        Ok(true)
    }

    /// Reads the damaged files again.
    async fn look_again(&self, monitor: &Monitor, pulse: &Pulse) -> Result<(), Failure> {
        let known = monitor.health.damaged_files();
        if known.is_empty() {
            return Ok(());
        }
        let mut damaged = Vec::new();
        for file in self.lake.recorded_files().await? {
            if known.contains_key(&file.path) {
                pulse.alive();
                damaged.extend(self.find_damage(file).await?);
            }
        }
        monitor.damaged_files(damaged);
        Ok(())
    }

    /// What is wrong with `file`; `None` where it is right, or no longer part of the lake.
    async fn find_damage(&self, file: RecordedFile) -> Result<Option<DamagedFile>, Failure> {
        let path = file.path.clone();
        let found = run_blocking(move || file.find_damage()).await.map_err(Failure::Internal)?;
        let damage = match found {
            Ok(found) => found,
            // A disk that does not give the content back has lost it.
            Err(CatalogError::File { path, source }) => {
                Some(DamagedFile { path, found: format!("it cannot be read: {source}") })
            }
            Err(error) => return Err(error.into()),
        };
        if damage.is_none() {
            return Ok(None);
        }
        // It may have been merged and removed meanwhile.
        let is_live = self.lake.recorded_files().await?.iter().any(|file| file.path == path);
        Ok(damage.filter(|_| is_live))
    }

    /// Tells of a damaged file: in the log, in `/readyz` and by a finding.
    fn report(&self, damage: &DamagedFile, monitor: &Monitor) {
        monitor.damaged_file(damage.clone());
        let path = damage.path.display().to_string();
        let lake = self.lake.folder().display().to_string();
        monitor.alarms.add(damaged_file_finding(&path, &damage.found, &lake, (self.clock)()));
    }
}
