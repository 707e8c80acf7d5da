//! Groups by texts of which there are few, and by rounded times beside them. The engine compares each row's values with those of its
//! group; here each value is given a number where it is first seen, a text known again by where it lies in memory, and only numbers are
//! compared.

mod encoding;
mod exec;

use crate::optimizer::rule::{OptimizerRule, Replacement};
use crate::tables::cardinality::FEW;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use exec::CodedAggregateExec;
use std::sync::Arc;

/// The rule of the optimizer.
pub(crate) const RULE: OptimizerRule =
    OptimizerRule { name: "coded_groups", instead: |step, _| Ok(coded(step)) };

/// What does the same as `node` by numbers; nothing where it groups by something else, or asks for more than groups.
fn coded(node: &Arc<dyn ExecutionPlan>) -> Replacement {
    let aggregate = node
        .downcast_ref::<AggregateExec>()
        .filter(|aggregate| *aggregate.mode() == AggregateMode::Partial)?;
    let (by, schema) = (aggregate.group_expr(), aggregate.input().schema());
    let is_text = |(by, _): &(Arc<dyn PhysicalExpr>, String)| is_few(by.as_ref(), &schema);
    let is_known = by.is_single()
        && (1..=encoding::COLUMNS_MAX).contains(&by.expr().len())
        && by.expr().iter().any(is_text)
        && by.expr().iter().all(|by| is_text(by) || is_rounded(by.0.as_ref(), &schema));
    let is_plain = aggregate.limit_options().is_none()
        && aggregate.filter_expr().iter().all(Option::is_none)
        && aggregate.aggr_expr().iter().all(|of_group| {
            of_group.groups_accumulator_supported() && of_group.order_bys().is_empty()
        });
    (is_known && is_plain).then(|| Arc::new(CodedAggregateExec::new(aggregate.clone())) as _)
}

/// True of a text that has few values.
fn is_few(by: &dyn PhysicalExpr, schema: &Schema) -> bool {
    let field = by.downcast_ref::<Column>().map(|column| schema.field(column.index()));
    field.is_some_and(|field| {
        *field.data_type() == DataType::Utf8View && FEW.contains(field.name().as_str())
    })
}

