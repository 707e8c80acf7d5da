//! Plans operators, array access and the functions with a syntax of their own as calls of PostgreSQL's functions.

use super::pending::PendingFunction;
use super::pg_type::PgType;
use super::resolve::type_of;
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr,
};
use datafusion::logical_expr::{Expr, GetFieldAccess, ScalarUDF, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use std::sync::Arc;

/// Plans the syntax of PostgreSQL's dialect for DataFusion.
#[derive(Debug)]
pub(super) struct DialectPlanner;

/// A call of the function `name`. The function is chosen by the types of `args` once the whole
/// statement is planned.
fn pending(name: &'static str, args: Vec<Expr>) -> Expr {
    let function = Arc::new(ScalarUDF::new_from_impl(PendingFunction::new(name)));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
}

/// The name of the function that computes `operator`: PostgreSQL's spelling of the operator. A
/// negated operator has the name of the plain one, and `<@` that of `@>`. `None` for comparisons,
/// conditions and unknown operators.
fn computing(operator: &BinaryOperator) -> Option<&'static str> {
    Some(match operator {
        BinaryOperator::Plus => "+",
        BinaryOperator::Minus => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
        BinaryOperator::Modulo => "%",
        BinaryOperator::PGExp => "^",
        BinaryOperator::BitwiseAnd => "&",
        BinaryOperator::BitwiseOr => "|",
        BinaryOperator::PGBitwiseXor => "#",
        BinaryOperator::PGRegexMatch | BinaryOperator::PGRegexNotMatch => "~",
        BinaryOperator::PGRegexIMatch | BinaryOperator::PGRegexNotIMatch => "~*",
        BinaryOperator::PGOverlap => "&&",
        BinaryOperator::AtArrow | BinaryOperator::ArrowAt => "@>",
        BinaryOperator::StringConcat => "||",
        _ => return None,
    })
}

/// True for comparisons, AND and OR.
fn is_condition(operator: &BinaryOperator) -> bool {
    use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
    matches!(operator, And | Or | Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

impl ExprPlanner for DialectPlanner {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expr;
        let (Ok(left_type), Ok(right_type)) = (type_of(&left, schema), type_of(&right, schema))
        else {
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        };
        let engine = left_type == PgType::Engine || right_type == PgType::Engine;
        if engine || is_condition(&op) {
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        }
        let Some(name) = computing(&op) else {
            return plan_err!(
                "operator does not exist: {} {op} {}",
                left_type.name(),
                right_type.name()
            );
        };
        let args =
            if op == BinaryOperator::ArrowAt { vec![right, left] } else { vec![left, right] };
        let call = pending(name, args);
        let negated =
            matches!(op, BinaryOperator::PGRegexNotMatch | BinaryOperator::PGRegexNotIMatch);
        Ok(PlannerResult::Planned(if negated { Expr::Not(Box::new(call)) } else { call }))
    }

    fn plan_field_access(
        &self,
        expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let RawFieldAccessExpr { field_access, expr } = expr;
        if !matches!(type_of(&expr, schema), Ok(PgType::Array(_))) {
            return Ok(PlannerResult::Original(RawFieldAccessExpr { field_access, expr }));
        }
        match field_access {
            GetFieldAccess::ListIndex { key } => {
                Ok(PlannerResult::Planned(pending("element", vec![expr, *key])))
            }
            GetFieldAccess::ListRange { start, stop, stride } if *stride == lit(1_i64) => {
                Ok(PlannerResult::Planned(pending("slice", vec![expr, *start, *stop])))
            }
            field_access => Ok(PlannerResult::Original(RawFieldAccessExpr { field_access, expr })),
        }
    }

    fn plan_position(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(pending("strpos", args)))
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(pending("extract", args)))
    }

    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(pending("substring", args)))
    }

    fn plan_overlay(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(pending("overlay", args)))
    }
}
