//! Single values of a column, read from and written to Arrow arrays.

use super::interval::Interval;
use super::pg_type::PgType;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder,
    Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder,
    IntervalMonthDayNanoBuilder, ListArray, StringBuilder, Time64MicrosecondBuilder,
    TimestampMicrosecondBuilder,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use datafusion::common::{DataFusionError, Result, exec_err};
use std::borrow::Cow;
use std::sync::Arc;

/// One value. Points in time are microseconds since 1970: of UTC for `timestamp with time zone`, of the wall clock for
/// `timestamp`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'v> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A decimal number: `digits / 10^scale`.
    Number {
        digits: i128,
        scale: i8,
    },
    Text(Cow<'v, str>),
    Bytes(Cow<'v, [u8]>),
    /// Days since 1970.
    Date(i32),
    /// Microseconds: of the day, or since 1970.
    Time(i64),
    Interval(Interval),
    List(Vec<Value<'v>>),
}

impl<'v> Value<'v> {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Value::Text(Cow::Owned(text.into()))
    }

    /// `digits / 10^scale`.
    pub(super) fn number((digits, scale): (i128, i8)) -> Self {
        Value::Number { digits, scale }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub(super) fn as_text(&self) -> Result<&str> {
        match self {
            Value::Text(text) => Ok(text),
            other => wrong("a text", other),
        }
    }

    pub(super) fn as_int(&self) -> Result<i64> {
        match self {
            Value::Int(number) => Ok(*number),
            other => wrong("an integer", other),
        }
    }

    pub(super) fn as_bool(&self) -> Result<bool> {
        match self {
            Value::Bool(truth) => Ok(*truth),
            other => wrong("a boolean", other),
        }
    }

    pub(super) fn as_float(&self) -> Result<f64> {
        match self {
            Value::Float(number) => Ok(*number),
            other => wrong("a float", other),
        }
    }

    pub(super) fn as_number(&self) -> Result<(i128, i8)> {
        match self {
            Value::Number { digits, scale } => Ok((*digits, *scale)),
            other => wrong("a number", other),
        }
    }

    pub(super) fn as_bytes(&self) -> Result<&[u8]> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            other => wrong("bytes", other),
        }
    }

    pub(super) fn as_date(&self) -> Result<i32> {
        match self {
            Value::Date(days) => Ok(*days),
            other => wrong("a date", other),
        }
    }

    pub(super) fn as_time(&self) -> Result<i64> {
        match self {
            Value::Time(micros) => Ok(*micros),
            other => wrong("a time", other),
        }
    }

    pub(super) fn as_interval(&self) -> Result<Interval> {
        match self {
            Value::Interval(interval) => Ok(*interval),
            other => wrong("an interval", other),
        }
    }

    pub(super) fn as_list(&self) -> Result<&[Value<'v>]> {
        match self {
            Value::List(items) => Ok(items),
            other => wrong("an array", other),
        }
    }
}

fn wrong<T>(expected: &str, found: &Value<'_>) -> Result<T> {
    Err(DataFusionError::Internal(format!("expected {expected}, found {found:?}")))
}

/// `array` in the Arrow type that `type_` is computed in.
pub(super) fn canonical(array: &ArrayRef, type_: &PgType) -> Result<ArrayRef> {
    let target = type_.arrow();
    if *array.data_type() == target { Ok(Arc::clone(array)) } else { Ok(cast(array, &target)?) }
}

/// The value in `row` of `array`, which is canonical.
pub(super) fn value_at(array: &ArrayRef, row: usize) -> Result<Value<'_>> {
    if *array.data_type() == DataType::Null || array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int16 => Value::Int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => Value::Float(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => Value::Number {
            digits: array.as_primitive::<Decimal128Type>().value(row),
            scale: *scale,
        },
        DataType::Utf8 => Value::Text(Cow::Borrowed(array.as_string::<i32>().value(row))),
        DataType::Binary => Value::Bytes(Cow::Borrowed(array.as_binary::<i32>().value(row))),
        DataType::Date32 => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Time64(_) => {
            Value::Time(array.as_primitive::<Time64MicrosecondType>().value(row))
        }
        DataType::Timestamp(..) => {
            Value::Time(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Interval(_) => {
            let parts = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            Value::Interval(Interval {
                months: parts.months,
                days: parts.days,
                micros: parts.nanoseconds / 1000,
            })
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let owned = (0..items.len()).map(|item| Ok(owned(value_at(&items, item)?)));
            Value::List(owned.collect::<Result<_>>()?)
        }
        other => return exec_err!("values of the type {other} cannot be read here"),
    })
}

