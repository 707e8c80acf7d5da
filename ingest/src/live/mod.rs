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
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use survey_topics::TopicSurveyor;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Follows the sources until `stop` is set, then commits what was read and returns.
///
/// # Errors
/// [`LiveError`] where the ingest cannot start, or where its thread panics. Errors of lake and sources while it runs are
/// reported to `observer`, and the ingest retries.
pub async fn run(
    lake: &Lake,
    options: LiveOptions,
    observer: Arc<dyn Observer>,
    stop: Arc<AtomicBool>,
) -> Result<(), LiveError> {
    let lock = WriterLock::take(lake)?;
    lake.sweep(&lock).await?;
    let runtime = tokio::runtime::Handle::current();
    let mut buckets = Vec::new();
    let budget = Arc::new(Semaphore::new(DOWNLOAD_BYTES_MAX));
    for oss in &options.oss {
        let wrong = |e: OssError| LiveError::Settings {
            source_name: oss.name.clone(),
            reason: e.to_string(),
        };
        buckets.push(follow::start(oss, lake, &options.clock, &observer, &budget).map_err(wrong)?);
    }
    let surveyors = start_surveyors(lake, &options, &observer);
    let engine_lake = lake.clone();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("ingest".to_owned())
        .spawn(move || {
            let result = engine::run(&engine_lake, &runtime, &options, buckets, &*observer, &stop);
            // Nobody receives where the caller was cancelled.
            let _ = sender.send(result);
        })
        .map_err(|e| LiveError::Internal(e.to_string()))?;
    let ended = receiver.await;
    drop(surveyors);
    ended.map_err(|_| LiveError::Internal("its thread panicked".to_owned()))??;
    lock.release()?;
    Ok(())
}

/// Starts to look at the topics of each source. The tasks end when the set is dropped.
fn start_surveyors(
    lake: &Lake,
    options: &LiveOptions,
    observer: &Arc<dyn Observer>,
) -> JoinSet<()> {
    let mut surveyors = JoinSet::new();
    for kafka in &options.kafka {
        let surveyor = TopicSurveyor {
            options: kafka.clone(),
            lake: lake.clone(),
            clock: Arc::clone(&options.clock),
            observer: Arc::clone(observer),
            interval: options.survey_interval,
        };
        surveyors.spawn(surveyor.run());
    }
    surveyors
}
