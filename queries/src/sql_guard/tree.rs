//! Checks the syntax tree of a statement: it may only read, and only from the allowed tables with
//! the allowed functions.

use super::allowed_names::AllowedNames;
use super::clauses;
use super::error::{QueryError, QueryErrorCode, SqlPosition, position_of};
use crate::suggestion::did_you_mean;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, Ident, ObjectName, ObjectNamePart, Query, Select, SetExpr, Statement,
    TableFactor, Visit, Visitor,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Schema in which the query engine registers the tables.
const SCHEMA: &str = "public";
/// The planner turns `unnest` into a plan node, so the query engine has no function of this name.
const UNNEST: &str = "unnest";
/// Functions that may be used as a table.
const TABLE_FUNCTIONS: [&str; 3] = [UNNEST, "generate_series", "range"];

/// Checks that `statement` reads only, and names only what `allowed` holds.
///
/// # Errors
/// [`QueryError`] with its position.
pub(super) fn check(statement: &Statement, allowed: &AllowedNames<'_>) -> Result<(), QueryError> {
    check_kind(statement)?;
    let mut checker = StatementChecker { allowed, cte_names: BTreeSet::new() };
    collect_cte_names(statement, &mut checker.cte_names);
    match statement.visit(&mut checker) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Checks the kind of statement: only statements that read are allowed.
fn check_kind(statement: &Statement) -> Result<(), QueryError> {
    match statement {
        Statement::Query(_)
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ExplainTable { .. } => Ok(()),
        Statement::Explain { statement, .. } if matches!(**statement, Statement::Query(_)) => {
            Ok(())
        }
        _ => Err(not_allowed("this is another kind of statement", None)),
    }
}

fn not_allowed(why: &str, position: Option<SqlPosition>) -> QueryError {
    let message = format!(
        "only statements that read are run: SELECT, WITH, VALUES, EXPLAIN of these, SHOW TABLES, DESCRIBE; {why}"
    );
    QueryError { code: QueryErrorCode::StatementNotAllowed, message, position }
}

/// Collects every name that a WITH clause defines. Scopes are ignored: a name used outside of its
/// scope is unknown to the planner, which rejects it.
fn collect_cte_names(statement: &Statement, names: &mut BTreeSet<String>) {
    struct CteNames<'n>(&'n mut BTreeSet<String>);
    impl Visitor for CteNames<'_> {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            self.0.extend(
                query
                    .with
                    .iter()
                    .flat_map(|with| &with.cte_tables)
                    .map(|table| normalized_name(&table.alias.name)),
            );
            ControlFlow::Continue(())
        }
    }
    let _ = statement.visit(&mut CteNames(names));
}

/// The name as SQL compares it: lower case unless it is quoted.
pub(crate) fn normalized_name(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// Visits every node of a statement and stops at the first that is not allowed.
struct StatementChecker<'w> {
    allowed: &'w AllowedNames<'w>,
    cte_names: BTreeSet<String>,
}

