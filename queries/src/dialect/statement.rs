//! Rewrites the syntax tree of a statement: what PostgreSQL writes with a syntax of its own becomes a call of a function.

use super::overloads::{OF_UTC, REFUSED};
use super::resolve::CAST;
use chrono_tz::Tz;
use datafusion::common::utils::quote_identifier;
use datafusion::common::{Result, plan_err};
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CastKind, CharacterLength, DataType, DateTimeField, ExactNumberInfo, Expr,
    Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    Interval, ObjectName, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr, Statement,
    TableAlias, TableFactor, TimezoneInfo, TypedString, Value, VisitMut, VisitorMut, WindowFrame,
    WindowType, visit_expressions,
};
use datafusion::sql::sqlparser::tokenizer::Span;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// A call of `name`.
fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)));
    Expr::Function(Function {
        name: ObjectName::from(Ident::new(name)),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn text(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).with_span(Span::empty()))
}

fn number(number: i64) -> Expr {
    Expr::Value(Value::Number(number.to_string(), false).with_span(Span::empty()))
}

/// The short name of a type of PostgreSQL, and the numbers behind it. `None` for other types.
fn type_name(data_type: &DataType) -> Option<(String, Vec<i64>)> {
    let plain = |name: &str| Some((name.to_owned(), Vec::new()));
    let number = |number: &u64| i64::try_from(*number).unwrap_or(i64::MAX);
    let digits = |info: &ExactNumberInfo| match info {
        ExactNumberInfo::None => Vec::new(),
        ExactNumberInfo::Precision(digits) => vec![number(digits), 0],
        ExactNumberInfo::PrecisionAndScale(digits, scale) => vec![number(digits), *scale],
    };
    match data_type {
        DataType::Boolean | DataType::Bool => plain("bool"),
        DataType::SmallInt(None) | DataType::Int2(None) => plain("int2"),
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => plain("int4"),
        DataType::BigInt(None) | DataType::Int8(None) => plain("int8"),
        DataType::Real | DataType::Float4 => plain("float4"),
        DataType::Float8 | DataType::DoublePrecision | DataType::Double(ExactNumberInfo::None) => {
            plain("float8")
        }
        DataType::Float(ExactNumberInfo::None) => plain("float8"),
        DataType::Float(ExactNumberInfo::Precision(bits)) => {
            plain(if *bits <= 24 { "float4" } else { "float8" })
        }
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => {
            Some(("numeric".to_owned(), digits(info)))
        }
        DataType::Text | DataType::Varchar(None) | DataType::CharacterVarying(None) => {
            plain("text")
        }
        DataType::Varchar(Some(CharacterLength::IntegerLength { length, .. }))
        | DataType::CharacterVarying(Some(CharacterLength::IntegerLength { length, .. })) => {
            Some(("text".to_owned(), vec![number(length)]))
        }
        DataType::Bytea => plain("bytea"),
        DataType::Date => plain("date"),
        DataType::Time(places, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            Some(("time".to_owned(), places.iter().map(number).collect()))
        }
        DataType::Timestamp(places, zone) => {
            let with_zone = matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz);
            let name = if with_zone { "timestamptz" } else { "timestamp" };
            Some((name.to_owned(), places.iter().map(number).collect()))
        }
        DataType::Interval { fields: None, precision: None } => plain("interval"),
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, None)) => match type_name(item) {
            Some((item, modifiers)) if modifiers.is_empty() => plain(&format!("{item}[]")),
            _ => None,
        },
        _ => None,
    }
}

fn cast(expr: Expr, (name, modifiers): (String, Vec<i64>)) -> Expr {
    let args = [expr, text(&name)].into_iter().chain(modifiers.into_iter().map(number));
    call(CAST, args.collect())
}

