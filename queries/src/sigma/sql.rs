//! SQL text of translated rules: literals and joined conditions.

/// SQL, or the reason why it cannot be translated.
pub(super) type SqlResult = Result<String, String>;

/// Quotes a text as an SQL literal.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Joins `parts` by the operator, in parentheses where there are several. `None` without parts.
pub(super) fn join_conditions(mut parts: Vec<String>, operator: &str) -> Option<String> {
    parts.dedup();
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(format!("({})", parts.join(&format!(" {operator} ")))),
    }
}
