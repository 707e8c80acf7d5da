//! The functions `values_at` and `any_is`: all values at a path of a JSON object, and comparisons that hold where any of them
//! does. A rule that must not miss a value in a list uses them in place of `param`.

use super::arguments::{FunctionArguments, TextLists, texts_or_lists};
use crate::parameters::{Parameters, parse_range};
use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, ListBuilder, Scalar, StringArray, StringBuilder,
};
use datafusion::arrow::compute::kernels::comparison;
use datafusion::arrow::compute::regexp_is_match_scalar;
use datafusion::common::{DataFusionError, Result, exec_err};
use std::cmp::Ordering;
use std::sync::Arc;
use trailhound_datasets::columns::text_item;
use trailhound_datasets::derive::address::parse_ip;
use trailhound_datasets::json::{self, Walker};

/// Nesting of lists and of JSON text in strings that is followed.
const DEPTH_MAX: usize = 16;

/// `values_at(json, 'path')`: see [`values_of`].
pub(super) fn values_at(args: &FunctionArguments<'_>, _: &Parameters) -> Result<ArrayRef> {
    let (objects, paths) = (args.texts(0)?, args.texts(1)?);
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(text_item());
    for row in 0..args.rows {
        let found =
            objects.get(row).zip(paths.get(row)).and_then(|(text, path)| values_of(text, path));
        match found {
            Some(values) => {
                values.into_iter().for_each(|value| builder.values().append_option(value));
                builder.append(true);
            }
            None => builder.append(false),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// All values at `path` of the JSON object `text`, as texts; `None` where the path leads nowhere.
///
/// The path is a name, or names separated by dots; upper and lower case are the same. A list within
/// the path is followed into each of its elements; a number chooses one element, counted from 1. A
/// flattened list (`InstanceId.1`, `InstanceId.2`) is a list of that name. Text that holds a JSON
/// object or list is followed like one. At the end of the path a list gives its elements and any
/// other value gives its text, an object its JSON. A null is `None`.
fn values_of(text: &str, path: &str) -> Option<Vec<Option<String>>> {
    let mut found = None;
    descend(text, path, 0, &mut found);
    found
}

type Found = Option<Vec<Option<String>>>;

/// Adds the values at `path` below the JSON `value`.
fn descend(value: &str, path: &str, depth: usize, found: &mut Found) {
    if depth > DEPTH_MAX {
        return;
    }
    match value.trim_start().as_bytes().first() {
        Some(b'{') => {
            for (key, member) in json::members(value) {
                descend_member(key.trim(), member, path, depth, found);
            }
        }
        Some(b'[') => {
            if let Some((at, rest)) = position(path)
                && let Some(element) = json::elements(value).nth(at)
            {
                match rest {
                    Some(rest) => descend(element, rest, depth + 1, found),
                    None => collect(element, depth + 1, found),
                }
            }
            // A position counts in the outermost list only.
            let is_position = position(path).is_some();
            json::elements(value)
                .filter(|element| !is_position || !element.trim_start().starts_with('['))
                .for_each(|element| descend(element, path, depth + 1, found));
        }
        Some(b'"') => {
            if let Some(inner) = json::unquote(value).filter(|inner| is_json(inner, b"{[")) {
                descend(&inner, path, depth + 1, found);
            }
        }
        _ => {}
    }
}

/// Adds the values at `path` that the member `key` of an object holds.
fn descend_member(key: &str, member: &str, path: &str, depth: usize, found: &mut Found) {
    if key.eq_ignore_ascii_case(path) {
        return collect(member, depth, found);
    }
    if let Some(rest) = after_name(path, key) {
        descend(member, rest, depth + 1, found);
    }
    let index = after_name(key, path);
    if index.is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit())) {
        collect(member, depth, found);
    }
}

/// The rest of `path` behind `name` and a dot.
fn after_name<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    let head = path.get(..name.len())?;
    head.eq_ignore_ascii_case(name).then(|| path[name.len()..].strip_prefix('.'))?
}

/// The position that `path` begins with, counted from 0, and the path behind it.
fn position(path: &str) -> Option<(usize, Option<&str>)> {
    let (head, rest) = match path.split_once('.') {
        Some((head, rest)) => (head, Some(rest)),
        None => (path, None),
    };
    Some((head.parse::<usize>().ok()?.checked_sub(1)?, rest))
}

/// Adds the texts of the JSON `value`.
fn collect(value: &str, depth: usize, found: &mut Found) {
    let values = found.get_or_insert_default();
    match value.as_bytes().first() {
        Some(b'[') if depth <= DEPTH_MAX => {
            json::elements(value).for_each(|element| collect(element, depth + 1, found));
        }
        Some(b'"') => {
            let Some(text) = json::unquote(value) else { return };
            values.push(Some(text.clone().into_owned()));
            if depth <= DEPTH_MAX && is_json(&text, b"[") {
                json::elements(&text).for_each(|element| collect(element, depth + 1, found));
            }
        }
        Some(b'n') => values.push(None),
        _ => values.push(Some(value.to_owned())),
    }
}

