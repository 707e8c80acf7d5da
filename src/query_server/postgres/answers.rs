//! Rows of an answer as messages of the PostgreSQL protocol, in the text and the binary format.

use super::errors::{client_error, engine_error};
use super::text::{TextFormat, text_of};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion_postgres::arrow_pg::datatypes::field_into_pg_type;
use datafusion_postgres::arrow_pg::encoder::encode_value;
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::{
    DataRowEncoder, FieldFormat, FieldInfo, QueryResponse,
};
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::data::DataRow;
use futures::stream;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Prefix of the names that a rule of the dialect gives to columns that are selected twice.
pub(super) const ALIAS_PREFIX: &str = "__alias_";

/// Counts the bytes of the answers that a connection holds: those of open cursors and portals.
#[derive(Debug, Default)]
pub(super) struct HeldBytes(AtomicU64);

/// Bytes that are counted until this is dropped.
#[derive(Debug)]
struct HeldPart {
    all: Arc<HeldBytes>,
    bytes: u64,
}

impl Drop for HeldPart {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The rows of an answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    schema: SchemaRef,
    batches: Arc<[RecordBatch]>,
    /// Counted as long as the answer is there.
    _held: Option<Arc<HeldPart>>,
}

impl Answer {
    /// The rows of `batches` of the engine's types in `schema`, whose columns are called `names`. They are counted in `held`, which
    /// may hold at most `bytes_max`.
    ///
    /// # Errors
    /// A number is too large for its type, or the connection holds too many rows.
    pub(super) fn new(
        schema: &Schema,
        names: Option<&[String]>,
        batches: &[RecordBatch],
        held: &Arc<HeldBytes>,
        bytes_max: u64,
    ) -> PgWireResult<Self> {
        let schema = Arc::new(wire_schema(schema, names));
        let batches = batches.iter().map(|batch| {
            let columns = batch.columns().iter().zip(schema.fields()).map(in_wire_type);
            let columns = columns.collect::<PgWireResult<Vec<ArrayRef>>>()?;
            let options =
                arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)
                .map_err(|e| engine_error(&e.into()))
        });
        let batches = batches.collect::<PgWireResult<Vec<_>>>()?;
        let bytes = batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum();
        let all = held.0.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let part = HeldPart { all: Arc::clone(held), bytes };
        if all > bytes_max {
            let message = format!(
                "the open cursors and portals of this connection would hold more than {bytes_max} bytes; close some"
            );
            return Err(client_error("53200", message, None));
        }
        Ok(Self { schema, batches: batches.into(), _held: Some(Arc::new(part)) })
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Descriptions of the columns.
    ///
    /// # Errors
    /// A column has a type that the protocol does not know.
    pub(super) fn fields(&self, format: &Format) -> PgWireResult<Vec<FieldInfo>> {
        fields(&self.schema, format)
    }

    /// All rows as the answer to a query.
    ///
    /// # Errors
    /// A column has a type that the protocol does not know.
    pub(super) fn respond(
        &self,
        format: &Format,
        text: &TextFormat,
    ) -> PgWireResult<QueryResponse> {
        self.respond_rows(0..self.rows(), false, format, text)
    }

    /// Some rows as the answer to a query, in order or from the last to the first.
    ///
    /// # Errors
    /// A column has a type that the protocol does not know.
    pub(super) fn respond_rows(
        &self,
        rows: Range<usize>,
        backwards: bool,
        format: &Format,
        text: &TextFormat,
    ) -> PgWireResult<QueryResponse> {
        let fields = Arc::new(self.fields(format)?);
        let (answer, text) = (self.clone(), text.clone());
        let mut encoder = RowEncoder::new(Arc::clone(&fields), text);
        let row = move |row: usize| answer.encode(row, &mut encoder);
        let rows: Box<dyn Iterator<Item = usize> + Send> =
            if backwards { Box::new(rows.rev()) } else { Box::new(rows) };
        Ok(QueryResponse::new(fields, stream::iter(rows.map(row))))
    }

    /// The row with this number, from 0.
    ///
    /// # Errors
    /// A value cannot be encoded.
    pub(super) fn encode(&self, row: usize, encoder: &mut RowEncoder) -> PgWireResult<DataRow> {
        let mut row = row;
        for batch in self.batches.iter() {
            if row < batch.num_rows() {
                return encoder.encode(batch, row);
            }
            row -= batch.num_rows();
        }
        Err(client_error("XX000", "a row of the answer is missing", None))
    }

