//! Some columns and rows of `events`, and its texts in dictionary encoding.

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::error::DataFusionError;
use std::collections::BTreeSet;
use std::sync::Arc;
use trailhound_datasets::columns::EVENTS;

/// The type of texts of which each is there once, with a number for each row.
#[must_use]
pub fn coded_text() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
}

/// `events` with some of its columns, by their places.
///
/// # Errors
/// Where there is no such place.
pub fn some(columns: &BTreeSet<usize>) -> Result<SchemaRef, DataFusionError> {
    Ok(Arc::new(EVENTS.arrow.project(&columns.iter().copied().collect::<Vec<_>>())?))
}

/// The `rows` of `batch` with the columns of `schema`, in its types: texts may be coded.
///
/// # Errors
/// Where `batch` lacks one of the columns.
pub fn taken(
    batch: &RecordBatch,
    schema: &SchemaRef,
    rows: &UInt32Array,
) -> Result<RecordBatch, DataFusionError> {
    let column = |field: &Arc<Field>| {
        Ok(cast(&take(column(batch, field.name())?, rows, None)?, field.data_type())?)
    };
    let columns =
        schema.fields().iter().map(column).collect::<Result<Vec<_>, DataFusionError>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// The column of `batch` with this name.
///
/// # Errors
/// Where there is none.
pub fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef, DataFusionError> {
    batch
        .column_by_name(name)
        .ok_or_else(|| DataFusionError::Plan(format!("there is no column `{name}`")))
}
