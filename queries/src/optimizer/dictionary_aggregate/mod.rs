//! Dictionary aggregation: a faster partial aggregation for GROUP BY over text columns with few
//! distinct values, and over rounded integers and times beside them. The query engine hashes and compares
//! the group values of every row. This aggregation gives each distinct value a number and then only
//! compares numbers.
//!
//! Example: `SELECT service_name, error_code, count(*) FROM events GROUP BY 1, 2`.
//!
//! | row | `service_name` | `error_code` | numbers | group |
//! | --- | --- | --- | --- | --- |
//! | 1 | `Ecs` | NULL | 0, 0 | 0 |
//! | 2 | `Ram` | NULL | 1, 0 | 1 |
//! | 3 | `Ecs` | NULL | 0, 0 | 0 |
//! | 4 | `Ecs` | `Forbidden` | 0, 1 | 2 |
//!
//! The numbers of a row, 32 bits each, are its group key. A hash table maps each key to the number
//! of its group, and the query engine's own accumulators count by that number. When the input ends, or
//! there are too many groups, the numbers are replaced by their values and the groups are emitted;
//! the query engine's final aggregation merges them.
//!
//! Most texts are not even hashed: a string view that was seen before is found in a small cache,
//! because equal texts of one page share their bytes.

mod encoding;
mod exec;

use crate::optimizer::rule::{OptimizerRule, Replacement};
use crate::tables::cardinality::LOW_CARDINALITY;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use exec::DictionaryAggregateExec;
use std::sync::Arc;

/// The optimizer rule.
pub(crate) const RULE: OptimizerRule =
    OptimizerRule { name: "dictionary_aggregate", replace: |node, _| Ok(replace_aggregate(node)) };

/// Replaces the partial aggregation `node`. `None` where it groups by anything else than
/// low-cardinality texts and rounded values, or has a filter, an order or a limit.
fn replace_aggregate(node: &Arc<dyn ExecutionPlan>) -> Replacement {
    let aggregate = node
        .downcast_ref::<AggregateExec>()
        .filter(|aggregate| *aggregate.mode() == AggregateMode::Partial)?;
    let (by, schema) = (aggregate.group_expr(), aggregate.input().schema());
    let is_text =
        |(by, _): &(Arc<dyn PhysicalExpr>, String)| is_low_cardinality(by.as_ref(), &schema);
    let is_supported = by.is_single()
        && (1..=encoding::COLUMNS_MAX).contains(&by.expr().len())
        && by.expr().iter().any(is_text)
        && by.expr().iter().all(|by| is_text(by) || is_rounded(by.0.as_ref(), &schema));
    let is_plain = aggregate.limit_options().is_none()
        && aggregate.filter_expr().iter().all(Option::is_none)
        && aggregate.aggr_expr().iter().all(|aggregate_function| {
            aggregate_function.groups_accumulator_supported()
                && aggregate_function.order_bys().is_empty()
        });
    (is_supported && is_plain)
        .then(|| Arc::new(DictionaryAggregateExec::new(aggregate.clone())) as _)
}

/// True where `by` is a text column with few distinct values.
fn is_low_cardinality(by: &dyn PhysicalExpr, schema: &Schema) -> bool {
    let field = by.downcast_ref::<Column>().map(|column| schema.field(column.index()));
    field.is_some_and(|field| {
        *field.data_type() == DataType::Utf8View && LOW_CARDINALITY.contains(field.name().as_str())
    })
}

/// True where `by` is an integer or time that is rounded: a division by a literal, `date_trunc` or
/// `date_bin`. How coarse it is does not matter: many distinct values cost time and change no
/// result.
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

    /// Texts of `kinds` distinct values, short and long, some NULL. With `is_once` equal texts
    /// share their bytes, else each row has its own.
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
        // Some times are before 1970.
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

    async fn run_query(
        sql: &str,
        is_replaced: bool,
        rows: usize,
        agents: usize,
        memory: usize,
    ) -> String {
        run_counting(sql, is_replaced, rows, agents, memory).await.0
    }

    /// The result as text, and the number of rows that the partial aggregations emitted.
    async fn run_counting(
        sql: &str,
        is_replaced: bool,
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
            if is_replaced { state.with_physical_optimizer_rule(Arc::new(RULE)) } else { state };
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
        assert_eq!(shown.contains("DictionaryAggregateExec: mode=Partial"), is_replaced, "{shown}");
        let rows = datafusion::physical_plan::collect(Arc::clone(&plan), context.task_ctx())
            .await
            .expect("run");
        (pretty_format_batches(&rows).expect("a table").to_string(), emitted_rows(&plan))
    }

    /// The number of rows that the dictionary aggregations emitted.
    fn emitted_rows(plan: &Arc<dyn ExecutionPlan>) -> usize {
        let here = plan
            .downcast_ref::<DictionaryAggregateExec>()
            .and_then(|plan| plan.metrics()?.output_rows())
            .unwrap_or_default();
        here + plan.children().into_iter().map(emitted_rows).sum::<usize>()
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
            let [engine, replaced] = [
                run_query(sql, false, 20_000, 997, 1 << 30).await,
                run_query(sql, true, 20_000, 997, 1 << 30).await,
            ];
            assert!(engine.lines().count() > 10, "{engine}");
            assert_eq!(engine, replaced, "{sql}");
        }
    }

    #[tokio::test]
    async fn more_groups_than_are_numbered_at_once_are_all_there() {
        let agents = "SELECT count(*), sum(rows), sum(value), max(agent) FROM \
                      (SELECT user_agent AS agent, count(*) AS rows, sum(value) AS value FROM rows GROUP BY user_agent)";
        let parts = "SELECT count(*), sum(rows), sum(value), max(part) FROM \
                     (SELECT service_name, value / 2 AS part, count(*) AS rows, sum(value) AS value FROM rows GROUP BY 1, 2)";
        // Each of the two partitions sees more distinct values than are numbered at once.
        for sql in [agents, parts] {
            let [engine, replaced] = [
                run_query(sql, false, 300_000, 150_001, 1 << 30).await,
                run_query(sql, true, 300_000, 150_001, 1 << 30).await,
            ];
            assert_eq!(engine, replaced, "{sql}");
        }
    }

    #[tokio::test]
    async fn more_groups_than_memory_holds_are_given_on_before_the_end() {
        let sql = "SELECT count(*), sum(rows), max(agent) FROM (SELECT user_agent AS agent, count(*) AS rows FROM rows GROUP BY user_agent)";
        let (enough, at_the_end) = run_counting(sql, true, 200_000, 19_001, 1 << 30).await;
        let (little, early) = run_counting(sql, true, 200_000, 19_001, 6 << 20).await;
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
            assert!(!shown.contains("DictionaryAggregate"), "{shown}");
        }
    }
}
