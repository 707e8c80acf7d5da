//! Queries planned once over rows in memory that are replaced from run to run: planning costs more than running over few
//! rows.

use crate::session::SessionError;
use crate::sieve::whole;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, collect};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use trailhound_datasets::columns::EVENTS;

/// The rows of `events` in a session whose rows can be replaced.
#[derive(Debug, Clone, Default)]
pub struct Rows(Arc<Mutex<Vec<RecordBatch>>>);

impl Rows {
    /// From now on these are the rows. What a batch lacks of the columns of `events` is NULL.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where a column that cannot be NULL is missing.
    pub fn replace(&self, batches: &[RecordBatch]) -> Result<(), SessionError> {
        let batches = batches.iter().map(whole).collect::<Result<_, _>>().map_err(DataFusionError::from)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = batches;
        Ok(())
    }

    /// The table of these rows.
    pub(crate) fn table(&self) -> Result<StreamingTable, DataFusionError> {
        StreamingTable::try_new(Arc::clone(&EVENTS.arrow), vec![Arc::new(self.clone())])
    }
}

/// Asked anew whenever a plan runs.
impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &EVENTS.arrow
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&EVENTS.arrow), futures::stream::iter(rows.into_iter().map(Ok))))
    }
}

/// A query with its plan.
pub struct Prepared {
    state: SessionState,
    logical: LogicalPlan,
    plan: Arc<dyn ExecutionPlan>,
}

impl Prepared {
    /// Plans `frame`.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub async fn new(frame: DataFrame) -> Result<Self, SessionError> {
        let (mut state, logical) = frame.into_parts();
        // They would remember what they have seen from run to run.
        state.config_mut().options_mut().set("datafusion.optimizer.enable_dynamic_filter_pushdown", "false")?;
        let logical = state.optimize(&logical)?;
        // The plan is optimised already, so the planner is asked directly.
        let plan = state.query_planner().create_physical_plan(&logical, &state).await?;
        Ok(Self { state, logical, plan })
    }

    /// The columns of `events` that it reads, by their place.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub fn columns(&self) -> Result<BTreeSet<usize>, SessionError> {
        let mut columns = BTreeSet::new();
        self.logical.apply_with_subqueries(|node| {
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

    /// Runs it over the rows as they are.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub async fn run(&self) -> Result<Vec<RecordBatch>, SessionError> {
        Ok(collect(reset_plan_states(Arc::clone(&self.plan))?, self.state.task_ctx()).await?)
    }
}
