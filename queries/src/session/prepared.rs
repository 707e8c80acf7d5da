//! Queries that are planned once and run many times, each time over other rows of `events` in
//! memory.
//!
//! Planning a rule's query takes longer than running it over a few rows. A service therefore plans
//! `SELECT ... FROM events WHERE ...` once and runs that plan after every commit, over the rows the
//! commit brought.

use crate::limits::{QueryLimits, SessionError, collect_within_limits};
use crate::session::Session;
use crate::tables::input::with_rows;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionConfig;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use trailhound_datasets::layout::EVENTS_TABLE;

/// A query with its plan.
pub struct PreparedQuery {
    plan: Arc<dyn ExecutionPlan>,
    columns: BTreeSet<usize>,
    config: SessionConfig,
    /// Memory and files, which all queries of the session share.
    runtime: Arc<RuntimeEnv>,
    limits: QueryLimits,
}

impl PreparedQuery {
    /// Plans `frame`, a query of `session`, which was made by [`Session::over_input`].
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub async fn new(session: &Session, frame: DataFrame) -> Result<Self, SessionError> {
        let (mut state, plan) = frame.into_parts();
        let options = state.config_mut().options_mut();
        // Dynamic filters would keep what they learned from the rows of an earlier run.
        options.set("datafusion.optimizer.enable_dynamic_filter_pushdown", "false")?;
        // A second pass takes as long as the first and changes next to nothing in a rule's query.
        options.optimizer.max_passes = 1;
        let plan = state.optimize(&plan)?;
        Ok(Self {
            columns: columns(&plan)?,
            // The plan is optimised already, so the planner is asked directly.
            plan: state.query_planner().create_physical_plan(&plan, &state).await?,
            config: state.config().clone(),
            runtime: Arc::clone(state.runtime_env()),
            limits: session.limits().clone(),
        })
    }

    /// The columns of `events` that the query reads, by their position in the table.
    #[must_use]
    pub fn columns(&self) -> &BTreeSet<usize> {
        &self.columns
    }

    /// Runs the query over `rows` of `events`, within the limits of the session. Columns of
    /// `events` that a batch lacks are NULL; texts may be dictionary-encoded.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn run(&self, rows: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, SessionError> {
        // A physical plan holds the functions it calls; a task needs none by name.
        let task = TaskContext::new(
            None,
            String::new(),
            with_rows(self.config.clone(), rows),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            Arc::clone(&self.runtime),
        );
        let stream = execute_stream(reset_plan_states(Arc::clone(&self.plan))?, Arc::new(task))?;
        collect_within_limits(stream, &self.limits).await
    }
}

/// The columns of `events` that the scans of `plan` read.
fn columns(plan: &LogicalPlan) -> Result<BTreeSet<usize>, DataFusionError> {
    let mut columns = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && scan.table_name.table() == EVENTS_TABLE
        {
            match &scan.projection {
                Some(projection) => columns.extend(projection),
                None => columns.extend(0..scan.source.schema().fields().len()),
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(columns)
}