impl StatementChecker<'_> {
    /// Checks a function that the statement calls.
    fn function(&self, name: &ObjectName) -> Result<(), QueryError> {
        let written = name.to_string();
        let allowed = |part: &ObjectNamePart| {
            let name = part.as_ident().map(|ident| ident.value.to_lowercase());
            name.is_some_and(|name| name == UNNEST || self.allowed.functions.contains(&name))
        };
        let known = match name.0.as_slice() {
            [part] => allowed(part),
            [schema, part] if self.is_in_allowed_schema(schema) => allowed(part),
            _ => false,
        };
        if known {
            return Ok(());
        }
        let known = self.allowed.functions.iter().map(String::as_str);
        let otherwise = "`\\df` in the shell and the documentation list them";
        let suggestion = did_you_mean(&written, known, otherwise);
        let message = format!("there is no function `{written}` here{suggestion}");
        Err(QueryError {
            code: QueryErrorCode::FunctionNotAllowed,
            message,
            position: position_of(name),
        })
    }

    /// True where `part` names a schema whose tables are all allowed.
    fn is_in_allowed_schema(&self, part: &ObjectNamePart) -> bool {
        part.as_ident()
            .is_some_and(|ident| self.allowed.schemas.contains(&normalized_name(ident).as_str()))
    }

    /// Checks a table that the statement reads.
    fn table(&self, name: &ObjectName) -> Result<(), QueryError> {
        let own = |part: &ObjectNamePart| {
            part.as_ident()
                .is_some_and(|ident| self.allowed.tables.contains(&normalized_name(ident)))
        };
        let public = |part: &ObjectNamePart| {
            part.as_ident().is_some_and(|ident| normalized_name(ident) == SCHEMA)
        };
        if let [schema, part] = name.0.as_slice()
            && (self.is_in_allowed_schema(schema) || public(schema) && own(part))
        {
            return Ok(());
        }
        if let [part] = name.0.as_slice()
            && part.as_ident().is_some_and(|ident| {
                self.cte_names.contains(&normalized_name(ident))
                    || self.allowed.tables.contains(&normalized_name(ident))
            })
        {
            return Ok(());
        }
        let written = name.to_string();
        let tables = self.allowed.tables.iter().map(String::as_str);
        let known = tables.clone().chain(self.cte_names.iter().map(String::as_str));
        let otherwise = format!("there are {}", tables.collect::<Vec<_>>().join(", "));
        let suggestion = did_you_mean(&written, known, &otherwise);
        let message = format!("there is no table `{written}`{suggestion}");
        Err(QueryError {
            code: QueryErrorCode::TableNotFound,
            message,
            position: position_of(name),
        })
    }

    /// Checks an element of FROM.
    fn factor(&self, factor: &TableFactor) -> Result<(), QueryError> {
        let of_function = |name: &ObjectName| {
            let written = name.to_string().to_lowercase();
            if TABLE_FUNCTIONS.contains(&written.as_str()) {
                return Ok(());
            }
            let message = format!(
                "there is no table function `{written}`; there are {}",
                TABLE_FUNCTIONS.join(", ")
            );
            Err(QueryError {
                code: QueryErrorCode::FunctionNotAllowed,
                message,
                position: position_of(name),
            })
        };
        match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                of_function(name)
            }
            TableFactor::Table { name, args: None, .. } => self.table(name),
            TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::UNNEST { .. } => Ok(()),
            _ => Err(not_allowed(
                "this one reads from something other than a table, query or list",
                position_of(factor),
            )),
        }
    }
}

fn flow(result: Result<(), QueryError>) -> ControlFlow<QueryError> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

impl Visitor for StatementChecker<'_> {
    type Break = QueryError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<QueryError> {
        if !query.locks.is_empty() {
            return ControlFlow::Break(not_allowed("this one locks rows", position_of(query)));
        }
        clauses::query(query)?;
        match &*query.body {
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                ControlFlow::Break(not_allowed("this one changes rows", position_of(query)))
            }
            SetExpr::Table(table) => {
                let named = table.schema_name.is_none()
                    && table
                        .table_name
                        .as_ref()
                        .is_some_and(|name| self.allowed.tables.contains(name));
                let error = || QueryError {
                    code: QueryErrorCode::TableNotFound,
                    message: "there is no such table".to_owned(),
                    position: position_of(query),
                };
                if named { ControlFlow::Continue(()) } else { ControlFlow::Break(error()) }
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<QueryError> {
        if select.into.is_some() {
            return ControlFlow::Break(not_allowed(
                "this one writes into a table",
                position_of(select),
            ));
        }
        clauses::select(select)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<QueryError> {
        flow(self.factor(factor))?;
        clauses::table_factor(factor)
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<QueryError> {
        clauses::statement(statement)?;
        match statement {
            Statement::ExplainTable { table_name, .. } => flow(self.table(table_name)),
            statement => flow(check_kind(statement)),
        }
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<QueryError> {
        match expression {
            Expr::Function(Function { name, .. }) => flow(self.function(name)),
            _ => ControlFlow::Continue(()),
        }
    }
}
