//! What the service and the process that answers say to each other: one line of JSON each way, rows in a file.

use crate::answer::Form;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::session::AsOf;
use trailhound_queries::sql_guard::{ParameterValues, QueryError, QueryErrorCode, SqlPosition};

/// A question with its bounds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// The statement.
    pub(crate) sql: String,
    /// Values of its parameters.
    pub(crate) values: ParameterValues,
    /// The form of the rows.
    pub(crate) form: Form,
    /// Snapshot or time; the newest without.
    pub(crate) as_of: AsOf,
    /// What it may use.
    pub(crate) bounds: Bounds,
}

/// What one question may use.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Bounds {
    /// Seconds from question to answer.
    pub(crate) seconds_max: u64,
    /// Memory of sorts, joins and aggregations, in bytes.
    pub(crate) memory_bytes_max: usize,
    /// Bytes that sorts, joins and aggregations may put on disk.
    pub(crate) spill_bytes_max: u64,
    /// Rows of the answer.
    pub(crate) rows_max: usize,
    /// Bytes of the answer.
    pub(crate) bytes_max: u64,
}

impl Bounds {
    /// The same for the engine.
    pub(crate) fn limits(&self) -> QueryLimits {
        QueryLimits {
            memory_bytes_max: self.memory_bytes_max,
            spill_bytes_max: self.spill_bytes_max,
            threads: 1,
            rows_max: self.rows_max,
            time_max: Duration::from_secs(self.seconds_max),
        }
    }
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The rows are in the file.
    Answered {
        /// How many.
        rows: u64,
    },
    /// There are none, because.
    Refused {
        /// Name of the code.
        code: String,
        /// In words.
        message: String,
        /// Line in the statement.
        line: Option<u64>,
        /// Column there.
        column: Option<u64>,
    },
}

impl From<QueryError> for Outcome {
    fn from(refused: QueryError) -> Self {
        let QueryError { code, message, position } = refused;
        let (line, column) = position.map(|SqlPosition { line, column }| (line, column)).unzip();
        Self::Refused { code: code.name().to_owned(), message, line, column }
    }
}

impl Outcome {
    /// A refusal without a place.
    pub(crate) fn refused(code: QueryErrorCode, message: impl Into<String>) -> Self {
        QueryError::new(code, message).into()
    }
}
