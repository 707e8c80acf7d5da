//! Takes findings from the outbox to their sinks: one task a sink, so that one in trouble keeps nobody else waiting.

use super::Watch;
use crate::config::Ready;
use crate::exit::Failure;
use crate::printer;
use chrono::DateTime;
use futures::future::join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch::{Receiver, Sender};
use tokio::task::JoinHandle;
use trailhound_detect::finding::health::dead_letter_finding;
use trailhound_detect::store::outbox::{self, DeliveryOutcome, LeasedBatch};
use trailhound_detect::store::routes::Routes;
use trailhound_detect::{StoreContext, StoreSummary, store_findings};
use trailhound_ingest::Clock;
use trailhound_ingest::lake::{Lake, Lease};

/// The right to deliver lasts so long unless it is renewed, in microseconds: longer than any attempt takes.
const LEASED: i64 = 60_000_000;
/// How often a sink looks whether something has become due, by the clock or by somebody's hand.
const LOOK: Duration = Duration::from_secs(1);
/// The longest pause of a sink in trouble.
const REST_MAX: Duration = Duration::from_secs(60);

/// So long the end waits for sinks that are being told something.
const END_MAX: Duration = Duration::from_secs(8);

/// All couriers of a service, and who counts what waits for them.
pub(super) struct Deliveries {
    lake: Lake,
    lease: Lease,
    ending: Sender<bool>,
    couriers: Vec<JoinHandle<()>>,
    tally: JoinHandle<()>,
}

impl Deliveries {
    pub(super) fn start(
        lake: &Lake,
        sinks: Vec<Ready>,
        routes: &Arc<Routes>,
        clock: &Clock,
        watch: &Arc<Watch>,
    ) -> Self {
        let lease = Lease::new("delivery");
        let names: Vec<String> = sinks.iter().map(|ready| ready.name.clone()).collect();
        watch.metrics.sinks(&names);
        let tally = tokio::spawn(tally(lake.clone(), names, Arc::clone(clock), Arc::clone(watch)));
        let (sender, ending) = tokio::sync::watch::channel(false);
        let courier = |ready| {
            let (lake, routes, lease) = (lake.clone(), Arc::clone(routes), lease.clone());
            let courier = SinkWorker {
                lake,
                ready,
                routes,
                lease,
                clock: Arc::clone(clock),
                ending: ending.clone(),
            };
            tokio::spawn(run(courier, Arc::clone(watch)))
        };
        let couriers = sinks.into_iter().map(courier).collect();
        Self { lake: lake.clone(), lease, ending: sender, couriers, tally }
    }

    /// Everything is detected that will be: what is due is tried once more.
    pub(super) async fn end(self) -> Result<(), Failure> {
        self.ending.send_replace(true);
        let ended = tokio::time::timeout(END_MAX, join_all(self.couriers)).await;
        self.tally.abort();
        let Ok(couriers) = ended else {
            tracing::warn!(
                "a sink has not answered in time; what it was sent is sent again at the next start"
            );
            // The right is not given back: that one may still be sending.
            return Ok(());
        };
        for error in couriers.into_iter().filter_map(Result::err) {
            tracing::error!(%error, "a sink broke; what waited for it is sent at the next start");
        }
        Ok(self.lake.release_lease(&self.lease).await?)
    }
}

/// One sink and what it needs.
struct SinkWorker {
    lake: Lake,
    ready: Ready,
    routes: Arc<Routes>,
    lease: Lease,
    clock: Clock,
    /// Set at the end.
    ending: Receiver<bool>,
}

/// Delivers until the service ends.
async fn run(mut courier: SinkWorker, watch: Arc<Watch>) {
    while let Err(error) = courier.deliver(&watch).await {
        tracing::error!(sink = courier.ready.name, %error, "the outbox could not be read or written; tried again");
        if courier.rest(LOOK).await {
            return;
        }
    }
}

impl SinkWorker {
    /// Waits, at most for `pause`; true where the service ends.
    async fn rest(&mut self, pause: Duration) -> bool {
        let ending = async { self.ending.wait_for(|ending| *ending).await.is_ok() };
        tokio::time::timeout(pause, ending).await.is_ok()
    }

    async fn deliver(&mut self, watch: &Watch) -> Result<(), Failure> {
        let mut failures: u32 = 0;
        let mut has_right = false;
        loop {
            let last = *self.ending.borrow();
            let now = (self.clock)();
            let held =
                self.lake.acquire_lease(&self.lease, now, now.saturating_add(LEASED)).await?;
            if held && !has_right {
                self.begin(now).await?;
            }
            has_right = held;
            let (sent, pause) =
                if held { self.round(now, &mut failures, watch).await? } else { (0, LOOK) };
            // At the end everything that is due was tried.
            if last && (sent == 0 || failures > 0) {
                return Ok(());
            }
            if sent == 0 {
                // Whatever is kept now may be for this sink.
                tokio::select! {
                    _ = self.rest(pause) => {}
                    () = watch.kept.notified() => {}
                }
            } else if pause > Duration::ZERO {
                self.rest(pause).await;
            }
        }
    }

    /// Takes over what a run before has left.
    async fn begin(&mut self, now: i64) -> Result<(), Failure> {
        let (catalogue, name) = (self.lake.writer_pool(), self.ready.name.as_str());
        let recovered =
            outbox::recover_leased(catalogue, name, now).await.map_err(Failure::internal)?;
        if recovered > 0 {
            tracing::warn!(
                sink = name,
                findings = recovered,
                "of these nobody knows whether they were sent; they are sent again"
            );
        }
        self.ready
            .sink
            .resume(outbox::position(catalogue, name).await.map_err(Failure::internal)?.as_deref());
        Ok(())
    }

