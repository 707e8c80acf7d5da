//! The resources of a call, collected from every field that names them.

use super::parameters;
use crate::event::{Event, Field};
use crate::json;
use std::borrow::Cow;
use std::collections::HashMap;

/// Type of an ECS instance in `referencedResources` and `resourceType`.
pub const ECS_INSTANCE: &str = "ACS::ECS::Instance";
/// Type of an ECS instance in events before 2021.
const ECS_INSTANCE_OLD: &str = "Instance";

/// A resource an event names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource<'a> {
    /// Resource type, where the event gives it.
    pub kind: Option<Cow<'a, str>>,
    /// Resource id.
    pub id: Cow<'a, str>,
}

/// The resources of `event` in order of first mention, without duplicates. They come from:
///
/// - `referencedResources`: an object of lists by type, or a list of `{resourceType, resourceName}`,
/// - `resourceName`, matched to `resourceType` by position,
/// - the instance parameters of ECS calls.
#[must_use]
pub fn collect<'a>(event: &'a Event<'_>) -> Vec<Resource<'a>> {
    let mut found = FoundResources::default();
    if let Some(text) = event.get(Field::ReferencedResources) {
        referenced(text, &mut found);
    }
    if let Some(names) = event.said(Field::ResourceName) {
        named(names, event.said(Field::ResourceType).unwrap_or(""), &mut found);
    }
    instance_parameters(event, &mut found);
    found.list
}

/// Resources from which on ids are looked up by their hash: an event may name very many.
const INDEXED_FROM: usize = 16;

/// The resources found so far.
#[derive(Default)]
struct FoundResources<'a> {
    list: Vec<Resource<'a>>,
    /// Positions in `list`, from [`INDEXED_FROM`] resources on: by the hashes of id and type, and the first of each id by that
    /// of the id alone. One id may come with very many types, and one type with very many ids.
    index: HashMap<(u64, Option<u64>), Vec<usize>>,
}

impl<'a> FoundResources<'a> {
    fn add(&mut self, kind: Option<Cow<'a, str>>, id: Cow<'a, str>) {
        if id.is_empty() {
            return;
        }
        if self.list.len() == INDEXED_FROM && self.index.is_empty() {
            for position in 0..self.list.len() {
                self.add_to_index(position);
            }
        }
        // One field may give the type of a resource that another field names without it.
        let matches = |position: &usize| {
            let have = &self.list[*position];
            have.id == id && (have.kind == kind || have.kind.is_none() || kind.is_none())
        };
        let is_indexed = self.list.len() >= INDEXED_FROM;
        let known = if !is_indexed {
            (0..self.list.len()).find(matches)
        } else {
            // Only the first resource of an id can be without a type.
            let hash = json::hash_text(&id);
            let keys = [(hash, None), (hash, kind.as_deref().map(json::hash_text))];
            let positions = |key| self.index.get(&key).into_iter().flatten().copied();
            keys.into_iter().filter_map(|key| positions(key).find(matches)).min()
        };
        match known {
            Some(position) => {
                let have = &mut self.list[position];
                if have.kind.is_none() && kind.is_some() {
                    have.kind = kind;
                    if is_indexed {
                        self.add_to_index(position);
                    }
                }
            }
            None => {
                self.list.push(Resource { kind, id });
                if is_indexed {
                    self.add_to_index(self.list.len() - 1);
                }
            }
        }
    }

    fn add_to_index(&mut self, position: usize) {
        let resource = &self.list[position];
        let hash = json::hash_text(&resource.id);
        if let Some(kind) = &resource.kind {
            self.index.entry((hash, Some(json::hash_text(kind)))).or_default().push(position);
        }
        let first = self.index.entry((hash, None)).or_default();
        if !first.iter().any(|&position| self.list[position].id == resource.id) {
            first.push(position);
        }
    }
}

