//! Parameters of a statement: each `$name` is replaced by its value.

use super::error::{QueryError, QueryErrorCode, SqlPosition};
use datafusion::sql::sqlparser::ast::{Statement, Value, ValueWithSpan, VisitMut, VisitorMut};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// Values of the parameters `$name` of a statement, by name: text, or `None` for NULL.
pub type ParameterValues = BTreeMap<String, Option<String>>;

/// Replaces each parameter `$name` of `statement` by its value.
///
/// # Errors
/// [`QueryErrorCode::Parameter`] where a parameter has no value, or a value has no parameter.
pub(super) fn bind(
    mut statement: Statement,
    values: &ParameterValues,
) -> Result<Statement, QueryError> {
    let mut binder = ParameterBinder { values, used: BTreeSet::new() };
    if let ControlFlow::Break(error) = VisitMut::visit(&mut statement, &mut binder) {
        return Err(error);
    }
    if let Some(name) = values.keys().find(|name| !binder.used.contains(*name)) {
        return Err(QueryError::new(
            QueryErrorCode::Parameter,
            format!("a value for `{name}` is given, but the statement has no ${name}"),
        ));
    }
    Ok(statement)
}

/// Replaces parameters by literals in the syntax tree, so that no value can become SQL.
struct ParameterBinder<'b> {
    values: &'b ParameterValues,
    used: BTreeSet<String>,
}

impl ParameterBinder<'_> {
    fn literal(&mut self, value: &mut ValueWithSpan) -> Result<(), QueryError> {
        let Value::Placeholder(name) = &value.value else { return Ok(()) };
        let Some((name, bound)) =
            name.strip_prefix('$').and_then(|name| self.values.get_key_value(name))
        else {
            let start = value.span.start;
            let position =
                (start.line > 0).then_some(SqlPosition { line: start.line, column: start.column });
            return Err(QueryError {
                code: QueryErrorCode::Parameter,
                message: format!("the parameter {name} has no value; give it with --param"),
                position,
            });
        };
        self.used.insert(name.clone());
        value.value = bound.clone().map_or(Value::Null, Value::SingleQuotedString);
        Ok(())
    }
}

impl VisitorMut for ParameterBinder<'_> {
    type Break = QueryError;

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<QueryError> {
        match self.literal(value) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}
