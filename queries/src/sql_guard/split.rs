//! Splits a text into its SQL statements, for files with several statements and for lines typed in
//! the shell.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

/// The statements of `text`, without their semicolons. A part that holds only comments is left out.
/// A text that cannot be tokenized is returned as one statement; checking it then reports the
/// error.
#[must_use]
pub fn split_statements(text: &str) -> Vec<&str> {
    let dialect = GenericDialect {};
    let mut tokens = Vec::new();
    if Tokenizer::new(&dialect, text).tokenize_with_location_into_buf(&mut tokens).is_err() {
        return vec![text];
    }
    let (mut pieces, mut start, mut has_tokens) = (Vec::new(), 0, false);
    for token in &tokens {
        match token.token {
            Token::SemiColon => {
                let end = offset(text, token.span.start);
                if has_tokens {
                    pieces.push(text[start..end].trim());
                }
                (start, has_tokens) = (end + 1, false);
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => has_tokens = true,
        }
    }
    if has_tokens {
        pieces.push(text[start..].trim());
    }
    pieces
}

/// True where `text` ends with a complete statement or has none: its last token is a semicolon, or
/// it has no token. False inside an open quote or comment.
#[must_use]
pub fn is_complete(text: &str) -> bool {
    let dialect = GenericDialect {};
    match Tokenizer::new(&dialect, text).tokenize() {
        Ok(tokens) => {
            let last = tokens
                .iter()
                .rev()
                .find(|token| !matches!(token, Token::Whitespace(_) | Token::EOF));
            last.is_none_or(|token| *token == Token::SemiColon)
        }
        // A quote or comment is still open.
        Err(_) => false,
    }
}

/// Byte offset of `location`, which counts lines and characters from 1.
fn offset(text: &str, location: Location) -> usize {
    let line = usize::try_from(location.line).unwrap_or(1) - 1;
    let column = usize::try_from(location.column).unwrap_or(1) - 1;
    let start = if line == 0 {
        0
    } else {
        text.match_indices('\n').nth(line - 1).map_or(text.len(), |(at, _)| at + 1)
    };
    text[start..].char_indices().nth(column).map_or(text.len(), |(at, _)| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_semicolons_are_no_part_of_anything() {
        assert_eq!(
            split_statements("SELECT 1; SELECT ';ü' -- ;\n, 2;\n/* ; */ ; SELECT 3"),
            ["SELECT 1", "SELECT ';ü' -- ;\n, 2", "SELECT 3"]
        );
        assert_eq!(split_statements("SELECT 'ü\nü'; SELECT 2;"), ["SELECT 'ü\nü'", "SELECT 2"]);
        assert_eq!(split_statements(" ;; -- nothing"), Vec::<&str>::new());
        assert_eq!(split_statements("SELECT 'open; SELECT 2;"), ["SELECT 'open; SELECT 2;"]);
    }

    #[test]
    fn a_text_is_whole_with_its_last_semicolon() {
        assert!(is_complete("SELECT 1;  -- done\n"));
        assert!(is_complete("  "));
        assert!(!is_complete("SELECT 1"));
        assert!(!is_complete("SELECT ';"));
        assert!(!is_complete("SELECT 1 /* ;"));
    }
}
