//! Translates the comparison of one field with a value: the modifiers behind the field's name and what they mean in SQL.

use super::fields::{Dialect, FieldKind, FieldSql};
use super::foreign::{check_value, map_value};
use super::sql::{SqlResult, join_conditions, quoted};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsigma_parser::{Modifier, SigmaString, SigmaValue, SpecialChar, StringPart};

/// Most dashes of one value that `windash` replaces: each makes five times as many variants.
const DASHES_MAX: usize = 3;

/// A field with its modifiers.
pub(super) struct Comparison<'n> {
    dialect: Dialect,
    name: &'n str,
    field: FieldSql,
    test: Test,
    cased: bool,
    /// All values of the list must match, not any.
    pub(super) needs_all: bool,
    /// The comparison as a whole is negated.
    pub(super) is_negated: bool,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Text {
        position: Position,
        windash: bool,
    },
    Exists,
    /// The flags of a regular expression.
    Regex(String),
    Cidr,
    /// The sign of a comparison of numbers.
    Number(&'static str),
    /// A part of a time, and how it is compared.
    TimePart(&'static str, &'static str),
    FieldRef(Position),
    Base64 {
        encoding: Encoding,
        offset: bool,
        position: Position,
    },
}

/// Where in the field the value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Whole,
    Anywhere,
    Start,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16LeWithMark,
    Utf16Be,
}

impl Test {
    /// The test that `modifiers` ask for, without `all`, `neq` and `cased`. `None` where they do not go together.
    fn of(modifiers: &[Modifier]) -> Option<Self> {
        if let Some(text) = Self::text(modifiers) {
            return Some(text);
        }
        let (first, rest) = modifiers.split_first()?;
        match first {
            Modifier::Exists if rest.is_empty() => Some(Self::Exists),
            Modifier::Cidr if rest.is_empty() => Some(Self::Cidr),
            Modifier::Re => {
                rest.iter().map(|flag| regex_flag(*flag)).collect::<Option<_>>().map(Self::Regex)
            }
            Modifier::FieldRef => position(rest).map(Self::FieldRef),
            _ => Self::number(*first, rest).or_else(|| Self::base64(modifiers)),
        }
    }

    fn text(modifiers: &[Modifier]) -> Option<Self> {
        let (dashes, others): (Vec<Modifier>, Vec<Modifier>) =
            modifiers.iter().copied().partition(|modifier| *modifier == Modifier::WindAsh);
        let position = position(&others)?;
        Some(Self::Text { position, windash: !dashes.is_empty() })
    }

    fn number(first: Modifier, rest: &[Modifier]) -> Option<Self> {
        match (sign(first), time_part(first), rest) {
            (Some(sign), _, []) => Some(Self::Number(sign)),
            (_, Some(part), []) => Some(Self::TimePart(part, "=")),
            (_, Some(part), [compared]) => Some(Self::TimePart(part, sign(*compared)?)),
            _ => None,
        }
    }

    fn base64(modifiers: &[Modifier]) -> Option<Self> {
        let encoding = match modifiers.first()? {
            Modifier::Wide => Encoding::Utf16Le,
            Modifier::Utf16 => Encoding::Utf16LeWithMark,
            Modifier::Utf16be => Encoding::Utf16Be,
            _ => Encoding::Utf8,
        };
        let rest = if encoding == Encoding::Utf8 { modifiers } else { &modifiers[1..] };
        let (base64, rest) = rest.split_first()?;
        let offset = match base64 {
            Modifier::Base64 => false,
            Modifier::Base64Offset => true,
            _ => return None,
        };
        Some(Self::Base64 { encoding, offset, position: position(rest)? })
    }
}

