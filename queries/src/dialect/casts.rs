//! Casts: which types PostgreSQL converts into which, and how.

use super::clock::{self, from_wall, out_of_range, to_wall};
use super::function::{CAST_NAME, DialectFunction, Env, Modifier};
use super::interval::{DAY, Interval};
use super::numeric;
use super::pg_type::{OPEN_SCALE, PgType};
use super::text_form;
use super::time_functions::wall_day;
use super::value::{Value, array_of, canonical, owned, value_at};
use chrono_tz::Tz;
use datafusion::arrow::datatypes::Field;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, ScalarUDF};
use std::sync::Arc;

/// `expr` of type `from` as `to`, where PostgreSQL converts it without being asked.
///
/// # Errors
/// An error for a literal that `to` cannot read.
pub(super) fn implicit(expr: Expr, from: &PgType, to: &PgType, zone: Tz) -> Result<Expr> {
    convert(expr, from, to, Modifier::None, zone)
}

/// `CAST(expr AS to)`, where [`target`] allows it.
///
/// # Errors
/// An error where PostgreSQL has no such cast, and for a literal that `to` cannot read.
pub(super) fn explicit(
    expr: Expr,
    schema: &DFSchema,
    from: &PgType,
    to: &PgType,
    modifier: Modifier,
    zone: Tz,
) -> Result<Expr> {
    // The engine's own times have nanoseconds, or another zone of display.
    let is_time = matches!(to, PgType::Timestamp | PgType::TimestampTz);
    if from == to && is_time && modifier == Modifier::None && expr.get_type(schema)? != to.arrow() {
        return Ok(Expr::Cast(Cast::new(Box::new(expr), to.arrow())));
    }
    Ok(match (convert(expr, from, to, modifier, zone)?, to) {
        // A literal of a type that was asked for is no literal of an unknown type any more.
        (Expr::Literal(ScalarValue::Utf8(text), metadata), PgType::Text) => {
            Expr::Literal(ScalarValue::Utf8View(text), metadata)
        }
        (Expr::Literal(ScalarValue::Int64(Some(number)), metadata), PgType::Int8) => {
            match i32::try_from(number) {
                Ok(small) => {
                    let literal = Expr::Literal(ScalarValue::Int32(Some(small)), metadata);
                    Expr::Cast(Cast::new(Box::new(literal), to.arrow()))
                }
                Err(_) => Expr::Literal(ScalarValue::Int64(Some(number)), metadata),
            }
        }
        (expr, _) => expr,
    })
}

/// The type that a value of type `from` has after a cast to `to`: the number of digits may be that of the value.
///
/// # Errors
/// An error where PostgreSQL has no such cast.
pub(super) fn target(from: &PgType, to: &PgType, literal: Option<&ScalarValue>) -> Result<PgType> {
    if !is_cast(from, to) {
        return plan_err!("cannot cast type {} to {}", from.name(), to.name());
    }
    Ok(match (from, to) {
        (PgType::Numeric { .. }, PgType::Numeric { exact: false, .. }) => from.clone(),
        (from, PgType::Numeric { exact: false, .. }) if from.is_integer() => {
            PgType::Numeric { scale: 0, exact: true }
        }
        (PgType::Unknown, PgType::Numeric { exact: false, .. }) => {
            literal.and_then(literal_number).unwrap_or_else(|| to.clone())
        }
        _ => to.clone(),
    })
}

/// The type of the number that a text literal holds.
fn literal_number(scalar: &ScalarValue) -> Option<PgType> {
    let text = scalar.try_as_str().flatten()?;
    numeric::parse(text).map(|(_, scale)| PgType::Numeric { scale, exact: true })
}

/// True where PostgreSQL casts `from` to `to`.
fn is_cast(from: &PgType, to: &PgType) -> bool {
    use PgType as T;
    match (from, to) {
        (T::Engine, _) | (_, T::Engine) => false,
        (T::Unknown | T::Text, _) | (_, T::Text) => true,
        (from, to) if from.converts_to(to) || (from.is_number() && to.is_number()) => true,
        (T::Bool, T::Int4) | (T::Int4, T::Bool) => true,
        (T::Timestamp | T::TimestampTz, T::Date | T::Timestamp | T::TimestampTz | T::Time) => true,
        (T::Interval, T::Time) => true,
        (T::Array(from), T::Array(to)) => is_cast(from, to),
        _ => false,
    }
}

