//! The part of a predicate that a single column must fulfil.
//!
//! `event_action = 'stopinstance' AND event_id LIKE '%7'` implies `event_action = 'stopinstance'`:
//! a row whose action is another one cannot match, whatever its id is.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::utils::collect_columns;
use std::sync::Arc;

type Expr = Arc<dyn PhysicalExpr>;

/// The condition on the column `name` alone that `predicate` implies; `None` where the predicate
/// can match whatever that column holds.
pub(crate) fn implied_condition(predicate: &Expr, name: &str) -> Option<Expr> {
    if reads_only(predicate, name) {
        return Some(Arc::clone(predicate));
    }
    let (left, operator, right) = operands(predicate)?;
    let (of_left, of_right) = (implied_condition(left, name), implied_condition(right, name));
    match operator {
        Operator::And => match (of_left, of_right) {
            (Some(left), Some(right)) => Some(combined(left, Operator::And, right)),
            (implied, None) | (None, implied) => implied,
        },
        // One side can match without the other.
        Operator::Or => Some(combined(of_left?, Operator::Or, of_right?)),
        _ => None,
    }
}

/// True where `predicate` matches exactly the rows that fulfil its implied conditions on the
/// columns `among` selects.
pub(crate) fn is_decided_by(predicate: &Expr, among: impl Fn(&str) -> bool + Copy) -> bool {
    let columns = collect_columns(predicate);
    if columns.len() == 1 && columns.iter().all(|column| among(column.name())) {
        return true;
    }
    operands(predicate).is_some_and(|(left, operator, right)| {
        *operator == Operator::And && is_decided_by(left, among) && is_decided_by(right, among)
    })
}

/// `condition`, which reads the column `name` alone, over a batch that has this column alone.
pub(crate) fn over_single_column(condition: &Expr, name: &str) -> Result<Expr> {
    let rewritten = Arc::clone(condition).transform_down(|expr| {
        if expr.downcast_ref::<Column>().is_some() {
            let column: Expr = Arc::new(Column::new(name, 0));
            return Ok(Transformed::yes(column));
        }
        Ok(Transformed::no(expr))
    })?;
    Ok(rewritten.data)
}

fn reads_only(condition: &Expr, name: &str) -> bool {
    let columns = collect_columns(condition);
    columns.len() == 1 && columns.iter().all(|column| column.name() == name)
}

fn operands(condition: &Expr) -> Option<(&Expr, &Operator, &Expr)> {
    condition.downcast_ref::<BinaryExpr>().map(|both| (both.left(), both.op(), both.right()))
}

fn combined(left: Expr, operator: Operator, right: Expr) -> Expr {
    Arc::new(BinaryExpr::new(left, operator, right))
}
