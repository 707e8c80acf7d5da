//! The page of operations (`docs/operations.md`): which ones the rules of the product look at, and how many they do not.

use crate::packs::operation_map::{MappedOperation, OperationMap};
use crate::packs::operation_risk::OperationRisk;
use crate::packs::rule_operations::RuleOperations;
use crate::packs::rules::RuleSet;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Risks that the page counts, the greatest first.
const COUNTED: [OperationRisk; 4] =
    [OperationRisk::Permission, OperationRisk::Data, OperationRisk::Network, OperationRisk::Write];

/// The text of `docs/operations.md`.
#[must_use]
pub fn operations_page(rule_set: &RuleSet) -> String {
    let map = OperationMap::new(&rule_set.rules, Vec::new());
    let mut products: BTreeMap<&str, Vec<&MappedOperation>> = BTreeMap::new();
    for operation in &map.operations {
        products.entry(&operation.product).or_default().push(operation);
    }
    let watched = map.operations.iter().filter(|operation| operation.is_watched()).count();
    let mut out = format!(
        "# The operations that rules look at\n\nGenerated from `queries/rules/` and `queries/operations/`; a test compares. Of {} operations of {} products, {watched} \
         are looked at by at least one of {} rules. `trailhound rules map` shows the same for your own rules too, with what your lake has seen of each.\n\n\
         The mark tells how it is known that the trail writes the operation so: `D` seen in a sample event of the vendor, `L` in an alert query of the vendor, `M` only in the \
         vendor's API metadata, `U` unverified.\n",
        map.operations.len(),
        products.len(),
        rule_set.rules.len()
    );
    let _ = writeln!(
        out,
        "\nThese rules name no operation; they look at every event of a kind: {}.",
        map.general_rules.join(", ")
    );
    add_patterns(&mut out, rule_set);
    add_watched(&mut out, &products);
    add_unwatched(&mut out, &products);
    out
}

/// The patterns of names, such as `delete*`.
fn add_patterns(out: &mut String, rule_set: &RuleSet) {
    let mut patterns: BTreeMap<(String, String), BTreeSet<&str>> = BTreeMap::new();
    for rule in &rule_set.rules {
        for watched in RuleOperations::of(rule).watched() {
            if watched.name.contains('*') {
                let key = (watched.name, watched.service);
                patterns.entry(key).or_default().insert(&rule.id);
            }
        }
    }
    out.push_str("\n## Patterns of names\n\n| names | services | rules |\n| --- | --- | --- |\n");
    for ((name, service), rules) in patterns {
        let service = if service == "*" { "any".to_owned() } else { service };
        let rules: Vec<&str> = rules.into_iter().collect();
        let _ = writeln!(out, "| `{name}` | {service} | {} |", rules.join(", "));
    }
}

/// The operations that rules name, by product.
fn add_watched(out: &mut String, products: &BTreeMap<&str, Vec<&MappedOperation>>) {
    for (product, operations) in products {
        let named = operations.iter().filter(|operation| !operation.rules.is_empty());
        let named: Vec<_> = named.collect();
        if named.is_empty() {
            continue;
        }
        let _ =
            writeln!(out, "\n## {product}\n\n| operation | mark | rules |\n| --- | --- | --- |");
        for operation in named {
            let _ = writeln!(
                out,
                "| {} | {} | {} |",
                operation.operation,
                operation.mark.map_or("", |mark| mark.letter()),
                operation.rules.join(", ")
            );
        }
    }
}

/// The numbers of operations that no rule looks at, by product.
fn add_unwatched(out: &mut String, products: &BTreeMap<&str, Vec<&MappedOperation>>) {
    out.push_str(
        "\n## Operations that no rule looks at\n\nTheir number by what the words of their names tell: they change permissions, change or hand out data, change what can be \
         reached, or change something else. Operations that only read are left out, unless they read secrets or data. `trailhound rules map --unwatched --product PRODUCT` lists them.\n\n\
         | product | permission | data | network | write |\n| --- | --- | --- | --- | --- |\n",
    );
    let row = |out: &mut String, name: &str, counts: &BTreeMap<OperationRisk, usize>| {
        let numbers = COUNTED.map(|risk| counts.get(&risk).copied().unwrap_or_default());
        if numbers.iter().any(|number| *number > 0) {
            let _ = writeln!(out, "| {name} | {} |", numbers.map(|n| n.to_string()).join(" | "));
        }
    };
    for (product, operations) in products {
        row(out, product, &OperationMap::unwatched(operations.iter().copied()));
    }
    row(out, "all", &OperationMap::unwatched(products.values().flatten().copied()));
}
