//! The supervisor of a service: it owns every task and thread, so that none ends without anybody knowing.
//!
//! A task has a name and a policy. However it ends (it returns, fails, panics, or gives no sign of life), the observer is told
//! and the list of tasks says so. A task that may restart is started again after a pause that doubles; the end of another one is
//! the end of the service. `clippy.toml` forbids to start tasks and threads elsewhere.

mod fault;
mod task;

pub use fault::TaskFaults;
pub use task::{FailureKind, Pulse, TaskFailure, TaskPolicy, TaskStatus};

use futures::FutureExt;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use task::{LifeEnd, Task, is_stable, panic_text};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

/// First and longest pause before a task is started again.
const RESTART_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How often the supervisor looks for silent tasks.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
/// The process was stopped, and no task is to blame, where the supervisor itself was not run for this long.
const FROZEN_AFTER: Duration = Duration::from_secs(5);
/// The supervisor itself counts as hung after this long.
const WATCHER_SILENCE_MAX: Duration = Duration::from_secs(30);
/// Time that the service has for its end after a failure that ends it.
const END_TIME_MAX: Duration = Duration::from_secs(20);
/// A task of a connection or a request that has panicked counts as failing for this long.
const BRIEF_FAILURE_SHOWN: Duration = Duration::from_secs(60);

/// Receives what the supervisor sees. Called on any thread; must not block.
pub trait TaskObserver: Send + Sync {
    /// A task begins its first life.
    fn task_started(&self, _name: &str) {}
    /// A task has failed. Where the failure ends the service, the service must begin to end.
    fn task_failed(&self, failure: &TaskFailure);
    /// The service should have ended by now because of a failure. The process must exit at once.
    fn end_is_overdue(&self);
}

/// Owns the tasks of a service. Clones share them.
#[derive(Clone)]
pub struct Supervisor(Arc<Shared>);

struct Shared {
    tasks: Mutex<BTreeMap<String, Arc<Task>>>,
    /// Ends of tasks of connections and requests, by name: the failure, and when it was.
    brief_failures: Mutex<BTreeMap<String, (TaskFailure, Instant)>>,
    observer: Arc<dyn TaskObserver>,
    faults: TaskFaults,
    /// True when the service ends: tasks may return.
    stopping: watch::Sender<bool>,
    /// Owners of the tasks, to end them all.
    owners: Mutex<Vec<AbortHandle>>,
    /// When the process must exit because of a failure that ends the service.
    exit_at: Mutex<Option<Instant>>,
    /// When the supervisor last looked for silent tasks.
    looked: Mutex<Instant>,
    /// Ends the thread that looks for silent tasks, when it is dropped.
    _watcher: Mutex<Option<SyncSender<()>>>,
}

/// A task that was started.
pub struct TaskHandle {
    owner: JoinHandle<()>,
}

