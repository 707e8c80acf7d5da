//! The protocol between the service and a query worker: one line of JSON in each direction. The
//! worker writes the rows to its standard output, which the service has redirected to a file.

use crate::config::QueryBounds;
use crate::row_writer::RowFormat;
use serde::{Deserialize, Serialize};
use trailhound_queries::session::AsOf;
use trailhound_queries::sql_guard::{ParameterValues, QueryError, QueryErrorCode, SqlPosition};

/// A query for the worker, on its standard input.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerRequest {
    /// The statement.
    pub(crate) sql: String,
    /// Values of the parameters of the query.
    pub(crate) values: ParameterValues,
    /// Format of the rows.
    pub(crate) format: RowFormat,
    /// The snapshot of the lake to query.
    pub(crate) as_of: AsOf,
    /// Name of the time zone of the statement; `None` is that of the configuration.
    pub(crate) time_zone: Option<String>,
    /// Resource limits of the query.
    pub(crate) bounds: QueryBounds,
}

/// The result of a query, on the standard error of the worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkerOutcome {
    /// The rows are written to standard output.
    Answered {
        /// Number of rows.
        rows: u64,
    },
    /// The query was refused or failed.
    Refused {
        /// Name of the error code.
        code: String,
        /// The error message.
        message: String,
        /// Line in the statement, from 1.
        line: Option<u64>,
        /// Column in the line, from 1.
        column: Option<u64>,
    },
}

impl From<QueryError> for WorkerOutcome {
    fn from(refused: QueryError) -> Self {
        let QueryError { code, message, position } = refused;
        let (line, column) = position.map(|SqlPosition { line, column }| (line, column)).unzip();
        Self::Refused { code: code.name().to_owned(), message, line, column }
    }
}

impl WorkerOutcome {
    /// A refusal without a position in the statement.
    pub(crate) fn refused(code: QueryErrorCode, message: impl Into<String>) -> Self {
        QueryError::new(code, message).into()
    }
}
