//! Selects columns and rows of `events`, and dictionary-encodes its text columns.

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::error::DataFusionError;
use std::collections::BTreeSet;
use std::sync::Arc;
use trailhound_datasets::columns::EVENTS;

/// The Arrow type of dictionary-encoded text: each distinct text is stored once, and each row holds
/// its 32-bit number.
#[must_use]
pub fn dictionary_text() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
}

/// The schema of `events` reduced to `columns`, given as column indices.
///
/// # Errors
/// An index that is beyond the last column.
pub fn events_projection(columns: &BTreeSet<usize>) -> Result<SchemaRef, DataFusionError> {
    Ok(Arc::new(EVENTS.arrow.project(&columns.iter().copied().collect::<Vec<_>>())?))
}

/// Takes `rows` (row numbers) of `batch` and returns them with the columns and types of `schema`.
/// Text columns of `schema` may be dictionary-encoded.
///
/// # Errors
/// `batch` lacks a column of `schema`, or a column cannot be cast to its type.
pub fn take_rows(
    batch: &RecordBatch,
    schema: &SchemaRef,
    rows: &UInt32Array,
) -> Result<RecordBatch, DataFusionError> {
    let take_column = |field: &Arc<Field>| {
        Ok(cast(&take(required_column(batch, field.name())?, rows, None)?, field.data_type())?)
    };
    let columns =
        schema.fields().iter().map(take_column).collect::<Result<Vec<_>, DataFusionError>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// The column of `batch` called `name`.
///
/// # Errors
/// `batch` has no such column.
pub fn required_column<'b>(
    batch: &'b RecordBatch,
    name: &str,
) -> Result<&'b ArrayRef, DataFusionError> {
    batch
        .column_by_name(name)
        .ok_or_else(|| DataFusionError::Plan(format!("there is no column `{name}`")))
}
