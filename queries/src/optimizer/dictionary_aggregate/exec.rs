//! The step of a plan.

use super::encoding::Groups;
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::{StreamExt, TryStreamExt};
use std::fmt::Formatter;
use std::sync::Arc;

/// The first of two steps of an aggregate, in the place of the engine's own. As there, a group may come more than once: the second step
/// brings them together.
#[derive(Debug)]
pub(super) struct CodedAggregateExec {
    /// The step as the engine planned it.
    planned: AggregateExec,
    metrics: ExecutionPlanMetricsSet,
}

impl CodedAggregateExec {
    pub(super) fn new(planned: AggregateExec) -> Self {
        Self { planned, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for CodedAggregateExec {
    fn fmt_as(&self, as_what: DisplayFormatType, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Coded")?;
        self.planned.fmt_as(as_what, f)
    }
}

impl ExecutionPlan for CodedAggregateExec {
    fn name(&self) -> &'static str {
        "CodedAggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.planned.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.planned.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion, DataFusionError>,
    ) -> Result<TreeNodeRecursion, DataFusionError> {
        self.planned.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let planned = Arc::new(self.planned.clone()).replace_children(children, options)?;
        let planned = planned
            .downcast_ref::<AggregateExec>()
            .ok_or_else(|| DataFusionError::Internal("no aggregate".to_owned()))?;
        Ok(Arc::new(Self::new(planned.clone())))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let rows = self.planned.input().execute(partition, Arc::clone(&context))?;
        let step = Some((rows, self.step(partition, &context)?));
        let parts = futures::stream::try_unfold(step, |step| async {
            let Some((mut rows, mut step)) = step else { return Ok(None) };
            while let Some(batch) = rows.next().await {
                step.take(&batch?)?;
                if step.is_full() {
                    return Ok(Some((step.part()?, Some((rows, step)))));
                }
            }
            Ok::<_, DataFusionError>(Some((step.part()?, None)))
        });
        let parts = parts.try_filter(|part| std::future::ready(part.num_rows() > 0));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), parts)))
    }
}

impl CodedAggregateExec {
    fn step(&self, partition: usize, context: &TaskContext) -> Result<Step, DataFusionError> {
        let of_groups =
            self.planned.aggr_expr().iter().map(OfGroup::new).collect::<Result<_, _>>()?;
        let by = self.planned.group_expr().expr().iter().map(|(by, _)| by);
        Ok(Step {
            schema: self.schema(),
            groups: Groups::new(by, self.schema().fields().iter()),
            of_groups,
            reservation: MemoryConsumer::new(format!("CodedAggregateExec[{partition}]"))
                .register(context.memory_pool()),
            metrics: BaselineMetrics::new(&self.metrics, partition),
        })
    }
}

/// What is asked of each group.
struct OfGroup {
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    state: Box<dyn GroupsAccumulator>,
    /// The arguments of the last batch where they are the same for every row, as that of `count(*)` is.
    constant: Option<Vec<ArrayRef>>,
}

impl OfGroup {
    fn new(asked: &Arc<AggregateFunctionExpr>) -> Result<Self, DataFusionError> {
        Ok(Self {
            arguments: asked.expressions(),
            state: asked.create_groups_accumulator()?,
            constant: None,
        })
    }

    fn take(&mut self, batch: &RecordBatch, groups: &Groups) -> Result<(), DataFusionError> {
        let rows = batch.num_rows();
        let values = match self.constant.take() {
            Some(values) if values.iter().all(|values| values.len() == rows) => values,
            _ => self
                .arguments
                .iter()
                .map(|argument| argument.evaluate(batch)?.into_array(rows))
                .collect::<Result<_, _>>()?,
        };
        self.state.update_batch(&values, groups.rows(), None, groups.len())?;
        self.constant =
            self.arguments.iter().all(|argument| argument.is::<Literal>()).then_some(values);
        Ok(())
    }
}

/// The step over one partition.
struct Step {
    schema: SchemaRef,
    groups: Groups,
    of_groups: Vec<OfGroup>,
    reservation: MemoryReservation,
    metrics: BaselineMetrics,
}

impl Step {
    fn take(&mut self, batch: &RecordBatch) -> Result<(), DataFusionError> {
        let _timer = self.metrics.elapsed_compute().timer();
        self.groups.take(batch)?;
        self.of_groups.iter_mut().try_for_each(|of_group| of_group.take(batch, &self.groups))
    }

    /// True where no more is to be taken before what was found is given.
    fn is_full(&mut self) -> bool {
        let bytes = self.groups.bytes()
            + self.of_groups.iter().map(|of_group| of_group.state.size()).sum::<usize>();
        self.groups.are_many() || self.reservation.try_resize(bytes).is_err()
    }

    /// What was found, and begins anew.
    fn part(&mut self) -> Result<RecordBatch, DataFusionError> {
        let _timer = self.metrics.elapsed_compute().timer();
        let mut columns = self.groups.emptied()?;
        for of_group in &mut self.of_groups {
            columns.extend(of_group.state.state(EmitTo::All)?);
        }
        self.reservation.free();
        let part = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.metrics.record_output(part.num_rows());
        Ok(part)
    }
}
