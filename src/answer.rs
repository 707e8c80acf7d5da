//! How the rows of a query are written down: for people, for programs, for spreadsheets, for other engines.

use crate::exit::Failure;
use crate::printer;
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use clap::ValueEnum;
use comfy_table::ContentArrangement;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::sync::Arc;
use trailhound_datasets::sanitize::{csv_field, sanitize};
use trailhound_queries::docs::data_dictionary::type_name;
use trailhound_queries::values::{json_value, row_texts};

/// Rows a table for people shows; they read no more, and the other forms give all.
const TABLE_ROWS_MAX: usize = 1000;

/// A form of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Form {
    /// For people.
    Table,
    /// For people with a pager: as wide as it is.
    #[value(skip)]
    Wide,
    /// For people, a line a column.
    Expanded,
    /// One JSON object a line.
    Json,
    /// One JSON document: `columns` with name and type, `rows` as objects.
    #[value(skip)]
    Document,
    /// RFC 4180, safe to open in a spreadsheet.
    Csv,
    /// A table in Markdown.
    Markdown,
    /// A Parquet file.
    Parquet,
    /// A stream in Arrow's IPC format.
    Arrow,
}

impl Form {
    /// It is no text, so it does not belong on a terminal.
    pub(crate) fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }
}

/// Takes batches of rows one after the other and writes them.
pub(crate) struct Writer<'w> {
    form: Sink<'w>,
    header: Vec<String>,
    rows: usize,
}

