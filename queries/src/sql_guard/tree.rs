//! What a statement may do, by its syntax tree: read, from the tables that are offered, with the functions that are offered.

use super::{Code, Offered, Place, Refused, Values, nearest};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, Ident, ObjectName, ObjectNamePart, Query, Select, SetExpr, Spanned, Statement,
    TableFactor, Value, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Schema in which the engine has the tables.
const SCHEMA: &str = "public";
/// What the planner makes of a list, a row for each element: no function that the engine has a name for.
const UNNEST: &str = "unnest";
/// Functions that stand for a table.
const TABLE_FUNCTIONS: [&str; 3] = [UNNEST, "generate_series", "range"];

pub(super) fn check(statement: &Statement, offered: &Offered<'_>) -> Result<(), Refused> {
    kind(statement)?;
    let mut walk = Walk { offered, with: BTreeSet::new() };
    names_of_with(statement, &mut walk.with);
    match statement.visit(&mut walk) {
        ControlFlow::Break(refused) => Err(refused),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Puts `values` in the places of the parameters.
pub(super) fn bind(mut statement: Statement, values: &Values) -> Result<Statement, Refused> {
    let mut bind = Bind { values, used: BTreeSet::new() };
    if let ControlFlow::Break(refused) = VisitMut::visit(&mut statement, &mut bind) {
        return Err(refused);
    }
    if let Some(name) = values.keys().find(|name| !bind.used.contains(*name)) {
        return Err(Refused::whole(
            Code::Parameter,
            format!("`{name}` is given, but the statement has no ${name}"),
        ));
    }
    Ok(statement)
}

/// The statement as a whole must be one that reads.
fn kind(statement: &Statement) -> Result<(), Refused> {
    match statement {
        Statement::Query(_)
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ExplainTable { .. } => Ok(()),
        Statement::Explain { statement, .. } if matches!(**statement, Statement::Query(_)) => {
            Ok(())
        }
        _ => Err(not_allowed("it is of another kind", None)),
    }
}

fn not_allowed(why: &str, place: Option<Place>) -> Refused {
    let message = format!(
        "only statements that read are run: SELECT, WITH, VALUES, EXPLAIN of these, SHOW TABLES, DESCRIBE; {why}"
    );
    Refused { code: Code::StatementNotAllowed, message, place }
}

fn place(thing: &impl Spanned) -> Option<Place> {
    let start = thing.span().start;
    (start.line > 0).then_some(Place { line: start.line, column: start.column })
}

/// Every name that a WITH gives. Which of them counts where is the planner's business: out of its place it is no table at all.
fn names_of_with(statement: &Statement, names: &mut BTreeSet<String>) {
    struct Names<'n>(&'n mut BTreeSet<String>);
    impl Visitor for Names<'_> {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            self.0.extend(
                query
                    .with
                    .iter()
                    .flat_map(|with| &with.cte_tables)
                    .map(|table| folded(&table.alias.name)),
            );
            ControlFlow::Continue(())
        }
    }
    let _ = statement.visit(&mut Names(names));
}

/// A name as SQL compares it.
pub(crate) fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

struct Walk<'w> {
    offered: &'w Offered<'w>,
    with: BTreeSet<String>,
}

