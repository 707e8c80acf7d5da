//! `trailhound serve`: follows the sources, runs the rules after each commit, delivers findings,
//! creates reports, and serves health, metrics and queries.

mod account_watch;
mod alarm_queue;
mod alarms;
mod clock_watch;
mod delivery;
mod detector;
mod health;
mod http;
mod maintenance;
mod metrics;
mod monitor;
mod report_scheduler;
mod rule_folder;
mod tasks;
mod verifier;

use crate::arguments::TestSwitches;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use crate::query_server::{self, PostgresServer, QueryServer};
use alarms::AlarmStore;
use clock_watch::ClockWatch;
use delivery::DeliveryWorkers;
use detector::{Detector, RuleVersions};
use health::Health;
use http::HttpServer;
use maintenance::Maintenance;
use metrics::Metrics;
use monitor::Monitor;
use report_scheduler::ReportScheduler;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tasks::ServiceTasks;
use trailhound_ingest::CheckedClock;
use trailhound_ingest::lake::{Lake, Lease};
use trailhound_ingest::live::{self, LiveOptions, Observer};
use trailhound_ingest::supervisor::{Supervisor, TaskFaults, TaskObserver};
use verifier::Verifier;

/// Runs the service until a signal ends it, or until a task fails without which it cannot go on.
///
/// # Errors
/// [`Failure`]: the configuration is wrong, the lake cannot be opened, or a part of the service
/// fails for good.
pub(crate) async fn run(
    config: &Config,
    folder: &Path,
    test: &TestSwitches,
) -> Result<Exit, Failure> {
    let faults = TaskFaults::parse(&test.test_task).map_err(Failure::Usage)?;
    let checked_clock = config.checked_clock(test.test_clock.clone());
    let options = config.live_options(&checked_clock)?;
    let lake = lake::create_or_open(folder, config).await?;
    // Before any part writes to the catalog.
    lake.refuse_stale_catalog().await?;
    let (sinks, routes) = config.sinks()?;
    let routes = Arc::new(routes);
    let scheduler = report_scheduler(config, &lake, folder, &checked_clock)?;
    let clock = Arc::clone(&options.clock);
    let detector = Detector::new(config, lake.clone(), clock, Arc::clone(&routes)).await?;
    let rules = detector.rules();
    let monitor = Arc::new(new_monitor(&rules, &options, config.unread_max()));
    let observer = Arc::clone(&monitor) as Arc<dyn TaskObserver>;
    let tasks = ServiceTasks {
        supervisor: Supervisor::new(observer, faults).map_err(Failure::internal)?,
        monitor: Arc::clone(&monitor),
    };
    tasks.start_signals();
    start_servers(config, &lake, folder, &checked_clock, &tasks).await?;
    let alarms = tasks.start_alarms(AlarmStore {
        lake: lake.clone(),
        routes: Arc::clone(&routes),
        clock: Arc::clone(&options.clock),
        monitor: Arc::clone(&monitor),
    });
    tasks.start_clock(ClockWatch {
        clock: checked_clock.clone(),
        lake: lake.clone(),
        stores: options.oss.clone(),
        monitor: Arc::clone(&monitor),
    });
    let ingest_ended = Arc::new(AtomicBool::new(false));
    let detection = tasks.start_detection(detector, &ingest_ended);
    tasks.start_maintenance(new_maintenance(config, &lake, rules, &options));
    tasks.start_reports(scheduler);
    tasks.start_verifier(new_verifier(config, &lake, &options));
    let supervisor = &tasks.supervisor;
    let delivery =
        DeliveryWorkers::start(&lake, sinks, &routes, &checked_clock, &monitor, supervisor);
    let observer = Arc::clone(&monitor) as Arc<dyn Observer>;
    let ingested = live::run(&lake, options, observer, Arc::clone(&monitor.stop), supervisor).await;
    // The last commit is detected in before detection ends, and its findings are delivered before
    // delivery ends.
    supervisor.stop();
    ingest_ended.store(true, Ordering::Relaxed);
    monitor.events_committed.notify_one();
    let detected = detection.ended().await;
    alarms.store_last().await;
    delivery.end().await?;
    supervisor.abort_all();
    lake.fold_log().await;
    ingested.map_err(Failure::from)?;
    if let Some(reason) = monitor.fatal() {
        return Err(Failure::Internal(reason));
    }
    detected?;
    Ok(Exit::Success)
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
    clock: &CheckedClock,
    tasks: &ServiceTasks,
) -> Result<(), Failure> {
    let listener = http::bind(config.listen()).await?;
    printer::message(&format!(
        "serving on http://{}; lake: {}",
        http::local_address(&listener),
        folder.display()
    ));
    let ServiceTasks { monitor, supervisor } = tasks;
    let query_server = Arc::new(QueryServer::new(
        lake.clone(),
        config.path().map(Path::to_owned),
        config.query_bounds(),
        clock.clone(),
        monitor.metrics.queries.clone(),
        supervisor.clone(),
    ));
    let query_routes =
        config.query_token()?.map(|token| query_server::router(Arc::clone(&query_server), token));
    if let Some(endpoint) = config.postgres_endpoint()? {
        let listener = http::bind(endpoint.listen).await?;
        printer::message(&format!(
            "answering PostgreSQL clients on {}",
            http::local_address(&listener)
        ));
        tasks.start_postgres(PostgresServer::new(listener, query_server, endpoint)?);
    }
    let (monitor, supervisor) = (Arc::clone(monitor), supervisor.clone());
    tasks.start_http(HttpServer::new(listener, monitor, query_routes, supervisor));
    Ok(())
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
        clock: options.checked_clock.clone(),
        drop_share_max: config.drop_share_max(),
    }
}

fn new_verifier(config: &Config, lake: &Lake, options: &LiveOptions) -> Verifier {
    Verifier {
        lake: lake.clone(),
        interval: config.maintenance_interval(),
        lease: Lease::new("verifier"),
        clock: Arc::clone(&options.clock),
    }
}

fn report_scheduler(
    config: &Config,
    lake: &Lake,
    folder: &Path,
    clock: &CheckedClock,
) -> Result<ReportScheduler, Failure> {
    Ok(ReportScheduler {
        lake: lake.clone(),
        reports: config.reports()?,
        clock: clock.reader(),
        checked_clock: clock.clone(),
        program: std::env::current_exe().map_err(Failure::internal)?,
        config: config.path().map(Path::to_owned),
        folder: folder.to_owned(),
    })
}
