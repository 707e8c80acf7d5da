//! Turns a call into a function with types, with its arguments converted.

use super::casts;
use super::clock;
use super::function::{DialectFunction, Modifier};
use super::overloads::{Computation, Overload, choose, type_named};
use super::pg_type::{OPEN_SCALE, PgType};
use chrono_tz::Tz;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{Alias, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, ScalarUDF};
use std::sync::Arc;

/// What a call means.
pub(super) struct Resolved {
    /// What computes it; `None` for a cast, and for `||` of texts.
    overload: Option<&'static Overload>,
    /// The types that its arguments become.
    parameters: Vec<PgType>,
    /// True where the arguments are in the other order.
    swapped: bool,
    modifier: Modifier,
    pub(super) returns: PgType,
}

/// The name of the function that casts: `cast_as(value, 'type', modifier)`.
pub(super) const CAST: &str = "cast_as";

/// Decides what a call of `name` means. `literals` are the arguments that are literals.
///
/// # Errors
/// An error where no function, or more than one, fits.
pub(super) fn resolve(
    name: &str,
    args: &[PgType],
    literals: &[Option<ScalarValue>],
) -> Result<Resolved> {
    if name == CAST {
        return resolve_cast(args, literals);
    }
    let [left, right] = args else { return resolve_function(name, args, literals) };
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return resolve_function(name, args, literals);
    }
    if name == "||" {
        return resolve_concatenation(left, right);
    }
    // A literal is first tried in the type of the other side.
    let same = match (left, right) {
        (PgType::Unknown, other) | (other, PgType::Unknown) => [other.clone(), other.clone()],
        _ => [left.clone(), right.clone()],
    };
    if same[..] != *args && choose(name, &same).is_ok_and(|(_, types)| types[..] == same[..]) {
        return resolve_function(name, &same, literals);
    }
    if is_swapped(name, left, right) {
        let args = [right.clone(), left.clone()];
        let resolved = resolve_function(name, &args, literals)?;
        return Ok(Resolved { swapped: true, ..resolved });
    }
    resolve_function(name, args, literals)
}

/// True where PostgreSQL has the operator for both orders and the list has the other one.
fn is_swapped(name: &str, left: &PgType, right: &PgType) -> bool {
    match name {
        "+" => match left {
            PgType::Interval => right.time_rank().is_some() || *right == PgType::Time,
            PgType::Int2 | PgType::Int4 | PgType::Time => *right == PgType::Date,
            _ => false,
        },
        "*" => *right == PgType::Interval && left.is_number(),
        _ => false,
    }
}

fn resolve_function(
    name: &str,
    args: &[PgType],
    literals: &[Option<ScalarValue>],
) -> Result<Resolved> {
    let (overload, parameters) = choose(name, args)?;
    if matches!(overload.computation, Computation::Refused) {
        return plan_err!(
            "the function {name} of numeric is not translated; cast its argument to double precision"
        );
    }
    let returns = returned(overload, &parameters, literals)?;
    let modifier = Modifier::None;
    Ok(Resolved { overload: Some(overload), parameters, swapped: false, modifier, returns })
}

fn resolve_concatenation(left: &PgType, right: &PgType) -> Result<Resolved> {
    let args = [left.clone(), right.clone()];
    match (left, right) {
        (PgType::Array(_), PgType::Array(_) | PgType::Unknown)
        | (PgType::Unknown, PgType::Array(_)) => resolve_function("array_cat", &args, &[]),
        (PgType::Array(_), _) => resolve_function("array_append", &args, &[]),
        (_, PgType::Array(_)) => resolve_function("array_prepend", &args, &[]),
        _ => {
            let is_text = |type_: &PgType| matches!(type_, PgType::Text | PgType::Unknown);
            if !is_text(left) && !is_text(right) {
                return plan_err!(
                    "operator does not exist: {} || {}; cast one side to text",
                    left.name(),
                    right.name()
                );
            }
            Ok(Resolved {
                overload: None,
                parameters: vec![PgType::Text, PgType::Text],
                swapped: false,
                modifier: Modifier::None,
                returns: PgType::Text,
            })
        }
    }
}

