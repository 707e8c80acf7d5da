//! Whether the service lives, and whether it does its work.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use trailhound_ingest::live::LiveOptions;

/// Without a sign of life for this long the ingest counts as hung. A commit and a rebalance stay far below.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// What is known of the parts.
pub(super) struct Health(Mutex<State>);

struct State {
    alive: Instant,
    stalled: Option<String>,
    /// Trouble by source; a source is unknown until it was well once.
    sources: BTreeMap<String, Option<String>>,
    detection: Option<String>,
}

impl Health {
    pub(super) fn new(options: &LiveOptions) -> Self {
        let waiting = |name: &String| (name.clone(), Some("not connected yet".to_owned()));
        let sources = options
            .kafka
            .iter()
            .map(|kafka| &kafka.name)
            .chain(options.oss.iter().map(|oss| &oss.name))
            .map(waiting)
            .collect();
        Self(Mutex::new(State { alive: Instant::now(), stalled: None, sources, detection: None }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn alive(&self) {
        self.state().alive = Instant::now();
    }

    pub(super) fn stalled(&self, reason: Option<&str>) {
        self.state().stalled = reason.map(str::to_owned);
    }

    /// True where that is news.
    pub(super) fn source(&self, name: &str, trouble: Option<&str>) -> bool {
        let trouble = trouble.map(str::to_owned);
        self.state().sources.insert(name.to_owned(), trouble.clone()) != Some(trouble)
    }

    pub(super) fn detection(&self, trouble: Option<String>) {
        self.state().detection = trouble;
    }

    /// The ingest shows signs of life.
    pub(super) fn is_alive(&self) -> bool {
        self.state().alive.elapsed() < SILENCE_MAX
    }

    /// Everything does its work; beside it, what does not and why.
    pub(super) fn readiness(&self) -> (bool, Value) {
        let state = self.state();
        let troubles: BTreeMap<&str, &str> = state
            .sources
            .iter()
            .filter_map(|(name, trouble)| Some((name.as_str(), trouble.as_deref()?)))
            .collect();
        let ready = troubles.is_empty() && state.stalled.is_none() && state.detection.is_none();
        (
            ready,
            json!({ "ready": ready, "sources_in_trouble": troubles, "stalled": state.stalled, "detection": state.detection }),
        )
    }
}