impl TaskHandle {
    /// Waits until the task has ended for good. The supervisor must be stopping.
    pub async fn ended(self) {
        if let Err(error) = self.owner.await {
            tracing::error!(%error, "the owner of a task broke off");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Supervisor {
    /// A supervisor without tasks, which reports to `observer`. `faults` is what a test lets tasks do wrong.
    ///
    /// # Errors
    /// The system has no thread left for it.
    pub fn new(observer: Arc<dyn TaskObserver>, faults: TaskFaults) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<()>(1);
        let shared = Arc::new(Shared {
            tasks: Mutex::default(),
            brief_failures: Mutex::default(),
            observer,
            faults,
            stopping: watch::Sender::new(false),
            owners: Mutex::default(),
            exit_at: Mutex::default(),
            looked: Mutex::new(Instant::now()),
            _watcher: Mutex::new(Some(sender)),
        });
        let watched = Arc::downgrade(&shared);
        let watch = move || {
            while receiver.recv_timeout(WATCH_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let Some(shared) = watched.upgrade() else { return };
                shared.look();
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the supervisor's own thread")]
        std::thread::Builder::new().name("supervisor".to_owned()).spawn(watch)?;
        Ok(Self(shared))
    }

    /// Starts an async task. `start` makes its future for each life.
    pub fn spawn<F, Fut>(&self, name: &str, policy: TaskPolicy, start: F) -> TaskHandle
    where
        F: Fn(Pulse) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.own(name, policy, move |pulse| {
            #[expect(clippy::disallowed_methods, reason = "its owner waits for it")]
            let life = tokio::spawn(start(pulse));
            let abort = life.abort_handle();
            let ended = async move {
                life.await.map_err(|error| match error.try_into_panic() {
                    Ok(payload) => payload,
                    Err(error) => Box::new(error.to_string()) as Box<dyn Any + Send>,
                })
            };
            (ended, Some(abort))
        })
    }

    /// Starts a task on a thread of its own, for work that blocks. `start` is called for each life. Such a task cannot be
    /// cancelled: one that hangs ends the service.
    pub fn spawn_thread<F>(&self, name: &str, policy: TaskPolicy, start: F) -> TaskHandle
    where
        F: Fn(&Pulse) -> Result<(), String> + Send + Sync + 'static,
    {
        let (start, thread_name) = (Arc::new(start), name.to_owned());
        self.own(name, policy, move |pulse| {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let start = Arc::clone(&start);
            let run = move || {
                let end = catch_unwind(AssertUnwindSafe(|| start(&pulse)));
                // Nobody receives where the service has ended meanwhile.
                let _ = sender.send(end);
            };
            #[expect(clippy::disallowed_methods, reason = "its owner waits for it")]
            let spawned = std::thread::Builder::new().name(thread_name.clone()).spawn(run);
            let ended = async move {
                match spawned {
                    Ok(_) => {
                        receiver.await.unwrap_or_else(|_| Ok(Err("its thread is gone".to_owned())))
                    }
                    Err(error) => Ok(Err(format!("its thread cannot be started: {error}"))),
                }
            };
            (ended, None)
        })
    }

    /// Starts a task of one connection or request, which ends by itself. A panic in it is reported under `name`.
    pub fn spawn_brief(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let shared = Arc::clone(&self.0);
        #[expect(clippy::disallowed_methods, reason = "a panic of it is reported")]
        tokio::spawn(async move {
            let caught = AssertUnwindSafe(work).catch_unwind().await;
            if let Err(payload) = caught {
                let failure = TaskFailure {
                    task: name.to_owned(),
                    kind: FailureKind::Panicked,
                    reason: panic_text(&*payload),
                    ends_service: false,
                };
                let shown = (failure.clone(), Instant::now());
                lock(&shared.brief_failures).insert(name.to_owned(), shown);
                shared.observer.task_failed(&failure);
            }
        });
    }

    /// The service ends: from now on tasks may return, and none is started again.
    pub fn stop(&self) {
        self.0.stopping.send_replace(true);
    }

    /// Ends all tasks that still run, except threads.
    pub fn abort_all(&self) {
        self.stop();
        lock(&self.0.owners).iter().for_each(AbortHandle::abort);
    }

    /// All tasks, by name, and the tasks of connections that have panicked lately.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskStatus> {
        let mut all: Vec<TaskStatus> =
            lock(&self.0.tasks).values().map(|task| task.status()).collect();
        let brief = lock(&self.0.brief_failures);
        let shown = brief.values().filter(|(_, at)| at.elapsed() < BRIEF_FAILURE_SHOWN);
        all.extend(shown.map(|(failure, _)| TaskStatus {
            name: failure.task.clone(),
            restarts: 0,
            is_restarted: true,
            problem: Some(failure.describe()),
        }));
        let silent = lock(&self.0.looked).elapsed();
        if silent > WATCHER_SILENCE_MAX {
            all.push(TaskStatus {
                name: "supervisor".to_owned(),
                restarts: 0,
                is_restarted: false,
                problem: Some(format!("it has not looked for {} s", silent.as_secs())),
            });
        }
        all
    }

    /// Starts the owner of a task. `start` begins a life: it returns the end of the life, and what cancels it.
    fn own<S, E>(&self, name: &str, policy: TaskPolicy, start: S) -> TaskHandle
    where
        S: Fn(Pulse) -> (E, Option<AbortHandle>) + Send + 'static,
        E: Future<Output = LifeEnd> + Send + 'static,
    {
        let task = Arc::new(Task::new(name, policy, self.0.faults.of(name)));
        lock(&self.0.tasks).insert(name.to_owned(), Arc::clone(&task));
        tracing::info!(task = name, restarts = task.policy.restarts, "task started");
        self.0.observer.task_started(name);
        let shared = Arc::clone(&self.0);
        #[expect(clippy::disallowed_methods, reason = "the owner of a task calls nothing else")]
        let owner = tokio::spawn(async move { shared.run_lives(&task, start).await });
        lock(&self.0.owners).push(owner.abort_handle());
        TaskHandle { owner }
    }
}

/// Cancels a life when it is dropped, so that none goes on without its owner.
struct CancelOnDrop(Option<AbortHandle>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(life) = &self.0 {
            life.abort();
        }
    }
}

impl Shared {
    /// Lives a task's lives, one after the other.
    async fn run_lives<S, E>(&self, task: &Arc<Task>, start: S)
    where
        S: Fn(Pulse) -> (E, Option<AbortHandle>),
        E: Future<Output = LifeEnd>,
    {
        let mut stopping = self.stopping.subscribe();
        let mut pause = RESTART_PAUSE.0;
        for restarts in 0.. {
            task.begin(restarts);
            let begun = Instant::now();
            let (ended, abort) = start(Pulse(Arc::clone(task)));
            let guard = CancelOnDrop(abort);
            let end = self.end_of_life(task, ended, guard.0.as_ref()).await;
            drop(guard);
            task.rest();
            let is_stopping = *stopping.borrow() || task.may_return();
            match end {
                Some(Ok(Ok(()))) if is_stopping => return,
                Some(end) => self.report(task, task.failure_of(end)),
                // Its silence was told. The end of the service is news.
                None if !task.policy.restarts => {
                    let reason = "it gave no sign of life and was cancelled".to_owned();
                    self.report(task, task.failure(FailureKind::Silent, reason, true));
                }
                None => {}
            }
            if is_stopping || !task.policy.restarts {
                return;
            }
            if is_stable(begun.elapsed()) {
                pause = RESTART_PAUSE.0;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // A sender that is gone is a service that has ended.
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
            pause = (pause * 2).min(RESTART_PAUSE.1);
        }
    }

    /// Waits for the end of a life. `None` where it was silent and was cancelled, or where the service stops before that.
    async fn end_of_life(
        &self,
        task: &Task,
        ended: impl Future<Output = LifeEnd>,
        abort: Option<&AbortHandle>,
    ) -> Option<LifeEnd> {
        let mut ended = std::pin::pin!(ended);
        // A life before this one may have ended when it was to be cancelled.
        let _ = task.cancel.notified().now_or_never();
        tokio::select! {
            end = &mut ended => return Some(end),
            () = task.cancel.notified(), if abort.is_some() => {}
        }
        abort.inspect(|life| life.abort());
        let mut stopping = self.stopping.subscribe();
        // A task that computes without a pause is not cancelled. The watcher finds that it is lost.
        tokio::select! {
            _ = &mut ended => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        None
    }

    /// Tells of a failure.
    fn report(&self, task: &Task, failure: TaskFailure) {
        task.set_failure(failure.clone());
        if failure.ends_service {
            lock(&self.exit_at).get_or_insert(Instant::now() + END_TIME_MAX);
        }
        self.observer.task_failed(&failure);
    }

    /// Looks for silent tasks.
    fn look(&self) {
        let since = std::mem::replace(&mut *lock(&self.looked), Instant::now()).elapsed();
        let tasks: Vec<Arc<Task>> = lock(&self.tasks).values().cloned().collect();
        if since > FROZEN_AFTER {
            tasks.iter().for_each(|task| task.note_alive());
            return;
        }
        if lock(&self.exit_at).is_some_and(|at| Instant::now() >= at) {
            self.observer.end_is_overdue();
        }
        if *self.stopping.borrow() {
            return;
        }
        for task in tasks {
            if let Some(failure) = task.check_silence() {
                self.report(&task, failure);
                task.cancel.notify_one();
            } else if task.is_newly_lost() {
                let reason = "it gives no sign of life and cannot be cancelled".to_owned();
                self.report(&task, task.failure(FailureKind::Silent, reason, true));
            }
        }
    }
}

/// Runs `work`, which blocks, off the threads of async tasks, and waits for it: its caller sees how it ends.
///
/// # Errors
/// The work panicked; the text says why.
pub async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    #[expect(clippy::disallowed_methods, reason = "the caller waits for it and sees its end")]
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|error| match error.try_into_panic() {
        Ok(payload) => format!("it panicked: {}", panic_text(&*payload)),
        Err(error) => error.to_string(),
    })
}

#[cfg(test)]
mod tests;
