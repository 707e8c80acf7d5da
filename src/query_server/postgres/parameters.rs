//! Values that a client binds to the parameters of a statement, in the text or the binary format.

use super::errors::client_error;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::error::PgWireResult;
use trailhound_queries::session::ad_hoc::value_of_text;

/// Microseconds from 1970 to 2000, the beginning of PostgreSQL's times.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Days between the same.
const EPOCH_DAYS: i32 = 10_957;

/// The value of a parameter in the type that the statement needs. Texts of times without an offset are those of the zone
/// `zone`.
///
/// # Errors
/// The bytes are not a value of `sent`, or the value does not fit `needed`.
pub(super) fn parameter(
    bytes: Option<&[u8]>,
    is_binary: bool,
    sent: &Type,
    needed: &DataType,
    zone: &str,
) -> PgWireResult<ScalarValue> {
    let wrong = |why: &str| {
        client_error("22P02", format!("a parameter is no value of type {sent}: {why}"), None)
    };
    let value = match bytes {
        None => ScalarValue::Null,
        Some(bytes) if is_binary => binary(bytes, sent).map_err(|why| wrong(&why))?,
        Some(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|e| wrong(&e.to_string()))?;
            if text.contains('\0') {
                return Err(wrong("it contains a NUL byte"));
            }
            text_value(text, sent).map_err(|why| wrong(&why))?
        }
    };
    let read = match &value {
        ScalarValue::Utf8(Some(text)) => {
            value_of_text(text, needed, zone).map_err(|error| wrong(&error.message))?
        }
        _ => None,
    };
    let value = read.unwrap_or(value);
    value.cast_to(needed).map_err(|_| wrong("it is written in another form, or out of range"))
}

/// The value of a text. Arrays are taken apart; every other text is read when it is cast.
fn text_value(text: &str, sent: &Type) -> Result<ScalarValue, String> {
    match (element_of(sent), sent) {
        (Some(_), _) => {
            list(array_items(text)?.into_iter().map(ScalarValue::Utf8).collect(), &DataType::Utf8)
        }
        (None, &Type::BYTEA) => match text.strip_prefix("\\x") {
            Some(digits) => hex(digits).map(|bytes| ScalarValue::Binary(Some(bytes))),
            None => Ok(ScalarValue::Binary(Some(text.as_bytes().to_vec()))),
        },
        _ => Ok(ScalarValue::Utf8(Some(text.to_owned()))),
    }
}

fn hex(digits: &str) -> Result<Vec<u8>, String> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2);
        pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    pairs.map(byte).collect::<Option<_>>().ok_or_else(|| "it is not hexadecimal".to_owned())
}

fn list(items: Vec<ScalarValue>, item: &DataType) -> Result<ScalarValue, String> {
    let items: Result<Vec<ScalarValue>, _> =
        items.iter().map(|value| value.cast_to(item)).collect();
    let items = items.map_err(|_| "an item has another type".to_owned())?;
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&items, item)))
}

/// The items of an array such as `{a,"b c",NULL}`.
fn array_items(text: &str) -> Result<Vec<Option<String>>, String> {
    let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.ok_or("an array stands in braces")?;
    let mut items = Vec::new();
    if inner.trim().is_empty() {
        return Ok(items);
    }
    let (mut item, mut quoted, mut was_quoted) = (String::new(), false, false);
    let mut rest = inner.chars();
    let mut push = |item: &mut String, was_quoted: bool| {
        let written = std::mem::take(item);
        let is_null = !was_quoted && written.trim().eq_ignore_ascii_case("null");
        let value = if was_quoted { written } else { written.trim().to_owned() };
        items.push((!is_null).then_some(value));
    };
    while let Some(c) = rest.next() {
        match c {
            '\\' => item.extend(rest.next()),
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted => {
                push(&mut item, was_quoted);
                was_quoted = false;
            }
            '{' | '}' if !quoted => return Err("arrays of arrays are not supported".to_owned()),
            c => item.push(c),
        }
    }
    if quoted {
        return Err("a quote has no end".to_owned());
    }
    push(&mut item, was_quoted);
    Ok(items)
}