fn convert(expr: Expr, from: &PgType, to: &PgType, modifier: Modifier, zone: Tz) -> Result<Expr> {
    if from == to && modifier == Modifier::None && *to != PgType::Unknown {
        return typed_literal(expr, to);
    }
    match &expr {
        Expr::Literal(scalar, metadata) => {
            let constant = constant(scalar, from, to, modifier, zone)?;
            return Ok(Expr::Literal(constant, metadata.clone()));
        }
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field = Arc::new(Field::new("", to.arrow(), true));
            return Ok(Expr::Placeholder(Placeholder { id: id.clone(), field: Some(field) }));
        }
        _ => {}
    }
    // The engine converts these exactly, and knows how to move the conversion to the other side of a comparison.
    let rank =
        |type_: &PgType| type_.number_rank().filter(|_| !matches!(type_, PgType::Numeric { .. }));
    let widens = rank(from).zip(rank(to)).is_some_and(|(from, to)| from < to);
    let plain = widens
        || (from.is_integer() && matches!(to, PgType::Numeric { .. }))
        || matches!(
            (from, to),
            (PgType::Date, PgType::Timestamp) | (PgType::Text, PgType::Unknown)
        )
        || matches!((from, to), (PgType::Timestamp, PgType::Date))
        || (zone == Tz::UTC && matches!((from, to), (PgType::TimestampTz, PgType::Date)));
    if plain && modifier == Modifier::None {
        return Ok(Expr::Cast(Cast::new(Box::new(expr), to.arrow())));
    }
    Ok(function(from, to, modifier, expr))
}

/// A literal in the type that its value is computed in: a whole number as `integer`.
fn typed_literal(expr: Expr, type_: &PgType) -> Result<Expr> {
    match expr {
        Expr::Literal(scalar, metadata)
            if scalar.data_type() != type_.arrow() && !scalar.is_null() =>
        {
            Ok(Expr::Literal(scalar.cast_to(&type_.arrow())?, metadata))
        }
        expr => Ok(expr),
    }
}

fn function(from: &PgType, to: &PgType, modifier: Modifier, expr: Expr) -> Expr {
    let written = match modifier {
        Modifier::None => String::new(),
        Modifier::Length(number) => format!("({number})"),
        Modifier::Digits(number) | Modifier::Seconds(number) => format!("({number})"),
    };
    let scale = match to {
        PgType::Numeric { scale, .. } => format!(" with scale {scale}"),
        _ => String::new(),
    };
    let name = format!("{CAST_NAME}{}{written}{scale}", to.name());
    let function = DialectFunction::new(name, cast_body, vec![from.clone()], to.clone(), true);
    let function = ScalarUDF::new_from_impl(DialectFunction { modifier, ..function });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![expr]))
}

/// The literal `scalar` as `to`.
fn constant(
    scalar: &ScalarValue,
    from: &PgType,
    to: &PgType,
    modifier: Modifier,
    zone: Tz,
) -> Result<ScalarValue> {
    if scalar.is_null() {
        return ScalarValue::try_from(&to.arrow());
    }
    let array = canonical(&scalar.to_array()?, from)?;
    let value = cast_value(&value_at(&array, 0)?, from, to, modifier, zone)?;
    ScalarValue::try_from_array(&array_of(to, &[value])?, 0)
}

fn cast_body<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Result<Value<'v>> {
    cast_value(&args[0], &env.arg_types[0], env.returns, env.modifier, env.zone)
}

fn cast_value(
    value: &Value<'_>,
    from: &PgType,
    to: &PgType,
    modifier: Modifier,
    zone: Tz,
) -> Result<Value<'static>> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let result = match (value, to) {
        (Value::Text(text), to) if matches!(from, PgType::Text | PgType::Unknown) => {
            text_form::parse(text, to, zone)?
        }
        (value, PgType::Text | PgType::Unknown) => {
            Value::text(text_form::to_text(value, from, zone)?)
        }
        (Value::List(items), PgType::Array(to)) => {
            let PgType::Array(from) = from else { return exec_err!("this is no array") };
            let cast = items.iter().map(|item| cast_value(item, from, to, modifier, zone));
            Value::List(cast.collect::<Result<_>>()?)
        }
        (value, to) if to.is_number() => to_number(value, to)?,
        (Value::Int(number), PgType::Bool) => Value::Bool(*number != 0),
        (value, to) => to_time(value, from, to, zone)?,
    };
    modified(result, modifier)
}

