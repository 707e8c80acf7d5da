//! Several statements in one text, as they stand in files and are typed.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

/// The statements of `text`, without the semicolons between them and without what holds only comments. A text that cannot be read is one
/// statement: the gate says what is wrong with it.
#[must_use]
pub fn statements(text: &str) -> Vec<&str> {
    let dialect = GenericDialect {};
    let mut tokens = Vec::new();
    if Tokenizer::new(&dialect, text).tokenize_with_location_into_buf(&mut tokens).is_err() {
        return vec![text];
    }
    let (mut pieces, mut begin, mut says) = (Vec::new(), 0, false);
    for token in &tokens {
        match token.token {
            Token::SemiColon => {
                let end = offset(text, token.span.start);
                if says {
                    pieces.push(text[begin..end].trim());
                }
                (begin, says) = (end + 1, false);
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => says = true,
        }
    }
    if says {
        pieces.push(text[begin..].trim());
    }
    pieces
}

/// True where `text` is whole: its last statement has its semicolon, or there is none.
#[must_use]
pub fn is_whole(text: &str) -> bool {
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

/// The byte at which `location`, counted in lines and characters from 1, lies.
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
            statements("SELECT 1; SELECT ';ü' -- ;\n, 2;\n/* ; */ ; SELECT 3"),
            ["SELECT 1", "SELECT ';ü' -- ;\n, 2", "SELECT 3"]
        );
        assert_eq!(statements("SELECT 'ü\nü'; SELECT 2;"), ["SELECT 'ü\nü'", "SELECT 2"]);
        assert_eq!(statements(" ;; -- nothing"), Vec::<&str>::new());
        assert_eq!(statements("SELECT 'open; SELECT 2;"), ["SELECT 'open; SELECT 2;"]);
    }

    #[test]
    fn a_text_is_whole_with_its_last_semicolon() {
        assert!(is_whole("SELECT 1;  -- done\n"));
        assert!(is_whole("  "));
        assert!(!is_whole("SELECT 1"));
        assert!(!is_whole("SELECT ';"));
        assert!(!is_whole("SELECT 1 /* ;"));
    }
}
