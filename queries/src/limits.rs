//! Limits of a query, and the errors of a session: what every room above this one stops for.

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use std::time::Duration;
use thiserror::Error;

/// Bytes that a query may put on disk where nothing else is said.
const SPILL_BYTES_MAX: u64 = 16 << 30;

/// What a query may use.
#[derive(Debug, Clone)]
pub struct QueryLimits {
    /// Memory of sorts, joins and aggregations, in bytes.
    pub memory_bytes_max: usize,
    /// Bytes that they may put on disk.
    pub spill_bytes_max: u64,
    /// Threads.
    pub threads: usize,
    /// Rows that a rule may give: one that gives more tells nobody anything.
    pub rows_max: usize,
    /// Time that a rule may take.
    pub time_max: Duration,
}

impl QueryLimits {
    /// Limits of a service that has other work to do.
    #[must_use]
    pub const fn of_service(memory_bytes_max: usize) -> Self {
        Self {
            memory_bytes_max,
            spill_bytes_max: SPILL_BYTES_MAX,
            threads: 1,
            rows_max: 1_000_000,
            time_max: Duration::from_secs(60),
        }
    }
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 1 << 30,
            spill_bytes_max: SPILL_BYTES_MAX,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            rows_max: 10_000_000,
            time_max: Duration::from_secs(3600),
        }
    }
}

/// Why a session could not be made or a statement not run.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The statement is not one that reads.
    #[error(
        "only statements that read are allowed here: SELECT, WITH, EXPLAIN, SHOW, DESCRIBE. {0}"
    )]
    NotReadOnly(String),
    /// The engine said no.
    #[error("{}", .0.strip_backtrace())]
    Engine(#[from] DataFusionError),
    /// A state of the lake that there was never or is no more.
    #[error(
        "there is no snapshot {0}; `trailhound lake info` tells the newest, and older ones are forgotten after a while"
    )]
    Snapshot(String),
    /// A rule gives more rows than anybody would look at.
    #[error("it gives more than {0} rows; it was stopped")]
    TooManyRows(usize),
    /// A rule does not end.
    #[error("it had not ended after {} s; it was stopped", .0.as_secs())]
    TooLong(Duration),
}

/// What a query gives, as far as `limits` go.
///
/// # Errors
/// [`SessionError::TooManyRows`], [`SessionError::TooLong`], and what the engine says.
pub async fn bounded(
    mut stream: SendableRecordBatchStream,
    limits: &QueryLimits,
) -> Result<Vec<RecordBatch>, SessionError> {
    let all = async {
        let (mut batches, mut rows) = (Vec::new(), 0);
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            rows += batch.num_rows();
            if rows > limits.rows_max {
                return Err(SessionError::TooManyRows(limits.rows_max));
            }
            batches.push(batch);
        }
        Ok(batches)
    };
    tokio::time::timeout(limits.time_max, all)
        .await
        .unwrap_or(Err(SessionError::TooLong(limits.time_max)))
}
