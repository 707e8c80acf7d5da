//! Findings in a file of their own: as many as there may be, read anew by each query that asks for them, and by no more than its columns.

use crate::limits::SessionError;
use crate::tables::catalog_table::{CatalogTable, batch};
use crate::tables::findings::Findings;
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

/// Findings that are made rows of at a time: what they are parsed into is needed for a moment only.
const AT_A_TIME: usize = 4096;
/// What the file's name ends with: by that the engine knows what it is.
const SUFFIX: &str = ".parquet";

/// The file, which goes with this.
#[derive(Debug)]
pub(crate) struct TempFindings(NamedTempFile);

impl TempFindings {
    /// Writes `findings` down: revision, status and JSON text of each.
    ///
    /// # Errors
    /// Where one does not read or there is no room; what is wrong with one that cannot be had.
    pub(crate) async fn new<E: From<SessionError>>(
        findings: impl Stream<Item = Result<(i64, String, String), E>>,
    ) -> Result<Self, E> {
        let places: Vec<usize> = (0..Findings::schema().fields().len()).collect();
        let (file, mut writer) = begun().map_err(SessionError::from)?;
        let mut some = pin!(findings.try_chunks(AT_A_TIME));
        while let Some(some) = some.next().await {
            let batch =
                batch::<Findings>(some.map_err(|e| e.1)?, &places).map_err(SessionError::from)?;
            writer.write(&batch).map_err(engine)?;
        }
        writer.close().map_err(engine)?;
        Ok(Self(file))
    }

    /// The table of them in `context`.
    ///
    /// # Errors
    /// What the engine says.
    pub(crate) async fn table(
        &self,
        context: &SessionContext,
    ) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let schema = Findings::schema();
        let options = ParquetReadOptions::default().schema(&schema);
        Ok(context.read_parquet(self.0.path().display().to_string(), options).await?.into_view())
    }
}

fn begun() -> Result<(NamedTempFile, ArrowWriter<std::fs::File>), DataFusionError> {
    let file = tempfile::Builder::new().prefix("trailhound-findings-").suffix(SUFFIX).tempfile()?;
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(16 * AT_A_TIME))
        .build();
    let writer = ArrowWriter::try_new(file.reopen()?, Findings::schema(), Some(properties))?;
    Ok((file, writer))
}

fn engine(error: ParquetError) -> SessionError {
    DataFusionError::from(error).into()
}
