//! The SQL table `query_log`: statements that clients of the service have run.

use crate::tables::catalog_table::CatalogTable;
use crate::tables::meanings::ColumnMeanings;
use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::DataFusionError;
use std::sync::{Arc, LazyLock};

/// Name of the table.
pub(crate) const QUERY_LOG_TABLE: &str = "query_log";

/// Name and meaning of each column.
const COLUMNS: [(&str, &str); 9] = [
    ("asked_at", "When the statement was received, UTC."),
    ("door", "Interface: `http` or `postgres`."),
    ("who", "Name of the client."),
    ("address", "Address of the client."),
    ("statement", "The statement."),
    (
        "result",
        "`answered`, `cancelled`, `busy`, `login_failed`, the error code, or `not_recorded` for the number of refusals beyond 60 a minute.",
    ),
    ("rows", "Rows of the result."),
    ("bytes", "Bytes of the result."),
    ("seconds", "Time from receipt to the end of the result, in seconds."),
];

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |(name, _): &(&str, &str)| {
        let data_type = match *name {
            "asked_at" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            "rows" | "bytes" => DataType::Int64,
            "seconds" => DataType::Float64,
            _ => DataType::Utf8,
        };
        Field::new(*name, data_type, true)
    };
    Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
});

type Row = (i64, String, String, String, String, String, i64, i64, i64);

/// The table `query_log`.
#[derive(Debug)]
pub(crate) struct QueryLog;

impl CatalogTable for QueryLog {
    type Row = Row;
    const SELECT: &'static str = "SELECT asked_at, door, who, address, statement, result, row_count, byte_count, took_micros FROM trailhound_query_log";
    const ORDER_BY: &'static str = "asked_at, query_id";
    const TEXT_COLUMNS: &'static [&'static str] = &["door", "who", "address", "result"];
    const TIME_COLUMNS: &'static [&'static str] = &[];

    fn schema() -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn columns(rows: Vec<Row>, column_indices: &[usize]) -> Result<Vec<ArrayRef>, DataFusionError> {
        let texts = |of: fn(&Row) -> &str| -> ArrayRef {
            Arc::new(rows.iter().map(|row| Some(of(row))).collect::<StringArray>())
        };
        let all = [
            Arc::new(
                rows.iter()
                    .map(|row| Some(row.0))
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ) as ArrayRef,
            texts(|row| &row.1),
            texts(|row| &row.2),
            texts(|row| &row.3),
            texts(|row| &row.4),
            texts(|row| &row.5),
            Arc::new(rows.iter().map(|row| Some(row.6)).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| Some(row.7)).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| Some(seconds(row.8))).collect::<Float64Array>()),
        ];
        Ok(column_indices.iter().filter_map(|index| all.get(*index).cloned()).collect())
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "precision of seconds shown to people does not matter"
)]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// Meanings of its columns.
pub(crate) fn meanings() -> ColumnMeanings {
    COLUMNS.iter().map(|(name, meaning)| ((*name).to_owned(), (*meaning).to_owned())).collect()
}
