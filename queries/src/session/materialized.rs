//! `WITH name AS MATERIALIZED (...)`, as in PostgreSQL: the common table expression is computed
//! once and kept in memory until the statement ends, however often the statement names it. The
//! query engine itself computes it anew for each use.

use async_trait::async_trait;
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session as CatalogSession, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SubqueryAlias, TableType};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::sqlparser::ast::{CteAsMaterialized, Query, Statement, Visit, Visitor};
use futures::{StreamExt, TryStreamExt};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Replaces each common table expression that `statement` marks MATERIALIZED by a table that is
/// computed once.
///
/// An expression that depends on open parameters, or on rows of an enclosing query, stays as it is.
///
/// # Errors
/// Errors of the query engine.
pub(crate) fn materialize(
    statement: &Statement,
    plan: LogicalPlan,
) -> Result<LogicalPlan, DataFusionError> {
    let names = materialized_names(statement);
    if names.is_empty() { Ok(plan) } else { replace_ctes(plan, &names, &mut Vec::new()) }
}

/// Names of the common table expressions that are marked MATERIALIZED.
fn materialized_names(statement: &Statement) -> BTreeSet<String> {
    struct NameCollector(BTreeSet<String>);
    impl Visitor for NameCollector {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let tables = query.with.iter().flat_map(|with| &with.cte_tables);
            let marked = tables.filter(|table| {
                matches!(table.materialized, Some(CteAsMaterialized::Materialized))
            });
            self.0.extend(marked.map(|table| crate::sql_guard::normalized_name(&table.alias.name)));
            ControlFlow::Continue(())
        }
    }
    let mut names = NameCollector(BTreeSet::new());
    let _ = statement.visit(&mut names);
    names.0
}

/// Replaces the expressions `names` in `plan`. `known` holds the tables created so far, by the plan
/// that each computes.
fn replace_ctes(
    plan: LogicalPlan,
    names: &BTreeSet<String>,
    known: &mut Vec<(LogicalPlan, Arc<MaterializedTable>)>,
) -> Result<LogicalPlan, DataFusionError> {
    let replaced = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::SubqueryAlias(named) = &node else { return Ok(Transformed::no(node)) };
        if !names.contains(named.alias.table()) || is_dependent(&named.input)? {
            return Ok(Transformed::no(node));
        }
        // A name can have different meanings in one statement, so tables are identified by their
        // plan.
        let table = match known.iter().find(|(plan, _)| *plan == *named.input) {
            Some((_, table)) => Arc::clone(table),
            None => {
                let table = Arc::new(MaterializedTable::new(replace_ctes(
                    named.input.as_ref().clone(),
                    names,
                    known,
                )?));
                known.push((named.input.as_ref().clone(), Arc::clone(&table)));
                table
            }
        };
        let scan = LogicalPlanBuilder::scan(named.alias.table(), provider_as_source(table), None)?
            .build()?;
        let node = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(
            Arc::new(scan),
            named.alias.clone(),
        )?);
        Ok(Transformed::new(node, true, TreeNodeRecursion::Jump))
    })?;
    Ok(replaced.data)
}

/// True where `plan` depends on parameters or on rows of an enclosing query.
fn is_dependent(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    Ok(!plan.get_parameter_names()?.is_empty() || !plan.all_out_ref_exprs().is_empty())
}

/// A common table expression as a table: planned and run on first use.
#[derive(Debug)]
struct MaterializedTable {
    plan: LogicalPlan,
    schema: SchemaRef,
    physical: OnceCell<Arc<dyn ExecutionPlan>>,
    rows: Arc<OnceCell<MaterializedRows>>,
}

/// The rows of a table, with their share of the query's memory.
#[derive(Debug)]
struct MaterializedRows {
    batches: Vec<RecordBatch>,
    _memory: MemoryReservation,
}

impl MaterializedTable {
    fn new(plan: LogicalPlan) -> Self {
        let schema = Arc::clone(plan.schema().inner());
        Self { plan, schema, physical: OnceCell::new(), rows: Arc::default() }
    }
}

#[async_trait]
impl TableProvider for MaterializedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn CatalogSession,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let physical =
            self.physical.get_or_try_init(|| state.create_physical_plan(&self.plan)).await?;
        let columns: Vec<usize> =
            projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&columns)?);
        let scan = MaterializedScan {
            physical: Arc::clone(physical),
            rows: Arc::clone(&self.rows),
            columns,
            schema: Arc::clone(&schema),
        };
        Ok(Arc::new(StreamingTableExec::try_new(
            schema,
            vec![Arc::new(scan)],
            None,
            Vec::new(),
            false,
            limit,
        )?))
    }
}

/// A scan of some columns of the table.
#[derive(Debug)]
struct MaterializedScan {
    physical: Arc<dyn ExecutionPlan>,
    rows: Arc<OnceCell<MaterializedRows>>,
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl PartitionStream for MaterializedScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, task: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (physical, rows) = (Arc::clone(&self.physical), Arc::clone(&self.rows));
        let (columns, schema) = (self.columns.clone(), Arc::clone(&self.schema));
        let batches = async move {
            let table = rows.get_or_try_init(|| run(physical, task)).await?;
            let batches: Vec<_> = table
                .batches
                .iter()
                .map(|batch| project_and_cast(batch, &columns, &schema))
                .collect();
            Ok::<_, DataFusionError>(futures::stream::iter(batches))
        };
        let stream = futures::stream::once(batches).try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}

