//! Runs the rules after each commit, over the rows of its files and the rows that the rules'
//! windows still need.
//!
//! The rules are standing queries: planned once, with the rows of their windows in memory. If the
//! service restarts or takes over from another, these rows are loaded from the lake.

use super::account_watch::AccountWatch;
use super::monitor::Monitor;
use super::rule_folder::RuleFolder;
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
use trailhound_ingest::supervisor::Pulse;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::RuleSet;
use trailhound_queries::parameters::Parameters;

/// Pause after a failed run.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Longest pause after a run. The pause is as long as the run took, so that under load detection
/// uses half a core and each run processes more commits.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Length of the detection lease in microseconds. If it is not renewed, another service takes over.
const LEASE_MICROS: i64 = 15_000_000;
/// How often commits of other services, and changes of the user's rules, are looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Longest pause between two runs.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// A run processes few rows: one thread and a small memory pool per group of rules suffice.
const LIMITS: QueryLimits = QueryLimits::for_service(128 << 20);

/// Id and version of each rule that runs.
pub(super) type RuleVersions = Vec<(String, String)>;

/// The rules, the rows they need, and how far they have run.
pub(super) struct Detector {
    lake: Lake,
    parameters: Arc<Parameters>,
    /// Which sinks receive which findings.
    routes: Arc<Routes>,
    /// The user's rules, if a folder is configured.
    rule_folder: Option<RuleFolder>,
    /// Where several services share the lake, only the one with the lease detects.
    lease: Lease,
    clock: Clock,
    /// The rules that run. The maintenance reads them too.
    rules: Arc<RwLock<RuleVersions>>,
    /// The rules that were loaded last, to plan them again.
    rule_set: RuleSet,
    standing: StandingQueries,
    /// The snapshot whose rows the standing queries have; `None` if they must be loaded first.
    loaded_snapshot: Option<i64>,
    /// The snapshot that each rule has run over, by its id.
    reached: BTreeMap<String, i64>,
    /// Number of the lake's gaps that are stored as findings.
    gaps_reported: usize,
    /// A life of detection has begun before.
    has_run: bool,
    /// Looks for accounts of which no event comes; `None` if the configuration names none.
    account_watch: Option<AccountWatch>,
}

impl Detector {
    /// Plans the rules of the configuration. A rule that cannot be planned is logged and skipped.
    pub(super) async fn new(
        config: &Config,
        lake: Lake,
        clock: Clock,
        routes: Arc<Routes>,
    ) -> Result<Self, Failure> {
        let parameters = Arc::clone(&config.parameters);
        let (standing, rules) = plan_rules(&config.rule_set, &parameters).await?;
        for (rule_id, reason) in standing.broken() {
            tracing::error!(
                rule_id,
                reason,
                "a rule cannot be planned and is skipped; the others run"
            );
        }
        Ok(Self {
            lake,
            parameters,
            routes,
            rule_folder: config.rules_folder.clone().map(RuleFolder::new),
            lease: Lease::new("detection"),
            clock,
            rules: Arc::new(RwLock::new(rules)),
            rule_set: config.rule_set.clone(),
            standing,
            loaded_snapshot: None,
            reached: BTreeMap::new(),
            gaps_reported: 0,
            has_run: false,
            account_watch: (!config.parameters.accounts.is_empty())
                .then(|| AccountWatch::new(config.unread_max())),
        })
    }

    /// The rules that run. They change when the user's rules are reloaded.
    pub(super) fn rules(&self) -> Arc<RwLock<RuleVersions>> {
        Arc::clone(&self.rules)
    }