/// The text of a literal.
fn literal_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// `INTERVAL '1' DAY` as `INTERVAL '1 day'`. `None` where the fields mean more than a unit.
fn interval(interval: &Interval) -> Option<Expr> {
    let written = literal_text(&interval.value)?;
    if interval.last_field.is_some() || interval.leading_precision.is_some() {
        return None;
    }
    let unit = match &interval.leading_field {
        None => return Some(cast(text(written), ("interval".to_owned(), Vec::new()))),
        Some(DateTimeField::Year) => "year",
        Some(DateTimeField::Month) => "month",
        Some(DateTimeField::Day) => "day",
        Some(DateTimeField::Hour) => "hour",
        Some(DateTimeField::Minute) => "minute",
        Some(DateTimeField::Second) => "second",
        _ => return None,
    };
    written.trim().parse::<i64>().ok()?;
    Some(cast(text(&format!("{written} {unit}")), ("interval".to_owned(), Vec::new())))
}

/// Functions of PostgreSQL that become others.
pub(super) const RENAMED: &[&str] = &[
    "current_date",
    "current_timestamp",
    "every",
    "generate_series",
    "localtime",
    "localtimestamp",
    "regexp_split_to_table",
    "statement_timestamp",
    "string_to_table",
    "transaction_timestamp",
];

/// Refuses functions of the engine that have another meaning in PostgreSQL, and those that do not obey `zone`.
///
/// # Errors
/// An error that names what to use.
pub(super) fn check_functions(statement: &Statement, zone: Tz) -> Result<()> {
    let found = visit_expressions(statement, |expr| {
        let function = match expr {
            Expr::Function(function) if is_cast_to_number(function) => None,
            Expr::Function(function) => function.name.0.last().and_then(|part| part.as_ident()),
            _ => None,
        };
        let Some(name) = function.map(|name| name.value.to_lowercase()) else {
            return if zone != Tz::UTC && is_try_cast_of_time(expr) {
                ControlFlow::Break(("try_cast".to_owned(), "a cast"))
            } else {
                ControlFlow::Continue(())
            };
        };
        let in_zone = OF_UTC.iter().filter(|_| zone != Tz::UTC);
        let refused = REFUSED.iter().chain(in_zone).find(|(refused, _)| *refused == name);
        refused
            .map_or(ControlFlow::Continue(()), |(_, instead)| ControlFlow::Break((name, *instead)))
    });
    match found {
        ControlFlow::Break((name, instead)) => plan_err!(
            "the function {name} is not translated to the meaning of PostgreSQL and the zone of the session; use {instead}"
        ),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// True for `arrow_cast(value, 'Int64')`: the number of microseconds is the same in every zone.
fn is_cast_to_number(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    let target = match list.args.last() {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(target))) => literal_text(target),
        _ => None,
    };
    function.name.to_string().eq_ignore_ascii_case("arrow_cast") && target == Some("Int64")
}

fn is_try_cast_of_time(expr: &Expr) -> bool {
    match expr {
        Expr::Cast { kind: CastKind::TryCast | CastKind::SafeCast, data_type, .. } => {
            type_name(data_type)
                .is_none_or(|(name, _)| name.starts_with("timestamp") || name == "date")
        }
        _ => false,
    }
}

