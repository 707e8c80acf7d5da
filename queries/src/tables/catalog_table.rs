//! Tables of SQL over what stands beside the lake's catalogue, read anew by each query that asks for them, a piece at a time.

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

/// Rows that are read at a time.
const PIECE: usize = 2048;
/// Longer lists are asked above alone: the catalogue's databases bound what a statement is given.
const TEXTS_MAX: usize = 1000;

/// What such a table is made of.
pub(crate) trait CatalogTable: Debug + Send + Sync {
    /// A row of the catalogue.
    type Row: for<'r> FromRow<'r, AnyRow> + Send + Unpin;
    /// The statement that reads them all, as far as its condition.
    const ALL: &'static str;
    /// The order in which they are read.
    const ORDER: &'static str;
    /// Columns that are texts of the same name and content in the catalogue, so that it can choose by them.
    const TEXTS: &'static [&'static str];
    /// Columns that are texts of that name there, times as RFC 3339 writes them in UTC.
    const TIMES: &'static [&'static str];

    /// The table's columns.
    fn schema() -> SchemaRef;

    /// The columns at these places of the schema, with `rows` as the table shows them.
    ///
    /// # Errors
    /// Where a row is not what it should be.
    fn columns(rows: Vec<Self::Row>, places: &[usize]) -> Result<Vec<ArrayRef>, DataFusionError>;
}

/// The rows at these places of the schema.
///
/// # Errors
/// As [`CatalogTable::columns`].
pub(crate) fn batch<B: CatalogTable>(
    rows: Vec<B::Row>,
    places: &[usize],
) -> Result<RecordBatch, DataFusionError> {
    let schema = Arc::new(B::schema().project(places)?);
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(schema, B::columns(rows, places)?, &options)?)
}

/// The table; empty without a catalogue.
#[derive(Debug)]
pub(crate) struct CatalogTableProvider<B> {
    place: Option<CatalogLocation>,
    of: std::marker::PhantomData<B>,
}

impl<B: CatalogTable> CatalogTableProvider<B> {
    pub(crate) fn new(place: Option<CatalogLocation>) -> Self {
        Self { place, of: std::marker::PhantomData }
    }
}

#[async_trait]
impl<B: CatalogTable + 'static> TableProvider for CatalogTableProvider<B> {
    fn schema(&self) -> SchemaRef {
        B::schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        let supported = |filter: &&Expr| match Condition::of::<B>(filter) {
            // Asked again above: what the catalogue chooses by may be wider.
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
        let places =
            projection.cloned().unwrap_or_else(|| (0..B::schema().fields().len()).collect());
        let schema = Arc::new(B::schema().project(&places)?);
        let conditions = filters.iter().filter_map(Condition::of::<B>).collect();
        let rows: Rows<B> = Rows {
            place: self.place.clone(),
            schema: Arc::clone(&schema),
            places: places.into(),
            conditions,
            of: std::marker::PhantomData,
        };
        StreamingTable::try_new(schema, vec![Arc::new(rows)])?.scan(state, None, &[], limit).await
    }
}

/// What the catalogue chooses rows by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    column: &'static str,
    is: Is,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Is {
    /// One of these texts.
    In(Vec<String>),
    /// A time in this second or later.
    From(String),
    /// A time before this second.
    Before(String),
}

impl Condition {
    /// What `filter` demands, or something wider; nothing where the catalogue knows nothing of it.
    fn of<B: CatalogTable>(filter: &Expr) -> Option<Self> {
        let named = |expr: &Expr, among: &'static [&'static str]| {
            let Expr::Column(column) = expr else { return None };
            among.iter().copied().find(|name| *name == column.name)
        };
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })
                if named(left, B::TEXTS).is_some() =>
            {
                Some(Self { column: named(left, B::TEXTS)?, is: Is::In(vec![text(right)?]) })
            }
            Expr::InList(InList { expr, list, negated: false }) if list.len() <= TEXTS_MAX => {
                Some(Self {
                    column: named(expr, B::TEXTS)?,
                    is: Is::In(list.iter().map(text).collect::<Option<_>>()?),
                })
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (column, moment) = (named(left, B::TIMES)?, moment(right)?);
                let is = match op {
                    Operator::Gt | Operator::GtEq => Is::From(second(moment)?),
                    Operator::Lt | Operator::LtEq => {
                        Is::Before(second(moment.checked_add(1_000_000)?)?)
                    }
                    _ => return None,
                };
                Some(Self { column, is })
            }
            _ => None,
        }
    }

    /// As a statement writes it; its values are put behind `values`.
    fn sql(&self, values: &mut Vec<String>) -> String {
        let mut place = |value: &String| {
            values.push(value.clone());
            format!("${}", values.len())
        };
        let column = self.column;
        match &self.is {
            Is::In(texts) => {
                format!("{column} IN ({})", texts.iter().map(place).collect::<Vec<_>>().join(", "))
            }
            Is::From(second) => format!("{column} >= {}", place(second)),
            Is::Before(second) => format!("{column} < {}", place(second)),
        }
    }
}

