//! Queries planned once over rows in memory that are replaced from run to run: planning costs more than running over few
//! rows.

use crate::limits::{QueryLimits, SessionError, bounded};
use async_trait::async_trait;
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Field, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::catalog::{Session as CatalogSession, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use trailhound_datasets::columns::EVENTS;

/// The rows of `events` in a session whose rows can be replaced.
#[derive(Clone)]
pub struct Rows {
    pub(crate) table: Arc<RowsTable>,
    /// What runs share: functions and memory.
    pub(crate) task: Arc<TaskContext>,
    pub(crate) limits: QueryLimits,
}

impl Rows {
    /// From now on these are the rows. Columns of `events` that a batch lacks are NULL; texts may be coded.
    pub fn replace(&self, batches: Vec<RecordBatch>) {
        self.table.replace(batches);
    }
}

/// The table of them.
#[derive(Debug, Default)]
pub(crate) struct RowsTable(Arc<Mutex<Vec<RecordBatch>>>);

impl RowsTable {
    fn replace(&self, batches: Vec<RecordBatch>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = batches;
    }
}

#[async_trait]
impl TableProvider for RowsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&EVENTS.arrow)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn CatalogSession,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let schema = match projection {
            Some(columns) => Arc::new(EVENTS.arrow.project(columns)?),
            None => TableProvider::schema(self),
        };
        let part: Arc<dyn PartitionStream> =
            Arc::new(Projected { rows: Arc::clone(&self.0), schema: Arc::clone(&schema) });
        Ok(Arc::new(StreamingTableExec::try_new(
            schema,
            vec![part],
            None,
            Vec::new(),
            false,
            limit,
        )?))
    }
}

/// Some columns of the rows, asked anew whenever a plan runs.
#[derive(Debug)]
struct Projected {
    rows: Arc<Mutex<Vec<RecordBatch>>>,
    schema: SchemaRef,
}

impl PartitionStream for Projected {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let schema = Arc::clone(&self.schema);
        let batches = rows.into_iter().map(move |batch| Ok(with_columns(&batch, &schema)?));
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            futures::stream::iter(batches),
        ))
    }
}

/// `batch` with the columns of `schema`: those it lacks are NULL.
fn with_columns(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    };
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(
        Arc::clone(schema),
        schema.fields().iter().map(column).collect::<Result<_, _>>()?,
        &options,
    )
}

/// A query with its plan.
pub struct Prepared {
    plan: Arc<dyn ExecutionPlan>,
    columns: BTreeSet<usize>,
}

impl Prepared {
    /// Plans `frame`.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub async fn new(frame: DataFrame) -> Result<Self, SessionError> {
        let (mut state, plan) = frame.into_parts();
        // They would remember what they have seen from run to run.
        state
            .config_mut()
            .options_mut()
            .set("datafusion.optimizer.enable_dynamic_filter_pushdown", "false")?;
        let plan = state.optimize(&plan)?;
        let columns = columns(&plan)?;
        // The plan is optimised already, so the planner is asked directly.
        Ok(Self { plan: state.query_planner().create_physical_plan(&plan, &state).await?, columns })
    }

    /// The columns of `events` that it reads, by their place.
    #[must_use]
    pub fn columns(&self) -> &BTreeSet<usize> {
        &self.columns
    }

    /// Runs it over the rows as they are, as far as the limits of their session go.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn run(&self, rows: &Rows) -> Result<Vec<RecordBatch>, SessionError> {
        let stream =
            execute_stream(reset_plan_states(Arc::clone(&self.plan))?, Arc::clone(&rows.task))?;
        bounded(stream, &rows.limits).await
    }
}

fn columns(plan: &LogicalPlan) -> Result<BTreeSet<usize>, DataFusionError> {
    let mut columns = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            match &scan.projection {
                Some(projection) => columns.extend(projection),
                None => columns.extend(0..scan.source.schema().fields().len()),
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(columns)
}
