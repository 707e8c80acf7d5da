//! The built-in rules as a whole: what each must have, and the pages generated from them.

use crate::support::golden::assert_written;
use crate::support::program::{Program, text};
use std::collections::BTreeSet;
use trailhound_queries::docs::rules_page;
use trailhound_queries::packs::attack::tactics;
use trailhound_queries::packs::profile::Profile;
use trailhound_queries::packs::rules::{Rule, RuleSet};

#[test]
fn rules_are_listed_shown_and_tested() {
    let program = Program::new();
    let list = program.run_ok(&["rules", "list", "--format", "json"]).json();
    let ids: Vec<_> = list.iter().map(|rule| rule["id"].as_str().expect("an id")).collect();
    for id in ["AT-LOGIN-001", "AT-LOGIN-002", "AT-ROOT-001", "AT-ECS-001"] {
        assert!(ids.contains(&id), "{ids:?}");
        assert!(program.run_ok(&["rules", "show", &id.to_lowercase()]).out.contains("Runbook"));
    }
    for rule in &list {
        assert!(rule["cases"].as_u64() >= Some(3), "{rule}");
        assert!(!rule["title_zh"].as_str().expect("a title").is_empty());
    }
    let ran = program.run_ok(&["rules", "test"]);
    assert!(ran.out.contains(" cases passed, 0 failed"), "{}", ran.out);
    assert!(
        program.run(&["rules", "show", "AT-ESC-001"]).err.contains("did you mean `AT-ECS-001`")
    );
}

#[test]
fn rules_are_listed_by_group_severity_tactic_and_profile() {
    let program = Program::new();
    let ids = |more: &[&str]| -> BTreeSet<String> {
        let ran = program.run_ok(&[&["rules", "list", "--format", "json"], more].concat());
        ran.json().iter().map(|rule| text(&rule["id"])).collect()
    };
    let all = ids(&[]);
    assert!(all.len() >= 69);
    assert!(ids(&["--group", "root"]).iter().all(|id| id.starts_with("AT-ROOT-")));
    let critical = ids(&["--severity", "critical", "--tactic", "impact"]);
    assert!(
        critical.contains("AT-IMPACT-001") && !critical.contains("AT-ROOT-001"),
        "{critical:?}"
    );
    let cis = ids(&["--profile", "cis-alibaba-v2"]);
    assert!(cis.contains("AT-IAM-011") && cis.len() < all.len());
    assert_eq!(program.run(&["rules", "list", "--tactic", "sorcery"]).status, 2);
    assert_eq!(program.run(&["scan", "x", "--profile", "cis"]).status, 2);
}

#[test]
fn every_technique_has_a_tactic_and_every_profile_its_rules() {
    let catalogue = RuleSet::built_in().expect("rules");
    for technique in catalogue.rules.iter().flat_map(|rule| &rule.attack) {
        assert!(!tactics(technique).is_empty(), "{technique}");
    }
    for profile in Profile::all().expect("profiles") {
        for id in profile.rules() {
            assert!(catalogue.find(id).is_some(), "{}: {id}", profile.name);
        }
    }
}

fn catalogue() -> RuleSet {
    RuleSet::built_in().expect("the rules are sound")
}

#[test]
fn the_rule_and_finding_pages_are_generated() {
    assert_written("docs/rules.md", &rules_page::rules(&catalogue()));
    assert_written("docs/findings.md", &trailhound_queries::tables::findings::documentation());
    let layer =
        serde_json::to_string_pretty(&rules_page::navigator_layer(&catalogue())).expect("JSON");
    assert_written("docs/attack-navigator.json", &format!("{layer}\n"));
}

#[test]
fn every_built_in_rule_passes_lint() {
    let ran = Program::new().run(&["rules", "lint"]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    assert!(catalogue().rules.iter().all(|rule| rule.reads.is_some()));
}

#[test]
fn every_rule_has_a_generated_story() {
    let spec = trailhound_datasets::generate::TrafficSpec {
        events: 20_000,
        seed: 1,
        company: None,
        stories: Vec::new(),
        end_micros: 1_790_812_800_000_000,
        days: 120,
    };
    let traffic = trailhound_datasets::generate::Traffic::new(spec).expect("known stories");
    // Rules whose parameters the stories are not told with do not run over them.
    let is_run = |rule: &&Rule| {
        rule.enabled
            && rule.parameters.iter().all(|name| traffic.configuration().contains(name.as_str()))
    };
    let truth = traffic.expected_findings();
    let told: BTreeSet<&str> = truth["expected"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|entry| entry["rule_id"].as_str())
        .collect();
    for rule in catalogue().rules.iter().filter(is_run) {
        assert!(told.contains(rule.id.as_str()), "no story makes {} fire", rule.id);
    }
}
