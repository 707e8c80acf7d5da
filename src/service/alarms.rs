//! Findings about the service itself, on their way from the part that noticed something to the lake and its sinks.

use super::monitor::Monitor;
use crate::exit::Failure;
use crate::printer;
use std::sync::Arc;
use std::time::Duration;
use trailhound_detect::store::routes::Routes;
use trailhound_detect::{StoreContext, StoreSummary, store_findings};
use trailhound_ingest::Clock;
use trailhound_ingest::lake::Lake;
use trailhound_ingest::supervisor::Pulse;

/// How often findings that could not be stored are tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Stores the findings about the service.
pub(super) struct AlarmStore {
    pub(super) lake: Lake,
    pub(super) routes: Arc<Routes>,
    pub(super) clock: Clock,
    pub(super) monitor: Arc<Monitor>,
}

impl AlarmStore {
    /// Stores findings until it is aborted.
    pub(super) async fn run(&self, pulse: &Pulse) -> Result<(), String> {
        loop {
            match self.store_waiting().await {
                Ok(()) => pulse.worked(),
                Err(error) => {
                    tracing::warn!(%error, "a finding about the service is not stored; retrying");
                    pulse.alive();
                }
            }
            tokio::select! {
                () = self.monitor.alarms.added.notified() => {}
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
    }

    /// Stores the findings that wait, and prints those that are new.
    ///
    /// # Errors
    /// [`Failure`]: one cannot be stored; it waits on.
    pub(super) async fn store_waiting(&self) -> Result<(), Failure> {
        loop {
            let Some(finding) = self.monitor.alarms.waiting().front().cloned() else {
                return Ok(());
            };
            let mut stored = StoreSummary::default();
            let now = (self.clock)();
            let context = StoreContext { holder: None, routes: Some(&self.routes), now };
            let findings = std::slice::from_ref(&finding);
            let catalog = self.lake.writer_pool();
            store_findings(catalog, findings, &[], &[], 0, context, &mut stored)
                .await
                .map_err(Failure::internal)?;
            self.monitor
                .alarms
                .waiting()
                .retain(|waiting| waiting.finding_id != finding.finding_id);
            self.monitor.outbox_changed.notify_waiters();
            if stored.new > 0 {
                self.monitor.metrics.finding(&finding.rule_id);
                printer::line(&serde_json::to_string(&finding).map_err(Failure::internal)?)?;
            }
        }
    }
}
