//! The table `findings` over a temporary Parquet file, for findings that are not stored in the
//! lake. Memory stays small for any number of findings, and each query reads only the columns it
//! needs.

use crate::limits::SessionError;
use crate::tables::catalog_table::CatalogTable;
use crate::tables::findings::{FindingRow, Findings, findings_batch};
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use futures::{Stream, StreamExt, TryStreamExt};
use std::pin::pin;
use std::sync::Arc;
use tempfile::NamedTempFile;

/// Findings converted to a batch at a time. A parsed finding is only held while its batch is
/// written.
const BATCH_FINDINGS: usize = 4096;
/// Suffix of the file, by which the query engine recognizes the format.
const SUFFIX: &str = ".parquet";

/// The temporary file; it is deleted when this is dropped.
#[derive(Debug)]
pub(crate) struct TempFindings(NamedTempFile);

impl TempFindings {
    /// Writes `findings` to a temporary file.
    ///
    /// # Errors
    /// A file that cannot be written, or an error of the stream `findings`.
    pub(crate) async fn new<E: From<SessionError>>(
        findings: impl Stream<Item = Result<FindingRow, E>>,
    ) -> Result<Self, E> {
        let (file, mut writer) = create_file().map_err(SessionError::from)?;
        let mut chunks = pin!(findings.try_chunks(BATCH_FINDINGS));
        while let Some(chunk) = chunks.next().await {
            let batch = findings_batch(&chunk.map_err(|e| e.1)?).map_err(SessionError::from)?;
            writer.write(&batch).map_err(engine_error)?;
        }
        writer.close().map_err(engine_error)?;
        Ok(Self(file))
    }

    /// The table over the file, planned by `context`.
    ///
    /// # Errors
    /// Errors of the query engine.
    pub(crate) async fn table(
        &self,
        context: &SessionContext,
    ) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let schema = Findings::schema();
        let options = ParquetReadOptions::default().schema(&schema);
        Ok(context.read_parquet(self.0.path().display().to_string(), options).await?.into_view())
    }
}

/// Creates the temporary file and its Parquet writer.
fn create_file() -> Result<(NamedTempFile, ArrowWriter<std::fs::File>), DataFusionError> {
    let file = tempfile::Builder::new().prefix("trailhound-findings-").suffix(SUFFIX).tempfile()?;
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(16 * BATCH_FINDINGS))
        .build();
    let writer = ArrowWriter::try_new(file.reopen()?, Findings::schema(), Some(properties))?;
    Ok((file, writer))
}

fn engine_error(error: ParquetError) -> SessionError {
    DataFusionError::from(error).into()
}