fn referenced<'a>(text: &'a str, found: &mut FoundResources<'a>) {
    if text.starts_with('[') {
        for entry in json::elements(text) {
            let id = parameters::find_text(entry, "resourceName")
                .or_else(|| parameters::find_text(entry, "resourceId"));
            if let Some(id) = id {
                found.add(parameters::find_text(entry, "resourceType"), id);
            }
        }
        return;
    }
    for (kind, ids) in json::members(text) {
        parameters::for_each_text(ids, |id| found.add(Some(kind.clone()), id));
    }
}

fn named<'a>(names: &'a str, types: &'a str, found: &mut FoundResources<'a>) {
    let mut types = types.split(';');
    for group in names.split(';') {
        let kind = types.next().map(str::trim).filter(|kind| !kind.is_empty());
        for id in group.split(',') {
            found.add(kind.map(Cow::Borrowed), Cow::Borrowed(id.trim()));
        }
    }
}

/// Adds the instances in the parameters `InstanceId` and `InstanceIds`. Other services use these names for their own
/// resources, so they are read for ECS calls only.
fn instance_parameters<'a>(event: &'a Event<'_>, found: &mut FoundResources<'a>) {
    if !event
        .get(Field::ServiceName)
        .is_some_and(|service| service.trim().eq_ignore_ascii_case("ecs"))
    {
        return;
    }
    for field in [Field::RequestParameters, Field::RequestParameterJson] {
        let Some(text) = event.get(field) else { continue };
        if memchr::memmem::find(text.as_bytes(), b"nstanceId").is_none() {
            continue;
        }
        for (key, value) in json::members(text) {
            if is_instance_key(&key) {
                parameters::for_each_text(value, |id| {
                    found.add(Some(Cow::Borrowed(ECS_INSTANCE)), id)
                });
            }
        }
    }
}