/// What a function without a counterpart of the same name becomes.
fn function(function: &Function) -> Option<Expr> {
    let [part] = function.name.0.as_slice() else { return None };
    let name = part.as_ident()?.value.to_lowercase();
    let args: Vec<Expr> = match &function.args {
        FunctionArguments::List(list) if list.clauses.is_empty() => {
            let plain = |arg: &FunctionArg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            };
            list.args.iter().map(plain).collect::<Option<_>>()?
        }
        FunctionArguments::None => Vec::new(),
        _ => return None,
    };
    let now = || cast(call("now", Vec::new()), ("timestamptz".to_owned(), Vec::new()));
    let as_type = |name: &str| cast(now(), (name.to_owned(), Vec::new()));
    let rows = |name: &str, args: Vec<Expr>| Some(call("unnest", vec![call(name, args)]));
    match (name.as_str(), args.len()) {
        ("current_timestamp" | "transaction_timestamp" | "statement_timestamp", 0) => Some(now()),
        ("localtimestamp", 0) => Some(as_type("timestamp")),
        ("current_date", 0) => Some(as_type("date")),
        ("localtime", 0) => Some(as_type("time")),
        ("age", 1) => Some(call("age", vec![as_type("date"), args.into_iter().next()?])),
        ("generate_series", 2 | 3) => rows("series", args),
        ("regexp_split_to_table", 2 | 3) => rows("regexp_split_to_array", args),
        ("string_to_table", 2 | 3) => rows("string_to_array", args),
        ("every", 1) => {
            let mut renamed = function.clone();
            renamed.name = ObjectName::from(Ident::new("bool_and"));
            Some(Expr::Function(renamed))
        }
        _ => None,
    }
}

/// `ORDER BY 2` by the second result itself, where that has no name: the engine does not find a computed one by its position.
fn order_by_expressions(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let is_plain = |item: &SelectItem| {
        matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
    };
    let Some(OrderBy { kind: OrderByKind::Expressions(order), .. }) = &mut query.order_by else {
        return;
    };
    if !select.projection.iter().all(is_plain) {
        return;
    }
    for by in order {
        let position = match &by.expr {
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) => number.parse::<usize>().ok(),
                _ => None,
            },
            _ => None,
        };
        let item = position.and_then(|at| select.projection.get(at.checked_sub(1)?));
        if let Some(SelectItem::UnnamedExpr(expr @ (Expr::BinaryOp { .. } | Expr::Nested(_)))) =
            item
        {
            by.expr = expr.clone();
        }
    }
}

/// Rewrites expressions from the inside out, and the names of results.
#[derive(Default)]
struct Rewriter {
    /// The window frames of the calls around the expression: the engine reads their bounds as they are written.
    frames: Vec<Option<WindowFrame>>,
}

/// The window frame of a call.
fn frame_of(function: &mut Function) -> Option<&mut Option<WindowFrame>> {
    match &mut function.over {
        Some(WindowType::WindowSpec(window)) => Some(&mut window.window_frame),
        _ => None,
    }
}

