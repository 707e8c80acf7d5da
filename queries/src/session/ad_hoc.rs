//! Ad-hoc statements of people and other programs: checked by the SQL guard, then planned. Every
//! error becomes a [`QueryError`], with its position in the statement where it is known.

use crate::dialect;
use crate::functions;
use crate::limits::SessionError;
use crate::session::Session;
use crate::session::materialized::materialize;
use crate::sql_guard::{
    AllowedNames, ParameterValues, QueryError, QueryErrorCode, SqlPosition, TimeZoneStatement,
    check_functions, check_meanings, check_statement, parse_statement,
};
use crate::suggestion::nearest;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::utils::quote_identifier;
use datafusion::common::{Column, ScalarValue, SchemaError};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

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

    /// Sets the time zone of the statements that follow, by its name in the time zone database
    /// (`Asia/Shanghai`); upper and lower case are the same.
    ///
    /// # Errors
    /// [`QueryError`] for a name that is not in the database; the zone stays as it was.
    pub fn set_time_zone(&self, name: &str) -> Result<(), QueryError> {
        let zone = time_zone_name(name)?;
        let state = self.context().state_ref();
        state.write().config_mut().options_mut().execution.time_zone = Some(zone.to_owned());
        Ok(())
    }

    /// Runs `text` where it is a statement about the time zone. Returns the zone that holds then; `None` for other
    /// statements.
    ///
    /// # Errors
    /// [`QueryError`] for a zone that is unknown or not given by its name.
    pub fn run_time_zone_statement(&self, text: &str) -> Result<Option<String>, QueryError> {
        match TimeZoneStatement::parse(text)? {
            None => return Ok(None),
            Some(TimeZoneStatement::Set(name)) => self.set_time_zone(&name)?,
            Some(TimeZoneStatement::Show) => {}
        }
        Ok(Some(self.time_zone()))
    }

    /// Plans a statement that the SQL guard has accepted.
    async fn plan_statement(
        &self,
        statement: sqlparser::ast::Statement,
    ) -> Result<LogicalPlan, QueryError> {
        let state = self.context().state();
        // The engine ignores these clauses of a function that is evaluated row by row.
        check_functions(&statement, &|name| {
            state.aggregate_functions().contains_key(name)
                || state.window_functions().contains_key(name)
        })?;
        let plan = if reads_client_schema(&statement) {
            // The catalogs and the statements about them are those of the protocol's library. Where a statement needs
            // more than it has, such as `format`, PostgreSQL's meaning is asked.
            let parsed = Statement::Statement(Box::new(statement.clone()));
            match state.statement_to_plan(parsed).await {
                Ok(plan) => Ok(plan),
                Err(error) => dialect::plan(&state, statement.clone()).await.map_err(|_| error),
            }
        } else {
            check_meanings(&statement)?;
            dialect::plan(&state, statement.clone()).await
        };
        let plan = plan.map_err(|e| query_error(&e))?;
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

/// The time zone `name` as the time zone database writes it.
///
/// # Errors
/// [`QueryError`] for a name that is not in the database.
pub fn time_zone_name(name: &str) -> Result<&'static str, QueryError> {
    dialect::zone_name(name)
        .map_err(|e| QueryError { code: QueryErrorCode::Invalid, ..query_error(&e) })
}

/// The value of `data_type` that a client has written as `text`. Times without an offset are those of the zone `zone`. `None`
/// for types of which any text is a value.
///
/// # Errors
/// [`QueryError`] for a text that is no such value.
pub fn value_of_text(
    text: &str,
    data_type: &DataType,
    zone: &str,
) -> Result<Option<ScalarValue>, QueryError> {
    dialect::read_text(text, data_type, zone)
        .map_err(|e| QueryError { code: QueryErrorCode::Invalid, ..query_error(&e) })
}