fn resolve_cast(args: &[PgType], literals: &[Option<ScalarValue>]) -> Result<Resolved> {
    let text = |at: usize| {
        literals.get(at).and_then(Option::as_ref).and_then(|scalar| scalar.try_as_str().flatten())
    };
    let number = |at: usize| literals.get(at).and_then(Option::as_ref).and_then(literal_int);
    let (Some(from), Some(name)) = (args.first(), text(1)) else {
        return plan_err!("a cast names a type");
    };
    let places = number(2);
    let (to, modifier) = match (name, places) {
        ("numeric", None) => (casts::open_numeric(), Modifier::None),
        ("numeric", Some(digits)) => {
            let scale = i8::try_from(number(3).unwrap_or_default()).unwrap_or(i8::MAX);
            let digits = u8::try_from(digits).ok().filter(|digits| (1..=38).contains(digits));
            match digits {
                Some(digits) if (0..=30).contains(&scale) => {
                    (PgType::Numeric { scale, exact: true }, Modifier::Digits(digits))
                }
                _ => {
                    return plan_err!(
                        "a numeric here has at most 38 digits, 30 of them after the point"
                    );
                }
            }
        }
        ("text", Some(length)) => {
            (PgType::Text, Modifier::Length(usize::try_from(length).unwrap_or(usize::MAX)))
        }
        ("timestamp" | "timestamptz" | "time", Some(places)) => {
            let Some(places) = u8::try_from(places).ok().filter(|places| *places <= 6) else {
                return plan_err!("a time has at most 6 digits of a second");
            };
            (type_named(name).unwrap_or(PgType::Text), Modifier::Seconds(places))
        }
        (name, _) => match type_named(name) {
            Some(type_) => (type_, Modifier::None),
            None => return plan_err!("the type {name} is unknown"),
        },
    };
    let literal = literals.first().and_then(Option::as_ref);
    let returns = casts::target(from, &to, literal)?;
    Ok(Resolved {
        overload: None,
        parameters: vec![from.clone()],
        swapped: false,
        modifier,
        returns,
    })
}

fn numeric_of(type_: &PgType) -> (i8, bool) {
    match type_ {
        PgType::Numeric { scale, exact } => (*scale, *exact),
        _ => (0, true),
    }
}

fn returned(
    overload: &Overload,
    parameters: &[PgType],
    literals: &[Option<ScalarValue>],
) -> Result<PgType> {
    let numeric = |at: usize| parameters.get(at).map_or((0, true), numeric_of);
    Ok(match overload.returns {
        "arg0" | "arg1" => {
            let at = usize::from(overload.returns == "arg1");
            parameters.get(at).cloned().unwrap_or(PgType::Text)
        }
        "item" => match parameters.first() {
            Some(PgType::Array(item)) => item.as_ref().clone(),
            _ => PgType::Text,
        },
        "sum" => {
            let ((left, left_exact), (right, right_exact)) = (numeric(0), numeric(1));
            PgType::Numeric { scale: left.max(right), exact: left_exact && right_exact }
        }
        "product" => {
            let ((left, left_exact), (right, right_exact)) = (numeric(0), numeric(1));
            let scale = left.saturating_add(right);
            // Twice an open number of digits would leave no space before the point.
            let kept = scale.min(OPEN_SCALE.max(left).max(right));
            PgType::Numeric { scale: kept, exact: left_exact && right_exact && kept == scale }
        }
        "open" => {
            let scale = OPEN_SCALE.max(numeric(0).0);
            PgType::Numeric { scale, exact: false }
        }
        "quotient" => {
            let scale = OPEN_SCALE.max(numeric(0).0).max(numeric(1).0);
            PgType::Numeric { scale, exact: false }
        }
        "rounded" => {
            let (scale, _) = numeric(0);
            match literals.get(1).and_then(Option::as_ref).and_then(literal_int) {
                Some(places) => {
                    let places = i8::try_from(places.clamp(0, 30)).unwrap_or_default();
                    PgType::Numeric { scale: places, exact: true }
                }
                None => PgType::Numeric { scale, exact: false },
            }
        }
        "field" => {
            let Some(unit) = literals
                .first()
                .and_then(Option::as_ref)
                .and_then(|unit| unit.try_as_str().flatten())
            else {
                return plan_err!("extract needs the name of a field");
            };
            let scale = match clock::unit_name(unit) {
                Some("second" | "epoch") => 6,
                Some("milliseconds") => 3,
                Some(_) => 0,
                None => return plan_err!("unit \"{unit}\" not recognized"),
            };
            // The number of seconds of a date has no digits after the point.
            let scale = if parameters.get(1) == Some(&PgType::Date) { 0 } else { scale };
            PgType::Numeric { scale, exact: true }
        }
        name => match type_named(name) {
            Some(type_) => type_,
            None => return plan_err!("the type {name} is unknown"),
        },
    })
}

fn literal_int(scalar: &ScalarValue) -> Option<i64> {
    match scalar.cast_to(&datafusion::arrow::datatypes::DataType::Int64).ok()? {
        ScalarValue::Int64(number) => number,
        _ => None,
    }
}

/// The type of an expression in PostgreSQL: a text literal is of an unknown type, a small whole number is an `integer`.
///
/// # Errors
/// An error where the expression has no type.
pub(super) fn type_of(expr: &Expr, schema: &DFSchema) -> Result<PgType> {
    match expr {
        Expr::Alias(Alias { expr, .. }) => type_of(expr, schema),
        Expr::Literal(scalar, _) => Ok(type_of_literal(scalar)),
        Expr::Placeholder(placeholder) => Ok(placeholder
            .field
            .as_ref()
            .map_or(PgType::Unknown, |field| PgType::of(field.data_type()))),
        _ => Ok(PgType::of(&expr.get_type(schema)?)),
    }
}

