//! The map of operations: every operation that the vendor's metadata or a lake has, or that a rule names, with the rules that
//! look at it.

use crate::packs::operation_risk::OperationRisk;
use crate::packs::operations::Operations;
use crate::packs::rule_operations::RuleOperations;
use crate::packs::rules::{EvidenceMark, Rule};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The operations, by product and name.
#[derive(Debug)]
pub struct OperationMap {
    /// The operations.
    pub operations: Vec<MappedOperation>,
    /// The rules that name no operation: they look at every event of a kind.
    pub general_rules: Vec<String>,
}

/// One operation.
#[derive(Debug, Clone, Serialize)]
pub struct MappedOperation {
    /// Product code in lower case; the service's name in events where the metadata lacks the product.
    pub product: String,
    /// Name.
    pub operation: String,
    /// What its name tells.
    pub risk: OperationRisk,
    /// How it is known; `None` where only a lake has it.
    pub mark: Option<EvidenceMark>,
    /// Ids of the rules that name it.
    pub rules: Vec<String>,
    /// Ids of the rules that a pattern such as `delete%` makes look at it.
    pub rules_by_pattern: Vec<String>,
    /// What the lake has of it.
    #[serde(flatten)]
    pub seen: Option<SeenOperation>,
}

/// What a lake has of an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SeenOperation {
    /// The service, as events name it.
    #[serde(skip)]
    pub service: String,
    /// The name of the event.
    #[serde(skip)]
    pub name: String,
    /// Number of events.
    pub events: u64,
    /// Time of the first one, RFC 3339.
    pub first_seen: Option<String>,
    /// Time of the last one.
    pub last_seen: Option<String>,
    /// Number of different principals.
    pub principals: u64,
}

impl MappedOperation {
    /// True where a rule looks at it.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        !self.rules.is_empty() || !self.rules_by_pattern.is_empty()
    }
}

/// The key of an operation: product and name in lower case.
type Key = (String, String);

impl OperationMap {
    /// The map of the operations of the metadata, of those that `rules` name, and of those that a lake has `seen`.
    #[must_use]
    pub fn new(rules: &[Rule], seen: Vec<SeenOperation>) -> Self {
        let mut operations: BTreeMap<Key, MappedOperation> = BTreeMap::new();
        for operation in Operations::built_in().all() {
            let mark = Some(EvidenceMark::Metadata);
            add(&mut operations, operation.product, operation.name).mark = mark;
        }
        let named: Vec<RuleOperations<'_>> = rules.iter().map(RuleOperations::of).collect();
        for watched in named.iter().flat_map(RuleOperations::watched) {
            let is_one = !watched.service.is_empty() && !watched.name.contains('*');
            if let (Some(mark), true) = (watched.mark, is_one) {
                let entry = add(&mut operations, &watched.service, &watched.name);
                // The marks stand in the order of their weight.
                entry.mark = Some(entry.mark.map_or(mark, |known| known.min(mark)));
            }
        }
        for seen in seen {
            let entry = add(&mut operations, &seen.service, &seen.name);
            entry.seen = Some(match entry.seen.take() {
                Some(other) => other.with(seen),
                None => seen,
            });
        }
        add_rules(&mut operations, rules, &named);
        let general_rules = named.iter().zip(rules).filter(|(named, _)| !named.names_operations());
        Self {
            operations: operations.into_values().collect(),
            general_rules: general_rules.map(|(_, rule)| rule.id.clone()).collect(),
        }
    }

    /// Number of operations without a rule, by risk.
    #[must_use]
    pub fn unwatched<'o>(
        operations: impl IntoIterator<Item = &'o MappedOperation>,
    ) -> BTreeMap<OperationRisk, usize> {
        let mut counts: BTreeMap<OperationRisk, usize> = BTreeMap::new();
        for operation in operations.into_iter().filter(|operation| !operation.is_watched()) {
            *counts.entry(operation.risk).or_default() += 1;
        }
        counts
    }
}

