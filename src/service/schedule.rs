//! Makes the reports of the configuration when they are due, each time once, whether or not the service was there at the time.

use super::Watch;
use crate::config::{CatchUp, Scheduled};
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use trailhound_detect::store::Notice;
use trailhound_detect::store::report_runs::{self, ReportRun};
use trailhound_ingest::Clock;
use trailhound_ingest::lake::{Lake, Lease};

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(1);
/// The right to make reports lasts so long unless it is renewed, in microseconds.
const LEASED: i64 = 120_000_000;
/// How often it is renewed while a report is being made.
const RENEW: Duration = Duration::from_secs(30);
/// Pause after a report that could not be made; it doubles.
const PAUSE: Duration = Duration::from_secs(30);
const PAUSE_MAX: Duration = Duration::from_secs(1800);
/// Times missed that are written down one by one; of more, the earlier ones are passed over.
const MISSED_MAX: usize = 1000;

/// What is made, and by whom.
pub(super) struct Schedule {
    pub(super) lake: Lake,
    pub(super) reports: Vec<Scheduled>,
    pub(super) clock: Clock,
    /// What a report of its own is asked for with: the program, the configuration, the lake's folder.
    pub(super) program: PathBuf,
    pub(super) config: Option<PathBuf>,
    pub(super) folder: PathBuf,
    pub(super) watch: Arc<Watch>,
}

/// A report that could not be made, and when it is tried again.
struct Trouble {
    failures: u32,
    again: tokio::time::Instant,
}

