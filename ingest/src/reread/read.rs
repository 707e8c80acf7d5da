//! Reads a data file whose rows are read anew.

use crate::lake::CatalogError;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::fs::File;
use std::path::Path;

/// The rows of the file `path`.
///
/// # Errors
/// [`CatalogError`] where it does not exist or is no Parquet file.
pub(super) fn read(path: &Path) -> Result<ParquetRecordBatchReader, CatalogError> {
    let file =
        File::open(path).map_err(|source| CatalogError::File { path: path.to_owned(), source })?;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(2048).build())
        .map_err(|error| unreadable(path, error))
}

/// The error that the file `path` cannot be read.
pub(super) fn unreadable(path: &Path, source: parquet::errors::ParquetError) -> CatalogError {
    CatalogError::Parquet { path: path.to_owned(), source }
}
