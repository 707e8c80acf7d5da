//! PostgreSQL's meaning of SQL, for the statements that people and other programs write.
//!
//! The engine has functions and operators under PostgreSQL's names that mean something else: `to_char(time, 'YYYY')` writes
//! `YYYY`, `date - date` is a duration, `1 = 'a'` compares texts. A statement passes four steps here:
//!
//! 1. `statement` rewrites the syntax tree: casts, `AT TIME ZONE`, `ANY` become calls of functions.
//! 2. The engine's planner plans it; functions of PostgreSQL are only names then (`pending`, `planner`).
//! 3. `plan` decides the types of the plan from its leaves upwards, and which function of `overloads` each call means. What
//!    PostgreSQL does not have is refused.
//! 4. The points in time of the result are shown in the session's zone.
//!
//! Rules and views keep the engine's meaning: they are planned without these steps.

mod array_functions;
mod casts;
mod clock;
mod function;
mod interval;
mod lateral;
mod number_functions;
mod number_template;
mod numeric;
mod overloads;
mod pending;
mod pg_type;
mod plan;
mod planner;
mod regex;
mod resolve;
mod statement;
mod template;
mod text_form;
mod text_functions;
mod time_functions;
mod value;

use self::function::session_zone;
use self::pending::{PendingAggregate, PendingFunction};
use self::pg_type::{PgType, STORED_ZONE};
use self::plan::Typing;
use self::planner::DialectPlanner;
use chrono_tz::Tz;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{Column, Result, ScalarValue, plan_err};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{
    AggregateUDF, Cast, Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF,
};
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast::Statement;
use std::sync::Arc;

/// The zone `name` as the time zone database writes it.
///
/// # Errors
/// An error for a name that is not in the database.
pub(crate) fn zone_name(name: &str) -> Result<&'static str> {
    Ok(clock::zone(name)?.name())
}

/// Reads `text` as PostgreSQL reads the text of a value of `data_type`. Times without an offset are those of the zone `zone`.
/// `None` for types of which any text is a value.
///
/// # Errors
/// An error where `text` is no such value, or `zone` is unknown.
pub(crate) fn read_text(
    text: &str,
    data_type: &DataType,
    zone: &str,
) -> Result<Option<ScalarValue>> {
    let pg_type = PgType::of(data_type);
    if matches!(pg_type, PgType::Text | PgType::Unknown | PgType::Engine) {
        return Ok(None);
    }
    let value = text_form::parse(text, &pg_type, clock::zone(zone)?)?;
    ScalarValue::try_from_array(&value::array_of(&pg_type, &[value])?, 0).map(Some)
}

/// Names of the functions of PostgreSQL that are translated.
pub(crate) fn function_names() -> impl Iterator<Item = &'static str> {
    let of_syntax = |name: &&str| !overloads::OF_SYNTAX.contains(name) || *name == "substring";
    overloads::names().filter(of_syntax).chain(statement::RENAMED.iter().copied())
}

/// Plans `statement` with PostgreSQL's meaning. `engine` is the state of the session.
///
/// # Errors
/// An error where the statement cannot be planned, or means something that is not translated.
pub(crate) async fn plan(engine: &SessionState, mut statement: Statement) -> Result<LogicalPlan> {
    let zone = session_zone(engine.config_options())?;
    statement::check_functions(&statement, zone)?;
    statement::rewrite(&mut statement);
    let planned = dialect_state(engine)?
        .statement_to_plan(EngineStatement::Statement(Box::new(statement)))
        .await?;
    let typing = Typing { engine, zone };
    let plan = match planned {
        LogicalPlan::Explain(mut explain) => {
            explain.plan = Arc::new(typing.plan(lateral::unnest(explain.plan.as_ref().clone())?)?);
            return Ok(LogicalPlan::Explain(explain));
        }
        LogicalPlan::Analyze(mut analyze) => {
            analyze.input =
                Arc::new(typing.plan(lateral::unnest(analyze.input.as_ref().clone())?)?);
            return Ok(LogicalPlan::Analyze(analyze));
        }
        planned => typing.plan(lateral::unnest(planned)?)?,
    };
    shown_in_zone(plan, zone)
}

/// The engine's state with PostgreSQL's functions and operators as names.
fn dialect_state(engine: &SessionState) -> Result<SessionState> {
    let mut planners: Vec<Arc<dyn datafusion::logical_expr::planner::ExprPlanner>> =
        vec![Arc::new(DialectPlanner)];
    planners.extend(engine.expr_planners().iter().cloned());
    let mut state =
        SessionStateBuilder::new_from_existing(engine.clone()).with_expr_planners(planners).build();
    // Numbers with a point are exact.
    state.config_mut().options_mut().sql_parser.parse_float_as_decimal = true;
    for name in overloads::names().chain([resolve::CAST]) {
        state.register_udf(Arc::new(ScalarUDF::new_from_impl(PendingFunction::new(name))))?;
    }
    for name in ["sum", "avg"] {
        let inner = engine.udaf(name)?;
        state.register_udaf(Arc::new(AggregateUDF::new_from_impl(PendingAggregate::new(inner))))?;
    }
    Ok(state)
}

/// `plan` with its points in time in `zone`, in the types in which clients receive them.
fn shown_in_zone(plan: LogicalPlan, zone: Tz) -> Result<LogicalPlan> {
    let is_shown = |field: &Field| type_in_zone(field.data_type(), zone) == *field.data_type();
    let is_as_shown = plan.schema().fields().iter().all(|field| is_shown(field));
    if zone.name() == STORED_ZONE || is_as_shown || matches!(plan, LogicalPlan::DescribeTable(_)) {
        return Ok(plan);
    }
    let results: Vec<Expr> = plan
        .schema()
        .iter()
        .map(|(qualifier, field)| {
            let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
            if is_shown(field) {
                return column;
            }
            let shown = type_in_zone(field.data_type(), zone);
            Expr::Cast(Cast::new(Box::new(column), shown))
                .alias_qualified(qualifier.cloned(), field.name())
        })
        .collect();
    if results.is_empty() {
        return plan_err!("there is no column");
    }
    LogicalPlanBuilder::from(plan).project(results)?.build()
}

/// `data_type` with its points in time in `zone`, also those in lists.
fn type_in_zone(data_type: &DataType, zone: Tz) -> DataType {
    let item = |field: &FieldRef| {
        let inner = type_in_zone(field.data_type(), zone);
        Arc::new(field.as_ref().clone().with_data_type(inner))
    };
    match data_type {
        DataType::Timestamp(_, Some(_)) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone.name().into()))
        }
        DataType::List(field) => DataType::List(item(field)),
        DataType::LargeList(field) => DataType::LargeList(item(field)),
        other => other.clone(),
    }
}
