//! Rows of an ad-hoc statement as they are computed.

use crate::session::Session;
use crate::session::ad_hoc::query_error;
use crate::sql_guard::{ParameterValues, QueryError, QueryErrorCode};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use std::sync::Arc;

/// Runs one statement and returns its rows batch by batch, so that no caller holds a whole result in memory.
pub struct RowStream {
    schema: SchemaRef,
    batches: SendableRecordBatchStream,
    rows: usize,
    rows_max: usize,
}

impl Session {
    /// Plans and starts the one statement in `text`, with `values` for its parameters. It may return at most
    /// `rows_max` rows.
    ///
    /// # Errors
    /// [`QueryError`]: the statement is not allowed, or cannot be planned or started.
    pub async fn stream_rows(
        &self,
        text: &str,
        values: &ParameterValues,
        rows_max: usize,
    ) -> Result<RowStream, QueryError> {
        let frame = self.plan_query(text, values).await?;
        let schema = Arc::clone(frame.schema().inner());
        let batches = frame.execute_stream().await.map_err(|e| query_error(&e))?;
        Ok(RowStream { schema, batches, rows: 0, rows_max })
    }
}

impl RowStream {
    /// Names and types of the columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next batch of rows; `None` after the last.
    ///
    /// # Errors
    /// [`QueryError`]: the statement failed while it ran, or has returned more than the rows allowed.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        let Some(batch) = self.batches.next().await.transpose().map_err(|e| query_error(&e))?
        else {
            return Ok(None);
        };
        self.rows += batch.num_rows();
        if self.rows > self.rows_max {
            let message = format!(
                "it gives more than {} rows; narrow it, aggregate, or ask in parts with LIMIT and OFFSET",
                self.rows_max
            );
            return Err(QueryError::new(QueryErrorCode::RowLimit, message));
        }
        Ok(Some(batch))
    }
}
