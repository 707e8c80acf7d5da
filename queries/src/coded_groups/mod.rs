//! Groups by texts of which there are few. The engine compares each row's texts with those of its group; here each text is given a number
//! where it is first seen, known again by where it lies in memory, and only numbers are compared.

mod exec;
mod groups;

use crate::cardinality::FEW;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use exec::CodedAggregateExec;
use std::sync::Arc;

/// The rule of the optimizer.
#[derive(Debug)]
pub(crate) struct CodedGroups;

impl PhysicalOptimizerRule for CodedGroups {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let code = |node: Arc<dyn ExecutionPlan>| match coded(&node) {
            Some(coded) => Ok(Transformed::yes(coded)),
            None => Ok(Transformed::no(node)),
        };
        Ok(plan.transform_up(code)?.data)
    }

    fn name(&self) -> &'static str {
        "coded_groups"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What does the same as `node` by numbers; nothing where it groups by something else, or asks for more than groups.
fn coded(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let aggregate = node.downcast_ref::<AggregateExec>().filter(|aggregate| *aggregate.mode() == AggregateMode::Partial)?;
    let (by, schema) = (aggregate.group_expr(), aggregate.input().schema());
    let columns: Option<Vec<usize>> = by.expr().iter().map(|(by, _)| Some(by.downcast_ref::<Column>()?.index())).collect();
    let columns = columns.filter(|columns| by.is_single() && (1..=groups::COLUMNS_MAX).contains(&columns.len()))?;
    let is_few = |&column: &usize| {
        let field = schema.field(column);
        *field.data_type() == DataType::Utf8View && FEW.contains(field.name().as_str())
    };
    let is_plain = aggregate.limit_options().is_none()
        && aggregate.filter_expr().iter().all(Option::is_none)
        && aggregate.aggr_expr().iter().all(|of_group| of_group.groups_accumulator_supported() && of_group.order_bys().is_empty());
    (is_plain && columns.iter().all(is_few)).then(|| Arc::new(CodedAggregateExec::new(aggregate.clone(), columns)) as _)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, StringViewBuilder};
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::datasource::MemTable;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::{SessionConfig, SessionContext};

    /// Texts short and long, some NULL, of `kinds`; those that are equal lie where each batch has put them, or once for all its rows.
    fn texts(rows: std::ops::Range<usize>, kinds: usize, is_once: bool) -> ArrayRef {
        let text = |row: usize| {
            let kind = row * 7919 % kinds;
            let of_kind = [format!("k{kind}"), format!("a text that no view holds in itself, of kind {kind}")];
            (kind % 11 != 10).then(|| of_kind[kind % 2].clone())
        };
        if !is_once {
            return Arc::new(rows.map(text).collect::<StringViewArray>());
        }
        let mut builder = StringViewBuilder::new().with_deduplicate_strings();
        rows.for_each(|row| builder.append_option(text(row)));
        Arc::new(builder.finish())
    }

    fn batch(rows: std::ops::Range<usize>, agents: usize) -> RecordBatch {
        let is_once = rows.start.is_multiple_of(2000);
        let values: Int64Array = rows.clone().map(|row| (row % 5 != 0).then_some(row as i64)).collect();
        let columns: [(&str, ArrayRef); 4] = [
            ("service_name", texts(rows.clone(), 13, is_once)),
            ("event_name", texts(rows.clone(), 101, is_once)),
            ("user_agent", texts(rows.clone(), agents, !is_once)),
            ("value", Arc::new(values)),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("rows")
    }

    async fn answered(sql: &str, is_coded: bool, rows: usize, agents: usize, memory: usize) -> String {
        let batches = |half: usize| (0..rows / 2000).map(move |at| batch(at * 2000 + half * 1000..at * 2000 + half * 1000 + 1000, agents));
        let halves: Vec<Vec<RecordBatch>> = (0..2).map(|half| batches(half).collect()).collect();
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(memory))).build_arc().expect("a runtime");
        let state = SessionStateBuilder::new().with_default_features().with_runtime_env(runtime);
        let state = state.with_config(SessionConfig::new().with_target_partitions(2));
        let state = if is_coded { state.with_physical_optimizer_rule(Arc::new(CodedGroups)) } else { state };
        let context = SessionContext::new_with_state(state.build());
        context.register_table("rows", Arc::new(MemTable::try_new(halves[0][0].schema(), halves).expect("a table"))).expect("a table");
        let plan = context.sql(sql).await.expect("planned").create_physical_plan().await.expect("planned");
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        assert_eq!(shown.contains("CodedAggregateExec: mode=Partial"), is_coded, "{shown}");
        let rows = datafusion::physical_plan::collect(plan, context.task_ctx()).await.expect("run");
        pretty_format_batches(&rows).expect("a table").to_string()
    }

    #[tokio::test]
    async fn groups_by_numbers_are_those_of_the_engine() {
        for sql in [
            "SELECT service_name, count(*) FROM rows GROUP BY service_name ORDER BY 1",
            "SELECT DISTINCT service_name, event_name FROM rows ORDER BY 1, 2",
            "SELECT service_name, event_name, min(value), max(value), sum(value), avg(value), count(value) FROM rows GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT event_name, count(DISTINCT value % 10), min(user_agent) FROM rows WHERE value % 3 = 0 GROUP BY 1 ORDER BY 1",
            "SELECT user_agent, event_name, service_name, sum(value + 1) FROM rows GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        ] {
            let [engine, coded] = [answered(sql, false, 20_000, 997, 1 << 30).await, answered(sql, true, 20_000, 997, 1 << 30).await];
            assert!(engine.lines().count() > 10, "{engine}");
            assert_eq!(engine, coded, "{sql}");
        }
    }

    #[tokio::test]
    async fn more_groups_than_are_numbered_at_once_and_than_memory_holds_are_all_there() {
        let sql = "SELECT count(*), sum(rows), sum(value), max(agent) FROM \
                   (SELECT user_agent AS agent, count(*) AS rows, sum(value) AS value FROM rows GROUP BY user_agent)";
        // Each of the two partitions sees more kinds than are numbered at once.
        let engine = answered(sql, false, 300_000, 150_001, 1 << 30).await;
        assert_eq!(engine, answered(sql, true, 300_000, 150_001, 1 << 30).await);
        // Too little for all of them in both steps: the first gives on what it has, the second spills.
        assert_eq!(engine, answered(sql, true, 300_000, 150_001, 12 << 20).await);
    }

    #[tokio::test]
    async fn what_is_no_text_or_asks_for_more_is_left_to_the_engine() {
        for sql in [
            "SELECT value, count(*) FROM rows GROUP BY value ORDER BY 1",
            "SELECT service_name, value, count(*) FROM rows GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT upper(service_name), count(*) FROM rows GROUP BY 1 ORDER BY 1",
            "SELECT service_name, count(*) FILTER (WHERE value > 7) FROM rows GROUP BY 1 ORDER BY 1",
            "SELECT service_name, event_name, count(*) FROM rows GROUP BY ROLLUP (service_name, event_name) ORDER BY 1, 2",
            "SELECT service_name, first_value(value ORDER BY value) FROM rows GROUP BY 1 ORDER BY 1",
        ] {
            let state = SessionStateBuilder::new().with_default_features().with_physical_optimizer_rule(Arc::new(CodedGroups));
            let context = SessionContext::new_with_state(state.with_config(SessionConfig::new().with_target_partitions(2)).build());
            let halves = vec![vec![batch(0..1000, 7)], vec![batch(1000..2000, 7)]];
            context.register_table("rows", Arc::new(MemTable::try_new(halves[0][0].schema(), halves).expect("a table"))).expect("a table");
            let plan = context.sql(sql).await.expect("planned").create_physical_plan().await.expect("planned");
            let shown = displayable(plan.as_ref()).indent(false).to_string();
            assert!(!shown.contains("Coded"), "{shown}");
        }
    }
}
