//! Moves a filter that only tests `event_time` from a Parquet scan into a filter node above it,
//! where all scanned columns are cheap to decode.
//!
//! Inside of the scan, the query engine decodes `event_time` twice, once for the filter and once for the
//! result, and selects row by row although nearly all rows of a file match. Files and row groups
//! outside of the time range are skipped by their statistics in both cases.

use crate::optimizer::rule::{OptimizerRule, Replacement};
use crate::tables::cardinality::HIGH_CARDINALITY;
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

/// The optimizer rule.
pub(crate) const RULE: OptimizerRule =
    OptimizerRule { name: "time_filter", replace: |scan, _| lift_filter(scan) };

/// The scan `node` with its filter in a node above it; `None` where the filter stays inside.
fn lift_filter(node: &Arc<dyn ExecutionPlan>) -> Result<Replacement, DataFusionError> {
    let scan = node
        .downcast_ref::<DataSourceExec>()
        .and_then(|exec| exec.data_source().downcast_ref::<FileScanConfig>());
    // A scan with a limit must count the rows that match, not the rows it reads.
    let Some(scan) = scan.filter(|scan| scan.limit.is_none()) else { return Ok(None) };
    let source = scan.file_source();
    let (Some(parquet), Some(condition)) =
        (source.downcast_ref::<ParquetSource>(), source.filter())
    else {
        return Ok(None);
    };
    let Some(projection) = source.projection() else { return Ok(None) };
    let outputs: Vec<&Arc<dyn PhysicalExpr>> =
        projection.iter().map(|projected| &projected.expr).collect();
    let is_cheap = outputs.iter().all(|output| {
        collect_columns(output).iter().all(|column| is_cheap_to_decode(column.name()))
    });
    // The scan must output `event_time` for the filter above; another expression may have its name.
    let Some(time) = outputs.iter().position(|output| is_time(output)) else { return Ok(None) };
    if !is_cheap || !split_conjunction(&condition).into_iter().all(is_time_comparison) {
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
    // Statistics still prune; the filter above selects the rows.
    let parquet = parquet.clone().with_pushdown_filters(false);
    let scan = FileScanConfigBuilder::from(scan.clone()).with_source(Arc::new(parquet)).build();
    Ok(Some(Arc::new(FilterExec::try_new(above.data, DataSourceExec::from_data_source(scan))?)))
}

fn is_time(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<Column>().is_some_and(|column| column.name() == TIME)
}

/// True where the condition compares `event_time` with a literal.
fn is_time_comparison(condition: &Arc<dyn PhysicalExpr>) -> bool {
    condition.downcast_ref::<BinaryExpr>().is_some_and(|comparison| {
        is_time(comparison.left()) && comparison.right().downcast_ref::<Literal>().is_some()
    })
}

fn is_cheap_to_decode(name: &str) -> bool {
    let is_cheap = |column: &trailhound_datasets::columns::Column| {
        !HIGH_CARDINALITY.contains(column.name)
            && !matches!(column.data_type, ColumnType::TextList | ColumnType::ResourceList)
    };
    COLUMNS.iter().any(|column| column.name == name && is_cheap(column))
}
