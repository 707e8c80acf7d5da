//! PostgreSQL's `numeric` in 38 digits: exact arithmetic, rounding half away from zero, text.
//!
//! A number is a pair of an integer and a scale, the number of its digits after the point: the pair
//! `(1250, 2)` is 12.50. A result that needs more than 38 digits is an error.

use datafusion::arrow::datatypes::i256;
use datafusion::common::{DataFusionError, Result, exec_err};

/// Maximum number of digits of a `numeric` here.
const DIGITS_MAX: u32 = 38;
/// Minimum number of significant digits of a quotient, as in PostgreSQL.
const QUOTIENT_DIGITS_MIN: i32 = 16;
/// Digits after the point of a power, and those that are kept while it is multiplied.
const POWER_SCALE_MIN: i8 = 16;
const POWER_SCALE_KEPT: i8 = 30;
/// Largest exponent of a power: it is multiplied out.
const EXPONENT_MAX: i128 = 10_000;

fn overflow() -> DataFusionError {
    DataFusionError::Execution(
        "the number has more than 38 digits; cast to double precision to compute with it"
            .to_owned(),
    )
}

/// `10^exponent`.
pub(super) fn power_of_ten(exponent: u32) -> Result<i128> {
    10_i128.checked_pow(exponent).ok_or_else(overflow)
}

/// `digits / divisor`, rounded half away from zero.
fn divide_rounded(digits: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (digits / divisor, digits % divisor);
    let away = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
    quotient
        + if away && rest != 0 { if (digits < 0) == (divisor < 0) { 1 } else { -1 } } else { 0 }
}

/// The digits of `digits / 10^from` with `to` digits after the point.
pub(super) fn rescale(digits: i128, from: i8, to: i8) -> Result<i128> {
    let change = i32::from(to) - i32::from(from);
    let factor = power_of_ten(change.unsigned_abs());
    let scaled = if change >= 0 {
        match (digits, factor) {
            (0, _) => 0,
            (digits, factor) => digits.checked_mul(factor?).ok_or_else(overflow)?,
        }
    } else {
        factor.map_or(0, |factor| divide_rounded(digits, factor))
    };
    if scaled.unsigned_abs() >= 10_u128.pow(DIGITS_MAX) { Err(overflow()) } else { Ok(scaled) }
}

/// The sum, with the larger of the two scales.
pub(super) fn add(left: (i128, i8), right: (i128, i8)) -> Result<(i128, i8)> {
    let scale = left.1.max(right.1);
    let sum = rescale(left.0, left.1, scale)?.checked_add(rescale(right.0, right.1, scale)?);
    Ok((sum.ok_or_else(overflow)?, scale))
}

/// The product, rounded to at most `scale` digits after the point.
pub(super) fn multiply(left: (i128, i8), right: (i128, i8), scale: i8) -> Result<(i128, i8)> {
    let (left, right) = (stripped(left), stripped(right));
    let exact = left.1 + right.1;
    if let Some(product) = left.0.checked_mul(right.0) {
        return Ok((rescale(product, exact, exact.min(scale))?, exact.min(scale)));
    }
    let drop = u32::from((exact - scale).max(0).unsigned_abs());
    let divisor = i256::from_i128(10).checked_pow(drop).ok_or_else(overflow)?;
    let product =
        i256::from_i128(left.0).checked_mul(i256::from_i128(right.0)).ok_or_else(overflow)?;
    let half = divisor.checked_div(i256::from_i128(2)).ok_or_else(overflow)?;
    let away = if product.is_negative() { half.checked_neg().ok_or_else(overflow)? } else { half };
    let rounded = product.checked_add(away).and_then(|sum| sum.checked_div(divisor));
    let digits = rounded.and_then(i256::to_i128).ok_or_else(overflow)?;
    Ok((digits, exact.min(scale)))
}

/// The number without zeros at the end of its fraction, so that products keep within 38 digits.
fn stripped((mut digits, mut scale): (i128, i8)) -> (i128, i8) {
    while scale > 0 && digits % 10 == 0 {
        digits /= 10;
        scale -= 1;
    }
    (digits, scale)
}

