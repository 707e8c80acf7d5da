//! Rewrites what PostgreSQL understands and the engine does not: names of the catalogue, casts to
//! `regclass` and its like, `current_user`, subqueries about one catalogue row.

use super::catalogue::{is_always_empty, is_catalogue_table};
use super::column_names::{column_names, tell_apart};
use super::settings::{PG_CATALOG, SCHEMA};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArguments, GroupByExpr, Ident,
    Join, JoinOperator, ObjectName, ObjectNamePart, Query, SelectItem, SetExpr, Statement,
    TableFactor, TableWithJoins, Value, VisitMut, VisitorMut, visit_expressions,
    visit_expressions_mut, visit_relations, visit_relations_mut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;
use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_postgres::datafusion_pg_catalog::sql::rules::{
    AliasDuplicatedProjectionRewrite, CurrentUserVariableToSessionUserFunctionCall,
    FixArrayLiteral, FixVersionColumnName, PrependUnqualifiedPgTableName,
    ResolveUnqualifiedIdentifier, RewriteArrayAnyAllOperation, RewritePgCatalogOperator,
    RewriteRegCastToSubquery, SqlStatementRewriteRule, StripCallableQualifier, StripCollate,
};
use std::ops::ControlFlow;
use std::sync::Arc;
use trailhound_queries::sql_guard::{NESTING_MAX, QueryError, QueryErrorCode, syntax_error};

/// Statements that the engine cannot plan, by a part of their text, and what is asked in their place.
const REPLACED: [(&str, &str); 1] = [(
    // asyncpg asks in a recursion for a type and the types that it consists of. Here only arrays
    // consist of others.
    "typeinfo_tree(",
    "SELECT t.oid, 'pg_catalog' AS ns, t.typname AS name, t.typtype AS kind, NULL AS basetype, \
     nullif(t.typelem, 0) AS elemtype, ',' AS elemdelim, NULL AS range_subtype, \
     NULL AS attrtypoids, NULL AS attrnames, 0 AS depth, NULL AS basetype_name, \
     trailhound_regtype_name(t.typelem) AS elemtype_name, NULL AS range_subtype_name \
     FROM pg_catalog.pg_type AS t WHERE t.oid = ANY($1::oid[])",
)];

/// A statement that returns rows.
#[derive(Debug, Clone)]
pub(super) struct QueryStatement {
    /// The statement.
    pub(super) statement: Statement,
    /// The names of its columns, where it says them.
    pub(super) names: Option<Arc<[String]>>,
    /// For a statement about the catalogue: what is asked in its place, one after another, if the
    /// engine cannot plan the statement itself.
    pub(super) instead: Vec<Statement>,
}

/// Rewrites statements.
#[derive(Debug)]
pub(super) struct Dialect {
    every: Vec<Box<dyn SqlStatementRewriteRule>>,
    catalogue: Vec<Box<dyn SqlStatementRewriteRule>>,
    compatibility: PostgresCompatibilityParser,
}

impl Dialect {
    /// The rewrites for every statement, and those for statements about the catalogue.
    pub(super) fn new() -> Self {
        Self {
            every: vec![
                Box::new(AliasDuplicatedProjectionRewrite),
                Box::new(ResolveUnqualifiedIdentifier),
                Box::new(StripCallableQualifier),
                Box::new(FixArrayLiteral),
                Box::new(CurrentUserVariableToSessionUserFunctionCall),
                Box::new(StripCollate),
                Box::new(RewritePgCatalogOperator),
                Box::new(FixVersionColumnName),
            ],
            catalogue: vec![
                Box::new(RewriteArrayAnyAllOperation),
                Box::new(PrependUnqualifiedPgTableName),
                Box::new(RewriteRegCastToSubquery::new()),
            ],
            compatibility: PostgresCompatibilityParser::new(),
        }
    }

