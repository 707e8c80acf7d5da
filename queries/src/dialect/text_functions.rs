//! PostgreSQL's functions over texts and bytes.

use super::function::Env;
use super::regex::Flags;
use super::text_form;
use super::value::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::{DataFusionError, Result, exec_err};
use std::borrow::Cow;

/// Longest text that a function may make, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 20;

type Outcome<'v> = Result<Value<'v>>;

fn size(length: i64) -> Result<usize> {
    match usize::try_from(length.max(0)) {
        Ok(length) if length <= TEXT_BYTES_MAX => Ok(length),
        _ => exec_err!("requested length too large"),
    }
}

/// The number of characters that `count` means at one end of a text of `length` characters: a negative one leaves some out.
fn taken(count: i64, length: usize) -> usize {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let taken = if count < 0 { (length + count).max(0) } else { count.min(length) };
    usize::try_from(taken).unwrap_or_default()
}

pub(super) fn left<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let text = args[0].as_text()?;
    let count = taken(args[1].as_int()?, text.chars().count());
    Ok(Value::text(text.chars().take(count).collect::<String>()))
}

pub(super) fn right<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let text = args[0].as_text()?;
    let length = text.chars().count();
    let count = taken(args[1].as_int()?, length);
    Ok(Value::text(text.chars().skip(length - count).collect::<String>()))
}

pub(super) fn lpad<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    pad(env, args, true)
}

pub(super) fn rpad<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    pad(env, args, false)
}

fn pad<'v>(_: &Env<'_>, args: &[Value<'v>], before: bool) -> Outcome<'v> {
    let text = args[0].as_text()?;
    let width = size(args[1].as_int()?)?;
    let fill = args.get(2).map_or(Ok(" "), Value::as_text)?;
    let length = text.chars().count();
    if length >= width || fill.is_empty() {
        return Ok(Value::text(text.chars().take(width).collect::<String>()));
    }
    let padding: String = fill.chars().cycle().take(width - length).collect();
    Ok(Value::text(if before { format!("{padding}{text}") } else { format!("{text}{padding}") }))
}

pub(super) fn trim_both<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let set = trim_set(args)?;
    Ok(Value::text(args[0].as_text()?.trim_matches(|c| set.contains(c))))
}

pub(super) fn trim_left<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let set = trim_set(args)?;
    Ok(Value::text(args[0].as_text()?.trim_start_matches(|c| set.contains(c))))
}

pub(super) fn trim_right<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let set = trim_set(args)?;
    Ok(Value::text(args[0].as_text()?.trim_end_matches(|c| set.contains(c))))
}

/// The characters to remove: spaces unless they are given.
fn trim_set<'a>(args: &'a [Value<'_>]) -> Result<&'a str> {
    args.get(1).map_or(Ok(" "), Value::as_text)
}

pub(super) fn repeat<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let text = args[0].as_text()?;
    let count = size(args[1].as_int()?)?;
    if text.len().saturating_mul(count) > TEXT_BYTES_MAX {
        return exec_err!("requested length too large");
    }
    Ok(Value::text(text.repeat(count)))
}

pub(super) fn replace<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (text, from) = (args[0].as_text()?, args[1].as_text()?);
    if from.is_empty() {
        return Ok(args[0].clone());
    }
    Ok(Value::text(text.replace(from, args[2].as_text()?)))
}

pub(super) fn reverse<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::text(args[0].as_text()?.chars().rev().collect::<String>()))
}

pub(super) fn split_part<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (text, delimiter, field) = (args[0].as_text()?, args[1].as_text()?, args[2].as_int()?);
    if field == 0 {
        return exec_err!("field position must not be zero");
    }
    let parts: Vec<&str> =
        if delimiter.is_empty() { vec![text] } else { text.split(delimiter).collect() };
    let length = i64::try_from(parts.len()).unwrap_or(i64::MAX);
    let at = if field > 0 { field - 1 } else { length + field };
    let part = usize::try_from(at).ok().and_then(|at| parts.get(at).copied());
    Ok(Value::text(part.unwrap_or_default()))
}

/// `substr(text, start)` and `substr(text, start, count)`: positions count from 1, and may lie before the text.
pub(super) fn substring<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (text, start) = (args[0].as_text()?, args[1].as_int()?);
    let end = match args.get(2).map(Value::as_int).transpose()? {
        Some(count) if count < 0 => return exec_err!("negative substring length not allowed"),
        Some(count) => start.saturating_add(count),
        None => i64::MAX,
    };
    let from = usize::try_from((start - 1).max(0)).unwrap_or(usize::MAX);
    let to = usize::try_from((end - 1).max(0)).unwrap_or(usize::MAX);
    Ok(Value::text(text.chars().skip(from).take(to.saturating_sub(from)).collect::<String>()))
}

