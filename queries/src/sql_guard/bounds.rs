//! Limits on the text of a statement, checked before it is parsed. Recursive parsers and planners
//! then only see shallow trees and cannot overflow the stack.

use super::error::{QueryError, QueryErrorCode, SqlPosition};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};

/// Maximum nesting depth of parentheses, subqueries and similar constructs.
pub const NESTING_MAX: usize = 48;
/// Maximum length of a statement, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Maximum number of tokens; white space does not count.
const TOKENS_MAX: usize = 8_000;
/// Maximum number of operators. A chain of operators makes a tree as deep as the chain is long.
const OPERATORS_MAX: usize = 600;
/// Maximum number of joins.
const JOINS_MAX: usize = 32;
/// Maximum number of set operations: UNION, EXCEPT, INTERSECT.
const SET_OPERATIONS_MAX: usize = 64;
/// Maximum number of commas.
const COMMAS_MAX: usize = 3_000;

/// Checks that `text` is short and shallow enough to be parsed.
///
/// # Errors
/// [`QueryError`] with the code `TooComplex`, `Syntax` or `Empty`.
pub fn check(text: &str) -> Result<(), QueryError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(QueryError::new(
            QueryErrorCode::TooComplex,
            format!("the statement has {} bytes; at most {TEXT_BYTES_MAX} are allowed", text.len()),
        ));
    }
    if let Some(at) = text.find('\0') {
        return Err(QueryError {
            code: QueryErrorCode::Syntax,
            message: "the statement contains a NUL byte".to_owned(),
            position: Some(position_at(text, at)),
        });
    }
    let mut tokens = Vec::new();
    let dialect = GenericDialect {};
    Tokenizer::new(&dialect, text).tokenize_with_location_into_buf(&mut tokens).map_err(
        |TokenizerError { message, location }| QueryError {
            code: QueryErrorCode::Syntax,
            message,
            position: Some(SqlPosition { line: location.line, column: location.column }),
        },
    )?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    if tokens.iter().all(|token| token.token == Token::SemiColon) {
        return Err(QueryError::new(QueryErrorCode::Empty, "there is no statement"));
    }
    check_tokens(&tokens)
}

/// Checks the number of tokens, operators, joins, set operations and commas, and the nesting depth.
fn check_tokens(tokens: &[TokenWithSpan]) -> Result<(), QueryError> {
    let (mut operators, mut joins, mut set_operations, mut commas, mut depth) =
        (0, 0, 0, 0, 0_usize);
    for (index, token) in tokens.iter().enumerate() {
        let position = SqlPosition { line: token.span.start.line, column: token.span.start.column };
        let check_max = |count: usize, max: usize, what: &str| {
            let message = || {
                format!(
                    "more than {max} {what}; split the statement, or join a list of values instead"
                )
            };
            if count > max {
                Err(QueryError {
                    code: QueryErrorCode::TooComplex,
                    message: message(),
                    position: Some(position),
                })
            } else {
                Ok(())
            }
        };
        check_max(index + 1, TOKENS_MAX, "tokens")?;
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            Token::Comma => commas += 1,
            Token::Word(word) => match word.keyword {
                Keyword::CASE => depth += 1,
                Keyword::END => depth = depth.saturating_sub(1),
                Keyword::JOIN => joins += 1,
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => set_operations += 1,
                Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN => {
                    operators += 1;
                }
                _ => {}
            },
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::Placeholder(_)
            | Token::SemiColon
            | Token::Period => {}
            // Every other token is an operator, or one that the parser rejects.
            _ => operators += 1,
        }
        check_max(depth, NESTING_MAX, "levels of nesting")?;
        check_max(operators, OPERATORS_MAX, "operators")?;
        check_max(joins, JOINS_MAX, "joins")?;
        check_max(set_operations, SET_OPERATIONS_MAX, "set operations")?;
        check_max(commas, COMMAS_MAX, "commas")?;
    }
    Ok(())
}

/// Line and column of the byte offset `offset` in `text`.
fn position_at(text: &str, offset: usize) -> SqlPosition {
    let before = &text[..offset];
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
    SqlPosition { line, column }
}
