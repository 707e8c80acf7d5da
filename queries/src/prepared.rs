//! Queries planned once over rows in memory that are replaced from run to run: planning costs more than running over few
//! rows.

use crate::session::SessionError;
use datafusion::arrow::array::RecordBatch;
use datafusion::catalog::MemTable;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::dataframe::DataFrame;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::collect;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The rows of `events` in a session whose rows can be replaced.
#[derive(Debug, Clone)]
pub struct Rows(pub(crate) Arc<MemTable>);

impl Rows {
    /// From now on these are the rows. Each batch has the schema of `events`.
    pub async fn replace(&self, batches: Vec<RecordBatch>) {
        if let Some(partition) = self.0.batches.first() {
            *partition.write().await = batches;
        }
    }
}

/// A query with its plan.
pub struct Prepared {
    state: SessionState,
    plan: LogicalPlan,
}

impl Prepared {
    /// Plans `frame` as far as that does not depend on the rows.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub fn new(frame: DataFrame) -> Result<Self, SessionError> {
        let (state, plan) = frame.into_parts();
        let plan = state.optimize(&plan)?;
        Ok(Self { state, plan })
    }

    /// The columns of `events` that it reads, by their place.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub fn columns(&self) -> Result<BTreeSet<usize>, SessionError> {
        let mut columns = BTreeSet::new();
        self.plan.apply_with_subqueries(|node| {
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
        // The plan is optimised already, so the planner is asked directly.
        let plan = self.state.query_planner().create_physical_plan(&self.plan, &self.state).await?;
        Ok(collect(plan, self.state.task_ctx()).await?)
    }
}