pub(super) fn overlay<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (text, new, start) = (args[0].as_text()?, args[1].as_text()?, args[2].as_int()?);
    let count = match args.get(3) {
        Some(count) => count.as_int()?,
        None => i64::try_from(new.chars().count()).unwrap_or(i64::MAX),
    };
    if start <= 0 {
        return exec_err!("negative substring length not allowed");
    }
    let before = usize::try_from(start - 1).unwrap_or(usize::MAX);
    let after = usize::try_from((start - 1).saturating_add(count).max(0)).unwrap_or(usize::MAX);
    let begin: String = text.chars().take(before).collect();
    let end: String = text.chars().skip(after).collect();
    Ok(Value::text(format!("{begin}{new}{end}")))
}

pub(super) fn position<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (text, part) = (args[0].as_text()?, args[1].as_text()?);
    let at = text.find(part).map_or(0, |at| text[..at].chars().count() + 1);
    Ok(Value::Int(i64::try_from(at).unwrap_or_default()))
}

pub(super) fn starts_with<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Bool(args[0].as_text()?.starts_with(args[1].as_text()?)))
}

pub(super) fn translate<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let from: Vec<char> = args[1].as_text()?.chars().collect();
    let to: Vec<char> = args[2].as_text()?.chars().collect();
    let kept = args[0].as_text()?.chars().filter_map(|c| match from.iter().position(|f| *f == c) {
        Some(at) => to.get(at).copied(),
        None => Some(c),
    });
    Ok(Value::text(kept.collect::<String>()))
}

pub(super) fn initcap<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (mut text, mut in_word) = (String::new(), false);
    for c in args[0].as_text()?.chars() {
        if in_word {
            text.extend(c.to_lowercase());
        } else {
            text.extend(c.to_uppercase());
        }
        in_word = c.is_alphanumeric();
    }
    Ok(Value::text(text))
}

pub(super) fn ascii<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Int(args[0].as_text()?.chars().next().map_or(0, |c| u32::from(c).into())))
}

pub(super) fn chr<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    match u32::try_from(args[0].as_int()?).ok().filter(|code| *code != 0).and_then(char::from_u32) {
        Some(c) => Ok(Value::text(c.to_string())),
        None => exec_err!("there is no character with this number"),
    }
}

pub(super) fn to_hex4<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::text(format!("{:x}", args[0].as_int()? as i32)))
}

pub(super) fn to_hex8<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::text(format!("{:x}", args[0].as_int()?)))
}

/// `concat(...)`: the texts of all values but NULL.
pub(super) fn concat<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::text(texts(env, args, 0)?.concat()))
}

pub(super) fn concat_ws<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    Ok(Value::text(texts(env, args, 1)?.join(args[0].as_text()?)))
}

fn texts(env: &Env<'_>, args: &[Value<'_>], from: usize) -> Result<Vec<String>> {
    let known = args.iter().zip(env.arg_types).skip(from).filter(|(value, _)| !value.is_null());
    known.map(|(value, type_)| text_form::output_text(value, type_, env.zone)).collect()
}

/// `format('%s ...', ...)`.
pub(super) fn format<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let Value::Text(template) = &args[0] else { return Ok(Value::Null) };
    let (mut out, mut next) = (String::new(), 1);
    let mut characters = template.chars().peekable();
    while let Some(c) = characters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if characters.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let left_aligned = characters.next_if_eq(&'-').is_some();
        let mut digits = String::new();
        while let Some(digit) = characters.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        let mut at = next;
        if !digits.is_empty() && characters.next_if_eq(&'$').is_some() {
            at = digits
                .parse()
                .map_err(|_| DataFusionError::Execution("invalid format".to_owned()))?;
            digits.clear();
        }
        let kind = match characters.next() {
            Some(kind @ ('s' | 'I' | 'L')) => kind,
            Some(other) => return exec_err!("unrecognized format() type specifier \"{other}\""),
            None => return exec_err!("unterminated format() type specifier"),
        };
        let Some(value) = args.get(at).filter(|_| at > 0) else {
            return exec_err!("too few arguments for format()");
        };
        next = at + 1;
        let text = text_form::output_text(value, &env.arg_types[at], env.zone)?;
        let text = match (kind, value.is_null()) {
            ('s', _) => text,
            ('L', true) => "NULL".to_owned(),
            ('L', false) => quoted_literal(&text),
            (_, true) => return exec_err!("null values cannot be formatted as an SQL identifier"),
            _ => quoted_identifier(&text),
        };
        let width = if digits.is_empty() { 0 } else { size(digits.parse().unwrap_or(i64::MAX))? };
        out.push_str(&if left_aligned {
            format!("{text:<width$}")
        } else {
            format!("{text:>width$}")
        });
    }
    Ok(Value::text(out))
}