    /// How findings are stored: on condition of the lease if the lake is shared, with messages for
    /// the sinks.
    fn store_context(&self) -> StoreContext<'_> {
        let holder = self.lake.is_shared().then_some(self.lease.holder.as_str());
        StoreContext { holder, routes: Some(&self.routes), now: (self.clock)() }
    }

    fn current_rules(&self) -> RuleVersions {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reloads the rules if the user's files have changed: all of them, or none if one is broken.
    async fn reload_rules(&mut self, monitor: &Monitor) -> Result<(), Failure> {
        let Some(changed) = self.rule_folder.as_mut().and_then(RuleFolder::poll) else {
            return Ok(());
        };
        let replaced = match changed {
            Ok(rule_set) => self.replace_rules(&rule_set).await,
            Err(reason) => Ok(Err(reason)),
        };
        match replaced {
            Ok(Ok(new)) => {
                tracing::info!(new, "the rules were reloaded");
                monitor.metrics.reloaded(true);
            }
            Ok(Err(reason)) => {
                tracing::error!(
                    reason,
                    "the changed rules were not loaded; the former ones still run"
                );
                monitor.metrics.reloaded(false);
            }
            Err(error) => {
                // The rules are not the cause: they are read again at the next run.
                self.rule_folder.iter_mut().for_each(RuleFolder::mark_unread);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Replaces the rules by the rules of `rule_set`. Returns the number of new rules, or the
    /// reason why a rule cannot be planned. New rules run over events that are committed from now
    /// on.
    async fn replace_rules(
        &mut self,
        rule_set: &RuleSet,
    ) -> Result<Result<usize, String>, Failure> {
        let (standing, rules) = plan_rules(rule_set, &self.parameters).await?;
        if let Some((rule_id, reason)) = standing.broken().first() {
            return Ok(Err(format!("{rule_id}: {reason}")));
        }
        let known = self.current_rules();
        let new: RuleVersions =
            rules.iter().filter(|rule| !known.contains(rule)).cloned().collect();
        // The cursor of a new rule starts where the other rules are.
        let seen = match self.loaded_snapshot {
            Some(snapshot) => snapshot,
            None => common_cursor(self.lake.catalog(), &known).await.map_err(Failure::internal)?,
        };
        let stored = &mut StoreSummary::default();
        store_findings(self.lake.writer_pool(), &[], &[], &new, seen, self.store_context(), stored)
            .await
            .map_err(Failure::internal)?;
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        self.standing = standing;
        self.rule_set = rule_set.clone();
        self.loaded_snapshot = None;
        Ok(Ok(new.len()))
    }

    /// Plans the rules again after a failure that may have left their rows and queries incomplete.
    async fn recover(&mut self) -> Result<(), Failure> {
        self.loaded_snapshot = None;
        (self.standing, _) = plan_rules(&self.rule_set, &self.parameters).await?;
        Ok(())
    }

    /// Runs the rules over the events committed since they last ran, if this service holds the
    /// lease.
    async fn catch_up(
        &mut self,
        scope: RunScope,
        monitor: &Monitor,
        pulse: &Pulse,
    ) -> Result<(), Failure> {
        if !self.lake.acquire_lease(&self.lease, LEASE_MICROS).await? {
            self.loaded_snapshot = None;
            return Ok(());
        }
        self.reload_rules(monitor).await?;
        let snapshot = self.lake.snapshot().await?;
        // Taken out until the run has succeeded: after an error the rows in memory are not known to
        // be complete.
        let loaded = match self.loaded_snapshot.take() {
            Some(snapshot) => snapshot,
            None => self.load_windows().await?,
        };
        if loaded < snapshot {
            for file in self.lake.files_since(loaded, snapshot).await? {
                let mut cursor = tokio::task::block_in_place(|| FileCursor::open(file))?;
                while cursor.has_more() {
                    pulse.alive();
                    if self.standing.is_full() {
                        self.run(scope, None, monitor).await?;
                    }
                    tokio::task::block_in_place(|| self.standing.add_next(&mut cursor))?;
                }
            }
        }
        if loaded < snapshot || self.standing.next_pause_end().is_some() {
            self.run(scope, Some(snapshot), monitor).await?;
        }
        self.report_gaps(monitor).await?;
        self.report_silent_accounts(monitor).await?;
        self.loaded_snapshot = Some(snapshot);
        Ok(())
    }

    /// Stores a finding for each account of which no event comes, and withdraws those of accounts that speak again.
    async fn report_silent_accounts(&mut self, monitor: &Monitor) -> Result<(), Failure> {
        let now = (self.clock)();
        let Some(watch) = &mut self.account_watch else { return Ok(()) };
        let Some(found) = watch.look(&self.lake, &self.parameters, now).await? else {
            return Ok(());
        };
        self.store_findings(&found.new, &[found.scope], &[], 0, monitor).await
    }

    /// Loads the rows that the windows of the rules need, up to the snapshot that every rule has
    /// run over. Returns that snapshot.
    async fn load_windows(&mut self) -> Result<i64, Failure> {
        let rules = self.current_rules();
        let seen = common_cursor(self.lake.catalog(), &rules).await.map_err(Failure::internal)?;
        let latest = self.lake.latest_event().await?.filter(|_| seen > 0);
        let since = latest.map_or(i64::MIN, |latest| latest.saturating_sub(self.standing.span()));
        let files = if seen > 0 { self.lake.files_at(seen, since).await? } else { Vec::new() };
        self.reached = rules.into_iter().map(|(id, _)| (id, seen)).collect();
        let now = (self.clock)();
        tokio::task::block_in_place(|| self.standing.load(&files, since, now))?;
        Ok(seen)
    }

    /// Runs the rules over the rows that were added and stores the findings. With `snapshot`, all
    /// rows up to it were added, and the cursors of the rules move to it.
    async fn run(
        &mut self,
        scope: RunScope,
        snapshot: Option<i64>,
        monitor: &Monitor,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let detection = self.standing.run(scope, self.lake.location(), (self.clock)()).await?;
        for (rule_id, reason) in &detection.failed {
            tracing::error!(
                rule_id,
                reason,
                "a rule failed; it lags behind the others until it runs"
            );
            monitor.metrics.rule_failed(rule_id);
        }
        if let Some(snapshot) = snapshot {
            self.publish_rule_lag(&detection.ran, snapshot, monitor);
        }
        for (rule_id, took) in &detection.durations {
            monitor.metrics.rule_took(rule_id, *took);
        }
        let ran = |(id, _): &&(String, String)| snapshot.is_some() && detection.ran.contains(id);
        let ran: Vec<_> = self.current_rules().iter().filter(ran).cloned().collect();
        self.store_findings(
            &detection.findings,
            &detection.scopes,
            &ran,
            snapshot.unwrap_or(0),
            monitor,
        )
        .await?;
        let window_buffer_bytes = self.standing.held().map(|(_, bytes)| bytes).sum();
        monitor.metrics.detected(begun.elapsed(), window_buffer_bytes);
        Ok(())
    }

    /// Stores findings, and prints those that are new, revised or withdrawn.
    async fn store_findings(
        &self,
        findings: &[Finding],
        decided: &[EvaluatedScope],
        ran: &[(String, String)],
        snapshot: i64,
        monitor: &Monitor,
    ) -> Result<(), Failure> {
        let mut stored = StoreSummary::default();
        let result = store_findings(
            self.lake.writer_pool(),
            findings,
            decided,
            ran,
            snapshot,
            self.store_context(),
            &mut stored,
        )
        .await;
        // Also after an error: some of the findings may be stored.
        monitor.outbox_changed.notify_waiters();
        let changed =
            findings.iter().filter(|finding| stored.changed.contains(&finding.finding_id));
        for finding in changed.chain(&stored.withdrawn) {
            monitor.metrics.finding(&finding.rule_id);
            printer::line(&serde_json::to_string(finding).map_err(Failure::internal)?)?;
        }
        result.map_err(Failure::internal)
    }

    /// Stores a finding for each gap: a range of records that can no longer be read.
    async fn report_gaps(&mut self, monitor: &Monitor) -> Result<(), Failure> {
        let gaps = self.lake.gaps().await?;
        if gaps.len() == self.gaps_reported {
            return Ok(());
        }
        let lake = self.lake.folder().display().to_string();
        let finding = |gap: &GapInfo| {
            let GapInfo { source, object, from, to, reason, noted_at } = gap;
            // The catalog writes `2026-11-23 15:43:57+00`; findings have RFC 3339.
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
        let findings: Vec<Finding> = gaps.iter().map(finding).collect();
        self.store_findings(&findings, &[], &[], 0, monitor).await?;
        self.gaps_reported = gaps.len();
        Ok(())
    }

    /// Publishes how many snapshots each rule is behind. A rule that failed stays where it was.
    fn publish_rule_lag(&mut self, ran: &[String], snapshot: i64, monitor: &Monitor) {
        for (rule_id, at) in &mut self.reached {
            if ran.contains(rule_id) {
                *at = snapshot;
            }
            monitor.metrics.rule_lags(rule_id, snapshot - *at);
        }
    }
}

/// Plans the rules of `rule_set` that are on and have their parameters. Returns the standing
/// queries and the rules that could be planned.
async fn plan_rules(
    rule_set: &RuleSet,
    parameters: &Arc<Parameters>,
) -> Result<(StandingQueries, RuleVersions), Failure> {
    let runnable: Vec<_> = rule_set
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

/// Detects after each commit until `ingest_ended` is set, and then a last time. `detector` may come from a life that has failed.
///
/// # Errors
/// [`Failure::Output`]: findings cannot be printed. Any error of the last run. Other errors are
/// logged and retried.
pub(super) async fn run(
    detector: &mut Detector,
    monitor: &Monitor,
    ingest_ended: &AtomicBool,
    pulse: &Pulse,
) -> Result<(), Failure> {
    if std::mem::replace(&mut detector.has_run, true) {
        detector.recover().await?;
    }
    loop {
        let is_last = ingest_ended.load(Ordering::Relaxed);
        let begun = Instant::now();
        // The last run includes the rules that are pausing.
        let scope = if is_last { RunScope::All } else { RunScope::NotPaused };
        pulse.alive();
        match detector.catch_up(scope, monitor, pulse).await {
            Ok(()) => {
                monitor.health.detection(None);
                pulse.worked();
            }
            // The reader of the findings has closed the output.
            Err(Failure::Output(error)) => return Err(Failure::Output(error)),
            Err(error) if is_last => {
                // The next service need not wait until the lease expires.
                if let Err(error) = detector.lake.release_lease(&detector.lease).await {
                    tracing::warn!(%error, "the detection lease was not released; it expires");
                }
                return Err(error);
            }
            Err(error) => {
                tracing::error!(%error, "detection failed; retrying");
                monitor.health.detection(Some(error.to_string()));
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            }
        }
        if is_last {
            return Ok(detector.lake.release_lease(&detector.lease).await?);
        }
        tokio::time::sleep(begun.elapsed().min(PAUSE_MAX)).await;
        wait_for_work(detector, monitor).await;
    }
}

/// Waits for a commit, or until something that sends no notification must be looked for: commits of
/// other services, changed rules, rules whose pause has ended.
async fn wait_for_work(detector: &Detector, monitor: &Monitor) {
    let poll =
        (detector.lake.is_shared() || detector.rule_folder.is_some()).then_some(POLL_INTERVAL);
    let pause_end = detector
        .standing
        .next_pause_end()
        .map(|until| until.saturating_duration_since(Instant::now()));
    let accounts = detector.account_watch.as_ref();
    let accounts = accounts.map(|watch| watch.next().saturating_duration_since(Instant::now()));
    let committed = monitor.events_committed.notified();
    let timeout = poll.into_iter().chain(pause_end).chain(accounts).min();
    // Whether a commit or the timeout ends the wait makes no difference: the next run looks for both. Where nothing is to be
    // looked for, the run is a sign of life.
    let _ = tokio::time::timeout(timeout.unwrap_or(WAIT_MAX).min(WAIT_MAX), committed).await;
}
