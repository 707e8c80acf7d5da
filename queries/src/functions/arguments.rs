//! Converts the arguments of SQL functions from any Arrow type to Rust values.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, GenericListArray, ListBuilder, StringArray,
    StringBuilder,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ColumnarValue;
use std::net::IpAddr;
use std::sync::Arc;
use trailhound_datasets::derive::address;

/// The arguments of one call, for `rows` rows.
pub(super) struct FunctionArguments<'a> {
    pub(super) name: &'static str,
    pub(super) values: &'a [ColumnarValue],
    pub(super) rows: usize,
}

/// An argument as an Arrow array. A constant is an array of one value that stands for every row.
pub(super) struct ArgumentArray<T> {
    array: T,
    is_constant: bool,
}

impl<T> ArgumentArray<T> {
    fn index_of(&self, row: usize) -> usize {
        if self.is_constant { 0 } else { row }
    }
}

impl FunctionArguments<'_> {
    fn array(&self, index: usize) -> Result<(ArrayRef, bool)> {
        match &self.values[index] {
            ColumnarValue::Array(array) => Ok((Arc::clone(array), false)),
            ColumnarValue::Scalar(value) => Ok((value.to_array()?, true)),
        }
    }

    /// The argument with this index, as text.
    ///
    /// # Errors
    /// The argument has another type.
    pub(super) fn texts(&self, index: usize) -> Result<ArgumentArray<ArrayRef>> {
        let (array, is_constant) = self.array(index)?;
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
        Ok(ArgumentArray { array, is_constant })
    }

    /// The argument with this index, as IP addresses: text, or 16 bytes.
    pub(super) fn addresses(&self, index: usize) -> Result<Addresses> {
        let (array, _) = self.array(index)?;
        match array.data_type() {
            DataType::Binary
            | DataType::BinaryView
            | DataType::LargeBinary
            | DataType::FixedSizeBinary(16) => {
                let (array, is_constant) = self.array(index)?;
                Ok(Addresses::Bytes(ArgumentArray {
                    array: cast(&array, &DataType::Binary)?,
                    is_constant,
                }))
            }
            _ => Ok(Addresses::Text(self.texts(index)?)),
        }
    }
}

/// An argument that holds IP addresses.
pub(super) enum Addresses {
    Text(ArgumentArray<ArrayRef>),
    Bytes(ArgumentArray<ArrayRef>),
}

impl Addresses {
    pub(super) fn get(&self, row: usize) -> Option<IpAddr> {
        match self {
            Self::Text(values) => values.get(row).and_then(address::parse_ip),
            Self::Bytes(values) => {
                let row = values.index_of(row);
                let array = values.array.as_binary::<i32>();
                let bytes: [u8; 16] =
                    array.is_valid(row).then(|| array.value(row))?.try_into().ok()?;
                Some(address::from_bytes(bytes))
            }
        }
    }
}

impl ArgumentArray<ArrayRef> {
    pub(super) fn get(&self, row: usize) -> Option<&str> {
        let row = self.index_of(row);
        let array = self.array.as_string::<i32>();
        array.is_valid(row).then(|| array.value(row))
    }

    /// The value where the argument is a constant that is not NULL.
    pub(super) fn constant(&self) -> Option<String> {
        self.is_constant.then(|| self.get(0).map(str::to_owned))?
    }
}

/// An argument that holds timestamps.
pub(super) struct Timestamps(ArgumentArray<ArrayRef>);

impl Timestamps {
    /// Microseconds since 1970 UTC; `None` for NULL.
    pub(super) fn get(&self, row: usize) -> Option<i64> {
        let row = self.0.index_of(row);
        let array = self.0.array.as_primitive::<Int64Type>();
        array.is_valid(row).then(|| array.value(row))
    }
}

/// The argument with this index, as timestamps.
pub(super) fn times(args: &FunctionArguments<'_>, index: usize) -> Result<Timestamps> {
    let (array, is_constant) = args.array(index)?;
    let micros = cast(&array, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
    Ok(Timestamps(ArgumentArray { array: cast(&micros, &DataType::Int64)?, is_constant }))
}

/// An argument that holds lists of text.
pub(super) struct TextLists(ArgumentArray<ArrayRef>);

impl TextLists {
    pub(super) fn get(&self, row: usize) -> Option<Vec<String>> {
        let row = self.0.index_of(row);
        let lists: &GenericListArray<i32> = self.0.array.as_list_opt()?;
        if lists.is_null(row) {
            return None;
        }
        let texts = cast(&lists.value(row), &DataType::Utf8).ok()?;
        Some(texts.as_string::<i32>().iter().flatten().map(str::to_owned).collect())
    }
}

impl TextLists {
    /// The texts of all rows in one array, and a function that returns where a row's texts are in it: from, to. `None` for a
    /// row that is NULL.
    pub(super) fn flat(&self) -> (StringArray, impl Fn(usize) -> Option<(usize, usize)>) {
        let lists: Option<&GenericListArray<i32>> = self.0.array.as_list_opt();
        let values =
            lists.and_then(|lists| cast(lists.values(), &DataType::Utf8).ok()).map_or_else(
                || StringArray::from(Vec::<String>::new()),
                |array| array.as_string().clone(),
            );
        let range_of = move |row| {
            let (lists, row) = (lists?, self.0.index_of(row));
            let offsets = lists.value_offsets();
            lists.is_valid(row).then(|| (offsets[row] as usize, offsets[row + 1] as usize))
        };
        (values, range_of)
    }
}

/// The argument with this index, as lists of text. A single text stands for a list of one.
pub(super) fn texts_or_lists(args: &FunctionArguments<'_>, index: usize) -> Result<TextLists> {
    let Ok(texts) = args.texts(index) else { return lists(args, index) };
    let mut builder = ListBuilder::new(StringBuilder::new());
    for text in texts.array.as_string::<i32>() {
        builder.values().append_option(text);
        // A missing text is no list with a null in it.
        builder.append(text.is_some());
    }
    let array: ArrayRef = Arc::new(builder.finish());
    Ok(TextLists(ArgumentArray { array, is_constant: texts.is_constant }))
}

/// The argument with this index, as lists of text.
pub(super) fn lists(args: &FunctionArguments<'_>, index: usize) -> Result<TextLists> {
    let (array, is_constant) = args.array(index)?;
    match array.data_type() {
        DataType::List(_) | DataType::Null => Ok(TextLists(ArgumentArray { array, is_constant })),
        other => {
            exec_err!("{}: argument {} must be a list of text, not {other}", args.name, index + 1)
        }
    }
}

/// Builds a boolean column of `rows` values.
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

/// Builds a text column of `rows` values.
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
