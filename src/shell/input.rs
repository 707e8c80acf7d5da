//! Tells statements from commands of the shell.

use trailhound_queries::sql_guard::split_statements;

/// Kind of one input.
pub(super) enum Input<'i> {
    /// White space.
    Empty,
    /// A command of the shell: a line that begins with a backslash.
    MetaCommand(&'i str),
    /// SQL statements in order.
    Statements(Vec<&'i str>),
}

/// Classifies `text`. `quit` and `exit` stand for `\q`.
pub(super) fn classify(text: &str) -> Input<'_> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        Input::Empty
    } else if trimmed.starts_with('\\') {
        Input::MetaCommand(trimmed)
    } else if matches!(trimmed.trim_end_matches(';').trim_end(), "quit" | "exit") {
        Input::MetaCommand("\\q")
    } else {
        Input::Statements(split_statements(text))
    }
}
