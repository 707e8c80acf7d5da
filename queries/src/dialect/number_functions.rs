//! PostgreSQL's operators and functions over numbers.

use super::function::Env;
use super::number_template::NumberTemplate;
use super::numeric::{self, Whole};
use super::pg_type::PgType;
use super::value::Value;
use datafusion::common::{DataFusionError, Result, exec_err};

type Outcome<'v> = Result<Value<'v>>;

fn out_of_range() -> DataFusionError {
    DataFusionError::Execution("integer out of range".to_owned())
}

/// The result of a whole number, within the type of the result.
fn integer<'v>(env: &Env<'_>, number: Option<i64>) -> Outcome<'v> {
    number
        .and_then(|number| super::text_form::fits_integer(number.into(), env.returns))
        .map(Value::Int)
        .ok_or_else(|| DataFusionError::Execution(format!("{} out of range", env.returns.name())))
}

fn ints(args: &[Value<'_>]) -> Result<(i64, i64)> {
    Ok((args[0].as_int()?, args[1].as_int()?))
}

pub(super) fn int_add<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = ints(args)?;
    integer(env, left.checked_add(right))
}

pub(super) fn int_subtract<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = ints(args)?;
    integer(env, left.checked_sub(right))
}

pub(super) fn int_multiply<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = ints(args)?;
    integer(env, left.checked_mul(right))
}

pub(super) fn int_divide<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = ints(args)?;
    if right == 0 {
        return exec_err!("division by zero");
    }
    integer(env, left.checked_div(right))
}

pub(super) fn int_modulo<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = ints(args)?;
    if right == 0 {
        return exec_err!("division by zero");
    }
    integer(env, Some(left.wrapping_rem(right)))
}

pub(super) fn int_abs<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    integer(env, args[0].as_int()?.checked_abs())
}

pub(super) fn int_and<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = ints(args)?;
    integer(env, Some(left & right))
}

pub(super) fn int_or<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = ints(args)?;
    integer(env, Some(left | right))
}

pub(super) fn int_xor<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = ints(args)?;
    integer(env, Some(left ^ right))
}

pub(super) fn gcd<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = ints(args)?;
    integer(env, i64::try_from(common_divisor(left, right)).ok())
}

fn common_divisor(left: i64, right: i64) -> u64 {
    let (mut left, mut right) = (left.unsigned_abs(), right.unsigned_abs());
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

pub(super) fn lcm<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = ints(args)?;
    if left == 0 || right == 0 {
        return Ok(Value::Int(0));
    }
    let divided = left.unsigned_abs() / common_divisor(left, right);
    integer(env, divided.checked_mul(right.unsigned_abs()).and_then(|lcm| i64::try_from(lcm).ok()))
}

pub(super) fn factorial<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let number = args[0].as_int()?;
    if number < 0 {
        return exec_err!("factorial of a negative number is undefined");
    }
    if number > 33 {
        return exec_err!("value overflows numeric format");
    }
    let product = (1..=i128::from(number)).product();
    Ok(Value::Number { digits: product, scale: 0 })
}

fn floats(args: &[Value<'_>]) -> Result<(f64, f64)> {
    Ok((args[0].as_float()?, args[1].as_float()?))
}

/// The result of floats, which overflows or underflows to an error as in PostgreSQL.
fn float<'v>(result: f64, args: &[f64]) -> Outcome<'v> {
    if result.is_infinite() && args.iter().all(|arg| arg.is_finite()) {
        return exec_err!("value out of range: overflow");
    }
    Ok(Value::Float(result))
}

pub(super) fn float_add<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = floats(args)?;
    float(left + right, &[left, right])
}

pub(super) fn float_subtract<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = floats(args)?;
    float(left - right, &[left, right])
}

pub(super) fn float_multiply<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = floats(args)?;
    let product = left * right;
    if product == 0.0 && left != 0.0 && right != 0.0 {
        return exec_err!("value out of range: underflow");
    }
    float(product, &[left, right])
}

pub(super) fn float_divide<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = floats(args)?;
    if right == 0.0 && !left.is_nan() {
        return exec_err!("division by zero");
    }
    let quotient = left / right;
    if quotient == 0.0 && left != 0.0 && right.is_finite() {
        return exec_err!("value out of range: underflow");
    }
    float(quotient, &[left, right])
}

