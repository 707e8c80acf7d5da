//! Refuses syntax to which the query engine gives another meaning than PostgreSQL, where this program does not translate it.
//!
//! ```text
//! SELECT (1, NULL) = (1, 2)                      PostgreSQL: NULL; the engine: false
//! SELECT x FROM a RIGHT JOIN b USING (x)         PostgreSQL: x of either; the engine: x of a, NULL where a has no row
//! SELECT user_name ~ ANY(ARRAY['^a'])            the engine: true for every row
//! ```

use super::error::{QueryError, QueryErrorCode, position_of};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Join,
    JoinConstraint, JoinOperator, Query, Select, SetExpr, SetOperator, SetQuantifier, Spanned,
    Statement, UnaryOperator, Value, Visit, Visitor,
};
use std::ops::ControlFlow;

/// Refuses what in `statement` would not have PostgreSQL's meaning.
///
/// # Errors
/// [`QueryError`] with what to write instead.
pub(crate) fn check_meanings(statement: &Statement) -> Result<(), QueryError> {
    match statement.visit(&mut Meanings) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Meanings;

impl Visitor for Meanings {
    type Break = QueryError;

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<QueryError> {
        let joins = select.from.iter().flat_map(|table| &table.joins);
        if joins.into_iter().any(merges_columns_of_outer_rows) {
            return refused(
                select,
                "USING and NATURAL of a right or full join are not supported; write ON, and coalesce(a.x, b.x)",
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<QueryError> {
        if counts_rows_of_both(&query.body) {
            return refused(
                query,
                "EXCEPT ALL and INTERSECT ALL are not supported; number the rows of both with row_number()",
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<QueryError> {
        let why = match expression {
            Expr::Tuple(_) => {
                "row values are not supported; compare column by column: a = 1 AND b = 2"
            }
            Expr::AnyOp { compare_op, .. } | Expr::AllOp { compare_op, .. }
                if !is_comparison(compare_op) =>
            {
                "ANY and ALL take =, <>, <, <=, > and >= alone; write the patterns one by one with OR"
            }
            Expr::AnyOp { compare_op, right, .. }
                if matches!(**right, Expr::Subquery(_)) && *compare_op != BinaryOperator::Eq =>
            {
                "ANY (SELECT ...) takes = alone; compare with (SELECT min(...)) or (SELECT max(...))"
            }
            Expr::AllOp { compare_op, right, .. }
                if matches!(**right, Expr::Subquery(_)) && *compare_op != BinaryOperator::NotEq =>
            {
                "ALL (SELECT ...) takes <> alone; compare with (SELECT min(...)) or (SELECT max(...))"
            }
            Expr::Like { any: true, .. } | Expr::ILike { any: true, .. } => {
                "LIKE ANY is not supported; write the patterns one by one with OR"
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } if is_power(expr) => {
                "PostgreSQL reads -a ^ b as (-a) ^ b; write the parentheses"
            }
            Expr::Cast { data_type, .. } if is_padded(data_type) => {
                "the type char is not supported; use varchar or text"
            }
            Expr::Function(function) if has_untyped_default(&function.args) => {
                match function.name.to_string().to_lowercase().as_str() {
                    "lag" | "lead" => "give the default of lag and lead a type: '...'::timestamptz",
                    _ => return ControlFlow::Continue(()),
                }
            }
            _ => return ControlFlow::Continue(()),
        };
        refused(expression, why)
    }
}

/// True for EXCEPT ALL and INTERSECT ALL, which pair the rows of both sides one by one.
fn counts_rows_of_both(body: &SetExpr) -> bool {
    match body {
        SetExpr::SetOperation { op, set_quantifier, left, right } => {
            (matches!(set_quantifier, SetQuantifier::All) && *op != SetOperator::Union)
                || counts_rows_of_both(left)
                || counts_rows_of_both(right)
        }
        // A query in parentheses is visited on its own.
        _ => false,
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

fn is_power(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryOp { op: BinaryOperator::PGExp, .. })
}

/// True for the types whose values are filled up with spaces.
fn is_padded(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Char(_) | DataType::Character(_))
}

/// True where the third argument is a text literal.
fn has_untyped_default(args: &FunctionArguments) -> bool {
    let FunctionArguments::List(list) = args else { return false };
    matches!(list.args.get(2), Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))))
        if matches!(value.value, Value::SingleQuotedString(_)))
}

/// True for a join of named columns that also returns rows of the right side alone.
fn merges_columns_of_outer_rows(join: &Join) -> bool {
    match &join.join_operator {
        JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => {
            matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural)
        }
        _ => false,
    }
}

fn refused(node: &impl Spanned, why: &str) -> ControlFlow<QueryError> {
    ControlFlow::Break(QueryError {
        code: QueryErrorCode::StatementNotAllowed,
        message: why.to_owned(),
        position: position_of(node),
    })
}
