//! Every question is noted, also one whose asker has gone away.

use super::Asker;
use std::time::{Duration, Instant};
use trailhound_ingest::lake::{CatalogError, Lake, QueryLogEntry};

/// A question on its way; dropped before its end, it is noted as cancelled.
pub(super) struct Note {
    lake: Lake,
    begun: Instant,
    asked: Option<QueryLogEntry>,
}

impl Note {
    pub(super) fn new(lake: Lake, at: i64, asker: &Asker, statement: &str) -> Self {
        let asked = QueryLogEntry {
            at,
            door: asker.door.to_owned(),
            who: asker.who.clone(),
            address: asker.address.clone(),
            statement: statement.to_owned(),
            result: "cancelled".to_owned(),
            rows: 0,
            bytes: 0,
            took: Duration::ZERO,
        };
        Self { lake, begun: Instant::now(), asked: Some(asked) }
    }

    /// It ended so.
    pub(super) async fn ended(
        mut self,
        result: &str,
        rows: u64,
        bytes: u64,
    ) -> Result<(), CatalogError> {
        let Some(asked) = self.asked.take() else { return Ok(()) };
        let took = self.begun.elapsed();
        self.lake
            .log_query(&QueryLogEntry { result: result.to_owned(), rows, bytes, took, ..asked })
            .await
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let Some(asked) = self.asked.take() else { return };
        let (lake, took) = (self.lake.clone(), self.begun.elapsed());
        tokio::spawn(async move {
            if let Err(error) = lake.log_query(&QueryLogEntry { took, ..asked }).await {
                tracing::error!(%error, "a cancelled query could not be noted");
            }
        });
    }
}
