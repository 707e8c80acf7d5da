//! The tasks of the service: their names, how long each may be silent, and whether it is started again.

use super::alarms::AlarmStore;
use super::clock_watch::ClockWatch;
use super::detector::{self, Detector};
use super::http::HttpServer;
use super::maintenance::{self, Maintenance};
use super::monitor::Monitor;
use super::report_scheduler::{ReportScheduler, SchedulerRun};
use super::verifier::{self, Verifier};
use crate::exit::{Exit, Failure};
use crate::query_server::PostgresServer;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;
use trailhound_ingest::supervisor::{Pulse, Supervisor, TaskHandle, TaskPolicy};

/// Servers accept connections all the time.
const SERVER_SILENCE_MAX: Duration = Duration::from_secs(60);
/// A run of detection gives signs of life while it reads; a rule runs between two of them.
const DETECTION_SILENCE_MAX: Duration = Duration::from_secs(900);
/// Merging the files of a large day takes long.
const MAINTENANCE_SILENCE_MAX: Duration = Duration::from_secs(3600);
/// Reading one large file again takes long; a pause gives signs of life.
const VERIFIER_SILENCE_MAX: Duration = Duration::from_secs(3600);
/// Looking for due reports is short; a report is made by another process.
const REPORTS_SILENCE_MAX: Duration = Duration::from_secs(300);
/// Storing a finding waits for the catalog.
const ALARMS_SILENCE_MAX: Duration = Duration::from_secs(120);
/// Other clocks answer within seconds, or not at all.
const CLOCK_SILENCE_MAX: Duration = Duration::from_secs(120);
/// The task that waits for signals does nothing else.
const SIGNALS_SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long the end of the service waits for the catalog to take the last findings about the service.
const LAST_ALARMS_TIME_MAX: Duration = Duration::from_secs(5);

/// Starts the tasks of the service.
pub(super) struct ServiceTasks {
    pub(super) supervisor: Supervisor,
    pub(super) monitor: Arc<Monitor>,
}

/// Detection, which was started.
pub(super) struct DetectionTask {
    task: TaskHandle,
    failure: Arc<BlockingMutex<Option<Failure>>>,
}

impl DetectionTask {
    /// Waits for the last run.
    ///
    /// # Errors
    /// The [`Failure`] of that run.
    pub(super) async fn ended(self) -> Result<(), Failure> {
        self.task.ended().await;
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(()), Err)
    }
}

/// The task that stores findings about the service, which was started.
pub(super) struct AlarmTask(Arc<AlarmStore>);

impl AlarmTask {
    /// Stores what waits, when the service ends.
    pub(super) async fn store_last(&self) {
        let stored = tokio::time::timeout(LAST_ALARMS_TIME_MAX, self.0.store_waiting()).await;
        if !matches!(stored, Ok(Ok(()))) {
            tracing::warn!("the last findings about the service are not stored; the log has them");
        }
    }
}

impl ServiceTasks {
    /// Starts to store the findings about the service.
    pub(super) fn start_alarms(&self, store: AlarmStore) -> AlarmTask {
        let store = Arc::new(store);
        let stores = Arc::clone(&store);
        let policy = TaskPolicy::restarting(ALARMS_SILENCE_MAX);
        self.supervisor.spawn("health findings", policy, move |pulse| {
            let store = Arc::clone(&stores);
            async move { store.run(&pulse).await }
        });
        AlarmTask(store)
    }

    /// Starts to watch the clock.
    pub(super) fn start_clock(&self, watch: ClockWatch) {
        let watch = Arc::new(watch);
        let policy = TaskPolicy::restarting(CLOCK_SILENCE_MAX);
        self.supervisor.spawn("clock", policy, move |pulse| {
            let watch = Arc::clone(&watch);
            async move { watch.run(&pulse).await }
        });
    }

    /// Starts the HTTP server.
    pub(super) fn start_http(&self, server: HttpServer) {
        let server = Arc::new(server);
        let policy = TaskPolicy::restarting(SERVER_SILENCE_MAX);
        self.supervisor.spawn("http", policy, move |pulse| {
            let server = Arc::clone(&server);
            async move { server.accept(&pulse).await }
        });
    }

    /// Starts the PostgreSQL server.
    pub(super) fn start_postgres(&self, server: PostgresServer) {
        let server = Arc::new(server);
        let policy = TaskPolicy::restarting(SERVER_SILENCE_MAX);
        self.supervisor.spawn("postgresql", policy, move |pulse| {
            let server = Arc::clone(&server);
            async move { server.accept(&pulse).await }
        });
    }

