//! Answers an ad-hoc SQL statement: plans it, runs it and writes its rows as they are computed.
//!
//! The command line, the shell and the worker of the query server all answer statements here.

use crate::exit::Failure;
use crate::row_writer::{RowCounts, RowLayout, RowWriter};
use std::io::Write;
use trailhound_datasets::sanitize::sanitize;
use trailhound_queries::session::Session;
use trailhound_queries::sql_guard::{ParameterValues, QueryError, SqlPosition};

/// Why a statement was not answered, or not to its end.
pub(crate) enum AnswerError {
    /// The statement is not allowed or not valid, exceeds a limit, or fails while it runs.
    Refused(QueryError),
    /// The rows could not be written.
    Failure(Failure),
}

impl From<QueryError> for AnswerError {
    fn from(refused: QueryError) -> Self {
        Self::Refused(refused)
    }
}

impl From<Failure> for AnswerError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Runs the one statement in `sql` with `values` for its parameters and writes its rows to `out`.
///
/// # Errors
/// [`AnswerError::Refused`], also where the statement returns more than `rows_max` rows;
/// [`AnswerError::Failure`] where `out` cannot be written to. Rows may have been written before an
/// error.
pub(crate) async fn answer(
    session: &Session,
    sql: &str,
    values: &ParameterValues,
    rows_max: usize,
    layout: RowLayout,
    out: Box<dyn Write + Send + '_>,
) -> Result<RowCounts, AnswerError> {
    let mut rows = session.stream_rows(sql, values, rows_max).await?;
    let mut writer = RowWriter::new(layout, rows.schema(), out)?;
    while let Some(batch) = rows.next().await? {
        writer.add(&batch)?;
    }
    Ok(writer.finish()?)
}

/// The message of `refused`. Where it has a position, the line of `statement` follows with a caret
/// below the column.
pub(crate) fn refusal_message(statement: &str, refused: &QueryError) -> String {
    let message = refused.to_string();
    let Some(SqlPosition { line, column }) = refused.position else { return message };
    let Some(text) = usize::try_from(line - 1).ok().and_then(|line| statement.lines().nth(line))
    else {
        return message;
    };
    let column = usize::try_from(column).unwrap_or(1);
    // An escaped character takes more columns than the character itself.
    let before: String = text.chars().take(column - 1).collect();
    let width = sanitize(&before).chars().count();
    let number = format!("{line} | ");
    format!("{message}\n{number}{}\n{}^", sanitize(text), " ".repeat(number.len() + width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trailhound_queries::sql_guard::QueryErrorCode;

    #[test]
    fn a_refusal_points_at_its_position() {
        let refused = QueryError {
            code: QueryErrorCode::Invalid,
            message: "no such column".to_owned(),
            position: Some(SqlPosition { line: 2, column: 7 }),
        };
        assert_eq!(
            refusal_message("SELECT\n  1 + usr", &refused),
            "no such column\n2 |   1 + usr\n          ^"
        );
        assert_eq!(refusal_message("SELECT 1", &refused), "no such column");
    }
}
