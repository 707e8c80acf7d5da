//! `FROM t CROSS JOIN unnest(t.list) AS u(x)`: a row for each item of a list of the row before it. The engine has no plan for
//! it; here the join becomes one unnesting of the left side.

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, JoinType, NullHandling, Result, ScalarValue, TableReference, UnnestOptions,
};
use datafusion::logical_expr::{
    Expr, Join, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias,
};
use std::sync::Arc;

/// Replaces each join with a correlated unnesting in `plan`.
///
/// # Errors
/// Errors of the engine.
pub(super) fn unnest(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut count = 0;
    plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Join(join) = &node else { return Ok(Transformed::no(node)) };
        if let Some(results) = correlated_results(join) {
            return Ok(Transformed::yes(computed(join, results)?));
        }
        let Some(rows) = correlated_rows(join) else { return Ok(Transformed::no(node)) };
        count += 1;
        Ok(Transformed::yes(unnested(join, rows, count)?))
    })
    .data()
}

/// A correlated unnesting on the right of a join.
struct Rows {
    /// The list, in columns of the left side.
    list: Expr,
    alias: TableReference,
    column: String,
    /// A row of the left side without items stays.
    keep_empty: bool,
}

/// What the right side of `join` is, where it is a subquery of columns of the left side.
fn right_side(join: &Join) -> Option<(&LogicalPlan, &TableReference)> {
    let always = |filter: &Expr| matches!(filter, Expr::Literal(value, _) if *value == ScalarValue::Boolean(Some(true)));
    if !join.on.is_empty() || !join.filter.as_ref().is_none_or(always) {
        return None;
    }
    let LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) = join.right.as_ref() else {
        return None;
    };
    let inner = match input.as_ref() {
        LogicalPlan::Subquery(subquery) => subquery.subquery.as_ref(),
        other => other,
    };
    Some((inner, alias))
}

/// `expr` of a lateral subquery over the left side itself.
fn of_left_side(expr: Expr) -> Result<Expr> {
    let of_left = expr.transform(|expr| {
        Ok(match expr {
            Expr::OuterReferenceColumn(_, column) => Transformed::yes(Expr::Column(column)),
            expr => Transformed::new(expr, false, TreeNodeRecursion::Continue),
        })
    });
    of_left.data()
}

/// The results of `LATERAL (SELECT expressions)` on the right of `join`.
fn correlated_results(join: &Join) -> Option<Vec<Expr>> {
    if !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
        return None;
    }
    let (inner, alias) = right_side(join)?;
    let LogicalPlan::Projection(Projection { schema, input, expr, .. }) = inner else {
        return None;
    };
    let LogicalPlan::EmptyRelation(_) = input.as_ref() else { return None };
    let named = expr.iter().zip(schema.fields()).map(|(expr, field)| {
        let expr = of_left_side(expr.clone().unalias()).ok()?;
        Some(expr.alias_qualified(Some(alias.clone()), field.name()))
    });
    named.collect()
}

fn computed(join: &Join, results: Vec<Expr>) -> Result<LogicalPlan> {
    let left = Arc::unwrap_or_clone(Arc::clone(&join.left));
    let columns: Vec<Expr> = left.schema().columns().into_iter().map(Expr::Column).collect();
    LogicalPlanBuilder::from(left).project(columns.into_iter().chain(results))?.build()
}

/// The unnesting that is the right side of `join`, where it is nothing else.
fn correlated_rows(join: &Join) -> Option<Rows> {
    let keep_empty = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left => true,
        _ => return None,
    };
    let (inner, alias) = right_side(join)?;
    let LogicalPlan::Projection(Projection { schema, input, .. }) = inner else { return None };
    let LogicalPlan::Unnest(unnest) = input.as_ref() else { return None };
    let LogicalPlan::Projection(Projection { expr, input, .. }) = unnest.input.as_ref() else {
        return None;
    };
    let LogicalPlan::EmptyRelation(_) = input.as_ref() else { return None };
    let ([list], [_]) = (expr.as_slice(), schema.fields().iter().collect::<Vec<_>>().as_slice())
    else {
        return None;
    };
    if !list.contains_outer() {
        // The list is the same for every row: the engine's own join does not copy it to each.
        return None;
    }
    let column = schema.field(0).name().clone();
    let list = of_left_side(list.clone().unalias()).ok()?;
    Some(Rows { list, alias: alias.clone(), column, keep_empty })
}

fn unnested(join: &Join, rows: Rows, number: usize) -> Result<LogicalPlan> {
    let left = Arc::unwrap_or_clone(Arc::clone(&join.left));
    let columns: Vec<Expr> = left.schema().columns().into_iter().map(Expr::Column).collect();
    let name = format!("unnested_{number}");
    let with_list = columns.iter().cloned().chain([rows.list.alias(&name)]);
    let null_handling =
        if rows.keep_empty { NullHandling::PreserveAndExpandEmpty } else { NullHandling::Drop };
    let options = UnnestOptions { null_handling, ..UnnestOptions::default() };
    let shown =
        Expr::Column(Column::from_name(&name)).alias_qualified(Some(rows.alias), rows.column);
    LogicalPlanBuilder::from(left)
        .project(with_list)?
        .unnest_column_with_options(Column::from_name(&name), options)?
        .project(columns.into_iter().chain([shown]))?
        .build()
}
