//! Ad-hoc questions: through the gate, planned, and with every error told as a refusal with its place.

use crate::functions;
use crate::limits::SessionError;
use crate::session::Session;
use crate::session::materialized::materialized;
use crate::sql_guard::{self, Code, Offered, Place, Refused, Values, nearest};
use datafusion::common::utils::quote_identifier;
use datafusion::common::{Column, SchemaError};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser;
use std::collections::BTreeSet;

impl Session {
    /// Plans the one statement that `text` must be, with `values` for its parameters.
    ///
    /// # Errors
    /// [`Refused`]: not let through the gate, or not to be planned.
    pub async fn ask(&self, text: &str, values: &Values) -> Result<DataFrame, Refused> {
        let offered = Offered { tables: self.tables(), schemas: &[], functions: self.functions() };
        let statement = sql_guard::admit(text, values, &offered)?;
        let plan = self.planned(statement).await?;
        Ok(DataFrame::new(self.context().state(), plan))
    }
}

/// Schemas by which clients of the PostgreSQL protocol learn what there is.
const CLIENT_SCHEMAS: [&str; 2] = ["pg_catalog", "information_schema"];

impl Session {
    /// Plans a statement that a client of another protocol has sent, with the functions that its protocol has brought. Its parameters stay open.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn plan_for_client(
        &self,
        statement: sqlparser::ast::Statement,
    ) -> Result<LogicalPlan, Refused> {
        let brought = functions::offered(self.context())
            .into_iter()
            .filter(|name| !self.engine_functions().contains(name));
        // By `version()` clients tell what they may ask; their door gives it a meaning of its own.
        let functions: BTreeSet<String> =
            brought.chain(self.functions().iter().cloned()).chain(["version".to_owned()]).collect();
        let offered =
            Offered { tables: self.tables(), schemas: &CLIENT_SCHEMAS, functions: &functions };
        sql_guard::admit_statement(&statement, &offered)?;
        self.planned(statement).await
    }

    async fn planned(&self, statement: sqlparser::ast::Statement) -> Result<LogicalPlan, Refused> {
        let state = self.context().state();
        let plan = state
            .statement_to_plan(Statement::Statement(Box::new(statement.clone())))
            .await
            .map_err(|e| refused(&e))?;
        let plan = materialized(&statement, plan).map_err(|e| refused(&e))?;
        // What the syntax tree was checked for, once more on the plan.
        let reads = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        reads
            .verify_plan(&plan)
            .map_err(|e| Refused::whole(Code::StatementNotAllowed, e.strip_backtrace()))?;
        Ok(plan)
    }
}

/// What the engine says, as a refusal.
#[must_use]
pub fn refused(error: &DataFusionError) -> Refused {
    let place = error
        .diagnostic()
        .and_then(|diagnostic| diagnostic.span)
        .map(|span| Place { line: span.start.line, column: span.start.column });
    let root = error.find_root();
    let code = match root {
        DataFusionError::ResourcesExhausted(_) => Code::MemoryLimit,
        DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::SQL(..)
        | DataFusionError::NotImplemented(_) => Code::Invalid,
        _ => Code::Failed,
    };
    let message = match code {
        Code::MemoryLimit => {
            "it needs more memory than a query may have; narrow it by time or ask for fewer columns"
                .to_owned()
        }
        _ => words(root),
    };
    Refused { code, message, place }
}

fn words(error: &DataFusionError) -> String {
    if let DataFusionError::SchemaError(schema, _) = error
        && let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref()
    {
        return no_column(field, valid_fields);
    }
    first_words(&error.strip_backtrace())
}

/// More columns than these are no help in a message.
const COLUMNS_TOLD: usize = 12;

/// That there is no such column, and which one was probably meant.
fn no_column(field: &Column, known: &[Column]) -> String {
    // A name with its table is answered by one.
    let quoted = |name: &str| quote_identifier(name).into_owned();
    let named = |column: &Column| {
        if field.relation.is_some() { column.quoted_flat_name() } else { quoted(&column.name) }
    };
    let names: BTreeSet<String> = known.iter().map(|column| column.name.clone()).collect();
    let missing = format!("there is no column `{}` here", named(field));
    if let Some(near) = nearest(&field.name, names.iter())
        .and_then(|near| known.iter().find(|column| column.name == *near))
    {
        return format!("{missing}; did you mean `{}`?", named(near));
    }
    if (1..=COLUMNS_TOLD).contains(&names.len()) {
        return format!(
            "{missing}; there are {}",
            names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
        );
    }
    format!(
        "{missing}; `DESCRIBE events` lists those of `events`, and a text stands in single quotes: '{}'",
        field.name
    )
}

/// The engine's message without what it puts before and after it.
fn first_words(message: &str) -> String {
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

impl From<SessionError> for Refused {
    fn from(error: SessionError) -> Self {
        let code = match &error {
            SessionError::NotReadOnly(_) => Code::StatementNotAllowed,
            SessionError::Engine(error) => return refused(error),
            SessionError::TooManyRows(_) => Code::RowLimit,
            SessionError::TooLong(_) => Code::TimeLimit,
            SessionError::Snapshot(_) => Code::Invalid,
        };
        Self::whole(code, error.to_string())
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
            if let Err(refused) = session.ask(&rule.sql, &Values::new()).await {
                panic!("{}: {refused:?}", rule.id);
            }
        }
    }
}
