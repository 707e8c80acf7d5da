//! The rule pack as a whole: what its files must have, and the pages made from them.

use std::collections::BTreeSet;
use std::path::Path;
use trailhound_queries::catalogue::{Catalogue, Rule};
use trailhound_queries::documentation;

fn catalogue() -> Catalogue {
    Catalogue::built_in().expect("the rules are sound")
}

/// Compares `found` with the file; with `TRAILHOUND_WRITE_GOLDEN=1` the file is written anew.
fn assert_written(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("TRAILHOUND_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("the file is written");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), found, "{file}; TRAILHOUND_WRITE_GOLDEN=1 writes it");
}

#[test]
fn the_pages_about_rules_are_generated() {
    assert_written("docs/rules.md", &documentation::rules(&catalogue()));
    let layer = serde_json::to_string_pretty(&documentation::navigator_layer(&catalogue())).expect("JSON");
    assert_written("docs/attack-navigator.json", &format!("{layer}\n"));
}

#[test]
fn every_rule_has_what_a_rule_must_have() {
    for rule in &catalogue().rules {
        let id = &rule.id;
        assert!(rule.version.split('.').count() == 3, "{id}: version");
        assert!(["stable", "test", "experimental"].contains(&rule.status.as_str()), "{id}: status");
        let technique = |text: &String| {
            text.strip_prefix('T').is_some_and(|rest| rest.len() >= 4 && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        };
        assert!(!rule.attack.is_empty() && rule.attack.iter().all(technique), "{id}: ATT&CK");
        assert!(!rule.title.en.is_empty() && !rule.runbook.en.is_empty() && !rule.references.is_empty(), "{id}: texts");
        let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        assert!(is_chinese(&rule.title.zh) && is_chinese(&rule.runbook.zh), "{id}: Chinese texts");
        assert!(!rule.false_positives.is_empty(), "{id}: false positives");
        assert!(rule.reads.is_some(), "{id}: without `reads` every row is held for it");
        let firing = rule.cases.iter().filter(|case| !case.expect.is_empty()).count();
        assert!(firing >= 1 && rule.cases.len() > firing, "{id}: a case that fires and a near miss");
        let names: BTreeSet<&str> = rule.cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), rule.cases.len(), "{id}: cases of one name");
        assert!(rule.sql.starts_with("-- "), "{id}: the query says what it finds");
    }
}

#[test]
fn every_rule_has_a_story() {
    let spec =
        trailhound_datasets::generate::Spec { events: 20_000, seed: 1, stories: Vec::new(), end_micros: 1_790_812_800_000_000, days: 30 };
    let traffic = trailhound_datasets::generate::Traffic::new(spec).expect("known stories");
    // Rules whose parameters the stories are not told with do not run over them.
    let is_run = |rule: &&Rule| rule.enabled && rule.parameters.iter().all(|name| traffic.configuration().contains(name.as_str()));
    let truth = traffic.truth();
    let told: BTreeSet<&str> = truth["expected"].as_array().expect("a list").iter().filter_map(|entry| entry["rule_id"].as_str()).collect();
    for rule in catalogue().rules.iter().filter(is_run) {
        assert!(told.contains(rule.id.as_str()), "no story makes {} fire", rule.id);
    }
}
