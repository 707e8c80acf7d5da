//! Iterates the members of an object and the elements of an array in place.

use super::syntax::{skip_space, string_end};
use super::text::unquote;
use super::walker::Walker;
use std::borrow::Cow;

/// Iterator over the members of an object: `(key, value text)` in order. It stops at the first byte that is not valid
/// JSON, so text that was not validated before yields its valid beginning.
pub struct Members<'a> {
    text: &'a str,
    at: usize,
    walker: Walker,
}

/// Iterates the members of the object that `text` holds; empty for anything else.
#[must_use]
pub fn members(text: &str) -> Members<'_> {
    let start = skip_space(text.as_bytes(), 0);
    let at = if text.as_bytes().get(start) == Some(&b'{') { start + 1 } else { text.len() };
    Members { text, at, walker: Walker::default() }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        let mut at = skip_space(bytes, self.at);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        if bytes.get(at) != Some(&b'"') {
            self.at = bytes.len();
            return None;
        }
        let (key_end, _) = string_end(bytes, at).ok()?;
        let key = unquote(&self.text[at..key_end])
            .unwrap_or(Cow::Borrowed(&self.text[at + 1..key_end - 1]));
        at = skip_space(bytes, key_end);
        if bytes.get(at) != Some(&b':') {
            self.at = bytes.len();
            return None;
        }
        at = skip_space(bytes, at + 1);
        let walked = self.walker.value(bytes, at).ok()?;
        self.at = walked.end;
        Some((key, &self.text[at..walked.end]))
    }
}

/// Iterates the elements of the array that `text` holds, as their JSON text; empty for anything else. Like [`members`],
/// it stops at the first byte that is not valid JSON.
pub fn elements(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let start = skip_space(bytes, 0);
    let mut at = if bytes.get(start) == Some(&b'[') { start + 1 } else { bytes.len() };
    let mut walker = Walker::default();
    std::iter::from_fn(move || {
        at = skip_space(bytes, at);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        let walked = walker.value(bytes, at).ok()?;
        let element = &text[at..walked.end];
        at = walked.end;
        Some(element)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_give_the_parts() {
        let got: Vec<_> =
            members(r#" {"a" : 1, "b\"": [ {} ,2]} "#).map(|(k, v)| (k.into_owned(), v)).collect();
        assert_eq!(got, [("a".to_owned(), "1"), ("b\"".to_owned(), "[ {} ,2]")]);
        assert_eq!(elements("[1, [2] ,\"3\"]").collect::<Vec<_>>(), ["1", "[2]", "\"3\""]);
        assert_eq!(members("[1]").count(), 0);
    }
}
