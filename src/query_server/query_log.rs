//! Records every query in the lake's query log, including queries whose client disconnects before
//! the result.

use std::time::{Duration, Instant};
use trailhound_ingest::CheckedClock;
use trailhound_ingest::lake::{CatalogError, Lake, QueryLogEntry};
use trailhound_ingest::supervisor::Supervisor;

/// Who sends a query.
pub(crate) struct Client {
    /// The interface it uses: `http` or `postgres`.
    pub(crate) interface: &'static str,
    /// Name of the user.
    pub(crate) user: String,
    /// IP address.
    pub(crate) address: String,
}

/// Bytes of a refused statement that the log keeps.
const REFUSED_BYTES_MAX: usize = 4 * 1024;

/// A refused statement as the log keeps it: of a long one the beginning. Statements that run are kept whole.
pub(super) fn refused_statement(statement: &str) -> String {
    let end = statement.floor_char_boundary(REFUSED_BYTES_MAX);
    if end == statement.len() {
        return statement.to_owned();
    }
    format!("{} ... ({} bytes in all)", &statement[..end], statement.len())
}

/// Characters of a parameter's value that the log keeps.
const VALUE_CHARACTERS_MAX: usize = 200;

/// `statement` as the log keeps it, with the values of its parameters in a comment; `None` is NULL. Of a long value it keeps the
/// beginning.
pub(super) fn with_values(
    statement: &str,
    values: impl IntoIterator<Item = (String, Option<String>)>,
) -> String {
    let shown = values.into_iter().map(|(name, value)| match value {
        Some(text) => {
            let text: String = text.chars().take(VALUE_CHARACTERS_MAX).collect();
            // A line break would end the comment.
            format!("${name} = '{}'", text.replace('\'', "''").replace(['\n', '\r'], " "))
        }
        None => format!("${name} = NULL"),
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() {
        return statement.to_owned();
    }
    format!("{statement}\n-- {}", shown.join(", "))
}

/// The log entry of a query that runs. Dropping it before the end records the query as cancelled.
pub(super) struct QueryLogGuard {
    lake: Lake,
    supervisor: Supervisor,
    clock: CheckedClock,
    begun: Instant,
    entry: Option<QueryLogEntry>,
}

impl QueryLogGuard {
    /// The entry of a query that begins now.
    pub(super) fn begin(
        lake: Lake,
        supervisor: Supervisor,
        clock: CheckedClock,
        client: &Client,
        statement: &str,
    ) -> Self {
        let entry = QueryLogEntry {
            at: clock.now(),
            door: client.interface.to_owned(),
            who: client.user.clone(),
            address: client.address.clone(),
            statement: statement.to_owned(),
            result: "cancelled".to_owned(),
            rows: 0,
            bytes: 0,
            took: Duration::ZERO,
        };
        Self { lake, supervisor, clock, begun: Instant::now(), entry: Some(entry) }
    }

    /// Records nothing: the query has not run yet.
    pub(super) fn forget(mut self) {
        self.entry = None;
    }

    /// Records the query with its result.
    ///
    /// # Errors
    /// The entry cannot be written to the lake.
    pub(super) async fn end(
        mut self,
        result: &str,
        rows: u64,
        bytes: u64,
    ) -> Result<(), CatalogError> {
        let Some(entry) = self.entry.take() else { return Ok(()) };
        let took = self.begun.elapsed();
        self.lake
            .log_query(
                &QueryLogEntry { result: result.to_owned(), rows, bytes, took, ..entry },
                self.clock.confirmed_now(),
            )
            .await
    }
}

impl Drop for QueryLogGuard {
    fn drop(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        let (lake, took) = (self.lake.clone(), self.begun.elapsed());
        let now = self.clock.confirmed_now();
        self.supervisor.spawn_brief("query log", async move {
            if let Err(error) = lake.log_query(&QueryLogEntry { took, ..entry }, now).await {
                tracing::error!(%error, "a cancelled query could not be recorded");
            }
        });
    }
}
