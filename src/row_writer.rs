//! Writes the rows of a query in one of several formats: text tables, JSON, CSV, Markdown, Excel
//! workbooks, Parquet and Arrow. Formats for people show times in their time zone, those for programs
//! in UTC.

use crate::exit::Failure;
use crate::list_output::{finish_workbook, workbook_failure};
use crate::printer;
use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use chrono_tz::Tz;
use clap::ValueEnum;
use comfy_table::ContentArrangement;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;
use trailhound_datasets::sanitize::sanitize;
use trailhound_datasets::spreadsheet::{csv_field, csv_line};
use trailhound_detect::workbook::{SheetCell, Workbook};
use trailhound_queries::docs::data_dictionary::type_name;
use trailhound_queries::values::{json_value, row_texts};

/// Maximum number of rows in a text table: [`RowFormat::Table`], [`RowFormat::Wide`] and
/// [`RowFormat::Expanded`]. The other formats have no limit.
const TABLE_ROWS_MAX: usize = 1000;

/// Output format for the rows of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum RowFormat {
    /// A table for people, as wide as the terminal.
    Table,
    /// A table as wide as its content, for a pager that scrolls sideways.
    #[value(skip)]
    Wide,
    /// A block of lines per row, for people: one line per column.
    Expanded,
    /// One JSON object per row, each on a line of its own.
    Json,
    /// One JSON document: `columns` with name and type, `rows` as objects, `row_count`.
    #[value(skip)]
    Document,
    /// CSV (RFC 4180), safe to open in a spreadsheet. A spreadsheet rounds long ids when it opens
    /// CSV; xlsx keeps them.
    Csv,
    /// An Excel workbook, with ids as text.
    Xlsx,
    /// A Markdown table.
    Markdown,
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
}

impl RowFormat {
    /// True for formats that are not text and must not be written to a terminal.
    pub(crate) fn is_binary(self) -> bool {
        matches!(self, Self::Xlsx | Self::Parquet | Self::Arrow)
    }
}

/// How rows are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowLayout {
    pub(crate) format: RowFormat,
    /// Time zone of times in the formats for people: tables, CSV, workbooks and Markdown.
    pub(crate) time_zone: Tz,
    /// Time zone of times in the formats for programs: JSON, Parquet and Arrow.
    pub(crate) program_zone: Tz,
}

impl RowLayout {
    /// The layout of `format`. Programs get times in UTC, unless the request itself names `time_zone`, as an option,
    /// a statement or a field do; the configured time zone is for people.
    pub(crate) fn new(format: RowFormat, time_zone: Tz, is_named: bool) -> Self {
        Self { format, time_zone, program_zone: if is_named { time_zone } else { Tz::UTC } }
    }

    /// The time zone in which the format shows times.
    fn zone(self) -> Tz {
        match self.format {
            RowFormat::Json | RowFormat::Document | RowFormat::Parquet | RowFormat::Arrow => {
                self.program_zone
            }
            _ => self.time_zone,
        }
    }
}

/// Number of rows that a query returned, and number of those that a text table omits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowCounts {
    /// Number of rows of the result.
    pub(crate) rows: usize,
    /// Number of rows beyond the limit of a text table. They are not written.
    pub(crate) hidden: usize,
}

impl RowCounts {
    /// Returns the number of rows that were written.
    pub(crate) fn shown(self) -> usize {
        self.rows - self.hidden
    }
}

/// Writes successive batches of rows in one format.
pub(crate) struct RowWriter<'w> {
    writer: FormatWriter<'w>,
    header: Vec<String>,
    time_zone: Tz,
    rows: usize,
}