/// True of a whole number or time that is made of finer ones. To what it is rounded does not matter: many values cost time and nothing else.
fn is_rounded(by: &dyn PhysicalExpr, schema: &Schema) -> bool {
    let is_division = by
        .downcast_ref::<BinaryExpr>()
        .is_some_and(|by| *by.op() == Operator::Divide && by.right().is::<Literal>());
    let is_function = by
        .downcast_ref::<ScalarFunctionExpr>()
        .is_some_and(|by| matches!(by.name(), "date_trunc" | "date_bin"));
    (is_division || is_function)
        && matches!(by.data_type(schema), Ok(DataType::Int64 | DataType::Timestamp(..)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{
        ArrayRef, Int64Array, RecordBatch, StringViewArray, StringViewBuilder,
        TimestampMicrosecondArray,
    };
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
            let of_kind = [
                format!("k{kind}"),
                format!("a text that no view holds in itself, of kind {kind}"),
            ];
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
        let values: Int64Array =
            rows.clone().map(|row| (row % 5 != 0).then_some(row as i64)).collect();
        // Some before 1970.
        let times: TimestampMicrosecondArray =
            values.iter().map(|value| Some((value? - 5000) * 17_000_000)).collect();
        let columns: [(&str, ArrayRef); 5] = [
            ("service_name", texts(rows.clone(), 13, is_once)),
            ("event_name", texts(rows.clone(), 101, is_once)),
            ("user_agent", texts(rows.clone(), agents, !is_once)),
            ("value", Arc::new(values)),
            ("time", Arc::new(times.with_timezone("UTC"))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
            .expect("rows")
    }

    async fn answered(
        sql: &str,
        is_coded: bool,
        rows: usize,
        agents: usize,
        memory: usize,
    ) -> String {
        answered_by(sql, is_coded, rows, agents, memory).await.0
    }

    /// The answer, and how many rows the first step gave.
    async fn answered_by(
        sql: &str,
        is_coded: bool,
        rows: usize,
        agents: usize,
        memory: usize,
    ) -> (String, usize) {
        let batches = |half: usize| {
            (0..rows / 2000).map(move |at| {
                batch(at * 2000 + half * 1000..at * 2000 + half * 1000 + 1000, agents)
            })
        };
        let halves: Vec<Vec<RecordBatch>> = (0..2).map(|half| batches(half).collect()).collect();
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory)))
            .build_arc()
            .expect("a runtime");
        let state = SessionStateBuilder::new().with_default_features().with_runtime_env(runtime);
        let state = state.with_config(SessionConfig::new().with_target_partitions(2));
        let state =
            if is_coded { state.with_physical_optimizer_rule(Arc::new(RULE)) } else { state };
        let context = SessionContext::new_with_state(state.build());
        context
            .register_table(
                "rows",
                Arc::new(MemTable::try_new(halves[0][0].schema(), halves).expect("a table")),
            )
            .expect("a table");
        let plan =
            context.sql(sql).await.expect("planned").create_physical_plan().await.expect("planned");
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        assert_eq!(shown.contains("CodedAggregateExec: mode=Partial"), is_coded, "{shown}");
        let rows = datafusion::physical_plan::collect(Arc::clone(&plan), context.task_ctx())
            .await
            .expect("run");
        (pretty_format_batches(&rows).expect("a table").to_string(), given(&plan))
    }

    /// How many rows the steps of ours gave.
    fn given(plan: &Arc<dyn ExecutionPlan>) -> usize {
        let here = plan
            .downcast_ref::<CodedAggregateExec>()
            .and_then(|plan| plan.metrics()?.output_rows())
            .unwrap_or_default();
        here + plan.children().into_iter().map(given).sum::<usize>()
    }

    #[tokio::test]
    async fn groups_by_numbers_are_those_of_the_engine() {
        for sql in [
            "SELECT service_name, count(*) FROM rows GROUP BY service_name ORDER BY 1",
            "SELECT DISTINCT service_name, event_name FROM rows ORDER BY 1, 2",
            "SELECT service_name, event_name, min(value), max(value), sum(value), avg(value), count(value) FROM rows GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT event_name, count(DISTINCT value % 10), min(user_agent) FROM rows WHERE value % 3 = 0 GROUP BY 1 ORDER BY 1",
            "SELECT user_agent, event_name, service_name, sum(value + 1) FROM rows GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            "SELECT service_name, (value - 5000) / 700, count(*), min(value), max(value) FROM rows GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT service_name, (5000 - value) / -700, count(*) FROM rows GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT service_name, CASE value % 3 WHEN 0 THEN 9223372036854775807 - value WHEN 1 THEN value - 9223372036854775807 ELSE value END / 7, \
             count(*) FROM rows GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT date_trunc('hour', time), service_name, count(*) FROM rows GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT service_name, date_bin(INTERVAL '7 minutes', time), event_name, min(time) FROM rows GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        ] {
            let [engine, coded] = [
                answered(sql, false, 20_000, 997, 1 << 30).await,
                answered(sql, true, 20_000, 997, 1 << 30).await,
            ];
            assert!(engine.lines().count() > 10, "{engine}");
            assert_eq!(engine, coded, "{sql}");
        }
    }

    #[tokio::test]
    async fn more_groups_than_are_numbered_at_once_are_all_there() {
        let agents = "SELECT count(*), sum(rows), sum(value), max(agent) FROM \
                      (SELECT user_agent AS agent, count(*) AS rows, sum(value) AS value FROM rows GROUP BY user_agent)";
        let parts = "SELECT count(*), sum(rows), sum(value), max(part) FROM \
                     (SELECT service_name, value / 2 AS part, count(*) AS rows, sum(value) AS value FROM rows GROUP BY 1, 2)";
        // Each of the two partitions sees more kinds than are numbered at once.
        for sql in [agents, parts] {
            let [engine, coded] = [
                answered(sql, false, 300_000, 150_001, 1 << 30).await,
                answered(sql, true, 300_000, 150_001, 1 << 30).await,
            ];
            assert_eq!(engine, coded, "{sql}");
        }
    }

    #[tokio::test]
    async fn more_groups_than_memory_holds_are_given_on_before_the_end() {
        let sql = "SELECT count(*), sum(rows), max(agent) FROM (SELECT user_agent AS agent, count(*) AS rows FROM rows GROUP BY user_agent)";
        let (enough, at_the_end) = answered_by(sql, true, 200_000, 19_001, 1 << 30).await;
        let (little, early) = answered_by(sql, true, 200_000, 19_001, 6 << 20).await;
        assert_eq!(enough, little);
        let kinds = 19_001 - 19_001 / 11 + 1;
        assert_eq!(at_the_end, 2 * kinds, "each partition sees each text, and NULL");
        assert!(early > at_the_end, "{early} rows of the first step");
    }

    #[tokio::test]
    async fn what_has_many_values_or_asks_for_more_is_left_to_the_engine() {
        for sql in [
            "SELECT value, count(*) FROM rows GROUP BY value ORDER BY 1",
            "SELECT service_name, value, count(*) FROM rows GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT service_name, value + 1, count(*) FROM rows GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT service_name, value / 1.5, count(*) FROM rows GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT date_trunc('hour', time), count(*) FROM rows GROUP BY 1 ORDER BY 1",
            "SELECT upper(service_name), count(*) FROM rows GROUP BY 1 ORDER BY 1",
            "SELECT service_name, count(*) FILTER (WHERE value > 7) FROM rows GROUP BY 1 ORDER BY 1",
            "SELECT service_name, event_name, count(*) FROM rows GROUP BY ROLLUP (service_name, event_name) ORDER BY 1, 2",
            "SELECT service_name, first_value(value ORDER BY value) FROM rows GROUP BY 1 ORDER BY 1",
        ] {
            let state = SessionStateBuilder::new()
                .with_default_features()
                .with_physical_optimizer_rule(Arc::new(RULE));
            let context = SessionContext::new_with_state(
                state.with_config(SessionConfig::new().with_target_partitions(2)).build(),
            );
            let halves = vec![vec![batch(0..1000, 7)], vec![batch(1000..2000, 7)]];
            context
                .register_table(
                    "rows",
                    Arc::new(MemTable::try_new(halves[0][0].schema(), halves).expect("a table")),
                )
                .expect("a table");
            let plan = context
                .sql(sql)
                .await
                .expect("planned")
                .create_physical_plan()
                .await
                .expect("planned");
            let shown = displayable(plan.as_ref()).indent(false).to_string();
            assert!(!shown.contains("Coded"), "{shown}");
        }
    }
}
