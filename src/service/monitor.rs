//! What the parts of the service report to: metrics, health, and notifications that wake other
//! parts.

use super::alarm_queue::AlarmQueue;
use super::health::Health;
use super::metrics::Metrics;
use crate::exit::Exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use trailhound_detect::finding::health::failed_task_finding;
use trailhound_ingest::Clock;
use trailhound_ingest::lake::DamagedFile;
use trailhound_ingest::live::{CommitSummary, Observer};
use trailhound_ingest::supervisor::{TaskFailure, TaskObserver};
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
    /// Findings about the service itself that are not stored yet.
    pub(super) alarms: AlarmQueue,
    /// True when the service ends: the ingest commits what is staged and returns.
    pub(super) stop: Arc<AtomicBool>,
    /// Why the service ends by itself.
    fatal: Mutex<Option<String>>,
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
            alarms: AlarmQueue::default(),
            stop: Arc::default(),
            fatal: Mutex::default(),
        }
    }

    /// Begins the end of the service, which cannot go on for this reason.
    pub(super) fn end_service(&self, reason: String) {
        tracing::error!(reason, "the service ends, because it cannot go on");
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Why the service ends by itself; `None` if it does not.
    pub(super) fn fatal(&self) -> Option<String> {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

impl TaskObserver for Monitor {
    fn task_started(&self, name: &str) {
        self.metrics.init_task(name);
    }

    fn task_failed(&self, failure: &TaskFailure) {
        tracing::error!(
            task = failure.task,
            how = failure.kind.name(),
            reason = failure.reason,
            "a task of the service has failed"
        );
        self.metrics.task_failed(&failure.task, failure.kind.name());
        let now = (self.clock)();
        self.alarms.add(failed_task_finding(
            &failure.task,
            failure.kind.name(),
            failure.ends_service,
            now,
        ));
        if failure.ends_service {
            self.end_service(failure.describe());
        }
    }

    fn end_is_overdue(&self) {
        tracing::error!("the service does not end; its process exits");
        std::process::exit(i32::from(Exit::Internal.status()));
    }
}
