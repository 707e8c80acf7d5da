//! Why a query gives an event, or why not: each condition on the way, with what was seen.

use crate::limits::SessionError;
use crate::session::Session;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, col, lit,
};
use datafusion::sql::unparser::expr_to_sql;

/// One condition of a query and what it says of an event.
#[derive(Debug, Clone)]
pub struct Condition {
    /// As written, in SQL.
    pub sql: String,
    /// True where it is fulfilled, `None` where that is not known (NULL).
    pub holds: Option<bool>,
    /// What it looks at, with the values seen: columns, and what is compared.
    pub seen: Vec<(String, String)>,
    /// What would have to change for it to hold; `None` where it holds or is no plain comparison.
    pub wanted: Option<String>,
}

/// A WHERE of a query, or of one of its parts, in the order in which rows pass them.
#[derive(Debug, Clone)]
pub struct Step {
    /// Name of the part of the query it stands in; `None` for the query itself.
    pub part: Option<String>,
    /// Its conditions, all of which must hold; empty where the event does not come as far.
    pub conditions: Vec<Condition>,
}

impl Step {
    /// True where the event passes.
    #[must_use]
    pub fn passes(&self) -> bool {
        !self.conditions.is_empty()
            && self.conditions.iter().all(|condition| condition.holds == Some(true))
    }
}

/// What each step of `sql` says of the event with the key `event_key`. A part of the query that does not hold the event's key (a count
/// of its own, say) is no step.
///
/// # Errors
/// [`SessionError`] where the query is no SQL or breaks.
pub async fn explain(
    session: &Session,
    sql: &str,
    event_key: &[u8],
) -> Result<Vec<Step>, SessionError> {
    let (_, plan) = session.sql(sql).await?.into_parts();
    let mut filters = Vec::new();
    collect(&plan, None, &mut filters);
    let mut steps = Vec::new();
    for (part, filter) in filters {
        steps.extend(step(session, part, &filter, event_key).await?);
    }
    Ok(steps)
}

/// The filters of `plan` in the order in which rows pass them, with the part of the query each stands in. A part that is used several
/// times is there once.
fn collect(plan: &LogicalPlan, part: Option<&str>, filters: &mut Vec<(Option<String>, Filter)>) {
    let part = match plan {
        LogicalPlan::SubqueryAlias(alias) => Some(alias.alias.table()),
        _ => part,
    };
    for input in plan.inputs() {
        collect(input, part, filters);
    }
    if let LogicalPlan::Filter(filter) = plan
        && !filters.iter().any(|(_, known)| known == filter)
    {
        filters.push((part.map(str::to_owned), filter.clone()));
    }
}

async fn step(
    session: &Session,
    part: Option<String>,
    filter: &Filter,
    event_key: &[u8],
) -> Result<Option<Step>, SessionError> {
    let key = filter.input.schema().columns().into_iter().find(|column| column.name == "event_key");
    let Some(key) = key else { return Ok(None) };
    let conditions: Vec<&Expr> = split_conjunction(&filter.predicate);
    let mut asked: Vec<Expr> = Vec::new();
    let mut looked_at: Vec<Vec<(String, usize)>> = Vec::new();
    for condition in &conditions {
        asked.push((*condition).clone().alias(format!("c{}", asked.len())));
        let mut places = Vec::new();
        for part in parts(condition) {
            places.push((shown(&part), asked.len()));
            asked.push(part.alias(format!("c{}", asked.len())));
        }
        looked_at.push(places);
    }
    let input = LogicalPlanBuilder::from(filter.input.as_ref().clone());
    let plan = input.filter(col(key).eq(lit(event_key.to_vec())))?.project(asked)?.build()?;
    let batches = session.context().execute_logical_plan(plan).await?.collect().await?;
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    // An event may be there several times, once for each instance it names: the one that comes farthest tells.
    let read = |(batch, row)| read(&conditions, &looked_at, batch, row);
    let best = rows.map(read).max_by_key(|conditions| {
        conditions.iter().filter(|condition| condition.holds == Some(true)).count()
    });
    Ok(Some(Step { part, conditions: best.unwrap_or_default() }))
}

