//! The events that a rule cannot judge, because a fact that it reads was not understood.
//!
//! Example: a rule's prefilter is `event_action = 'createuser' AND outcome = 'success'`. For an
//! event whose outcome was not understood, the second part may hold or not. So the event may
//! concern the rule if the first part holds: the condition becomes
//! `event_action = 'createuser' AND (outcome = 'success' OR <outcome not understood>)`.

use crate::finding::match_rows::JUDGEMENT_COLUMNS;
use crate::scan::predicate_set::EventPredicate;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::sql::sqlparser::ast::{SelectItem, SetExpr, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use std::collections::{BTreeMap, BTreeSet};
use trailhound_datasets::columns::{COLUMNS, ColumnType, Origin, facts_of};
use trailhound_datasets::event::Flag;
use trailhound_datasets::fact::FactSet;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::Rule;
use trailhound_queries::session::Session;

/// Columns that hold the text of an object. The text is there even if it was not understood.
const OBJECT_TEXTS: [&str; 5] = [
    "request_parameters",
    "request_parameter_json",
    "response_elements",
    "additional_event_data",
    "referenced_resources",
];

/// The events that a rule cannot judge, as a condition.
#[derive(Debug)]
pub(super) struct RuleDoubt {
    /// The events that may concern the rule.
    pub(super) predicate: EventPredicate,
    /// The facts that the rule reads to decide.
    pub(super) facts: FactSet,
}

impl RuleDoubt {
    /// The events that `rule` cannot judge; `None` where it reads none of the facts `marked`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where its prefilter is not a condition on `events`.
    pub(super) fn of(
        rule: &Rule,
        session: &Session,
        marked: FactSet,
    ) -> Result<Option<Self>, SessionError> {
        let columns = deciding_columns(rule);
        let mut facts = FactSet::default();
        columns.iter().flat_map(|column| facts_of(column)).for_each(|fact| facts.insert(fact));
        if !facts.intersects(marked) {
            return Ok(None);
        }
        let mut unread = BTreeMap::new();
        for column in &columns {
            if let Some(sql) = unread_condition(column) {
                unread.insert(*column, EventPredicate::parse(session, &sql)?);
            }
        }
        let any = unread.values().cloned().reduce(|a, b| joined(a, Operator::Or, b));
        let Some(any) = any else { return Ok(None) };
        let prefilter = rule.prefilter.as_deref().unwrap_or("true");
        let widened = may_be(EventPredicate::parse(session, prefilter)?, true, &unread);
        let predicate =
            EventPredicate::compile(session, joined(widened, Operator::And, any), prefilter)?;
        Ok(Some(Self { predicate, facts }))
    }
}

/// The condition under which `expr` may be true (`wanted`) or may be false. `unread` has, for a
/// column, the condition under which its value is unknown.
fn may_be(expr: Expr, wanted: bool, unread: &BTreeMap<&str, Expr>) -> Expr {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let needs_both = (op == Operator::And) == wanted;
            joined(
                may_be(*left, wanted, unread),
                if needs_both { Operator::And } else { Operator::Or },
                may_be(*right, wanted, unread),
            )
        }
        Expr::Not(inner) => may_be(*inner, !wanted, unread),
        atom => {
            let doubts: Vec<Expr> = atom
                .column_refs()
                .iter()
                .filter_map(|column| unread.get(column.name.as_str()).cloned())
                .collect();
            let own = if wanted { atom } else { Expr::Not(Box::new(atom)) };
            doubts.into_iter().fold(own, |all, doubt| joined(all, Operator::Or, doubt))
        }
    }
}

fn joined(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// The SQL condition under which the value of `column` is unknown; `None` for a column that no
/// fact feeds.
///
/// The mark is that of a whole fact. A single text that was read although another member of the
/// fact was not is known, unless the event gives it twice.
fn unread_condition(column: &str) -> Option<String> {
    let marks: Vec<String> = facts_of(column)
        .map(|fact| format!("array_has(flags, '{}')", Flag::not_understood(fact).name()))
        .collect();
    if marks.is_empty() {
        return None;
    }
    let marks = format!("({})", marks.join(" OR "));
    Some(if is_single_text(column) {
        format!("{marks} AND ({column} IS NULL OR array_has(flags, 'duplicate_key'))")
    } else {
        marks
    })
}

/// True for a column that holds one member of the event as it was sent.
fn is_single_text(column: &str) -> bool {
    column == "event_action"
        || COLUMNS.iter().any(|known| {
            known.name == column
                && known.data_type == ColumnType::Text
                && matches!(known.origin, Origin::Sent(_))
                && !OBJECT_TEXTS.contains(&column)
                // An error that was not read is not a success.
                && !column.starts_with("error_")
        })
}

/// The columns of `events` that decide whether the rule matches: those that its prefilter and its
/// query name, without those that the query only shows.
fn deciding_columns(rule: &Rule) -> BTreeSet<&'static str> {
    let sql = without_judgement(&rule.sql).unwrap_or_else(|| rule.sql.clone());
    let text = format!("{} {sql}", rule.prefilter.as_deref().unwrap_or_default()).to_lowercase();
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    COLUMNS.iter().map(|column| column.name).filter(|name| words.contains(name)).collect()
}

/// The query without the result columns that judge a match (`why`, `unknowns`, ...); `None` where
/// it cannot be parsed.
fn without_judgement(sql: &str) -> Option<String> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, sql).ok()?;
    let Some(Statement::Query(query)) = statements.first_mut() else { return None };
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection.retain(|item| {
            !matches!(item, SelectItem::ExprWithAlias { alias, .. }
                if JUDGEMENT_COLUMNS.contains(&alias.value.as_str()))
        });
    }
    Some(query.to_string())
}

/// The facts that the flags of an event name as not understood.
pub(super) fn marked_facts<'f>(flags: impl Iterator<Item = &'f str>) -> FactSet {
    let mut facts = FactSet::default();
    for name in flags {
        let flag = Flag::ALL.into_iter().find(|(_, known)| *known == name);
        if let Some(fact) = flag.and_then(|(flag, _)| flag.fact()) {
            facts.insert(fact);
        }
    }
    facts
}
