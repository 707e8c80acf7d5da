//! Values of Parquet columns as JSON text: the row of a Parquet file becomes the record that a JSON file would hold.

use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, SecondsFormat};
use trailhound_datasets::json;

/// Largest integer up to which every whole number is a float, 2^53.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

/// Why a row has no JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellError {
    /// A binary column holds bytes that are not UTF-8.
    NotUtf8,
    /// The row is larger than an event may be.
    TooLarge,
    /// A column has a type without text.
    NoText,
}

/// The row as a JSON object of its columns; null columns are left out. At most `bytes_max` bytes long.
pub(super) fn row_text(
    batch: &RecordBatch,
    row: usize,
    bytes_max: usize,
) -> Result<String, CellError> {
    let mut text = String::from("{");
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        push_member(field.name(), column, row, bytes_max, &mut text)?;
    }
    text.push('}');
    Ok(text)
}

fn push_member(
    name: &str,
    column: &dyn Array,
    row: usize,
    bytes_max: usize,
    text: &mut String,
) -> Result<(), CellError> {
    if column.is_null(row) || *column.data_type() == DataType::Null {
        return Ok(());
    }
    if !text.ends_with('{') {
        text.push(',');
    }
    text.push_str(&json::quote(name));
    text.push(':');
    push_value(column, row, bytes_max, text)
}

/// Appends one value that is not null.
fn push_value(
    column: &dyn Array,
    row: usize,
    bytes_max: usize,
    text: &mut String,
) -> Result<(), CellError> {
    if text.len() > bytes_max {
        return Err(CellError::TooLarge);
    }
    match column.data_type() {
        DataType::Struct(_) => push_struct(column.as_struct(), row, bytes_max, text)?,
        DataType::List(_) => {
            push_list(&column.as_list::<i32>().value(row), bytes_max, text)?;
        }
        DataType::LargeList(_) => {
            push_list(&column.as_list::<i64>().value(row), bytes_max, text)?;
        }
        DataType::FixedSizeList(..) => {
            push_list(&column.as_fixed_size_list().value(row), bytes_max, text)?;
        }
        DataType::Map(..) => push_map(&column.as_map().value(row), bytes_max, text)?,
        DataType::Dictionary(..) => {
            let plain = arrow::compute::cast(&column.slice(row, 1), &DataType::Utf8)
                .map_err(|_| CellError::NoText)?;
            text.push_str(&json::quote(plain.as_string::<i32>().value(0)));
        }
        _ => push_scalar(column, row, bytes_max.saturating_sub(text.len()), text)?,
    }
    if text.len() > bytes_max { Err(CellError::TooLarge) } else { Ok(()) }
}

fn push_struct(
    column: &StructArray,
    row: usize,
    bytes_max: usize,
    text: &mut String,
) -> Result<(), CellError> {
    text.push('{');
    for (field, member) in column.fields().iter().zip(column.columns()) {
        push_member(field.name(), member, row, bytes_max, text)?;
    }
    text.push('}');
    Ok(())
}

fn push_list(elements: &dyn Array, bytes_max: usize, text: &mut String) -> Result<(), CellError> {
    text.push('[');
    for index in 0..elements.len() {
        if index > 0 {
            text.push(',');
        }
        if elements.is_null(index) {
            text.push_str("null");
        } else {
            push_value(elements, index, bytes_max, text)?;
        }
    }
    text.push(']');
    Ok(())
}

/// Appends a map as the object of its keys.
fn push_map(entries: &StructArray, bytes_max: usize, text: &mut String) -> Result<(), CellError> {
    let (keys, values) = (entries.column(0), entries.column(1));
    text.push('{');
    for index in 0..entries.len() {
        let mut key = String::new();
        push_value(keys, index, bytes_max, &mut key)?;
        let key = if key.starts_with('"') { key } else { json::quote(&key) };
        if index > 0 {
            text.push(',');
        }
        text.push_str(&key);
        text.push(':');
        if values.is_null(index) {
            text.push_str("null");
        } else {
            push_value(values, index, bytes_max, text)?;
        }
    }
    text.push('}');
    Ok(())
}

fn push_scalar(
    column: &dyn Array,
    row: usize,
    room: usize,
    text: &mut String,
) -> Result<(), CellError> {
    let mut push_text = |value: &[u8]| {
        if value.len() > room {
            return Err(CellError::TooLarge);
        }
        let value = std::str::from_utf8(value).map_err(|_| CellError::NotUtf8)?;
        text.push_str(&json::quote(value));
        Ok(())
    };
    match column.data_type() {
        DataType::Utf8 => return push_text(column.as_string::<i32>().value(row).as_bytes()),
        DataType::LargeUtf8 => return push_text(column.as_string::<i64>().value(row).as_bytes()),
        DataType::Utf8View => return push_text(column.as_string_view().value(row).as_bytes()),
        DataType::Binary => return push_text(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => return push_text(column.as_binary::<i64>().value(row)),
        DataType::BinaryView => return push_text(column.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => {
            return push_text(column.as_fixed_size_binary().value(row));
        }
        _ => {}
    }
    let value = match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Int8 => column.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).to_string(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).to_string(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Float16 => float(column.as_primitive::<Float16Type>().value(row).to_f64()),
        DataType::Float32 => float(column.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(unit, _) => json::quote(&instant(column, row, *unit)),
        _ => {
            let options = FormatOptions::default();
            let formatter =
                ArrayFormatter::try_new(column, &options).map_err(|_| CellError::NoText)?;
            json::quote(&formatter.value(row).to_string())
        }
    };
    text.push_str(&value);
    Ok(())
}

/// A float as JSON. A whole number that a float cannot hold exactly keeps its exponent, so that no id is taken from it.
fn float(value: f64) -> String {
    if !value.is_finite() {
        return json::quote(&value.to_string());
    }
    if value.fract() == 0.0 && value.abs() < EXACT_FLOAT_MAX {
        return format!("{value:.0}");
    }
    format!("{value:e}")
}

/// A timestamp in RFC 3339. One without a time zone is taken as UTC.
fn instant(column: &dyn Array, row: usize, unit: TimeUnit) -> String {
    let time = match unit {
        TimeUnit::Second => {
            DateTime::from_timestamp(column.as_primitive::<TimestampSecondType>().value(row), 0)
        }
        TimeUnit::Millisecond => DateTime::from_timestamp_millis(
            column.as_primitive::<TimestampMillisecondType>().value(row),
        ),
        TimeUnit::Microsecond => DateTime::from_timestamp_micros(
            column.as_primitive::<TimestampMicrosecondType>().value(row),
        ),
        TimeUnit::Nanosecond => Some(DateTime::from_timestamp_nanos(
            column.as_primitive::<TimestampNanosecondType>().value(row),
        )),
    };
    time.map_or_else(
        || "a time out of range".to_owned(),
        |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
    )
}
