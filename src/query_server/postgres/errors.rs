//! Errors as the PostgreSQL protocol reports them: an SQLSTATE, a message, a position.

use datafusion::error::DataFusionError;
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError};
use trailhound_queries::session::ad_hoc::query_error;
use trailhound_queries::sql_guard::{QueryError, QueryErrorCode};

/// An error with an SQLSTATE and the position of a character in the statement, from 1.
pub(super) fn client_error(
    state: &str,
    message: impl Into<String>,
    position: Option<u64>,
) -> PgWireError {
    let mut info = ErrorInfo::new("ERROR".to_owned(), state.to_owned(), message.into());
    info.position = position.map(|position| position.to_string());
    PgWireError::UserError(Box::new(info))
}

/// An error of the engine, in the words of the query server.
pub(super) fn engine_error(error: &DataFusionError) -> PgWireError {
    refusal_error(&query_error(error), "")
}

/// A refusal of `statement` as an error of the PostgreSQL protocol.
pub(super) fn refusal_error(refused: &QueryError, statement: &str) -> PgWireError {
    let state = match refused.code {
        QueryErrorCode::Empty | QueryErrorCode::Syntax | QueryErrorCode::SeveralStatements => {
            "42601"
        }
        QueryErrorCode::TooComplex => "54001",
        QueryErrorCode::StatementNotAllowed => "25006",
        QueryErrorCode::FunctionNotAllowed => "42883",
        QueryErrorCode::TableNotFound => "42P01",
        QueryErrorCode::Parameter => "42P02",
        QueryErrorCode::Invalid => "42703",
        QueryErrorCode::MemoryLimit => "53200",
        QueryErrorCode::TimeLimit | QueryErrorCode::Cancelled => "57014",
        QueryErrorCode::RowLimit | QueryErrorCode::ByteLimit => "54000",
        QueryErrorCode::Failed => "22000",
    };
    let state = data_state(&refused.message)
        // Other messages repeat names that the client has written.
        .filter(|_| refused.code == QueryErrorCode::Failed)
        .unwrap_or(state);
    // The protocol counts characters of the whole text, from 1.
    let position = refused.position.filter(|_| !statement.is_empty()).map(|position| {
        let before: usize = statement
            .lines()
            .take(usize::try_from(position.line.saturating_sub(1)).unwrap_or_default())
            .map(|line| line.chars().count() + 1)
            .sum();
        before as u64 + position.column
    });
    client_error(state, refused.message.clone(), position)
}

/// The SQLSTATE of an error in the data, by its message, which has PostgreSQL's words or the engine's; `None` for other errors.
fn data_state(message: &str) -> Option<&'static str> {
    let lower = message.to_lowercase();
    let says = |words: &str| lower.contains(words);
    if says("division by zero") || says("divide by zero") {
        Some("22012")
    } else if says("invalid input syntax") {
        Some("22P02")
    } else if says("timestamp out of range") || says("date out of range") {
        Some("22008")
    } else if says("out of range") || says("overflow") {
        Some("22003")
    } else {
        None
    }
}

/// The same error, which ends the connection.
pub(super) fn fatal(error: PgWireError) -> PgWireError {
    match error {
        PgWireError::UserError(mut info) => {
            "FATAL".clone_into(&mut info.severity);
            PgWireError::UserError(info)
        }
        other => other,
    }
}
