//! `trailhound serve`: follows the sources, runs the rules after each commit, delivers findings,
//! creates reports, and serves health, metrics and queries.

mod account_watch;
mod delivery;
mod detector;
mod health;
mod http;
mod maintenance;
mod metrics;
mod monitor;
mod report_scheduler;
mod rule_folder;

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use crate::query_server::{self, QueryServer};
use delivery::DeliveryWorkers;
use detector::{Detector, RuleVersions};
use futures::FutureExt;
use health::Health;
use maintenance::Maintenance;
use metrics::Metrics;
use monitor::Monitor;
use report_scheduler::ReportScheduler;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::task::JoinHandle;
use trailhound_ingest::Clock;
use trailhound_ingest::lake::{Lake, Lease};
use trailhound_ingest::live::{self, LiveOptions, Observer};

/// Runs the service until a signal ends it.
///
/// # Errors
/// [`Failure`]: the configuration is wrong, the lake cannot be opened, or a part of the service
/// fails for good.
pub(crate) async fn run(config: &Config, folder: &Path) -> Result<Exit, Failure> {
    let options = config.live_options()?;
    let lake = lake::create_or_open(folder, config).await?;
    let (sinks, routes) = config.sinks()?;
    let routes = Arc::new(routes);
    let scheduler = report_scheduler(config, &lake, folder, &options.clock)?;
    let clock = Arc::clone(&options.clock);
    let detector = Detector::new(config, lake.clone(), clock, Arc::clone(&routes)).await?;
    let rules = detector.rules();
    let monitor = Arc::new(new_monitor(&rules, &options, config.unread_max()));
    let mut tasks = start_servers(config, &lake, folder, &options.clock, &monitor).await?;
    let ingest_ended = Arc::new(AtomicBool::new(false));
    let detection = start_detection(detector, &monitor, &ingest_ended);
    let maintenance = new_maintenance(config, &lake, rules, &options);
    let maintenance = maintenance::run(maintenance, Arc::clone(&monitor));
    tasks.push(spawn_part("maintenance", &monitor, maintenance));
    let scheduler = report_scheduler::run(scheduler, Arc::clone(&monitor));
    tasks.push(spawn_part("reports", &monitor, scheduler));
    let delivery = DeliveryWorkers::start(&lake, sinks, &routes, &options.clock, &monitor);
    let stop = Arc::new(AtomicBool::new(false));
    tasks.push(tokio::spawn(handle_signals(Arc::clone(&stop))));
    let observer = Arc::clone(&monitor) as Arc<dyn Observer>;
    let ingested = live::run(&lake, options, observer, stop).await;
    // The last commit is detected in before detection ends, and its findings are delivered before
    // delivery ends.
    ingest_ended.store(true, Ordering::Relaxed);
    monitor.events_committed.notify_one();
    let detected = detection.await.map_err(Failure::internal)?;
    delivery.end().await?;
    tasks.iter().for_each(JoinHandle::abort);
    lake.fold_log().await;
    ingested.map_err(Failure::from)?;
    detected?;
    Ok(Exit::Success)
}

/// Starts a part that runs as long as the service. Where a bug ends it, the log and `/readyz` say so: the others run on.
fn spawn_part(
    name: &'static str,
    monitor: &Arc<Monitor>,
    part: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let monitor = Arc::clone(monitor);
    tokio::spawn(async move {
        if AssertUnwindSafe(part).catch_unwind().await.is_err() {
            tracing::error!(
                part = name,
                "a part of the service has ended because of a bug; restart the service"
            );
            monitor.health.part_ended(name);
        }
    })
}

fn new_monitor(
    rules: &RwLock<RuleVersions>,
    options: &LiveOptions,
    unread_max: Duration,
) -> Monitor {
    let rules = rules.read().unwrap_or_else(PoisonError::into_inner);
    let metrics = Metrics::new(rules.iter().map(|(id, _)| id.as_str()));
    let topics = options.kafka.iter().map(|kafka| &kafka.name);
    metrics.init_sources(topics.chain(options.oss.iter().map(|oss| &oss.name)));
    Monitor::new(metrics, Health::new(options, unread_max), Arc::clone(&options.clock))
}

/// Starts the HTTP server and, where it is configured, the PostgreSQL server.
async fn start_servers(
    config: &Config,
    lake: &Lake,
    folder: &Path,
    clock: &Clock,
    monitor: &Arc<Monitor>,
) -> Result<Vec<JoinHandle<()>>, Failure> {
    let listener = http::bind(config.listen()).await?;
    printer::message(&format!(
        "serving on http://{}; lake: {}",
        http::local_address(&listener),
        folder.display()
    ));
    let query_server = Arc::new(QueryServer::new(
        lake.clone(),
        config.path().map(Path::to_owned),
        config.query_bounds(),
        Arc::clone(clock),
        monitor.metrics.queries.clone(),
    ));
    let query_routes =
        config.query_token()?.map(|token| query_server::router(Arc::clone(&query_server), token));
    let mut tasks = Vec::new();
    if let Some(endpoint) = config.postgres_endpoint()? {
        let listener = http::bind(endpoint.listen).await?;
        printer::message(&format!(
            "answering PostgreSQL clients on {}",
            http::local_address(&listener)
        ));
        tasks.push(tokio::spawn(query_server::serve_postgres(listener, query_server)));
    }
    tasks.push(tokio::spawn(http::serve(listener, Arc::clone(monitor), query_routes)));
    Ok(tasks)
}

/// Starts detection on a thread of its own. Detection allocates and frees much memory in each run,
/// and the allocator keeps some of it for every thread that has done so.
fn start_detection(
    detector: Detector,
    monitor: &Arc<Monitor>,
    ingest_ended: &Arc<AtomicBool>,
) -> JoinHandle<Result<(), Failure>> {
    let runtime = tokio::runtime::Handle::current();
    let (monitor, ingest_ended) = (Arc::clone(monitor), Arc::clone(ingest_ended));
    tokio::task::spawn_blocking(move || {
        runtime.block_on(detector::run(detector, monitor, ingest_ended))
    })
}

fn new_maintenance(
    config: &Config,
    lake: &Lake,
    rules: Arc<RwLock<RuleVersions>>,
    options: &LiveOptions,
) -> Maintenance {
    Maintenance {
        lake: lake.clone(),
        rules,
        // The name is stored in the lake, where members of other versions look for it.
        lease: Lease::new("upkeep"),
        retention_days: options.retention_days,
        interval: config.maintenance_interval(),
        clock: Arc::clone(&options.clock),
    }
}

fn report_scheduler(
    config: &Config,
    lake: &Lake,
    folder: &Path,
    clock: &Clock,
) -> Result<ReportScheduler, Failure> {
    Ok(ReportScheduler {
        lake: lake.clone(),
        reports: config.reports()?,
        clock: Arc::clone(clock),
        program: std::env::current_exe().map_err(Failure::internal)?,
        config: config.path().map(Path::to_owned),
        folder: folder.to_owned(),
    })
}

/// Handles SIGTERM and SIGINT. The first signal sets `stop`, for a graceful shutdown. The second
/// signal exits at once. No data is lost, because the lake stores the positions of the sources.
async fn handle_signals(stop: Arc<AtomicBool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    for received in 0.. {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if received > 0 {
            std::process::exit(i32::from(Exit::Internal.status()));
        }
        tracing::info!("ending: committing staged records");
        stop.store(true, Ordering::Relaxed);
    }
}
