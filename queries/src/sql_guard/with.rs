//! Support for `WITH name AS [NOT] MATERIALIZED (...)`. The parser accepts the keywords in
//! PostgreSQL's dialect only. They are removed from the tokens before parsing, and set in the
//! syntax tree after it.

use datafusion::sql::sqlparser::ast::{CteAsMaterialized, Query, Statement, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

/// The keyword of each common table expression that has one, by the position of the expression's
/// name.
pub(super) type MaterializedKeywords = HashMap<Location, CteAsMaterialized>;

/// Removes the keywords from `tokens`, and returns the remaining tokens with the keywords.
pub(super) fn strip_materialized(
    tokens: Vec<TokenWithSpan>,
) -> (Vec<TokenWithSpan>, MaterializedKeywords) {
    let words: Vec<usize> =
        (0..tokens.len()).filter(|&at| !matches!(tokens[at].token, Token::Whitespace(_))).collect();
    let word_is =
        |word: usize, keyword| words.get(word).is_some_and(|&at| is_keyword(&tokens[at], keyword));
    let (mut keywords, mut removed) = (MaterializedKeywords::new(), HashSet::<usize>::new());
    for word in 0..words.len() {
        let opens = words.get(word + 1).is_some_and(|&at| tokens[at].token == Token::LParen);
        if !(opens && word_is(word, Keyword::MATERIALIZED)) {
            continue;
        }
        let not = word > 0 && word_is(word - 1, Keyword::NOT);
        let Some(before) =
            word.checked_sub(1 + usize::from(not)).filter(|&before| word_is(before, Keyword::AS))
        else {
            continue;
        };
        if let Some(place) = cte_name_position(&tokens, &words[..before]) {
            keywords.insert(
                place,
                if not {
                    CteAsMaterialized::NotMaterialized
                } else {
                    CteAsMaterialized::Materialized
                },
            );
            removed.extend(&words[before + 1..=word]);
        }
    }
    let kept = tokens
        .into_iter()
        .enumerate()
        .filter(|(at, _)| !removed.contains(at))
        .map(|(_, token)| token);
    (kept.collect(), keywords)
}

/// Position of the name in `WITH name AS` or `WITH name(columns) AS`. `before` are the indexes into
/// `tokens` of all words before the `AS`. `None` if no name stands there.
fn cte_name_position(tokens: &[TokenWithSpan], before: &[usize]) -> Option<Location> {
    let mut open = 0_usize;
    for &at in before.iter().rev() {
        match tokens[at].token {
            Token::RParen => open += 1,
            Token::LParen => open = open.checked_sub(1)?,
            Token::Word(_) if open == 0 => return Some(tokens[at].span.start),
            _ if open == 0 => return None,
            _ => {}
        }
    }
    None
}

fn is_keyword(token: &TokenWithSpan, keyword: Keyword) -> bool {
    matches!(&token.token, Token::Word(word) if word.keyword == keyword && word.quote_style.is_none())
}

/// Sets the keywords in the syntax tree.
pub(super) fn restore_materialized(statement: &mut Statement, keywords: MaterializedKeywords) {
    struct KeywordRestorer(MaterializedKeywords);
    impl VisitorMut for KeywordRestorer {
        type Break = ();
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            for table in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
                table.materialized =
                    self.0.remove(&table.alias.name.span.start).or(table.materialized.take());
            }
            ControlFlow::Continue(())
        }
    }
    let _ = VisitMut::visit(statement, &mut KeywordRestorer(keywords));
}