    /// Parses and rewrites one query.
    ///
    /// # Errors
    /// [`QueryError`]: it cannot be parsed.
    pub(super) fn parse(
        &self,
        tokens: &[TokenWithSpan],
        text: &str,
    ) -> Result<QueryStatement, QueryError> {
        let instead = || {
            let known = text.to_lowercase().contains("pg_");
            let mut statements = self.compatibility.parse(text).ok().filter(|_| known)?;
            statements.iter_mut().for_each(replace_search_path);
            (statements.len() == 1).then(|| statements.remove(0))
        };
        let parser = Parser::new(&PostgreSqlDialect {}).with_recursion_limit(NESTING_MAX);
        let replaced = REPLACED.iter().find(|(part, _)| text.contains(part));
        let parsed = match replaced {
            Some((_, sql)) => parser.try_with_sql(sql).and_then(|mut p| p.parse_statements()),
            None => parser.with_tokens_with_locations(tokens.to_vec()).parse_statements(),
        };
        let mut statement = match parsed {
            Ok(mut statements) if statements.len() == 1 => statements.remove(0),
            Ok(statements) => {
                let message = format!("found {} statements in one", statements.len());
                return Err(QueryError::new(QueryErrorCode::Syntax, message));
            }
            Err(error) => {
                return match instead() {
                    Some(statement) => {
                        Ok(QueryStatement { statement, names: None, instead: Vec::new() })
                    }
                    None => Err(syntax_error(&error)),
                };
            }
        };
        let names = column_names(&statement).map(Arc::from);
        tell_apart(&mut statement);
        rewrite_casts(&mut statement);
        for rule in &self.every {
            statement = rule.rewrite(statement);
        }
        if !is_about_catalogue(&statement) {
            return Ok(QueryStatement { statement, names, instead: Vec::new() });
        }
        for rule in &self.catalogue {
            statement = rule.rewrite(statement);
        }
        qualify_catalogue_tables(&mut statement);
        compare_names_of_functions(&mut statement);
        aggregate_arrays(&mut statement);
        let nothing = without_rows(&statement);
        // The visitor never breaks off.
        let _ = statement.visit(&mut SingleRows);
        let instead = nothing.into_iter().chain(instead()).collect();
        Ok(QueryStatement { statement, names, instead })
    }
}

/// Grafana reads the search path with a subquery, for which the compatibility layer substitutes an
/// empty text. No table has an empty schema, so that text is replaced by the schema of all tables.
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

/// The last part of a name, in lower case, and its schema.
fn parts(name: &ObjectName) -> Option<(Option<String>, String)> {
    let ident = |part: &ObjectNamePart| part.as_ident().map(|ident| ident.value.to_lowercase());
    match name.0.as_slice() {
        [name] => Some((None, ident(name)?)),
        [schema, name] => Some((Some(ident(schema)?), ident(name)?)),
        [_, schema, name] => Some((Some(ident(schema)?), ident(name)?)),
        _ => None,
    }
}