/// True where `text` is one JSON value that starts with a byte of `starts`.
fn is_json(text: &str, starts: &[u8]) -> bool {
    let inner = text.trim();
    inner.as_bytes().first().is_some_and(|first| starts.contains(first))
        && Walker::default()
            .value(inner.as_bytes(), 0)
            .is_ok_and(|walked| walked.end == inner.len())
}

/// `any_is(texts, 'comparison', value)`: true where the comparison holds for at least one of the texts; NULL where the list
/// is NULL. A single text stands for a list of one. A value that is a list is compared with each of its elements.
pub(super) fn any_is(args: &FunctionArguments<'_>, _: &Parameters) -> Result<ArrayRef> {
    let texts = texts_or_lists(args, 0)?;
    let Some(name) = args.texts(1)?.constant() else {
        return exec_err!("any_is: the comparison must be one text, such as 'equals'");
    };
    let comparison = TextComparison::parse(&name)?;
    if comparison.kind == TextComparisonKind::Null {
        return texts.any(args.rows, |values| Ok(nulls(values)));
    }
    match args.texts(2).ok().and_then(|value| value.constant()) {
        Some(value) => texts.any(args.rows, |values| comparison.holds(values, &value)),
        None => {
            let others = texts_or_lists(args, 2)?;
            pairs(args.rows, &texts, &others, comparison)
        }
    }
}

fn nulls(values: &StringArray) -> BooleanArray {
    (0..values.len()).map(|row| Some(values.is_null(row))).collect()
}

/// Compares each text of a row with each of the row's other texts.
fn pairs(
    rows: usize,
    texts: &TextLists,
    others: &TextLists,
    comparison: TextComparison,
) -> Result<ArrayRef> {
    super::arguments::booleans(rows, |row| {
        let (Some(texts), Some(others)) = (texts.get(row), others.get(row)) else {
            return Ok(None);
        };
        let texts = StringArray::from(texts);
        for other in others {
            if comparison.holds(&texts, &other)?.true_count() > 0 {
                return Ok(Some(true));
            }
        }
        Ok(Some(false))
    })
}

/// A comparison of `any_is`.
#[derive(Debug, Clone, Copy)]
struct TextComparison {
    kind: TextComparisonKind,
    /// Upper and lower case differ.
    cased: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextComparisonKind {
    Equals,
    Contains,
    StartsWith,
    EndsWith,
    Like,
    Regex,
    Cidr,
    /// Numbers: which orders of text and value fulfil it.
    Number(&'static [Ordering]),
    Null,
}

impl TextComparison {
    fn parse(name: &str) -> Result<Self> {
        use TextComparisonKind as Kind;
        let (plain, cased) = match name.strip_suffix(" cased") {
            Some(plain) => (plain, true),
            None => (name, false),
        };
        let kind = match plain {
            "equals" => Kind::Equals,
            "contains" => Kind::Contains,
            "startswith" => Kind::StartsWith,
            "endswith" => Kind::EndsWith,
            "like" => Kind::Like,
            "re" if !cased => Kind::Regex,
            "cidr" if !cased => Kind::Cidr,
            "=" if !cased => Kind::Number(&[Ordering::Equal]),
            "<" if !cased => Kind::Number(&[Ordering::Less]),
            "<=" if !cased => Kind::Number(&[Ordering::Less, Ordering::Equal]),
            ">" if !cased => Kind::Number(&[Ordering::Greater]),
            ">=" if !cased => Kind::Number(&[Ordering::Greater, Ordering::Equal]),
            "null" if !cased => Kind::Null,
            _ => {
                return exec_err!(
                    "any_is: there is no comparison `{name}`; there are equals, contains, startswith, endswith and like, each also with ` cased`, re, cidr, =, <, <=, >, >= and null"
                );
            }
        };
        Ok(Self { kind, cased })
    }

    /// Which of `values` fulfil the comparison with `value`. A NULL does not.
    fn holds(self, values: &StringArray, value: &str) -> Result<BooleanArray> {
        use TextComparisonKind as Kind;
        let folded;
        let (texts, value) = match self.kind {
            Kind::Equals | Kind::Contains | Kind::StartsWith | Kind::EndsWith | Kind::Like
                if !self.cased =>
            {
                folded = values.iter().map(|text| text.map(str::to_lowercase)).collect();
                (&folded, value.to_lowercase())
            }
            _ => (values, value.to_owned()),
        };
        let scalar = || Scalar::new(StringArray::from(vec![value.as_str()]));
        Ok(match self.kind {
            Kind::Equals => each(texts, |text| text == value),
            Kind::Contains => each(texts, |text| text.contains(value.as_str())),
            Kind::StartsWith => each(texts, |text| text.starts_with(value.as_str())),
            Kind::EndsWith => each(texts, |text| text.ends_with(value.as_str())),
            Kind::Like => comparison::like(texts, &scalar())?,
            Kind::Regex => regexp_is_match_scalar(texts, &value, None)?,
            Kind::Cidr => {
                let range = parse_range(&value).map_err(DataFusionError::Execution)?;
                each(texts, |text| parse_ip(text).is_some_and(|ip| range.contains(&ip)))
            }
            Kind::Number(orders) => {
                let Some(number) = Number::parse(&value) else {
                    return exec_err!("any_is: `{value}` is not a number");
                };
                each(texts, |text| {
                    Number::parse(text)
                        .and_then(|found| found.compare(number))
                        .is_some_and(|order| orders.contains(&order))
                })
            }
            Kind::Null => nulls(texts),
        })
    }
}

fn each(texts: &StringArray, holds: impl Fn(&str) -> bool) -> BooleanArray {
    texts.iter().map(|text| text.map(&holds)).collect()
}

/// A number in an event or a rule. Integers are compared exactly.
#[derive(Debug, Clone, Copy)]
enum Number {
    Integer(i128),
    Real(f64),
}

impl Number {
    /// The number that `text` is in JSON's spelling, with space around it. `None` for any other text.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        serde_json::from_str::<serde_json::Number>(text).ok()?;
        match text.parse() {
            Ok(integer) => Some(Self::Integer(integer)),
            Err(_) => text.parse().ok().filter(|real: &f64| real.is_finite()).map(Self::Real),
        }
    }

    fn compare(self, other: Self) -> Option<Ordering> {
        let real = |number| match number {
            Self::Integer(integer) => integer as f64,
            Self::Real(real) => real,
        };
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(&b)),
            (a, b) => real(a).partial_cmp(&real(b)),
        }
    }
}

