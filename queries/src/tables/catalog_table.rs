//! SQL tables over rows of the catalog database, such as findings. Each query reads them anew, in
//! batches, and lets the database apply the filters that it can.

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{Session as CatalogSession, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::TryStreamExt;
use futures::stream::StreamExt;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, FromRow};
use std::fmt::Debug;
use std::sync::Arc;
use trailhound_datasets::derive::time::second;
use trailhound_datasets::layout::CatalogLocation;

/// Rows in a batch.
const BATCH_ROWS: usize = 2048;
/// Longest IN list that is pushed down to the database, which limits the parameters of a statement.
/// Longer lists are filtered by the query engine.
const IN_LIST_MAX: usize = 1000;

/// A table of the catalog database that is shown as an SQL table.
pub(crate) trait CatalogTable: Debug + Send + Sync {
    /// A row as the database returns it.
    type Row: for<'r> FromRow<'r, AnyRow> + Send + Unpin;
    /// The SELECT statement without WHERE and ORDER BY.
    const SELECT: &'static str;
    /// The columns of ORDER BY.
    const ORDER_BY: &'static str;
    /// Text columns with equal name and content in the database and in the SQL table. Filters on
    /// them can be pushed down.
    const TEXT_COLUMNS: &'static [&'static str];
    /// Time columns of the SQL table that the database holds under the same name as RFC 3339 text
    /// in UTC.
    const TIME_COLUMNS: &'static [&'static str];

    /// Schema of the SQL table.
    fn schema() -> SchemaRef;

    /// Converts `rows` to the columns of the schema with these indices.
    ///
    /// # Errors
    /// A row that cannot be converted.
    fn columns(
        rows: Vec<Self::Row>,
        column_indices: &[usize],
    ) -> Result<Vec<ArrayRef>, DataFusionError>;
}

/// Converts `rows` to a batch of the columns with these indices.
///
/// # Errors
/// See [`CatalogTable::columns`].
pub(crate) fn batch<T: CatalogTable>(
    rows: Vec<T::Row>,
    column_indices: &[usize],
) -> Result<RecordBatch, DataFusionError> {
    let schema = Arc::new(T::schema().project(column_indices)?);
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(schema, T::columns(rows, column_indices)?, &options)?)
}

/// The table provider of `T`; empty without a catalog.
#[derive(Debug)]
pub(crate) struct CatalogTableProvider<T> {
    location: Option<CatalogLocation>,
    table: std::marker::PhantomData<T>,
}

impl<T: CatalogTable> CatalogTableProvider<T> {
    pub(crate) fn new(location: Option<CatalogLocation>) -> Self {
        Self { location, table: std::marker::PhantomData }
    }
}

#[async_trait]
impl<T: CatalogTable + 'static> TableProvider for CatalogTableProvider<T> {
    fn schema(&self) -> SchemaRef {
        T::schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        let supported = |filter: &&Expr| match PushedFilter::from_expr::<T>(filter) {
            // The filter that is pushed down may select more rows, so the query engine filters again.
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(supported).collect())
    }

    async fn scan(
        &self,
        state: &dyn CatalogSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let column_indices =
            projection.cloned().unwrap_or_else(|| (0..T::schema().fields().len()).collect());
        let schema = Arc::new(T::schema().project(&column_indices)?);
        let filters = filters.iter().filter_map(PushedFilter::from_expr::<T>).collect();
        let rows: CatalogScan<T> = CatalogScan {
            location: self.location.clone(),
            schema: Arc::clone(&schema),
            column_indices: column_indices.into(),
            filters,
            table: std::marker::PhantomData,
        };
        StreamingTable::try_new(schema, vec![Arc::new(rows)])?.scan(state, None, &[], limit).await
    }
}

/// A filter that the catalog database applies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PushedFilter {
    column: &'static str,
    test: FilterTest,
}

/// The test of a pushed-down filter.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FilterTest {
    /// The text is in this list.
    In(Vec<String>),
    /// The time is in this second or later.
    From(String),
    /// The time is before this second.
    Before(String),
}

impl PushedFilter {
    /// Translates `filter` to a filter that selects the same rows or more; `None` where it cannot
    /// be pushed down.
    fn from_expr<T: CatalogTable>(filter: &Expr) -> Option<Self> {
        let find_column = |expr: &Expr, names: &'static [&'static str]| {
            let Expr::Column(column) = expr else { return None };
            names.iter().copied().find(|name| *name == column.name)
        };
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })
                if find_column(left, T::TEXT_COLUMNS).is_some() =>
            {
                Some(Self {
                    column: find_column(left, T::TEXT_COLUMNS)?,
                    test: FilterTest::In(vec![text(right)?]),
                })
            }
            Expr::InList(InList { expr, list, negated: false }) if list.len() <= IN_LIST_MAX => {
                Some(Self {
                    column: find_column(expr, T::TEXT_COLUMNS)?,
                    test: FilterTest::In(list.iter().map(text).collect::<Option<_>>()?),
                })
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (column, moment) = (find_column(left, T::TIME_COLUMNS)?, moment(right)?);
                let test = match op {
                    Operator::Gt | Operator::GtEq => FilterTest::From(second(moment)?),
                    Operator::Lt | Operator::LtEq => {
                        FilterTest::Before(second(moment.checked_add(1_000_000)?)?)
                    }
                    _ => return None,
                };
                Some(Self { column, test })
            }
            _ => None,
        }
    }

    /// The filter as SQL; its values are appended to `values` and referred to as `$1`, `$2` and so
    /// on.
    fn sql(&self, values: &mut Vec<String>) -> String {
        let mut placeholder = |value: &String| {
            values.push(value.clone());
            format!("${}", values.len())
        };
        let column = self.column;
        match &self.test {
            FilterTest::In(texts) => {
                format!(
                    "{column} IN ({})",
                    texts.iter().map(placeholder).collect::<Vec<_>>().join(", ")
                )
            }
            FilterTest::From(second) => format!("{column} >= {}", placeholder(second)),
            FilterTest::Before(second) => format!("{column} < {}", placeholder(second)),
        }
    }
}

