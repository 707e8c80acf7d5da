//! A client's statement between Parse and Execute: its command, its plan, and the types of its
//! parameters.

use super::commands::Command;
use super::connection::Connection;
use super::dialect::QueryStatement;
use super::errors::client_error;
use super::parameters::{decides_meaning, parameter, sql_name};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    self, Statement, Value, VisitMut, VisitorMut, visit_expressions, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion_postgres::arrow_pg::datatypes::{field_into_pg_type, into_pg_type};
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::Portal;
use datafusion_postgres::pgwire::error::PgWireResult;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use trailhound_queries::session::ad_hoc::query_error;
use trailhound_queries::sql_guard::QueryError;

/// A statement that a client has sent.
#[derive(Debug, Clone)]
pub(super) struct ClientStatement {
    /// Its text.
    pub(super) text: Arc<str>,
    /// What it does.
    pub(super) command: Arc<Command>,
    /// The names of the columns, where the statement says them.
    pub(super) names: Option<Arc<[String]>>,
    /// Its plan, where it reads rows.
    pub(super) planned: Option<Arc<PlannedStatement>>,
}

/// The plan of a statement over one snapshot.
#[derive(Debug)]
pub(super) struct PlannedStatement {
    /// The statement, in which every parameter has a type.
    statement: Statement,
    /// The plan with open parameters.
    pub(super) plan: LogicalPlan,
    snapshot: Option<i64>,
    /// The settings that it was planned with.
    settings: [Option<String>; 2],
    /// Types of the parameters: as PostgreSQL calls it, and as the plan needs it.
    pub(super) parameters: Vec<(Type, DataType)>,
}

impl Command {
    /// The query whose rows the command returns.
    pub(super) fn query(&self) -> Option<&QueryStatement> {
        match self {
            Self::Query(query) | Self::Declare { query, .. } | Self::Copy { query, .. } => {
                Some(query)
            }
            _ => None,
        }
    }
}

impl PlannedStatement {
    /// Plans `statement`; `hints` are the types that the client says its parameters have.
    ///
    /// # Errors
    /// [`QueryError`]: the statement is refused or cannot be planned.
    pub(super) async fn new(
        connection: &Connection,
        query: &QueryStatement,
        hints: &[Option<Type>],
        in_transaction: bool,
    ) -> Result<Self, QueryError> {
        let statement = query.statement.clone();
        let planned = Self::of_statement(connection, statement, hints, in_transaction).await;
        if query.instead.is_empty() {
            return planned;
        }
        let computable = match &planned {
            Ok(planned) => connection.can_compute(&planned.plan).await,
            Err(_) => false,
        };
        if computable {
            return planned;
        }
        for instead in &query.instead {
            let other =
                Self::of_statement(connection, instead.clone(), hints, in_transaction).await;
            if other.is_ok() {
                return other;
            }
        }
        // The error is about the statement that the client has written.
        planned
    }

    async fn of_statement(
        connection: &Connection,
        mut statement: Statement,
        hints: &[Option<Type>],
        in_transaction: bool,
    ) -> Result<Self, QueryError> {
        let hint = |number: usize| hints.get(number).cloned().flatten();
        let lists = list_parameters(&statement);
        cast_limits(&mut statement);
        // The engine would take the type from the other side of an operator: 1.5 plus 1 would be 2.
        cast_parameters(&mut statement, |number| {
            hint(number).filter(decides_meaning).map(|datatype| sql_name(&datatype))
        });
        let (mut plan, mut snapshot) = connection.plan(&statement, in_transaction).await?;
        let mut types = parameter_types(&plan);
        let open = |types: &Result<BTreeMap<usize, Option<Typed>>, DataFusionError>| {
            types.as_ref().map_or(true, |types| types.values().any(Option::is_none))
        };
        if open(&types) {
            let known = types.unwrap_or_default();
            // PostgreSQL takes a parameter of unknown type for a text.
            cast_parameters(&mut statement, |number| {
                let typed = matches!(known.get(&number), Some(Some(_)));
                let default = if lists.contains(&number) { Type::TEXT_ARRAY } else { Type::TEXT };
                (!typed).then(|| sql_name(&hint(number).unwrap_or(default)))
            });
            (plan, snapshot) = connection.plan(&statement, in_transaction).await?;
            types = parameter_types(&plan);
        }
        let mut types = types.map_err(|error| query_error(&error))?;
        for (number, sent) in oid_parameters(&statement) {
            if let Some(Some(typed)) = types.get_mut(&number) {
                typed.0 = sent;
            }
        }
        let count = types.keys().max().map_or(0, |last| last + 1).max(hints.len());
        let parameters = (0..count).map(|number| {
            let (sent, needed) =
                types.get(&number).cloned().flatten().unwrap_or((Type::TEXT, DataType::Utf8));
            (hint(number).unwrap_or(sent), needed)
        });
        let parameters = parameters.collect();
        let settings = planning_settings(connection);
        Ok(Self { statement, plan, snapshot, settings, parameters })
    }