fn to_number(value: &Value<'_>, to: &PgType) -> Result<Value<'static>> {
    let out_of_range = || exec_err!("{} out of range", to.name());
    let number = match (value, to) {
        (Value::Bool(truth), _) => return Ok(Value::Int(i64::from(*truth))),
        (Value::Int(number), PgType::Numeric { scale, .. }) => {
            return Ok(Value::number((numeric::rescale((*number).into(), 0, *scale)?, *scale)));
        }
        (Value::Int(number), PgType::Float4 | PgType::Float8) => {
            return Ok(Value::Float(*number as f64));
        }
        (Value::Int(number), _) => i128::from(*number),
        (Value::Number { digits, scale: from }, PgType::Numeric { scale, .. }) => {
            return Ok(Value::number((numeric::rescale(*digits, *from, *scale)?, *scale)));
        }
        (Value::Number { digits, scale }, PgType::Float4 | PgType::Float8) => {
            return Ok(Value::Float(numeric::to_float((*digits, *scale))));
        }
        (Value::Number { digits, scale }, _) => numeric::to_int((*digits, *scale))?.into(),
        (Value::Float(float), PgType::Numeric { scale, .. }) => {
            let (digits, from) = numeric::from_float(*float)?;
            return Ok(Value::number((numeric::rescale(digits, from, *scale)?, *scale)));
        }
        (Value::Float(float), PgType::Float4 | PgType::Float8) => return Ok(Value::Float(*float)),
        (Value::Float(float), _) => {
            let rounded = float.round_ties_even();
            if !rounded.is_finite() || rounded.abs() >= 9.3e18 {
                return out_of_range();
            }
            rounded as i128
        }
        (other, _) => return exec_err!("{other:?} is no number"),
    };
    match text_form::fits_integer(number, to) {
        Some(number) => Ok(Value::Int(number)),
        None => out_of_range(),
    }
}

fn to_time(value: &Value<'_>, from: &PgType, to: &PgType, zone: Tz) -> Result<Value<'static>> {
    use PgType as T;
    Ok(match (value, from, to) {
        (Value::Date(days), _, T::Timestamp) => Value::Time(i64::from(*days) * DAY),
        (Value::Date(days), _, T::TimestampTz) => {
            Value::Time(from_wall(zone, i64::from(*days) * DAY)?)
        }
        (Value::Time(micros), T::Timestamp, T::TimestampTz) => {
            Value::Time(from_wall(zone, *micros)?)
        }
        (Value::Time(micros), T::TimestampTz, T::Timestamp) => Value::Time(to_wall(zone, *micros)?),
        (Value::Time(micros), T::Timestamp, T::Date) => Value::Date(wall_day(*micros)?),
        (Value::Time(micros), T::TimestampTz, T::Date) => {
            Value::Date(wall_day(to_wall(zone, *micros)?)?)
        }
        (Value::Time(micros), T::Timestamp, T::Time) => Value::Time(micros.rem_euclid(DAY)),
        (Value::Time(micros), T::TimestampTz, T::Time) => {
            Value::Time(to_wall(zone, *micros)?.rem_euclid(DAY))
        }
        (Value::Time(micros), T::Time, T::Interval) => {
            Value::Interval(Interval { micros: *micros, ..Interval::default() })
        }
        (Value::Interval(interval), _, T::Time) => Value::Time(interval.micros.rem_euclid(DAY)),
        (value, _, _) => owned(value.clone()),
    })
}

fn modified(value: Value<'static>, modifier: Modifier) -> Result<Value<'static>> {
    Ok(match (value, modifier) {
        (Value::Text(text), Modifier::Length(length)) => {
            Value::text(text.chars().take(length).collect::<String>())
        }
        (Value::Number { digits, scale }, Modifier::Digits(most)) => {
            if digits.unsigned_abs() >= 10_u128.pow(most.into()) {
                return exec_err!("numeric field overflow: the number has more than {most} digits");
            }
            Value::Number { digits, scale }
        }
        (Value::Time(micros), Modifier::Seconds(places)) => {
            let unit = 10_i64.pow(6_u32.saturating_sub(places.into()));
            let half = unit / 2;
            let rounded =
                (micros.checked_add(half).ok_or_else(out_of_range)?).div_euclid(unit) * unit;
            clock::wall(rounded)?;
            Value::Time(rounded)
        }
        (value, _) => value,
    })
}

/// The type of `numeric` without digits in a cast.
pub(super) fn open_numeric() -> PgType {
    PgType::Numeric { scale: OPEN_SCALE, exact: false }
}
