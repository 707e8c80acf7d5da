//! Values in PostgreSQL's text format.

use super::errors::client_error;
use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    TimeUnit,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::DateTime;
use datafusion_postgres::pgwire::error::PgWireResult;

/// How values are written, by the settings of the connection.
#[derive(Debug, Clone)]
pub(super) struct TextFormat {
    /// `extra_float_digits`.
    pub(super) extra_float_digits: i64,
    /// `bytea_output` is `escape`.
    pub(super) escapes_bytes: bool,
    /// `IntervalStyle` is `iso_8601`.
    pub(super) iso_intervals: bool,
}

/// The text of the value in `row`; `None` for NULL.
///
/// # Errors
/// The type has no text.
pub(super) fn text_of(
    column: &ArrayRef,
    row: usize,
    format: &TextFormat,
) -> PgWireResult<Option<String>> {
    if column.is_null(row) {
        return Ok(None);
    }
    Ok(Some(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Utf8View => column.as_string_view().value(row).to_owned(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).to_owned(),
        DataType::Boolean => if column.as_boolean().value(row) { "t" } else { "f" }.to_owned(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => {
            let value = column.as_primitive::<Float64Type>().value(row);
            float(&format!("{value:e}"), value, 15, format)
        }
        DataType::Float32 => {
            let value = column.as_primitive::<Float32Type>().value(row);
            float(&format!("{value:e}"), f64::from(value), 6, format)
        }
        // In 37 digits the number of digits is not the value's own: the zeros at its end say nothing.
        DataType::Decimal128(37, 1..) => {
            let text = column.as_primitive::<Decimal128Type>().value_as_string(row);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        DataType::Decimal128(_, _) => column.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Date32 => match column.as_primitive::<Date32Type>().value_as_date(row) {
            Some(date) => date.format("%Y-%m-%d").to_string(),
            None => return Err(out_of_range()),
        },
        DataType::Timestamp(unit, zone) => timestamp(column, row, *unit, zone.as_deref())?,
        DataType::Interval(unit) => interval(column, row, *unit, format),
        DataType::Binary => bytes(column.as_binary::<i32>().value(row), format),
        DataType::BinaryView => bytes(column.as_binary_view().value(row), format),
        DataType::LargeBinary => bytes(column.as_binary::<i64>().value(row), format),
        DataType::List(_) => list(&column.as_list::<i32>().value(row), format)?,
        DataType::Struct(_) => record(column, row, format)?,
        _ => displayed(column, row)?,
    }))
}

fn out_of_range() -> datafusion_postgres::pgwire::error::PgWireError {
    client_error("22008", "a date or time is out of range", None)
}

/// The text of a value of a type without rules of its own: times of day, and long decimals.
fn displayed(column: &ArrayRef, row: usize) -> PgWireResult<String> {
    let options = FormatOptions::default();
    let written = ArrayFormatter::try_new(column, &options)
        .and_then(|formatter| {
            let mut text = String::new();
            formatter.value(row).write(&mut text).map(|()| text)
        })
        .map_err(|error| client_error("0A000", format!("a value has no text: {error}"), None))?;
    let of_day = matches!(column.data_type(), DataType::Time32(_) | DataType::Time64(_));
    Ok(if of_day && written.contains('.') {
        written.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        written
    })
}

/// A floating-point number, of which `shortest` is the shortest exact text in the form `1.5e3`.
/// `digits` are those that the type holds in every case.
fn float(shortest: &str, value: f64, digits: i64, format: &TextFormat) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let rounded;
    let (written, limit) = if format.extra_float_digits > 0 {
        (shortest, digits)
    } else {
        let digits = (digits + format.extra_float_digits).max(1);
        rounded = format!("{value:.*e}", usize::try_from(digits - 1).unwrap_or_default());
        (rounded.as_str(), digits)
    };
    let (mantissa, exponent) = written.split_once('e').unwrap_or((written, "0"));
    let exponent: i64 = exponent.parse().unwrap_or_default();
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let all: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let all = match all.trim_end_matches('0') {
        "" => "0",
        significant => significant,
    };
    if exponent < -4 || exponent >= limit {
        let (first, rest) = all.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{direction}{:02}", exponent.abs());
    }
    if exponent < 0 {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or_default());
        return format!("{sign}0.{zeros}{all}");
    }
    let whole = usize::try_from(exponent).unwrap_or_default() + 1;
    if all.len() <= whole {
        return format!("{sign}{all}{}", "0".repeat(whole - all.len()));
    }
    format!("{sign}{}.{}", &all[..whole], &all[whole..])
}