/// What stands between the batches and the output.
enum Sink<'w> {
    /// The first rows are kept to make a table of.
    Kept {
        out: Box<dyn Write + Send + 'w>,
        form: Form,
        rows: Vec<Vec<String>>,
    },
    Json {
        out: Box<dyn Write + Send + 'w>,
        document: bool,
    },
    Csv(Box<csv::Writer<Box<dyn Write + Send + 'w>>>),
    Parquet(Box<ArrowWriter<Box<dyn Write + Send + 'w>>>),
    Arrow(Box<StreamWriter<Box<dyn Write + Send + 'w>>>),
}

impl<'w> Writer<'w> {
    /// Begins to write rows of `schema` in `form`.
    pub(crate) fn new(
        form: Form,
        schema: &SchemaRef,
        out: Box<dyn Write + Send + 'w>,
    ) -> Result<Self, Failure> {
        let header: Vec<String> =
            schema.fields().iter().map(|field| field.name().clone()).collect();
        let form = match form {
            Form::Table | Form::Wide | Form::Expanded | Form::Markdown => {
                Sink::Kept { out, form, rows: Vec::new() }
            }
            Form::Json => Sink::Json { out, document: false },
            Form::Document => {
                let mut out = out;
                let columns: Vec<Value> = schema
                    .fields()
                    .iter()
                    .map(|field| json!({ "name": field.name(), "type": type_name(field.data_type()) }))
                    .collect();
                write!(out, "{{\"columns\":{},\"rows\":[", Value::Array(columns))?;
                Sink::Json { out, document: true }
            }
            Form::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(&header).map_err(csv_failed)?;
                Sink::Csv(Box::new(writer))
            }
            Form::Parquet => {
                let schema = &plain(schema);
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .build();
                let writer = ArrowWriter::try_new(out, Arc::clone(schema), Some(properties));
                Sink::Parquet(Box::new(writer.map_err(Failure::internal)?))
            }
            Form::Arrow => Sink::Arrow(Box::new(
                StreamWriter::try_new(out, &plain(schema)).map_err(Failure::internal)?,
            )),
        };
        Ok(Self { form, header, rows: 0 })
    }

    /// Writes some more rows.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let header = &self.header;
        match &mut self.form {
            Sink::Kept { rows, form, .. } => {
                let most = if *form == Form::Markdown { usize::MAX } else { TABLE_ROWS_MAX };
                rows.extend(
                    (0..batch.num_rows())
                        .take(most.saturating_sub(rows.len()))
                        .map(|row| row_texts(batch, row)),
                );
            }
            Sink::Json { out, document } => {
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
            Sink::Csv(writer) => {
                for row in 0..batch.num_rows() {
                    writer
                        .write_record(row_texts(batch, row).iter().map(|field| csv_field(field)))
                        .map_err(csv_failed)?;
                }
            }
            Sink::Parquet(writer) => {
                writer.write(&in_plain_types(batch)?).map_err(Failure::internal)?
            }
            Sink::Arrow(writer) => writer.write(&in_plain_types(batch)?).map_err(arrow_failed)?,
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Writes what is left; gives the number of rows, and how many of them are not shown.
    pub(crate) fn finish(self) -> Result<(usize, usize), Failure> {
        let Self { form, header, rows: total } = self;
        match form {
            Sink::Kept { mut out, form, rows } => {
                let left = total - rows.len();
                match form {
                    Form::Expanded => expanded(&mut out, &header, &rows)?,
                    Form::Markdown => markdown(&mut out, &header, &rows)?,
                    _ => {
                        let names: Vec<String> = header.iter().map(|name| sanitize(name)).collect();
                        let mut table =
                            printer::table(&names.iter().map(String::as_str).collect::<Vec<_>>());
                        if form == Form::Wide {
                            table.set_content_arrangement(ContentArrangement::Disabled);
                        }
                        for row in rows {
                            table.add_row(row.into_iter().map(printer::cell));
                        }
                        writeln!(out, "{table}")?;
                    }
                }
                out.flush()?;
                return Ok((total, left));
            }
            Sink::Json { mut out, document } => {
                if document {
                    writeln!(out, "\n],\"row_count\":{total}}}")?;
                }
                out.flush()?;
            }
            Sink::Csv(mut writer) => writer.flush()?,
            // What is still buffered must be written here: a file dropped with it says nothing of a full disk.
            Sink::Parquet(writer) => writer.into_inner().map_err(Failure::internal)?.flush()?,
            Sink::Arrow(writer) => writer.into_inner().map_err(arrow_failed)?.flush()?,
        }
        Ok((total, 0))
    }
}

/// `schema` without the types of text and bytes that not every reader of files knows.
fn plain(schema: &SchemaRef) -> SchemaRef {
    let of = |field: &Field| {
        let data_type = match field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            DataType::BinaryView => DataType::Binary,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    };
    Arc::new(Schema::new(schema.fields().iter().map(|field| of(field)).collect::<Vec<_>>()))
}

fn in_plain_types(batch: &RecordBatch) -> Result<RecordBatch, Failure> {
    let schema = plain(&batch.schema());
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(Failure::internal)?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(Failure::internal)
}

/// An output that takes no more is told as such.
fn arrow_failed(error: ArrowError) -> Failure {
    match error {
        ArrowError::IoError(_, error) => Failure::Output(error),
        other => Failure::internal(other),
    }
}

fn csv_failed(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn expanded(out: &mut dyn Write, header: &[String], rows: &[Vec<String>]) -> io::Result<()> {
    let width = header.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    for (number, row) in rows.iter().enumerate() {
        writeln!(out, "-- row {} {}", number + 1, "-".repeat(width))?;
        for (name, value) in header.iter().zip(row) {
            writeln!(out, "{:width$} | {}", sanitize(name), sanitize(value))?;
        }
    }
    Ok(())
}

fn markdown(out: &mut dyn Write, header: &[String], rows: &[Vec<String>]) -> io::Result<()> {
    let line = |cells: &[String]| {
        cells.iter().map(|cell| format!("| {} ", markdown_text(cell))).collect::<String>() + "|"
    };
    writeln!(out, "{}", line(header))?;
    writeln!(out, "{}|", "| --- ".repeat(header.len()))?;
    rows.iter().try_for_each(|row| writeln!(out, "{}", line(row)))
}

/// `text` so that nothing in it is Markdown, HTML or the end of a cell.
fn markdown_text(text: &str) -> String {
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
    fn text_is_inert_in_markdown() {
        assert_eq!(
            markdown_text("a|b\n<i>[x](http://y)"),
            "a\\|b\\\\n&lt;i&gt;\\[x\\]\\(http://y\\)"
        );
    }
}
