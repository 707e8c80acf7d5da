//! Puts the parts of a flattened object together: lists that a flattener numbered from 0 are lists again. Other dots stay in
//! the keys, because the vendor itself writes such keys (`Tag.1.Key`).

use super::member_values::push_member;
use std::collections::{BTreeMap, HashSet};
use trailhound_datasets::json;

/// A part: its path in the object, with dots, and its JSON text.
pub(super) type Part = (String, String);

/// The members of the object that `parts` make. In an object of lists by kind every number is the place in a list.
pub(super) fn joined(parts: Vec<Part>, is_by_kind: bool) -> Vec<Part> {
    let lists: HashSet<String> =
        parts.iter().filter_map(|(name, _)| list_of(name, is_by_kind)).map(str::to_owned).collect();
    let mut members: Vec<Part> = Vec::new();
    let mut elements: BTreeMap<String, BTreeMap<u32, Vec<Part>>> = BTreeMap::new();
    for (name, raw) in parts {
        match place_in_list(&name, &lists) {
            Some((list, index, rest)) => {
                let list = elements.entry(list.to_owned()).or_default();
                list.entry(index).or_default().push((rest.to_owned(), raw));
            }
            None => members.push((name, raw)),
        }
    }
    for (list, elements) in elements {
        let elements: Vec<String> = elements.into_values().map(element).collect();
        members.push((list, format!("[{}]", elements.join(","))));
    }
    members
}

/// The list of `lists` that the part called `name` belongs to, its place in it, and its path there. The outermost list counts.
fn place_in_list<'n>(name: &'n str, lists: &HashSet<String>) -> Option<(&'n str, u32, &'n str)> {
    if lists.is_empty() || is_too_deep(name) {
        return None;
    }
    memchr::memchr_iter(b'.', name.as_bytes()).find_map(|dot| {
        let (list, rest) = (&name[..dot], &name[dot + 1..]);
        let (index, rest) = rest.split_once('.').unwrap_or((rest, ""));
        let index = index.parse::<u32>().ok()?;
        lists.contains(list).then_some((list, index, rest))
    })
}

/// True for a name that would be nested deeper than JSON may be.
fn is_too_deep(name: &str) -> bool {
    memchr::memchr_iter(b'.', name.as_bytes()).nth(json::DEPTH_MAX).is_some()
}

/// The path of the list of which `name` is a part; `None` where it is none that a flattener has numbered.
fn list_of(name: &str, is_by_kind: bool) -> Option<&str> {
    if is_too_deep(name) {
        return None;
    }
    let mut start = 0;
    for segment in name.split('.') {
        let is_index = if is_by_kind {
            !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit())
        } else {
            segment == "0"
        };
        if start > 0 && is_index {
            return Some(&name[..start - 1]);
        }
        start += segment.len() + 1;
    }
    None
}

/// The JSON text of one element of a list.
fn element(parts: Vec<Part>) -> String {
    if let [(name, raw)] = &parts[..]
        && name.is_empty()
    {
        return raw.clone();
    }
    let mut object = String::from("{");
    for (name, raw) in joined(parts, false) {
        push_member(&mut object, &json::quote(&name), &raw);
    }
    object.push('}');
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parts: &[(&str, &str)], is_by_kind: bool) -> String {
        let parts = parts.iter().map(|(name, raw)| ((*name).to_owned(), (*raw).to_owned()));
        element(joined(parts.collect(), is_by_kind))
    }

    #[test]
    fn lists_that_are_numbered_from_0_are_lists_again() {
        for (parts, object) in [
            (vec![("a", "1"), ("b.c", "2")], r#"{"a":1,"b.c":2}"#),
            (vec![("Tag.1.Key", "1"), ("Tag.2.Key", "2")], r#"{"Tag.1.Key":1,"Tag.2.Key":2}"#),
            (vec![("Ids.0", "1"), ("Ids.1", "2")], r#"{"Ids":[1,2]}"#),
            (
                vec![("P.0.Cidr", "1"), ("P.0.Port", "2"), ("P.1.Cidr", "3")],
                r#"{"P":[{"Cidr":1,"Port":2},{"Cidr":3}]}"#,
            ),
            (vec![("P.0.Q.0", "1"), ("x", "2")], r#"{"x":2,"P":[{"Q":[1]}]}"#),
        ] {
            assert_eq!(shown(&parts, false), object);
        }
        let deep = format!("a{}", ".0".repeat(100_000));
        assert_eq!(shown(&[(&deep, "1")], false), format!(r#"{{"{deep}":1}}"#));
        let kinds = [("ACS::ECS::Instance.1", "1"), ("ACS::ECS::Instance.2", "2")];
        assert_eq!(shown(&kinds, true), r#"{"ACS::ECS::Instance":[1,2]}"#);
    }
}
