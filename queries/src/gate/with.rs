//! `AS MATERIALIZED` and `AS NOT MATERIALIZED`, which the parser knows in PostgreSQL's dialect alone: taken out of the tokens before it reads
//! them, and noted in the tree after.

use datafusion::sql::sqlparser::ast::{CteAsMaterialized, Query, Statement, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// What is said of the names that stand at these places.
pub(super) type Said = HashMap<Location, CteAsMaterialized>;

/// Takes the words out of `tokens`.
pub(super) fn taken_out(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Said) {
    let (mut kept, mut said): (Vec<TokenWithSpan>, _) = (Vec::with_capacity(tokens.len()), Said::new());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let opens = tokens.clone().find(|next| !is_space(next)).is_some_and(|next| next.token == Token::LParen);
        if !(is(&token, Keyword::MATERIALIZED) && opens) {
            kept.push(token);
            continue;
        }
        let mut before: Vec<usize> = (0..kept.len()).filter(|&at| !is_space(&kept[at])).collect();
        let not = before.last().copied().filter(|&at| is(&kept[at], Keyword::NOT));
        if not.is_some() {
            before.pop();
        }
        let follows = before.pop().is_some_and(|at| is(&kept[at], Keyword::AS));
        match name(&kept, &before).filter(|_| follows) {
            Some(place) => {
                let what = if not.is_some() { CteAsMaterialized::NotMaterialized } else { CteAsMaterialized::Materialized };
                said.insert(place, what);
                if let Some(not) = not {
                    kept.remove(not);
                }
            }
            None => kept.push(token),
        }
    }
    (kept, said)
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

fn is_space(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

/// Notes in the tree what was said.
pub(super) fn note(statement: &mut Statement, said: Said) {
    struct Notes(Said);
    impl VisitorMut for Notes {
        type Break = ();
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            for table in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
                table.materialized = self.0.remove(&table.alias.name.span.start).or(table.materialized.take());
            }
            ControlFlow::Continue(())
        }
    }
    let _ = VisitMut::visit(statement, &mut Notes(said));
}