/// True for `InstanceId`, `InstanceIds`, and both with an index behind a dot (`InstanceId.1`).
fn is_instance_key(key: &str) -> bool {
    let (name, index) =
        key.split_once('.').map_or((key, None), |(name, index)| (name, Some(index)));
    (name.eq_ignore_ascii_case("InstanceId") || name.eq_ignore_ascii_case("InstanceIds"))
        && index
            .is_none_or(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Ids of the ECS instances among `resources`.
#[must_use]
pub fn ecs_instance_ids<'a>(event: &Event<'_>, resources: &[Resource<'a>]) -> Vec<Cow<'a, str>> {
    let is_ecs = event
        .get(Field::ServiceName)
        .is_some_and(|service| service.trim().eq_ignore_ascii_case("ecs"));
    let is_instance = |kind: &str| {
        kind.eq_ignore_ascii_case(ECS_INSTANCE)
            || (is_ecs && kind.eq_ignore_ascii_case(ECS_INSTANCE_OLD))
    };
    resources
        .iter()
        .filter(|r| r.kind.as_deref().is_some_and(is_instance))
        .map(|r| r.id.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(values: &[(Field, &'static str)]) -> Event<'static> {
        let mut event = Event::empty("");
        for &(field, text) in values {
            event.values[field as usize] = Some(Cow::Borrowed(text));
        }
        event
    }

    fn shown(event: &Event<'_>) -> Vec<String> {
        collect(event)
            .iter()
            .map(|r| format!("{}={}", r.kind.as_deref().unwrap_or("?"), r.id))
            .collect()
    }

    #[test]
    fn instance_ids_come_from_every_hiding_place() {
        let service = (Field::ServiceName, "Ecs");
        for (field, text) in [
            (Field::ReferencedResources, r#"{"ACS::ECS::Instance":["i-1","i-2"]}"#),
            (Field::ReferencedResources, r#"{"Instance":["i-1","i-2"]}"#),
            (
                Field::ReferencedResources,
                r#"[{"resourceType":"ACS::ECS::Instance","resourceName":"i-1"},{"resourceType":"ACS::ECS::Instance","resourceName":"i-2"}]"#,
            ),
            (Field::RequestParameters, r#"{"InstanceId":["i-1","i-2"]}"#),
            (Field::RequestParameters, r#"{"InstanceIds":"[\"i-1\",\"i-2\"]"}"#),
            (Field::RequestParameters, r#"{"InstanceId.1":"i-1","InstanceId.2":"i-2"}"#),
            (Field::RequestParameters, r#"{"InstanceIds.1":"i-1","InstanceIds.2":"i-2"}"#),
            (Field::RequestParameterJson, r#"{"InstanceId":"[\"i-1\",\"i-2\"]"}"#),
        ] {
            let event = event(&[service, (field, text)]);
            let resources = collect(&event);
            assert_eq!(ecs_instance_ids(&event, &resources), ["i-1", "i-2"], "{text}");
        }
    }

    #[test]
    fn names_and_types_match_by_position() {
        let event = event(&[
            (Field::ResourceType, "ACS::ECS::Instance;ACS::VPC::VPC"),
            (Field::ResourceName, "i-1,i-2;vpc-1"),
        ]);
        assert_eq!(
            shown(&event),
            ["ACS::ECS::Instance=i-1", "ACS::ECS::Instance=i-2", "ACS::VPC::VPC=vpc-1"]
        );
    }

    #[test]
    fn one_resource_named_three_times_counts_once() {
        let event = event(&[
            (Field::ServiceName, "Ecs"),
            (Field::ReferencedResources, r#"{"ACS::ECS::Instance":["i-1"]}"#),
            (Field::ResourceName, "i-1"),
            (Field::RequestParameters, r#"{"InstanceId":"i-1"}"#),
        ]);
        assert_eq!(shown(&event), ["ACS::ECS::Instance=i-1"]);
    }

    #[test]
    fn very_many_resources_are_found_once_each() {
        let ids: Vec<String> = (0..50_000).map(|n| format!("i-{}", n % 40_000)).collect();
        let names: &'static str = ids.join(",").leak();
        let event = event(&[
            (Field::ResourceType, ECS_INSTANCE),
            (Field::ResourceName, names),
            (Field::ReferencedResources, r#"{"Instance":["i-0"],"ACS::ECS::Instance":["i-1"]}"#),
        ]);
        // `i-0` has two types.
        assert_eq!(collect(&event).len(), 40_001);
    }

    #[test]
    fn one_id_with_very_many_types_is_found_once_for_each() {
        let types: Vec<String> =
            (0..50_000).map(|n| format!(r#""T{}":["i"]"#, n % 40_000)).collect();
        let referenced: &'static str = format!("{{{}}}", types.join(",")).leak();
        let event =
            event(&[(Field::ReferencedResources, referenced), (Field::ResourceName, "i,j,j")]);
        assert_eq!(collect(&event).len(), 40_001);
    }

    #[test]
    fn a_type_that_comes_later_is_that_of_the_resource_whatever_their_number() {
        let names: Vec<String> = (0..40).map(|n| format!("i-{n}")).collect();
        let names: &'static str = names.join(",").leak();
        let parameters = r#"{"InstanceIds":["i-3","i-39","i-3"]}"#;
        let event = event(&[
            (Field::ServiceName, "Ecs"),
            (Field::ResourceName, names),
            (Field::RequestParameters, parameters),
        ]);
        let resources = collect(&event);
        assert_eq!(resources.len(), 40);
        assert_eq!(ecs_instance_ids(&event, &resources), ["i-3", "i-39"]);
    }

    #[test]
    fn another_services_instance_is_no_ecs_instance() {
        let event = event(&[
            (Field::ServiceName, "CloudCallCenter"),
            (Field::RequestParameters, r#"{"InstanceId":"13c33db2"}"#),
        ]);
        assert!(ecs_instance_ids(&event, &collect(&event)).is_empty());
    }
}
