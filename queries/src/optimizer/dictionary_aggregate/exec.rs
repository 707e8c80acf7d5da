//! The plan node of the dictionary aggregation.

use super::encoding::GroupTable;
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

/// The partial aggregation over one partition, in place of the query engine's [`AggregateExec`]. A group
/// can be emitted more than once; the final aggregation merges its states.
#[derive(Debug)]
pub(super) struct DictionaryAggregateExec {
    /// The node that the query engine planned.
    planned: AggregateExec,
    metrics: ExecutionPlanMetricsSet,
}

impl DictionaryAggregateExec {
    pub(super) fn new(planned: AggregateExec) -> Self {
        Self { planned, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for DictionaryAggregateExec {
    fn fmt_as(&self, as_what: DisplayFormatType, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dictionary")?;
        self.planned.fmt_as(as_what, f)
    }
}

impl ExecutionPlan for DictionaryAggregateExec {
    fn name(&self) -> &'static str {
        "DictionaryAggregateExec"
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
        let planned = planned.downcast_ref::<AggregateExec>().ok_or_else(|| {
            DataFusionError::Internal("the node is not an aggregation".to_owned())
        })?;
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
        let aggregator = Some((rows, self.aggregator(partition, &context)?));
        let batches = futures::stream::try_unfold(aggregator, |aggregator| async {
            let Some((mut rows, mut aggregator)) = aggregator else { return Ok(None) };
            while let Some(batch) = rows.next().await {
                aggregator.add(&batch?)?;
                if aggregator.must_emit() {
                    return Ok(Some((aggregator.emit()?, Some((rows, aggregator)))));
                }
            }
            Ok::<_, DataFusionError>(Some((aggregator.emit()?, None)))
        });
        let batches = batches.try_filter(|batch| std::future::ready(batch.num_rows() > 0));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}

impl DictionaryAggregateExec {
    /// The aggregator of one partition.
    fn aggregator(
        &self,
        partition: usize,
        context: &TaskContext,
    ) -> Result<PartitionAggregator, DataFusionError> {
        let aggregates =
            self.planned.aggr_expr().iter().map(AggregateState::new).collect::<Result<_, _>>()?;
        let by = self.planned.group_expr().expr().iter().map(|(by, _)| by);
        Ok(PartitionAggregator {
            schema: self.schema(),
            groups: GroupTable::new(by, self.schema().fields().iter()),
            aggregates,
            reservation: MemoryConsumer::new(format!("DictionaryAggregateExec[{partition}]"))
                .register(context.memory_pool()),
            metrics: BaselineMetrics::new(&self.metrics, partition),
        })
    }
}

/// An aggregate function with its state for each group.
struct AggregateState {
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    state: Box<dyn GroupsAccumulator>,
    /// The argument arrays of the last batch, where all arguments are literals, as in `count(*)`.
    constant: Option<Vec<ArrayRef>>,
}

impl AggregateState {
    fn new(function: &Arc<AggregateFunctionExpr>) -> Result<Self, DataFusionError> {
        Ok(Self {
            arguments: function.expressions(),
            state: function.create_groups_accumulator()?,
            constant: None,
        })
    }

    fn add(&mut self, batch: &RecordBatch, groups: &GroupTable) -> Result<(), DataFusionError> {
        let rows = batch.num_rows();
        let values = match self.constant.take() {
            Some(values) if values.iter().all(|values| values.len() == rows) => values,
            _ => self
                .arguments
                .iter()
                .map(|argument| argument.evaluate(batch)?.into_array(rows))
                .collect::<Result<_, _>>()?,
        };
        self.state.update_batch(&values, groups.row_groups(), None, groups.len())?;
        self.constant =
            self.arguments.iter().all(|argument| argument.is::<Literal>()).then_some(values);
        Ok(())
    }
}

/// The aggregation of one partition.
struct PartitionAggregator {
    schema: SchemaRef,
    groups: GroupTable,
    aggregates: Vec<AggregateState>,
    reservation: MemoryReservation,
    metrics: BaselineMetrics,
}

impl PartitionAggregator {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), DataFusionError> {
        let _timer = self.metrics.elapsed_compute().timer();
        self.groups.assign(batch)?;
        self.aggregates.iter_mut().try_for_each(|aggregate| aggregate.add(batch, &self.groups))
    }

    /// True where the groups must be emitted before the next batch: there are too many, or memory
    /// is short.
    fn must_emit(&mut self) -> bool {
        let bytes = self.groups.bytes()
            + self.aggregates.iter().map(|aggregate| aggregate.state.size()).sum::<usize>();
        self.groups.is_full() || self.reservation.try_resize(bytes).is_err()
    }

    /// Emits the groups with their aggregate states, and resets the aggregation.
    fn emit(&mut self) -> Result<RecordBatch, DataFusionError> {
        let _timer = self.metrics.elapsed_compute().timer();
        let mut columns = self.groups.drain()?;
        for aggregate in &mut self.aggregates {
            columns.extend(aggregate.state.state(EmitTo::All)?);
        }
        self.reservation.free();
        let states = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.metrics.record_output(states.num_rows());
        Ok(states)
    }
}
