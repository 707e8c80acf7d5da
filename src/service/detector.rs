//! Rules after each commit: over the rows its files brought, and what their windows reach around them.

use super::Watch;
use super::reload::RuleFiles;
use crate::config::Config;
use crate::exit::Failure;
use crate::printer;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use trailhound_detect::finding::health::{MissingRecords, missing_records_finding};
use trailhound_detect::store::routes::Routes;
use trailhound_detect::{
    EvaluatedScope, FileCursor, Finding, RunScope, StandingQueries, StoreContext, StoreSummary,
    common_cursor, store_findings,
};
use trailhound_ingest::Clock;
use trailhound_ingest::lake::{GapInfo, Lake, Lease};
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::RuleSet;
use trailhound_queries::parameters::Parameters;

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
const LIMITS: QueryLimits = QueryLimits::for_service(128 << 20);

/// Id and version of each rule that runs.
pub(super) type Rules = Vec<(String, String)>;

/// What detection works with.
pub(super) struct Detector {
    lake: Lake,
    parameters: Arc<Parameters>,
    /// Who is told.
    routes: Arc<Routes>,
    /// The user's own rules, where there are any.
    files: Option<RuleFiles>,
    /// The right to detect, where several services share the lake.
    lease: Lease,
    clock: Clock,
    /// The rules that can run; upkeep asks for them too.
    rules: Arc<RwLock<Rules>>,
    standing: StandingQueries,
    /// The snapshot that `standing` has taken everything of; `None` where it must be loaded first.
    taken: Option<i64>,
    /// The snapshot each rule has run over, by its id.
    reached: BTreeMap<String, i64>,
    /// Gaps of the lake that have been told.
    gaps_told: usize,
}

impl Detector {
    pub(super) async fn new(
        config: &Config,
        lake: Lake,
        clock: Clock,
        routes: Arc<Routes>,
    ) -> Result<Self, Failure> {
        let parameters = Arc::clone(&config.parameters);
        let (standing, rules) = stand(&config.catalogue, &parameters).await?;
        for (rule_id, reason) in standing.broken() {
            tracing::error!(
                rule_id,
                reason,
                "a rule cannot be planned and is left out; the others run"
            );
        }
        Ok(Self {
            lake,
            parameters,
            routes,
            files: RuleFiles::of(config),
            lease: Lease::new("detection"),
            clock,
            rules: Arc::new(RwLock::new(rules)),
            standing,
            taken: None,
            reached: BTreeMap::new(),
            gaps_told: 0,
        })
    }

    /// The rules that can run, as they are from time to time.
    pub(super) fn rules(&self) -> Arc<RwLock<Rules>> {
        Arc::clone(&self.rules)
    }

