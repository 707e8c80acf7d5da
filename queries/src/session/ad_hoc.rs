//! Ad-hoc statements of people and other programs: checked by the SQL guard, then planned. Every
//! error becomes a [`QueryError`], with its position in the statement where it is known.

use crate::functions;
use crate::limits::SessionError;
use crate::session::Session;
use crate::session::materialized::materialize;
use crate::sql_guard::{
    AllowedNames, ParameterValues, QueryError, QueryErrorCode, SqlPosition, check_statement,
    parse_statement,
};
use crate::suggestion::nearest;
use datafusion::common::utils::quote_identifier;
use datafusion::common::{Column, SchemaError};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser;
use std::collections::BTreeSet;

/// Schemas that clients of the PostgreSQL protocol read to discover tables and types.
const CLIENT_SCHEMAS: [&str; 2] = ["pg_catalog", "information_schema"];

impl Session {
    /// Checks and plans `text`, which must be one statement, with `values` for its parameters
    /// `$name`.
    ///
    /// # Errors
    /// [`QueryError`] where the SQL guard rejects the statement or it cannot be planned.
    pub async fn plan_query(
        &self,
        text: &str,
        values: &ParameterValues,
    ) -> Result<DataFrame, QueryError> {
        let allowed =
            AllowedNames { tables: self.tables(), schemas: &[], functions: self.functions() };
        let statement = parse_statement(text, values, &allowed)?;
        let plan = self.plan_statement(statement).await?;
        Ok(DataFrame::new(self.context().state(), plan))
    }

    /// Checks and plans a statement that a client of the PostgreSQL protocol has sent. It may also
    /// use the functions that the protocol's library has registered in the context. Its parameters
    /// stay open.
    ///
    /// # Errors
    /// [`QueryError`], as for [`Session::plan_query`].
    pub async fn plan_for_client(
        &self,
        statement: sqlparser::ast::Statement,
    ) -> Result<LogicalPlan, QueryError> {
        let of_protocol = functions::all_names(self.context())
            .into_iter()
            .filter(|name| !self.engine_functions().contains(name));
        // Clients read `version()` to detect what the server supports; the query server registers
        // its own.
        let functions: BTreeSet<String> = of_protocol
            .chain(self.functions().iter().cloned())
            .chain(["version".to_owned()])
            .collect();
        let tables = self.tables();
        let allowed = AllowedNames { tables, schemas: &CLIENT_SCHEMAS, functions: &functions };
        check_statement(&statement, &allowed)?;
        self.plan_statement(statement).await
    }

    /// Plans a statement that the SQL guard has accepted.
    async fn plan_statement(
        &self,
        statement: sqlparser::ast::Statement,
    ) -> Result<LogicalPlan, QueryError> {
        let state = self.context().state();
        let plan = state
            .statement_to_plan(Statement::Statement(Box::new(statement.clone())))
            .await
            .map_err(|e| query_error(&e))?;
        let plan = materialize(&statement, plan).map_err(|e| query_error(&e))?;
        // The syntax tree was checked already; the plan is checked as well.
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        read_only.verify_plan(&plan).map_err(|e| {
            QueryError::new(QueryErrorCode::StatementNotAllowed, e.strip_backtrace())
        })?;
        Ok(plan)
    }
}

/// Converts an error of the query engine.
#[must_use]
pub fn query_error(error: &DataFusionError) -> QueryError {
    let position = error
        .diagnostic()
        .and_then(|diagnostic| diagnostic.span)
        .map(|span| SqlPosition { line: span.start.line, column: span.start.column });
    let root = error.find_root();
    let code = match root {
        DataFusionError::ResourcesExhausted(_) => QueryErrorCode::MemoryLimit,
        DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::SQL(..)
        | DataFusionError::NotImplemented(_) => QueryErrorCode::Invalid,
        _ => QueryErrorCode::Failed,
    };
    let message = match code {
        QueryErrorCode::MemoryLimit => {
            "the query needs more memory than it may use; narrow the time range or select fewer columns"
                .to_owned()
        }
        _ => message(root),
    };
    QueryError { code, message, position }
}

fn message(error: &DataFusionError) -> String {
    if let DataFusionError::SchemaError(schema, _) = error
        && let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref()
    {
        return unknown_column(field, valid_fields);
    }
    without_prefix(&error.strip_backtrace())
}

/// Maximum number of columns that an error message lists.
const LISTED_COLUMNS_MAX: usize = 12;

/// The message for an unknown column, with the column that was probably meant.
fn unknown_column(field: &Column, known: &[Column]) -> String {
    // A column that was written with its table is suggested with its table.
    let quoted = |name: &str| quote_identifier(name).into_owned();
    let shown = |column: &Column| {
        if field.relation.is_some() { column.quoted_flat_name() } else { quoted(&column.name) }
    };
    let names: BTreeSet<&str> = known.iter().map(|column| column.name.as_str()).collect();
    let message = format!("there is no column `{}` here", shown(field));
    if let Some(near) = nearest(&field.name, names.iter().copied())
        .and_then(|near| known.iter().find(|column| column.name == near))
    {
        return format!("{message}; did you mean `{}`?", shown(near));
    }
    if (1..=LISTED_COLUMNS_MAX).contains(&names.len()) {
        return format!(
            "{message}; there are {}",
            names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
        );
    }
    format!(
        "{message}; `DESCRIBE events` lists those of `events`, and a text stands in single quotes: '{}'",
        field.name
    )
}

/// The query engine's message without its prefix.
fn without_prefix(message: &str) -> String {
    let message = [
        "Error during planning: ",
        "Schema error: ",
        "Execution error: ",
        "This feature is not implemented: ",
        "Arrow error: ",
    ]
    .iter()
    .fold(message, |message, prefix| message.strip_prefix(prefix).unwrap_or(message));
    message.trim_end().to_owned()
}

impl From<SessionError> for QueryError {
    fn from(error: SessionError) -> Self {
        let code = match &error {
            SessionError::NotReadOnly(_) => QueryErrorCode::StatementNotAllowed,
            SessionError::Engine(error) => return query_error(error),
            SessionError::TooManyRows(_) => QueryErrorCode::RowLimit,
            SessionError::TooLong(_) => QueryErrorCode::TimeLimit,
            SessionError::Snapshot(_) => QueryErrorCode::Invalid,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::QueryLimits;
    use crate::packs::rules::RuleSet;

    #[tokio::test]
    async fn the_query_of_every_rule_can_be_pasted() {
        let session =
            Session::over_events(Vec::new(), std::sync::Arc::default(), &QueryLimits::default())
                .await
                .expect("a session");
        for rule in RuleSet::built_in().expect("rules").rules {
            if let Err(error) = session.plan_query(&rule.sql, &ParameterValues::new()).await {
                panic!("{}: {error:?}", rule.id);
            }
        }
    }
}