/// Position of the first group of four digits, counted from the point, and that group: how PostgreSQL stores numbers.
fn first_group((digits, scale): (i128, i8)) -> (i32, i128) {
    let mut magnitude = digits.abs();
    // A whole number of groups after the point.
    let padding = (4 - i32::from(scale).rem_euclid(4)) % 4;
    magnitude = magnitude.saturating_mul(10_i128.pow(padding.unsigned_abs()));
    let groups_after = (i32::from(scale) + padding) / 4;
    let mut weight = -groups_after;
    while magnitude >= 10_000 {
        magnitude /= 10_000;
        weight += 1;
    }
    (weight, magnitude)
}

/// The quotient, with as many digits after the point as PostgreSQL gives it. An error where `right`
/// is zero.
pub(super) fn divide(left: (i128, i8), right: (i128, i8)) -> Result<(i128, i8)> {
    if right.0 == 0 {
        return exec_err!("division by zero");
    }
    let ((left_weight, left_first), (right_weight, right_first)) =
        (first_group(left), first_group(right));
    let weight = left_weight - right_weight - i32::from(left_first <= right_first);
    let scale = (QUOTIENT_DIGITS_MIN - weight * 4).max(left.1.into()).max(right.1.into()).max(0);
    let scale = i8::try_from(scale).map_err(|_| overflow())?;
    Ok((long_division(stripped(left), stripped(right), scale)?, scale))
}

/// The digits of `left / right` with `scale` digits after the point, by long division, rounded half
/// away from zero.
fn long_division(left: (i128, i8), right: (i128, i8), scale: i8) -> Result<i128> {
    let negative = (left.0 < 0) != (right.0 < 0);
    let (mut rest, mut divisor) = (left.0.unsigned_abs(), right.0.unsigned_abs());
    let mut steps = i32::from(scale) + i32::from(right.1) - i32::from(left.1);
    while steps < 0 {
        divisor = divisor.checked_mul(10).ok_or_else(overflow)?;
        steps += 1;
    }
    let mut quotient = rest / divisor;
    rest %= divisor;
    for _ in 0..steps {
        rest = rest.checked_mul(10).ok_or_else(overflow)?;
        quotient = quotient
            .checked_mul(10)
            .and_then(|quotient| quotient.checked_add(rest / divisor))
            .ok_or_else(overflow)?;
        rest %= divisor;
    }
    if rest >= divisor - rest {
        quotient += 1;
    }
    let quotient = i128::try_from(quotient).map_err(|_| overflow())?;
    Ok(if negative { -quotient } else { quotient })
}

/// The square root, with as many digits after the point as PostgreSQL gives it.
pub(super) fn sqrt(number: (i128, i8)) -> Result<(i128, i8)> {
    if number.0 < 0 {
        return exec_err!("cannot take square root of a negative number");
    }
    let weight = if number.0 == 0 { 0 } else { first_group(number).0 };
    let scale = (QUOTIENT_DIGITS_MIN - (2 * weight + 1)).max(number.1.into()).max(0);
    let scale = i8::try_from(scale).map_err(|_| overflow())?;
    if number.0 == 0 {
        return Ok((0, scale));
    }
    let shift = u32::from((2 * i16::from(scale) - i16::from(number.1)).unsigned_abs());
    // Twice the root, rounded down, tells which way the root is rounded.
    let ten = i256::from_i128(10).checked_pow(shift).ok_or_else(overflow)?;
    let square = i256::from_i128(number.0)
        .checked_mul(ten)
        .and_then(|square| square.checked_mul(i256::from_i128(4)))
        .ok_or_else(overflow)?;
    let twice = whole_root(square).and_then(i256::to_i128).ok_or_else(overflow)?;
    Ok(((twice + 1) / 2, scale))
}