    /// One time; gives how many findings were tried and the pause after it.
    async fn round(
        &mut self,
        now: i64,
        failures: &mut u32,
        watch: &Watch,
    ) -> Result<(usize, Duration), Failure> {
        let (catalogue, name) = (self.lake.writer_pool(), self.ready.name.as_str());
        if outbox::next_due(catalogue, name)
            .await
            .map_err(Failure::internal)?
            .is_none_or(|due| due > now)
        {
            return Ok((0, LOOK));
        }
        let held_back = match (&self.ready.quiet, DateTime::from_timestamp_micros(now)) {
            (Some(quiet), Some(now)) => quiet.held_back(now),
            _ => Vec::new(),
        };
        let taken = outbox::lease_batch(
            catalogue,
            name,
            &self.lease.holder,
            now,
            self.ready.sink.batch_max(),
            &held_back,
        )
        .await
        .map_err(Failure::internal)?;
        if taken.is_empty() {
            return Ok((0, LOOK));
        }
        let present = DateTime::from_timestamp_micros((self.clock)()).unwrap_or_default();
        let deliveries = match &taken {
            LeasedBatch::Findings(messages) => self.ready.sink.deliver(messages, present).await,
            LeasedBatch::Report(report) => {
                vec![self.ready.sink.deliver_report(report, present).await]
            }
        };
        let position = self.ready.sink.position();
        let settled = outbox::acknowledge(
            catalogue,
            name,
            &self.lease.holder,
            (self.clock)(),
            &taken,
            &deliveries,
            position.as_deref(),
        );
        settled.await.map_err(Failure::internal)?;
        let mut pause = self.ready.sink.min_pause();
        let mut reason = None;
        let failed = *failures;
        *failures = 0;
        for delivery in &deliveries {
            match delivery {
                DeliveryOutcome::Delivered(_) => watch.metrics.delivered(name, "delivered"),
                DeliveryOutcome::DeadLettered(why) => {
                    watch.metrics.delivered(name, "parked");
                    reason = Some(why.clone());
                }
                DeliveryOutcome::Retry { reason, after, .. } => {
                    watch.metrics.delivered(name, "failed");
                    *failures = failed.saturating_add(1);
                    let rest = Duration::from_millis(500)
                        .saturating_mul(1 << failed.min(10))
                        .min(REST_MAX);
                    pause = pause.max(after.unwrap_or(rest));
                    tracing::warn!(
                        sink = name,
                        reason,
                        pause_ms = pause.as_millis(),
                        "a sink does not take findings; tried again"
                    );
                }
                DeliveryOutcome::NotAttempted => {}
            }
        }
        if let Some(reason) = reason {
            self.tell_parked(&reason, watch).await?;
        }
        Ok((taken.len(), pause))
    }

    /// A sink that refuses findings for good is a finding too.
    async fn tell_parked(&self, reason: &str, watch: &Watch) -> Result<(), Failure> {
        let name = self.ready.name.as_str();
        tracing::error!(
            sink = name,
            reason,
            "a sink refuses findings; they are parked: `trailhound outbox list --state parked`"
        );
        let finding = dead_letter_finding(name, (self.clock)());
        let keeping =
            StoreContext { holder: None, routes: Some(&self.routes), now: (self.clock)() };
        let mut kept = StoreSummary::default();
        let findings = std::slice::from_ref(&finding);
        store_findings(self.lake.writer_pool(), findings, &[], &[], 0, keeping, &mut kept)
            .await
            .map_err(Failure::internal)?;
        if kept.new > 0 {
            watch.metrics.finding(&finding.rule_id);
            printer::line(&serde_json::to_string(&finding).map_err(Failure::internal)?)?;
        }
        Ok(())
    }
}

/// How often what waits is counted.
const COUNT: Duration = Duration::from_secs(5);
/// Of a flood that takes long: it rests so many times as long as it counted.
const REST: u32 = 10;
/// How often what was delivered long ago is forgotten, in counts.
const FORGET: u32 = 720;

/// Counts what waits, and forgets what is long done, until aborted.
async fn tally(lake: Lake, sinks: Vec<String>, clock: Clock, watch: Arc<Watch>) {
    for round in 0_u32.. {
        let now = (clock)();
        let begun = Instant::now();
        let counted = outbox::undelivered(lake.catalog()).await;
        let took = begun.elapsed();
        match counted {
            Ok(counts) => {
                // `parked` is the former name of `dead_lettered`.
                let states = [
                    ("pending", "pending"),
                    ("dead_lettered", outbox::DEAD_LETTERED),
                    ("parked", outbox::DEAD_LETTERED),
                ];
                for (sink, (label, state)) in
                    sinks.iter().flat_map(|sink| states.map(|state| (sink, state)))
                {
                    let count =
                        counts.iter().find(|count| count.sink == *sink && count.state == state);
                    let age =
                        count.map_or(0, |count| u64::try_from(now - count.oldest).unwrap_or(0));
                    watch.metrics.waits(
                        sink,
                        label,
                        count.map_or(0, |count| count.rows),
                        Duration::from_micros(age),
                    );
                }
            }
            Err(error) => tracing::warn!(%error, "the outbox could not be counted"),
        }
        if round % FORGET == 0
            && let Err(error) = outbox::delete_old(lake.writer_pool(), now).await
        {
            tracing::warn!(%error, "what was delivered long ago could not be forgotten");
        }
        tokio::time::sleep(COUNT.max(took * REST)).await;
    }
}
