//! The one gate for SQL that people and other programs write: what it lets through is one statement that reads tables of the session with
//! known functions, short and flat enough to be parsed and planned. Nothing else is ever planned.

mod bounds;
mod split;
mod tree;
mod with;

use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Tokenizer;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use thiserror::Error;

pub use bounds::{TEXT_BYTES_MAX, check as check_text};
pub use split::{is_whole, statements};
pub(crate) use tree::folded;

/// Values of the parameters `$name` in a statement: texts, or NULL.
pub type Values = BTreeMap<String, Option<String>>;

/// Parentheses, queries in queries and the like within each other.
const NESTING_MAX: usize = 48;

/// Where in a statement: line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

/// What kind of refusal it is; the name is part of the doors' contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Nothing is asked.
    Empty,
    /// Too long, too deep, or too many of something.
    TooComplex,
    /// It cannot be read.
    Syntax,
    /// More than one statement.
    SeveralStatements,
    /// It does more than read.
    StatementNotAllowed,
    /// A function that is not on the list.
    FunctionNotAllowed,
    /// A table that is not there, or not for asking.
    TableNotFound,
    /// A parameter without a value, or a value without a parameter.
    Parameter,
    /// It names what is not there, or compares what cannot be compared.
    Invalid,
    /// It needs more memory than a query may have.
    MemoryLimit,
    /// It takes longer than a query may.
    TimeLimit,
    /// It gives more rows than a query may.
    RowLimit,
    /// It gives more bytes than a query may.
    ByteLimit,
    /// Who asked has called it off.
    Cancelled,
    /// It failed while it ran, by what it computes.
    Failed,
}

impl Code {
    /// The name.
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

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A statement that is not run, or not to its end: why, and where the trouble is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refused {
    /// What kind.
    pub code: Code,
    /// In words, with what to do.
    pub message: String,
    /// Where in the statement, if at one place.
    pub place: Option<Place>,
}

impl Refused {
    /// A refusal that concerns all of the statement.
    pub fn whole(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), place: None }
    }
}

/// What a session offers to who asks.
pub struct Offered<'o> {
    /// Tables and views.
    pub tables: &'o BTreeSet<String>,
    /// Schemas of which every table may be read, beside those tables.
    pub schemas: &'o [&'o str],
    /// Functions, in lower case.
    pub functions: &'o BTreeSet<String>,
}

/// Reads `text`, which must be one statement that may be run, and puts `values` in the places of its parameters.
///
/// # Errors
/// [`Refused`].
pub fn admit(text: &str, values: &Values, offered: &Offered<'_>) -> Result<Statement, Refused> {
    check_text(text)?;
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|error| unreadable(&error.into()))?;
    let (tokens, said) = with::taken_out(tokens);
    let mut statements = Parser::new(&dialect)
        .with_recursion_limit(NESTING_MAX)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|error| unreadable(&error))?;
    let mut statement = match statements.len() {
        0 => return Err(Refused::whole(Code::Empty, "there is no statement")),
        1 => statements.remove(0),
        n => {
            return Err(Refused::whole(
                Code::SeveralStatements,
                format!("one statement at a time; these are {n}"),
            ));
        }
    };
    with::note(&mut statement, said);
    admit_statement(&statement, offered)?;
    tree::bind(statement, values)
}

/// The same for a statement that was read already, from a text that [`check_text`] has passed. Its parameters stay open.
///
/// # Errors
/// [`Refused`].
pub fn admit_statement(statement: &Statement, offered: &Offered<'_>) -> Result<(), Refused> {
    tree::check(statement, offered)
}

/// The parser's error, its place taken out of its words.
fn unreadable(error: &ParserError) -> Refused {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.clone(),
        ParserError::RecursionLimitExceeded => {
            return Refused::whole(
                Code::TooComplex,
                format!("it nests deeper than {NESTING_MAX} levels; take it apart"),
            );
        }
    };
    let (words, place) = match message.rsplit_once(" at Line: ") {
        Some((words, place)) => {
            let mut numbers = place.split(", Column: ").map(|number| number.trim().parse().ok());
            let place = numbers.next().flatten().zip(numbers.next().flatten());
            (words.to_owned(), place.map(|(line, column)| Place { line, column }))
        }
        None => (message, None),
    };
    Refused { code: Code::Syntax, message: words, place }
}

/// The known name that was probably meant.
#[must_use]
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k String>) -> Option<&'k String> {
    let name = name.to_lowercase();
    known
        .map(|known| (strsim::damerau_levenshtein(&known.to_lowercase(), &name), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= 2.max(known.len() / 3))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests;
