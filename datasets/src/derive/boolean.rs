//! Booleans as events write them.

/// Reads a boolean: the words `true` and `false` in any letter case, as a JSON boolean or inside a
/// string. `None` for anything else.
#[must_use]
pub fn parse_bool(text: &str) -> Option<bool> {
    let text = text.trim().trim_matches('"').trim();
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}