/// `value` without borrowed parts.
pub(super) fn owned(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Bool(truth) => Value::Bool(truth),
        Value::Int(number) => Value::Int(number),
        Value::Float(number) => Value::Float(number),
        Value::Number { digits, scale } => Value::Number { digits, scale },
        Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
        Value::Date(days) => Value::Date(days),
        Value::Time(micros) => Value::Time(micros),
        Value::Interval(interval) => Value::Interval(interval),
        Value::List(items) => Value::List(items.into_iter().map(owned).collect()),
    }
}

macro_rules! build {
    ($builder:expr, $values:expr, $get:expr) => {{
        let mut builder = $builder;
        for value in $values {
            if value.is_null() {
                builder.append_null();
            } else {
                builder.append_value($get(value)?);
            }
        }
        Ok(Arc::new(builder.finish()) as ArrayRef)
    }};
}

/// `values` as an array of `type_`.
pub(super) fn array_of(type_: &PgType, values: &[Value<'_>]) -> Result<ArrayRef> {
    let in_range =
        |name: &'static str| move || DataFusionError::Execution(format!("{name} out of range"));
    match type_ {
        PgType::Bool => build!(BooleanBuilder::new(), values, Value::as_bool),
        PgType::Int2 => build!(Int16Builder::new(), values, |value: &Value<'_>| {
            i16::try_from(value.as_int()?).map_err(|_| in_range("smallint")())
        }),
        PgType::Int4 => build!(Int32Builder::new(), values, |value: &Value<'_>| {
            i32::try_from(value.as_int()?).map_err(|_| in_range("integer")())
        }),
        PgType::Int8 => build!(Int64Builder::new(), values, Value::as_int),
        PgType::Float4 => build!(Float32Builder::new(), values, |value: &Value<'_>| {
            Ok::<_, DataFusionError>(value.as_float()? as f32)
        }),
        PgType::Float8 => build!(Float64Builder::new(), values, Value::as_float),
        PgType::Numeric { scale, .. } => build!(
            Decimal128Builder::new().with_data_type(type_.arrow()),
            values,
            |value: &Value<'_>| {
                let (digits, from) = value.as_number()?;
                super::numeric::rescale(digits, from, *scale)
            }
        ),
        PgType::Text | PgType::Unknown | PgType::Engine => {
            build!(StringBuilder::new(), values, Value::as_text)
        }
        PgType::Bytea => build!(BinaryBuilder::new(), values, Value::as_bytes),
        PgType::Date => build!(Date32Builder::new(), values, Value::as_date),
        PgType::Time => build!(Time64MicrosecondBuilder::new(), values, Value::as_time),
        PgType::Timestamp | PgType::TimestampTz => build!(
            TimestampMicrosecondBuilder::new().with_data_type(type_.arrow()),
            values,
            Value::as_time
        ),
        PgType::Interval => {
            build!(IntervalMonthDayNanoBuilder::new(), values, |value: &Value<'_>| {
                value.as_interval()?.arrow()
            })
        }
        PgType::Array(item) => lists_of(item, values),
    }
}

fn lists_of(item: &PgType, values: &[Value<'_>]) -> Result<ArrayRef> {
    let (mut items, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for value in values {
        let list = if value.is_null() { &[] } else { value.as_list()? };
        items.extend_from_slice(list);
        lengths.push(list.len());
        valid.push(!value.is_null());
    }
    Ok(Arc::new(ListArray::try_new(
        Arc::new(Field::new_list_field(item.arrow(), true)),
        OffsetBuffer::from_lengths(lengths),
        array_of(item, &items)?,
        Some(NullBuffer::from(valid)),
    )?))
}