    /// The plan over the present snapshot, with the values that `portal` binds; and these values.
    ///
    /// # Errors
    /// The statement cannot be planned any more, or a value does not fit.
    pub(super) async fn bind<S: Clone>(
        &self,
        connection: &Connection,
        portal: Option<&Portal<S>>,
        in_transaction: bool,
    ) -> Result<PgWireResult<(LogicalPlan, Vec<ScalarValue>)>, QueryError> {
        let snapshot = connection.refresh(in_transaction).await?;
        let is_fresh = snapshot == self.snapshot && planning_settings(connection) == self.settings;
        let plan = if is_fresh {
            self.plan.clone()
        } else {
            connection.plan(&self.statement, in_transaction).await?.0
        };
        let Some(portal) = portal.filter(|_| !self.parameters.is_empty()) else {
            return Ok(Ok((plan, Vec::new())));
        };
        let zone = connection.settings.get("TimeZone").unwrap_or_default();
        let values = self.parameters.iter().enumerate().map(|(number, (sent, needed))| {
            let bytes = portal.parameters.get(number).and_then(Option::as_deref);
            let is_binary = portal.parameter_format.is_binary(number);
            parameter(bytes, is_binary, sent, needed, &zone)
        });
        let values = match values.collect::<PgWireResult<Vec<_>>>() {
            Ok(values) => values,
            Err(error) => return Ok(Err(error)),
        };
        let bound = ParamValues::List(values.iter().cloned().map(Into::into).collect());
        plan.replace_params_with_values(&bound)
            .map(|plan| Ok((plan, values)))
            .map_err(|error| query_error(&error))
    }
}

/// The settings on which the plan of a statement depends.
fn planning_settings(connection: &Connection) -> [Option<String>; 2] {
    ["search_path", "TimeZone"].map(|name| connection.settings.get(name))
}

/// The type of a parameter: as PostgreSQL calls it, and as the plan needs it.
type Typed = (Type, DataType);

