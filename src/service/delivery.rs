//! Delivers the messages in the outbox to the sinks. Each sink has a worker of its own, so that a
//! failing sink delays no other.
//!
//! Where several services share a lake, the one that holds the lease delivers for all sinks.

use super::monitor::Monitor;
use crate::config::SinkInstance;
use crate::exit::Failure;
use crate::legacy_names::{DEAD_LETTERED, current_state};
use crate::printer;
use chrono::DateTime;
use futures::future::join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::sync::watch::{Receiver, Sender};
use trailhound_detect::finding::health::dead_letter_finding;
use trailhound_detect::store::outbox::{self, DeliveryOutcome, LeasedBatch, OutboxCount};
use trailhound_detect::store::routes::Routes;
use trailhound_detect::{StoreContext, StoreSummary, store_findings};
use trailhound_ingest::lake::{Lake, Lease};
use trailhound_ingest::supervisor::{Pulse, Supervisor, TaskHandle, TaskPolicy};
use trailhound_ingest::{CheckedClock, Clock};

/// Length of the delivery lease in microseconds. It is longer than any attempt, so that it never
/// ends during one.
const LEASE_MICROS: i64 = 60_000_000;
/// How often a worker checks whether messages have become due, by the clock or by an operator.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Pause of a worker after its first failure. It doubles after each further failure.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Maximum of this pause. A sink can ask for a longer one.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long the end of the service waits for sinks that are sending.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(8);

/// A worker counts as hung after this long without a sign of life. No attempt takes so long.
const WORKER_SILENCE_MAX: Duration = Duration::from_secs(300);
/// Counting the messages of a large outbox takes long.
const METRICS_SILENCE_MAX: Duration = Duration::from_secs(1800);

/// The workers of all sinks.
pub(super) struct DeliveryWorkers {
    lake: Lake,
    lease: Lease,
    stop: Sender<bool>,
    workers: Vec<TaskHandle>,
}

impl DeliveryWorkers {
    /// Starts a worker for each of `sinks`.
    pub(super) fn start(
        lake: &Lake,
        sinks: Vec<SinkInstance>,
        routes: &Arc<Routes>,
        clock: &CheckedClock,
        monitor: &Arc<Monitor>,
        supervisor: &Supervisor,
    ) -> Self {
        let lease = Lease::new("delivery");
        let names: Vec<String> = sinks.iter().map(|instance| instance.name.clone()).collect();
        monitor.metrics.init_sinks(&names);
        let metrics = OutboxMetrics {
            lake: lake.clone(),
            sinks: names,
            clock: clock.clone(),
            monitor: Arc::clone(monitor),
        };
        let metrics = Arc::new(metrics);
        let policy = TaskPolicy::restarting(METRICS_SILENCE_MAX);
        supervisor.spawn("outbox metrics", policy, move |pulse| {
            let metrics = Arc::clone(&metrics);
            async move { metrics.publish(&pulse).await }
        });
        let (stop, receiver) = tokio::sync::watch::channel(false);
        let start_worker = |instance: SinkInstance| {
            let name = format!("sink {}", instance.name);
            let worker = SinkWorker {
                lake: lake.clone(),
                instance,
                routes: Arc::clone(routes),
                lease: lease.clone(),
                clock: clock.reader(),
                stop: receiver.clone(),
                failures: 0,
            };
            // One life after the other goes on with the same worker.
            let worker = Arc::new(Mutex::new(worker));
            let monitor = Arc::clone(monitor);
            supervisor.spawn(&name, TaskPolicy::restarting(WORKER_SILENCE_MAX), move |pulse| {
                let (worker, monitor) = (Arc::clone(&worker), Arc::clone(&monitor));
                async move {
                    worker.lock().await.run(&monitor, &pulse).await;
                    Ok(())
                }
            })
        };
        let workers = sinks.into_iter().map(start_worker).collect();
        Self { lake: lake.clone(), lease, stop, workers }
    }

    /// Ends the workers after a last attempt for every message that is due. The supervisor must be stopping.
    ///
    /// # Errors
    /// [`Failure`]: the lease cannot be given back.
    pub(super) async fn end(self) -> Result<(), Failure> {
        self.stop.send_replace(true);
        let workers = join_all(self.workers.into_iter().map(TaskHandle::ended));
        if tokio::time::timeout(SHUTDOWN_TIME_MAX, workers).await.is_err() {
            tracing::warn!(
                "a sink has not answered in time; its messages are sent again at the next start"
            );
            // The lease is not given back, because that worker may still be sending.
            return Ok(());
        }
        Ok(self.lake.release_lease(&self.lease).await?)
    }
}

/// Delivers the messages of one sink.
struct SinkWorker {
    lake: Lake,
    instance: SinkInstance,
    routes: Arc<Routes>,
    lease: Lease,
    clock: Clock,
    /// True when the service ends.
    stop: Receiver<bool>,
    /// Failed attempts since the last success.
    failures: u32,
}

