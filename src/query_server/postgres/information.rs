//! What clients ask of `information_schema`, where the engine answers in its own terms: Grafana's builder lists no table and takes a time for a text.

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, SelectItem, SetExpr, Statement, Value, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use std::ops::ControlFlow;

/// The schema that all tables are in.
const SCHEMA: &str = "public";
/// The column that names types.
const DATA_TYPE: &str = "data_type";
/// The function that gives them the names that PostgreSQL has for them.
pub(super) const SQL_TYPE: &str = "sql_type";

/// Puts PostgreSQL's terms into a question to `information_schema`; leaves every other as it is.
pub(super) fn translate(statement: &mut Statement) {
    let text = statement.to_string().to_lowercase();
    if text.contains("information_schema.tables") {
        tables_of_the_search_path(statement);
    }
    if text.contains("information_schema.columns") {
        names_of_types(statement);
    }
}

/// The search path is asked for by a subquery; the engine's layer for PostgreSQL puts nothing in its place, and so no table would be listed.
fn tables_of_the_search_path(statement: &mut Statement) {
    let _ = visit_expressions_mut(statement, |expr| {
        if let Expr::InList { expr, list, negated: false } = expr
            && expr.to_string().eq_ignore_ascii_case("quote_ident(table_schema)")
            && let [Expr::Value(value)] = list.as_mut_slice()
            && matches!(&value.value, Value::SingleQuotedString(text) if text.is_empty())
        {
            value.value = Value::SingleQuotedString(SCHEMA.to_owned());
        }
        ControlFlow::<()>::Continue(())
    });
}

fn names_of_types(statement: &mut Statement) {
    let named = |expr: &Expr| match expr {
        Expr::Identifier(name) => name.value == DATA_TYPE,
        Expr::CompoundIdentifier(names) => names.last().is_some_and(|name| name.value == DATA_TYPE),
        _ => false,
    };
    if let Statement::Query(query) = statement
        && let SetExpr::Select(select) = query.body.as_mut()
    {
        // The column keeps its name.
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && named(expr)
            {
                *item =
                    SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::new(DATA_TYPE) };
            }
        }
    }
    let _ = visit_expressions_mut(statement, |expr| {
        if named(expr)
            && let Ok(call) = Parser::new(&PostgreSqlDialect {})
                .try_with_sql(&format!("{SQL_TYPE}({expr})"))
                .and_then(|mut parser| parser.parse_expr())
        {
            *expr = call;
        }
        ControlFlow::<()>::Continue(())
    });
}

/// A type of the engine's as PostgreSQL's `information_schema` names it.
pub(super) fn sql_type(engine: &str) -> &str {
    match engine {
        "Utf8" | "Utf8View" | "LargeUtf8" => "text",
        "Boolean" => "boolean",
        "Int64" => "bigint",
        "Int32" => "integer",
        "Int16" => "smallint",
        "Float64" => "double precision",
        "Float32" => "real",
        "Date32" => "date",
        "Binary" | "BinaryView" | "LargeBinary" => "bytea",
        list if list.starts_with("List") => "ARRAY",
        time if time.starts_with("Timestamp") => {
            if time.contains(',') {
                "timestamp with time zone"
            } else {
                "timestamp without time zone"
            }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_of_it_is_changed() {
        let translated = |sql: &str| {
            let mut statement =
                Parser::parse_sql(&PostgreSqlDialect {}, sql).expect("SQL").remove(0);
            translate(&mut statement);
            statement.to_string()
        };
        for same in [
            "SELECT data_type FROM events",
            "SELECT 1 FROM information_schema.tables WHERE table_name IN ('')",
        ] {
            assert_eq!(translated(same), same);
        }
        assert_eq!(
            translated(
                "SELECT c.data_type, upper(data_type) FROM information_schema.columns AS c WHERE data_type = 'text'"
            ),
            "SELECT sql_type(c.data_type) AS data_type, upper(sql_type(data_type)) FROM information_schema.columns AS c WHERE sql_type(data_type) = 'text'"
        );
        assert_eq!(
            translated(
                "SELECT 1 FROM information_schema.tables WHERE quote_ident(table_schema) IN ('')"
            ),
            "SELECT 1 FROM information_schema.tables WHERE quote_ident(table_schema) IN ('public')"
        );
    }
}