    fn keeping(&self) -> StoreContext<'_> {
        let holder = self.lake.is_shared().then_some(self.lease.holder.as_str());
        StoreContext { holder, routes: Some(&self.routes), now: (self.clock)() }
    }

    fn rules_now(&self) -> Rules {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes up the user's rules where they have changed, all of them or none.
    async fn reload(&mut self, watch: &Watch) -> Result<(), Failure> {
        let Some(changed) = self.files.as_mut().and_then(RuleFiles::changed) else { return Ok(()) };
        let taken_up = match changed {
            Ok(catalogue) => self.take_up(&catalogue).await,
            Err(reason) => Ok(Err(reason)),
        };
        match taken_up {
            Ok(Ok(new)) => {
                tracing::info!(new, "the rules were read anew");
                watch.metrics.reloaded(true);
            }
            Ok(Err(reason)) => {
                tracing::error!(
                    reason,
                    "the changed rules were not taken up; those from before run on"
                );
                watch.metrics.reloaded(false);
            }
            Err(error) => {
                // Nothing is wrong with the rules: they are read again.
                self.files.iter_mut().for_each(RuleFiles::again);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Lets the rules of `catalogue` stand in the place of those from before; gives how many are new, or why one of them cannot be
    /// planned. What is new runs over what comes from now on.
    async fn take_up(&mut self, catalogue: &RuleSet) -> Result<Result<usize, String>, Failure> {
        let (standing, rules) = stand(catalogue, &self.parameters).await?;
        if let Some((rule_id, reason)) = standing.broken().first() {
            return Ok(Err(format!("{rule_id}: {reason}")));
        }
        let known = self.rules_now();
        let new: Rules = rules.iter().filter(|rule| !known.contains(rule)).cloned().collect();
        // Up to here the others have seen everything.
        let seen = match self.taken {
            Some(taken) => taken,
            None => common_cursor(self.lake.catalog(), &known).await.map_err(Failure::internal)?,
        };
        let nothing = &mut StoreSummary::default();
        store_findings(self.lake.writer_pool(), &[], &[], &new, seen, self.keeping(), nothing)
            .await
            .map_err(Failure::internal)?;
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        self.standing = standing;
        self.taken = None;
        Ok(Ok(new.len()))
    }

    /// Runs the rules over everything committed since they last ran, if that is this service's to do.
    async fn catch_up(&mut self, turn: RunScope, watch: &Watch) -> Result<(), Failure> {
        let now = (self.clock)();
        if !self.lake.acquire_lease(&self.lease, now, now.saturating_add(LEASED)).await? {
            self.taken = None;
            return Ok(());
        }
        self.reload(watch).await?;
        let snapshot = self.lake.snapshot().await?;
        // Until all of it went well, nothing is known of what the rows in memory are.
        let taken = match self.taken.take() {
            Some(taken) => taken,
            None => self.load().await?,
        };
        if taken < snapshot {
            for file in self.lake.files_since(taken, snapshot).await? {
                let mut unread = tokio::task::block_in_place(|| FileCursor::open(file))?;
                while unread.has_more() {
                    if self.standing.is_full() {
                        self.run(turn, None, watch).await?;
                    }
                    tokio::task::block_in_place(|| self.standing.add_next(&mut unread))?;
                }
            }
        }
        if taken < snapshot || self.standing.next_pause_end().is_some() {
            self.run(turn, Some(snapshot), watch).await?;
        }
        self.tell_gaps(watch).await?;
        self.taken = Some(snapshot);
        Ok(())
    }

    /// Takes up the rows behind the snapshot that every rule has run over; gives that snapshot.
    async fn load(&mut self) -> Result<i64, Failure> {
        let rules = self.rules_now();
        let seen = common_cursor(self.lake.catalog(), &rules).await.map_err(Failure::internal)?;
        let latest = self.lake.latest_event().await?.filter(|_| seen > 0);
        let since = latest.map_or(i64::MIN, |latest| latest.saturating_sub(self.standing.span()));
        let files = if seen > 0 { self.lake.files_at(seen, since).await? } else { Vec::new() };
        self.reached = rules.into_iter().map(|(id, _)| (id, seen)).collect();
        let now = (self.clock)();
        tokio::task::block_in_place(|| self.standing.load(&files, since, now))?;
        Ok(seen)
    }

    /// Runs the rules over what was taken; with it everything up to `snapshot` is seen.
    async fn run(
        &mut self,
        turn: RunScope,
        snapshot: Option<i64>,
        watch: &Watch,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let detection = self.standing.run(turn, self.lake.location(), (self.clock)()).await?;
        let held: usize = self.standing.held().map(|(_, bytes)| bytes).sum();
        watch.metrics.held.set(i64::try_from(held).unwrap_or(i64::MAX));
        for (rule_id, reason) in &detection.failed {
            tracing::error!(
                rule_id,
                reason,
                "a rule broke; it lags behind the others until it runs"
            );
            watch.metrics.rule_failed(rule_id);
        }
        if let Some(snapshot) = snapshot {
            self.tell_lag(&detection.ran, snapshot, watch);
        }
        for (rule_id, took) in &detection.durations {
            watch.metrics.rule_took(rule_id, *took);
        }
        let ran = |(id, _): &&(String, String)| snapshot.is_some() && detection.ran.contains(id);
        let ran: Vec<_> = self.rules_now().iter().filter(ran).cloned().collect();
        self.keep(&detection.findings, &detection.scopes, &ran, snapshot.unwrap_or(0), watch)
            .await?;
        watch.metrics.detected(begun.elapsed());
        Ok(())
    }
}

impl Detector {
    /// Keeps findings, and tells those that are new, say something else than before, or no longer hold.
    async fn keep(
        &self,
        findings: &[Finding],
        decided: &[EvaluatedScope],
        ran: &[(String, String)],
        snapshot: i64,
        watch: &Watch,
    ) -> Result<(), Failure> {
        let mut kept = StoreSummary::default();
        let ended = store_findings(
            self.lake.writer_pool(),
            findings,
            decided,
            ran,
            snapshot,
            self.keeping(),
            &mut kept,
        )
        .await;
        watch.kept.notify_waiters();
        let changed = findings.iter().filter(|finding| kept.changed.contains(&finding.finding_id));
        for finding in changed.chain(&kept.withdrawn) {
            watch.metrics.finding(&finding.rule_id);
            printer::line(&serde_json::to_string(finding).map_err(Failure::internal)?)?;
        }
        ended.map_err(Failure::internal)
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
            missing_records_finding(MissingRecords {
                source,
                object,
                from: *from,
                to: *to,
                reason,
                noted_at: &noted_at,
                lake: &lake,
            })
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

/// The rules of `catalogue` that are on and have their parameters, planned; and which of them could be.
async fn stand(
    catalogue: &RuleSet,
    parameters: &Arc<Parameters>,
) -> Result<(StandingQueries, Rules), Failure> {
    let runnable: Vec<_> = catalogue
        .rules
        .iter()
        .filter(|rule| rule.enabled && rule.missing_parameters(parameters).is_empty())
        .collect();
    let standing = StandingQueries::new(&runnable, Arc::clone(parameters), LIMITS).await?;
    let is_broken = |id: &str| standing.broken().iter().any(|(broken, _)| broken == id);
    let rules = runnable
        .iter()
        .filter(|rule| !is_broken(&rule.id))
        .map(|rule| (rule.id.clone(), rule.version.clone()))
        .collect();
    Ok((standing, rules))
}

/// Detects after each commit until `ingested` is set, and once more then.
pub(super) async fn run(
    mut detector: Detector,
    watch: Arc<Watch>,
    ingested: Arc<AtomicBool>,
) -> Result<(), Failure> {
    loop {
        let last = ingested.load(Ordering::Relaxed);
        let begun = Instant::now();
        // At the end nobody rests.
        let turn = if last { RunScope::All } else { RunScope::NotPaused };
        match detector.catch_up(turn, &watch).await {
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
            return Ok(detector.lake.release_lease(&detector.lease).await?);
        }
        tokio::time::sleep(begun.elapsed().min(REST_MAX)).await;
        // Others commit without a word, and so do people who write rules; and whoever has rested is due by itself.
        let look = (detector.lake.is_shared() || detector.files.is_some()).then_some(LOOK);
        let rested = detector
            .standing
            .next_pause_end()
            .map(|until| until.saturating_duration_since(Instant::now()));
        match look.into_iter().chain(rested).min() {
            Some(pause) => {
                let _ = tokio::time::timeout(pause, watch.committed.notified()).await;
            }
            None => watch.committed.notified().await,
        }
    }
}