/// The entry of an operation. A service that events call otherwise than the metadata has the product that knows the operation.
fn add<'m>(
    operations: &'m mut BTreeMap<Key, MappedOperation>,
    service: &str,
    name: &str,
) -> &'m mut MappedOperation {
    let found = Operations::built_in().find(service, name).next();
    let product = found.map_or(service.trim(), |found| found.product).to_lowercase();
    let key = (product.clone(), name.trim().to_lowercase());
    operations.entry(key).or_insert_with(|| MappedOperation {
        product,
        operation: name.to_owned(),
        risk: OperationRisk::of(name),
        mark: None,
        rules: Vec::new(),
        rules_by_pattern: Vec::new(),
        seen: None,
    })
}

/// Adds to each operation the rules that look at it.
fn add_rules(
    operations: &mut BTreeMap<Key, MappedOperation>,
    rules: &[Rule],
    named: &[RuleOperations<'_>],
) {
    let mut by_action: HashMap<&str, BTreeSet<usize>> = HashMap::new();
    let mut by_pattern: BTreeSet<usize> = BTreeSet::new();
    for (index, named) in named.iter().enumerate() {
        for (text, is_pattern) in named.texts() {
            let rules =
                if is_pattern { &mut by_pattern } else { by_action.entry(text).or_default() };
            rules.insert(index);
        }
    }
    let none = BTreeSet::new();
    for ((product, action), entry) in operations {
        let exact = by_action.get(action.as_str()).unwrap_or(&none);
        for &index in exact.union(&by_pattern) {
            match named[index].looks_at(product, action) {
                Some(true) => entry.rules.push(rules[index].id.clone()),
                Some(false) => entry.rules_by_pattern.push(rules[index].id.clone()),
                None => {}
            }
        }
    }
}

impl SeenOperation {
    /// Both together: the same operation under two names of its service. A principal may count twice.
    fn with(self, other: Self) -> Self {
        let earliest = |a: Option<String>, b: Option<String>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            service: self.service,
            name: self.name,
            events: self.events + other.events,
            first_seen: earliest(self.first_seen, other.first_seen),
            last_seen: self.last_seen.max(other.last_seen),
            principals: self.principals.max(other.principals),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packs::rules::RuleSet;

    #[test]
    fn the_map_has_the_metadata_the_marks_and_the_lake() {
        let mut rule_set = RuleSet::built_in().expect("rules");
        let mut rule = rule_set.rules.remove(0);
        rule.sql = "SELECT * FROM events WHERE lower(service_name) IN ('aegis', 'oss') AND (event_action IN ('pauseclient', 'putbucketacl') OR event_action LIKE 'delete%')".to_owned();
        rule.prefilter = None;
        rule.baseline = None;
        rule.evidence.insert("oss:PutBucketAcl".to_owned(), EvidenceMark::Sample);
        let seen = |service: &str, name: &str, events, at: &str| SeenOperation {
            service: service.to_owned(),
            name: name.to_owned(),
            events,
            first_seen: Some(at.to_owned()),
            last_seen: Some(at.to_owned()),
            principals: 1,
        };
        let seen = vec![
            seen("Aegis", "PauseClient", 2, "2026-02-01T00:00:00Z"),
            seen("Sas", "PauseClient", 1, "2026-01-01T00:00:00Z"),
            seen("Oss", "DeleteBucket", 1, "2026-01-01T00:00:00Z"),
            seen("Oss", "GetObject", 5, "2026-01-01T00:00:00Z"),
        ];
        let map = OperationMap::new(&[rule.clone()], seen);
        let find = |product: &str, name: &str| {
            let mut found = map.operations.iter();
            found.find(|entry| entry.product == product && entry.operation == name).expect(name)
        };
        let paused = find("sas", "PauseClient");
        assert_eq!((&paused.rules, paused.mark), (&vec![rule.id], Some(EvidenceMark::Metadata)));
        let seen = paused.seen.as_ref().expect("seen");
        assert_eq!((seen.events, seen.first_seen.as_deref()), (3, Some("2026-01-01T00:00:00Z")));
        assert_eq!(find("oss", "PutBucketAcl").mark, Some(EvidenceMark::Sample));
        assert!(find("oss", "DeleteBucket").is_watched());
        assert!(!find("oss", "GetObject").is_watched());
        assert!(!find("ecs", "DeleteInstance").is_watched());
        assert!(map.general_rules.is_empty());
        let unwatched = OperationMap::unwatched(&map.operations);
        assert!(unwatched[&OperationRisk::Permission] > 1000, "{unwatched:?}");
    }
}
