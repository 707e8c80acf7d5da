//! Rewrites statements about `information_schema`, so that clients such as Grafana's query builder
//! understand the answers: the query engine has no search path, and its names of types are not
//! those of PostgreSQL.

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, SelectItem, SetExpr, Statement, Value, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use std::ops::ControlFlow;

/// The schema of all tables.
const SCHEMA: &str = "public";
/// The column with the names of types.
const DATA_TYPE: &str = "data_type";
/// Name of the SQL function that converts the query engine's name of a type to PostgreSQL's.
pub(super) const SQL_TYPE: &str = "sql_type";

/// Rewrites a statement that names `information_schema.tables` or `information_schema.columns`.
/// Other statements stay as they are.
pub(super) fn translate(statement: &mut Statement) {
    let text = statement.to_string().to_lowercase();
    if text.contains("information_schema.tables") {
        replace_search_path(statement);
    }
    if text.contains("information_schema.columns") {
        translate_data_types(statement);
    }
}

/// Replaces `quote_ident(table_schema) IN ('')` by the same condition with [`SCHEMA`].
///
/// Clients compare `table_schema` with a subquery that reads the search path. The query engine's
/// PostgreSQL layer replaces this subquery by an empty text, and no table has an empty schema.
fn replace_search_path(statement: &mut Statement) {
    // The visitor never breaks off.
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

/// Wraps every use of the column `data_type` in [`SQL_TYPE`].
fn translate_data_types(statement: &mut Statement) {
    let is_data_type = |expr: &Expr| match expr {
        Expr::Identifier(name) => name.value == DATA_TYPE,
        Expr::CompoundIdentifier(names) => names.last().is_some_and(|name| name.value == DATA_TYPE),
        _ => false,
    };
    if let Statement::Query(query) = statement
        && let SetExpr::Select(select) = query.body.as_mut()
    {
        // In the result the column keeps its name.
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && is_data_type(expr)
            {
                *item =
                    SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::new(DATA_TYPE) };
            }
        }
    }
    // The visitor never breaks off.
    let _ = visit_expressions_mut(statement, |expr| {
        if is_data_type(expr)
            && let Ok(call) = Parser::new(&PostgreSqlDialect {})
                .try_with_sql(&format!("{SQL_TYPE}({expr})"))
                .and_then(|mut parser| parser.parse_expr())
        {
            *expr = call;
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Converts the query engine's name of a type, such as `Utf8View`, to the name in PostgreSQL's
/// `information_schema`, such as `text`. An unknown name is returned unchanged.
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
    fn only_statements_about_the_information_schema_change() {
        let translated = |sql: &str| {
            let mut statement =
                Parser::parse_sql(&PostgreSqlDialect {}, sql).expect("SQL").remove(0);
            translate(&mut statement);
            statement.to_string()
        };
        for unchanged in [
            "SELECT data_type FROM events",
            "SELECT 1 FROM information_schema.tables WHERE table_name IN ('')",
        ] {
            assert_eq!(translated(unchanged), unchanged);
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