    /// The values of every row as texts; `None` is NULL.
    ///
    /// # Errors
    /// A value has no text.
    pub(super) fn texts(
        &self,
        text: TextFormat,
    ) -> impl Iterator<Item = PgWireResult<Vec<Option<String>>>> {
        let rows =
            self.batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |r| (batch, r)));
        rows.map(move |(batch, row)| {
            batch.columns().iter().map(|column| text_of(column, row, &text)).collect()
        })
    }

    /// An answer with one column of the numbers 1 to `rows`.
    #[cfg(test)]
    pub(super) fn of_numbers(rows: i64) -> Self {
        let column: ArrayRef = Arc::new((1..=rows).collect::<arrow::array::Int64Array>());
        let batch = RecordBatch::try_from_iter([("n", column)]).expect("a batch");
        Self { schema: batch.schema(), batches: [batch].into(), _held: None }
    }
}

/// Encodes rows.
pub(super) struct RowEncoder {
    fields: Arc<Vec<FieldInfo>>,
    encoder: DataRowEncoder,
    text: TextFormat,
}

impl RowEncoder {
    /// An encoder of rows with the columns `fields`.
    pub(super) fn new(fields: Arc<Vec<FieldInfo>>, text: TextFormat) -> Self {
        Self { encoder: DataRowEncoder::new(Arc::clone(&fields)), fields, text }
    }

    fn encode(&mut self, batch: &RecordBatch, row: usize) -> PgWireResult<DataRow> {
        let schema = batch.schema_ref();
        for (index, field) in self.fields.iter().enumerate() {
            let column = batch.column(index);
            let (format, options) = (field.format(), field.format_options());
            if column.is_null(row) {
                let null = None::<&str>;
                self.encoder.encode_field_with_type_and_format(
                    &null,
                    &Type::TEXT,
                    format,
                    options,
                )?;
            } else if format == FieldFormat::Text {
                let value = text_of(column, row, &self.text)?;
                self.encoder.encode_field_with_type_and_format(
                    &value,
                    &Type::TEXT,
                    format,
                    options,
                )?;
            } else {
                encode_value(&mut self.encoder, column, row, schema.field(index), field)?;
            }
        }
        Ok(self.encoder.take_row())
    }
}

/// Descriptions of columns of the engine's types.
///
/// # Errors
/// A column has a type that the protocol does not know.
pub(super) fn describe(
    schema: &Schema,
    names: Option<&[String]>,
    format: &Format,
) -> PgWireResult<Vec<FieldInfo>> {
    fields(&wire_schema(schema, names), format)
}

fn fields(schema: &Schema, format: &Format) -> PgWireResult<Vec<FieldInfo>> {
    let columns = schema.fields().iter().enumerate();
    columns
        .map(|(index, field)| {
            let datatype = field_into_pg_type(field)?;
            let size = type_size(&datatype);
            // Fewer formats than columns were checked when they were sent.
            let format = match format {
                Format::Individual(formats) => {
                    FieldFormat::from(formats.get(index).copied().unwrap_or_default())
                }
                unified => unified.format_for(index),
            };
            Ok(FieldInfo::new(field.name().clone(), None, None, datatype, format)
                .with_type_size(size))
        })
        .collect()
}

/// The width of the values of a type in bytes; -1 where it varies.
fn type_size(datatype: &Type) -> i16 {
    match *datatype {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID | Type::REGCLASS | Type::REGTYPE => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => 8,
        Type::INTERVAL => 16,
        Type::NAME => 64,
        Type::UNKNOWN => -2,
        _ => -1,
    }
}

/// The columns in the types that PostgreSQL has, and under its names where those are given.
fn wire_schema(schema: &Schema, names: Option<&[String]>) -> Schema {
    let names = names.filter(|names| names.len() == schema.fields().len());
    let field = |(index, field): (usize, &FieldRef)| {
        let wire = wire_type(field.data_type());
        // A column that is selected twice has its own name twice.
        let own = field.name().strip_prefix(ALIAS_PREFIX).unwrap_or(field.name());
        let name = names.and_then(|names| names.get(index)).map_or(own, String::as_str);
        Arc::new(Field::new(name, wire, true).with_metadata(field.metadata().clone()))
    };
    Schema::new(schema.fields().iter().enumerate().map(field).collect::<Vec<FieldRef>>())
}

/// The type in which values of an engine type are sent. PostgreSQL has no unsigned numbers: its
/// counts and ranks are signed.
fn wire_type(engine: &DataType) -> DataType {
    let item =
        |field: &FieldRef| Arc::new(Field::new(field.name(), wire_type(field.data_type()), true));
    match engine {
        DataType::Null => DataType::Utf8,
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Dictionary(_, values) => wire_type(values),
        DataType::RunEndEncoded(_, values) => wire_type(values.data_type()),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::ListView(field)
        | DataType::LargeListView(field) => DataType::List(item(field)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(item).collect()),
        other => other.clone(),
    }
}

/// A column in the type of `field`.
fn in_wire_type((column, field): (&ArrayRef, &FieldRef)) -> PgWireResult<ArrayRef> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    let exactly = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, field.data_type(), &exactly).map_err(|_| {
        client_error("22003", format!("a value of `{}` is out of range", field.name()), None)
    })
}