macro_rules! float_function {
    ($($name:ident: $compute:expr;)*) => {
        $(pub(super) fn $name<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
            let argument = args[0].as_float()?;
            let compute: fn(f64) -> f64 = $compute;
            float(compute(argument), &[argument])
        })*
    };
}

float_function! {
    abs: f64::abs;
    ceil: f64::ceil;
    floor: f64::floor;
    round: f64::round_ties_even;
    trunc: f64::trunc;
    sign: |number| if number == 0.0 { 0.0 } else { number.signum() };
    cbrt: f64::cbrt;
    exp: f64::exp;
    sin: f64::sin;
    cos: f64::cos;
    tan: f64::tan;
    atan: f64::atan;
    sinh: f64::sinh;
    cosh: f64::cosh;
    tanh: f64::tanh;
    asinh: f64::asinh;
    degrees: f64::to_degrees;
    radians: |degrees| degrees * (std::f64::consts::PI / 180.0);
}

pub(super) fn sqrt<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let number = args[0].as_float()?;
    if number < 0.0 {
        return exec_err!("cannot take square root of a negative number");
    }
    Ok(Value::Float(number.sqrt()))
}

fn logarithm<'v>(args: &[Value<'v>], compute: fn(f64) -> f64) -> Outcome<'v> {
    let number = args[0].as_float()?;
    if number == 0.0 {
        return exec_err!("cannot take logarithm of zero");
    }
    if number < 0.0 {
        return exec_err!("cannot take logarithm of a negative number");
    }
    Ok(Value::Float(compute(number)))
}

pub(super) fn ln<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    logarithm(args, f64::ln)
}

pub(super) fn log10<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    logarithm(args, f64::log10)
}

/// A function of arguments in `[-1, 1]`.
fn inverse<'v>(args: &[Value<'v>], compute: fn(f64) -> f64) -> Outcome<'v> {
    let number = args[0].as_float()?;
    if number.abs() > 1.0 {
        return exec_err!("input is out of range");
    }
    Ok(Value::Float(compute(number)))
}

pub(super) fn asin<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    inverse(args, f64::asin)
}

pub(super) fn acos<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    inverse(args, f64::acos)
}

pub(super) fn atan2<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (y, x) = floats(args)?;
    Ok(Value::Float(y.atan2(x)))
}

pub(super) fn pi<'v>(_: &Env<'_>, _: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Float(std::f64::consts::PI))
}

pub(super) fn power<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (base, exponent) = floats(args)?;
    if base == 0.0 && exponent < 0.0 {
        return exec_err!("zero raised to a negative power is undefined");
    }
    if base < 0.0 && exponent.fract() != 0.0 {
        return exec_err!(
            "a negative number raised to a non-integer power yields a complex result"
        );
    }
    float(base.powf(exponent), &[base, exponent])
}

fn numbers(args: &[Value<'_>]) -> Result<((i128, i8), (i128, i8))> {
    Ok((args[0].as_number()?, args[1].as_number()?))
}

pub(super) fn number_add<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = numbers(args)?;
    Ok(Value::number(numeric::add(left, right)?))
}

pub(super) fn number_subtract<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = numbers(args)?;
    Ok(Value::number(numeric::add(left, (-right.0, right.1))?))
}

pub(super) fn number_multiply<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = numbers(args)?;
    let scale = match env.returns {
        PgType::Numeric { scale, .. } => *scale,
        _ => 0,
    };
    Ok(Value::number(numeric::multiply(left, right, scale)?))
}

pub(super) fn number_divide<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = numbers(args)?;
    Ok(Value::number(numeric::divide(left, right)?))
}

pub(super) fn number_modulo<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = numbers(args)?;
    Ok(Value::number(numeric::modulo(left, right)?))
}

pub(super) fn number_div<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = numbers(args)?;
    if right.0 == 0 {
        return exec_err!("division by zero");
    }
    let scale = left.1.max(right.1);
    let (left, right) =
        (numeric::rescale(left.0, left.1, scale)?, numeric::rescale(right.0, right.1, scale)?);
    Ok(Value::Number { digits: left / right, scale: 0 })
}

pub(super) fn number_abs<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (digits, scale) = args[0].as_number()?;
    Ok(Value::Number { digits: digits.abs(), scale })
}

pub(super) fn number_sign<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Number { digits: args[0].as_number()?.0.signum(), scale: 0 })
}

