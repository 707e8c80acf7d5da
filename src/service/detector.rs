//! Rules after each commit: over the rows its files brought, and what their windows reach around them.

use super::Watch;
use crate::config::Config;
use crate::exit::Failure;
use crate::printer;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use trailhound_detect::health::{Missing, missing_records};
use trailhound_detect::{Decided, Finding, Standing, cursor, store};
use trailhound_ingest::lake::{GapInfo, Lake, Lease};
use trailhound_ingest::live::Clock;
use trailhound_queries::session::QueryLimits;

/// Pause after a run that broke.
const RETRY: Duration = Duration::from_secs(2);
/// After a run it rests as long as the run took, but no longer than this: under load detection takes half a core, and
/// each run takes in more commits.
const REST_MAX: Duration = Duration::from_secs(2);
/// The right to detect lasts so long unless it is renewed, in microseconds; then another service takes over.
const LEASED: i64 = 15_000_000;
/// How often a service that shares its lake looks what others have committed.
const LOOK: Duration = Duration::from_secs(1);
/// Few rows in memory at a time: one thread and a small pool for each set of rules.
const LIMITS: QueryLimits = QueryLimits { memory_bytes_max: 128 << 20, threads: 1 };

/// What detection works with.
pub(super) struct Detector {
    lake: Lake,
    /// The right to detect, where several services share the lake.
    lease: Lease,
    clock: Clock,
    /// Id and version of the rules that can run.
    rules: Vec<(String, String)>,
    standing: Standing,
    /// The snapshot that `standing` has taken everything of; `None` where it must be loaded first.
    taken: Option<i64>,
    /// The snapshot each rule has run over, by its id.
    reached: BTreeMap<String, i64>,
    /// Gaps of the lake that have been told.
    gaps_told: usize,
}

impl Detector {
    pub(super) async fn new(config: &Config, lake: Lake, clock: Clock) -> Result<Self, Failure> {
        let parameters = Arc::clone(&config.parameters);
        let runnable = config.catalogue.rules.iter().filter(|rule| rule.enabled && rule.missing(&parameters).is_empty());
        let runnable: Vec<_> = runnable.collect();
        let rules = runnable.iter().map(|rule| (rule.id.clone(), rule.version.clone())).collect();
        let standing = Standing::new(&runnable, parameters, LIMITS).await?;
        Ok(Self { lake, lease: Lease::new("detection"), clock, rules, standing, taken: None, reached: BTreeMap::new(), gaps_told: 0 })
    }

    /// Id and version of the rules that can run.
    pub(super) fn rules(&self) -> &[(String, String)] {
        &self.rules
    }

    /// Runs the rules over everything committed since they last ran, if that is this service's to do.
    async fn catch_up(&mut self, watch: &Watch) -> Result<(), Failure> {
        let now = (self.clock)();
        if !self.lake.lease(&self.lease, now, now.saturating_add(LEASED)).await? {
            self.taken = None;
            return Ok(());
        }
        let snapshot = self.lake.snapshot().await?;
        // Until all of it went well, nothing is known of what the rows in memory are.
        let taken = match self.taken.take() {
            Some(taken) => taken,
            None => self.load().await?,
        };
        if taken < snapshot {
            for file in self.lake.files_since(taken, snapshot).await? {
                if self.standing.is_full() {
                    self.run(None, watch).await?;
                }
                tokio::task::block_in_place(|| self.standing.take(&file))?;
            }
            self.run(Some(snapshot), watch).await?;
        }
        self.tell_gaps(watch).await?;
        self.taken = Some(snapshot);
        Ok(())
    }

    /// Takes up the rows behind the snapshot that every rule has run over; gives that snapshot.
    async fn load(&mut self) -> Result<i64, Failure> {
        let seen = cursor(self.lake.catalogue(), &self.rules).await.map_err(Failure::internal)?;
        let latest = self.lake.latest_event().await?.filter(|_| seen > 0);
        let since = latest.map_or(i64::MIN, |latest| latest.saturating_sub(self.standing.span()));
        let files = if seen > 0 { self.lake.files_at(seen, since).await? } else { Vec::new() };
        self.reached = self.rules.iter().map(|(id, _)| (id.clone(), seen)).collect();
        let now = (self.clock)();
        tokio::task::block_in_place(|| self.standing.load(&files, since, now))?;
        Ok(seen)
    }

