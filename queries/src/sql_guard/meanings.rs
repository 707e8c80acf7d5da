//! Refuses syntax to which the query engine gives another meaning than PostgreSQL, where this program does not translate it.
//!
//! ```text
//! SELECT (1, NULL) = (1, 2)                      PostgreSQL: NULL; the engine: false
//! SELECT x FROM a RIGHT JOIN b USING (x)         the engine takes x of a alone
//! SELECT user_name ~ ANY(ARRAY['^a'])            the engine compares with = or not at all
//! ```

use super::error::{QueryError, QueryErrorCode, position_of};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Join,
    JoinConstraint, JoinOperator, Select, Spanned, Statement, UnaryOperator, Value, Visit, Visitor,
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
        if joins.into_iter().any(joins_columns_of_one_side) {
            return refused(
                select,
                "USING and NATURAL of a right or full join are not supported; write ON, and coalesce(a.x, b.x)",
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

/// True for a join that names its columns and has rows without a left side: the engine takes the left columns.
fn joins_columns_of_one_side(join: &Join) -> bool {
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
