//! What a condition cannot hold without.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::utils::collect_columns;
use std::sync::Arc;

type Expr = Arc<dyn PhysicalExpr>;

/// A condition on the column `name` alone without which `condition` does not hold; `None` where it may hold whatever the column is.
pub(crate) fn necessary(condition: &Expr, name: &str) -> Option<Expr> {
    if is_on(condition, name) {
        return Some(Arc::clone(condition));
    }
    let (left, operator, right) = parts(condition)?;
    let (left_needs, right_needs) = (necessary(left, name), necessary(right, name));
    match operator {
        Operator::And => match (left_needs, right_needs) {
            (Some(left), Some(right)) => Some(joined(left, Operator::And, right)),
            (needed, None) | (None, needed) => needed,
        },
        // One side may hold without the other.
        Operator::Or => Some(joined(left_needs?, Operator::Or, right_needs?)),
        _ => None,
    }
}

/// True where `condition` holds if, and only if, what it needs of each column that is `among` those holds.
pub(crate) fn is_settled_by(condition: &Expr, among: impl Fn(&str) -> bool + Copy) -> bool {
    let columns = collect_columns(condition);
    if columns.len() == 1 && columns.iter().all(|column| among(column.name())) {
        return true;
    }
    parts(condition).is_some_and(|(left, operator, right)| {
        *operator == Operator::And && is_settled_by(left, among) && is_settled_by(right, among)
    })
}

/// `condition`, which is on the column `name` alone, over that column alone.
pub(crate) fn alone(condition: &Expr, name: &str) -> Result<Expr> {
    let alone = Arc::clone(condition).transform_down(|expr| {
        let is_column = expr.downcast_ref::<Column>().is_some();
        let alone: Expr =
            if is_column { Arc::new(Column::new(name, 0)) } else { Arc::clone(&expr) };
        Ok(if is_column { Transformed::yes(alone) } else { Transformed::no(expr) })
    })?;
    Ok(alone.data)
}

fn is_on(condition: &Expr, name: &str) -> bool {
    let columns = collect_columns(condition);
    columns.len() == 1 && columns.iter().all(|column| column.name() == name)
}

fn parts(condition: &Expr) -> Option<(&Expr, &Operator, &Expr)> {
    condition.downcast_ref::<BinaryExpr>().map(|both| (both.left(), both.op(), both.right()))
}

fn joined(left: Expr, operator: Operator, right: Expr) -> Expr {
    Arc::new(BinaryExpr::new(left, operator, right))
}
