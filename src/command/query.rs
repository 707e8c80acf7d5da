//! `trailhound query`.

use crate::cli::{self, Format};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::Arc;
use trailhound_ingest::lake::{CatalogError, find_catalogue};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::{QueryLimits, Session};

/// Rows a table shows; people read no more, and the other formats give all.
const TABLE_ROWS_MAX: usize = 1000;

pub(crate) async fn run(config: &Config, args: cli::Query) -> Result<Exit, Failure> {
    let session = session(config, args.place.lake.as_deref()).await?;
    ask(&session, &args.sql, args.format).await?;
    Ok(Exit::Done)
}

/// A session over the newest snapshot of a lake.
pub(super) async fn session(config: &Config, lake: Option<&Path>) -> Result<Session, Failure> {
    session_with(config, lake, Arc::clone(&config.parameters)).await
}

/// The same with other parameters.
pub(super) async fn session_with(config: &Config, lake: Option<&Path>, parameters: Arc<Parameters>) -> Result<Session, Failure> {
    let folder = config.lake(lake)?;
    let place = find_catalogue(&folder)?.ok_or(CatalogError::Missing { folder })?;
    Ok(Session::over_lake(&place, parameters, &QueryLimits::default()).await?)
}

/// Prints what a statement gives; returns the number of rows.
pub(super) async fn ask(session: &Session, sql: &str, format: Format) -> Result<usize, Failure> {
    let frame = session.sql(sql).await?;
    let header: Vec<String> = frame.schema().fields().iter().map(|field| field.name().clone()).collect();
    let batches = frame.collect().await.map_err(|e| Failure::Usage(e.strip_backtrace()))?;
    print(&header, &batches, format)?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}

fn print(header: &[String], batches: &[RecordBatch], format: Format) -> Result<(), Failure> {
    let names: Vec<&str> = header.iter().map(String::as_str).collect();
    match format {
        Format::Json => {
            for batch in batches {
                for row in 0..batch.num_rows() {
                    let object: Map<String, Value> =
                        header.iter().zip(batch.columns()).map(|(name, column)| (name.clone(), json_value(column, row))).collect();
                    printer::line(&Value::Object(object).to_string())?;
                }
            }
        }
        Format::Csv => printer::csv(&names, batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| texts(batch, row))))?,
        Format::Table => {
            let mut table = printer::table(&names);
            let mut rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| texts(batch, row)));
            for row in rows.by_ref().take(TABLE_ROWS_MAX) {
                table.add_row(row.into_iter().map(printer::cell));
            }
            let left = rows.count();
            printer::line(&table.to_string())?;
            let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
            printer::talk(&match left {
                0 => format!("{total} rows"),
                _ => format!("{total} rows, the first {TABLE_ROWS_MAX} shown; --format json or csv gives all"),
            });
        }
    }
    Ok(())
}

fn texts(batch: &RecordBatch, row: usize) -> Vec<String> {
    batch.columns().iter().map(|column| text(column, row)).collect()
}

fn text(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return String::new();
    }
    match bytes(column, row) {
        Some(bytes) => hex(bytes),
        None => match ArrayFormatter::try_new(column, &FormatOptions::default().with_null("null")) {
            Ok(formatter) => formatter.value(row).to_string(),
            Err(error) => format!("({error})"),
        },
    }
}

fn bytes(column: &dyn Array, row: usize) -> Option<&[u8]> {
    match column.data_type() {
        DataType::Binary => Some(column.as_binary::<i32>().value(row)),
        DataType::BinaryView => Some(column.as_binary_view().value(row)),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json_value(column: &dyn Array, row: usize) -> Value {
    use arrow::datatypes::{Float64Type, Int64Type, UInt64Type};
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => Value::from(column.as_boolean().value(row)),
        DataType::Int64 => Value::from(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => Value::from(column.as_primitive::<UInt64Type>().value(row)),
        DataType::Float64 => Value::from(column.as_primitive::<Float64Type>().value(row)),
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            Value::Array((0..list.len()).map(|index| json_value(&list, index)).collect())
        }
        DataType::Struct(fields) => {
            let parts = column.as_struct();
            fields.iter().zip(parts.columns()).map(|(field, part)| (field.name().clone(), json_value(part, row))).collect()
        }
        _ => Value::from(text(column, row)),
    }
}
