//! Bounds on a statement's text, held before anything is parsed: what a parser or planner would walk recursively stays shallow.

use super::{Code, NESTING_MAX, Place, Refused};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};

/// Bytes of a statement.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Words, signs and values; white space does not count.
const TOKENS_MAX: usize = 8_000;
/// Operators, which make trees as deep as their chain is long.
const OPERATORS_MAX: usize = 600;
/// Tables that are joined.
const JOINS_MAX: usize = 32;
/// Queries that are put together with UNION and the like.
const SETS_MAX: usize = 64;
/// Elements between commas.
const ELEMENTS_MAX: usize = 3_000;

/// Lets `text` through where it is short and flat enough to be parsed.
///
/// # Errors
/// [`Refused`].
pub fn check(text: &str) -> Result<(), Refused> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Refused::whole(
            Code::TooComplex,
            format!("it has {} bytes; at most {TEXT_BYTES_MAX} are read", text.len()),
        ));
    }
    if let Some(at) = text.find('\0') {
        return Err(Refused {
            code: Code::Syntax,
            message: "it contains a NUL".to_owned(),
            place: Some(place_of(text, at)),
        });
    }
    let mut tokens = Vec::new();
    let dialect = GenericDialect {};
    Tokenizer::new(&dialect, text).tokenize_with_location_into_buf(&mut tokens).map_err(
        |TokenizerError { message, location }| Refused {
            code: Code::Syntax,
            message,
            place: Some(Place { line: location.line, column: location.column }),
        },
    )?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    if tokens.iter().all(|token| token.token == Token::SemiColon) {
        return Err(Refused::whole(Code::Empty, "there is no statement"));
    }
    count(&tokens)
}

fn count(tokens: &[TokenWithSpan]) -> Result<(), Refused> {
    let (mut operators, mut joins, mut sets, mut commas, mut depth) = (0, 0, 0, 0, 0_usize);
    for (index, token) in tokens.iter().enumerate() {
        let place = Place { line: token.span.start.line, column: token.span.start.column };
        let within = |count: usize, most: usize, what: &str| {
            let message = || {
                format!("more than {most} {what}; take it apart, or join a list of values instead")
            };
            if count > most {
                Err(Refused { code: Code::TooComplex, message: message(), place: Some(place) })
            } else {
                Ok(())
            }
        };
        within(index + 1, TOKENS_MAX, "words and signs")?;
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            Token::Comma => commas += 1,
            Token::Word(word) => match word.keyword {
                Keyword::CASE => depth += 1,
                Keyword::END => depth = depth.saturating_sub(1),
                Keyword::JOIN => joins += 1,
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => sets += 1,
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
            // Every other sign is an operator of some kind, or none that would be understood.
            _ => operators += 1,
        }
        within(depth, NESTING_MAX, "levels within each other")?;
        within(operators, OPERATORS_MAX, "operators")?;
        within(joins, JOINS_MAX, "joins")?;
        within(sets, SETS_MAX, "queries put together")?;
        within(commas, ELEMENTS_MAX, "elements between commas")?;
    }
    Ok(())
}

fn place_of(text: &str, at: usize) -> Place {
    let before = &text[..at];
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
    Place { line, column }
}