impl<'n> Comparison<'n> {
    /// The comparison of `field`, which the rule calls `name`.
    ///
    /// # Errors
    /// The modifiers do not go together, or not with this field.
    pub(super) fn new(
        dialect: Dialect,
        name: &'n str,
        field: FieldSql,
        modifiers: &[Modifier],
    ) -> Result<Self, String> {
        let has = |modifier| modifiers.contains(&modifier);
        if has(Modifier::Expand) {
            return Err(format!(
                "`{name}|expand` needs a list of the company, which is not part of the Sigma rule"
            ));
        }
        let written = || {
            modifiers
                .iter()
                .map(|m| format!("|{}", format!("{m:?}").to_lowercase()))
                .collect::<String>()
        };
        let own: Vec<Modifier> = modifiers
            .iter()
            .copied()
            .filter(|modifier| !matches!(modifier, Modifier::All | Modifier::Neq | Modifier::Cased))
            .collect();
        let twice = (1..modifiers.len()).any(|at| modifiers[..at].contains(&modifiers[at]));
        let test = Test::of(&own)
            .filter(|test| {
                let is_text =
                    matches!(test, Test::Text { .. } | Test::FieldRef(_) | Test::Base64 { .. });
                !twice
                    && (is_text || !has(Modifier::Cased))
                    && (*test != Test::Exists || modifiers.len() == 1)
            })
            .ok_or_else(|| format!("the modifiers of `{name}{}` do not go together", written()))?;
        Ok(Self {
            dialect,
            name,
            field,
            test,
            cased: has(Modifier::Cased),
            needs_all: has(Modifier::All),
            is_negated: has(Modifier::Neq),
        })
    }

    /// The condition that the field compares with `value`. Regular expressions are added to `patterns`.
    pub(super) fn sql(&self, value: &SigmaValue, patterns: &mut Vec<String>) -> SqlResult {
        let (name, field) = (self.name, &self.field);
        if self.test == Test::Exists {
            return match value {
                SigmaValue::Bool(there) => field.exists(name, *there),
                _ => Err(format!("the value of `{name}|exists` must be true or false")),
            };
        }
        let is_whole = self.test == Test::Text { position: Position::Whole, windash: false };
        if *value == SigmaValue::Null {
            return match is_whole {
                true => field.is_null(name),
                false => Err(format!("`{name}`: null only compares without modifiers")),
            };
        }
        if let Test::TimePart(part, sign) = self.test {
            return match field.kind {
                FieldKind::Time => {
                    Ok(format!("date_part('{part}', {}) {sign} {}", field.text, number(value)?))
                }
                _ => Err(format!("`{name}` is not a time field")),
            };
        }
        match field.kind {
            FieldKind::Text | FieldKind::Address => {}
            FieldKind::Time => {
                return Err(
                    "a time is compared by its parts (`eventTime|hour`), not as text".to_owned()
                );
            }
            FieldKind::Mfa if is_whole => return mfa_comparison(field, value),
            _ if is_whole => return mapped_comparison(name, field, value),
            _ => {
                return Err(format!(
                    "`{name}` is compared with a pattern, which cannot be mapped: names differ between the clouds"
                ));
            }
        }
        self.text_sql(value, patterns)
    }

    /// [`Comparison::sql`] for fields that hold text.
    fn text_sql(&self, value: &SigmaValue, patterns: &mut Vec<String>) -> SqlResult {
        let (name, field) = (self.name, &self.field);
        let text = value.to_string();
        match &self.test {
            Test::Number(sign) => Ok(field.any_is(sign, &number(value)?)),
            Test::FieldRef(position) => self.field_comparison(*position, &text),
            Test::Cidr => {
                crate::parameters::parse_range(&text).map_err(|e| format!("`{name}`: {e}"))?;
                Ok(match (field.kind, &field.values) {
                    (_, Some(_)) => field.any_is("cidr", &text),
                    (FieldKind::Address, None) => {
                        format!("ip_in_cidr(source_ip, {})", quoted(&text))
                    }
                    _ => format!("ip_in_cidr({}, {})", field.text, quoted(&text)),
                })
            }
            Test::Regex(flags) => {
                check_value(self.dialect, name, &text, true)?;
                let pattern = if flags.is_empty() { text } else { format!("(?{flags}){text}") };
                patterns.push(pattern.clone());
                let condition = field.any_is("re", &pattern);
                Ok(field.with_sent_value(condition, &pattern, "re", &pattern))
            }
            Test::Base64 { encoding, offset, position } => {
                self.base64_comparison(value, *encoding, *offset, *position)
            }
            Test::Text { position, windash } => {
                let is_pattern = *position != Position::Whole
                    || matches!(value, SigmaValue::String(text) if text.contains_wildcards());
                check_value(self.dialect, name, &text, is_pattern)?;
                self.text_comparison(value, *position, *windash)
            }
            Test::Exists | Test::TimePart(..) => Err(format!("`{name}` cannot be compared")),
        }
    }

