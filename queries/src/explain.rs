//! Explains why a query does or does not return an event: evaluates each condition of each filter
//! on that event.

use crate::limits::SessionError;
use crate::session::Session;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, col, lit,
};
use datafusion::sql::unparser::expr_to_sql;

/// A condition of a filter, evaluated on one event.
#[derive(Debug, Clone)]
pub struct ConditionResult {
    /// The condition, as SQL.
    pub sql: String,
    /// Whether it holds; `None` where it evaluates to NULL.
    pub holds: Option<bool>,
    /// Name and value of each column and expression that the condition compares.
    pub seen: Vec<(String, String)>,
    /// What the first value would have to be for the condition to hold. `None` where the condition
    /// holds, or is not a simple comparison.
    pub required: Option<String>,
}

/// A filter of a query (WHERE, HAVING or a join condition), evaluated on one event. Filters come in
/// the order in which rows pass them.
#[derive(Debug, Clone)]
pub struct FilterStep {
    /// Name of the common table expression or subquery that holds the filter; `None` for the query
    /// itself.
    pub part: Option<String>,
    /// Its conditions, all of which must hold. Empty where the event does not reach the filter.
    pub conditions: Vec<ConditionResult>,
}

impl FilterStep {
    /// True where the event passes the filter.
    #[must_use]
    pub fn passes(&self) -> bool {
        !self.conditions.is_empty()
            && self.conditions.iter().all(|condition| condition.holds == Some(true))
    }
}

/// Evaluates each filter of `sql` on the event with the key `event_key`. Filters over rows without
/// the column `event_key`, such as those above an aggregation, are left out.
///
/// # Errors
/// [`SessionError`] where the query is not valid SQL or fails.
pub async fn explain(
    session: &Session,
    sql: &str,
    event_key: &[u8],
) -> Result<Vec<FilterStep>, SessionError> {
    let (_, plan) = session.sql(sql).await?.into_parts();
    let mut filters = Vec::new();
    collect_filters(&plan, None, &mut filters);
    let mut steps = Vec::new();
    for (part, filter) in filters {
        steps.extend(evaluate_filter(session, part, &filter, event_key).await?);
    }
    Ok(steps)
}

/// Collects the filters of `plan` in the order in which rows pass them, each with the common table
/// expression that holds it. A filter that occurs several times is collected once.
fn collect_filters(
    plan: &LogicalPlan,
    part: Option<&str>,
    filters: &mut Vec<(Option<String>, Filter)>,
) {
    let part = match plan {
        LogicalPlan::SubqueryAlias(alias) => Some(alias.alias.table()),
        _ => part,
    };
    for input in plan.inputs() {
        collect_filters(input, part, filters);
    }
    if let LogicalPlan::Filter(filter) = plan
        && !filters.iter().any(|(_, known)| known == filter)
    {
        filters.push((part.map(str::to_owned), filter.clone()));
    }
}

/// Evaluates the conditions of `filter` on the rows of its input that have this `event_key`. `None`
/// where the input has no column `event_key`.
async fn evaluate_filter(
    session: &Session,
    part: Option<String>,
    filter: &Filter,
    event_key: &[u8],
) -> Result<Option<FilterStep>, SessionError> {
    let key = filter.input.schema().columns().into_iter().find(|column| column.name == "event_key");
    let Some(key) = key else { return Ok(None) };
    let conditions: Vec<&Expr> = split_conjunction(&filter.predicate);
    let mut projected: Vec<Expr> = Vec::new();
    let mut expressions: Vec<Vec<(String, usize)>> = Vec::new();
    for condition in &conditions {
        projected.push((*condition).clone().alias(format!("c{}", projected.len())));
        let mut outputs = Vec::new();
        for part in compared_expressions(condition) {
            outputs.push((label(&part), projected.len()));
            projected.push(part.alias(format!("c{}", projected.len())));
        }
        expressions.push(outputs);
    }
    let input = LogicalPlanBuilder::from(filter.input.as_ref().clone());
    let plan = input.filter(col(key).eq(lit(event_key.to_vec())))?.project(projected)?.build()?;
    let batches = session.context().execute_logical_plan(plan).await?.collect().await?;
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    // An event can have several rows here, such as one for each instance it names. The row that
    // fulfils most conditions is shown.
    let read_row = |(batch, row)| read_row(&conditions, &expressions, batch, row);
    let best = rows.map(read_row).max_by_key(|conditions| {
        conditions.iter().filter(|condition| condition.holds == Some(true)).count()
    });
    Ok(Some(FilterStep { part, conditions: best.unwrap_or_default() }))
}

/// The expressions to show for a condition: the compared expression, and every column it reads.
fn compared_expressions(condition: &Expr) -> Vec<Expr> {
    let mut compared_expressions: Vec<Expr> = match condition {
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
    columns.retain(|column| !compared_expressions.contains(column));
    compared_expressions.extend(columns);
    compared_expressions
}

/// Label of an expression: the name of a column, else the SQL.
fn label(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        _ => sql(expr),
    }
}

/// The expression as SQL, without table names and without outer parentheses.
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
    // Only where the first and last parenthesis are a pair.
    let balanced = |text: &str| {
        let mut depth = 0_i32;
        text.chars().all(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth >= 0
        })
    };
    inner.filter(|inner| balanced(inner)).map_or_else(|| text.clone(), str::to_owned)
}

/// The evaluated conditions of one result row. `expressions` has the labels and column indices of the
/// expressions of each condition.
fn read_row(
    conditions: &[&Expr],
    expressions: &[Vec<(String, usize)>],
    batch: &RecordBatch,
    row: usize,
) -> Vec<ConditionResult> {
    let mut at = 0;
    let mut found = Vec::new();
    for (condition, outputs) in conditions.iter().zip(expressions) {
        let column = batch.column(at);
        let holds = column
            .as_boolean_opt()
            .filter(|values| values.is_valid(row))
            .map(|values| values.value(row));
        let seen: Vec<(String, String)> = outputs
            .iter()
            .map(|(name, output)| (name.clone(), value(batch, *output, row)))
            .collect();
        let required = if holds == Some(true) { None } else { required_value(condition, &seen) };
        found.push(ConditionResult { sql: sql(condition), holds, seen, required });
        at += 1 + outputs.len();
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
    let label = ArrayFormatter::try_new(column, &FormatOptions::default())
        .map(|formatter| formatter.value(row).to_string());
    label.unwrap_or_else(|error| format!("({error})"))
}

/// Returns a sentence with the value that the first operand of a simple comparison must have for
/// the comparison to be true.
fn required_value(condition: &Expr, seen: &[(String, String)]) -> Option<String> {
    let (name, value) = seen.first()?;
    let required = match condition {
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
    Some(format!("{name} would have to be {required}; it is {value}"))
}