/// True where `statement` reads a catalog that describes tables to clients.
fn reads_client_schema(statement: &sqlparser::ast::Statement) -> bool {
    let found = sqlparser::ast::visit_relations(statement, |name| {
        let schema = name.0.len().checked_sub(2).and_then(|at| name.0[at].as_ident());
        let is_catalog = schema.is_some_and(|schema| {
            CLIENT_SCHEMAS.iter().any(|known| schema.value.eq_ignore_ascii_case(known))
        });
        if is_catalog { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found.is_break()
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
    let text = without_prefix(&error.strip_backtrace());
    if text.starts_with("Physical plan does not support logical expression") {
        // The engine prints its plan.
        return "EXISTS (SELECT ...) and IN (SELECT ...) are supported as conditions of WHERE, not as values or within OR; join the other table, or count its rows".to_owned();
    }
    text
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

/// Words of messages that describe the inside of the engine, and what is said instead.
const INTERNALS: [(&str, &str); 5] = [
    (
        "OuterReferenceColumn",
        "a subquery that depends on rows of the statement around it is not supported here; write it as a join",
    ),
    ("Internal error", "the statement cannot be computed; write it in another way"),
    ("DataFusion", "the statement cannot be computed; write it in another way"),
    ("Optimizer rule", "the statement cannot be planned; write it in another way"),
    ("in sqltorel", "this syntax is not supported"),
];

/// The query engine's message without its prefix.
fn without_prefix(message: &str) -> String {
    if let Some((_, instead)) = INTERNALS.iter().find(|(word, _)| message.contains(word)) {
        return (*instead).to_owned();
    }
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

    #[tokio::test]
    async fn statements_that_postgresql_takes_are_planned_or_refused_in_plain_words() {
        let session =
            Session::over_events(Vec::new(), std::sync::Arc::default(), &QueryLimits::default())
                .await
                .expect("a session");
        session.set_time_zone("asia/shanghai").expect("a zone");
        let plan = async |sql: &str| {
            let rows = session.stream_rows(sql, &ParameterValues::new(), 1000).await;
            let error = match rows {
                Ok(mut rows) => rows.next().await.err(),
                Err(error) => Some(error),
            };
            error.map(|error| error.message)
        };
        for sql in [
            "SELECT event_time, event_time AT TIME ZONE 'Asia/Shanghai' FROM events",
            "SELECT event_time, event_time::date, event_time::date FROM events",
            "SELECT *, event_time::date FROM events",
            "SELECT user_name, user_name || 'x' FROM events GROUP BY user_name",
            "SELECT n, item FROM (VALUES (1, ARRAY['a'])) AS e(n, l) CROSS JOIN unnest(e.l) AS item",
            "SELECT n, u.x FROM (VALUES (1, ARRAY['a'])) AS e(n, l), unnest(l) AS u(x)",
            "SELECT n, m FROM (VALUES (1)) AS e(n) CROSS JOIN LATERAL (SELECT e.n + 1 AS m) AS l",
            "SELECT * FROM generate_series('2026-11-20'::timestamptz, now(), '1 day') AS t(day) LIMIT 1",
            "SELECT now(), current_date, localtimestamp, current_timestamp",
            "SELECT n FROM (VALUES (1)) AS e(n) WHERE EXISTS (SELECT 1 FROM events WHERE event_name = e.n::text)",
            "SELECT event_name, count(*) * 2 FROM events GROUP BY 1 ORDER BY 2 DESC",
            "SELECT x::time, x::date FROM (VALUES (now())) AS t(x)",
            "SELECT x::timestamp, x::date FROM (VALUES (now())) AS t(x)",
            "SELECT x::time, x::timestamp FROM (VALUES (now())) AS t(x)",
            "SELECT x::int, x::bigint, x::numeric, x::text FROM (VALUES (1.5)) AS t(x)",
            "SELECT x::varchar(2), x::varchar(3), x::timestamp(0), x::timestamp(3) FROM (VALUES ('2026-11-20')) AS t(x)",
            "SELECT x::varchar(2), x::varchar(3), count(*) FROM (VALUES ('abc')) AS t(x) GROUP BY x::varchar(2), x::varchar(3)",
            "SELECT to_char(1.5, '9.9'), sqrt(2.0), power(2.5, 2)",
            "SELECT event_name, count(*) * 100.0 / sum(count(*)) OVER () AS share FROM events GROUP BY 1 ORDER BY 2 DESC",
        ] {
            assert_eq!(plan(sql).await, None, "{sql}");
        }
        for sql in [
            "SELECT 1 FROM events WHERE user_name = 1",
            "SELECT user_name + 1 FROM events",
            "SELECT CASE WHEN true THEN 1 ELSE user_name END FROM events",
            "SELECT 1 UNION SELECT user_name FROM events",
            "SELECT date_format(now(), '%H')",
            "SELECT to_char(1.5, '9.9EEEE')",
            "SELECT ln(2.0)",
            "SELECT first_value('a') OVER (), array_agg('a')",
            "SELECT sum(1::real)",
            "SELECT round(1.5::float8, 1)",
        ] {
            let message = plan(sql).await.unwrap_or_else(|| panic!("{sql} is answered"));
            let inside = ["Utf8", "Int64", "DataFusion", "Arrow", "coercion"];
            assert!(!inside.iter().any(|word| message.contains(word)), "{sql}: {message}");
        }
    }
}