/// A time, with the offset of its zone if it has one.
fn timestamp(
    column: &ArrayRef,
    row: usize,
    unit: TimeUnit,
    zone: Option<&str>,
) -> PgWireResult<String> {
    use arrow::datatypes as t;
    let utc = match unit {
        TimeUnit::Second => {
            DateTime::from_timestamp(column.as_primitive::<t::TimestampSecondType>().value(row), 0)
        }
        TimeUnit::Millisecond => DateTime::from_timestamp_millis(
            column.as_primitive::<t::TimestampMillisecondType>().value(row),
        ),
        TimeUnit::Microsecond => DateTime::from_timestamp_micros(
            column.as_primitive::<t::TimestampMicrosecondType>().value(row),
        ),
        // PostgreSQL has microseconds.
        TimeUnit::Nanosecond => DateTime::from_timestamp_micros(
            column.as_primitive::<t::TimestampNanosecondType>().value(row).div_euclid(1_000),
        ),
    };
    let utc = utc.ok_or_else(out_of_range)?;
    let (local, offset) = match zone {
        None => (utc.naive_utc(), String::new()),
        Some(zone) => {
            let zone: Tz = zone.parse().map_err(|_| out_of_range())?;
            let local = utc.with_timezone(&zone);
            let offset = local.format("%:z").to_string();
            let offset = offset.strip_suffix(":00").unwrap_or(&offset).to_owned();
            (local.naive_local(), offset)
        }
    };
    let seconds = local.format("%Y-%m-%d %H:%M:%S");
    let micros = utc.timestamp_subsec_micros();
    let fraction = if micros == 0 {
        String::new()
    } else {
        format!(".{}", format!("{micros:06}").trim_end_matches('0'))
    };
    Ok(format!("{seconds}{fraction}{offset}"))
}

fn interval(column: &ArrayRef, row: usize, unit: IntervalUnit, format: &TextFormat) -> String {
    let (months, days, micros) = match unit {
        IntervalUnit::YearMonth => {
            (column.as_primitive::<IntervalYearMonthType>().value(row), 0, 0)
        }
        IntervalUnit::DayTime => {
            let value = column.as_primitive::<IntervalDayTimeType>().value(row);
            (0, value.days, i64::from(value.milliseconds) * 1_000)
        }
        IntervalUnit::MonthDayNano => {
            let value = column.as_primitive::<IntervalMonthDayNanoType>().value(row);
            (value.months, value.days, value.nanoseconds / 1_000)
        }
    };
    if format.iso_intervals {
        iso_interval(months, days, micros)
    } else {
        postgres_interval(months, days, micros)
    }
}

/// Hours, minutes, whole seconds and the rest of a second, such as `.25`, of a positive time.
fn clock(micros: u64) -> (u64, u64, u64, String) {
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    let rest = if rest == 0 {
        String::new()
    } else {
        format!(".{}", format!("{rest:06}").trim_end_matches('0'))
    };
    (seconds / 3_600, seconds / 60 % 60, seconds % 60, rest)
}