impl VisitorMut for Rewriter {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        name_results(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        order_by_expressions(query);
        if let SetExpr::Select(select) = query.body.as_mut() {
            for table in &mut select.from {
                for (at, join) in table.joins.iter_mut().enumerate() {
                    lateral(&mut join.relation, at);
                }
            }
            for (at, table) in select.from.iter_mut().enumerate() {
                if at > 0 {
                    lateral(&mut table.relation, 100 + at);
                } else {
                    series(&mut table.relation);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            self.frames.push(frame_of(function).and_then(Option::take));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let Some(Some(frame)) = self.frames.pop()
            && let Some(place) = frame_of(function)
        {
            *place = Some(frame);
        }
        let rewritten = match expr {
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr,
                data_type,
                array: false,
                format: None,
            } => type_name(data_type).map(|name| cast(expr.as_ref().clone(), name)),
            Expr::TypedString(TypedString { data_type, value, .. }) => {
                match (type_name(data_type), &value.value) {
                    (Some(name), Value::SingleQuotedString(written)) => {
                        Some(cast(text(written), name))
                    }
                    _ => None,
                }
            }
            Expr::Interval(written) => interval(written),
            Expr::AtTimeZone { timestamp, time_zone } => {
                Some(call("timezone", vec![time_zone.as_ref().clone(), timestamp.as_ref().clone()]))
            }
            Expr::AnyOp { left, compare_op, right, .. }
                if !matches!(**right, Expr::Subquery(_)) =>
            {
                Some(call(
                    "any",
                    vec![
                        text(&compare_op.to_string()),
                        left.as_ref().clone(),
                        right.as_ref().clone(),
                    ],
                ))
            }
            Expr::AllOp { left, compare_op, right } if !matches!(**right, Expr::Subquery(_)) => {
                Some(call(
                    "all",
                    vec![
                        text(&compare_op.to_string()),
                        left.as_ref().clone(),
                        right.as_ref().clone(),
                    ],
                ))
            }
            Expr::Function(called) => function(called),
            _ => None,
        };
        if let Some(rewritten) = rewritten {
            *expr = rewritten;
        }
        ControlFlow::Continue(())
    }
}

/// `CROSS JOIN unnest(list) AS u(x)` as `CROSS JOIN LATERAL (SELECT unnest(list) AS x) AS u`. Without a name of its own it has
/// that of the function.
fn lateral(relation: &mut TableFactor, at: usize) {
    let Some((item, alias)) = rows(relation) else { return };
    let column = alias.as_ref().map_or_else(
        || Ident::new("unnest"),
        |alias| {
            alias.columns.first().map_or_else(|| alias.name.clone(), |column| column.name.clone())
        },
    );
    let name = alias.map_or_else(|| Ident::new(format!("unnest_{at}")), |alias| alias.name);
    replace(relation, item, &column, &name, true);
}

/// A series of times at the beginning of FROM, as a subquery.
fn series(relation: &mut TableFactor) {
    let is_series = |name: &ObjectName| name.to_string().eq_ignore_ascii_case("generate_series");
    let (args, named) = match &*relation {
        TableFactor::Table { name, args: Some(args), alias, .. } if is_series(name) => {
            (&args.args, alias.is_some())
        }
        TableFactor::Function { name, args, alias, .. } if is_series(name) => {
            (args, alias.is_some())
        }
        _ => return,
    };
    // The engine makes series of whole numbers row by row.
    let is_number = |arg: &FunctionArg| {
        matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) if matches!(value.value, Value::Number(..)))
            || matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::UnaryOp { .. })))
    };
    if args.iter().all(is_number) && !named {
        return;
    }
    let Some((item, alias)) = rows(relation) else { return };
    let default = || Ident::new("generate_series");
    let column = alias.as_ref().map_or_else(default, |alias| {
        alias.columns.first().map_or_else(|| alias.name.clone(), |column| column.name.clone())
    });
    let name = alias.map_or_else(default, |alias| alias.name);
    replace(relation, item, &column, &name, false);
}

/// The expression whose rows `relation` is, and its name.
fn rows(relation: &TableFactor) -> Option<(Expr, Option<TableAlias>)> {
    let (name, args, alias) = match relation {
        TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset: false,
            with_ordinality: false,
            ..
        } => {
            let [list] = array_exprs.as_slice() else { return None };
            return Some((call("unnest", vec![list.clone()]), alias.clone()));
        }
        TableFactor::Table { name, args: Some(args), alias, with_ordinality: false, .. } => {
            (name, &args.args, alias)
        }
        TableFactor::Function { name, args, alias, with_ordinality: false, .. } => {
            (name, args, alias)
        }
        _ => return None,
    };
    let lower = name.to_string().to_lowercase();
    if !["unnest", "generate_series", "regexp_split_to_table", "string_to_table"]
        .contains(&lower.as_str())
    {
        return None;
    }
    let plain = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    Some((call(&lower, args.iter().map(plain).collect::<Option<_>>()?), alias.clone()))
}

