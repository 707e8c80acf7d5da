//! Parquet files as the log service exports them: the event as JSON text in the column `event` (text or binary), or
//! flattened into dotted columns.

use super::envelope::{EnvelopeError, EventContext, open_row};
use super::limits::DecodeLimits;
use super::scanner::Scanner;
use super::sink::{Completeness, RecordSink, SinkStopped};
use super::unreadable::reject_broken;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use trailhound_datasets::json;
use trailhound_datasets::reject::{Reject, RejectCode, excerpt};

/// Rows decoded at a time: about 1 MiB with events of 1.6 KB.
const BATCH_ROWS: usize = 512;
const HINT: &str = "Parquet needs a column `event` with the event as JSON text, or dotted columns (`event.eventName`)";

/// Decodes a Parquet file. The format is read from its end, so the content is copied to an unnamed temporary file first.
pub(super) fn rows(
    input: impl Read,
    path_account: Option<&str>,
    limits: &DecodeLimits,
    sink: &mut dyn RecordSink,
) -> Result<Completeness, SinkStopped> {
    let batches = spooled(input, limits).and_then(|file| {
        ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
            .map_err(io::Error::other)
    });
    let batches = match batches {
        Ok(batches) => batches,
        Err(error) => return reject_broken(sink, &error, 0, b"PAR1"),
    };
    let mut scanner = Scanner::default();
    let context = EventContext { path_account };
    let mut row = 0u64;
    for batch in batches {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return reject_broken(sink, &io::Error::other(error), row, b""),
        };
        for index in 0..batch.num_rows() {
            let text = row_text(&batch, index);
            let failed = match &text {
                Some(text) => match open_row(&mut scanner, text, &context, sink) {
                    Ok(()) => None,
                    Err(EnvelopeError::Stopped(stopped)) => return Err(stopped),
                    Err(EnvelopeError::Reject { code, expected, .. }) => Some((code, expected)),
                },
                None => Some((RejectCode::BadUtf8, "UTF-8 text in text columns")),
            };
            if let Some((code, expected)) = failed {
                let raw = text.map_or_else(|| row_bytes(&batch, index), String::into_bytes);
                sink.reject(Reject {
                    code,
                    byte_offset: row,
                    expected: expected.to_owned(),
                    found: excerpt(&raw),
                    hint: HINT,
                    raw_length: Some(raw.len() as u64),
                    raw: raw[..raw.len().min(limits.quarantine_raw_bytes_max)].to_vec(),
                })?;
            }
            row += 1;
        }
    }
    Ok(Completeness::Complete)
}

/// `input` in a temporary file, at its start.
fn spooled(mut input: impl Read, limits: &DecodeLimits) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    let copied = io::copy(&mut (&mut input).take(limits.content_bytes_max), &mut file)?;
    if copied == limits.content_bytes_max {
        return Err(io::Error::other("the file is larger than `ingest.content_bytes_max`"));
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// The row as a JSON object of its non-null columns; `None` where a binary column is not UTF-8.
fn row_text(batch: &RecordBatch, row: usize) -> Option<String> {
    let mut text = String::from("{");
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if column.is_null(row) {
            continue;
        }
        let Some(value) = value_text(column, row)? else { continue };
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&json::quote(field.name()));
        text.push(':');
        text.push_str(&value);
    }
    text.push('}');
    Some(text)
}

/// The bytes of a row whose binary columns are not UTF-8: these columns, one after the other.
fn row_bytes(batch: &RecordBatch, row: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in batch.columns().iter().filter(|column| column.is_valid(row)) {
        match column.data_type() {
            DataType::Binary => bytes.extend_from_slice(column.as_binary::<i32>().value(row)),
            DataType::LargeBinary => bytes.extend_from_slice(column.as_binary::<i64>().value(row)),
            DataType::BinaryView => bytes.extend_from_slice(column.as_binary_view().value(row)),
            _ => {}
        }
    }
    bytes
}

/// One value as JSON text; `Some(None)` for types that hold no part of an event, `None` for bytes that are not UTF-8.
fn value_text(column: &ArrayRef, row: usize) -> Option<Option<String>> {
    let bytes_text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(json::quote);
    Some(match column.data_type() {
        DataType::Utf8 => Some(json::quote(column.as_string::<i32>().value(row))),
        DataType::LargeUtf8 => Some(json::quote(column.as_string::<i64>().value(row))),
        DataType::Utf8View => Some(json::quote(column.as_string_view().value(row))),
        DataType::Binary => Some(bytes_text(column.as_binary::<i32>().value(row))?),
        DataType::LargeBinary => Some(bytes_text(column.as_binary::<i64>().value(row))?),
        DataType::BinaryView => Some(bytes_text(column.as_binary_view().value(row))?),
        DataType::Boolean => Some(column.as_boolean().value(row).to_string()),
        DataType::Int32 => Some(column.as_primitive::<Int32Type>().value(row).to_string()),
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().value(row).to_string()),
        DataType::Float32 => Some(column.as_primitive::<Float32Type>().value(row).to_string()),
        DataType::Float64 => Some(column.as_primitive::<Float64Type>().value(row).to_string()),
        DataType::Dictionary(..) => {
            let plain = arrow::compute::cast(&column.slice(row, 1), &DataType::Utf8).ok()?;
            Some(json::quote(plain.as_string::<i32>().value(0)))
        }
        _ => None,
    })
}
