//! Liveness and readiness of the service.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use trailhound_ingest::live::LiveOptions;

/// The ingest counts as hung after this long without a sign of life. Commits and rebalances are
/// much shorter.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// The state of the ingest, the sources and the detection.
pub(super) struct Health(Mutex<State>);

struct State {
    /// The last sign of life of the ingest.
    alive: Instant,
    /// Why commits fail; `None` while they succeed.
    stalled: Option<String>,
    /// Why each source fails, by its name; `None` while it works.
    sources: BTreeMap<String, Option<String>>,
    /// Why detection fails; `None` while it works.
    detection: Option<String>,
}

impl Health {
    /// Every source counts as failing until it has worked once.
    pub(super) fn new(options: &LiveOptions) -> Self {
        let not_connected = |name: &String| (name.clone(), Some("not connected yet".to_owned()));
        let sources = options
            .kafka
            .iter()
            .map(|kafka| &kafka.name)
            .chain(options.oss.iter().map(|oss| &oss.name))
            .map(not_connected)
            .collect();
        Self(Mutex::new(State { alive: Instant::now(), stalled: None, sources, detection: None }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a sign of life of the ingest.
    pub(super) fn alive(&self) {
        self.state().alive = Instant::now();
    }

    /// Records why commits fail, or that they succeed.
    pub(super) fn stalled(&self, reason: Option<&str>) {
        self.state().stalled = reason.map(str::to_owned);
    }

    /// Records why a source fails, or that it works. Returns true if that has changed.
    pub(super) fn source(&self, name: &str, problem: Option<&str>) -> bool {
        let problem = problem.map(str::to_owned);
        self.state().sources.insert(name.to_owned(), problem.clone()) != Some(problem)
    }

    /// Records why detection fails, or that it works.
    pub(super) fn detection(&self, problem: Option<String>) {
        self.state().detection = problem;
    }

    /// True while the ingest shows signs of life.
    pub(super) fn is_alive(&self) -> bool {
        self.state().alive.elapsed() < SILENCE_MAX
    }

    /// Whether every part works, and a JSON document that says which parts do not and why.
    pub(super) fn readiness(&self) -> (bool, Value) {
        let state = self.state();
        let failing: BTreeMap<&str, &str> = state
            .sources
            .iter()
            .filter_map(|(name, problem)| Some((name.as_str(), problem.as_deref()?)))
            .collect();
        let ready = failing.is_empty() && state.stalled.is_none() && state.detection.is_none();
        // `sources_in_trouble` is the name of `failing_sources` before 0.2.0. Both are given until
        // 0.3.0.
        let document = json!({
            "ready": ready, "failing_sources": failing, "sources_in_trouble": failing,
            "stalled": state.stalled, "detection": state.detection,
        });
        (ready, document)
    }
}
