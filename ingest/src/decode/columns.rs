//! Parquet as the log service ships it: the event as text in a column `event` (often bytes without a UTF-8 mark), or
//! flattened into dotted columns.

use super::csv::open_row;
use super::envelope::{self, Context};
use super::scanner::Scanner;
use super::{End, Limits, Sink, Stop};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use trailhound_datasets::json;
use trailhound_datasets::reject::{Code, Reject, shown};

/// Rows decoded at a time; an event column of 1.6 KB a row makes this about 1 MiB.
const BATCH_ROWS: usize = 512;
const HINT: &str = "Parquet needs a column `event` with the event as JSON text, or dotted columns (`event.eventName`)";

/// Reads a Parquet object. The format is read from its end, so the content goes through an unnamed temporary file.
pub(super) fn parquet(
    input: impl Read,
    path_account: Option<&str>,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<End, Stop> {
    let batches = spooled(input, limits).and_then(|file| {
        ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
            .map_err(io::Error::other)
    });
    let batches = match batches {
        Ok(batches) => batches,
        Err(error) => return super::broken_input(sink, &error, 0, b"PAR1"),
    };
    let mut scanner = Scanner::default();
    let context = Context { path_account };
    let mut row = 0u64;
    for batch in batches {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return super::broken_input(sink, &io::Error::other(error), row, b""),
        };
        for index in 0..batch.num_rows() {
            let text = row_text(&batch, index);
            let failed = match &text {
                Some(text) => match open_row(&mut scanner, text, &context, sink) {
                    Ok(()) => None,
                    Err(envelope::Failed::Stop(stop)) => return Err(stop),
                    Err(envelope::Failed::Reject { code, expected, .. }) => Some((code, expected)),
                },
                None => Some((Code::BadUtf8, "UTF-8 text in text columns")),
            };
            if let Some((code, expected)) = failed {
                let raw = text.map_or_else(|| row_bytes(&batch, index), String::into_bytes);
                sink.reject(Reject {
                    code,
                    byte_offset: row,
                    expected: expected.to_owned(),
                    found: shown(&raw),
                    hint: HINT,
                    raw_length: Some(raw.len() as u64),
                    raw: raw[..raw.len().min(limits.quarantine_raw_bytes_max)].to_vec(),
                })?;
            }
            row += 1;
        }
    }
    Ok(End::Complete)
}

fn spooled(mut input: impl Read, limits: &Limits) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    let copied = io::copy(&mut (&mut input).take(limits.content_bytes_max), &mut file)?;
    if copied == limits.content_bytes_max {
        return Err(io::Error::other("the file is larger than `ingest.content_bytes_max`"));
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// The row as a JSON object of its non-null columns.
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

/// The bytes of a row whose text is none: its binary columns, one after the other.
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

/// One value as JSON; `Some(None)` for types that carry no part of an event, `None` for bytes that are no text.
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
