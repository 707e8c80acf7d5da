//! The doors by which other programs ask the lake while the service runs. Each question is answered by a process of its own, so many at once,
//! and each is noted.

mod http;
mod note;
mod postgres;
mod query_worker;
mod request;

pub(crate) use http::router;
pub(crate) use postgres::{serve as serve_postgres, serve_connection};
pub(crate) use query_worker::run as answer;
pub(crate) use request::Bounds;

use note::Note;
use prometheus_client::metrics::gauge::Gauge;
use request::{Outcome, Request};
use std::fs::File;
use std::io::Seek;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::{Semaphore, SemaphorePermit};
use trailhound_ingest::Clock;
use trailhound_ingest::lake::Lake;
use trailhound_queries::sql_guard::QueryErrorCode;

/// The program that runs, also where another has been installed in its place.
const EXECUTABLE: &str = "/proc/self/exe";
/// Questions answered at once.
const AT_ONCE: usize = 2;
/// Questions that wait for their turn.
const WAITING_MAX: usize = 8;
/// How long the process may take beyond the time of the question, to start and to tell how it went.
const GRACE: Duration = Duration::from_secs(1);
/// Bytes of what a process says of itself that are read.
const TALK_BYTES_MAX: u64 = 64 * 1024;

/// What every door has in common.
pub(crate) struct QueryServer {
    lake: Lake,
    /// The configuration the service was started with.
    config: Option<PathBuf>,
    bounds: Bounds,
    turns: Semaphore,
    waiting: AtomicUsize,
    running: Gauge,
    clock: Clock,
}

/// Who asks.
pub(crate) struct Asker {
    /// By which door.
    pub(crate) door: &'static str,
    /// Under which name.
    pub(crate) who: String,
    /// From which address.
    pub(crate) address: String,
}

/// What came of a question.
pub(crate) enum Answer {
    /// Rows, in the form that was asked for.
    Rows { file: File, rows: u64, bytes: u64 },
    /// None, because.
    Refused(Outcome),
    /// Too many others are waiting.
    Busy,
}

impl QueryServer {
    pub(crate) fn new(
        lake: Lake,
        config: Option<PathBuf>,
        bounds: Bounds,
        clock: Clock,
        running: Gauge,
    ) -> Self {
        Self {
            lake,
            config,
            bounds,
            turns: Semaphore::new(AT_ONCE),
            waiting: AtomicUsize::new(0),
            clock,
            running,
        }
    }

    /// Waits for its turn, has `request` answered and notes it. Who stops waiting for the answer stops the question.
    pub(crate) async fn ask(&self, asker: &Asker, request: Request) -> std::io::Result<Answer> {
        let note = Note::new(self.lake.clone(), (self.clock)(), asker, &request.sql);
        let answer = match self.turn().await {
            Some(_turn) => match self.answered(&request).await {
                Ok(answer) => answer,
                Err(error) => {
                    note.ended(QueryErrorCode::Failed.name(), 0, 0)
                        .await
                        .map_err(std::io::Error::other)?;
                    return Err(error);
                }
            },
            None => Answer::Busy,
        };
        let noted = match &answer {
            Answer::Rows { rows, bytes, .. } => note.ended("answered", *rows, *bytes).await,
            Answer::Refused(Outcome::Refused { code, .. }) => note.ended(code, 0, 0).await,
            Answer::Refused(Outcome::Answered { .. }) | Answer::Busy => {
                note.ended("busy", 0, 0).await
            }
        };
        noted.map_err(std::io::Error::other)?;
        Ok(answer)
    }

    /// Waits for a turn; none where too many others wait.
    async fn turn(&self) -> Option<Turn<'_>> {
        let permit = match self.turns.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                let _place = Waiting::take(&self.waiting)?;
                self.turns.acquire().await.ok()?
            }
        };
        self.running.inc();
        Some(Turn { _permit: permit, running: &self.running })
    }

    async fn answered(&self, request: &Request) -> std::io::Result<Answer> {
        let mut file = tempfile::tempfile()?;
        let mut command = Command::new(EXECUTABLE);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.arg("answer").arg("--lake").arg(self.lake.folder());
        command
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let within = Duration::from_secs(request.bounds.seconds_max) + GRACE;
        let line = serde_json::to_string(request)? + "\n";
        let (input, talk) = (child.stdin.take(), child.stderr.take());
        let answered = async {
            if let Some(mut input) = input {
                // A process that ended before it has read says why, or nothing.
                let _ = input.write_all(line.as_bytes()).await;
            }
            let mut told = Vec::new();
            if let Some(talk) = talk {
                talk.take(TALK_BYTES_MAX).read_to_end(&mut told).await?;
            }
            child.wait().await.map(|status| (status, told))
        };
        let Ok(ended) = tokio::time::timeout(within, answered).await else {
            // Dropping it kills it.
            let message = format!(
                "it was not answered within {} s; narrow it by time, or aggregate less",
                request.bounds.seconds_max
            );
            return Ok(Answer::Refused(Outcome::refused(QueryErrorCode::TimeLimit, message)));
        };
        let (status, told) = ended?;
        let told = String::from_utf8_lossy(&told);
        match told.lines().last().and_then(|line| serde_json::from_str(line).ok()) {
            Some(Outcome::Answered { rows }) if status.success() => {
                file.rewind()?;
                let bytes = file.metadata()?.len();
                Ok(Answer::Rows { file, rows, bytes })
            }
            Some(refused @ Outcome::Refused { .. }) => Ok(Answer::Refused(refused)),
            // The kernel ended it.
            _ => {
                tracing::warn!(%status, said = %told.lines().last().unwrap_or_default(), "a query's process broke");
                let message = "it needs more memory than a query may have, or nests too deep; narrow it or take it apart";
                Ok(Answer::Refused(Outcome::refused(QueryErrorCode::MemoryLimit, message)))
            }
        }
    }
}

/// The right to be answered now.
struct Turn<'t> {
    _permit: SemaphorePermit<'t>,
    running: &'t Gauge,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.running.dec();
    }
}

/// A place in the queue, free again when dropped.
struct Waiting<'w>(&'w AtomicUsize);

impl<'w> Waiting<'w> {
    fn take(waiting: &'w AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX { Some(place) } else { None }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
