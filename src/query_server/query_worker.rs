//! The worker process that answers one query and ends, `trailhound query-worker`. Whatever a query
//! breaks, it breaks only its worker.

use super::process_limits;
use super::worker_protocol::{WorkerOutcome, WorkerRequest};
use crate::answer::{AnswerError, answer};
use crate::config::{Config, QueryBounds};
use crate::exit::{Exit, Failure};
use crate::printer;
use crate::row_writer::RowLayout;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use trailhound_ingest::lake::find_catalog;
use trailhound_queries::session::Session;
use trailhound_queries::sql_guard::{QueryError, QueryErrorCode, TimeZoneStatement};

/// Reads the request from standard input, writes the rows to standard output and the outcome to
/// standard error.
///
/// # Errors
/// [`Failure::Internal`]: the request cannot be read, or the kernel refuses the limits.
pub(crate) async fn run(config: &Config, lake: &Path) -> Result<Exit, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Failure::internal)?;
    let request: WorkerRequest = serde_json::from_str(&line).map_err(Failure::internal)?;
    process_limits::apply(&request.bounds).map_err(Failure::internal)?;
    let outcome = match run_query(config, lake, &request).await {
        Ok(rows) => WorkerOutcome::Answered { rows: rows as u64 },
        Err(refused) => refused.into(),
    };
    printer::message(&serde_json::to_string(&outcome).map_err(Failure::internal)?);
    // Exits without waiting for tasks that still compute.
    std::process::exit(i32::from(Exit::Success.status()));
}

/// Answers the query. Returns the number of rows.
async fn run_query(
    config: &Config,
    lake: &Path,
    request: &WorkerRequest,
) -> Result<usize, QueryError> {
    let bounds = &request.bounds;
    let failed = |e: &dyn std::fmt::Display| QueryError::new(QueryErrorCode::Failed, e.to_string());
    let location =
        find_catalog(lake).map_err(|e| failed(&e))?.ok_or_else(|| failed(&"there is no lake"))?;
    let session = Session::over_lake_at(
        &location,
        request.as_of,
        Arc::clone(&config.parameters),
        &bounds.engine_limits(),
    )
    .await?;
    session.set_time_zone(request.time_zone.as_deref().unwrap_or(config.time_zone.name()))?;
    if TimeZoneStatement::parse(&request.sql)?.is_some() {
        let message = "each request is a session of its own; give the zone in the field `timezone` of the request";
        return Err(QueryError::new(QueryErrorCode::StatementNotAllowed, message));
    }
    let out = SizeLimited { out: BufWriter::new(io::stdout()), bytes_left: bounds.bytes_max };
    let (sql, values, rows_max) = (&request.sql, &request.values, bounds.rows_max);
    let layout =
        RowLayout::new(request.format, session.display_zone(), request.time_zone.is_some());
    match answer(&session, sql, values, rows_max, layout, Box::new(out)).await {
        Ok(counts) => Ok(counts.rows),
        Err(AnswerError::Refused(refused)) => Err(refused),
        Err(AnswerError::Failure(failure)) => Err(write_error(failure, bounds)),
    }
}

fn write_error(failure: Failure, bounds: &QueryBounds) -> QueryError {
    match failure {
        Failure::Output(error) if error.kind() == io::ErrorKind::FileTooLarge => QueryError::new(
            QueryErrorCode::ByteLimit,
            format!(
                "its rows have more than {} bytes; ask for fewer columns or rows",
                bounds.bytes_max
            ),
        ),
        other => QueryError::new(QueryErrorCode::Failed, other.to_string()),
    }
}

/// Accepts a limited number of bytes. Writing more fails with [`io::ErrorKind::FileTooLarge`].
struct SizeLimited<W> {
    out: W,
    bytes_left: u64,
}

impl<W: Write> Write for SizeLimited<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.bytes_left.checked_sub(bytes.len() as u64) else {
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.bytes_left = left;
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
