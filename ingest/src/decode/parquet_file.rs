//! Parquet files as log services and query engines export them: the event as JSON text in one column (text or binary), or one
//! column per member (text, numbers, structs, lists, maps).
//!
//! A Parquet file is input like any other, but the library that reads it allocates what the file asks for, and some damaged
//! files make it panic. So the page headers are checked first ([`super::parquet_pages`]), an Arrow schema in the file is not
//! read, values of a dictionary are not copied for each row, and a panic of the library is a damaged file.

use super::compression::LimitExceeded;
use super::envelope::open_row;
use super::fault::{DecodeStopped, ReadFault};
use super::limits::DecodeLimits;
use super::parquet_pages::checked_batch_rows;
use super::parquet_values::{CellError, row_text};
use super::refusal::{OpenError, Refusal};
use super::scanner::Scanner;
use super::sink::{Completeness, RecordSink, SinkStopped};
use super::unreadable::reject_broken;
use super::wrappers::RecordContext;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use trailhound_datasets::reject::RejectCode;

/// Rows decoded at a time: about 1 MiB with events of 1.6 KB.
const BATCH_ROWS: usize = 512;
/// Text of rows in bytes before the expansion ratio is checked.
const TEXT_CHECKED_FROM_BYTES: u64 = 32 << 20;
const HINT: &str = "Parquet needs a column `event` with the event as JSON text, or one column per member (`event.eventName`)";

/// Decodes a Parquet file. The format is read from its end, so the content is copied to an unnamed temporary file first.
pub(super) fn rows(
    input: impl Read,
    path_account: Option<&str>,
    limits: &DecodeLimits,
    sink: &mut dyn RecordSink,
) -> Result<Completeness, DecodeStopped> {
    let opened = spooled(input, limits).and_then(|file| {
        let file_bytes = file.metadata()?.len();
        guarded(|| opened(file, limits)).and_then(|batches| Ok((batches?, file_bytes)))
    });
    let (mut batches, file_bytes) = match opened {
        Ok(opened) => opened,
        Err(error) => return reject_broken(sink, error, 0, b"PAR1"),
    };
    let mut scanner = Scanner::default();
    let mut context = RecordContext { path_account, offset: 0, limits };
    // Rows may refer to one value again and again, so their text is bounded like decompressed content.
    let text_max = file_bytes.saturating_mul(limits.expansion_max).max(TEXT_CHECKED_FROM_BYTES);
    let mut text_bytes = 0u64;
    loop {
        let batch = match guarded(|| batches.next()) {
            Ok(None) => return Ok(Completeness::Complete),
            Ok(Some(Ok(batch))) => batch,
            Ok(Some(Err(error))) => {
                return reject_broken(sink, io::Error::other(error), context.offset, b"");
            }
            Err(error) => return reject_broken(sink, error, context.offset, b""),
        };
        for index in 0..batch.num_rows() {
            text_bytes += row(&batch, index, &mut scanner, &context, sink)? as u64;
            context.offset += 1;
            if text_bytes > text_max {
                let limit = format!("rows of at most {} times the file", limits.expansion_max);
                return reject_broken(sink, LimitExceeded::error(limit), context.offset, b"");
            }
        }
    }
}

/// Decodes one row, whose number is the context's offset. Returns the length of its text in bytes.
fn row(
    batch: &RecordBatch,
    index: usize,
    scanner: &mut Scanner,
    context: &RecordContext<'_>,
    sink: &mut dyn RecordSink,
) -> Result<usize, SinkStopped> {
    let bytes_max = context.limits.quarantine_raw_bytes_max;
    let (refusal, raw) = match row_text(batch, index, context.limits.event_bytes_max) {
        Ok(text) => match open_row(scanner, &text, context, sink) {
            Ok(()) => return Ok(text.len()),
            Err(OpenError::Stopped(stopped)) => return Err(stopped),
            // Places in the assembled row are no places in the file.
            Err(OpenError::Refused(refusal)) => (Refusal { at: 0, ..refusal }, text.into_bytes()),
        },
        Err(CellError::NotUtf8) => (
            Refusal::new(RejectCode::BadUtf8, "UTF-8 text in text columns"),
            row_bytes(batch, index, bytes_max),
        ),
        Err(CellError::NoText) => (
            Refusal::new(RejectCode::UnknownLayout, "columns of text, numbers, structs and lists"),
            row_bytes(batch, index, bytes_max),
        ),
        Err(CellError::TooLarge) => (
            Refusal::new(
                RejectCode::EventTooLarge,
                format!("a row of at most {} bytes", context.limits.event_bytes_max),
            ),
            row_bytes(batch, index, bytes_max),
        ),
    };
    let length = match refusal.code {
        RejectCode::EventTooLarge => context.limits.event_bytes_max,
        _ => raw.len(),
    };
    sink.reject(refusal.reject(&raw, context.offset, HINT, context.limits))?;
    Ok(length)
}

/// Runs a step of the library; its panic is an error.
fn guarded<T>(step: impl FnOnce() -> T) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(step)).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, "damaged Parquet: the library cannot read it")
    })
}

/// A reader of the rows of `file`.
fn opened(file: File, limits: &DecodeLimits) -> io::Result<ParquetRecordBatchReader> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(&file, options).map_err(io::Error::other)?;
    let batch_rows = checked_batch_rows(&file, metadata.metadata(), limits, BATCH_ROWS)?;
    let schema = Schema::new(as_views(metadata.schema().fields()));
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)
        .map_err(io::Error::other)?;
    ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_batch_size(batch_rows)
        .build()
        .map_err(io::Error::other)
}

/// `fields` with views for text and bytes: rows refer to the values of a dictionary and do not copy them.
fn as_views(fields: &Fields) -> Fields {
    fields.iter().map(as_view).collect()
}

fn as_view(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        DataType::Struct(fields) => DataType::Struct(as_views(fields)),
        DataType::List(item) => DataType::List(as_view(item)),
        DataType::Map(entries, sorted) => DataType::Map(as_view(entries), *sorted),
        other => other.clone(),
    };
    let metadata = field.metadata().clone();
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata))
}

/// `input` in a temporary file, at its start.
fn spooled(mut input: impl Read, limits: &DecodeLimits) -> io::Result<File> {
    let mut file = SpoolFile(tempfile::tempfile().map_err(ReadFault::of_machine)?);
    let copied = io::copy(&mut (&mut input).take(limits.content_bytes_max), &mut file)?;
    if copied == limits.content_bytes_max {
        let limit = format!("at most {} bytes of content", limits.content_bytes_max);
        return Err(LimitExceeded::error(limit));
    }
    let SpoolFile(mut file) = file;
    file.seek(SeekFrom::Start(0)).map_err(ReadFault::of_machine)?;
    Ok(file)
}

/// The temporary file while it is written. That it cannot be written says nothing about the input.
struct SpoolFile(File);

impl Write for SpoolFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => ReadFault::of_machine(error),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(ReadFault::of_machine)
    }
}

/// The bytes of a row that has no JSON text: its columns of text and bytes, one after the other, at most `bytes_max`.
fn row_bytes(batch: &RecordBatch, row: usize, bytes_max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in batch.columns().iter().filter(|column| column.is_valid(row)) {
        let value = match column.data_type() {
            DataType::BinaryView => column.as_binary_view().value(row),
            DataType::Utf8View => column.as_string_view().value(row).as_bytes(),
            _ => continue,
        };
        let room = bytes_max.saturating_sub(bytes.len());
        bytes.extend_from_slice(&value[..value.len().min(room)]);
    }
    bytes
}
