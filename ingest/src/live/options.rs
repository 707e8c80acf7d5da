//! Options, observer and errors of the live ingest.

use crate::clock::{CheckedClock, Clock};
use crate::decode::DecodeLimits;
use crate::fact_counts::SourceFacts;
use crate::lake::CatalogError;
use crate::ledger::Ledger;
use crate::source::kafka::KafkaOptions;
use crate::source::oss::OssOptions;
use crate::survey::SourceSurvey;
use std::time::Duration;
use thiserror::Error;

/// Options of a live ingest: the sources, and how often to commit.
#[derive(Clone)]
pub struct LiveOptions {
    /// Limits for the decoding of one message or object.
    pub limits: DecodeLimits,
    /// Event keys held in memory between commits, about 25 bytes each.
    pub keys_max: usize,
    /// Topics to follow.
    pub kafka: Vec<KafkaOptions>,
    /// Buckets to follow.
    pub oss: Vec<OssOptions>,
    /// Longest time that a record waits for its commit.
    pub flush_age_max: Duration,
    /// Number of records after which a commit is due, regardless of their age.
    pub flush_rows_max: u64,
    /// Interval between two looks at a topic: what the broker holds, and what of it is read.
    pub survey_interval: Duration,
    /// Events older than this many days are counted as expired and not stored, once the time is confirmed.
    pub retention_days: Option<u32>,
    /// Clock for the ingest time of rows.
    pub clock: Clock,
    /// The same clock, which also says whether the time is sure enough to leave out old events.
    pub checked_clock: CheckedClock,
}

/// A commit that was made.
#[derive(Debug, Clone)]
pub struct CommitSummary {
    /// The lake's newest snapshot.
    pub snapshot: i64,
    /// Records of the commit by outcome.
    pub ledger: Ledger,
    /// The facts of the events of the commit.
    pub facts: SourceFacts,
    /// Time that closing files and committing took.
    pub took: Duration,
    /// Time that the first record of the commit had waited before.
    pub waited: Duration,
    /// Messages that the brokers hold beyond the stored ones, as far as they report it.
    pub lag: u64,
    /// Age of the newest message in the commit while the broker holds more; zero otherwise.
    pub behind: Duration,
}

/// Receives the events of a live ingest. Called on its thread; must not block.
pub trait Observer: Send + Sync {
    /// The ingest is running. Called several times a second.
    fn alive(&self) {}
    /// A commit was made.
    fn committed(&self, commit: &CommitSummary);
    /// The lake refused a commit because another writer has moved the positions. The records are read again.
    fn refused(&self, reason: &str);
    /// The lake cannot be used, for this reason; `None` when it can be used again.
    fn stalled(&self, reason: Option<&str>);
    /// A source cannot be read, for this reason; `None` when it can be read again.
    fn source(&self, name: &str, trouble: Option<&str>);
    /// What was seen of a source at a look at it.
    fn surveyed(&self, _name: &str, _survey: &SourceSurvey) {}
    /// Records of a partition, from the offset `from` up to and excluding `to`, can no longer be read.
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
        /// Error of the source's client.
        reason: String,
    },
    /// A thread panicked.
    #[error("the live ingest failed because of a bug; nothing uncommitted was stored. {0}")]
    Internal(String),
}
