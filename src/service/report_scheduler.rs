//! Creates the configured reports when they are due. Each time of a schedule is handled once,
//! whether or not a service ran at that time: the runs are recorded in the lake.

use super::monitor::Monitor;
use crate::config::{CatchUpPolicy, ReportSchedule};
use chrono::{DateTime, Utc};
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::Instant;
use trailhound_detect::store::Notice;
use trailhound_detect::store::report_runs::{self, ReportRun};
use trailhound_ingest::lake::{Lake, Lease};
use trailhound_ingest::supervisor::Pulse;
use trailhound_ingest::{CheckedClock, Clock};

/// How often due reports are looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Length of the lease on reports in microseconds.
const LEASE_MICROS: i64 = 120_000_000;
/// How often the lease is renewed while a report is created.
const LEASE_RENEWAL: Duration = Duration::from_secs(30);
/// Pause after the first failed attempt. It doubles after each further failed attempt.
const RETRY_PAUSE: Duration = Duration::from_secs(30);
/// Maximum of this pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1800);
/// A run that lies further in the future than this was recorded by a wrong clock, in microseconds.
const AHEAD_MAX: i64 = 300_000_000;
/// Times missed for longer than this are made up for once the clock is confirmed: 100 days, in microseconds.
const UNCONFIRMED_MISSED_MAX: i64 = 100 * 86_400_000_000;
/// Missed times of a schedule that are handled one by one. Earlier ones are ignored.
const MISSED_MAX: usize = 1000;

/// The scheduled reports, and the program and settings that create them.
pub(super) struct ReportScheduler {
    pub(super) lake: Lake,
    pub(super) reports: Vec<ReportSchedule>,
    pub(super) clock: Clock,
    /// The same clock, which also says whether the time is sure.
    pub(super) checked_clock: CheckedClock,
    /// This program, which creates each report in a child process.
    pub(super) program: PathBuf,
    /// Configuration file of the child process.
    pub(super) config: Option<PathBuf>,
    /// Folder of the lake.
    pub(super) folder: PathBuf,
}

/// Failed attempts to create a report.
struct RetryState {
    failures: u32,
    retry_at: Instant,
}

/// A scheduler at work.
pub(super) struct SchedulerRun {
    scheduler: ReportScheduler,
    monitor: Arc<Monitor>,
    /// Where several services share the lake, only the one with the lease creates reports.
    lease: Lease,
    /// Start of the service, microseconds since 1970 UTC.
    started_at: i64,
    /// The reports whose last attempt failed, by name.
    retries: HashMap<String, RetryState>,
    /// The reports that wait until the clock is confirmed.
    waiting: HashSet<String>,
}

impl SchedulerRun {
    /// A run that begins now.
    pub(super) fn new(scheduler: ReportScheduler, monitor: Arc<Monitor>) -> Self {
        for report in &scheduler.reports {
            monitor.metrics.init_report(&report.name);
        }
        let started_at = (scheduler.clock)();
        let lease = Lease::new("reports");
        Self {
            scheduler,
            monitor,
            lease,
            started_at,
            retries: HashMap::new(),
            waiting: HashSet::new(),
        }
    }

    /// Creates reports until it is aborted.
    pub(super) async fn run(&mut self, pulse: &Pulse) -> Result<(), String> {
        loop {
            match self.create_due_reports(pulse).await {
                Ok(()) => pulse.worked(),
                Err(error) => tracing::warn!(error, "due reports could not be handled; retrying"),
            }
            pulse.sleep(POLL_INTERVAL).await;
        }
    }

    fn now(&self) -> i64 {
        (self.scheduler.clock)()
    }

