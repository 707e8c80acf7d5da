//! Liveness and readiness of the service.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use trailhound_datasets::layout::DAY_MICROS;
use trailhound_ingest::lake::DamagedFile;
use trailhound_ingest::live::LiveOptions;
use trailhound_ingest::supervisor::TaskStatus;
use trailhound_ingest::survey::SourceSurvey;
use trailhound_ingest::{FactCounts, SourceFacts};

/// The ingest counts as hung after this long without a sign of life. Commits and rebalances are
/// much shorter.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// The state of the ingest, the sources and the detection.
pub(super) struct Health {
    state: Mutex<State>,
    /// A source with content of which nothing is read for this long does not work.
    unread_max: Duration,
}

/// What was last seen of a source.
struct SurveyState {
    survey: SourceSurvey,
    /// Since when it has content of which nothing is read; `None` while something is read.
    unread_since: Option<Instant>,
    /// The log has told that nothing is read.
    is_logged: bool,
}

impl SurveyState {
    /// What was seen, if nothing has been read for `unread_max`.
    fn trouble(&self, unread_max: Duration) -> Option<String> {
        let waited = self.unread_since?.elapsed();
        (waited >= unread_max).then(|| {
            format!(
                "it has content, and nothing of it has been read for {} seconds; seen: {}; `trailhound doctor` says more",
                waited.as_secs(),
                self.survey.describe()
            )
        })
    }
}

struct State {
    /// The last sign of life of the ingest.
    alive: Instant,
    /// Why commits fail; `None` while they succeed.
    stalled: Option<String>,
    /// Why each source fails, by its name; `None` while it works.
    sources: BTreeMap<String, Option<String>>,
    /// What was last seen of each source, by its name.
    surveys: BTreeMap<String, SurveyState>,
    /// Why detection fails; `None` while it works.
    detection: Option<String>,
    /// What is wrong with data files of the lake.
    damaged_files: BTreeMap<PathBuf, String>,
    /// What is wrong with the clock; `None` if nothing is known to be.
    clock: Option<String>,
    /// Another clock, or a day, has confirmed the time.
    is_time_confirmed: bool,
    /// Id of the last finding that the retention waits; there is one a day.
    retention_finding: Option<String>,
    /// The facts of the events that each source has delivered on the present day.
    facts: SourceFacts,
    /// The present day, in days since 1970 UTC.
    day: i64,
}

/// A source is not understood when a fact was not understood in more than one of so many events of
/// the day.
const UNDERSTOOD_ONE_IN: u64 = 100;

