//! PostgreSQL's functions over arrays, which have one dimension here and count from 1.

use super::function::Env;
use super::pg_type::PgType;
use super::text_form;
use super::value::Value;
use datafusion::common::{Result, exec_err};
use std::cmp::Ordering;

type Outcome<'v> = Result<Value<'v>>;

fn length(list: &[Value<'_>]) -> i64 {
    i64::try_from(list.len()).unwrap_or(i64::MAX)
}

pub(super) fn array_length<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let list = args[0].as_list()?;
    Ok(if args[1].as_int()? == 1 && !list.is_empty() {
        Value::Int(length(list))
    } else {
        Value::Null
    })
}

pub(super) fn array_lower<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let there = args[1].as_int()? == 1 && !args[0].as_list()?.is_empty();
    Ok(if there { Value::Int(1) } else { Value::Null })
}

pub(super) fn array_ndims<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(if args[0].as_list()?.is_empty() { Value::Null } else { Value::Int(1) })
}

pub(super) fn array_dims<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let list = args[0].as_list()?;
    Ok(if list.is_empty() { Value::Null } else { Value::text(format!("[1:{}]", list.len())) })
}

pub(super) fn cardinality<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Int(length(args[0].as_list()?)))
}

/// The items of an argument that may be NULL, which stands for an empty array.
fn items<'v>(value: &Value<'v>) -> Result<Vec<Value<'v>>> {
    if value.is_null() { Ok(Vec::new()) } else { Ok(value.as_list()?.to_vec()) }
}

pub(super) fn array_append<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let mut list = items(&args[0])?;
    list.push(args[1].clone());
    Ok(Value::List(list))
}

pub(super) fn array_prepend<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let mut list = items(&args[1])?;
    list.insert(0, args[0].clone());
    Ok(Value::List(list))
}

pub(super) fn array_cat<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    if args[0].is_null() && args[1].is_null() {
        return Ok(Value::Null);
    }
    let mut list = items(&args[0])?;
    list.extend(items(&args[1])?);
    Ok(Value::List(list))
}

pub(super) fn array_position<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let found = args[0].as_list()?.iter().position(|item| *item == args[1]);
    Ok(found.map_or(Value::Null, |at| Value::Int(i64::try_from(at + 1).unwrap_or_default())))
}

pub(super) fn array_positions<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let numbered = args[0].as_list()?.iter().zip(1..);
    Ok(Value::List(
        numbered.filter(|(item, _)| **item == args[1]).map(|(_, at)| Value::Int(at)).collect(),
    ))
}

pub(super) fn array_remove<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let kept = args[0].as_list()?.iter().filter(|item| **item != args[1]);
    Ok(Value::List(kept.cloned().collect()))
}

pub(super) fn array_replace<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let replaced =
        args[0].as_list()?.iter().map(|item| if *item == args[1] { &args[2] } else { item });
    Ok(Value::List(replaced.cloned().collect()))
}

pub(super) fn array_to_string<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    if args[0].is_null() || args[1].is_null() {
        return Ok(Value::Null);
    }
    let PgType::Array(item_type) = &env.arg_types[0] else { return exec_err!("this is no array") };
    let null_text = args.get(2).filter(|text| !text.is_null()).map(Value::as_text).transpose()?;
    let mut texts = Vec::new();
    for item in args[0].as_list()? {
        match (item.is_null(), null_text) {
            (true, None) => {}
            (true, Some(text)) => texts.push(text.to_owned()),
            (false, _) => texts.push(text_form::output_text(item, item_type, env.zone)?),
        }
    }
    Ok(Value::text(texts.join(args[1].as_text()?)))
}

pub(super) fn string_to_array<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let text = args[0].as_text()?;
    let null_text = args.get(2).filter(|text| !text.is_null()).map(Value::as_text).transpose()?;
    let parts: Vec<String> = if text.is_empty() {
        Vec::new()
    } else if args[1].is_null() {
        text.chars().map(String::from).collect()
    } else if args[1].as_text()?.is_empty() {
        vec![text.to_owned()]
    } else {
        text.split(args[1].as_text()?).map(str::to_owned).collect()
    };
    let item = |part: String| {
        if Some(part.as_str()) == null_text { Value::Null } else { Value::text(part) }
    };
    Ok(Value::List(parts.into_iter().map(item).collect()))
}