pub(super) fn number_ceil<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Number { digits: numeric::whole(args[0].as_number()?, Whole::Up)?, scale: 0 })
}

pub(super) fn number_floor<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Number { digits: numeric::whole(args[0].as_number()?, Whole::Down)?, scale: 0 })
}

pub(super) fn number_trunc<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let places = args.get(1).map_or(Ok(0), Value::as_int)?;
    Ok(Value::number(numeric::to_places(args[0].as_number()?, places, false)?))
}

pub(super) fn number_round<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let places = args.get(1).map_or(Ok(0), Value::as_int)?;
    Ok(Value::number(numeric::to_places(args[0].as_number()?, places, true)?))
}

pub(super) fn number_sqrt<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::number(numeric::sqrt(args[0].as_number()?)?))
}

pub(super) fn number_power<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (base, exponent) = numbers(args)?;
    Ok(Value::number(numeric::power(base, exponent)?))
}

/// `to_char(number, template)`. `number` is rounded to the given number of digits after the point.
fn written<'v>(args: &[Value<'v>], number: impl Fn(usize) -> Result<String>) -> Outcome<'v> {
    let template = NumberTemplate::parse(args[1].as_text()?)?;
    Ok(Value::text(template.write(&number(template.places())?)))
}

pub(super) fn to_char_int<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let number = (i128::from(args[0].as_int()?), 0);
    written(args, |places| rounded(number, places))
}

pub(super) fn to_char_number<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let number = args[0].as_number()?;
    written(args, |places| rounded(number, places))
}

/// The number with exactly `places` digits after the point.
fn rounded(number: (i128, i8), places: usize) -> Result<String> {
    let Ok(places) = i8::try_from(places) else {
        return exec_err!("a template of to_char has at most 38 digits after the point here");
    };
    Ok(numeric::text((numeric::rescale(number.0, number.1, places)?, places)))
}

/// A float has no more digits than are certain: 15, or 6 for `real`.
pub(super) fn to_char_float<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let number = args[0].as_float()?;
    if !number.is_finite() {
        return exec_err!("to_char of {number} is not translated");
    }
    let certain: usize = if env.arg_types[0] == PgType::Float4 { 6 } else { 15 };
    let whole = format!("{:.0}", number.abs()).len();
    written(args, |places| {
        let places = places.min(certain.saturating_sub(whole));
        Ok(format!("{number:.places$}"))
    })
}

/// `width_bucket(value, low, high, count)` over exact numbers.
pub(super) fn number_width_bucket<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (value, low, high) = (args[0].as_number()?, args[1].as_number()?, args[2].as_number()?);
    let count = args[3].as_int()?;
    let scale = value.1.max(low.1).max(high.1);
    let digits = |number: (i128, i8)| numeric::rescale(number.0, number.1, scale);
    let (value, low, high) = (digits(value)?, digits(low)?, digits(high)?);
    if count <= 0 || low == high {
        return exec_err!("width_bucket needs a positive count, and bounds that differ");
    }
    // Bounds in falling order count from the other side.
    let (distance, width) =
        if low < high { (value - low, high - low) } else { (low - value, low - high) };
    let found = if distance < 0 {
        0
    } else if distance >= width {
        count + 1
    } else {
        let Some(product) = distance.checked_mul(count.into()) else {
            return exec_err!("the numbers have too many digits; cast them to double precision");
        };
        i64::try_from(product / width).map_err(|_| out_of_range())? + 1
    };
    integer(env, Some(found)).map_err(|_| out_of_range())
}

/// `width_bucket(value, low, high, count)` over floats.
pub(super) fn width_bucket<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (value, low, high) = (args[0].as_float()?, args[1].as_float()?, args[2].as_float()?);
    let count = args[3].as_int()?;
    if count <= 0 || low == high || !(value.is_finite() && low.is_finite() && high.is_finite()) {
        return exec_err!("width_bucket needs a positive count, and finite bounds that differ");
    }
    let bucket = |distance: f64, width: f64| (count as f64 * (distance / width)).floor() as i64 + 1;
    let found = if low < high {
        if value < low {
            0
        } else if value >= high {
            count + 1
        } else {
            bucket(value - low, high - low)
        }
    } else if value > low {
        0
    } else if value <= high {
        count + 1
    } else {
        bucket(low - value, low - high)
    };
    integer(env, Some(found)).map_err(|_| out_of_range())
}
