//! Arguments of SQL functions as Rust values, whatever Arrow type they come in.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, GenericListArray, StringBuilder,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ColumnarValue;
use std::net::IpAddr;
use std::sync::Arc;
use trailhound_datasets::derive::address;

/// The arguments of one call.
pub(super) struct Args<'a> {
    pub(super) name: &'static str,
    pub(super) values: &'a [ColumnarValue],
    pub(super) rows: usize,
}

/// A column or a constant.
pub(super) struct Values<T> {
    array: T,
    constant: bool,
}

impl<T> Values<T> {
    fn at(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }
}

impl Args<'_> {
    fn array(&self, index: usize) -> Result<(ArrayRef, bool)> {
        match &self.values[index] {
            ColumnarValue::Array(array) => Ok((Arc::clone(array), false)),
            ColumnarValue::Scalar(value) => Ok((value.to_array()?, true)),
        }
    }

    pub(super) fn texts(&self, index: usize) -> Result<Values<ArrayRef>> {
        let (array, constant) = self.array(index)?;
        let array = match array.data_type() {
            DataType::Utf8 => array,
            DataType::Utf8View
            | DataType::LargeUtf8
            | DataType::Null
            | DataType::Dictionary(..) => cast(&array, &DataType::Utf8)?,
            other => {
                return exec_err!(
                    "{}: argument {} must be text, not {other}",
                    self.name,
                    index + 1
                );
            }
        };
        Ok(Values { array, constant })
    }

    /// Addresses given as text or as 16 bytes.
    pub(super) fn addresses(&self, index: usize) -> Result<Addresses> {
        let (array, _) = self.array(index)?;
        match array.data_type() {
            DataType::Binary
            | DataType::BinaryView
            | DataType::LargeBinary
            | DataType::FixedSizeBinary(16) => {
                let (array, constant) = self.array(index)?;
                Ok(Addresses::Bytes(Values { array: cast(&array, &DataType::Binary)?, constant }))
            }
            _ => Ok(Addresses::Text(self.texts(index)?)),
        }
    }
}

pub(super) enum Addresses {
    Text(Values<ArrayRef>),
    Bytes(Values<ArrayRef>),
}

impl Addresses {
    pub(super) fn get(&self, row: usize) -> Option<IpAddr> {
        match self {
            Self::Text(values) => values.get(row).and_then(address::parse_ip),
            Self::Bytes(values) => {
                let row = values.at(row);
                let array = values.array.as_binary::<i32>();
                let bytes: [u8; 16] =
                    array.is_valid(row).then(|| array.value(row))?.try_into().ok()?;
                Some(address::from_bytes(bytes))
            }
        }
    }
}

impl Values<ArrayRef> {
    pub(super) fn get(&self, row: usize) -> Option<&str> {
        let row = self.at(row);
        let array = self.array.as_string::<i32>();
        array.is_valid(row).then(|| array.value(row))
    }
}

pub(super) struct Times(Values<ArrayRef>);

impl Times {
    /// Microseconds since 1970 UTC.
    pub(super) fn get(&self, row: usize) -> Option<i64> {
        let row = self.0.at(row);
        let array = self.0.array.as_primitive::<Int64Type>();
        array.is_valid(row).then(|| array.value(row))
    }
}

pub(super) fn times(args: &Args<'_>, index: usize) -> Result<Times> {
    let (array, constant) = args.array(index)?;
    let micros = cast(&array, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
    Ok(Times(Values { array: cast(&micros, &DataType::Int64)?, constant }))
}

pub(super) struct Lists(Values<ArrayRef>);

impl Lists {
    pub(super) fn get(&self, row: usize) -> Option<Vec<String>> {
        let row = self.0.at(row);
        let lists: &GenericListArray<i32> = self.0.array.as_list_opt()?;
        if lists.is_null(row) {
            return None;
        }
        let texts = cast(&lists.value(row), &DataType::Utf8).ok()?;
        Some(texts.as_string::<i32>().iter().flatten().map(str::to_owned).collect())
    }
}

pub(super) fn lists(args: &Args<'_>, index: usize) -> Result<Lists> {
    let (array, constant) = args.array(index)?;
    match array.data_type() {
        DataType::List(_) | DataType::Null => Ok(Lists(Values { array, constant })),
        other => {
            exec_err!("{}: argument {} must be a list of text, not {other}", args.name, index + 1)
        }
    }
}

pub(super) fn booleans(
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<bool>>,
) -> Result<ArrayRef> {
    let mut builder = BooleanBuilder::with_capacity(rows);
    for row in 0..rows {
        builder.append_option(value(row)?);
    }
    Ok(Arc::new(builder.finish()))
}

pub(super) fn texts(
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<String>>,
) -> Result<ArrayRef> {
    let mut builder = StringBuilder::new();
    for row in 0..rows {
        builder.append_option(value(row)?);
    }
    Ok(Arc::new(builder.finish()))
}
