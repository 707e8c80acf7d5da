//! Converts single values of an Arrow column to text and to JSON.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, IntervalMonthDayNanoType};
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
    if let Some(spans) = column.as_primitive_opt::<IntervalMonthDayNanoType>() {
        let span = spans.value(row);
        return interval_text(span.months, span.days, span.nanoseconds / 1000);
    }
    // In 37 digits the number of digits after the point is not the value's own: the zeros at its end say nothing.
    if let DataType::Decimal128(37, scale) = column.data_type()
        && *scale > 0
    {
        let text = column.as_primitive::<Decimal128Type>().value_as_string(row);
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
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

/// The text of an interval as PostgreSQL writes it, such as `1 mon 2 days 03:04:05`.
#[must_use]
pub fn interval_text(months: i32, days: i32, micros: i64) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut negative_before = false;
    for (count, one) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if count != 0 {
            let plus = if negative_before && count > 0 { "+" } else { "" };
            let plural = if count == 1 { "" } else { "s" };
            parts.push(format!("{plus}{count} {one}{plural}"));
            negative_before = count < 0;
        }
    }
    if micros != 0 || parts.is_empty() {
        let sign = match micros {
            micros if micros < 0 => "-",
            _ if negative_before => "+",
            _ => "",
        };
        let micros = micros.unsigned_abs();
        let seconds = micros / 1_000_000;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let fraction = second_fraction(micros % 1_000_000);
        parts.push(format!("{sign}{hours:02}:{minutes:02}:{:02}{fraction}", seconds % 60));
    }
    parts.join(" ")
}

/// `.5` for 500000 microseconds, nothing for none.
pub(crate) fn second_fraction(micros: u64) -> String {
    if micros == 0 {
        return String::new();
    }
    format!(".{micros:06}").trim_end_matches('0').to_owned()
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
