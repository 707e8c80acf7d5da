//! Options of an ingest.

use crate::decode::DecodeLimits;

/// Options of an ingest of files.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// Limits for the decoding of one object.
    pub limits: DecodeLimits,
    /// Number of threads that decode and encode.
    pub workers: usize,
    /// Number of events after which a commit is due. After a crash, the next run reads about this
    /// many events again.
    pub flush_rows_max: u64,
    /// Event keys held in memory between commits, about 25 bytes each.
    pub keys_max: usize,
    /// The present, microseconds since 1970 UTC. It dates the rows and decides which event times are out of range.
    pub now_micros: i64,
    /// Events with a time before this are counted as expired and not stored; microseconds since 1970 UTC.
    pub oldest_micros: Option<i64>,
}

impl IngestOptions {
    /// The defaults, with one worker per core. `now_micros` is the present, microseconds since 1970 UTC.
    #[must_use]
    pub fn at(now_micros: i64) -> Self {
        Self {
            limits: DecodeLimits::default(),
            workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            flush_rows_max: 1_000_000,
            keys_max: 2 << 20,
            now_micros,
            oldest_micros: None,
        }
    }
}