/// Result of a batch: messages sent, and the pause before the next batch.
struct NextStep {
    /// Messages in the batch; 0 if nothing was due.
    sent: usize,
    /// How long to wait before the next batch.
    pause: Duration,
}

impl NextStep {
    const IDLE: Self = Self { sent: 0, pause: POLL_INTERVAL };
}

impl SinkWorker {
    /// Delivers until the service ends. Errors of the outbox are logged, and the worker starts
    /// again.
    async fn run(&mut self, monitor: &Monitor, pulse: &Pulse) {
        while let Err(error) = self.deliver_until_stopped(monitor, pulse).await {
            tracing::error!(sink = self.instance.name, %error, "the outbox cannot be read or written; retrying");
            if self.sleep_or_stop(POLL_INTERVAL, pulse).await {
                return;
            }
        }
    }

    /// Waits for `pause`. Returns true at once when the service ends.
    async fn sleep_or_stop(&mut self, pause: Duration, pulse: &Pulse) -> bool {
        tokio::select! {
            () = pulse.sleep(pause) => false,
            stopped = self.stop.wait_for(|stop| *stop) => stopped.is_ok(),
        }
    }

    async fn deliver_until_stopped(
        &mut self,
        monitor: &Monitor,
        pulse: &Pulse,
    ) -> Result<(), Failure> {
        self.failures = 0;
        let mut had_lease = false;
        loop {
            let stopping = *self.stop.borrow();
            let now = (self.clock)();
            let has_lease = self.lake.acquire_lease(&self.lease, LEASE_MICROS).await?;
            if has_lease && !had_lease {
                self.recover(now).await?;
            }
            had_lease = has_lease;
            let next =
                if has_lease { self.deliver_batch(now, monitor).await? } else { NextStep::IDLE };
            pulse.worked();
            // When the service ends, every message that is due gets a last attempt.
            if stopping && (next.sent == 0 || self.failures > 0) {
                return Ok(());
            }
            if next.sent == 0 {
                // A message that is added now may be for this sink.
                tokio::select! {
                    _ = self.sleep_or_stop(next.pause, pulse) => {}
                    () = monitor.outbox_changed.notified() => {}
                }
            } else if next.pause > Duration::ZERO {
                self.sleep_or_stop(next.pause, pulse).await;
            }
        }
    }

    /// Takes over from an earlier worker: messages that it was sending become due again, and the
    /// sink continues from its last position.
    async fn recover(&mut self, now: i64) -> Result<(), Failure> {
        let (catalog, name) = (self.lake.writer_pool(), self.instance.name.as_str());
        let recovered =
            outbox::recover_leased(catalog, name, now).await.map_err(Failure::internal)?;
        if recovered > 0 {
            tracing::warn!(
                sink = name,
                findings = recovered,
                "an earlier run ended while it sent these; they are sent again"
            );
        }
        let position = outbox::position(catalog, name).await.map_err(Failure::internal)?;
        self.instance.sink.resume(position.as_deref());
        Ok(())
    }

    /// Sends a batch of due messages, up to the batch size of the sink, and stores the outcome of
    /// each message.
    async fn deliver_batch(&mut self, now: i64, monitor: &Monitor) -> Result<NextStep, Failure> {
        let Some(batch) = self.lease_batch(now).await? else { return Ok(NextStep::IDLE) };
        let present = DateTime::from_timestamp_micros((self.clock)()).unwrap_or_default();
        let sink = &mut self.instance.sink;
        let outcomes = match &batch {
            LeasedBatch::Findings(messages) => sink.deliver(messages, present).await,
            LeasedBatch::Report(report) => vec![sink.deliver_report(report, present).await],
        };
        let position = sink.position();
        outbox::acknowledge(
            self.lake.writer_pool(),
            &self.instance.name,
            &self.lease.holder,
            (self.clock)(),
            &batch,
            &outcomes,
            position.as_deref(),
        )
        .await
        .map_err(Failure::internal)?;
        let pause = self.account_outcomes(&outcomes, monitor);
        let rejection = outcomes.iter().rev().find_map(|outcome| match outcome {
            DeliveryOutcome::DeadLettered(reason) => Some(reason.as_str()),
            _ => None,
        });
        if let Some(reason) = rejection {
            self.report_dead_lettered(reason, monitor).await?;
        }
        Ok(NextStep { sent: batch.len(), pause })
    }

    /// Leases the messages that are due, except those that quiet hours hold back. `None` if there
    /// are none.
    async fn lease_batch(&self, now: i64) -> Result<Option<LeasedBatch>, Failure> {
        let (catalog, name) = (self.lake.writer_pool(), self.instance.name.as_str());
        let next_due = outbox::next_due(catalog, name, now).await.map_err(Failure::internal)?;
        if next_due.is_none_or(|due| due > now) {
            return Ok(None);
        }
        let held_back = match (&self.instance.quiet_hours, DateTime::from_timestamp_micros(now)) {
            (Some(quiet_hours), Some(now)) => quiet_hours.held_back(now),
            _ => Vec::new(),
        };
        let size_max = self.instance.sink.batch_max();
        let batch =
            outbox::lease_batch(catalog, name, &self.lease.holder, now, size_max, &held_back)
                .await
                .map_err(Failure::internal)?;
        Ok(Some(batch).filter(|batch| !batch.is_empty()))
    }