/// An interval such as `1 year 2 mons -3 days +04:05:06`.
fn postgres_interval(months: i32, days: i32, micros: i64) -> String {
    let mut parts = Vec::new();
    let mut negative = false;
    for (count, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if count != 0 {
            let sign = if negative && count > 0 { "+" } else { "" };
            let plural = if count == 1 { "" } else { "s" };
            parts.push(format!("{sign}{count} {unit}{plural}"));
            negative = count < 0;
        }
    }
    if micros != 0 || parts.is_empty() {
        let sign = if micros < 0 {
            "-"
        } else if negative {
            "+"
        } else {
            ""
        };
        let (hours, minutes, seconds, rest) = clock(micros.unsigned_abs());
        parts.push(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{rest}"));
    }
    parts.join(" ")
}

/// An interval such as `P1Y2M-3DT4H5M6S`.
fn iso_interval(months: i32, days: i32, micros: i64) -> String {
    if months == 0 && days == 0 && micros == 0 {
        return "PT0S".to_owned();
    }
    let part = |count: i64, unit: char| {
        if count == 0 { String::new() } else { format!("{count}{unit}") }
    };
    let date = [
        part(i64::from(months / 12), 'Y'),
        part(i64::from(months % 12), 'M'),
        part(i64::from(days), 'D'),
    ];
    let mut text = format!("P{}", date.concat());
    if micros != 0 {
        let sign = if micros < 0 { "-" } else { "" };
        let (hours, minutes, seconds, rest) = clock(micros.unsigned_abs());
        text.push('T');
        for (count, unit) in [(hours, 'H'), (minutes, 'M')] {
            if count != 0 {
                text.push_str(&format!("{sign}{count}{unit}"));
            }
        }
        if seconds != 0 || !rest.is_empty() {
            text.push_str(&format!("{sign}{seconds}{rest}S"));
        }
    }
    text
}

fn bytes(value: &[u8], format: &TextFormat) -> String {
    if format.escapes_bytes {
        let escaped = value.iter().map(|byte| match byte {
            b'\\' => "\\\\".to_owned(),
            0x20..=0x7e => char::from(*byte).to_string(),
            other => format!("\\{other:03o}"),
        });
        return escaped.collect();
    }
    value.iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// An array such as `{a,"b c",NULL}`.
fn list(items: &ArrayRef, format: &TextFormat) -> PgWireResult<String> {
    let nested = matches!(items.data_type(), DataType::List(_));
    let item = |row| {
        Ok(match text_of(items, row, format)? {
            None => "NULL".to_owned(),
            Some(text) if nested => text,
            Some(text) if needs_quotes(&text, "{},") || text.eq_ignore_ascii_case("null") => {
                format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            }
            Some(text) => text,
        })
    };
    let items = (0..items.len()).map(item).collect::<PgWireResult<Vec<_>>>()?;
    Ok(format!("{{{}}}", items.join(",")))
}

/// A record such as `(a,"b c",)`.
fn record(column: &ArrayRef, row: usize, format: &TextFormat) -> PgWireResult<String> {
    let fields = column.as_struct().columns().iter().map(|field| {
        Ok(match text_of(field, row, format)? {
            None => String::new(),
            Some(text) if needs_quotes(&text, "(),") => {
                format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""))
            }
            Some(text) => text,
        })
    });
    Ok(format!("({})", fields.collect::<PgWireResult<Vec<_>>>()?.join(",")))
}

fn needs_quotes(text: &str, special: &str) -> bool {
    let is_special =
        |c: char| special.contains(c) || c == '"' || c == '\\' || c.is_ascii_whitespace();
    text.is_empty() || text.contains(is_special)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: TextFormat =
        TextFormat { extra_float_digits: 1, escapes_bytes: false, iso_intervals: false };

    #[test]
    fn floats_read_as_in_postgresql() {
        let text = |value: f64, extra_float_digits| {
            let format = TextFormat { extra_float_digits, ..DEFAULT };
            float(&format!("{value:e}"), value, 15, &format)
        };
        for (value, shown) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (123_456_789.125, "123456789.125"),
            (1e-4, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (1e300, "1e+300"),
            (f64::INFINITY, "Infinity"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(text(value, 1), shown);
        }
        assert_eq!(text(0.1 + 0.2, 1), "0.30000000000000004");
        assert_eq!(text(0.1 + 0.2, 0), "0.3");
        assert_eq!(text(std::f64::consts::PI, -12), "3.14");
        assert_eq!(text(123_456.0, -12), "1.23e+05");
    }

    #[test]
    fn intervals_read_as_in_postgresql() {
        for (months, days, micros, postgres, iso) in [
            (0, 0, 0, "00:00:00", "PT0S"),
            (14, 3, 14_706_000_000, "1 year 2 mons 3 days 04:05:06", "P1Y2M3DT4H5M6S"),
            (-1, 3, -500_000, "-1 mons +3 days -00:00:00.5", "P-1M3DT-0.5S"),
            (0, -1, 60_000_000, "-1 days +00:01:00", "P-1DT1M"),
        ] {
            assert_eq!(postgres_interval(months, days, micros), postgres);
            assert_eq!(iso_interval(months, days, micros), iso);
        }
    }
}