/// What a condition looks at: its columns, and what it compares where that is more than a column.
fn parts(condition: &Expr) -> Vec<Expr> {
    let mut parts: Vec<Expr> = match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, .. }) if op.supports_propagation() => {
            vec![left.as_ref().clone()]
        }
        Expr::InList(list) => vec![list.expr.as_ref().clone()],
        Expr::Like(like) => vec![like.expr.as_ref().clone()],
        _ => Vec::new(),
    };
    let mut columns: Vec<_> =
        condition.column_refs().into_iter().cloned().map(Expr::Column).collect();
    columns.sort_by_key(ToString::to_string);
    columns.retain(|column| !parts.contains(column));
    parts.extend(columns);
    parts
}

fn shown(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        _ => sql(expr),
    }
}

/// The expression as SQL, without the names of tables.
fn sql(expr: &Expr) -> String {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let plain = expr.clone().transform(|expr| {
        Ok(match expr {
            Expr::Column(column) => Transformed::yes(Expr::Column(
                datafusion::common::Column::new_unqualified(column.name),
            )),
            other => Transformed::no(other),
        })
    });
    let plain = plain.map_or_else(|_| expr.clone(), |plain| plain.data);
    let text = expr_to_sql(&plain).map_or_else(|_| plain.to_string(), |sql| sql.to_string());
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    // Only where they belong to each other.
    let balanced = |text: &str| {
        let mut depth = 0_i32;
        text.chars().all(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth >= 0
        })
    };
    inner.filter(|inner| balanced(inner)).map_or_else(|| text.clone(), str::to_owned)
}

fn read(
    conditions: &[&Expr],
    looked_at: &[Vec<(String, usize)>],
    batch: &RecordBatch,
    row: usize,
) -> Vec<Condition> {
    let mut at = 0;
    let mut found = Vec::new();
    for (condition, places) in conditions.iter().zip(looked_at) {
        let column = batch.column(at);
        let holds = column
            .as_boolean_opt()
            .filter(|values| values.is_valid(row))
            .map(|values| values.value(row));
        let seen: Vec<(String, String)> =
            places.iter().map(|(name, place)| (name.clone(), value(batch, *place, row))).collect();
        let wanted = if holds == Some(true) { None } else { wanted(condition, &seen) };
        found.push(Condition { sql: sql(condition), holds, seen, wanted });
        at += 1 + places.len();
    }
    found
}

fn value(batch: &RecordBatch, column: usize, row: usize) -> String {
    let column = batch.column(column);
    if column.is_null(row) {
        return "NULL (not known)".to_owned();
    }
    if let Some(bytes) = column.as_binary_opt::<i32>() {
        return bytes.value(row).iter().map(|byte| format!("{byte:02x}")).collect();
    }
    let shown = ArrayFormatter::try_new(column, &FormatOptions::default())
        .map(|formatter| formatter.value(row).to_string());
    shown.unwrap_or_else(|error| format!("({error})"))
}

/// What would have to change for a plain comparison to hold.
fn wanted(condition: &Expr, seen: &[(String, String)]) -> Option<String> {
    let (name, value) = seen.first()?;
    let wanted = match condition {
        Expr::BinaryExpr(BinaryExpr { op: Operator::Or | Operator::And, .. }) => return None,
        Expr::BinaryExpr(BinaryExpr { op, right, .. }) if op.supports_propagation() => {
            format!("{op} {}", sql(right))
        }
        Expr::InList(list) => {
            let entries: Vec<String> = list.list.iter().map(sql).collect();
            format!("{} of {}", if list.negated { "none" } else { "one" }, entries.join(", "))
        }
        Expr::Like(like) => {
            format!("{}like {}", if like.negated { "not " } else { "" }, sql(&like.pattern))
        }
        Expr::IsNotNull(_) => "known".to_owned(),
        Expr::IsNull(_) => "not known".to_owned(),
        _ => return None,
    };
    Some(format!("{name} would have to be {wanted}; it is {value}"))
}