impl Health {
    /// Every source counts as failing until it has worked once.
    pub(super) fn new(options: &LiveOptions, unread_max: Duration) -> Self {
        let not_connected = |name: &String| (name.clone(), Some("not connected yet".to_owned()));
        let sources = options
            .kafka
            .iter()
            .map(|kafka| &kafka.name)
            .chain(options.oss.iter().map(|oss| &oss.name))
            .map(not_connected)
            .collect();
        let state = State {
            alive: Instant::now(),
            stalled: None,
            sources,
            surveys: BTreeMap::new(),
            detection: None,
            damaged_files: BTreeMap::new(),
            clock: None,
            is_time_confirmed: false,
            retention_finding: None,
            facts: SourceFacts::new(),
            day: 0,
        };
        Self { state: Mutex::new(state), unread_max }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a sign of life of the ingest.
    pub(super) fn alive(&self) {
        self.state().alive = Instant::now();
    }

    /// Records what was seen of a source.
    pub(super) fn surveyed(&self, name: &str, survey: &SourceSurvey) {
        let mut state = self.state();
        let before = state.surveys.remove(name);
        let (since, is_logged) =
            before.map_or((None, false), |before| (before.unread_since, before.is_logged));
        let reads_nothing = survey.reads_nothing();
        let seen = SurveyState {
            survey: survey.clone(),
            unread_since: reads_nothing.then(|| since.unwrap_or_else(Instant::now)),
            is_logged: is_logged && reads_nothing,
        };
        state.surveys.insert(name.to_owned(), seen);
    }

    /// Sources of which nothing is read, and why; each once, until something is read of it.
    pub(super) fn newly_unread(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (name, seen) in &mut self.state().surveys {
            if !seen.is_logged
                && let Some(trouble) = seen.trouble(self.unread_max)
            {
                seen.is_logged = true;
                found.push((name.clone(), trouble));
            }
        }
        found
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

    /// Records that a data file of the lake is damaged.
    pub(super) fn damaged_file(&self, DamagedFile { path, found }: DamagedFile) {
        self.state().damaged_files.insert(path, found);
    }

    /// Records that exactly these data files of the lake are damaged.
    pub(super) fn replace_damaged_files(&self, damaged: Vec<DamagedFile>) {
        let damaged = damaged.into_iter().map(|DamagedFile { path, found }| (path, found));
        self.state().damaged_files = damaged.collect();
    }

    /// What is wrong with data files of the lake, by path.
    pub(super) fn damaged_files(&self) -> BTreeMap<PathBuf, String> {
        self.state().damaged_files.clone()
    }

    /// Records what is wrong with the clock, and whether the time is confirmed. Returns true if a problem has come or gone.
    pub(super) fn clock(&self, problem: Option<String>, is_confirmed: bool) -> bool {
        let mut state = self.state();
        let is_new = state.clock.is_some() != problem.is_some();
        (state.clock, state.is_time_confirmed) = (problem, is_confirmed);
        is_new
    }

    /// Records the finding that the retention waits. Returns true if it is new.
    pub(super) fn retention_held(&self, finding_id: &str) -> bool {
        let mut state = self.state();
        state.retention_finding.replace(finding_id.to_owned()).as_deref() != Some(finding_id)
    }

    /// Records the facts of committed events. `now` is in microseconds since 1970 UTC.
    pub(super) fn facts(&self, sources: &SourceFacts, now: i64) {
        let mut state = self.state();
        let day = now.div_euclid(DAY_MICROS);
        if state.day != day {
            (state.day, state.facts) = (day, SourceFacts::new());
        }
        for (source, facts) in sources {
            state.facts.entry(source.clone()).or_default().add(facts);
        }
    }

    /// True while the ingest shows signs of life.
    pub(super) fn is_alive(&self) -> bool {
        self.state().alive.elapsed() < SILENCE_MAX
    }

    /// Whether every part works, and a JSON document that says which parts do not and why. `tasks` are those of the service.
    pub(super) fn readiness(&self, tasks: &[TaskStatus]) -> (bool, Value) {
        let state = self.state();
        let unread = state.surveys.iter();
        let unread =
            unread.filter_map(|(name, seen)| Some((name.as_str(), seen.trouble(self.unread_max)?)));
        let mut failing: BTreeMap<&str, String> = unread.collect();
        failing.extend(
            state
                .facts
                .iter()
                .filter(|(_, facts)| facts.not_understood * UNDERSTOOD_ONE_IN > facts.events)
                .map(|(source, facts)| (source.as_str(), describe(facts))),
        );
        // A source that cannot be reached says why nothing is read.
        failing.extend(
            state
                .sources
                .iter()
                .filter_map(|(name, problem)| Some((name.as_str(), problem.clone()?))),
        );
        let seen: BTreeMap<&str, &SourceSurvey> =
            state.surveys.iter().map(|(name, seen)| (name.as_str(), &seen.survey)).collect();
        let failing_tasks: BTreeMap<&str, &str> = tasks
            .iter()
            .filter_map(|task| Some((task.name.as_str(), task.problem.as_deref()?)))
            .collect();
        let ended: Vec<&&str> = failing_tasks.keys().collect();
        let restarts: BTreeMap<&str, Value> =
            tasks.iter().map(|task| (task.name.as_str(), describe_task(task))).collect();
        let ready = failing.is_empty()
            && state.stalled.is_none()
            && state.detection.is_none()
            && state.damaged_files.is_empty()
            && state.clock.is_none()
            && failing_tasks.is_empty();
        // `ended_parts` has the names of `failing_tasks`, as before it. `sources_in_trouble` is the name of `failing_sources` before 0.2.0. Both are given until
        // 0.3.0.
        let document = json!({
            "ready": ready, "failing_sources": failing, "sources_in_trouble": failing,
            "stalled": state.stalled, "detection": state.detection,
            "ended_parts": ended, "failing_tasks": failing_tasks, "tasks": restarts,
            "clock": state.clock, "time_is_confirmed": state.is_time_confirmed,
            "damaged_files": state.damaged_files, "sources": seen,
        });
        (ready, document)
    }
}

fn describe_task(task: &TaskStatus) -> Value {
    json!({ "restarts": task.restarts, "is_restarted": task.is_restarted })
}

fn describe(facts: &FactCounts) -> String {
    format!(
        "{} of {} events of today have a fact that was not understood: {}",
        facts.not_understood,
        facts.events,
        facts.describe_not_understood()
    )
}
