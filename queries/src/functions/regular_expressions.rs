//! `regexp_like` and the operators `~`, `~*`, `!~` and `!~*` of rules and views.
//!
//! The engine's optimizer rewrites its own ones to LIKE where the expression is a plain text, and forgets that a backslash means
//! something else there: `regexp_like(user_agent, '\\')` becomes `user_agent LIKE '%\%'`, which finds nothing. The function
//! here computes the same and is never rewritten; the operators become calls of it.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::functions::regex::regexplike::RegexpLikeFunc;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, lit,
};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::BinaryOperator;
use std::sync::Arc;

/// Registers the function and the operators in `context`.
///
/// # Errors
/// An error of the engine.
pub(crate) fn register_regular_expressions(context: &SessionContext) -> Result<()> {
    let state = context.state_ref();
    let mut state = state.write();
    let function = Arc::new(ScalarUDF::new_from_impl(RegexpLike::default()));
    state.register_udf(Arc::clone(&function))?;
    state.register_expr_planner(Arc::new(RegexOperators { function }))
}

/// The engine's function without its rewriting.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct RegexpLike {
    inner: RegexpLikeFunc,
}

impl ScalarUDFImpl for RegexpLike {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        self.inner.return_type(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }
}

/// Plans the operators as calls.
#[derive(Debug)]
struct RegexOperators {
    function: Arc<ScalarUDF>,
}

impl ExprPlanner for RegexOperators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        _: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator as Op;
        let (negated, flags) = match expr.op {
            Op::PGRegexMatch => (false, None),
            Op::PGRegexIMatch => (false, Some("i")),
            Op::PGRegexNotMatch => (true, None),
            Op::PGRegexNotIMatch => (true, Some("i")),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let args = [expr.left, expr.right].into_iter().chain(flags.map(lit)).collect();
        let call = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.function), args));
        Ok(PlannerResult::Planned(if negated { Expr::Not(Box::new(call)) } else { call }))
    }
}

#[cfg(test)]
mod tests {
    use crate::limits::QueryLimits;
    use crate::session::Session;
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::Int64Type;

    #[tokio::test]
    async fn a_backslash_in_an_expression_is_a_backslash() {
        let session =
            Session::over_events(Vec::new(), std::sync::Arc::default(), &QueryLimits::default())
                .await
                .expect("a session");
        for (condition, expected) in [
            (r"regexp_like(x, '\\')", 2),
            (r"regexp_like(x, '\\Temp')", 1),
            (r"regexp_like(x, '^C:\\Temp$')", 1),
            (r"regexp_like(x, '^\\')", 1),
            (r"regexp_like(x, '\\$')", 1),
            (r"regexp_like(x, '^(C:\\Temp|plain)$')", 2),
            (r"regexp_like(x, '%')", 1),
            (r"x ~ '\\'", 2),
            (r"x ~ 'plain'", 1),
            (r"x ~* '^c:\\t'", 1),
            (r"x !~ '\\'", 2),
            (r"x !~* 'TEMP'", 3),
        ] {
            let sql = format!(
                r"SELECT count(*) FROM (VALUES ('C:\Temp'), ('\x\'), ('50%'), ('plain')) AS t(x) WHERE {condition}"
            );
            let rows = session.sql(&sql).await.expect("planned").collect().await.expect("rows");
            let found = rows[0].column(0).as_primitive::<Int64Type>().value(0);
            assert_eq!(found, expected, "{condition}");
        }
    }
}