/// True if the statement reads a table of the catalogue.
fn is_about_catalogue(statement: &Statement) -> bool {
    let found = visit_relations(statement, |name: &ObjectName| match parts(name) {
        Some((Some(schema), _)) if schema == PG_CATALOG || schema == "information_schema" => {
            ControlFlow::Break(())
        }
        Some((None, name)) if is_catalogue_table(&name) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// Writes the schema of the catalogue before its tables, which need none in PostgreSQL.
fn qualify_catalogue_tables(statement: &mut Statement) {
    // The visitor never breaks off.
    let _ = visit_relations_mut(statement, |name: &mut ObjectName| {
        if let Some((None, table)) = parts(name)
            && is_catalogue_table(&table)
        {
            name.0.insert(0, ObjectNamePart::Identifier(Ident::new(PG_CATALOG)));
        }
        ControlFlow::<()>::Continue(())
    });
}

/// The name of a type such as `regclass`, without its schema.
fn object_type(datatype: &DataType) -> Option<&'static str> {
    let written = datatype.to_string().to_lowercase();
    let name = written.strip_prefix("pg_catalog.").unwrap_or(&written);
    ["regclass", "regtype", "regnamespace", "regrole"].into_iter().find(|known| *known == name)
}

/// Replaces casts of names to objects by functions that find the object, and casts of objects to
/// texts by functions that return the name.
fn rewrite_casts(statement: &mut Statement) {
    // The visitor never breaks off.
    let _ = visit_expressions_mut(statement, |expr| {
        if let Expr::Cast {
            kind: CastKind::Cast | CastKind::DoubleColon,
            expr: inner,
            data_type,
            ..
        } = &*expr
        {
            let is_text = matches!(
                data_type,
                DataType::Text | DataType::Varchar(_) | DataType::CharacterVarying(_)
            ) || data_type.to_string().eq_ignore_ascii_case("pg_catalog.text");
            // Columns with functions hold their names.
            let is_function = data_type.to_string().to_lowercase().ends_with("regproc");
            let replaced = match (&**inner, object_type(data_type)) {
                (Expr::Value(value), _) if is_function => match &value.value {
                    Value::SingleQuotedString(name) => {
                        let name = name.rsplit('.').next().unwrap_or(name).to_owned();
                        Some(Expr::Value(Value::SingleQuotedString(name).with_empty_span()))
                    }
                    _ => None,
                },
                (Expr::Value(value), Some(object))
                    if matches!(
                        value.value,
                        Value::SingleQuotedString(_) | Value::Placeholder(_)
                    ) =>
                {
                    call(&format!("trailhound_{object}"), inner)
                }
                (Expr::Cast { expr: inner, data_type, .. }, None) if is_text => {
                    object_type(data_type)
                        .and_then(|object| call(&format!("trailhound_{object}_name"), inner))
                }
                _ => None,
            };
            if let Some(replaced) = replaced {
                *expr = replaced;
            }
        }
        ControlFlow::<()>::Continue(())
    });
}

/// The call of `function` with one argument.
fn call(function: &str, argument: &Expr) -> Option<Expr> {
    let sql = format!("{function}(NULL)");
    let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(&sql).ok()?;
    let mut call = parser.parse_expr().ok()?;
    // The argument keeps its place in the text.
    let _ = visit_expressions_mut(&mut call, |expr| {
        if matches!(expr, Expr::Value(value) if value.value == Value::Null) {
            *expr = argument.clone();
        }
        ControlFlow::<()>::Continue(())
    });
    Some(call)
}

/// In statements about the catalogue, subqueries that look up one row by a column of the outer
/// query become aggregates, which the engine can plan. PostgreSQL allows no second row.
struct SingleRows;

impl VisitorMut for SingleRows {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Subquery(query) = expr {
            aggregate_single_row(query);
        }
        ControlFlow::Continue(())
    }
}

/// Columns of `pg_type` that hold functions, by their names.
const FUNCTION_COLUMNS: [&str; 6] =
    ["typinput", "typoutput", "typreceive", "typsend", "typmodin", "typanalyze"];

/// Compares columns that hold functions with names of functions instead of OIDs.
fn compare_names_of_functions(statement: &mut Statement) {
    let last = |expr: &Expr| match expr {
        Expr::Identifier(name) => Some(name.value.to_lowercase()),
        Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.to_lowercase()),
        _ => None,
    };
    let is_zero =
        |expr: &Expr| matches!(expr, Expr::Value(value) if value.value.to_string() == "0");
    let holds_function =
        |expr: &Expr| last(expr).is_some_and(|name| FUNCTION_COLUMNS.contains(&name.as_str()));
    // The visitor never breaks off.
    let _ = visit_expressions_mut(statement, |expr| {
        if let Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right } = expr
        {
            // The column without a function holds `-`.
            if holds_function(left) && is_zero(right) {
                let none = Value::SingleQuotedString("-".to_owned());
                **right = Expr::Value(none.with_empty_span());
                return ControlFlow::Continue(());
            }
            let is_oid = |expr: &Expr| last(expr).as_deref() == Some("oid");
            let oid = match (holds_function(left), holds_function(right)) {
                (true, false) if is_oid(right) => right,
                (false, true) if is_oid(left) => left,
                _ => return ControlFlow::Continue(()),
            };
            if let Expr::CompoundIdentifier(names) = &mut **oid
                && let Some(name) = names.last_mut()
            {
                *name = Ident::new("proname");
            }
        }
        ControlFlow::<()>::Continue(())
    });
}

/// The subquery of `ARRAY(SELECT ...)`.
fn array_query(expr: &Expr) -> Option<&Query> {
    match expr {
        Expr::Function(Function { name, args: FunctionArguments::Subquery(query), .. })
            if name.to_string().eq_ignore_ascii_case("array") =>
        {
            Some(query)
        }
        _ => None,
    }
}

