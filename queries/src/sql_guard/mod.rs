//! The SQL guard: checks every statement that people and other programs write, before the query engine
//! plans it. A statement passes if it is short and shallow enough to be parsed, is the only one in
//! its text, only reads, and uses only tables and functions that are allowed.
//!
//! ```
//! use std::collections::BTreeSet;
//! use trailhound_queries::sql_guard::{
//!     AllowedNames, ParameterValues, QueryErrorCode, parse_statement,
//! };
//!
//! let tables = BTreeSet::from(["events".to_owned()]);
//! let functions = BTreeSet::from(["count".to_owned()]);
//! let allowed = AllowedNames { tables: &tables, schemas: &[], functions: &functions };
//! let values = ParameterValues::from([("name".to_owned(), Some("StopInstance".to_owned()))]);
//!
//! let sql = "SELECT count(*) FROM events WHERE event_name = $name";
//! let statement = parse_statement(sql, &values, &allowed)?;
//! assert!(statement.to_string().ends_with("WHERE event_name = 'StopInstance'"));
//!
//! let parse = |sql| parse_statement(sql, &ParameterValues::new(), &allowed);
//! let error = parse("SELECT * FROM '/etc/passwd'").expect_err("files are no tables");
//! assert_eq!(error.code, QueryErrorCode::TableNotFound);
//! let error = parse("DROP TABLE events").expect_err("statements must only read");
//! assert_eq!(error.code, QueryErrorCode::StatementNotAllowed);
//! # Ok::<(), trailhound_queries::sql_guard::QueryError>(())
//! ```

mod allowed_names;
mod binding;
mod bounds;
mod clauses;
mod error;
mod meanings;
mod split;
mod time_zone;
mod tree;
mod with;

use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Tokenizer;
use with::MaterializedKeywords;

pub use allowed_names::AllowedNames;
pub use binding::ParameterValues;
pub use bounds::{NESTING_MAX, TEXT_BYTES_MAX, check as check_text};
pub(crate) use clauses::check_functions;
pub use error::{QueryError, QueryErrorCode, SqlPosition};
pub(crate) use meanings::check_meanings;
pub use split::{is_complete, split_statements};
pub use time_zone::TimeZoneStatement;
pub(crate) use tree::normalized_name;

/// Parses `text`, which must be one allowed statement, and replaces its parameters by `values`.
///
/// # Errors
/// [`QueryError`] with the position of what is not allowed.
pub fn parse_statement(
    text: &str,
    values: &ParameterValues,
    allowed: &AllowedNames<'_>,
) -> Result<Statement, QueryError> {
    check_text(text)?;
    // Operators bind as in PostgreSQL. What is no syntax of PostgreSQL, such as a lambda, is the engine's.
    let (mut statements, keywords) =
        parse(&PostgreSqlDialect {}, text).or_else(|_| parse(&GenericDialect {}, text))?;
    let mut statement = match statements.len() {
        0 => return Err(QueryError::new(QueryErrorCode::Empty, "there is no statement")),
        1 => statements.remove(0),
        n => {
            return Err(QueryError::new(
                QueryErrorCode::SeveralStatements,
                format!("one statement at a time; these are {n}"),
            ));
        }
    };
    with::restore_materialized(&mut statement, keywords);
    check_statement(&statement, allowed)?;
    binding::bind(statement, values)
}

/// The statements of `text`, without the keywords MATERIALIZED.
fn parse(
    dialect: &dyn Dialect,
    text: &str,
) -> Result<(Vec<Statement>, MaterializedKeywords), QueryError> {
    let tokens = Tokenizer::new(dialect, text)
        .tokenize_with_location()
        .map_err(|error| syntax_error(&error.into()))?;
    let (tokens, keywords) = with::strip_materialized(tokens);
    let statements = Parser::new(dialect)
        .with_recursion_limit(NESTING_MAX)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|error| syntax_error(&error))?;
    Ok((statements, keywords))
}

/// Checks a statement that is already parsed, from a text that [`check_text`] has accepted. Its
/// parameters stay open.
///
/// # Errors
/// [`QueryError`] with the position of what is not allowed.
pub fn check_statement(
    statement: &Statement,
    allowed: &AllowedNames<'_>,
) -> Result<(), QueryError> {
    tree::check(statement, allowed)
}

/// Converts an error of the parser. Its position is moved from the message to the field.
#[must_use]
pub fn syntax_error(error: &ParserError) -> QueryError {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.clone(),
        ParserError::RecursionLimitExceeded => {
            return QueryError::new(
                QueryErrorCode::TooComplex,
                format!("the statement nests deeper than {NESTING_MAX} levels; split it"),
            );
        }
    };
    let (message, position) = match message.rsplit_once(" at Line: ") {
        Some((words, position)) => {
            let mut numbers = position.split(", Column: ").map(|number| number.trim().parse().ok());
            let position = numbers.next().flatten().zip(numbers.next().flatten());
            let position = position.map(|(line, column)| SqlPosition { line, column });
            (words.to_owned(), position)
        }
        None => (message, None),
    };
    QueryError { code: QueryErrorCode::Syntax, message, position }
}

#[cfg(test)]
mod tests;
