//! `trailhound serve`: the live ingest, detection after each commit, and what shows how they are.

mod delivery;
mod detector;
mod health;
mod http;
mod maintenance;
mod metrics;
mod reload;
mod schedule;

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use crate::query_server::{self, QueryServer};
use delivery::Deliveries;
use detector::Detector;
use health::Health;
use maintenance::Maintenance;
use metrics::Metrics;
use schedule::Schedule;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use tokio::sync::Notify;
use trailhound_ingest::lake::{Lake, Lease};
use trailhound_ingest::live::{self, CommitSummary, Observer};

/// Runs until a signal asks it to end.
pub(crate) async fn run(config: &Config, folder: &Path) -> Result<Exit, Failure> {
    let options = config.live_options()?;
    let lake = lake::create_or_open(folder, config).await?;
    let (sinks, routes) = config.sinks()?;
    let routes = Arc::new(routes);
    let reports = config.reports()?;
    let detector =
        Detector::new(config, lake.clone(), Arc::clone(&options.clock), Arc::clone(&routes))
            .await?;
    let rules = detector.rules();
    let metrics = Metrics::new(
        rules.read().unwrap_or_else(PoisonError::into_inner).iter().map(|(id, _)| id.as_str()),
    );
    let watch = Arc::new(Watch {
        metrics,
        health: Health::new(&options),
        committed: Notify::new(),
        kept: Notify::new(),
    });
    let stop = Arc::new(AtomicBool::new(false));
    let listener = http::bind(config.listen()).await?;
    printer::talk(&format!(
        "serving on http://{}; lake: {}",
        http::address(&listener),
        folder.display()
    ));
    let doors = QueryServer::new(
        lake.clone(),
        config.path.clone(),
        config.query_bounds(),
        Arc::clone(&options.clock),
        watch.metrics.queries.clone(),
    );
    let doors = Arc::new(doors);
    let door = config.query_token()?.map(|token| query_server::router(Arc::clone(&doors), token));
    let postgres = match config.postgres_door()? {
        Some(door) => {
            let listener = http::bind(door.listen).await?;
            printer::talk(&format!("answering PostgreSQL clients on {}", http::address(&listener)));
            Some(tokio::spawn(query_server::serve_postgres(listener, doors)))
        }
        None => None,
    };
    let served = tokio::spawn(http::serve(listener, Arc::clone(&watch), door));
    // Detection ends after the last commit, not with the signal.
    let ingested = Arc::new(AtomicBool::new(false));
    let maintenance = Maintenance {
        lake: lake.clone(),
        rules,
        lease: Lease::new("upkeep"),
        retention_days: options.retention_days,
        every: config.tidy_every(),
        clock: Arc::clone(&options.clock),
    };
    // On one thread, which takes memory for a run and gives it back: every other would keep some of it.
    let runtime = tokio::runtime::Handle::current();
    let (watched, last) = (Arc::clone(&watch), Arc::clone(&ingested));
    let detecting = tokio::task::spawn_blocking(move || {
        runtime.block_on(detector::run(detector, watched, last))
    });
    let maintained = tokio::spawn(maintenance::run(maintenance, Arc::clone(&watch)));
    let schedule = Schedule {
        lake: lake.clone(),
        reports,
        clock: Arc::clone(&options.clock),
        program: std::env::current_exe().map_err(Failure::internal)?,
        config: config.path.clone(),
        folder: folder.to_owned(),
        watch: Arc::clone(&watch),
    };
    let reporting = tokio::spawn(schedule::run(schedule));
    let deliveries = Deliveries::start(&lake, sinks, &routes, &options.clock, &watch);
    let signals = tokio::spawn(signals(Arc::clone(&stop)));
    let ended =
        live::run(&lake, options, Arc::clone(&watch) as Arc<dyn Observer>, Arc::clone(&stop)).await;
    ingested.store(true, Ordering::Relaxed);
    watch.committed.notify_one();
    let detected = detecting.await.map_err(Failure::internal)?;
    deliveries.end().await?;
    signals.abort();
    maintained.abort();
    reporting.abort();
    served.abort();
    if let Some(postgres) = postgres {
        postgres.abort();
    }
    ended.map_err(Failure::from)?;
    detected?;
    Ok(Exit::Done)
}

/// The first signal asks for an orderly end; the second ends at once, which is as safe: the lake tells where to go on.
async fn signals(stop: Arc<AtomicBool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    for asked in 0.. {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if asked > 0 {
            std::process::exit(i32::from(Exit::Internal.status()));
        }
        tracing::info!("ending: committing what is staged");
        stop.store(true, Ordering::Relaxed);
    }
}

/// Where ingest and detection tell how they are.
struct Watch {
    metrics: Metrics,
    health: Health,
    /// There is something new to detect in.
    committed: Notify,
    /// There is something new to tell.
    kept: Notify,
}

impl Observer for Watch {
    fn alive(&self) {
        self.health.alive();
    }

    fn committed(&self, commit: &CommitSummary) {
        self.metrics.committed(commit);
        self.committed.notify_one();
    }

    fn refused(&self, reason: &str) {
        tracing::warn!(reason, "a commit was refused; its records are read again");
        self.metrics.refused.inc();
    }

    fn stalled(&self, reason: Option<&str>) {
        match reason {
            Some(reason) => tracing::error!(reason, "nothing can be committed; fetching is paused"),
            None => tracing::info!("commits go through again"),
        }
        self.health.stalled(reason);
    }

    fn source(&self, name: &str, trouble: Option<&str>) {
        if !self.health.source(name, trouble) {
            return;
        }
        match trouble {
            Some(trouble) => tracing::warn!(source = name, trouble, "a source is in trouble"),
            None => tracing::info!(source = name, "the source is well"),
        }
    }

    fn gap(&self, source: &str, object: &str, from: u64, to: u64, reason: &str) {
        tracing::error!(
            source,
            object,
            from,
            to,
            reason,
            "records are missing; see `trailhound lake info`"
        );
        self.metrics.gaps.inc();
    }
}