/// The types of the parameters, by their number from 0; `None` where the plan does not tell.
fn parameter_types(plan: &LogicalPlan) -> Result<BTreeMap<usize, Option<Typed>>, DataFusionError> {
    let mut types = BTreeMap::new();
    for (name, needed) in plan.get_parameter_types()? {
        let typed = needed.map(|needed| {
            into_pg_type(&needed).map(|sent| (sent, needed)).unwrap_or((Type::TEXT, DataType::Utf8))
        });
        types.insert(number_of(&name), typed);
    }
    plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            expr.apply(|expr| {
                match expr {
                    Expr::Cast(cast) => {
                        if let Expr::Placeholder(placeholder) = &*cast.expr
                            && let Ok(sent) = into_pg_type(cast.field.data_type())
                        {
                            let typed = types.entry(number_of(&placeholder.id)).or_default();
                            typed.get_or_insert((sent, cast.field.data_type().clone()));
                        }
                    }
                    // A column of the catalogue can have a type of its own, such as `oid`.
                    Expr::Placeholder(placeholder) => {
                        if let Some(field) = &placeholder.field
                            && !field.metadata().is_empty()
                            && let Ok(sent) = field_into_pg_type(field)
                        {
                            let needed = field.data_type().clone();
                            types.insert(number_of(&placeholder.id), Some((sent, needed)));
                        }
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(types)
}

/// The parameters that stand for a list, as in `= ANY($1)`, which is a call of a function here.
fn list_parameters(statement: &Statement) -> Vec<usize> {
    let mut found = Vec::new();
    // The visitor never breaks off.
    let _ = visit_expressions(statement, |expr| {
        if let ast::Expr::Function(function) = expr
            && function.name.to_string() == "array_contains"
            && let ast::FunctionArguments::List(list) = &function.args
            && let Some(ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(first))) =
                list.args.first()
            && let ast::Expr::Value(value) = first
            && let Value::Placeholder(name) = &value.value
        {
            found.push(number_of(name));
        }
        ControlFlow::<()>::Continue(())
    });
    found
}

/// Casts the parameters of LIMIT and OFFSET to numbers.
fn cast_limits(statement: &mut Statement) {
    struct Limits;
    impl VisitorMut for Limits {
        type Break = ();

        fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
            if let Some(ast::LimitClause::LimitOffset { limit, offset, .. }) =
                &mut query.limit_clause
            {
                let offset = offset.as_mut().map(|offset| &mut offset.value);
                for expr in limit.iter_mut().chain(offset) {
                    if let Some(cast) = cast_placeholder(expr, |_| Some("bigint".to_owned())) {
                        *expr = cast;
                    }
                }
            }
            ControlFlow::Continue(())
        }
    }
    // The visitor never breaks off.
    let _ = statement.visit(&mut Limits);
}

/// The parameters that the statement casts to `oid` or a list of them, which are numbers to the
/// engine.
fn oid_parameters(statement: &Statement) -> Vec<(usize, Type)> {
    let mut found = Vec::new();
    // The visitor never breaks off.
    let _ = visit_expressions(statement, |expr| {
        if let ast::Expr::Cast { expr, data_type, .. } = expr
            && let ast::Expr::Value(value) = &**expr
            && let Value::Placeholder(name) = &value.value
        {
            match data_type.to_string().to_lowercase().as_str() {
                "oid" => found.push((number_of(name), Type::OID)),
                "oid[]" => found.push((number_of(name), Type::OID_ARRAY)),
                _ => {}
            }
        }
        ControlFlow::<()>::Continue(())
    });
    found
}

/// The number of the parameter `$n`, from 0.
fn number_of(name: &str) -> usize {
    name.trim_start_matches('$').parse::<usize>().unwrap_or(1).saturating_sub(1)
}

/// Casts parameters to the type that `sql_type` names for their number.
fn cast_parameters(statement: &mut Statement, sql_type: impl Fn(usize) -> Option<String>) {
    // The visitor never breaks off.
    let _ = visit_expressions_mut(statement, |expr| {
        if let Some(cast) = cast_placeholder(expr, &sql_type) {
            *expr = cast;
        }
        ControlFlow::<()>::Continue(())
    });
}

/// The cast of a parameter; `None` for another expression.
fn cast_placeholder(
    expr: &ast::Expr,
    sql_type: impl Fn(usize) -> Option<String>,
) -> Option<ast::Expr> {
    let ast::Expr::Value(value) = expr else { return None };
    let Value::Placeholder(name) = &value.value else { return None };
    let cast = format!("CAST({name} AS {})", sql_type(number_of(name))?);
    Parser::new(&PostgreSqlDialect {}).try_with_sql(&cast).ok()?.parse_expr().ok()
}

/// Checks the numbers of values and formats that a client binds.
///
/// # Errors
/// They do not fit the statement.
pub(super) fn check_bound(
    statement: &ClientStatement,
    values: usize,
    value_formats: usize,
    column_formats: usize,
) -> PgWireResult<()> {
    let (parameters, columns) = match &statement.planned {
        Some(planned) => (planned.parameters.len(), Some(planned.plan.schema().fields().len())),
        None => (0, None),
    };
    if values != parameters {
        let message =
            format!("the statement has {parameters} parameters, and {values} values are bound");
        return Err(client_error("08P01", message, None));
    }
    if value_formats > 1 && value_formats != values {
        let message = format!("{values} values have {value_formats} formats");
        return Err(client_error("08P01", message, None));
    }
    if let Some(columns) = columns
        && column_formats > 1
        && column_formats != columns
        && matches!(*statement.command, Command::Query(_))
    {
        let message = format!("{columns} columns have {column_formats} formats");
        return Err(client_error("08P01", message, None));
    }
    Ok(())
}
