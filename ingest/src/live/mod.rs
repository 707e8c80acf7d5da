//! Source -> decode -> batch -> lake without end: follows topics, commits every little while, and goes on where the lake
//! says it is, whatever happened in between.
//!
//! One thread owns everything that is not committed yet. When a commit fails for whatever reason, all of that is thrown
//! away and read again from the positions in the lake; there is no other repair.

mod engine;
mod follow;
mod intake;
mod objects;
mod partition;
mod topics;

use crate::decode::Limits;
use crate::lake::{CatalogError, Lake, WriterLock};
use crate::ledger::Ledger;
use crate::source::kafka::KafkaOptions;
use crate::source::oss::{OssError, OssOptions};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use thiserror::Error;

/// The present, microseconds since 1970 UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What to follow, and how often to commit.
#[derive(Clone)]
pub struct LiveOptions {
    /// Bounds on what one message or object may cost.
    pub limits: Limits,
    /// Event keys held between commits, about 25 bytes each.
    pub keys_max: usize,
    /// Topics to follow.
    pub kafka: Vec<KafkaOptions>,
    /// Buckets to follow.
    pub oss: Vec<OssOptions>,
    /// A record waits at most this long for its commit.
    pub flush_age_max: Duration,
    /// Events staged before a commit, whatever their age.
    pub flush_rows_max: u64,
    /// Events older than this many days are counted as expired and not stored.
    pub retention_days: Option<u32>,
    /// Dates the rows.
    pub clock: Clock,
}

/// A commit that was made.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The lake's newest snapshot.
    pub snapshot: i64,
    /// What the commit holds.
    pub ledger: Ledger,
    /// How long closing files and committing took.
    pub took: Duration,
    /// How long its first record had waited for it before.
    pub waited: Duration,
    /// Messages the broker holds beyond what is stored, where it says so.
    pub lag: u64,
    /// How old the newest message in it was, while the broker holds more; else zero.
    pub behind: Duration,
}

/// Told what the live ingest does. Called on its thread; must not block.
pub trait Observer: Send + Sync {
    /// Once a turn, some times a second.
    fn alive(&self) {}
    /// After each commit.
    fn committed(&self, commit: &Committed);
    /// The lake refused a commit because somebody else had moved the positions; its records are read again.
    fn refused(&self, reason: &str);
    /// Nothing can be committed for this reason; `None` when it can again.
    fn stalled(&self, reason: Option<&str>);
    /// A source is in trouble for this reason; `None` when it is well again.
    fn source(&self, name: &str, trouble: Option<&str>);
    /// Records between two offsets of a partition can no longer be read.
    fn gap(&self, source: &str, object: &str, from: u64, to: u64, reason: &str);
}

/// Why the live ingest ended.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The lake could not be opened or locked.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The settings of a source are wrong.
    #[error("source `{source_name}`: {reason}")]
    Settings {
        /// The source.
        source_name: String,
        /// What its client says.
        reason: String,
    },
    /// A thread died.
    #[error("the live ingest broke off inside; nothing uncommitted was kept. {0}")]
    Internal(String),
}

/// Follows the sources until `stop` is set, then commits what it has and returns.
///
/// # Errors
/// [`LiveError`] where it cannot begin. Trouble while running is told to `observer` and waited out.
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
    for oss in &options.oss {
        let wrong = |e: OssError| LiveError::Settings {
            source_name: oss.name.clone(),
            reason: e.to_string(),
        };
        buckets.push(follow::begin(oss, lake, &options.clock, &observer).map_err(wrong)?);
    }
    let lake_there = lake.clone();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("ingest".to_owned())
        .spawn(move || {
            let ended = engine::run(&lake_there, &runtime, &options, buckets, &*observer, &stop);
            let _ = sender.send(ended);
        })
        .map_err(|e| LiveError::Internal(e.to_string()))?;
    receiver.await.map_err(|_| LiveError::Internal("its thread panicked".to_owned()))??;
    lock.release()?;
    Ok(())
}
