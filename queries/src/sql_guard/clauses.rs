//! Refuses the clauses that the parser takes and the query engine drops, such as `PREWHERE`, `TABLESAMPLE` or
//! `WITH ROLLUP`: the engine would answer another question than the one asked. The types of the syntax tree are taken apart
//! member by member, so a member that a newer parser adds does not compile until it is judged here.
//!
//! ```text
//! SELECT count(*) FROM events PREWHERE outcome = 'failure'   the engine would count all events
//! SELECT lower(user_name) FILTER (WHERE false) FROM events   the engine would ignore the filter
//! ```

use super::error::{QueryError, QueryErrorCode, position_of};
use datafusion::sql::sqlparser::ast::{
    Cte, Expr, Function, FunctionArgumentList, FunctionArguments, GroupByExpr, Join, LimitClause,
    OrderBy, OrderByKind, Query, Select, SelectFlavor, Spanned, Statement, TableAlias, TableFactor,
    Visit, Visitor, With,
};
use std::ops::ControlFlow;

/// Refuses the function calls in `statement` whose clauses have no meaning for the function. `takes_rows` is true for the
/// names of aggregate and window functions; for all others, DISTINCT, ORDER BY, FILTER, OVER and the like mean nothing.
///
/// # Errors
/// [`QueryError`] with the name of the clause.
pub(crate) fn check_functions(
    statement: &Statement,
    takes_rows: &dyn Fn(&str) -> bool,
) -> Result<(), QueryError> {
    struct Functions<'f>(&'f dyn Fn(&str) -> bool);
    impl Visitor for Functions<'_> {
        type Break = QueryError;
        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<QueryError> {
            match expression {
                Expr::Function(function) => refuse(function, &of_function(function, self.0)),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    match statement.visit(&mut Functions(takes_rows)) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The clauses of a call that its function does not have.
fn of_function(function: &Function, takes_rows: &dyn Fn(&str) -> bool) -> Vec<&'static str> {
    let Function {
        name,
        uses_odbc_syntax: _,
        parameters,
        args,
        filter,
        null_treatment,
        over,
        within_group,
    } = function;
    let mut dropped = Vec::new();
    let mut drop_if = |is: bool, clause| dropped.extend(is.then_some(clause));
    drop_if(!matches!(parameters, FunctionArguments::None), "a second list of arguments");
    let name = name.0.last().and_then(|part| part.as_ident());
    if name.is_some_and(|name| takes_rows(&name.value.to_lowercase())) {
        return dropped;
    }
    drop_if(filter.is_some(), "FILTER");
    drop_if(over.is_some(), "OVER");
    drop_if(null_treatment.is_some(), "IGNORE NULLS");
    drop_if(!within_group.is_empty(), "WITHIN GROUP");
    if let FunctionArguments::List(list) = args {
        let FunctionArgumentList { duplicate_treatment, args: _, clauses } = list;
        drop_if(duplicate_treatment.is_some(), "DISTINCT");
        drop_if(!clauses.is_empty(), "a clause such as ORDER BY");
    }
    dropped
}

/// Refuses what `query` has and the engine drops. Its expressions and tables are visited on their own.
pub(super) fn query(query: &Query) -> ControlFlow<QueryError> {
    let Query {
        with,
        body: _,
        order_by,
        limit_clause,
        fetch,
        // Refused where statements that change something are.
        locks: _,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    let mut dropped = Vec::new();
    let mut drop_if = |is: bool, clause| dropped.extend(is.then_some(clause));
    drop_if(fetch.as_ref().is_some_and(|fetch| fetch.with_ties || fetch.percent), "WITH TIES");
    drop_if(for_clause.is_some(), "FOR");
    drop_if(settings.is_some(), "SETTINGS");
    drop_if(format_clause.is_some(), "FORMAT");
    drop_if(!pipe_operators.is_empty(), "|>");
    if let Some(With { with_token: _, recursive: _, cte_tables }) = with {
        for Cte { alias, query: _, from, materialized: _, closing_paren_token: _ } in cte_tables {
            drop_if(from.is_some(), "FROM behind a table of WITH");
            drop_if(has_dropped(Some(alias)), "types in a list of columns");
        }
    }
    if let Some(OrderBy { kind, interpolate }) = order_by {
        drop_if(interpolate.is_some(), "INTERPOLATE");
        if let OrderByKind::Expressions(expressions) = kind {
            drop_if(expressions.iter().any(|by| by.with_fill.is_some()), "WITH FILL");
        }
    }
    if let Some(LimitClause::LimitOffset { limit: _, offset: _, limit_by }) = limit_clause {
        drop_if(!limit_by.is_empty(), "LIMIT BY");
    }
    refuse(query, &dropped)
}

/// Refuses what `select` has and the engine drops.
pub(super) fn select(select: &Select) -> ControlFlow<QueryError> {
    let Select {
        select_token: _,
        // A comment, as in PostgreSQL.
        optimizer_hints: _,
        distinct: _,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection: _,
        exclude,
        // Refused where statements that change something are.
        into: _,
        from,
        lateral_views,
        prewhere,
        selection: _,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having: _,
        named_window: _,
        qualify: _,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    let modifiers = match group_by {
        GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) => modifiers,
    };
    let joins = from.iter().flat_map(|table| &table.joins);
    let mut dropped = Vec::new();
    let mut drop_if = |is: bool, clause| dropped.extend(is.then_some(clause));
    drop_if(select_modifiers.is_some(), "a modifier of MySQL behind SELECT");
    drop_if(top.is_some(), "TOP");
    drop_if(exclude.is_some(), "EXCLUDE behind the columns");
    drop_if(!lateral_views.is_empty(), "LATERAL VIEW");
    drop_if(prewhere.is_some(), "PREWHERE");
    drop_if(!connect_by.is_empty(), "CONNECT BY");
    drop_if(!modifiers.is_empty(), "WITH ROLLUP, WITH CUBE or WITH TOTALS");
    drop_if(!cluster_by.is_empty(), "CLUSTER BY");
    drop_if(!distribute_by.is_empty(), "DISTRIBUTE BY");
    drop_if(!sort_by.is_empty(), "SORT BY");
    drop_if(value_table_mode.is_some(), "AS STRUCT");
    drop_if(matches!(flavor, SelectFlavor::FromFirstNoSelect), "FROM without SELECT");
    for Join { relation: _, global, join_operator: _ } in joins {
        drop_if(*global, "GLOBAL JOIN");
    }
    refuse(select, &dropped)
}

/// Refuses what the element `factor` of FROM has and the engine drops.
pub(super) fn table_factor(factor: &TableFactor) -> ControlFlow<QueryError> {
    let mut dropped = Vec::new();
    let mut drop_if = |is: bool, clause| dropped.extend(is.then_some(clause));
    match factor {
        TableFactor::Table {
            name: _,
            alias,
            args,
            with_hints,
            version,
            with_ordinality: _,
            partitions,
            json_path,
            sample,
            index_hints,
        } => {
            drop_if(has_dropped(alias.as_ref()), "types in a list of columns");
            drop_if(args.as_ref().is_some_and(|args| args.settings.is_some()), "SETTINGS");
            drop_if(!with_hints.is_empty() || !index_hints.is_empty(), "a hint for the optimizer");
            drop_if(
                version.is_some(),
                "a version of a table (`query --as-of` reads an older state)",
            );
            drop_if(!partitions.is_empty(), "PARTITION");
            drop_if(json_path.is_some(), "a path behind a table");
            drop_if(sample.is_some(), "TABLESAMPLE");
        }
        TableFactor::Derived { lateral: _, subquery: _, alias, sample } => {
            drop_if(has_dropped(alias.as_ref()), "types in a list of columns");
            drop_if(sample.is_some(), "TABLESAMPLE");
        }
        TableFactor::Function { lateral: _, name: _, args: _, with_ordinality: _, alias } => {
            drop_if(has_dropped(alias.as_ref()), "types in a list of columns");
        }
        TableFactor::UNNEST {
            alias,
            array_exprs: _,
            with_offset,
            with_offset_alias,
            with_ordinality: _,
        } => {
            drop_if(has_dropped(alias.as_ref()), "types in a list of columns");
            drop_if(*with_offset || with_offset_alias.is_some(), "WITH OFFSET");
        }
        TableFactor::NestedJoin { table_with_joins, alias } => {
            drop_if(has_dropped(alias.as_ref()), "types in a list of columns");
            drop_if(table_with_joins.joins.iter().any(|join| join.global), "GLOBAL JOIN");
        }
        // All others are refused where tables are checked.
        _ => {}
    }
    refuse(factor, &dropped)
}

/// True where the engine drops a part of `alias`.
fn has_dropped(alias: Option<&TableAlias>) -> bool {
    alias.is_some_and(|TableAlias { explicit: _, name: _, columns, at }| {
        at.is_some() || columns.iter().any(|column| column.data_type.is_some())
    })
}

/// Refuses what `statement`, which is no query, has and the engine drops.
pub(super) fn statement(statement: &Statement) -> ControlFlow<QueryError> {
    let mut dropped = Vec::new();
    let mut drop_if = |is: bool, clause| dropped.extend(is.then_some(clause));
    match statement {
        Statement::Explain {
            describe_alias: _,
            analyze: _,
            verbose: _,
            query_plan,
            estimate,
            statement: _,
            format: _,
            options,
        } => {
            drop_if(*query_plan, "QUERY PLAN");
            drop_if(*estimate, "ESTIMATE");
            drop_if(options.is_some(), "options of EXPLAIN in parentheses");
        }
        Statement::ExplainTable {
            describe_alias: _,
            hive_format,
            has_table_keyword: _,
            table_name: _,
        } => drop_if(hive_format.is_some(), "EXTENDED or FORMATTED"),
        // The engine refuses the options of SHOW TABLES itself.
        Statement::ShowColumns { extended, full: _, show_options: _ } => {
            drop_if(*extended, "EXTENDED");
        }
        _ => {}
    }
    refuse(statement, &dropped)
}

/// Breaks off with an error that names the clauses `dropped` of `node`; goes on where there are none.
fn refuse(node: &impl Spanned, dropped: &[&str]) -> ControlFlow<QueryError> {
    if dropped.is_empty() {
        return ControlFlow::Continue(());
    }
    ControlFlow::Break(QueryError {
        code: QueryErrorCode::StatementNotAllowed,
        message: format!(
            "not supported here: {}; without it the statement would mean something else",
            dropped.join(", ")
        ),
        position: position_of(node),
    })
}