    fn text_comparison(&self, value: &SigmaValue, position: Position, windash: bool) -> SqlResult {
        let field = &self.field;
        let strings = match value {
            SigmaValue::String(text) if windash => dash_variants(text).ok_or_else(|| {
                format!("`{}|windash` replaces at most {DASHES_MAX} dashes", self.name)
            })?,
            SigmaValue::String(text) => vec![text.clone()],
            // A number is the same number however it is spelled.
            SigmaValue::Integer(_) | SigmaValue::Float(_)
                if position == Position::Whole
                    && (field.values.is_some() || matches!(value, SigmaValue::Float(_))) =>
            {
                return Ok(field.any_is("=", &number(value)?));
            }
            other => vec![SigmaString::from_raw(&other.to_string())],
        };
        let parts =
            strings.iter().map(|text| text_test(field, position, self.cased, text)).collect();
        join_conditions(parts, "OR").ok_or_else(|| format!("`{}` has no value", self.name))
    }

    fn field_comparison(&self, position: Position, other: &str) -> SqlResult {
        let other = self.dialect.field(other)?;
        let field = &self.field;
        if !matches!(other.kind, FieldKind::Text | FieldKind::Address) {
            return Err(format!("`{}` cannot be compared with that field", self.name));
        }
        let operator = position.operator(self.cased);
        let (a, b) = match self.cased {
            true => (&field.text, &other.text),
            false => (&field.lower, &other.lower),
        };
        let columns = match position {
            Position::Start => format!("starts_with({a}, {b})"),
            Position::End => format!("ends_with({a}, {b})"),
            Position::Anywhere => format!("strpos({a}, {b}) > 0"),
            Position::Whole => format!("{a} = {b}"),
        };
        let mut parts = Vec::new();
        for own in field.sources() {
            for others in other.sources() {
                parts.push(if (own, others) == (&field.text, &other.text) {
                    columns.clone()
                } else {
                    format!("any_is({own}, '{operator}', {others})")
                });
            }
        }
        join_conditions(parts, "OR").ok_or_else(|| format!("`{}` has no value", self.name))
    }

    /// Builds a comparison with the base64 form of `value`. The base64 text is case-sensitive.
    fn base64_comparison(
        &self,
        value: &SigmaValue,
        encoding: Encoding,
        offset: bool,
        position: Position,
    ) -> SqlResult {
        let plain = match value {
            SigmaValue::String(text) => text.as_plain(),
            other => Some(other.to_string()),
        };
        let plain = plain.filter(|plain| !plain.is_empty()).ok_or_else(|| {
            format!(
                "`{}`: the value of a base64 modifier must be text without wildcards",
                self.name
            )
        })?;
        let utf16 = plain.encode_utf16();
        let bytes: Vec<u8> = match encoding {
            Encoding::Utf8 => plain.as_bytes().to_vec(),
            Encoding::Utf16Le => utf16.flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16LeWithMark => {
                std::iter::once(0xfeff).chain(utf16).flat_map(u16::to_le_bytes).collect()
            }
            Encoding::Utf16Be => utf16.flat_map(u16::to_be_bytes).collect(),
        };
        let texts = match offset {
            true => (0..3).map(|offset| base64_at_offset(&bytes, offset)).collect(),
            false => vec![STANDARD.encode(&bytes)],
        };
        let parts = texts
            .iter()
            .map(|text| text_test(&self.field, position, true, &SigmaString::from_raw(text)))
            .collect();
        join_conditions(parts, "OR").ok_or_else(|| "an empty value".to_owned())
    }
}

