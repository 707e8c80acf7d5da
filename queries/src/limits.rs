//! Resource limits of a query, and the errors of a session.

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use std::time::Duration;
use thiserror::Error;

/// Bytes that a query may spill to disk by default.
const DEFAULT_SPILL_BYTES_MAX: u64 = 16 << 30;

/// The resources that one query may use.
#[derive(Debug, Clone)]
pub struct QueryLimits {
    /// Memory for sorts, joins and aggregations, in bytes.
    pub memory_bytes_max: usize,
    /// Bytes that sorts, joins and aggregations may spill to disk.
    pub spill_bytes_max: u64,
    /// Number of threads.
    pub threads: usize,
    /// Maximum number of rows that a rule may return. A rule that returns more rows is stopped,
    /// because no analyst could read its findings.
    pub rows_max: usize,
    /// Time that a rule may run.
    pub time_max: Duration,
}

impl QueryLimits {
    /// Limits for rules that run inside the service, beside its other work: one thread, one million
    /// rows, one minute.
    #[must_use]
    pub const fn for_service(memory_bytes_max: usize) -> Self {
        Self {
            memory_bytes_max,
            spill_bytes_max: DEFAULT_SPILL_BYTES_MAX,
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
            spill_bytes_max: DEFAULT_SPILL_BYTES_MAX,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            rows_max: 10_000_000,
            time_max: Duration::from_secs(3600),
        }
    }
}

/// Why a session could not be created or a statement could not be run.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The statement does more than read.
    #[error(
        "only statements that read are allowed here: SELECT, WITH, EXPLAIN, SHOW, DESCRIBE. {0}"
    )]
    NotReadOnly(String),
    /// The query engine returned an error.
    #[error("{}", .0.strip_backtrace())]
    Engine(#[from] DataFusionError),
    /// The lake has no such snapshot: it never existed or has expired.
    #[error(
        "there is no snapshot {0}; `trailhound lake info` shows the newest, and older snapshots expire"
    )]
    Snapshot(String),
    /// The query returned more rows than [`QueryLimits::rows_max`], which is the value here.
    #[error("the query returned more than {0} rows and was stopped")]
    TooManyRows(usize),
    /// The query ran longer than [`QueryLimits::time_max`], which is the value here.
    #[error("the query had not finished after {} s and was stopped", .0.as_secs())]
    TooLong(Duration),
}

/// Collects the rows of `stream` and stops at the row and time limits.
///
/// # Errors
/// [`SessionError::TooManyRows`], [`SessionError::TooLong`], and errors of the query engine.
pub async fn collect_within_limits(
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