fn replace(relation: &mut TableFactor, item: Expr, column: &Ident, name: &Ident, lateral: bool) {
    let quoted = |ident: &Ident| {
        if ident.quote_style.is_some() {
            ident.to_string()
        } else {
            quote_identifier(&ident.value.to_lowercase()).into_owned()
        }
    };
    let sql = format!("SELECT NULL AS {}", quoted(column));
    let dialect = datafusion::sql::sqlparser::dialect::PostgreSqlDialect {};
    let Ok(statements) = datafusion::sql::sqlparser::parser::Parser::parse_sql(&dialect, &sql)
    else {
        return;
    };
    let Some(Statement::Query(mut query)) = statements.into_iter().next() else { return };
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(SelectItem::ExprWithAlias { expr, .. }) = select.projection.first_mut()
    {
        *expr = item;
    }
    *relation = TableFactor::Derived {
        lateral,
        subquery: query,
        alias: Some(TableAlias {
            explicit: true,
            name: name.clone(),
            columns: Vec::new(),
            at: None,
        }),
        sample: None,
    };
}

/// The column that an expression is named after, and the type that it is cast to.
fn base_name(expr: &Expr) -> Option<(Ident, Option<String>)> {
    match expr {
        Expr::Identifier(ident) => Some((ident.clone(), None)),
        Expr::CompoundIdentifier(parts) => parts.last().map(|ident| (ident.clone(), None)),
        Expr::Nested(inner) => base_name(inner),
        Expr::Cast { expr, data_type, .. } => {
            let (base, _) = base_name(expr)?;
            Some((base, Some(type_name(data_type)?.0)))
        }
        _ => None,
    }
}

/// Names results as PostgreSQL does where the engine would give two of them one name, or a cast none.
fn name_results(select: &mut Select) {
    let wildcard = select
        .projection
        .iter()
        .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let shown = |ident: &Ident| {
        if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
    };
    for item in &select.projection {
        match item {
            SelectItem::ExprWithAlias { alias, .. } => {
                taken.insert(shown(alias));
            }
            SelectItem::UnnamedExpr(expr @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_))) => {
                taken.extend(base_name(expr).map(|(base, _)| shown(&base)));
            }
            _ => {}
        }
    }
    let mut written = BTreeSet::new();
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let base = base_name(expr);
        let again = !written.insert(expr.to_string());
        let wanted = match &base {
            Some((base, Some(_))) if !wildcard && !taken.contains(&shown(base)) => shown(base),
            Some((base, Some(type_))) => format!("{}_{type_}", shown(base)),
            _ if again => {
                base.as_ref().map_or_else(|| function_name(expr), |(base, _)| shown(base))
            }
            _ => continue,
        };
        let mut name = wanted.clone();
        let mut count = 2;
        while !taken.insert(name.clone()) {
            name = format!("{wanted}_{count}");
            count += 1;
        }
        *item =
            SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
    }
}

fn function_name(expr: &Expr) -> String {
    match expr {
        Expr::Function(function) => function.name.to_string().to_lowercase(),
        _ => "column".to_owned(),
    }
}

/// Rewrites `statement`.
pub(super) fn rewrite(statement: &mut Statement) {
    let _complete = VisitMut::visit(statement, &mut Rewriter::default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    #[test]
    fn syntax_of_its_own_becomes_calls() {
        for (sql, expected) in [
            ("SELECT a::date FROM t", "SELECT cast_as(a, 'date') AS \"a\" FROM t"),
            ("SELECT a, a::date FROM t", "SELECT a, cast_as(a, 'date') AS \"a_date\" FROM t"),
            ("SELECT count(*), count(*) FROM t", "SELECT count(*), count(*) AS \"count\" FROM t"),
            ("SELECT x AT TIME ZONE 'UTC' FROM t", "SELECT timezone('UTC', x) FROM t"),
            ("SELECT INTERVAL '1' DAY", "SELECT cast_as('1 day', 'interval')"),
            (
                "SELECT 1 FROM t CROSS JOIN unnest(t.l) AS u(x)",
                "SELECT 1 FROM t CROSS JOIN LATERAL (SELECT unnest(t.l) AS x) AS u",
            ),
        ] {
            let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).expect(sql).remove(0);
            rewrite(&mut statement);
            assert_eq!(statement.to_string(), expected);
        }
    }
}