/// The position that `modifiers` ask for. `None` where they are other modifiers or several.
fn position(modifiers: &[Modifier]) -> Option<Position> {
    match modifiers {
        [] => Some(Position::Whole),
        [Modifier::Contains] => Some(Position::Anywhere),
        [Modifier::StartsWith] => Some(Position::Start),
        [Modifier::EndsWith] => Some(Position::End),
        _ => None,
    }
}

impl Position {
    /// The comparison of `any_is`.
    fn operator(self, cased: bool) -> &'static str {
        match (self, cased) {
            (Self::Whole, false) => "equals",
            (Self::Whole, true) => "equals cased",
            (Self::Anywhere, false) => "contains",
            (Self::Anywhere, true) => "contains cased",
            (Self::Start, false) => "startswith",
            (Self::Start, true) => "startswith cased",
            (Self::End, false) => "endswith",
            (Self::End, true) => "endswith cased",
        }
    }
}

fn regex_flag(modifier: Modifier) -> Option<char> {
    Some(match modifier {
        Modifier::IgnoreCase => 'i',
        Modifier::Multiline => 'm',
        Modifier::DotAll => 's',
        _ => return None,
    })
}

fn time_part(modifier: Modifier) -> Option<&'static str> {
    Some(match modifier {
        Modifier::Minute => "minute",
        Modifier::Hour => "hour",
        Modifier::Day => "day",
        Modifier::Week => "week",
        Modifier::Month => "month",
        Modifier::Year => "year",
        _ => return None,
    })
}

fn sign(modifier: Modifier) -> Option<&'static str> {
    Some(match modifier {
        Modifier::Gt => ">",
        Modifier::Gte => ">=",
        Modifier::Lt => "<",
        Modifier::Lte => "<=",
        _ => return None,
    })
}

fn number(value: &SigmaValue) -> SqlResult {
    let text = value.to_string();
    match serde_json::from_str::<serde_json::Number>(&text) {
        Ok(number) if number.as_f64().is_some_and(f64::is_finite) => Ok(text),
        _ => Err(format!("`{text}` is not a number")),
    }
}

/// A comparison of a field with a text: case-insensitive unless `cased`. Wildcards become LIKE, and so
/// does a position in a column.
fn text_test(field: &FieldSql, position: Position, cased: bool, text: &SigmaString) -> String {
    let plain = text.as_plain();
    let fold = |text: &str| if cased { text.to_owned() } else { text.to_lowercase() };
    let like = like_pattern(position, text, fold);
    let (comparison, value) = match &plain {
        Some(plain) => (position.operator(cased), plain),
        None => (if cased { "like cased" } else { "like" }, &like),
    };
    if field.values.is_some() {
        return field.any_is(comparison, value);
    }
    // `event_action` is the event name without the space around it.
    let has_space = text.original.trim() != text.original;
    let lower = if has_space { &format!("lower({})", field.text) } else { &field.lower };
    let column = if cased { &field.text } else { lower };
    let condition = match &plain {
        Some(plain) if position == Position::Whole => {
            format!("{column} = {}", quoted(&fold(plain)))
        }
        _ => format!("{column} LIKE {}", quoted(&like)),
    };
    field.with_sent_value(condition, &expression(position, text), comparison, value)
}

/// The text as a regular expression in any case.
fn expression(position: Position, text: &SigmaString) -> String {
    let mut expression = String::from("(?is)");
    if matches!(position, Position::Whole | Position::Start) {
        expression.push('^');
    }
    for part in &text.parts {
        match part {
            StringPart::Plain(plain) => expression.push_str(&regex::escape(plain)),
            StringPart::Special(SpecialChar::WildcardMulti) => expression.push_str(".*"),
            StringPart::Special(SpecialChar::WildcardSingle) => expression.push('.'),
        }
    }
    if matches!(position, Position::Whole | Position::End) {
        expression.push('$');
    }
    expression
}

