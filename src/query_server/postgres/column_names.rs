//! The names of the columns that a query returns, as PostgreSQL calls them: a function gives its
//! name to its column, and an expression without a name is `?column?`.

use super::answers::ALIAS_PREFIX;
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Ident, Query, SelectItem, SetExpr, Statement,
};
use std::collections::BTreeSet;

/// The name of a column without one.
const NO_NAME: &str = "?column?";

/// The names of the columns of a query; `None` where they follow from its tables.
pub(super) fn column_names(statement: &Statement) -> Option<Vec<String>> {
    let Statement::Query(query) = statement else { return None };
    of_query(query)
}

fn of_query(query: &Query) -> Option<Vec<String>> {
    let mut body = query.body.as_ref();
    while let SetExpr::SetOperation { left, .. } = body {
        body = left;
    }
    match body {
        SetExpr::Select(select) => select.projection.iter().map(of_item).collect(),
        SetExpr::Query(query) => of_query(query),
        _ => None,
    }
}

fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

fn of_item(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::UnnamedExpr(expr) => Some(of_expr(expr).unwrap_or_else(|| NO_NAME.to_owned())),
        _ => None,
    }
}

/// The name that an expression gives to its column.
fn of_expr(expr: &Expr) -> Option<String> {
    let fixed = |name: &str| Some(name.to_owned());
    match expr {
        Expr::Identifier(name) => Some(folded(name)),
        Expr::CompoundIdentifier(names) => names.last().map(folded),
        Expr::Function(function) => Some(folded(function.name.0.last()?.as_ident()?)),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => of_expr(inner),
        Expr::CompoundFieldAccess { root, .. } => of_expr(root),
        Expr::Cast { expr, data_type, .. } => of_expr(expr).or_else(|| Some(of_type(data_type))),
        Expr::TypedString(typed) => Some(of_type(&typed.data_type)),
        Expr::Interval(_) => fixed("interval"),
        Expr::Case { else_result, .. } => {
            let of_else = else_result.as_deref().and_then(|result| match result {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => of_expr(result),
                _ => None,
            });
            of_else.or_else(|| fixed("case"))
        }
        Expr::Extract { .. } => fixed("extract"),
        Expr::Ceil { .. } => fixed("ceil"),
        Expr::Floor { .. } => fixed("floor"),
        Expr::Position { .. } => fixed("position"),
        Expr::Substring { .. } => fixed("substring"),
        Expr::Overlay { .. } => fixed("overlay"),
        Expr::Trim { .. } => fixed("btrim"),
        Expr::AtTimeZone { .. } => fixed("timezone"),
        Expr::Exists { .. } => fixed("exists"),
        Expr::Array(_) => fixed("array"),
        Expr::Tuple(_) => fixed("row"),
        Expr::Subquery(query) => of_query(query)?.into_iter().next().filter(|name| name != NO_NAME),
        _ => None,
    }
}

/// The name of a type in the catalogue.
fn of_type(datatype: &DataType) -> String {
    let written = datatype.to_string().to_lowercase();
    let plain = written.split('(').next().unwrap_or(&written).trim();
    let plain = plain.strip_prefix("pg_catalog.").unwrap_or(plain);
    match plain {
        "int" | "integer" => "int4",
        "smallint" => "int2",
        "bigint" => "int8",
        "real" | "float4" => "float4",
        "double precision" | "float" | "double" => "float8",
        "boolean" => "bool",
        "character varying" => "varchar",
        "decimal" => "numeric",
        "timestamp with time zone" => "timestamptz",
        "timestamp without time zone" => "timestamp",
        other => other.trim_end_matches("[]"),
    }
    .to_owned()
}

/// Gives columns that are selected twice names of their own, which the engine needs. The client
/// sees the names of [`column_names`].
pub(super) fn tell_apart(statement: &mut Statement) {
    let Statement::Query(query) = statement else { return };
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let mut seen = BTreeSet::new();
    for (number, item) in select.projection.iter_mut().enumerate() {
        let key = match &*item {
            SelectItem::UnnamedExpr(expr) => expr.to_string(),
            SelectItem::ExprWithAlias { alias, .. } => folded(alias),
            _ => continue,
        };
        if seen.insert(key) {
            continue;
        }
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            let alias = Ident::with_quote('"', format!("{ALIAS_PREFIX}{number}"));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    #[test]
    fn columns_are_called_as_in_postgresql() {
        let names = |sql: &str| {
            let statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).expect("SQL").remove(0);
            column_names(&statement)
        };
        let named = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(
            names("SELECT 1, count(*), upper(a), e.User_Name, \"X\", a || 'x', a AS B, $1"),
            named(&["?column?", "count", "upper", "user_name", "X", "?column?", "b", "?column?"])
        );
        assert_eq!(
            names(
                "SELECT 1::int, a::text, 'x'::varchar(3), date '2026-01-01', interval '1 day', CASE WHEN a THEN 1 END"
            ),
            named(&["int4", "a", "varchar", "date", "interval", "case"])
        );
        assert_eq!(
            names(
                "SELECT extract(hour FROM t), (SELECT max(x) FROM y), ARRAY[1], coalesce(a, b), -a UNION SELECT 1, 2, 3, 4, 5"
            ),
            named(&["extract", "max", "array", "coalesce", "?column?"])
        );
        assert_eq!(names("SELECT *, 1 FROM events"), None);
        let mut twice = Parser::parse_sql(&PostgreSqlDialect {}, "SELECT 1, 1, a AS b, c AS b")
            .expect("SQL")
            .remove(0);
        tell_apart(&mut twice);
        assert_eq!(twice.to_string(), "SELECT 1, 1 AS \"__alias_1\", a AS b, c AS \"__alias_3\"");
    }
}