impl Walk<'_> {
    fn function(&self, name: &ObjectName) -> Result<(), Refused> {
        let written = name.to_string();
        let offered = |part: &ObjectNamePart| {
            let name = part.as_ident().map(|ident| ident.value.to_lowercase());
            name.is_some_and(|name| name == UNNEST || self.offered.functions.contains(&name))
        };
        let known = match name.0.as_slice() {
            [part] => offered(part),
            [schema, part] if self.of_schema(schema) => offered(part),
            _ => false,
        };
        if known {
            return Ok(());
        }
        let message = match nearest(&written, self.offered.functions.iter()) {
            Some(near) => format!("there is no function `{written}` here; did you mean `{near}`?"),
            None => format!(
                "there is no function `{written}` here; `\\df` in the shell and the documentation list them"
            ),
        };
        Err(Refused { code: Code::FunctionNotAllowed, message, place: place(name) })
    }

    fn of_schema(&self, part: &ObjectNamePart) -> bool {
        part.as_ident().is_some_and(|ident| self.offered.schemas.contains(&folded(ident).as_str()))
    }

    fn table(&self, name: &ObjectName) -> Result<(), Refused> {
        let own = |part: &ObjectNamePart| {
            part.as_ident().is_some_and(|ident| self.offered.tables.contains(&folded(ident)))
        };
        let public =
            |part: &ObjectNamePart| part.as_ident().is_some_and(|ident| folded(ident) == SCHEMA);
        if let [schema, part] = name.0.as_slice()
            && (self.of_schema(schema) || public(schema) && own(part))
        {
            return Ok(());
        }
        if let [part] = name.0.as_slice()
            && part.as_ident().is_some_and(|ident| {
                self.with.contains(&folded(ident)) || self.offered.tables.contains(&folded(ident))
            })
        {
            return Ok(());
        }
        let written = name.to_string();
        let message = match nearest(&written, self.offered.tables.iter().chain(&self.with)) {
            Some(near) => format!("there is no table `{written}`; did you mean `{near}`?"),
            None => format!(
                "there is no table `{written}`; there are {}",
                self.offered.tables.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
            ),
        };
        Err(Refused { code: Code::TableNotFound, message, place: place(name) })
    }

    fn factor(&self, factor: &TableFactor) -> Result<(), Refused> {
        let of_function = |name: &ObjectName| {
            let written = name.to_string().to_lowercase();
            if TABLE_FUNCTIONS.contains(&written.as_str()) {
                return Ok(());
            }
            let message = format!(
                "`{written}` is no table function here; there are {}",
                TABLE_FUNCTIONS.join(", ")
            );
            Err(Refused { code: Code::FunctionNotAllowed, message, place: place(name) })
        };
        match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                of_function(name)
            }
            TableFactor::Table { name, args: None, .. } => self.table(name),
            TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::UNNEST { .. } => Ok(()),
            _ => Err(not_allowed(
                "it reads from something that is no table, query or list",
                place(factor),
            )),
        }
    }
}

fn flow(result: Result<(), Refused>) -> ControlFlow<Refused> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(refused) => ControlFlow::Break(refused),
    }
}

impl Visitor for Walk<'_> {
    type Break = Refused;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refused> {
        if !query.locks.is_empty() {
            return ControlFlow::Break(not_allowed("it locks rows", place(query)));
        }
        match &*query.body {
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                ControlFlow::Break(not_allowed("it changes rows", place(query)))
            }
            SetExpr::Table(table) => {
                let named = table.schema_name.is_none()
                    && table
                        .table_name
                        .as_ref()
                        .is_some_and(|name| self.offered.tables.contains(name));
                let refused = || Refused {
                    code: Code::TableNotFound,
                    message: "there is no such table".to_owned(),
                    place: place(query),
                };
                if named { ControlFlow::Continue(()) } else { ControlFlow::Break(refused()) }
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Refused> {
        if select.into.is_some() {
            return ControlFlow::Break(not_allowed(
                "it writes its rows into a table",
                place(select),
            ));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Refused> {
        flow(self.factor(factor))
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Refused> {
        match statement {
            Statement::ExplainTable { table_name, .. } => flow(self.table(table_name)),
            statement => flow(kind(statement)),
        }
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Refused> {
        match expression {
            Expr::Function(Function { name, .. }) => flow(self.function(name)),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Puts values in the places of parameters: as literals of the tree, so that no value can become a part of the statement.
struct Bind<'b> {
    values: &'b Values,
    used: BTreeSet<String>,
}

impl Bind<'_> {
    fn literal(&mut self, value: &mut ValueWithSpan) -> Result<(), Refused> {
        let Value::Placeholder(name) = &value.value else { return Ok(()) };
        let Some((name, bound)) =
            name.strip_prefix('$').and_then(|name| self.values.get_key_value(name))
        else {
            let start = value.span.start;
            let place =
                (start.line > 0).then_some(Place { line: start.line, column: start.column });
            return Err(Refused {
                code: Code::Parameter,
                message: format!("the parameter {name} has no value; give it with --param"),
                place,
            });
        };
        self.used.insert(name.clone());
        value.value = bound.clone().map_or(Value::Null, Value::SingleQuotedString);
        Ok(())
    }
}

impl VisitorMut for Bind<'_> {
    type Break = Refused;

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Refused> {
        flow(self.literal(value))
    }
}