/// The value of the binary format.
fn binary(bytes: &[u8], sent: &Type) -> Result<ScalarValue, String> {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())?;
        if text.contains('\0') { Err("it contains a NUL byte".to_owned()) } else { Ok(text) }
    };
    if let Some(element) = element_of(sent) {
        return array(bytes, &element);
    }
    Ok(match *sent {
        Type::BOOL => ScalarValue::Boolean(Some(fixed::<1>(bytes)?[0] != 0)),
        Type::INT2 => ScalarValue::Int16(Some(i16::from_be_bytes(fixed(bytes)?))),
        Type::INT4 => ScalarValue::Int32(Some(i32::from_be_bytes(fixed(bytes)?))),
        Type::INT8 => ScalarValue::Int64(Some(i64::from_be_bytes(fixed(bytes)?))),
        Type::OID | Type::REGCLASS | Type::REGTYPE | Type::XID => {
            ScalarValue::Int64(Some(i64::from(u32::from_be_bytes(fixed(bytes)?))))
        }
        Type::FLOAT4 => ScalarValue::Float32(Some(f32::from_be_bytes(fixed(bytes)?))),
        Type::FLOAT8 => ScalarValue::Float64(Some(f64::from_be_bytes(fixed(bytes)?))),
        Type::NUMERIC => ScalarValue::Utf8(Some(numeric(bytes)?)),
        Type::BYTEA => ScalarValue::Binary(Some(bytes.to_vec())),
        Type::DATE => {
            let days = i32::from_be_bytes(fixed(bytes)?).checked_add(EPOCH_DAYS);
            ScalarValue::Date32(Some(days.ok_or("the date is out of range")?))
        }
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let micros = i64::from_be_bytes(fixed(bytes)?).checked_add(EPOCH_MICROS);
            let micros = Some(micros.ok_or("the time is out of range")?);
            let zone = (*sent == Type::TIMESTAMPTZ).then(|| "UTC".into());
            ScalarValue::TimestampMicrosecond(micros, zone)
        }
        Type::TIME => ScalarValue::Time64Microsecond(Some(i64::from_be_bytes(fixed(bytes)?))),
        Type::INTERVAL => {
            let bytes: [u8; 16] = fixed(bytes)?;
            let micros = i64::from_be_bytes(fixed(&bytes[..8])?);
            let days = i32::from_be_bytes(fixed(&bytes[8..12])?);
            let months = i32::from_be_bytes(fixed(&bytes[12..])?);
            let nanos = micros.checked_mul(1_000).ok_or("the interval is too long")?;
            ScalarValue::new_interval_mdn(months, days, nanos)
        }
        Type::UUID => {
            let digits = format!("{:032x}", u128::from_be_bytes(fixed(bytes)?));
            let parts =
                [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
            ScalarValue::Utf8(Some(parts.join("-")))
        }
        Type::JSONB => ScalarValue::Utf8(Some(text(bytes.get(1..).unwrap_or_default())?)),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => {
            ScalarValue::Utf8(Some(text(bytes)?))
        }
        _ => return Err("send it as text".to_owned()),
    })
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| format!("it has {} bytes instead of {N}", bytes.len()))
}

/// The text of a binary number of any precision: groups of four decimal digits.
fn numeric(bytes: &[u8]) -> Result<String, String> {
    let words = bytes.chunks(2).map(fixed::<2>).collect::<Result<Vec<_>, _>>()?;
    let [count, weight, sign, scale, digits @ ..] = words.as_slice() else {
        return Err("it is too short".to_owned());
    };
    let (count, scale) = (u16::from_be_bytes(*count), usize::from(u16::from_be_bytes(*scale)));
    let weight = i32::from(i16::from_be_bytes(*weight));
    if digits.len() != usize::from(count) || !(-250..250).contains(&weight) || scale > 1_000 {
        return Err("it is damaged".to_owned());
    }
    let sign = match u16::from_be_bytes(*sign) {
        0x0000 => "",
        0x4000 => "-",
        _ => return Err("it is not finite".to_owned()),
    };
    let group = |place: i32| {
        let at = usize::try_from(weight - place).ok();
        at.and_then(|at| digits.get(at)).map_or(0, |group| u16::from_be_bytes(*group))
    };
    let whole: String =
        (0..=weight.max(0)).rev().map(|place| format!("{:04}", group(place))).collect();
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let groups = i32::try_from(scale.div_ceil(4)).unwrap_or_default();
    let fraction: String = (1..=groups).map(|place| format!("{:04}", group(-place))).collect();
    let point = if scale == 0 { "" } else { "." };
    Ok(format!("{sign}{whole}{point}{}", &fraction[..scale]))
}

/// The value of a binary array of one dimension.
fn array(bytes: &[u8], element: &Type) -> Result<ScalarValue, String> {
    let mut rest = bytes;
    let mut word = || -> Result<i32, String> {
        let (word, after) = rest.split_at_checked(4).ok_or("it ends too early")?;
        rest = after;
        Ok(i32::from_be_bytes(fixed(word)?))
    };
    let (dimensions, _has_null, _element) = (word()?, word()?, word()?);
    let count = match dimensions {
        0 => 0,
        1 => {
            let count = word()?;
            word()?;
            count
        }
        _ => return Err("arrays of arrays are not supported".to_owned()),
    };
    let mut items = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_at_checked(4).ok_or("it ends too early")?;
        let length = i32::from_be_bytes(fixed(length)?);
        rest = after;
        let Ok(length) = usize::try_from(length) else {
            items.push(ScalarValue::Null);
            continue;
        };
        let (item, after) = rest.split_at_checked(length).ok_or("it ends too early")?;
        rest = after;
        items.push(binary(item, element)?);
    }
    list(items, &engine_type(element))
}

