//! What was typed: statements, commands of the shell, and where in them an error lies.

use trailhound_queries::sql_guard::{QueryError, SqlPosition, split_statements};

/// One input.
pub(super) enum Input<'i> {
    /// White space.
    Nothing,
    /// A line that begins with a backslash.
    Meta(&'i str),
    /// Statements, in order.
    Statements(Vec<&'i str>),
}

pub(super) fn read(text: &str) -> Input<'_> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        Input::Nothing
    } else if trimmed.starts_with('\\') {
        Input::Meta(trimmed)
    } else if matches!(trimmed.trim_end_matches(';').trim_end(), "quit" | "exit") {
        Input::Meta("\\q")
    } else {
        Input::Statements(split_statements(text))
    }
}

/// The refusal in words, with the line of `statement` it concerns and a mark under the place.
pub(crate) fn pointed(statement: &str, refused: &QueryError) -> String {
    let told = refused.to_string();
    let Some(SqlPosition { line, column }) = refused.position else { return told };
    let Some(text) = usize::try_from(line - 1).ok().and_then(|line| statement.lines().nth(line))
    else {
        return told;
    };
    let column = usize::try_from(column).unwrap_or(1);
    // What cannot be printed as it is takes more room.
    let before: String = text.chars().take(column - 1).collect();
    let room = trailhound_datasets::sanitize::sanitize(&before).chars().count();
    let number = format!("{line} | ");
    format!(
        "{told}\n{number}{}\n{}^",
        trailhound_datasets::sanitize::sanitize(text),
        " ".repeat(number.len() + room)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use trailhound_queries::sql_guard::QueryErrorCode;

    #[test]
    fn errors_point_at_their_place() {
        let refused = QueryError {
            code: QueryErrorCode::Invalid,
            message: "no such column".to_owned(),
            position: Some(SqlPosition { line: 2, column: 7 }),
        };
        assert_eq!(
            pointed("SELECT\n  1 + usr", &refused),
            "no such column\n2 |   1 + usr\n          ^"
        );
        assert_eq!(pointed("SELECT 1", &refused), "no such column");
    }
}