    /// Runs the rules over what was taken; with it everything up to `snapshot` is seen.
    async fn run(&mut self, snapshot: Option<i64>, watch: &Watch) -> Result<(), Failure> {
        let begun = Instant::now();
        let detection = self.standing.run(self.lake.place(), (self.clock)()).await?;
        for (rule_id, reason) in &detection.failed {
            tracing::error!(rule_id, reason, "a rule broke; it lags behind the others until it runs");
            watch.metrics.rule_failed(rule_id);
        }
        if let Some(snapshot) = snapshot {
            self.tell_lag(&detection.ran, snapshot, watch);
        }
        for (rule_id, took) in &detection.took {
            watch.metrics.rule_took(rule_id, *took);
        }
        let ran = |(id, _): &&(String, String)| snapshot.is_some() && detection.ran.contains(id);
        let ran: Vec<_> = self.rules.iter().filter(ran).cloned().collect();
        self.keep(&detection.findings, &detection.decided, &ran, snapshot.unwrap_or(0), watch).await?;
        watch.metrics.detected(begun.elapsed());
        Ok(())
    }
}

impl Detector {
    /// Keeps findings, and tells those that are new, say something else than before, or no longer hold.
    async fn keep(
        &self,
        findings: &[Finding],
        decided: &[Decided],
        ran: &[(String, String)],
        snapshot: i64,
        watch: &Watch,
    ) -> Result<(), Failure> {
        let holder = self.lake.is_shared().then_some(self.lease.holder.as_str());
        let kept = store(self.lake.catalogue(), findings, decided, ran, snapshot, holder).await.map_err(Failure::internal)?;
        let changed = findings.iter().filter(|finding| kept.changed.contains(&finding.finding_id));
        for finding in changed.chain(&kept.withdrawn) {
            watch.metrics.finding(&finding.rule_id);
            printer::line(&serde_json::to_string(finding).map_err(Failure::internal)?)?;
        }
        Ok(())
    }

    /// Records that can no longer be read are a finding too.
    async fn tell_gaps(&mut self, watch: &Watch) -> Result<(), Failure> {
        let gaps = self.lake.gaps().await?;
        if gaps.len() == self.gaps_told {
            return Ok(());
        }
        let lake = self.lake.folder().display().to_string();
        let finding = |gap: &GapInfo| {
            let GapInfo { source, object, from, to, reason, noted_at } = gap;
            // The catalogue writes `2026-11-23 15:43:57+00`.
            let noted_at = noted_at.replacen(' ', "T", 1).replace("+00", "Z");
            missing_records(Missing { source, object, from: *from, to: *to, reason, noted_at: &noted_at, lake: &lake })
        };
        self.keep(&gaps.iter().map(finding).collect::<Vec<_>>(), &[], &[], 0, watch).await?;
        self.gaps_told = gaps.len();
        Ok(())
    }

    /// A rule that broke is as far as it was.
    fn tell_lag(&mut self, ran: &[String], snapshot: i64, watch: &Watch) {
        for (rule_id, at) in &mut self.reached {
            if ran.contains(rule_id) {
                *at = snapshot;
            }
            watch.metrics.rule_lags(rule_id, snapshot - *at);
        }
    }
}

/// Detects after each commit until `ingested` is set, and once more then.
pub(super) async fn run(mut detector: Detector, watch: Arc<Watch>, ingested: Arc<AtomicBool>) -> Result<(), Failure> {
    loop {
        let last = ingested.load(Ordering::Relaxed);
        let begun = Instant::now();
        match detector.catch_up(&watch).await {
            Ok(()) => watch.health.detection(None),
            // Nobody reads our findings any more.
            Err(Failure::Output(error)) => return Err(Failure::Output(error)),
            Err(error) if last => return Err(error),
            Err(error) => {
                tracing::error!(%error, "detection broke off; it is tried again");
                watch.health.detection(Some(error.to_string()));
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        if last {
            return Ok(detector.lake.give_back(&detector.lease).await?);
        }
        tokio::time::sleep(begun.elapsed().min(REST_MAX)).await;
        if detector.lake.is_shared() {
            // Whether something came or the time is over: others commit without a word.
            let _ = tokio::time::timeout(LOOK, watch.committed.notified()).await;
        } else {
            watch.committed.notified().await;
        }
    }
}