/// The state of the writer, which depends on the format.
enum FormatWriter<'w> {
    /// Buffers all rows, because the widths of the columns of a text table are known only after the
    /// last row.
    Buffered {
        out: Box<dyn Write + Send + 'w>,
        format: RowFormat,
        rows: Vec<Vec<String>>,
    },
    Json {
        out: Box<dyn Write + Send + 'w>,
        document: bool,
    },
    Csv(Box<dyn Write + Send + 'w>),
    Workbook {
        out: Box<dyn Write + Send + 'w>,
        book: Box<Workbook>,
    },
    Parquet(Box<ArrowWriter<Box<dyn Write + Send + 'w>>>),
    Arrow(Box<StreamWriter<Box<dyn Write + Send + 'w>>>),
}

impl<'w> RowWriter<'w> {
    /// Creates a writer of rows of `schema` to `out`, and writes the header of the format.
    ///
    /// # Errors
    /// [`Failure::Output`]: `out` cannot be written to. [`Failure::Internal`]: the format cannot
    /// hold the schema.
    pub(crate) fn new(
        layout: RowLayout,
        schema: &SchemaRef,
        mut out: Box<dyn Write + Send + 'w>,
    ) -> Result<Self, Failure> {
        let (format, time_zone) = (layout.format, layout.zone());
        let schema = &zoned_schema(schema, time_zone);
        let header: Vec<String> =
            schema.fields().iter().map(|field| field.name().clone()).collect();
        let writer = match format {
            RowFormat::Table | RowFormat::Wide | RowFormat::Expanded | RowFormat::Markdown => {
                FormatWriter::Buffered { out, format, rows: Vec::new() }
            }
            RowFormat::Json => FormatWriter::Json { out, document: false },
            RowFormat::Document => {
                let columns: Vec<Value> = schema
                    .fields()
                    .iter()
                    .map(|field| json!({ "name": field.name(), "type": type_name(field.data_type()) }))
                    .collect();
                write!(out, "{{\"columns\":{},\"rows\":[", Value::Array(columns))?;
                FormatWriter::Json { out, document: true }
            }
            RowFormat::Csv => {
                out.write_all(csv_line(header.iter().map(|name| csv_field(name))).as_bytes())?;
                FormatWriter::Csv(out)
            }
            RowFormat::Xlsx => {
                let mut book = Box::new(Workbook::default());
                book.add_sheet("rows", &header).map_err(workbook_failure)?;
                FormatWriter::Workbook { out, book }
            }
            RowFormat::Parquet => {
                let schema = &portable_schema(schema);
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .build();
                let writer = ArrowWriter::try_new(out, Arc::clone(schema), Some(properties));
                FormatWriter::Parquet(Box::new(writer.map_err(Failure::internal)?))
            }
            RowFormat::Arrow => FormatWriter::Arrow(Box::new(
                StreamWriter::try_new(out, &portable_schema(schema)).map_err(Failure::internal)?,
            )),
        };
        Ok(Self { writer, header, time_zone, rows: 0 })
    }

    /// Writes the rows of `batch`.
    ///
    /// # Errors
    /// As [`RowWriter::new`].
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let header = &self.header;
        let batch = &in_time_zone(batch, self.time_zone)?;
        match &mut self.writer {
            FormatWriter::Buffered { rows, format, .. } => {
                let rows_max =
                    if *format == RowFormat::Markdown { usize::MAX } else { TABLE_ROWS_MAX };
                rows.extend(
                    (0..batch.num_rows())
                        .take(rows_max.saturating_sub(rows.len()))
                        .map(|row| row_texts(batch, row)),
                );
            }
            FormatWriter::Json { out, document } => {
                for row in 0..batch.num_rows() {
                    let object: Map<String, Value> = header
                        .iter()
                        .zip(batch.columns())
                        .map(|(name, column)| (name.clone(), json_value(column, row)))
                        .collect();
                    let first = self.rows == 0 && row == 0;
                    let (before, after) =
                        if *document { (if first { "\n" } else { ",\n" }, "") } else { ("", "\n") };
                    write!(out, "{before}{}{after}", Value::Object(object))?;
                }
            }
            FormatWriter::Csv(out) => write_csv_rows(out, batch)?,
            FormatWriter::Workbook { book, .. } => add_sheet_rows(book, batch)?,
            FormatWriter::Parquet(writer) => {
                writer.write(&to_portable_types(batch)?).map_err(Failure::internal)?
            }
            FormatWriter::Arrow(writer) => {
                writer.write(&to_portable_types(batch)?).map_err(arrow_error)?
            }
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Writes the buffered rows and the footer of the format. Returns the row counts.
    ///
    /// # Errors
    /// As [`RowWriter::new`].
    pub(crate) fn finish(self) -> Result<RowCounts, Failure> {
        let Self { writer, header, rows: total, .. } = self;
        match writer {
            FormatWriter::Buffered { mut out, format, rows } => {
                let hidden = total - rows.len();
                match format {
                    RowFormat::Expanded => write_expanded(&mut out, &header, &rows)?,
                    RowFormat::Markdown => write_markdown(&mut out, &header, &rows)?,
                    _ => {
                        let names: Vec<String> = header.iter().map(|name| sanitize(name)).collect();
                        let mut table =
                            printer::table(&names.iter().map(String::as_str).collect::<Vec<_>>());
                        if format == RowFormat::Wide {
                            table.set_content_arrangement(ContentArrangement::Disabled);
                        }
                        for row in rows {
                            table.add_row(row.into_iter().map(printer::cell));
                        }
                        writeln!(out, "{table}")?;
                    }
                }
                out.flush()?;
                return Ok(RowCounts { rows: total, hidden });
            }
            FormatWriter::Json { mut out, document } => {
                if document {
                    writeln!(out, "\n],\"row_count\":{total}}}")?;
                }
                out.flush()?;
            }
            FormatWriter::Csv(mut out) => out.flush()?,
            FormatWriter::Workbook { mut out, book } => finish_workbook(*book, &mut out)?,
            // Flushed here because dropping a buffered file would hide the error of a full disk.
            FormatWriter::Parquet(writer) => {
                writer.into_inner().map_err(Failure::internal)?.flush()?
            }
            FormatWriter::Arrow(writer) => writer.into_inner().map_err(arrow_error)?.flush()?,
        }
        Ok(RowCounts { rows: total, hidden: 0 })
    }
}

/// Returns `schema` with all times in `zone`. A time without a time zone stays as it is.
fn zoned_schema(schema: &SchemaRef, zone: Tz) -> SchemaRef {
    let zoned = |field: &Arc<Field>| {
        field.as_ref().clone().with_data_type(zoned_type(field.data_type(), zone))
    };
    Arc::new(Schema::new(schema.fields().iter().map(zoned).collect::<Vec<_>>()))
}

/// Returns `batch` with all times in `zone`, as they are shown.
fn in_time_zone(batch: &RecordBatch, zone: Tz) -> Result<RecordBatch, Failure> {
    let schema = zoned_schema(&batch.schema(), zone);
    if schema == batch.schema() {
        return Ok(batch.clone());
    }
    cast_columns(batch, schema)
}

/// The type of times in `zone`, also of those in lists and structs.
fn zoned_type(data_type: &DataType, zone: Tz) -> DataType {
    let zoned = |field: &Arc<Field>| {
        Arc::new(field.as_ref().clone().with_data_type(zoned_type(field.data_type(), zone)))
    };
    match data_type {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some(zone.name().into())),
        DataType::List(field) => DataType::List(zoned(field)),
        DataType::LargeList(field) => DataType::LargeList(zoned(field)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(zoned).collect()),
        other => other.clone(),
    }
}

/// Writes rows as CSV. Numbers stay numbers, negative ones too.
fn write_csv_rows(out: &mut dyn Write, batch: &RecordBatch) -> io::Result<()> {
    let is_numeric: Vec<bool> =
        batch.columns().iter().map(|column| column.data_type().is_numeric()).collect();
    for row in 0..batch.num_rows() {
        let texts = row_texts(batch, row);
        let fields = texts.iter().zip(&is_numeric).map(|(text, &is_numeric)| {
            let is_number = is_numeric && text.parse::<f64>().is_ok_and(f64::is_finite);
            if is_number { Cow::Borrowed(text.as_str()) } else { csv_field(text) }
        });
        out.write_all(csv_line(fields).as_bytes())?;
    }
    Ok(())
}

/// Adds rows to a workbook.
fn add_sheet_rows(book: &mut Workbook, batch: &RecordBatch) -> Result<(), Failure> {
    let types: Vec<&DataType> = batch.columns().iter().map(|column| column.data_type()).collect();
    for row in 0..batch.num_rows() {
        let texts = row_texts(batch, row).into_iter();
        let cells: Vec<SheetCell> = texts
            .zip(batch.columns())
            .zip(&types)
            .map(|((text, column), data_type)| match data_type {
                _ if text.is_empty() || column.is_null(row) => SheetCell::Empty,
                DataType::Boolean => SheetCell::Bool(text == "true"),
                kind if kind.is_floating() => SheetCell::float(text),
                kind if kind.is_numeric() => SheetCell::exact_number(text),
                _ => SheetCell::Text(text),
            })
            .collect();
        book.add_row(&cells).map_err(workbook_failure)?;
    }
    Ok(())
}

/// Returns `schema` with `Utf8View` and `BinaryView` replaced by `Utf8` and `Binary`, which every
/// reader of Parquet and Arrow supports. All fields are nullable.
fn portable_schema(schema: &SchemaRef) -> SchemaRef {
    let portable = |field: &Field| {
        let data_type = match field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            DataType::BinaryView => DataType::Binary,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    };
    Arc::new(Schema::new(schema.fields().iter().map(|field| portable(field)).collect::<Vec<_>>()))
}

/// Casts `batch` to the types of [`portable_schema`].
fn to_portable_types(batch: &RecordBatch) -> Result<RecordBatch, Failure> {
    cast_columns(batch, portable_schema(&batch.schema()))
}

/// Casts the columns of `batch` to the types of `schema`.
fn cast_columns(batch: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch, Failure> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(Failure::internal)?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(Failure::internal)
}

/// Converts an Arrow error: an I/O error to [`Failure::Output`], other errors to
/// [`Failure::Internal`].
fn arrow_error(error: ArrowError) -> Failure {
    match error {
        ArrowError::IoError(_, error) => Failure::Output(error),
        other => Failure::internal(other),
    }
}

/// Writes each row as a block of lines, one line per column.
fn write_expanded(out: &mut dyn Write, header: &[String], rows: &[Vec<String>]) -> io::Result<()> {
    let width = header.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    for (number, row) in rows.iter().enumerate() {
        writeln!(out, "-- row {} {}", number + 1, "-".repeat(width))?;
        for (name, value) in header.iter().zip(row) {
            writeln!(out, "{:width$} | {}", sanitize(name), sanitize(value))?;
        }
    }
    Ok(())
}

/// Writes a Markdown table.
fn write_markdown(out: &mut dyn Write, header: &[String], rows: &[Vec<String>]) -> io::Result<()> {
    let line = |cells: &[String]| {
        cells.iter().map(|cell| format!("| {} ", escape_markdown(cell))).collect::<String>() + "|"
    };
    writeln!(out, "{}", line(header))?;
    writeln!(out, "{}|", "| --- ".repeat(header.len()))?;
    rows.iter().try_for_each(|row| writeln!(out, "{}", line(row)))
}

/// Escapes the characters of `text` that have a meaning in Markdown or HTML, or that end a table
/// cell.
fn escape_markdown(text: &str) -> String {
    let mut safe = String::new();
    for character in sanitize(text).chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '!' | '#' | '~' | '@' => {
                safe.extend(['\\', character])
            }
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_and_html_are_escaped() {
        assert_eq!(
            escape_markdown("a|b\n<i>[x](http://y)"),
            "a\\|b\\\\n&lt;i&gt;\\[x\\]\\(http://y\\)"
        );
    }
}