/// The engine's type for values of a PostgreSQL type.
pub(super) fn engine_type(datatype: &Type) -> DataType {
    if let Some(element) = element_of(datatype) {
        return DataType::new_list(engine_type(&element), true);
    }
    match *datatype {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 | Type::OID => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => DataType::Decimal128(38, 10),
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIME => DataType::Time64(TimeUnit::Microsecond),
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::INTERVAL => DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano),
        _ => DataType::Utf8,
    }
}

/// The SQL name of a type, for a cast.
pub(super) fn sql_name(datatype: &Type) -> String {
    if let Some(element) = element_of(datatype) {
        return format!("{}[]", sql_name(&element));
    }
    match *datatype {
        Type::BOOL => "boolean",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 | Type::OID => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::NUMERIC => "numeric",
        Type::BYTEA => "bytea",
        Type::DATE => "date",
        Type::TIME => "time",
        Type::TIMESTAMP => "timestamp",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        Type::INTERVAL => "interval",
        _ => "text",
    }
    .to_owned()
}

/// True for a type that decides what an expression means: a number with a fraction, or a time.
pub(super) fn decides_meaning(datatype: &Type) -> bool {
    [
        Type::NUMERIC,
        Type::FLOAT4,
        Type::FLOAT8,
        Type::DATE,
        Type::TIME,
        Type::TIMESTAMP,
        Type::TIMESTAMPTZ,
        Type::INTERVAL,
    ]
    .contains(datatype)
}

/// The type of the elements of an array type.
fn element_of(datatype: &Type) -> Option<Type> {
    Some(match *datatype {
        Type::BOOL_ARRAY => Type::BOOL,
        Type::INT2_ARRAY => Type::INT2,
        Type::INT4_ARRAY => Type::INT4,
        Type::INT8_ARRAY => Type::INT8,
        Type::OID_ARRAY => Type::OID,
        Type::FLOAT4_ARRAY => Type::FLOAT4,
        Type::FLOAT8_ARRAY => Type::FLOAT8,
        Type::NUMERIC_ARRAY => Type::NUMERIC,
        Type::BYTEA_ARRAY => Type::BYTEA,
        Type::DATE_ARRAY => Type::DATE,
        Type::TIMESTAMP_ARRAY => Type::TIMESTAMP,
        Type::TIMESTAMPTZ_ARRAY => Type::TIMESTAMPTZ,
        Type::UUID_ARRAY => Type::UUID,
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::NAME_ARRAY | Type::BPCHAR_ARRAY => {
            Type::TEXT
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_precision_are_read() {
        let words = |words: &[i16]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        };
        for (bytes, shown) in [
            (words(&[0, 0, 0, 0]), "0"),
            (words(&[2, 1, 0, 0, 1, 2345]), "12345"),
            (words(&[2, 0, 0x4000, 2, 12, 3400]), "-12.34"),
            (words(&[1, -1, 0, 5, 5]), "0.00050"),
            (words(&[1, 2, 0, 0, 7]), "700000000"),
        ] {
            assert_eq!(numeric(&bytes).as_deref(), Ok(shown));
        }
        assert!(numeric(&words(&[2, 0, 0, 0, 1])).is_err());
    }

    #[test]
    fn arrays_are_taken_apart() {
        assert_eq!(
            array_items("{a,\"b,\\\" c\",NULL, d }").expect("items"),
            [Some("a".to_owned()), Some("b,\" c".to_owned()), None, Some("d".to_owned())]
        );
        assert!(array_items("{}").expect("items").is_empty());
        assert!(array_items("a").is_err());
        assert!(array_items("{{a}}").is_err());
    }

    #[test]
    fn damaged_values_are_refused() {
        for (bytes, sent) in [
            (&b"abc"[..], Type::INT4),
            (b"\xff", Type::TEXT),
            (b"\0\0\0\x01\0\0\0\0\0\0\0\x19\x7f\xff\xff\xff\0\0\0\x01", Type::TEXT_ARRAY),
        ] {
            assert!(parameter(Some(bytes), true, &sent, &DataType::Utf8, "UTC").is_err(), "{sent}");
        }
        let text = parameter(Some(b"x"), false, &Type::INT4, &DataType::Int32, "UTC");
        assert!(text.is_err(), "{text:?}");
        let null = parameter(None, false, &Type::INT4, &DataType::Int32, "UTC").expect("NULL");
        assert!(null.is_null());
    }
}