/// `array[index]`: NULL outside of the array.
pub(super) fn element<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let list = args[0].as_list()?;
    let at = usize::try_from(args[1].as_int()? - 1).ok();
    Ok(at.and_then(|at| list.get(at)).cloned().unwrap_or(Value::Null))
}

/// `array[from:to]`: what there is of it.
pub(super) fn slice<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let list = args[0].as_list()?;
    let from = usize::try_from((args[1].as_int()? - 1).max(0)).unwrap_or(usize::MAX);
    let to = usize::try_from(args[2].as_int()?.max(0)).unwrap_or(usize::MAX).min(list.len());
    Ok(Value::List(list.get(from..to).unwrap_or_default().to_vec()))
}

/// How two items of one type compare; `None` where one is NULL.
pub(super) fn compare(left: &Value<'_>, right: &Value<'_>) -> Result<Option<Ordering>> {
    Ok(match (left, right) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Int(right)) | (Value::Time(left), Value::Time(right)) => {
            Some(left.cmp(right))
        }
        (Value::Date(left), Value::Date(right)) => Some(left.cmp(right)),
        // NaN equals NaN and is the largest number.
        (Value::Float(left), Value::Float(right)) => Some(match (left.is_nan(), right.is_nan()) {
            (false, false) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
            (left, right) => left.cmp(&right),
        }),
        (Value::Number { .. }, Value::Number { .. }) => {
            let ((left, from), (right, to)) = (left.as_number()?, right.as_number()?);
            let scale = from.max(to);
            Some(
                super::numeric::rescale(left, from, scale)?
                    .cmp(&super::numeric::rescale(right, to, scale)?),
            )
        }
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
        (Value::Interval(left), Value::Interval(right)) => {
            Some(left.ordering().cmp(&right.ordering()))
        }
        _ => return exec_err!("these values do not compare"),
    })
}

fn holds(operator: &str, order: Ordering) -> bool {
    match operator {
        "=" => order == Ordering::Equal,
        "<>" => order != Ordering::Equal,
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        _ => order != Ordering::Less,
    }
}

/// `value operator ANY (array)`; the first argument is the operator.
pub(super) fn any<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    quantified(args, true)
}

/// `value operator ALL (array)`.
pub(super) fn all<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    quantified(args, false)
}

fn quantified<'v>(args: &[Value<'v>], any: bool) -> Outcome<'v> {
    if args[2].is_null() {
        return Ok(Value::Null);
    }
    let (operator, list) = (args[0].as_text()?, args[2].as_list()?);
    let mut unknown = false;
    for item in list {
        match compare(&args[1], item)? {
            None => unknown = true,
            Some(order) if holds(operator, order) == any => return Ok(Value::Bool(any)),
            Some(_) => {}
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(!any) })
}

/// `greatest(...)` of the values but NULL.
pub(super) fn greatest<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    extreme(args, Ordering::Greater)
}

pub(super) fn least<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    extreme(args, Ordering::Less)
}

fn extreme<'v>(args: &[Value<'v>], wanted: Ordering) -> Outcome<'v> {
    let mut best = Value::Null;
    for value in args {
        if best.is_null() || compare(value, &best)? == Some(wanted) {
            best = value.clone();
        }
    }
    Ok(best)
}

/// `overlap`: true where both arrays have an item in common.
pub(super) fn overlap<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = (args[0].as_list()?, args[1].as_list()?);
    Ok(Value::Bool(left.iter().any(|item| !item.is_null() && right.contains(item))))
}

/// `left @> right`: true where the left array has every item of the right one. NULL equals nothing.
pub(super) fn contains<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = (args[0].as_list()?, args[1].as_list()?);
    Ok(Value::Bool(right.iter().all(|item| !item.is_null() && left.contains(item))))
}