/// The text of a literal. PostgreSQL rejects a NUL in a text, so such a literal is not pushed down.
fn text(expr: &Expr) -> Option<String> {
    let Expr::Literal(value, _) = expr else { return None };
    value.try_as_str()?.filter(|text| !text.contains('\0')).map(str::to_owned)
}

/// The timestamp of a literal, microseconds since 1970 UTC.
fn moment(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(moment, _), _) => *moment,
        _ => None,
    }
}

/// A scan of the table: its filters and the indices of its columns.
#[derive(Debug)]
struct CatalogScan<T> {
    location: Option<CatalogLocation>,
    schema: SchemaRef,
    column_indices: Arc<[usize]>,
    filters: Vec<PushedFilter>,
    table: std::marker::PhantomData<T>,
}

impl<T: CatalogTable + 'static> PartitionStream for CatalogScan<T> {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), 1);
        if let Some(location) = self.location.clone() {
            let (tx, column_indices) = (stream.tx(), Arc::clone(&self.column_indices));
            let mut values = Vec::new();
            let filters: Vec<String> =
                self.filters.iter().map(|filter| filter.sql(&mut values)).collect();
            let where_clause = if filters.is_empty() {
                String::new()
            } else {
                format!(" WHERE {}", filters.join(" AND "))
            };
            let statement = format!("{}{where_clause} ORDER BY {}", T::SELECT, T::ORDER_BY);
            stream.spawn(async move {
                let external = |e: sqlx::Error| DataFusionError::External(Box::new(e));
                sqlx::any::install_default_drivers();
                let mut connection =
                    AnyConnection::connect(&location.url()).await.map_err(external)?;
                let query = values.into_iter().fold(
                    sqlx::query_as(sqlx::AssertSqlSafe(statement)),
                    sqlx::query::QueryAs::bind,
                );
                let mut rows = query.fetch(&mut connection).try_chunks(BATCH_ROWS);
                while let Some(chunk) = rows.next().await {
                    let chunk = chunk
                        .map_err(|e| external(e.1))
                        .and_then(|rows| batch::<T>(rows, &column_indices));
                    if tx.send(chunk).await.is_err() {
                        // The query has ended and dropped the receiver.
                        break;
                    }
                }
                Ok(())
            });
        }
        stream.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::findings::Findings;
    use datafusion::prelude::{col, lit};

    #[test]
    fn filters_that_the_database_can_apply_are_pushed_down() {
        let at = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
        let bound = |test: fn(String) -> FilterTest, text: &str| Some(test(text.to_owned()));
        for (filter, expected) in [
            (
                col("rule_id").eq(lit("AT-ROOT-001")),
                Some(FilterTest::In(vec!["AT-ROOT-001".to_owned()])),
            ),
            (
                col("status").in_list(vec![lit("open"), lit("suppressed")], false),
                Some(FilterTest::In(vec!["open".to_owned(), "suppressed".to_owned()])),
            ),
            (
                col("first_seen").gt_eq(at(1_500_000)),
                bound(FilterTest::From, "1970-01-01T00:00:01"),
            ),
            (col("first_seen").lt(at(1_500_000)), bound(FilterTest::Before, "1970-01-01T00:00:02")),
            (col("first_seen").lt_eq(at(-1)), bound(FilterTest::Before, "1970-01-01T00:00:00")),
            (col("status").in_list(vec![lit("open")], true), None),
            (col("rule_id").in_list(vec![lit("x"); IN_LIST_MAX + 1], false), None),
            (col("rule_id").eq(lit("a\0")), None),
            (col("rule_id").not_eq(lit("AT-ROOT-001")), None),
            (col("title").eq(lit("x")), None),
            (col("rule_id").eq(col("title")), None),
            (col("first_seen").eq(at(0)), None),
            (col("first_seen").gt(at(i64::MAX)), None),
        ] {
            assert_eq!(
                PushedFilter::from_expr::<Findings>(&filter).map(|filter| filter.test),
                expected,
                "{filter}"
            );
        }
        let mut values = vec!["before".to_owned()];
        let filter = PushedFilter {
            column: "status",
            test: FilterTest::In(vec!["a".to_owned(), "'; --".to_owned()]),
        };
        assert_eq!((filter.sql(&mut values).as_str(), values.len()), ("status IN ($2, $3)", 3));
    }
}