fn like_pattern(position: Position, text: &SigmaString, fold: impl Fn(&str) -> String) -> String {
    let mut pattern = String::new();
    if matches!(position, Position::Anywhere | Position::End) {
        pattern.push('%');
    }
    for part in &text.parts {
        match part {
            StringPart::Plain(plain) => pattern.push_str(&escaped(&fold(plain))),
            StringPart::Special(SpecialChar::WildcardMulti) => pattern.push('%'),
            StringPart::Special(SpecialChar::WildcardSingle) => pattern.push('_'),
        }
    }
    if matches!(position, Position::Anywhere | Position::Start) {
        pattern.push('%');
    }
    pattern
}

/// Escapes the wildcards of LIKE.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// A comparison with an MFA field, whose values are `yes`, `no` and `unknown`.
fn mfa_comparison(field: &FieldSql, value: &SigmaValue) -> SqlResult {
    let text = value.to_string().to_lowercase();
    match text.as_str() {
        "true" | "yes" => Ok(format!("{} = 'yes'", field.text)),
        "false" | "no" => Ok(format!("{} = 'no'", field.text)),
        _ => Err(format!("an MFA field must be `true`, `false`, `yes` or `no`, not `{text}`")),
    }
}

/// A comparison with a CloudTrail value, which is mapped to ActionTrail's values.
fn mapped_comparison(name: &str, field: &FieldSql, value: &SigmaValue) -> SqlResult {
    let plain = match value {
        SigmaValue::String(text) => text.as_plain(),
        other => Some(other.to_string()),
    };
    let plain = plain.ok_or_else(|| {
        format!("`{name}` is compared with a pattern, which cannot be mapped: names differ between the clouds")
    })?;
    let values = map_value(field.kind, &plain).map_err(|e| format!("`{name}`: {e}"))?;
    let part = |value: &&str| match value.strip_suffix('*') {
        Some(start) => format!("{} LIKE {}", field.lower, quoted(&format!("{start}%"))),
        None => format!("{} = {}", field.lower, quoted(value)),
    };
    join_conditions(values.iter().map(part).collect(), "OR")
        .ok_or_else(|| format!("`{name}` has no value"))
}

/// Returns the part of the base64 text that depends on `bytes` only and not on the bytes around
/// them. `offset` is the offset of `bytes` modulo three.
fn base64_at_offset(bytes: &[u8], offset: usize) -> String {
    let mut padded = vec![b' '; offset];
    padded.extend(bytes);
    let text = STANDARD.encode(&padded);
    let (start, cut) = ([0, 2, 3][offset], [0, 3, 2][padded.len() % 3]);
    text[start..text.len() - cut].to_owned()
}

/// Variants of the text: each dash or slash that starts a command line option is written as every
/// character that command lines accept, independently of the others. `None` where there are too
/// many.
fn dash_variants(text: &SigmaString) -> Option<Vec<SigmaString>> {
    let mut variants = vec![Vec::new()];
    let mut dashes = 0;
    for part in &text.parts {
        let StringPart::Plain(plain) = part else {
            variants
                .iter_mut()
                .for_each(|variant: &mut Vec<StringPart>| variant.push(part.clone()));
            continue;
        };
        let mut written = vec![String::new()];
        let characters: Vec<char> = plain.chars().collect();
        for (at, character) in characters.iter().enumerate() {
            if !starts_option(&characters, at) {
                written.iter_mut().for_each(|text| text.push(*character));
                continue;
            }
            dashes += 1;
            if dashes > DASHES_MAX {
                return None;
            }
            let with_each =
                |text: &String| ['-', '/', '–', '—', '―'].map(|dash| format!("{text}{dash}"));
            written = written.iter().flat_map(with_each).collect();
        }
        let with_each = |variant: &Vec<StringPart>| {
            let added = |text: &String| [&variant[..], &[StringPart::Plain(text.clone())]].concat();
            written.iter().map(added).collect::<Vec<_>>()
        };
        variants = variants.iter().flat_map(with_each).collect();
    }
    let original = &text.original;
    Some(
        variants
            .into_iter()
            .map(|parts| SigmaString { parts, original: original.clone() })
            .collect(),
    )
}

fn starts_option(text: &[char], at: usize) -> bool {
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    matches!(text[at], '-' | '/')
        && at.checked_sub(1).is_none_or(|before| !is_word(&text[before]))
        && text.get(at + 1).is_some_and(is_word)
}