    async fn create_due_reports(&mut self, pulse: &Pulse) -> Result<(), String> {
        for report in self.scheduler.reports.clone() {
            let pausing = |retry: &RetryState| retry.retry_at > Instant::now();
            if self.retries.get(&report.name).is_some_and(pausing) {
                continue;
            }
            for due in self.due_times(&report).await? {
                if !self.renew_lease().await? {
                    return Ok(());
                }
                // Another service may have created it since.
                if self.last_handled(&report).await? >= Some(due) {
                    continue;
                }
                if !self.create_report(&report, due, pulse).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Takes or renews the lease. Returns false if another service holds it.
    async fn renew_lease(&self) -> Result<bool, String> {
        self.scheduler
            .lake
            .acquire_lease(&self.lease, LEASE_MICROS)
            .await
            .map_err(|e| e.to_string())
    }

    /// Returns the last due time that needs no further attempt; `None` if the lake records no such
    /// run of the report. Runs of the future were recorded by a clock that was wrong: they count for nothing.
    async fn last_handled(&self, report: &ReportSchedule) -> Result<Option<i64>, String> {
        report_runs::last_finished(
            self.scheduler.lake.catalog(),
            &report.name,
            self.now().saturating_add(AHEAD_MAX),
        )
        .await
        .map_err(|e| e.to_string())
    }

    fn run_record(
        &self,
        report: &ReportSchedule,
        due_at: i64,
        state: &str,
        note: String,
    ) -> ReportRun {
        ReportRun {
            report: report.name.clone(),
            due_at,
            state: state.to_owned(),
            changed_at: self.now(),
            note,
        }
    }

    /// Records in the lake the outcome of a scheduled run.
    async fn record_run(
        &self,
        report: &ReportSchedule,
        due_at: i64,
        state: &str,
        note: String,
    ) -> Result<(), String> {
        let run = self.run_record(report, due_at, state, note);
        report_runs::record(self.scheduler.lake.writer_pool(), &run)
            .await
            .map_err(|e| e.to_string())
    }

    /// The times for which `report` is to be created now, in order. Times that the catch-up policy
    /// skips are recorded.
    async fn due_times(&mut self, report: &ReportSchedule) -> Result<Vec<i64>, String> {
        let now = self.now();
        let Some(last) = self.last_handled(report).await? else {
            self.record_run(report, now, "registered", "made from then on".to_owned()).await?;
            return Ok(Vec::new());
        };
        let is_long = now.saturating_sub(last) > UNCONFIRMED_MISSED_MAX;
        if is_long && self.scheduler.checked_clock.confirmed_now().is_none() {
            if self.waiting.insert(report.name.clone()) {
                tracing::warn!(
                    report = report.name,
                    "the clock has moved very far since the last run of the report, and nothing confirms it yet; the report waits"
                );
            }
            return Ok(Vec::new());
        }
        let times = times_between(report, last, now);
        let (skipped, due) = match report.catch_up {
            CatchUpPolicy::All => (Vec::new(), times),
            CatchUpPolicy::Latest => {
                let mut times = times;
                let latest = times.split_off(times.len().saturating_sub(1));
                (times, latest)
            }
            CatchUpPolicy::None => times.into_iter().partition(|due| *due < self.started_at),
        };
        for due in skipped {
            let note = "it was missed, and the configuration says not to make up for it";
            self.record_run(report, due, "skipped", note.to_owned()).await?;
            self.monitor.metrics.reported(&report.name, "skipped");
        }
        Ok(due)
    }

    /// Creates `report` for the time `due` and records the result. Returns false if it failed.
    async fn create_report(
        &mut self,
        report: &ReportSchedule,
        due: i64,
        pulse: &Pulse,
    ) -> Result<bool, String> {
        match self.create_with_lease(report, due, pulse).await {
            Ok(notice) => {
                self.record_success(report, due, notice).await?;
                Ok(true)
            }
            Err(reason) => {
                self.record_failure(report, due, reason).await?;
                Ok(false)
            }
        }
    }

    /// Records a created report, together with the messages to its sinks.
    async fn record_success(
        &mut self,
        report: &ReportSchedule,
        due: i64,
        notice: Notice,
    ) -> Result<(), String> {
        let notice = match &report.link {
            Some(link) => notice.linked(link),
            None => notice,
        };
        let paths: Vec<String> =
            notice.files.iter().map(|file| file.display().to_string()).collect();
        let files = paths.join(" ");
        tracing::info!(report = report.name, files, "report created");
        self.retries.remove(&report.name);
        let run = self.run_record(report, due, "made", files);
        report_runs::record_made(self.scheduler.lake.writer_pool(), &run, &report.sinks, &notice)
            .await
            .map_err(|e| e.to_string())?;
        self.monitor.metrics.reported(&report.name, "made");
        self.monitor.outbox_changed.notify_waiters();
        Ok(())
    }

    async fn record_failure(
        &mut self,
        report: &ReportSchedule,
        due: i64,
        reason: String,
    ) -> Result<(), String> {
        let failures = self.retries.get(&report.name).map_or(0, |retry| retry.failures);
        let pause = RETRY_PAUSE.saturating_mul(1 << failures.min(10)).min(RETRY_PAUSE_MAX);
        tracing::error!(
            report = report.name,
            reason,
            pause_seconds = pause.as_secs(),
            "a report could not be created; retrying"
        );
        let retry = RetryState { failures: failures + 1, retry_at: Instant::now() + pause };
        self.retries.insert(report.name.clone(), retry);
        self.monitor.metrics.reported(&report.name, "failed");
        self.record_run(report, due, "failed", reason).await
    }

    /// Creates the report, and renews the lease meanwhile.
    async fn create_with_lease(
        &self,
        report: &ReportSchedule,
        due: i64,
        pulse: &Pulse,
    ) -> Result<Notice, String> {
        let mut created = std::pin::pin!(self.run_child_process(report, due));
        loop {
            tokio::select! {
                notice = &mut created => return notice,
                () = tokio::time::sleep(LEASE_RENEWAL) => {
                    pulse.alive();
                    if !self.renew_lease().await? {
                        return Err("another service has taken over".to_owned());
                    }
                }
            }
        }
    }

    /// Creates the report in a child process, so that its memory is returned to the system and a
    /// crash affects nothing else.
    async fn run_child_process(&self, report: &ReportSchedule, due: i64) -> Result<Notice, String> {
        let rfc3339 = |micros| date_time(micros).to_rfc3339();
        let mut command = Command::new(&self.scheduler.program);
        if let Some(config) = &self.scheduler.config {
            command.arg("--config").arg(config);
        }
        command.args(["--now", &rfc3339(self.now()), "report", "--in-service"]);
        command.args(["--at", &rfc3339(due), "--period", report.span.name()]);
        command.arg("--lake").arg(&self.scheduler.folder).arg("--output").arg(&report.folder);
        command.args(["--profile", &report.profile, "--lang", report.language.name()]);
        command.args(["--time-zone", report.time_zone.name()]);
        for format in &report.formats {
            command.args(["--format", format.name()]);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.map_err(|e| e.to_string())?;
        if output.status.success() {
            return serde_json::from_slice(&output.stdout)
                .map_err(|e| format!("the output of its process is not valid: {e}"));
        }
        // The last line of the output is the error.
        let messages = String::from_utf8_lossy(&output.stderr);
        let error = messages.lines().rev().find(|line| !line.trim().is_empty());
        Err(error.map_or_else(|| output.status.to_string(), str::to_owned))
    }
}

/// The times of the schedule after `last` and up to `now`, microseconds since 1970 UTC. At most the
/// latest [`MISSED_MAX`].
fn times_between(report: &ReportSchedule, last: i64, now: i64) -> Vec<i64> {
    let mut times: VecDeque<i64> = VecDeque::new();
    let mut next = report.next_after(date_time(last));
    while let Some(due) = next.filter(|due| due.timestamp_micros() <= now) {
        times.push_back(due.timestamp_micros());
        if times.len() > MISSED_MAX {
            times.pop_front();
        }
        next = report.next_after(due);
    }
    times.into()
}

fn date_time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}
