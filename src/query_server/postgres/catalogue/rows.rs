//! Tables of the catalogue, built column by column.

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int16Array, Int32Array, ListBuilder, RecordBatch,
    RecordBatchOptions, StringArray, StringBuilder, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion_postgres::arrow_pg::datatypes::{PG_CHAR_KEY, PG_OID_ALIAS_KEY};
use std::collections::HashMap;
use std::sync::Arc;

/// The columns of a table of which the number of rows is known.
pub(super) struct Rows {
    count: usize,
    fields: Vec<Field>,
    columns: Vec<ArrayRef>,
}

impl Rows {
    /// No column of `count` rows.
    pub(super) fn new(count: usize) -> Self {
        Self { count, fields: Vec::new(), columns: Vec::new() }
    }

    fn push(mut self, field: Field, column: ArrayRef) -> Self {
        self.fields.push(field);
        self.columns.push(column);
        self
    }

    /// A column of OIDs.
    pub(super) fn oid(self, name: &str, values: impl IntoIterator<Item = i32>) -> Self {
        let metadata = HashMap::from([(PG_OID_ALIAS_KEY.to_owned(), "oid".to_owned())]);
        let field = Field::new(name, DataType::Int32, true).with_metadata(metadata);
        self.push(field, Arc::new(Int32Array::from_iter_values(values)))
    }

    /// A column with the same OID in every row.
    pub(super) fn same_oid(self, name: &str, value: i32) -> Self {
        let count = self.count;
        self.oid(name, std::iter::repeat_n(value, count))
    }

    /// A column of texts.
    pub(super) fn text<S: AsRef<str>>(
        self,
        name: &str,
        values: impl IntoIterator<Item = Option<S>>,
    ) -> Self {
        let column: StringArray = values.into_iter().collect();
        self.push(Field::new(name, DataType::Utf8, true), Arc::new(column))
    }

    /// A column with the same text in every row.
    pub(super) fn same_text(self, name: &str, value: Option<&str>) -> Self {
        let count = self.count;
        self.text(name, std::iter::repeat_n(value, count))
    }

    /// A column of single characters.
    pub(super) fn char<S: AsRef<str>>(
        self,
        name: &str,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        let column: StringArray = values.into_iter().map(Some).collect();
        let metadata = HashMap::from([(PG_CHAR_KEY.to_owned(), String::new())]);
        let field = Field::new(name, DataType::Utf8, true).with_metadata(metadata);
        self.push(field, Arc::new(column))
    }

    /// A column with the same character in every row.
    pub(super) fn same_char(self, name: &str, value: &str) -> Self {
        let count = self.count;
        self.char(name, std::iter::repeat_n(value, count))
    }

    /// A column of truth values.
    pub(super) fn boolean(self, name: &str, values: impl IntoIterator<Item = bool>) -> Self {
        let column: BooleanArray = values.into_iter().map(Some).collect();
        self.push(Field::new(name, DataType::Boolean, true), Arc::new(column))
    }

    /// A column with the same truth value in every row.
    pub(super) fn same_boolean(self, name: &str, value: bool) -> Self {
        let count = self.count;
        self.boolean(name, std::iter::repeat_n(value, count))
    }

    /// A column of small numbers.
    pub(super) fn int2(self, name: &str, values: impl IntoIterator<Item = i16>) -> Self {
        self.push(
            Field::new(name, DataType::Int16, true),
            Arc::new(Int16Array::from_iter_values(values)),
        )
    }

    /// A column of numbers.
    pub(super) fn int4(self, name: &str, values: impl IntoIterator<Item = Option<i32>>) -> Self {
        let column: Int32Array = values.into_iter().collect();
        self.push(Field::new(name, DataType::Int32, true), Arc::new(column))
    }

    /// A column with the same number in every row.
    pub(super) fn same_int4(self, name: &str, value: Option<i32>) -> Self {
        let count = self.count;
        self.int4(name, std::iter::repeat_n(value, count))
    }

    /// A column with the same floating-point number in every row.
    pub(super) fn same_float4(self, name: &str, value: f32) -> Self {
        let column: Float32Array = std::iter::repeat_n(Some(value), self.count).collect();
        self.push(Field::new(name, DataType::Float32, true), Arc::new(column))
    }

    /// A column of lists of texts that are all NULL.
    pub(super) fn no_texts(self, name: &str) -> Self {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for _ in 0..self.count {
            lists.append(false);
        }
        let column = lists.finish();
        self.push(
            Field::new(name, arrow::array::Array::data_type(&column).clone(), true),
            Arc::new(column),
        )
    }

    /// A column of the type, all NULL.
    pub(super) fn none(self, name: &str, datatype: &DataType) -> Self {
        let column = new_null_array(datatype, self.count);
        self.push(Field::new(name, datatype.clone(), true), column)
    }

    /// Several columns of texts, all NULL.
    pub(super) fn no_text(self, names: &[&str]) -> Self {
        names.iter().fold(self, |rows, name| rows.none(name, &DataType::Utf8))
    }

    /// The table.
    ///
    /// # Errors
    /// A column has another number of rows.
    pub(super) fn table(self) -> Result<Arc<dyn TableProvider>> {
        let schema = Arc::new(Schema::new(self.fields));
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), self.columns, &options)?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
    }
}