/// The largest whole number whose square is at most `square`, by Newton's method from above.
fn whole_root(square: i256) -> Option<i256> {
    let (one, two) = (i256::from_i128(1), i256::from_i128(2));
    let mut root = one;
    let mut rest = square;
    while rest > i256::from_i128(0) {
        rest = rest.checked_div(i256::from_i128(100))?;
        root = root.checked_mul(i256::from_i128(10))?;
    }
    loop {
        let next = root.checked_add(square.checked_div(root)?)?.checked_div(two)?;
        if next >= root {
            return Some(root);
        }
        root = next;
    }
}

/// The power, where the exponent is a whole number that is not negative.
pub(super) fn power(base: (i128, i8), exponent: (i128, i8)) -> Result<(i128, i8)> {
    let (exponent, places) = stripped(exponent);
    if places != 0 || !(0..=EXPONENT_MAX).contains(&exponent) {
        return exec_err!(
            "power of numeric is computed for whole exponents from 0 to {EXPONENT_MAX}; cast to double precision for others"
        );
    }
    let scale = base.1.max(POWER_SCALE_MIN);
    let mut result = (1, 0);
    let base = stripped(base);
    if matches!(base, (0 | 1, 0)) {
        result = if exponent == 0 { result } else { base };
    } else {
        for _ in 0..exponent {
            let product = multiply(result, base, POWER_SCALE_KEPT)?;
            if product.0 == 0 {
                return Err(overflow());
            }
            result = product;
        }
    }
    Ok((rescale(result.0, result.1, scale)?, scale))
}

/// The remainder of the division, with the sign of `left`. An error where `right` is zero.
pub(super) fn modulo(left: (i128, i8), right: (i128, i8)) -> Result<(i128, i8)> {
    let scale = left.1.max(right.1);
    let (left, right) = (rescale(left.0, left.1, scale)?, rescale(right.0, right.1, scale)?);
    if right == 0 {
        return exec_err!("division by zero");
    }
    Ok((left % right, scale))
}

/// The least whole number that is not less than the number (`Up`), or the greatest that is not more
/// (`Down`).
pub(super) fn whole((digits, scale): (i128, i8), direction: Whole) -> Result<i128> {
    if scale <= 0 {
        return rescale(digits, scale, 0);
    }
    let factor = power_of_ten(u32::from(scale.unsigned_abs()))?;
    Ok(match direction {
        Whole::Up => digits.div_euclid(factor) + i128::from(digits.rem_euclid(factor) != 0),
        Whole::Down => digits.div_euclid(factor),
    })
}

/// A direction of rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    Up,
    Down,
}

/// Rounds to `places` digits after the point, or truncates where not `round`. Negative `places`
/// count before the point. A number with no more digits is returned unchanged.
pub(super) fn to_places(number: (i128, i8), places: i64, round: bool) -> Result<(i128, i8)> {
    let places = i8::try_from(places.clamp(-100, 100)).unwrap_or_default();
    if places >= number.1 {
        return Ok(number);
    }
    let drop = u32::from((number.1 - places).unsigned_abs());
    let Ok(factor) = power_of_ten(drop) else { return Ok((0, places.max(0))) };
    let kept = if round { divide_rounded(number.0, factor) } else { number.0 / factor };
    if places >= 0 {
        return Ok((kept, places));
    }
    let back = power_of_ten(u32::from(places.unsigned_abs()))?;
    Ok((kept.checked_mul(back).ok_or_else(overflow)?, 0))
}

/// The text, with all digits after the point.
pub(super) fn text((digits, scale): (i128, i8)) -> String {
    let sign = if digits < 0 { "-" } else { "" };
    let magnitude = digits.unsigned_abs().to_string();
    if scale <= 0 {
        let zeros = if digits == 0 { 0 } else { usize::from(scale.unsigned_abs()) };
        return format!("{sign}{magnitude}{}", "0".repeat(zeros));
    }
    let places = usize::from(scale.unsigned_abs());
    let padded = format!("{magnitude:0>width$}", width = places + 1);
    let (whole, part) = padded.split_at(padded.len() - places);
    format!("{sign}{whole}.{part}")
}

