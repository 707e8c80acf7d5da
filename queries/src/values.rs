//! Converts single values of an Arrow column to text and to JSON.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::Value;

/// The values of one row as text. Bytes are written in hex, NULL as an empty text.
#[must_use]
pub fn row_texts(batch: &RecordBatch, row: usize) -> Vec<String> {
    batch.columns().iter().map(|column| text(column, row)).collect()
}

fn text(column: &dyn Array, row: usize) -> String {
    if is_null(column, row) {
        return String::new();
    }
    match bytes(column, row) {
        Some(bytes) => hex(bytes),
        None => {
            match ArrayFormatter::try_new(column, &FormatOptions::default().with_null("null")) {
                Ok(formatter) => formatter.value(row).to_string(),
                Err(error) => format!("({error})"),
            }
        }
    }
}

/// True where the value is NULL. An array of type `Null` has no validity bitmap, so its type is
/// checked first.
fn is_null(column: &dyn Array, row: usize) -> bool {
    *column.data_type() == DataType::Null || column.is_null(row)
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

/// The value as JSON. Numbers, booleans, lists and structs keep their JSON type; every other type
/// becomes text.
#[must_use]
pub fn json_value(column: &dyn Array, row: usize) -> Value {
    if is_null(column, row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => Value::from(column.as_boolean().value(row)),
        kind if kind.is_numeric() => {
            let text = text(column, row);
            // JSON has no NaN and no infinity: they stay text.
            text.parse().map_or_else(|_| Value::from(text), Value::Number)
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            Value::Array((0..list.len()).map(|index| json_value(&list, index)).collect())
        }
        DataType::Struct(fields) => {
            let parts = column.as_struct();
            fields
                .iter()
                .zip(parts.columns())
                .map(|(field, part)| (field.name().clone(), json_value(part, row)))
                .collect()
        }
        _ => Value::from(text(column, row)),
    }
}