fn quoted_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

fn quoted_identifier(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    // A word of the language is quoted as well.
    let word = datafusion::sql::sqlparser::keywords::ALL_KEYWORDS
        .binary_search(&text.to_uppercase().as_str())
        .is_ok();
    if plain && !word { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

pub(super) fn encode<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let bytes = args[0].as_bytes()?;
    let text = match args[1].as_text()?.to_lowercase().as_str() {
        "hex" => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        "base64" => {
            // PostgreSQL breaks lines after 76 characters.
            let text = STANDARD.encode(bytes);
            let lines = text.as_bytes().chunks(76).map(String::from_utf8_lossy);
            lines.collect::<Vec<_>>().join("\n")
        }
        other => {
            return exec_err!(
                "the encoding \"{other}\" is not translated; there are hex and base64"
            );
        }
    };
    Ok(Value::text(text))
}

pub(super) fn decode<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let text = args[0].as_text()?;
    let bytes = match args[1].as_text()?.to_lowercase().as_str() {
        "hex" => text_form::parse_hex(text),
        "base64" => {
            let dense: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            STANDARD.decode(dense).ok()
        }
        other => {
            return exec_err!(
                "the encoding \"{other}\" is not translated; there are hex and base64"
            );
        }
    };
    match bytes {
        Some(bytes) => Ok(Value::Bytes(Cow::Owned(bytes))),
        None => exec_err!("the text \"{text}\" is not written in this encoding"),
    }
}

pub(super) fn convert_from<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    if !matches!(args[1].as_text()?.to_lowercase().as_str(), "utf8" | "utf-8") {
        return exec_err!("only texts in UTF8 are converted");
    }
    match std::str::from_utf8(args[0].as_bytes()?) {
        Ok(text) if !text.contains('\0') => Ok(Value::text(text)),
        _ => exec_err!("invalid byte sequence for encoding \"UTF8\""),
    }
}

pub(super) fn convert_to<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    if !matches!(args[1].as_text()?.to_lowercase().as_str(), "utf8" | "utf-8") {
        return exec_err!("only texts in UTF8 are converted");
    }
    Ok(Value::Bytes(Cow::Owned(args[0].as_text()?.as_bytes().to_vec())))
}

/// Flags of a function: those of the argument `at`, where it is given.
fn flags(args: &[Value<'_>], at: usize) -> Result<Flags> {
    args.get(at).map_or_else(|| Ok(Flags::default()), |flags| Flags::parse(flags.as_text()?))
}

pub(super) fn regexp_match_op<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let regex = env.regex(args[1].as_text()?, false)?;
    Ok(Value::Bool(regex.is_match(args[0].as_text()?)))
}

pub(super) fn regexp_imatch_op<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let regex = env.regex(args[1].as_text()?, true)?;
    Ok(Value::Bool(regex.is_match(args[0].as_text()?)))
}

pub(super) fn regexp_like<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let flags = flags(args, 2)?;
    if flags.all {
        return exec_err!("regexp_like() does not support the \"global\" option");
    }
    let regex = env.regex(args[1].as_text()?, flags.ignore_case)?;
    Ok(Value::Bool(regex.is_match(args[0].as_text()?)))
}

pub(super) fn regexp_replace<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (text, flags) = (args[0].as_text()?, flags(args, 3)?);
    let regex = env.regex(args[1].as_text()?, flags.ignore_case)?;
    let (mut out, mut from) = (String::new(), 0);
    for found in regex.find_all(text, flags.all)? {
        let whole = found.get_match();
        out.push_str(&text[from..whole.start()]);
        let mut replacement = args[2].as_text()?.chars().peekable();
        while let Some(c) = replacement.next() {
            if c != '\\' {
                out.push(c);
                continue;
            }
            match replacement.next() {
                Some('&') => out.push_str(whole.as_str()),
                Some(digit @ '1'..='9') => {
                    let group = digit.to_digit(10).unwrap_or_default() as usize;
                    out.push_str(found.get(group).map_or("", |group| group.as_str()));
                }
                Some('\\') | None => out.push('\\'),
                Some(other) => out.extend(['\\', other]),
            }
        }
        from = whole.end();
    }
    out.push_str(&text[from..]);
    Ok(Value::text(out))
}