    /// Starts detection on a thread of its own. Detection allocates and frees much memory in each run,
    /// and the allocator keeps some of it for every thread that has done so.
    pub(super) fn start_detection(
        &self,
        detector: Detector,
        ingest_ended: &Arc<AtomicBool>,
    ) -> DetectionTask {
        let runtime = tokio::runtime::Handle::current();
        let (monitor, ended) = (Arc::clone(&self.monitor), Arc::clone(ingest_ended));
        let failure = Arc::<BlockingMutex<Option<Failure>>>::default();
        let last_failure = Arc::clone(&failure);
        // One life after the other goes on with the same detector.
        let detector = Mutex::new(detector);
        let policy = TaskPolicy::restarting(DETECTION_SILENCE_MAX).until(ingest_ended);
        let task = self.supervisor.spawn_thread("detection", policy, move |pulse| {
            let detected = runtime.block_on(async {
                let mut detector = detector.lock().await;
                detector::run(&mut detector, &monitor, &ended, pulse).await
            });
            let Err(failed) = detected else { return Ok(()) };
            let reason = failed.to_string();
            if matches!(failed, Failure::Output(_)) {
                monitor.end_service(format!("findings cannot be printed: {reason}"));
            }
            *last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
            Err(reason)
        });
        DetectionTask { task, failure }
    }

    /// Starts the maintenance of the lake.
    pub(super) fn start_maintenance(&self, maintenance: Maintenance) {
        let silence_max = maintenance.interval.saturating_add(MAINTENANCE_SILENCE_MAX);
        let (maintenance, monitor) = (Arc::new(maintenance), Arc::clone(&self.monitor));
        let policy = TaskPolicy::restarting(silence_max);
        self.supervisor.spawn("maintenance", policy, move |pulse| {
            let (maintenance, monitor) = (Arc::clone(&maintenance), Arc::clone(&monitor));
            async move { maintenance::run(&maintenance, &monitor, &pulse).await }
        });
    }

    /// Starts to read the lake's files again.
    pub(super) fn start_verifier(&self, verifier: Verifier) {
        let (verifier, monitor) = (Arc::new(verifier), Arc::clone(&self.monitor));
        let policy = TaskPolicy::restarting(VERIFIER_SILENCE_MAX);
        self.supervisor.spawn("verifier", policy, move |pulse| {
            let (verifier, monitor) = (Arc::clone(&verifier), Arc::clone(&monitor));
            async move { verifier::run(&verifier, &monitor, &pulse).await }
        });
    }

    /// Starts the scheduled reports, if there are any.
    pub(super) fn start_reports(&self, scheduler: ReportScheduler) {
        if scheduler.reports.is_empty() {
            return;
        }
        let run = Arc::new(Mutex::new(SchedulerRun::new(scheduler, Arc::clone(&self.monitor))));
        let policy = TaskPolicy::restarting(REPORTS_SILENCE_MAX);
        self.supervisor.spawn("reports", policy, move |pulse| {
            let run = Arc::clone(&run);
            async move { run.lock().await.run(&pulse).await }
        });
    }

    /// Starts to handle SIGTERM and SIGINT.
    pub(super) fn start_signals(&self) {
        let stop = Arc::clone(&self.monitor.stop);
        let policy = TaskPolicy::restarting(SIGNALS_SILENCE_MAX);
        let open = || {
            let open = |kind| signal(kind).map_err(|e| format!("no signal is received: {e}"));
            Ok::<_, String>((open(SignalKind::terminate())?, open(SignalKind::interrupt())?))
        };
        // From here on a signal ends nothing at once, before the task runs as well.
        let first = BlockingMutex::new(Some(open()));
        self.supervisor.spawn("signals", policy, move |pulse| {
            let stop = Arc::clone(&stop);
            let opened = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            async move {
                let signals = opened.unwrap_or_else(open)?;
                handle_signals(signals, &stop, &pulse).await
            }
        });
    }
}

/// Handles signals. The first one sets `stop`, for a graceful shutdown. The second
/// signal exits at once. No data is lost, because the lake stores the positions of the sources.
async fn handle_signals(
    (mut terminate, mut interrupt): (Signal, Signal),
    stop: &AtomicBool,
    pulse: &Pulse,
) -> Result<(), String> {
    loop {
        pulse.worked();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = pulse.sleep(SIGNALS_SILENCE_MAX / 4) => continue,
        }
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(Exit::Internal.status()));
        }
        tracing::info!("ending: committing staged records");
    }
}