/// Runs `plan` and collects its rows.
async fn run(
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
) -> Result<MaterializedRows, DataFusionError> {
    let memory = MemoryConsumer::new("MATERIALIZED").register(task.memory_pool());
    // An earlier run may have been cancelled halfway, so the plan's state is reset.
    let mut stream = execute_stream(reset_plan_states(plan)?, task)?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        memory.try_grow(batch.get_array_memory_size())?;
        batches.push(batch);
    }
    Ok(MaterializedRows { batches, _memory: memory })
}

/// The columns with these indices, cast to the planned types: the query engine may return text as string
/// views.
fn project_and_cast(
    batch: &RecordBatch,
    columns: &[usize],
    schema: &SchemaRef,
) -> Result<RecordBatch, DataFusionError> {
    let columns = batch.project(columns)?;
    let cast = columns
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(column, field.data_type()));
    let cast = cast.collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), cast, &options)?)
}

#[cfg(test)]
mod tests {
    use crate::limits::{QueryLimits, collect_within_limits};
    use crate::session::Session;
    use crate::sql_guard::{ParameterValues, QueryErrorCode};
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use std::sync::Arc;

    async fn run_query(statement: &str, limits: &QueryLimits) -> Result<String, QueryErrorCode> {
        let session =
            Session::over_events(Vec::new(), Arc::default(), limits).await.expect("a session");
        let frame = session
            .plan_query(statement, &ParameterValues::new())
            .await
            .map_err(|error| error.code)?;
        let stream = frame
            .execute_stream()
            .await
            .map_err(|e| crate::session::ad_hoc::query_error(&e).code)?;
        let batches = collect_within_limits(stream, limits)
            .await
            .map_err(|e| crate::sql_guard::QueryError::from(e).code)?;
        let table = pretty_format_batches(&batches).expect("text").to_string();
        Ok(table
            .lines()
            .skip(3)
            .filter(|line| line.starts_with('|'))
            .map(|line| line.replace([' ', '|'], ""))
            .collect::<Vec<_>>()
            .join(","))
    }

    #[tokio::test]
    async fn what_is_materialized_is_computed_once_and_the_same_wherever_it_is_named() {
        let all = QueryLimits::default();
        for (statement, expected) in [
            // An expression that is computed twice gives two random numbers.
            (
                "WITH x AS MATERIALIZED (SELECT random() AS r) SELECT a.r = b.r FROM x a JOIN x b ON true",
                "true",
            ),
            (
                "WITH x AS MATERIALIZED (SELECT random() AS r) SELECT (SELECT r FROM x) = r FROM x",
                "true",
            ),
            (
                "WITH x AS MATERIALIZED (SELECT random() AS r), y AS (SELECT r FROM x) SELECT count(DISTINCT r) FROM (SELECT r FROM y UNION ALL SELECT r FROM x)",
                "1",
            ),
            (
                "WITH x AS MATERIALIZED (SELECT 1 AS a), y AS MATERIALIZED (SELECT a + 1 AS b FROM x) SELECT a + b FROM x CROSS JOIN y",
                "3",
            ),
            (
                "WITH x(c) AS MATERIALIZED (VALUES (1), (2)) SELECT sum(c) FROM x WHERE c IN (SELECT c FROM x WHERE c > 1)",
                "2",
            ),
            ("WITH x AS MATERIALIZED (SELECT 1 AS a) SELECT count(*) FROM x", "1"),
            // A subquery of the same name is not the materialized expression.
            ("WITH x AS MATERIALIZED (SELECT 1 AS a) SELECT x.a FROM (SELECT 2 AS a) AS x", "2"),
            (
                "WITH x AS MATERIALIZED (SELECT count(*) AS a FROM events) SELECT a + (SELECT a FROM x) FROM x",
                "0",
            ),
            ("WITH x AS NOT MATERIALIZED (SELECT 1 AS a) SELECT a FROM x", "1"),
            (
                "WITH x AS MATERIALIZED (SELECT value FROM generate_series(1, 100000)) SELECT value FROM x LIMIT 1",
                "1",
            ),
        ] {
            assert_eq!(run_query(statement, &all).await.as_deref(), Ok(expected), "{statement}");
        }
    }

    #[tokio::test]
    async fn what_is_held_counts_as_memory_of_the_query() {
        let limits = QueryLimits { memory_bytes_max: 1 << 20, ..QueryLimits::default() };
        let statement = "WITH x AS MATERIALIZED (SELECT value FROM generate_series(1, 1000000)) SELECT count(*) FROM x a JOIN x b ON a.value = b.value";
        assert_eq!(run_query(statement, &limits).await, Err(QueryErrorCode::MemoryLimit));
        assert_eq!(
            run_query(
                "WITH x AS MATERIALIZED (SELECT nothing FROM events) SELECT 1 FROM x",
                &limits
            )
            .await,
            Err(QueryErrorCode::Invalid)
        );
    }
}
