//! The tokens of a client's text: its statements, and a reader for the commands that are parsed
//! here.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use std::sync::Arc;
use trailhound_queries::sql_guard::{QueryError, QueryErrorCode, SqlPosition};

/// One statement of a text: its tokens without white space, and its own text.
#[derive(Debug, Clone)]
pub(super) struct StatementTokens {
    /// The tokens, with their places in the whole text.
    pub(super) tokens: Vec<TokenWithSpan>,
    /// The text of the statement.
    pub(super) text: String,
    /// The whole text.
    source: Arc<str>,
}

impl StatementTokens {
    /// The text from the first to the last of `tokens`, which are some of this statement.
    pub(super) fn text_of(&self, tokens: &[TokenWithSpan]) -> &str {
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return "" };
        let start = offset(&self.source, first.span.start);
        self.source.get(start..offset(&self.source, last.span.end)).unwrap_or_default()
    }
}

/// Splits a text into its statements.
///
/// # Errors
/// [`QueryError`]: the text has a token that cannot be read, such as a quote without its end.
pub(super) fn split(text: &str) -> Result<Vec<StatementTokens>, QueryError> {
    let tokens =
        Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().map_err(|error| {
            QueryError {
                code: QueryErrorCode::Syntax,
                message: error.message,
                position: Some(SqlPosition {
                    line: error.location.line,
                    column: error.location.column,
                }),
            }
        })?;
    let source = Arc::from(text);
    let mut statements = Vec::new();
    let mut current = Vec::new();
    for token in tokens {
        match token.token {
            Token::Whitespace(_) | Token::EOF => {}
            Token::SemiColon => push(&mut statements, std::mem::take(&mut current), &source),
            _ => current.push(token),
        }
    }
    push(&mut statements, current, &source);
    Ok(statements)
}

fn push(statements: &mut Vec<StatementTokens>, tokens: Vec<TokenWithSpan>, source: &Arc<str>) {
    if tokens.is_empty() {
        return;
    }
    let mut statement = StatementTokens { tokens, text: String::new(), source: Arc::clone(source) };
    statement.text = statement.text_of(&statement.tokens).to_owned();
    statements.push(statement);
}

/// The byte offset of a place in `text`.
fn offset(text: &str, place: Location) -> usize {
    let mut lines = text.split_inclusive('\n');
    let before: usize = lines
        .by_ref()
        .take(usize::try_from(place.line.saturating_sub(1)).unwrap_or_default())
        .map(str::len)
        .sum();
    let column = usize::try_from(place.column.saturating_sub(1)).unwrap_or_default();
    let line = lines.next().unwrap_or_default();
    before + line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
}

/// Reads the tokens of one statement from left to right.
#[derive(Clone)]
pub(super) struct TokenReader<'t> {
    tokens: &'t [TokenWithSpan],
}

impl<'t> TokenReader<'t> {
    /// A reader at the first token.
    pub(super) fn new(tokens: &'t [TokenWithSpan]) -> Self {
        Self { tokens }
    }

    /// The tokens that are not read yet.
    pub(super) fn rest(&self) -> &'t [TokenWithSpan] {
        self.tokens
    }

    /// True after the last token.
    pub(super) fn is_at_end(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The next token.
    pub(super) fn peek(&self) -> Option<&'t Token> {
        self.tokens.first().map(|token| &token.token)
    }

    /// Reads the next token.
    pub(super) fn next(&mut self) -> Option<&'t Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(&first.token)
    }

    /// True if the next token is `word` without quotes; upper and lower case are the same.
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(next)) if next.quote_style.is_none()
            && next.value.eq_ignore_ascii_case(word))
    }

    /// Reads `word` if it is next.
    pub(super) fn skip_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.next();
        }
        found
    }

    /// Reads `words` if all of them are next.
    pub(super) fn skip_words(&mut self, words: &[&str]) -> bool {
        let mut ahead = self.clone();
        let found = words.iter().all(|word| ahead.skip_word(word));
        if found {
            *self = ahead;
        }
        found
    }

    /// Reads `token` if it is next.
    pub(super) fn skip(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        if found {
            self.next();
        }
        found
    }

    /// Reads a name: lower case unless it is quoted.
    ///
    /// # Errors
    /// [`QueryError`]: something else is next.
    pub(super) fn name(&mut self) -> Result<String, QueryError> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.next();
                Ok(match word.quote_style {
                    Some(_) => word.value.clone(),
                    None => word.value.to_lowercase(),
                })
            }
            _ => Err(self.expected("a name")),
        }
    }

    /// Reads a text in single quotes.
    ///
    /// # Errors
    /// [`QueryError`]: something else is next.
    pub(super) fn text(&mut self) -> Result<String, QueryError> {
        match self.peek() {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => {
                self.next();
                Ok(text.clone())
            }
            _ => Err(self.expected("a text in single quotes")),
        }
    }

    /// Reads a whole number with an optional sign; `None` if something else is next.
    pub(super) fn number(&mut self) -> Option<i64> {
        let mut ahead = self.clone();
        let negative = ahead.skip(&Token::Minus);
        if !negative {
            ahead.skip(&Token::Plus);
        }
        let Some(Token::Number(digits, _)) = ahead.next() else { return None };
        let number: i64 = digits.parse().ok()?;
        *self = ahead;
        Some(if negative { -number } else { number })
    }

    /// The error for a token other than `what`.
    pub(super) fn expected(&self, what: &str) -> QueryError {
        let found = self.peek().map_or_else(|| "the end".to_owned(), |token| format!("`{token}`"));
        let position = self.tokens.first().map(|token| token.span.start);
        QueryError {
            code: QueryErrorCode::Syntax,
            message: format!("expected {what}, found {found}"),
            position: position.map(|at| SqlPosition { line: at.line, column: at.column }),
        }
    }

    /// Checks that every token has been read.
    ///
    /// # Errors
    /// [`QueryError`]: there are more.
    pub(super) fn end(&self) -> Result<(), QueryError> {
        if self.is_at_end() { Ok(()) } else { Err(self.expected("the end of the statement")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_split_with_their_texts() {
        let texts = |text: &str| -> Vec<String> {
            split(text).expect("tokens").into_iter().map(|statement| statement.text).collect()
        };
        assert_eq!(
            texts(" DISCARD ALL;; SELECT 'ä;',\n \"b;\" -- c;\n ; "),
            ["DISCARD ALL", "SELECT 'ä;',\n \"b;\""]
        );
        assert!(texts(" ; -- nothing\n").is_empty());
        assert!(split("SELECT 'open").is_err());
    }
}