    /// Counts the outcomes in the metrics. Returns the pause before the next batch: that of the
    /// sink, or longer after a failure.
    fn account_outcomes(&mut self, outcomes: &[DeliveryOutcome], monitor: &Monitor) -> Duration {
        let name = self.instance.name.as_str();
        let mut pause = self.instance.sink.min_pause();
        let failures_before = std::mem::take(&mut self.failures);
        for outcome in outcomes {
            match outcome {
                DeliveryOutcome::Delivered(_) => monitor.metrics.delivered(name, "delivered"),
                DeliveryOutcome::DeadLettered(_) => monitor.metrics.delivered(name, DEAD_LETTERED),
                DeliveryOutcome::Retry { reason, after, .. } => {
                    monitor.metrics.delivered(name, "failed");
                    self.failures = failures_before.saturating_add(1);
                    let backoff = RETRY_PAUSE
                        .saturating_mul(1 << failures_before.min(10))
                        .min(RETRY_PAUSE_MAX);
                    pause = pause.max(after.unwrap_or(backoff));
                    tracing::warn!(
                        sink = name,
                        reason,
                        pause_ms = pause.as_millis(),
                        "a sink does not accept findings now; retrying"
                    );
                }
                DeliveryOutcome::NotAttempted => {}
            }
        }
        pause
    }

    /// Stores and prints a finding about the sink, which has rejected messages for good. The other
    /// sinks receive it.
    async fn report_dead_lettered(&self, reason: &str, monitor: &Monitor) -> Result<(), Failure> {
        let name = self.instance.name.as_str();
        tracing::error!(
            sink = name,
            reason,
            "a sink rejects findings for good; they are dead-lettered: `trailhound outbox list --state dead_lettered`"
        );
        let finding = dead_letter_finding(name, (self.clock)());
        let context =
            StoreContext { holder: None, routes: Some(&self.routes), now: (self.clock)() };
        let mut stored = StoreSummary::default();
        let findings = std::slice::from_ref(&finding);
        store_findings(self.lake.writer_pool(), findings, &[], &[], 0, context, &mut stored)
            .await
            .map_err(Failure::internal)?;
        if stored.new > 0 {
            monitor.metrics.finding(&finding.rule_id);
            printer::line(&serde_json::to_string(&finding).map_err(Failure::internal)?)?;
        }
        Ok(())
    }
}

/// How often the messages in the outbox are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);
/// If a count takes long, the pause before the next count is this many times as long as the count.
const COUNT_PAUSE_FACTOR: u32 = 10;
/// How often messages that were delivered long ago are deleted, in counts.
const CLEANUP_INTERVAL: u32 = 720;

/// Longest pause between two counts.
const COUNT_PAUSE_MAX: Duration = Duration::from_secs(300);

/// Counts the messages in the outbox for the metrics, and deletes those that were delivered long
/// ago.
struct OutboxMetrics {
    lake: Lake,
    sinks: Vec<String>,
    clock: CheckedClock,
    monitor: Arc<Monitor>,
}

impl OutboxMetrics {
    /// Runs until it is aborted.
    async fn publish(&self, pulse: &Pulse) -> Result<(), String> {
        let mut iteration = 0_u32;
        loop {
            let now = self.clock.now();
            let begun = Instant::now();
            let counted = outbox::undelivered(self.lake.catalog()).await;
            let took = begun.elapsed();
            match counted {
                Ok(counts) => self.publish_counts(&counts, now),
                Err(error) => {
                    tracing::warn!(%error, "the messages in the outbox cannot be counted")
                }
            }
            // What was delivered is forgotten by a confirmed clock alone.
            if iteration.is_multiple_of(CLEANUP_INTERVAL)
                && let Some(now) = self.clock.confirmed_now()
                && let Err(error) = outbox::delete_old(self.lake.writer_pool(), now).await
            {
                tracing::warn!(%error, "messages that were delivered long ago cannot be deleted");
            }
            iteration = iteration.wrapping_add(1);
            pulse.worked();
            let pause = COUNT_INTERVAL.max(took * COUNT_PAUSE_FACTOR).min(COUNT_PAUSE_MAX);
            pulse.sleep(pause).await;
        }
    }

    fn publish_counts(&self, counts: &[OutboxCount], now: i64) {
        for sink in &self.sinks {
            for state in ["pending", DEAD_LETTERED] {
                let count = counts
                    .iter()
                    .find(|count| count.sink == *sink && current_state(&count.state) == state);
                let age = count.map_or(0, |count| u64::try_from(now - count.oldest).unwrap_or(0));
                let rows = count.map_or(0, |count| count.rows);
                self.monitor.metrics.outbox(sink, state, rows, Duration::from_micros(age));
            }
        }
    }
}
