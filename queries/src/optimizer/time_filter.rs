//! Conditions on the time alone, asked above the scan where it reads columns that are read fast. Inside, the engine reads the time once for the
//! condition and once for the result, and picks row by row what is mostly all of a file: files and row groups outside are left out
//! before that.

use crate::optimizer::rule::{OptimizerRule, Replacement};
use crate::tables::cardinality::LONG;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use std::sync::Arc;
use trailhound_datasets::columns::{COLUMNS, ColumnType};

const TIME: &str = "event_time";

/// The rule of the optimizer.
pub(crate) const RULE: OptimizerRule =
    OptimizerRule { name: "time_filters_above_scans", instead: |scan, _| asked_above(scan) };

/// `node` with its condition above it; nothing where it stays inside.
fn asked_above(node: &Arc<dyn ExecutionPlan>) -> Result<Replacement, DataFusionError> {
    let scan = node
        .downcast_ref::<DataSourceExec>()
        .and_then(|exec| exec.data_source().downcast_ref::<FileScanConfig>());
    // The first rows that fulfil it are another number of rows than the first that are read.
    let Some(scan) = scan.filter(|scan| scan.limit.is_none()) else { return Ok(None) };
    let source = scan.file_source();
    let (Some(parquet), Some(condition)) =
        (source.downcast_ref::<ParquetSource>(), source.filter())
    else {
        return Ok(None);
    };
    let Some(projection) = source.projection() else { return Ok(None) };
    let shown: Vec<&Arc<dyn PhysicalExpr>> =
        projection.iter().map(|projected| &projected.expr).collect();
    let is_shown_fast = shown
        .iter()
        .all(|shown| collect_columns(shown).iter().all(|column| is_read_fast(column.name())));
    // Something else may bear its name.
    let Some(time) = shown.iter().position(|shown| is_time(shown)) else { return Ok(None) };
    if !is_shown_fast || !split_conjunction(&condition).into_iter().all(is_on_time) {
        return Ok(None);
    }
    let schema = node.schema();
    let time = Column::new(schema.field(time).name(), time);
    let above = Arc::clone(&condition).transform(|expr: Arc<dyn PhysicalExpr>| {
        let is_column = expr.downcast_ref::<Column>().is_some();
        Ok(if is_column {
            Transformed::yes(Arc::new(time.clone()) as Arc<dyn PhysicalExpr>)
        } else {
            Transformed::no(expr)
        })
    })?;
    // What it cannot find in statistics it still leaves to the condition above.
    let parquet = parquet.clone().with_pushdown_filters(false);
    let scan = FileScanConfigBuilder::from(scan.clone()).with_source(Arc::new(parquet)).build();
    Ok(Some(Arc::new(FilterExec::try_new(above.data, DataSourceExec::from_data_source(scan))?)))
}

fn is_time(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<Column>().is_some_and(|column| column.name() == TIME)
}

/// The time beside a moment.
fn is_on_time(condition: &Arc<dyn PhysicalExpr>) -> bool {
    condition.downcast_ref::<BinaryExpr>().is_some_and(|both| {
        is_time(both.left()) && both.right().downcast_ref::<Literal>().is_some()
    })
}

fn is_read_fast(name: &str) -> bool {
    let is_fast = |column: &trailhound_datasets::columns::Column| {
        !LONG.contains(column.name)
            && !matches!(column.data_type, ColumnType::TextList | ColumnType::ResourceList)
    };
    COLUMNS.iter().any(|column| column.name == name && is_fast(column))
}
