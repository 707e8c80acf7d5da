//! Looks up request parameters: plain members, flattened arrays (`Tag.1.Key`) and JSON inside JSON strings.

use crate::event::{Event, Field};
use crate::json;
use std::borrow::Cow;

/// The value of the parameter `name` in the JSON object `text`: the text of a string, the JSON of any other value. The
/// first of these that exists is returned:
///
/// 1. the member of exactly that name,
/// 2. the member of that name in another case,
/// 3. the elements of a flattened array (`InstanceId.1`, `InstanceId.2`), as one JSON array,
/// 4. for a dotted name, the value at that path through nested objects, arrays and strings that hold JSON. Array
///    elements count from 1: `Permissions.2.SourceCidrIp`.
///
/// `None` where the parameter is absent, null or redacted (`***`).
///
/// ```
/// use trailhound_datasets::derive::parameters::find_text;
///
/// let text = r#"{"InstanceId.1":"i-1","InstanceId.2":"i-2","Body":"{\"deep\":[7]}","Key":"***"}"#;
/// assert_eq!(find_text(text, "instanceid.1").as_deref(), Some("i-1"));
/// assert_eq!(find_text(text, "InstanceId").as_deref(), Some(r#"["i-1","i-2"]"#));
/// assert_eq!(find_text(text, "Body.deep.1").as_deref(), Some("7"));
/// assert_eq!(find_text(text, "Key"), None);
/// ```
#[must_use]
pub fn find_text<'a>(text: &'a str, name: &str) -> Option<Cow<'a, str>> {
    find_value(text, name).and_then(|value| scalar_text(value)).filter(|value| !is_redacted(value))
}

fn is_redacted(value: &str) -> bool {
    value.len() >= 3 && value.bytes().all(|b| b == b'*')
}

fn find_value<'a>(text: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let mut folded = None;
    let mut flattened: Vec<(u32, &str)> = Vec::new();
    for (key, value) in json::members(text) {
        if key == name {
            return Some(Cow::Borrowed(value));
        }
        if key.trim().eq_ignore_ascii_case(name) && folded.is_none() {
            folded = Some(value);
        }
        let index = key
            .get(..name.len())
            .filter(|head| head.eq_ignore_ascii_case(name))
            .and_then(|_| key[name.len()..].strip_prefix('.'));
        if let Some(index) = index.and_then(|digits| digits.parse().ok()) {
            flattened.push((index, value));
        }
    }
    if let Some(value) = folded {
        return Some(Cow::Borrowed(value));
    }
    if !flattened.is_empty() {
        flattened.sort_unstable_by_key(|&(index, _)| index);
        let parts: Vec<&str> = flattened.into_iter().map(|(_, value)| value).collect();
        return Some(Cow::Owned(format!("[{}]", parts.join(","))));
    }
    find_by_path(text, name)
}

/// Follows the dotted path `name` through nested containers.
fn find_by_path<'a>(text: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let (head, rest) = name.split_once('.')?;
    let step = match text.trim_start().as_bytes().first()? {
        b'[' => json::elements(text).nth(head.parse::<usize>().ok()?.checked_sub(1)?)?,
        _ => json::members(text).find(|(key, _)| key.eq_ignore_ascii_case(head))?.1,
    };
    if step.starts_with('"') {
        let inner = json::unquote(step)?.into_owned();
        return find_below(&inner, rest).map(|value| Cow::Owned(value.into_owned()));
    }
    find_below(step, rest)
}

fn find_below<'a>(text: &'a str, name: &str) -> Option<Cow<'a, str>> {
    if text.trim_start().starts_with('[') {
        return match name.split_once('.') {
            Some(_) => find_by_path(text, name),
            None => json::elements(text)
                .nth(name.parse::<usize>().ok()?.checked_sub(1)?)
                .map(Cow::Borrowed),
        };
    }
    find_value(text, name)
}

fn scalar_text(value: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if value == "null" {
        return None;
    }
    if !value.starts_with('"') {
        return Some(value);
    }
    match value {
        Cow::Borrowed(value) => json::unquote(value),
        Cow::Owned(value) => json::unquote(&value).map(|text| Cow::Owned(text.into_owned())),
    }
}

/// The parameter `name` of `event`, from `requestParameters`, else from `requestParameterJson`. `hint` is a part of the
/// name whose spelling never varies: text without it is skipped, which is fast and true for most events.
#[must_use]
pub fn request_parameter<'a>(
    event: &'a Event<'_>,
    hint: &[u8],
    name: &str,
) -> Option<Cow<'a, str>> {
    [Field::RequestParameters, Field::RequestParameterJson].into_iter().find_map(|field| {
        let text = event.get(field)?;
        memchr::memmem::find(text.as_bytes(), hint)?;
        find_text(text, name)
    })
}

/// Calls `each` with every text inside the JSON value `value`: a string itself, the elements of an array, and the elements
/// of an array inside a string. Empty and redacted texts are left out.
pub fn for_each_text<'a>(value: &'a str, mut each: impl FnMut(Cow<'a, str>)) {
    for_each_text_at(value, 0, &mut each);
}

fn for_each_text_at<'a>(value: &'a str, depth: usize, each: &mut dyn FnMut(Cow<'a, str>)) {
    if depth > 2 {
        return;
    }
    if value.starts_with('[') {
        for element in json::elements(value) {
            for_each_text_at(element, depth + 1, each);
        }
    } else if let Some(text) = json::unquote(value) {
        if text.trim_start().starts_with('[') {
            let inner = text.into_owned();
            for_each_text_at(inner.trim(), depth + 1, &mut |found| {
                each(Cow::Owned(found.into_owned()))
            });
        } else if !text.is_empty() && !is_redacted(&text) {
            each(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looked_up_as_callers_write_it() {
        let text = r#"{"InstanceId":"i-1","ForceStop":false,"Tag.1.Key":"k1","Tag.2.Key":"k2"," charset":"UTF-8",
            "Ids.2":"b","Ids.1":"a","Permissions":[{"SourceCidrIp":"0.0.0.0/0"},{"SourceCidrIp":"::/0"}],
            "Body":"{\"deep\":{\"x\":[1,2]}}","Gone":null,"Secret":"***","Text":"a\"b"}"#;
        for (name, value) in [
            ("InstanceId", Some("i-1")),
            ("instanceid", Some("i-1")),
            ("ForceStop", Some("false")),
            ("Tag.1.Key", Some("k1")),
            ("Ids", Some(r#"["a","b"]"#)),
            ("Permissions.2.SourceCidrIp", Some("::/0")),
            ("Body.deep.x.2", Some("2")),
            ("charset", Some("UTF-8")),
            ("Text", Some("a\"b")),
            ("Gone", None),
            ("Secret", None),
            ("Permissions.3.SourceCidrIp", None),
            ("Permissions.0.SourceCidrIp", None),
            ("Nothing", None),
        ] {
            assert_eq!(find_text(text, name).as_deref(), value, "{name}");
        }
        assert_eq!(find_text("not json", "x"), None);
        assert_eq!(find_text("", "x"), None);
    }

    #[test]
    fn texts_come_out_of_every_shape() {
        let all = |value: &'static str| {
            let mut out = Vec::new();
            for_each_text(value, |text| out.push(text.into_owned()));
            out
        };
        assert_eq!(all(r#""i-1""#), ["i-1"]);
        assert_eq!(all(r#"["i-1","i-2"]"#), ["i-1", "i-2"]);
        assert_eq!(all(r#""[\"i-1\", \"i-2\"]""#), ["i-1", "i-2"]);
        assert!(all("7").is_empty());
        assert!(all(r#""***""#).is_empty());
    }
}
