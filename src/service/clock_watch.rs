//! Holds the clock of the machine against those of other machines: the catalog's database and the object stores.

use super::monitor::Monitor;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trailhound_detect::finding::health::clock_finding;
use trailhound_ingest::CheckedClock;
use trailhound_ingest::lake::Lake;
use trailhound_ingest::source::oss::{BucketProbe, OssOptions};
use trailhound_ingest::supervisor::Pulse;

/// How often the clock is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often other clocks are asked while one is in doubt, and otherwise.
const ASK_INTERVAL: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// The clock, and whom to ask about it.
pub(super) struct ClockWatch {
    pub(super) clock: CheckedClock,
    pub(super) lake: Lake,
    pub(super) stores: Vec<OssOptions>,
    pub(super) monitor: Arc<Monitor>,
}

impl ClockWatch {
    /// Looks until it is aborted. Tells of every new problem.
    pub(super) async fn run(&self, pulse: &Pulse) -> Result<(), String> {
        if let Some(then) = self.lake.confirmed_time().await.map_err(|e| e.to_string())? {
            self.clock.confirmed_at(then);
        }
        let (mut asked, mut known): (Option<Instant>, bool) = (None, false);
        loop {
            let has_problem = self.clock.problem().is_some();
            let is_in_doubt = has_problem || self.clock.confirmed_now().is_none();
            let interval = if is_in_doubt { ASK_INTERVAL.0 } else { ASK_INTERVAL.1 };
            let is_new = has_problem && !known;
            if is_new || asked.is_none_or(|asked| asked.elapsed() >= interval) {
                self.ask(pulse).await;
                asked = Some(Instant::now());
            }
            known = self.tell();
            pulse.worked();
            pulse.sleep(LOOK_INTERVAL).await;
        }
    }

    /// Reports the problem of the clock, or that there is none. True if there is one.
    fn tell(&self) -> bool {
        let problem = self.clock.problem();
        let is_new =
            self.monitor.health.clock(problem.clone(), self.clock.confirmed_now().is_some());
        match &problem {
            Some(problem) => {
                if is_new {
                    tracing::error!(problem, "the clock is not believed");
                }
                self.monitor.metrics.clock_problem.set(1);
                if is_new {
                    self.monitor.alarms.add(clock_finding(problem, self.clock.now()));
                }
            }
            None => {
                if is_new {
                    tracing::info!("the clock is believed again");
                }
                self.monitor.metrics.clock_problem.set(0);
            }
        }
        problem.is_some()
    }

    /// Asks the other clocks. One that does not answer says nothing.
    async fn ask(&self, pulse: &Pulse) {
        match self.lake.database_time().await {
            Ok(Some(theirs)) => self.clock.compare("the catalog's database", theirs),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the catalog does not tell the time"),
        }
        for options in &self.stores {
            pulse.alive();
            let time = match BucketProbe::new(options) {
                Ok(probe) => probe.store_time().await,
                Err(error) => Err(error.to_string()),
            };
            match time {
                Ok(Some(theirs)) => {
                    let whose = format!("the store of source `{}`", options.name);
                    self.clock.compare(&whose, theirs.timestamp_micros());
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(error, "a store does not tell the time"),
            }
        }
        if let Some(now) = self.clock.confirmed_now()
            && let Err(error) = self.lake.record_confirmed_time(now).await
        {
            tracing::debug!(%error, "the confirmed time is not recorded");
        }
    }
}
