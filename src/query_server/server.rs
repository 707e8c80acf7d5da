//! Runs queries for the interfaces of the query server, each in a worker process of its own.

use super::query_log::{Client, QueryLogGuard, refused_statement, with_values};
use super::refusal_budget::{Recorded, RefusalBudget};
use super::slots::QuerySlots;
use super::spill_folder::{SpillFolder, remove_left_folders};
use super::worker_protocol::{WorkerOutcome, WorkerRequest};
use crate::config::QueryBounds;
use prometheus_client::metrics::gauge::Gauge;
use std::fs::File;
use std::io::{self, Seek};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use trailhound_ingest::CheckedClock;
use trailhound_ingest::lake::Lake;
use trailhound_ingest::supervisor::Supervisor;
use trailhound_queries::sql_guard::QueryErrorCode;

/// The program that runs, even after another version has been installed in its place.
pub(super) const EXECUTABLE: &str = "/proc/self/exe";
/// Time that a worker may take beyond the run time of its query, to start and to report its
/// outcome.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// Maximum number of bytes of a worker's standard error that are read.
const MESSAGE_BYTES_MAX: u64 = 64 * 1024;

/// State shared by the interfaces: the lake, the resource limits of a query, the slots.
pub(crate) struct QueryServer {
    pub(super) lake: Lake,
    /// Configuration file of the service, which the workers read too.
    pub(super) config: Option<PathBuf>,
    pub(super) bounds: QueryBounds,
    pub(super) slots: QuerySlots,
    pub(super) clock: CheckedClock,
    /// Starts what outlives a request.
    pub(super) supervisor: Supervisor,
    refusals: RefusalBudget,
}

/// The answer to a query.
pub(crate) enum QueryAnswer {
    /// The rows in the requested format, in a file at its beginning.
    Rows {
        /// The file.
        file: File,
        /// Number of rows.
        rows: u64,
        /// Size of the file.
        bytes: u64,
    },
    /// The query was refused or failed.
    Refused(WorkerOutcome),
    /// Too many queries are waiting.
    Busy,
}

impl QueryServer {
    /// A server for `lake`. `running` counts the queries that run. Removes what workers of earlier services have left.
    pub(crate) fn new(
        lake: Lake,
        config: Option<PathBuf>,
        bounds: QueryBounds,
        clock: CheckedClock,
        running: Gauge,
        supervisor: Supervisor,
    ) -> Self {
        remove_left_folders();
        let slots = QuerySlots::new(running);
        let refusals = RefusalBudget::new(Instant::now());
        Self { lake, config, bounds, slots, clock, supervisor, refusals }
    }

    /// Starts the log entry of a query.
    pub(super) fn log(&self, client: &Client, statement: &str) -> QueryLogGuard {
        let (lake, supervisor) = (self.lake.clone(), self.supervisor.clone());
        QueryLogGuard::begin(lake, supervisor, self.clock.clone(), client, statement)
    }

    /// Records a statement that was refused before it ran, or a failed login. Of very many only the number is recorded.
    ///
    /// # Errors
    /// The query log cannot be written.
    pub(super) async fn record_refusal(
        &self,
        client: &Client,
        statement: &str,
        result: &str,
    ) -> io::Result<()> {
        let Recorded::Refusal { left_out } = self.refusals.take(Instant::now()) else {
            return Ok(());
        };
        if let Some(number) = left_out {
            let summary = format!("({number} more statements or logins were refused)");
            let log = self.log(client, &summary);
            log.end("not_recorded", 0, 0).await.map_err(io::Error::other)?;
        }
        let log = self.log(client, &refused_statement(statement));
        log.end(result, 0, 0).await.map_err(io::Error::other)
    }

    /// Waits for a slot, runs the query in a worker and records it in the query log. Dropping the
    /// future cancels the query.
    ///
    /// # Errors
    /// The worker cannot be started, or the query log cannot be written.
    pub(crate) async fn run_query(
        &self,
        client: &Client,
        request: WorkerRequest,
    ) -> io::Result<QueryAnswer> {
        let values = request.values.iter().map(|(name, value)| (name.clone(), value.clone()));
        let log = self.log(client, &with_values(&request.sql, values));
        let answer = match self.slots.acquire().await {
            Some(_slot) => match self.run_worker(&request).await {
                Ok(answer) => answer,
                Err(error) => {
                    log.end(QueryErrorCode::Failed.name(), 0, 0).await.map_err(io::Error::other)?;
                    return Err(error);
                }
            },
            None => QueryAnswer::Busy,
        };
        let logged = match &answer {
            QueryAnswer::Rows { rows, bytes, .. } => log.end("answered", *rows, *bytes).await,
            QueryAnswer::Refused(WorkerOutcome::Refused { code, .. }) => log.end(code, 0, 0).await,
            QueryAnswer::Refused(WorkerOutcome::Answered { .. }) | QueryAnswer::Busy => {
                log.end("busy", 0, 0).await
            }
        };
        logged.map_err(io::Error::other)?;
        Ok(answer)
    }

    async fn run_worker(&self, request: &WorkerRequest) -> io::Result<QueryAnswer> {
        let mut file = tempfile::tempfile()?;
        let spill = SpillFolder::create()?;
        let mut command = Command::new(EXECUTABLE);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.arg("query-worker").arg("--lake").arg(self.lake.folder());
        command
            .env("TMPDIR", spill.path())
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let time_max = Duration::from_secs(request.bounds.seconds_max) + GRACE;
        let line = serde_json::to_string(request)? + "\n";
        let ended = tokio::time::timeout(time_max, communicate(&mut child, line)).await;
        let Ok(ended) = ended else {
            // It has ended before its folder is removed.
            child.kill().await?;
            let message = format!(
                "it was not answered within {} s; narrow it by time, or aggregate less",
                request.bounds.seconds_max
            );
            return Ok(QueryAnswer::Refused(WorkerOutcome::refused(
                QueryErrorCode::TimeLimit,
                message,
            )));
        };
        let (status, messages) = ended?;
        let messages = String::from_utf8_lossy(&messages);
        match messages.lines().last().and_then(|line| serde_json::from_str(line).ok()) {
            Some(WorkerOutcome::Answered { rows }) if status.success() => {
                file.rewind()?;
                let bytes = file.metadata()?.len();
                Ok(QueryAnswer::Rows { file, rows, bytes })
            }
            Some(refused @ WorkerOutcome::Refused { .. }) => Ok(QueryAnswer::Refused(refused)),
            // A worker without an outcome was killed by the kernel, because it exceeded a limit.
            _ => {
                tracing::warn!(%status, message = %messages.lines().last().unwrap_or_default(), "a query worker crashed");
                let message = "it needs more memory than a query may have, or nests too deep; narrow it or take it apart";
                Ok(QueryAnswer::Refused(WorkerOutcome::refused(
                    QueryErrorCode::MemoryLimit,
                    message,
                )))
            }
        }
    }
}

/// Sends `line` to the worker. Returns its exit status and its standard error.
async fn communicate(child: &mut Child, line: String) -> io::Result<(ExitStatus, Vec<u8>)> {
    if let Some(mut input) = child.stdin.take() {
        // A worker that ends before it has read the line says why on standard error.
        let _ = input.write_all(line.as_bytes()).await;
    }
    let mut messages = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(MESSAGE_BYTES_MAX).read_to_end(&mut messages).await?;
    }
    Ok((child.wait().await?, messages))
}