/// The groups of a match as an array, or the whole match where the expression has none.
fn groups(found: &regex::Captures<'_>, count: usize) -> Value<'static> {
    let text = |group: Option<regex::Match<'_>>| {
        group.map_or(Value::Null, |group| Value::text(group.as_str()))
    };
    let items = if count == 0 {
        vec![text(found.get(0))]
    } else {
        (1..=count).map(|at| text(found.get(at))).collect()
    };
    Value::List(items)
}

pub(super) fn regexp_match<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let flags = flags(args, 2)?;
    if flags.all {
        return exec_err!("regexp_match() does not support the \"global\" option");
    }
    let regex = env.regex(args[1].as_text()?, flags.ignore_case)?;
    let found = regex.find(args[0].as_text()?, 0)?;
    Ok(found.map_or(Value::Null, |found| groups(&found, regex.groups())))
}

/// `substring(text from expression)` and `regexp_substr`.
pub(super) fn regexp_substring<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let regex = env.regex(args[1].as_text()?, false)?;
    let Some(found) = regex.find(args[0].as_text()?, 0)? else { return Ok(Value::Null) };
    let group = found.get(usize::from(regex.groups() > 0));
    Ok(group.map_or(Value::Null, |group| Value::text(group.as_str())))
}

pub(super) fn regexp_substr<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let regex = env.regex(args[1].as_text()?, false)?;
    let found = regex.find(args[0].as_text()?, 0)?;
    Ok(found.map_or(Value::Null, |found| Value::text(found.get_match().as_str())))
}

pub(super) fn regexp_count<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let start = args.get(2).map_or(Ok(1), Value::as_int)?;
    let flags = flags(args, 3)?;
    if start < 1 {
        return exec_err!("invalid value for parameter \"start\": {start}");
    }
    if start > 1 {
        return exec_err!(
            "regexp_count() with a start is not translated; take the substring first"
        );
    }
    let regex = env.regex(args[1].as_text()?, flags.ignore_case)?;
    let count = regex.find_all(args[0].as_text()?, true)?.len();
    Ok(Value::Int(i64::try_from(count).unwrap_or_default()))
}

pub(super) fn regexp_split_to_array<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (text, flags) = (args[0].as_text()?, flags(args, 2)?);
    if flags.all {
        return exec_err!("regexp_split_to_array() does not support the \"global\" option");
    }
    let regex = env.regex(args[1].as_text()?, flags.ignore_case)?;
    let (mut items, mut from) = (Vec::new(), 0);
    for found in regex.find_all(text, true)? {
        let whole = found.get_match();
        // An empty match at the end, or where the last one ended, splits nothing.
        if whole.is_empty() && (whole.start() == text.len() || whole.start() == from) {
            continue;
        }
        items.push(Value::text(&text[from..whole.start()]));
        from = whole.end();
    }
    items.push(Value::text(&text[from..]));
    Ok(Value::List(items))
}

pub(super) fn similar_to<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let escape = args.get(2).map_or(Ok("\\"), Value::as_text)?.chars().next();
    let pattern = super::regex::similar_pattern(args[1].as_text()?, escape)?;
    Ok(Value::Bool(env.regex(&pattern, false)?.is_match(args[0].as_text()?)))
}

pub(super) fn like<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let escape = args.get(2).map_or(Ok("\\"), Value::as_text)?.chars().next();
    Ok(Value::Bool(super::regex::like(args[0].as_text()?, args[1].as_text()?, escape, false)?))
}

pub(super) fn ilike<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let escape = args.get(2).map_or(Ok("\\"), Value::as_text)?.chars().next();
    Ok(Value::Bool(super::regex::like(args[0].as_text()?, args[1].as_text()?, escape, true)?))
}

pub(super) fn quote_literal<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::text(quoted_literal(args[0].as_text()?)))
}

pub(super) fn length<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let length = args[0].as_text()?.chars().count();
    Ok(Value::Int(i64::try_from(length).unwrap_or_default()))
}

pub(super) fn byte_length<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let length = match &args[0] {
        Value::Bytes(bytes) => bytes.len(),
        other => other.as_text()?.len(),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or_default()))
}

pub(super) fn bit_length<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Int(byte_length(env, args)?.as_int()? * 8))
}
