//! One supervised task: its signs of life, its failures, and what a test lets it do wrong.

use super::fault::{FaultKind, TestEnd};
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A restarted task counts as failing until it has worked for this long.
const PROBATION: Duration = Duration::from_secs(5);
/// A task that cannot be cancelled may be silent for this many times `silence_max` before the service ends.
const ABANDON_FACTOR: u32 = 6;
/// The longest silence of a task that a test makes hang.
const TEST_SILENCE: Duration = Duration::from_millis(500);

/// What the supervisor does about a task that fails.
#[derive(Debug, Clone)]
pub struct TaskPolicy {
    /// The task counts as hung after this long without a sign of life.
    pub silence_max: Duration,
    /// It is started again after it has ended. Otherwise its end is that of the service.
    pub restarts: bool,
    /// Once true, the task may return.
    pub may_return: Option<Arc<AtomicBool>>,
}

impl TaskPolicy {
    /// A task that is started again after each end.
    #[must_use]
    pub fn restarting(silence_max: Duration) -> Self {
        Self { silence_max, restarts: true, may_return: None }
    }

    /// A task without which the service cannot go on.
    #[must_use]
    pub fn vital(silence_max: Duration) -> Self {
        Self { silence_max, restarts: false, may_return: None }
    }

    /// The same, for a task that may return once `flag` is true.
    #[must_use]
    pub fn until(self, flag: &Arc<AtomicBool>) -> Self {
        Self { may_return: Some(Arc::clone(flag)), ..self }
    }
}

/// How a task failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// It returned although it should run as long as the service.
    Returned,
    /// It ended with an error.
    Failed,
    /// It panicked.
    Panicked,
    /// It gave no sign of life.
    Silent,
}

impl FailureKind {
    /// Every way to fail.
    pub const ALL: [Self; 4] = [Self::Returned, Self::Failed, Self::Panicked, Self::Silent];

    /// `returned`, `failed`, `panicked` or `silent`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Returned => "returned",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Silent => "silent",
        }
    }
}

/// A failure of a task.
#[derive(Debug, Clone)]
pub struct TaskFailure {
    /// Name of the task.
    pub task: String,
    /// How it failed.
    pub kind: FailureKind,
    /// What was seen.
    pub reason: String,
    /// The service cannot go on without the task and ends.
    pub ends_service: bool,
}

impl TaskFailure {
    /// One sentence for people.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("the task `{}` {}: {}", self.task, self.kind.name(), self.reason)
    }
}

/// A task as `/readyz` shows it.
#[derive(Debug, Clone)]
pub struct TaskStatus {
    /// Name of the task.
    pub name: String,
    /// How often it was started again.
    pub restarts: u64,
    /// It is started again after it has ended.
    pub is_restarted: bool,
    /// Why it does not work; `None` while it works.
    pub problem: Option<String>,
}

/// How a life of a task ended.
pub(super) type LifeEnd = Result<Result<(), String>, Box<dyn Any + Send>>;

struct State {
    restarts: u64,
    /// Start of the present life.
    begun: Instant,
    /// The last failure, until the task works again.
    failure: Option<TaskFailure>,
    /// Since when the task is known to be silent.
    silent_since: Option<Instant>,
    /// It was told that the task never ends.
    is_lost: bool,
    /// Between two lives: nothing is expected of the task.
    is_resting: bool,
}

/// A task and what is known of it.
pub(super) struct Task {
    pub(super) name: String,
    pub(super) policy: TaskPolicy,
    state: Mutex<State>,
    /// Microseconds between `epoch` and the last sign of life.
    alive: AtomicU64,
    epoch: Instant,
    /// Signs of life do not count: a test makes the task hang.
    is_muted: AtomicBool,
    /// What a test lets the task do once, at its first sign of life.
    fault: Mutex<Option<FaultKind>>,
    /// The owner of the task must cancel it.
    pub(super) cancel: Notify,
}