/// Reads a number as PostgreSQL writes it: a sign, digits, a point, an exponent. `None` for any
/// other text and for a number with too many digits.
pub(super) fn parse(text: &str) -> Option<(i128, i8)> {
    let text = text.trim();
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{part}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = all.trim_start_matches('0');
    let mut number: i128 = if significant.is_empty() { 0 } else { significant.parse().ok()? };
    let mut scale = i32::try_from(part.len()).ok()? - exponent;
    if scale < 0 {
        number = number.checked_mul(power_of_ten(scale.unsigned_abs()).ok()?)?;
        scale = 0;
    }
    let scale =
        i8::try_from(scale).ok().filter(|scale| u32::from(scale.unsigned_abs()) <= DIGITS_MAX)?;
    Some((if negative { -number } else { number }, scale))
}

/// The number as a float.
pub(super) fn to_float(number: (i128, i8)) -> f64 {
    // The text is read exactly, and a float is the nearest to it.
    text(number).parse().unwrap_or(f64::NAN)
}

/// The float as a number of 15 significant digits, as PostgreSQL casts it. An error where it is
/// not finite or too large.
pub(super) fn from_float(float: f64) -> Result<(i128, i8)> {
    if !float.is_finite() {
        return exec_err!("a numeric here cannot be {float}");
    }
    parse(&format!("{float:.14e}")).map(stripped).ok_or_else(overflow)
}

/// The number as an integer, rounded half away from zero. An error where it does not fit 64 bits.
pub(super) fn to_int(number: (i128, i8)) -> Result<i64> {
    let whole = rescale(number.0, number.1, 0)?;
    i64::try_from(whole).map_err(|_| DataFusionError::Execution("bigint out of range".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_computed_as_in_postgresql() {
        let number = |text: &str| parse(text).expect("a number");
        for (left, right, quotient) in [
            ("1", "3", "0.33333333333333333333"),
            ("10", "3", "3.3333333333333333"),
            ("2", "3", "0.66666666666666666667"),
            ("-7", "2.0", "-3.5000000000000000"),
            ("100.0", "7", "14.2857142857142857"),
            ("1", "30000", "0.000033333333333333333333"),
            ("12345678", "3", "4115226.000000000000"),
        ] {
            let divided = divide(number(left), number(right)).expect("a quotient");
            assert_eq!(text(divided), quotient, "{left} / {right}");
        }
        assert_eq!(text(to_places(number("2.345"), 2, true).expect("rounded")), "2.35");
        assert_eq!(text(to_places(number("-1250"), -2, true).expect("rounded")), "-1300");
        assert_eq!(text(multiply(number("1.10"), number("2.5"), 3).expect("a product")), "2.75");
        for (square, root) in [
            ("2.0", "1.414213562373095"),
            ("0", "0.000000000000000"),
            ("144", "12.000000000000000"),
            ("0.0625", "0.25000000000000000"),
            ("12345678.9", "3513.6418286444622"),
        ] {
            let found = sqrt(number(square)).expect("a root");
            let (left, right) = (to_float(found), to_float(number(root)));
            assert!((left - right).abs() < 1e-12, "sqrt({square}) = {}", text(found));
        }
        assert_eq!(text(sqrt(number("2.0")).expect("a root")), "1.414213562373095");
        let of = |base: &str, exponent: &str| power(number(base), number(exponent)).map(text);
        assert_eq!(of("2.5", "2").expect("a power"), "6.2500000000000000");
        assert_eq!(of("-1.1", "3.0").expect("a power"), "-1.3310000000000000");
        assert_eq!(of("0.0", "0").expect("a power"), "1.0000000000000000");
        assert!(of("2.0", "0.5").is_err() && of("10.0", "40").is_err());
        assert_eq!(to_int(number("-2.5")).expect("whole"), -3);
        assert_eq!(text(from_float(0.1 + 0.2).expect("a number")), "0.3");
    }
}