/// PostgreSQL takes no text with a NUL in it.
fn text(expr: &Expr) -> Option<String> {
    let Expr::Literal(value, _) = expr else { return None };
    value.try_as_str()?.filter(|text| !text.contains('\0')).map(str::to_owned)
}

/// Microseconds since 1970 UTC.
fn moment(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(moment, _), _) => *moment,
        _ => None,
    }
}

/// The rows that fulfil the conditions, with the columns at these places.
#[derive(Debug)]
struct Rows<B> {
    place: Option<CatalogLocation>,
    schema: SchemaRef,
    places: Arc<[usize]>,
    conditions: Vec<Condition>,
    of: std::marker::PhantomData<B>,
}

impl<B: CatalogTable + 'static> PartitionStream for Rows<B> {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut pieces = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), 1);
        if let Some(place) = self.place.clone() {
            let (tx, places) = (pieces.tx(), Arc::clone(&self.places));
            let mut values = Vec::new();
            let conditions: Vec<String> =
                self.conditions.iter().map(|condition| condition.sql(&mut values)).collect();
            let chosen = if conditions.is_empty() {
                String::new()
            } else {
                format!(" WHERE {}", conditions.join(" AND "))
            };
            let statement = format!("{}{chosen} ORDER BY {}", B::ALL, B::ORDER);
            pieces.spawn(async move {
                let external = |e: sqlx::Error| DataFusionError::External(Box::new(e));
                sqlx::any::install_default_drivers();
                let mut catalogue = AnyConnection::connect(&place.url()).await.map_err(external)?;
                let query = values.into_iter().fold(
                    sqlx::query_as(sqlx::AssertSqlSafe(statement)),
                    sqlx::query::QueryAs::bind,
                );
                let mut rows = query.fetch(&mut catalogue).try_chunks(PIECE);
                while let Some(piece) = rows.next().await {
                    let piece =
                        piece.map_err(|e| external(e.1)).and_then(|rows| batch::<B>(rows, &places));
                    if tx.send(piece).await.is_err() {
                        // Nobody wants more.
                        break;
                    }
                }
                Ok(())
            });
        }
        pieces.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::findings::Findings;
    use datafusion::prelude::{col, lit};

    #[test]
    fn the_catalogue_chooses_by_what_it_knows() {
        let at = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
        let bound = |is: fn(String) -> Is, text: &str| Some(is(text.to_owned()));
        for (filter, expected) in [
            (col("rule_id").eq(lit("AT-ROOT-001")), Some(Is::In(vec!["AT-ROOT-001".to_owned()]))),
            (
                col("status").in_list(vec![lit("open"), lit("suppressed")], false),
                Some(Is::In(vec!["open".to_owned(), "suppressed".to_owned()])),
            ),
            (col("first_seen").gt_eq(at(1_500_000)), bound(Is::From, "1970-01-01T00:00:01")),
            (col("first_seen").lt(at(1_500_000)), bound(Is::Before, "1970-01-01T00:00:02")),
            (col("first_seen").lt_eq(at(-1)), bound(Is::Before, "1970-01-01T00:00:00")),
            (col("status").in_list(vec![lit("open")], true), None),
            (col("rule_id").in_list(vec![lit("x"); TEXTS_MAX + 1], false), None),
            (col("rule_id").eq(lit("a\0")), None),
            (col("rule_id").not_eq(lit("AT-ROOT-001")), None),
            (col("title").eq(lit("x")), None),
            (col("rule_id").eq(col("title")), None),
            (col("first_seen").eq(at(0)), None),
            (col("first_seen").gt(at(i64::MAX)), None),
        ] {
            assert_eq!(
                Condition::of::<Findings>(&filter).map(|condition| condition.is),
                expected,
                "{filter}"
            );
        }
        let mut values = vec!["before".to_owned()];
        let condition =
            Condition { column: "status", is: Is::In(vec!["a".to_owned(), "'; --".to_owned()]) };
        assert_eq!((condition.sql(&mut values).as_str(), values.len()), ("status IN ($2, $3)", 3));
    }
}
