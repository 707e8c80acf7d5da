//! `AS MATERIALIZED` and `AS NOT MATERIALIZED`, which the parser knows in PostgreSQL's dialect alone: taken out of the tokens before it reads
//! them, and noted in the tree after.

use datafusion::sql::sqlparser::ast::{CteAsMaterialized, Query, Statement, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

/// What is said of the names that stand at these places.
pub(super) type Said = HashMap<Location, CteAsMaterialized>;

/// Takes the words out of `tokens`.
pub(super) fn taken_out(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Said) {
    let words: Vec<usize> =
        (0..tokens.len()).filter(|&at| !matches!(tokens[at].token, Token::Whitespace(_))).collect();
    let word_is =
        |word: usize, keyword| words.get(word).is_some_and(|&at| is(&tokens[at], keyword));
    let (mut said, mut out) = (Said::new(), HashSet::<usize>::new());
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
        if let Some(place) = name(&tokens, &words[..before]) {
            said.insert(
                place,
                if not {
                    CteAsMaterialized::NotMaterialized
                } else {
                    CteAsMaterialized::Materialized
                },
            );
            out.extend(&words[before + 1..=word]);
        }
    }
    let kept =
        tokens.into_iter().enumerate().filter(|(at, _)| !out.contains(at)).map(|(_, token)| token);
    (kept.collect(), said)
}

/// Where the name stands that ends with the last of `before`, or has its columns there.
fn name(tokens: &[TokenWithSpan], before: &[usize]) -> Option<Location> {
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

fn is(token: &TokenWithSpan, keyword: Keyword) -> bool {
    matches!(&token.token, Token::Word(word) if word.keyword == keyword && word.quote_style.is_none())
}

/// Notes in the tree what was said.
pub(super) fn note(statement: &mut Statement, said: Said) {
    struct Notes(Said);
    impl VisitorMut for Notes {
        type Break = ();
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            for table in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
                table.materialized =
                    self.0.remove(&table.alias.name.span.start).or(table.materialized.take());
            }
            ControlFlow::Continue(())
        }
    }
    let _ = VisitMut::visit(statement, &mut Notes(said));
}
