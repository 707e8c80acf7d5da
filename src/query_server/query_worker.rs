//! The process that answers one question and ends: what it breaks, it breaks alone. `trailhound answer`, for the service only.

use super::request::{Bounds, Outcome, Request};
use crate::answer::Writer;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use futures::StreamExt;
use rustix::process::{Resource, Rlimit, Signal};
use std::io::{self, BufRead, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use trailhound_ingest::lake::find_catalog;
use trailhound_queries::session::Session;
use trailhound_queries::session::ad_hoc::query_error;
use trailhound_queries::sql_guard::{QueryError, QueryErrorCode};

/// Memory beyond what the query engine counts: code, catalogue, decoded pages, the answer on its way.
const UNCOUNTED_BYTES: u64 = 1 << 30;
/// How much less the scheduler gives it than the service.
const NICE: i32 = 10;

/// Reads the question from standard input, writes rows to standard output and how it went to standard error.
pub(crate) async fn run(config: &Config, lake: &Path) -> Result<Exit, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Failure::internal)?;
    let request: Request = serde_json::from_str(&line).map_err(Failure::internal)?;
    confine(&request.bounds).map_err(Failure::internal)?;
    let outcome = match answer(config, lake, &request).await {
        Ok(rows) => Outcome::Answered { rows: rows as u64 },
        Err(refused) => refused.into(),
    };
    printer::talk(&serde_json::to_string(&outcome).map_err(Failure::internal)?);
    // Whatever still computes is not waited for.
    std::process::exit(i32::from(Exit::Done.status()));
}

/// The kernel holds it to its bounds, and ends it where it goes beyond or where the service has ended.
pub(super) fn confine(bounds: &Bounds) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::nice(NICE)?;
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 =
        statm.split(' ').next().unwrap_or_default().parse().map_err(io::Error::other)?;
    let used = pages * rustix::param::page_size() as u64;
    let limit = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    rustix::process::setrlimit(
        Resource::As,
        limit(used + 2 * bounds.memory_bytes_max as u64 + UNCOUNTED_BYTES),
    )?;
    rustix::process::setrlimit(
        Resource::Fsize,
        limit(bounds.bytes_max.max(bounds.spill_bytes_max)),
    )?;
    rustix::process::setrlimit(Resource::Core, limit(0))?;
    Ok(())
}

async fn answer(config: &Config, lake: &Path, request: &Request) -> Result<usize, QueryError> {
    let bounds = &request.bounds;
    let failed = |e: &dyn std::fmt::Display| QueryError::new(QueryErrorCode::Failed, e.to_string());
    let place =
        find_catalog(lake).map_err(|e| failed(&e))?.ok_or_else(|| failed(&"there is no lake"))?;
    let session = Session::over_lake_at(
        &place,
        request.as_of,
        Arc::clone(&config.parameters),
        &bounds.limits(),
    )
    .await?;
    let frame = session.plan_query(&request.sql, &request.values).await?;
    let schema = Arc::clone(frame.schema().inner());
    let mut stream = frame.execute_stream().await.map_err(|e| query_error(&e))?;
    let out = Bounded { out: BufWriter::new(io::stdout()), left: bounds.bytes_max };
    let mut writer = Writer::new(request.form, &schema, Box::new(out)).map_err(|e| failed(&e))?;
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|e| query_error(&e))?;
        rows += batch.num_rows();
        if rows > bounds.rows_max {
            let message = format!(
                "it gives more than {} rows; narrow it, aggregate, or ask in parts with LIMIT and OFFSET",
                bounds.rows_max
            );
            return Err(QueryError::new(QueryErrorCode::RowLimit, message));
        }
        writer.add(&batch).map_err(|e| written(e, bounds))?;
    }
    writer.finish().map_err(|e| written(e, bounds))?;
    Ok(rows)
}

fn written(failure: Failure, bounds: &Bounds) -> QueryError {
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

/// Takes so many bytes and no more.
struct Bounded<W> {
    out: W,
    left: u64,
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.left = left;
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
