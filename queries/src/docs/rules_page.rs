//! What the rules say of themselves, for people and for ATT&CK Navigator.

use crate::packs::rules::{Rule, RuleSet};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The text of `docs/rules.md`.
#[must_use]
pub fn rules(catalogue: &RuleSet) -> String {
    let mut out = format!(
        "# The rules\n\nGenerated from `queries/rules/`; a test compares. {} rules; `trailhound rules show ID` shows one with its query.\n",
        catalogue.rules.len()
    );
    let groups: BTreeSet<&str> = catalogue.rules.iter().map(|rule| rule.group.as_str()).collect();
    for group in groups {
        let _ = writeln!(out, "\n## {}\n", group.replace('_', " "));
        out.push_str(
            "| rule | finds | severity | ATT&CK | needs |\n| --- | --- | --- | --- | --- |\n",
        );
        for rule in catalogue.rules.iter().filter(|rule| rule.group == group) {
            let title = format!("{}<br>{}", rule.title.en, rule.title.zh);
            let _ = writeln!(
                out,
                "| {} | {title} | {} | {} | {} |",
                rule.id,
                rule.severity,
                rule.attack.join(", "),
                needs(rule)
            );
        }
    }
    out
}

fn needs(rule: &Rule) -> String {
    let mut needs: Vec<String> = rule.parameters.iter().map(|name| format!("`{name}`")).collect();
    needs.extend(rule.needs.iter().map(|need| need.in_words().to_owned()));
    if !rule.enabled {
        needs.push("to be switched on".to_owned());
    }
    needs.join(", ")
}

/// A layer of ATT&CK Navigator: each technique with the number of rules that find it, and which.
#[must_use]
pub fn navigator_layer(catalogue: &RuleSet) -> Value {
    let mut techniques: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in &catalogue.rules {
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
