//! Errors of SQL statements of people and other programs: rejected by the SQL guard, not planned,
//! or stopped while they run.

use datafusion::sql::sqlparser::ast::Spanned;
use std::fmt;
use thiserror::Error;

/// A position in the text of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlPosition {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

/// The kind of an error. Its name is part of the interface of the query server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryErrorCode {
    /// The text has no statement.
    Empty,
    /// The statement is too long or too deep, or has too many of something.
    TooComplex,
    /// The statement cannot be parsed.
    Syntax,
    /// The text has more than one statement.
    SeveralStatements,
    /// The statement does more than read.
    StatementNotAllowed,
    /// The statement calls a function that is unknown or not allowed.
    FunctionNotAllowed,
    /// The statement reads a table that is unknown or not allowed.
    TableNotFound,
    /// A parameter has no value, or a value has no parameter.
    Parameter,
    /// The statement cannot be planned: an unknown column, or types that do not fit.
    Invalid,
    /// The query needs more memory than it may use.
    MemoryLimit,
    /// The query takes longer than it may.
    TimeLimit,
    /// The query returns more rows than it may.
    RowLimit,
    /// The query returns more bytes than it may.
    ByteLimit,
    /// The client has cancelled the query.
    Cancelled,
    /// The query failed while it ran.
    Failed,
}

impl QueryErrorCode {
    /// The name, such as `table_not_found`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooComplex => "too_complex",
            Self::Syntax => "syntax",
            Self::SeveralStatements => "several_statements",
            Self::StatementNotAllowed => "statement_not_allowed",
            Self::FunctionNotAllowed => "function_not_allowed",
            Self::TableNotFound => "table_not_found",
            Self::Parameter => "parameter",
            Self::Invalid => "invalid",
            Self::MemoryLimit => "memory_limit",
            Self::TimeLimit => "time_limit",
            Self::RowLimit => "row_limit",
            Self::ByteLimit => "byte_limit",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for QueryErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a statement was not run, or not to its end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct QueryError {
    /// The kind of error.
    pub code: QueryErrorCode,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// Where in the statement, if the error has a position.
    pub position: Option<SqlPosition>,
}

impl QueryError {
    /// An error without a position.
    pub fn new(code: QueryErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), position: None }
    }
}

/// Position of the first token of `node`, where the parser recorded it.
pub(super) fn position_of(node: &impl Spanned) -> Option<SqlPosition> {
    let start = node.span().start;
    (start.line > 0).then_some(SqlPosition { line: start.line, column: start.column })
}