/// As [`type_of`], for a literal.
pub(super) fn type_of_literal(scalar: &ScalarValue) -> PgType {
    match scalar {
        ScalarValue::Utf8(_) => PgType::Unknown,
        ScalarValue::Int64(Some(number)) if i32::try_from(*number).is_ok() => PgType::Int4,
        ScalarValue::UInt64(Some(_)) => PgType::Numeric { scale: 0, exact: true },
        scalar => PgType::of(&scalar.data_type()),
    }
}

/// The literal in `expr`.
pub(super) fn literal_of(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Alias(Alias { expr, .. }) => literal_of(expr),
        Expr::Literal(scalar, _) => Some(scalar.clone()),
        _ => None,
    }
}

/// The call of `name` with `args` as a typed function. `engine` has the engine's own functions.
///
/// # Errors
/// As [`resolve`], and for a literal that its parameter cannot read.
pub(super) fn call(
    name: &str,
    mut args: Vec<Expr>,
    schema: &DFSchema,
    engine: &SessionState,
    zone: Tz,
) -> Result<Expr> {
    let mut types = args.iter().map(|arg| type_of(arg, schema)).collect::<Result<Vec<_>>>()?;
    let literals: Vec<Option<ScalarValue>> = args.iter().map(literal_of).collect();
    let resolved = resolve(name, &types, &literals)?;
    if name == CAST {
        let value = args.swap_remove(0).unalias();
        return casts::explicit(
            value,
            schema,
            &types[0],
            &resolved.returns,
            resolved.modifier,
            zone,
        );
    }
    if resolved.swapped {
        args.reverse();
        types.reverse();
    }
    let Some(overload) = resolved.overload else {
        let text = |expr: Expr, from: &PgType| {
            casts::explicit(expr, schema, from, &PgType::Text, Modifier::None, zone)
        };
        let (right, left) = (args.swap_remove(1), args.swap_remove(0));
        let sides = vec![text(left, &types[0])?, text(right, &types[1])?];
        return Ok(binary(Operator::StringConcat, sides));
    };
    let converted = args
        .into_iter()
        .zip(types.iter().zip(&resolved.parameters))
        .map(|(arg, (from, to))| casts::implicit(arg.unalias(), from, to, zone))
        .collect::<Result<Vec<_>>>()?;
    let of_engine = |name: &str, args: Vec<Expr>| -> Result<Expr> {
        Ok(Expr::ScalarFunction(ScalarFunction::new_udf(engine.udf(name)?, args)))
    };
    if let Some(operator) = engine_operator(name, &converted) {
        return Ok(binary(operator, converted));
    }
    let (body, strict) = match overload.computation {
        Computation::Strict(body) => (body, true),
        Computation::WithNull(body) => (body, false),
        Computation::Engine(name) => return of_engine(name, converted),
        Computation::Refused => return plan_err!("the function {name} is not translated"),
    };
    // In UTC the engine truncates points in time in the same way, column by column.
    if name == "date_trunc" && zone == Tz::UTC && engine_truncates(&resolved.parameters, &literals)
    {
        return of_engine(name, converted);
    }
    let function = DialectFunction::new(name, body, resolved.parameters, resolved.returns, strict);
    let function = Arc::new(ScalarUDF::new_from_impl(function));
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function, converted)))
}

/// The operator over its two sides.
fn binary(operator: Operator, mut sides: Vec<Expr>) -> Expr {
    let (right, left) = (sides.swap_remove(1), sides.swap_remove(0));
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)))
}

/// The operator of the engine that computes the same as `name`: whole numbers divided by a literal that neither is zero nor
/// overflows. The optimizer knows these, and they are computed column by column.
fn engine_operator(name: &str, args: &[Expr]) -> Option<Operator> {
    let operator = match name {
        "/" => Operator::Divide,
        "%" | "mod" => Operator::Modulo,
        _ => return None,
    };
    let [_, Expr::Literal(divisor, _)] = args else { return None };
    let divisor = match divisor {
        ScalarValue::Int16(Some(number)) => i64::from(*number),
        ScalarValue::Int32(Some(number)) => i64::from(*number),
        ScalarValue::Int64(Some(number)) => *number,
        _ => return None,
    };
    (!matches!(divisor, 0 | -1)).then_some(operator)
}

fn engine_truncates(parameters: &[PgType], literals: &[Option<ScalarValue>]) -> bool {
    let unit =
        literals.first().and_then(Option::as_ref).and_then(|unit| unit.try_as_str().flatten());
    matches!(parameters, [_, PgType::Timestamp | PgType::TimestampTz])
        && unit.is_some_and(|unit| {
            ["second", "minute", "hour", "day", "week", "month", "quarter", "year"].contains(&unit)
        })
}
