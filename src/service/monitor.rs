//! What the parts of the service report to: metrics, health, and notifications that wake other
//! parts.

use super::health::Health;
use super::metrics::Metrics;
use tokio::sync::Notify;
use trailhound_ingest::Clock;
use trailhound_ingest::lake::DamagedFile;
use trailhound_ingest::live::{CommitSummary, Observer};
use trailhound_ingest::survey::SourceSurvey;

/// Shared by all parts of the service.
pub(super) struct Monitor {
    pub(super) metrics: Metrics,
    pub(super) health: Health,
    clock: Clock,
    /// Notified when events are committed: detection runs.
    pub(super) events_committed: Notify,
    /// Notified when messages may have been added to the outbox: sink workers look for them.
    pub(super) outbox_changed: Notify,
}

impl Monitor {
    /// A monitor that nothing has been reported to.
    pub(super) fn new(metrics: Metrics, health: Health, clock: Clock) -> Self {
        Self {
            metrics,
            health,
            clock,
            events_committed: Notify::new(),
            outbox_changed: Notify::new(),
        }
    }
}

impl Monitor {
    /// Records that a data file of the lake is damaged.
    pub(super) fn damaged_file(&self, damage: DamagedFile) {
        tracing::error!(%damage, "a data file of the lake is damaged");
        self.health.damaged_file(damage);
        self.count_damaged_files();
    }

    /// Records that exactly these data files of the lake are damaged.
    pub(super) fn damaged_files(&self, damaged: Vec<DamagedFile>) {
        self.health.replace_damaged_files(damaged);
        self.count_damaged_files();
    }

    fn count_damaged_files(&self) {
        let count = self.health.damaged_files().len();
        self.metrics.damaged_files.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

impl Observer for Monitor {
    fn alive(&self) {
        self.health.alive();
        for (source, problem) in self.health.newly_unread() {
            tracing::warn!(source, problem, "nothing of a source is read");
        }
    }

    fn surveyed(&self, name: &str, survey: &SourceSurvey) {
        self.health.surveyed(name, survey);
    }

    fn committed(&self, commit: &CommitSummary) {
        self.metrics.committed(commit);
        self.health.facts(&commit.facts, (self.clock)());
        self.events_committed.notify_one();
    }

    fn refused(&self, reason: &str) {
        tracing::warn!(reason, "a commit was refused; its records are read again");
        self.metrics.refused.inc();
    }

    fn stalled(&self, reason: Option<&str>) {
        match reason {
            Some(reason) => tracing::error!(reason, "commits fail; fetching is paused"),
            None => tracing::info!("commits succeed again"),
        }
        self.health.stalled(reason);
    }

    fn source(&self, name: &str, trouble: Option<&str>) {
        if !self.health.source(name, trouble) {
            return;
        }
        match trouble {
            Some(problem) => tracing::warn!(source = name, problem, "a source fails"),
            None => tracing::info!(source = name, "the source works"),
        }
    }

    fn gap(&self, source: &str, object: &str, from: u64, to: u64, reason: &str) {
        tracing::error!(
            source,
            object,
            from,
            to,
            reason,
            "records are missing; see `trailhound lake info`"
        );
        self.metrics.gaps.inc();
    }
}