/// Runs until aborted.
pub(super) async fn run(schedule: Schedule) {
    if schedule.reports.is_empty() {
        return;
    }
    for report in &schedule.reports {
        schedule.watch.metrics.report(&report.name);
    }
    let lease = Lease::new("reports");
    let started = (schedule.clock)();
    let mut troubles: HashMap<String, Trouble> = HashMap::new();
    loop {
        if let Err(error) = schedule.round(&lease, started, &mut troubles).await {
            tracing::warn!(error, "reports could not be looked after; tried again");
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Schedule {
    async fn round(
        &self,
        lease: &Lease,
        started: i64,
        troubles: &mut HashMap<String, Trouble>,
    ) -> Result<(), String> {
        for report in &self.reports {
            if troubles
                .get(&report.name)
                .is_some_and(|trouble| trouble.again > tokio::time::Instant::now())
            {
                continue;
            }
            for due in self.due(report, started).await? {
                if !self.may(lease).await? {
                    return Ok(());
                }
                // Another service may have made it meanwhile.
                if self.settled(report).await? >= Some(due) {
                    continue;
                }
                if !self.attend(report, due, lease, troubles).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Takes or renews the right to make reports.
    async fn may(&self, lease: &Lease) -> Result<bool, String> {
        let now = (self.clock)();
        self.lake
            .acquire_lease(lease, now, now.saturating_add(LEASED))
            .await
            .map_err(|e| e.to_string())
    }

    async fn settled(&self, report: &Scheduled) -> Result<Option<i64>, String> {
        report_runs::last_finished(self.lake.catalog(), &report.name)
            .await
            .map_err(|e| e.to_string())
    }

    fn run(&self, report: &Scheduled, due_at: i64, state: &str, note: String) -> ReportRun {
        ReportRun {
            report: report.name.clone(),
            due_at,
            state: state.to_owned(),
            changed_at: (self.clock)(),
            note,
        }
    }

    async fn note(
        &self,
        report: &Scheduled,
        due_at: i64,
        state: &str,
        note: String,
    ) -> Result<(), String> {
        let run = self.run(report, due_at, state, note);
        report_runs::record(self.lake.writer_pool(), &run).await.map_err(|e| e.to_string())
    }

    /// The times at which `report` is to be made now. Those that are passed over are written down.
    async fn due(&self, report: &Scheduled, started: i64) -> Result<Vec<i64>, String> {
        let now = (self.clock)();
        let Some(last) = self.settled(report).await? else {
            self.note(report, now, "registered", "made from then on".to_owned()).await?;
            return Ok(Vec::new());
        };
        let times = times(report, last, now);
        let (skipped, due) = match report.catch_up {
            CatchUp::All => (Vec::new(), times),
            CatchUp::Latest => {
                let mut times = times;
                let latest = times.split_off(times.len().saturating_sub(1));
                (times, latest)
            }
            CatchUp::None => times.into_iter().partition(|due| *due < started),
        };
        for due in skipped {
            self.note(
                report,
                due,
                "skipped",
                "it was missed, and the configuration says not to make up for it".to_owned(),
            )
            .await?;
            self.watch.metrics.reported(&report.name, "skipped");
        }
        Ok(due)
    }

    /// Makes `report` as it was due at `due`; false where that failed.
    async fn attend(
        &self,
        report: &Scheduled,
        due: i64,
        lease: &Lease,
        troubles: &mut HashMap<String, Trouble>,
    ) -> Result<bool, String> {
        match self.make_with_right(report, due, lease).await {
            Ok(notice) => {
                let notice = match &report.link {
                    Some(link) => notice.linked(link),
                    None => notice,
                };
                let files = notice
                    .files
                    .iter()
                    .map(|file| file.display().to_string())
                    .collect::<Vec<_>>()
                    .join(" ");
                tracing::info!(report = report.name, files, "report made");
                troubles.remove(&report.name);
                let run = self.run(report, due, "made", files);
                report_runs::record_made(self.lake.writer_pool(), &run, &report.sinks, &notice)
                    .await
                    .map_err(|e| e.to_string())?;
                self.watch.metrics.reported(&report.name, "made");
                // Those that are told of it need not look for themselves.
                self.watch.kept.notify_waiters();
                Ok(true)
            }
            Err(reason) => {
                let failures = troubles.get(&report.name).map_or(0, |trouble| trouble.failures);
                let pause = PAUSE.saturating_mul(1 << failures.min(10)).min(PAUSE_MAX);
                tracing::error!(
                    report = report.name,
                    reason,
                    pause_seconds = pause.as_secs(),
                    "a report could not be made; tried again"
                );
                let trouble =
                    Trouble { failures: failures + 1, again: tokio::time::Instant::now() + pause };
                troubles.insert(report.name.clone(), trouble);
                self.watch.metrics.reported(&report.name, "failed");
                self.note(report, due, "failed", reason).await?;
                Ok(false)
            }
        }
    }

    async fn make_with_right(
        &self,
        report: &Scheduled,
        due: i64,
        lease: &Lease,
    ) -> Result<Notice, String> {
        let mut making = std::pin::pin!(self.make(report, due));
        loop {
            tokio::select! {
                made = &mut making => return made,
                () = tokio::time::sleep(RENEW) => {
                    if !self.may(lease).await? {
                        return Err("another service has taken over".to_owned());
                    }
                }
            }
        }
    }

    /// In a process of its own: what it takes it gives back, what it breaks it breaks alone.
    async fn make(&self, report: &Scheduled, due: i64) -> Result<Notice, String> {
        let time = |micros| {
            DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or_default().to_rfc3339()
        };
        let mut command = Command::new(&self.program);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.args([
            "--now",
            &time((self.clock)()),
            "report",
            "--in-service",
            "--at",
            &time(due),
        ]);
        command.arg("--lake").arg(&self.folder).arg("--output").arg(&report.folder);
        command.args([
            "--period",
            report.span.name(),
            "--profile",
            &report.profile,
            "--lang",
            report.language.name(),
        ]);
        command.args(["--time-zone", report.time_zone.name()]);
        for form in &report.forms {
            command.args(["--format", form.name()]);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.map_err(|e| e.to_string())?;
        if output.status.success() {
            return serde_json::from_slice(&output.stdout)
                .map_err(|e| format!("what it said does not read: {e}"));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(said
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .map_or_else(|| output.status.to_string(), str::to_owned))
    }
}

/// The times after `last` and up to `now` at which `report` is due, microseconds since 1970 UTC.
fn times(report: &Scheduled, last: i64, now: i64) -> Vec<i64> {
    let moment = |micros| DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or_default();
    let mut times: std::collections::VecDeque<i64> = std::collections::VecDeque::new();
    let mut next = report.after(moment(last));
    while let Some(due) = next.filter(|due| due.timestamp_micros() <= now) {
        times.push_back(due.timestamp_micros());
        if times.len() > MISSED_MAX {
            times.pop_front();
        }
        next = report.after(due);
    }
    times.into()
}