/// Replaces `ARRAY(SELECT x ...)` by an aggregate. Options of tables, to which psql adds such an
/// array, are always NULL.
fn aggregate_arrays(statement: &mut Statement) {
    // The visitor never breaks off.
    let _ = visit_expressions_mut(statement, |expr| {
        if let Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } = expr
            && matches!(&**left, Expr::CompoundIdentifier(names)
                if names.last().is_some_and(|name| name.value == "reloptions"))
            && matches!(&**right, Expr::Subquery(_))
        {
            *expr = Expr::clone(left);
        } else if let Some(query) = array_query(expr) {
            let mut query = query.clone();
            if let SetExpr::Select(select) = query.body.as_mut()
                && let [SelectItem::UnnamedExpr(item)] = select.projection.as_mut_slice()
                && let Some(aggregated) = call("array_agg", item)
            {
                *item = aggregated;
                query.order_by = None;
                *expr = Expr::Subquery(Box::new(query));
            }
        }
        ControlFlow::<()>::Continue(())
    });
}

/// A statement without rows in place of one that only asks for constraints, indexes and other things
/// that there are none of; `None` if it asks for more.
fn without_rows(statement: &Statement) -> Option<Statement> {
    let Statement::Query(query) = statement else { return None };
    if !is_without_rows(query) {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let name = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.clone()),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => names.last().cloned(),
        SelectItem::UnnamedExpr(Expr::Function(function)) => {
            function.name.0.last()?.as_ident().cloned()
        }
        SelectItem::UnnamedExpr(_) => Some(Ident::new("column")),
        _ => None,
    };
    let names: Option<Vec<Ident>> = select.projection.iter().map(name).collect();
    let columns = names?.into_iter().enumerate().map(|(number, name)| {
        // Names that are alike get numbers.
        let name = if name.value == "column" { format!("column{number}") } else { name.value };
        format!("NULL::text AS \"{}\"", name.replace('"', "\"\""))
    });
    let mut parameters: Vec<String> = Vec::new();
    let _ = visit_expressions(statement, |expr| {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(name) = &value.value
        {
            parameters.push(format!(" AND {name} IS NULL"));
        }
        ControlFlow::<()>::Continue(())
    });
    parameters.sort();
    parameters.dedup();
    let columns = columns.collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT {columns} WHERE false{}", parameters.concat());
    Parser::parse_sql(&PostgreSqlDialect {}, &sql).ok().filter(|all| all.len() == 1)?.pop()
}

/// True if the query joins, without an alternative, a table that never has rows.
fn is_without_rows(query: &Query) -> bool {
    match query.body.as_ref() {
        SetExpr::Select(select) => {
            let one_row = |item: &SelectItem| {
                let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item
                else {
                    return false;
                };
                is_aggregate(expr)
            };
            let grouped =
                !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
            (grouped || !select.projection.iter().any(one_row))
                && select.from.iter().any(joins_without_rows)
        }
        SetExpr::Query(query) => is_without_rows(query),
        _ => false,
    }
}

fn joins_without_rows(from: &TableWithJoins) -> bool {
    let inner = |join: &Join| {
        matches!(
            join.join_operator,
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_)
        )
    };
    let left = |join: &Join| {
        matches!(join.join_operator, JoinOperator::Left(_) | JoinOperator::LeftOuter(_))
    };
    from.joins.iter().all(|join| inner(join) || left(join))
        && (is_factor_without_rows(&from.relation)
            || from.joins.iter().any(|join| inner(join) && is_factor_without_rows(&join.relation)))
}

fn is_factor_without_rows(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table { name, args: None, .. } => parts(name).is_some_and(|(schema, name)| {
            schema.is_none_or(|schema| schema == PG_CATALOG) && is_always_empty(&name)
        }),
        TableFactor::Derived { subquery, .. } => is_without_rows(subquery),
        TableFactor::NestedJoin { table_with_joins, .. } => joins_without_rows(table_with_joins),
        _ => false,
    }
}

/// Functions that give one row already.
const AGGREGATES: [&str; 8] =
    ["max", "min", "count", "sum", "array_agg", "string_agg", "bool_or", "bool_and"];

fn is_aggregate(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(Function { name, .. })
        if AGGREGATES.contains(&name.to_string().to_lowercase().as_str()))
}

fn aggregate_single_row(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] =
        select.projection.as_mut_slice()
    else {
        return;
    };
    if is_aggregate(expr) || select.from.is_empty() || query.limit_clause.is_some() {
        return;
    }
    if let Some(aggregated) = call("max", expr) {
        *expr = aggregated;
        query.order_by = None;
    }
}
