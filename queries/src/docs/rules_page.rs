//! The rule list for people (`docs/rules.md`) and for ATT&CK Navigator
//! (`docs/attack-navigator.json`).

use crate::packs::rules::{Rule, RuleSet};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The text of `docs/rules.md`.
#[must_use]
pub fn rules_page(rule_set: &RuleSet) -> String {
    let mut out = format!(
        "# The rules\n\nGenerated from `queries/rules/`; a test compares. {} rules; `trailhound rules show ID` shows one with its query.\n",
        rule_set.rules.len()
    );
    let groups: BTreeSet<&str> = rule_set.rules.iter().map(|rule| rule.group.as_str()).collect();
    for group in groups {
        let _ = writeln!(out, "\n## {}\n", group.replace('_', " "));
        out.push_str(
            "| rule | finds | severity | ATT&CK | needs |\n| --- | --- | --- | --- | --- |\n",
        );
        for rule in rule_set.rules.iter().filter(|rule| rule.group == group) {
            let title = format!("{}<br>{}", rule.title.en, rule.title.zh);
            let _ = writeln!(
                out,
                "| {} | {title} | {} | {} | {} |",
                rule.id,
                rule.severity,
                rule.attack.join(", "),
                requirements(rule)
            );
        }
    }
    out
}

/// The cell "needs" of a rule: parameters, data, and whether it must be enabled.
fn requirements(rule: &Rule) -> String {
    let mut requirements: Vec<String> =
        rule.parameters.iter().map(|name| format!("`{name}`")).collect();
    requirements.extend(rule.needs.iter().map(|need| need.label().to_owned()));
    if !rule.enabled {
        requirements.push("to be switched on".to_owned());
    }
    requirements.join(", ")
}

/// A layer of ATT&CK Navigator: each technique with the number of rules that detect it and their
/// ids.
#[must_use]
pub fn navigator_layer(rule_set: &RuleSet) -> Value {
    let mut techniques: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in &rule_set.rules {
        for technique in &rule.attack {
            techniques.entry(technique).or_default().push(&rule.id);
        }
    }
    let entry = |(technique, rules): (&&str, &Vec<&str>)| json!({ "techniqueID": technique, "score": rules.len(), "comment": rules.join(", "), "enabled": true });
    json!({
        "name": "Trailhound",
        "description": "What Trailhound's rules find in ActionTrail logs",
        "domain": "enterprise-attack",
        "versions": { "attack": "17", "navigator": "5.1.0", "layer": "4.5" },
        "filters": { "platforms": ["IaaS", "Identity Provider"] },
        "gradient": { "colors": ["#ffffff", "#66b1ff"], "minValue": 0, "maxValue": 5 },
        "techniques": techniques.iter().map(entry).collect::<Vec<_>>(),
    })
}
