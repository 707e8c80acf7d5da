//! The live ingest: follows topics and buckets without end, commits at short intervals, and continues from the lake's
//! positions after any failure.
//!
//! One thread owns all uncommitted records. When a commit fails, for any reason, the uncommitted
//! records are discarded and read again from the positions in the lake. There is no other recovery.

mod engine;
mod follow;
mod objects;
mod options;
mod partition;
mod staging_sink;
mod survey_topics;
mod topics;
mod uncommitted;

pub use options::{CommitSummary, LiveError, LiveOptions, Observer};

use crate::lake::{Lake, WriterLock};
use crate::source::oss::{DOWNLOAD_BYTES_MAX, OssError};
use crate::supervisor::{Pulse, Supervisor, TaskPolicy};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use survey_topics::TopicSurveyor;
use tokio::sync::Semaphore;

/// The engine counts as hung after this long without a sign of life. Commits and rebalances are much shorter.
const ENGINE_SILENCE_MAX: Duration = Duration::from_secs(120);
/// A look at the topics of a source takes at most some requests.
const SURVEY_SILENCE_MAX: Duration = Duration::from_secs(600);

/// Follows the sources until `stop` is set, then commits what was read and returns. Its tasks belong to `supervisor`.
///
/// # Errors
/// [`LiveError`] where the ingest cannot start, or where its thread panics. Errors of lake and sources while it runs are
/// reported to `observer`, and the ingest retries.
pub async fn run(
    lake: &Lake,
    options: LiveOptions,
    observer: Arc<dyn Observer>,
    stop: Arc<AtomicBool>,
    supervisor: &Supervisor,
) -> Result<(), LiveError> {
    let lock = WriterLock::take(lake).await?;
    lake.sweep(&lock, (options.clock)()).await?;
    let runtime = tokio::runtime::Handle::current();
    let mut buckets = Vec::new();
    let budget = Arc::new(Semaphore::new(DOWNLOAD_BYTES_MAX));
    for oss in &options.oss {
        let wrong = |e: OssError| LiveError::Settings {
            source_name: oss.name.clone(),
            reason: e.to_string(),
        };
        let tasks = (supervisor, &stop);
        let feed = follow::start(oss, lake, &options.clock, &observer, &budget, tasks);
        buckets.push(feed.map_err(wrong)?);
    }
    start_surveyors(lake, &options, &observer, supervisor, &stop);
    let engine_lake = lake.clone();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let policy = TaskPolicy::vital(ENGINE_SILENCE_MAX).until(&stop);
    // The engine lives once.
    let life = Mutex::new(Some((buckets, sender)));
    supervisor.spawn_thread("ingest", policy, move |pulse: &Pulse| {
        let life = life.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((buckets, sender)) = life else { return Err("it has ended".to_owned()) };
        let observer = &*observer;
        let result = engine::run(&engine_lake, &runtime, &options, buckets, observer, &stop, pulse);
        let told = result.as_ref().copied().map_err(LiveError::to_string);
        // Nobody receives where the caller was cancelled.
        let _ = sender.send(result);
        told
    });
    let ended = receiver.await;
    ended.map_err(|_| LiveError::Internal("its thread panicked".to_owned()))??;
    lock.release()?;
    Ok(())
}

/// Starts to look at the topics of each source.
fn start_surveyors(
    lake: &Lake,
    options: &LiveOptions,
    observer: &Arc<dyn Observer>,
    supervisor: &Supervisor,
    stop: &Arc<AtomicBool>,
) {
    for kafka in &options.kafka {
        let surveyor = Arc::new(TopicSurveyor {
            options: kafka.clone(),
            lake: lake.clone(),
            clock: Arc::clone(&options.clock),
            observer: Arc::clone(observer),
            interval: options.survey_interval,
        });
        let silence_max = options.survey_interval + SURVEY_SILENCE_MAX;
        let policy = TaskPolicy::restarting(silence_max).until(stop);
        let name = format!("survey of {}", kafka.name);
        supervisor.spawn(&name, policy, move |pulse| {
            let surveyor = Arc::clone(&surveyor);
            async move { surveyor.run(&pulse).await }
        });
    }
}