impl Task {
    pub(super) fn new(name: &str, policy: TaskPolicy, fault: Option<FaultKind>) -> Self {
        let now = Instant::now();
        let state = State {
            restarts: 0,
            begun: now,
            failure: None,
            silent_since: None,
            is_lost: false,
            is_resting: false,
        };
        Self {
            name: name.to_owned(),
            policy,
            state: Mutex::new(state),
            alive: AtomicU64::new(0),
            epoch: now,
            is_muted: AtomicBool::new(false),
            fault: Mutex::new(fault),
            cancel: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A life begins.
    pub(super) fn begin(&self, restarts: u64) {
        self.is_muted.store(false, Ordering::Relaxed);
        self.note_alive();
        let mut state = self.state();
        (state.restarts, state.begun, state.silent_since) = (restarts, Instant::now(), None);
        state.is_resting = false;
    }

    /// A life has ended.
    pub(super) fn rest(&self) {
        self.state().is_resting = true;
    }

    /// Counts a sign of life, also where a test mutes the task.
    pub(super) fn note_alive(&self) {
        let since = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.alive.store(since, Ordering::Relaxed);
    }

    fn silence(&self) -> Duration {
        let alive = Duration::from_micros(self.alive.load(Ordering::Relaxed));
        self.epoch.elapsed().saturating_sub(alive)
    }

    fn silence_max(&self) -> Duration {
        let is_muted = self.is_muted.load(Ordering::Relaxed);
        if is_muted { TEST_SILENCE } else { self.policy.silence_max }
    }

    /// True where the task may return.
    pub(super) fn may_return(&self) -> bool {
        self.policy.may_return.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Looks whether the task is silent. Returns its failure where that is new.
    pub(super) fn check_silence(&self) -> Option<TaskFailure> {
        let silence = self.silence();
        let mut state = self.state();
        if state.is_resting {
            return None;
        }
        // A task that works in long rounds has lived long enough to count as working.
        if state.restarts > 0 && is_stable(state.begun.elapsed()) && state.silent_since.is_none() {
            state.failure = None;
        }
        if silence <= self.silence_max() {
            if state.silent_since.take().is_some() {
                state.failure = None;
            }
            return None;
        }
        if state.silent_since.is_some() {
            return None;
        }
        state.silent_since = Some(Instant::now());
        let reason = format!("no sign of life for {} s", silence.as_secs());
        Some(self.failure(FailureKind::Silent, reason, false))
    }

    /// True once, where the task has been silent for so long after it was told to end that it never will.
    pub(super) fn is_newly_lost(&self) -> bool {
        let mut state = self.state();
        let since = state.silent_since.filter(|_| !state.is_resting);
        let is_lost =
            since.is_some_and(|since| since.elapsed() > self.silence_max() * ABANDON_FACTOR);
        is_lost && !std::mem::replace(&mut state.is_lost, true)
    }

    pub(super) fn failure(
        &self,
        kind: FailureKind,
        reason: String,
        ends_service: bool,
    ) -> TaskFailure {
        TaskFailure { task: self.name.clone(), kind, reason, ends_service }
    }

    /// The failure that `end` is.
    pub(super) fn failure_of(&self, end: LifeEnd) -> TaskFailure {
        let ends = !self.policy.restarts;
        let returned = || "it returned, although it should run as long as the service".to_owned();
        match end {
            Ok(Ok(())) => self.failure(FailureKind::Returned, returned(), ends),
            Ok(Err(reason)) => self.failure(FailureKind::Failed, reason, ends),
            Err(payload) => match payload.downcast_ref::<TestEnd>() {
                Some(TestEnd::Return) => self.failure(FailureKind::Returned, returned(), ends),
                Some(TestEnd::Error) => {
                    self.failure(FailureKind::Failed, "a test made it fail".to_owned(), ends)
                }
                None => self.failure(FailureKind::Panicked, panic_text(&*payload), ends),
            },
        }
    }

    pub(super) fn set_failure(&self, failure: TaskFailure) {
        self.state().failure = Some(failure);
    }

    pub(super) fn status(&self) -> TaskStatus {
        let state = self.state();
        TaskStatus {
            name: self.name.clone(),
            restarts: state.restarts,
            is_restarted: self.policy.restarts,
            problem: state.failure.as_ref().map(TaskFailure::describe),
        }
    }

    /// A round of work has succeeded. A restarted task works again after some time.
    fn note_work(&self) {
        let mut state = self.state();
        let on_probation = state.restarts > 0 && state.begun.elapsed() < PROBATION;
        if state.failure.is_some() && !on_probation {
            state.failure = None;
        }
    }
}

/// How long a task lived before it may be started again without a longer pause.
pub(super) fn is_stable(lived: Duration) -> bool {
    lived > PROBATION * 12
}

/// A task's way to say that it lives.
#[derive(Clone)]
pub struct Pulse(pub(super) Arc<Task>);

impl Pulse {
    /// A sign of life. To be given more often than the task's policy demands.
    pub fn alive(&self) {
        if let Some(fault) = self.0.fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            match fault.end() {
                Some(end) => end.raise(),
                None => self.0.is_muted.store(true, Ordering::Relaxed),
            }
        }
        if !self.0.is_muted.load(Ordering::Relaxed) {
            self.0.note_alive();
        }
    }

    /// A sign of life after a round of work that succeeded. A task that was restarted counts as working again after it has
    /// succeeded for some seconds.
    pub fn worked(&self) {
        self.alive();
        self.0.note_work();
    }

    /// Waits for `pause` and gives signs of life meanwhile.
    pub async fn sleep(&self, pause: Duration) {
        let until = tokio::time::Instant::now() + pause;
        loop {
            self.alive();
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(self.0.policy.silence_max / 4)).await;
        }
    }

    /// Waits for `work`, which ends by itself because each of its requests does, and gives signs of life meanwhile.
    pub async fn while_waiting<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = self.sleep(self.0.policy.silence_max / 4) => {}
            }
        }
    }

    /// A pulse that nobody listens to, for a part that runs outside the service.
    #[must_use]
    pub fn unsupervised() -> Self {
        Self(Arc::new(Task::new("", TaskPolicy::restarting(Duration::MAX), None)))
    }
}

/// The text that a panic was raised with.
pub(super) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}