impl TextLists {
    /// For each row whether `holds` is true for at least one of its texts; NULL where the row's list is NULL.
    fn any(
        &self,
        rows: usize,
        holds: impl Fn(&StringArray) -> Result<BooleanArray>,
    ) -> Result<ArrayRef> {
        let (values, range_of) = self.flat();
        let matched = holds(&values)?;
        let row_matches = |row| {
            let (from, to) = range_of(row)?;
            Some((from..to).any(|at| matched.is_valid(at) && matched.value(at)))
        };
        Ok(Arc::new((0..rows).map(row_matches).collect::<BooleanArray>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, path: &str) -> Option<Vec<String>> {
        values_of(text, path)
            .map(|values| values.into_iter().map(|value| value.unwrap_or("NULL".into())).collect())
    }

    #[test]
    fn every_value_at_a_path_is_found_in_every_shape() {
        let text = r#"{"Ids":["a","b",["c",null]],"Id":"x","Flat.1":"f1","Flat.2":"f2","Text":"[\"t1\",2]","None":null,"Empty":[],
            "Permissions":[{"Cidr":"10.0.0.0/8"},{"Cidr":["::/0",7]}],"Body":"{\"deep\":{\"on\":true}}","Tag.1.Key":"k","O":{"a":{"b":1}}}"#;
        for (path, expected) in [
            ("Ids", Some(&["a", "b", "c", "NULL"][..])),
            ("ids.2", Some(&["b"])),
            ("Ids.9", None),
            ("Id", Some(&["x"])),
            ("Flat", Some(&["f1", "f2"])),
            ("Flat.2", Some(&["f2"])),
            ("Text", Some(&["[\"t1\",2]", "t1", "2"])),
            ("None", Some(&["NULL"])),
            ("Empty", Some(&[])),
            ("Permissions.Cidr", Some(&["10.0.0.0/8", "::/0", "7"])),
            ("Permissions.2.Cidr", Some(&["::/0", "7"])),
            ("Body.deep.on", Some(&["true"])),
            ("Tag.1.Key", Some(&["k"])),
            ("Tag", None),
            ("O.a", Some(&["{\"b\":1}"])),
            ("O.a.b", Some(&["1"])),
            ("Gone", None),
            ("Id.more", None),
        ] {
            let expected =
                expected.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
            assert_eq!(at(text, path), expected, "{path}");
        }
        assert_eq!(at("[ERROR", "x"), None);
        assert_eq!(at("", "x"), None);
    }

    #[test]
    fn numbers_are_compared_exactly_and_text_is_no_number() {
        let order = |a: &str, b: &str| Number::parse(a)?.compare(Number::parse(b)?);
        assert_eq!(order("289694512370562131", "289694512370562132"), Some(Ordering::Less));
        assert_eq!(order("20", "20.0"), Some(Ordering::Equal));
        assert_eq!(order("1e2", " 99 "), Some(Ordering::Greater));
        for text in ["", "abc", "0x10", "020", "inf", "NaN", "1e999", "+1", "1 2"] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }
}
