//! Tests of all built-in rules: required properties of each rule, and the pages generated from
//! them.

use crate::support::golden::assert_written;
use crate::support::program::{Program, text};
use std::collections::BTreeSet;
use std::path::Path;
use trailhound_queries::docs::rules_page;
use trailhound_queries::packs::attack::tactics;
use trailhound_queries::packs::profile::BenchmarkProfile;
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
    for profile in BenchmarkProfile::all().expect("profiles") {
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
    assert_written("docs/rules.md", &rules_page::rules_page(&catalogue()));
    assert_written("docs/findings.md", &trailhound_queries::docs::data_dictionary::findings_page());
    let layer =
        serde_json::to_string_pretty(&rules_page::navigator_layer(&catalogue())).expect("JSON");
    assert_written("docs/attack-navigator.json", &format!("{layer}\n"));
}

#[test]
fn every_built_in_rule_passes_lint() {
    let ran = Program::new().run(&["rules", "lint"]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    assert!(catalogue().rules.iter().all(|rule| rule.prefilter.is_some()));
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
    // Rules whose parameters the generated configuration lacks do not run.
    let is_run = |rule: &&Rule| {
        rule.enabled
            && rule.parameters.iter().all(|name| traffic.configuration().contains(name.as_str()))
    };
    let truth = traffic.expected_findings();
    let expected_rules: BTreeSet<&str> = truth["expected"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|entry| entry["rule_id"].as_str())
        .collect();
    for rule in catalogue().rules.iter().filter(is_run) {
        assert!(expected_rules.contains(rule.id.as_str()), "no story makes {} fire", rule.id);
    }
}

/// Renamed keys of rule files: the current name, and the name up to version 0.1.0.
const OLD_KEYS: [(&str, &str); 3] =
    [("prefilter", "reads"), ("baseline", "remembers"), ("first_last", "condensed")];

#[test]
fn old_keys_of_rule_files_work_and_warn() {
    let program = Program::new();
    program.run_ok(&["generate", "--events", "2000", "--seed", "5", "--out", "g"]);
    let configuration =
        std::fs::read_to_string(program.path("g/trailhound.toml")).expect("a configuration");
    program.write("g/trailhound.toml", format!("[rules]\nfolder = \"rules\"\n{configuration}"));
    let like = |id: &str| catalogue().find(id).expect("a rule").clone();
    for (name, id) in [("network", "AT-CRED-004"), ("sign_in", "AT-LOGIN-001")] {
        let rule = like(id);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/rules").join(&rule.path);
        let description = std::fs::read_to_string(path).expect("a description");
        let own = description.replace(id, &id.replace("AT-", "AT-OWN-"));
        program.write(&format!("g/rules/own/{name}.toml"), own);
        program.write(&format!("g/rules/own/{name}.sql"), rule.sql);
    }
    let rules = "AT-OWN-CRED-004,AT-OWN-LOGIN-001";
    let scan = |lake: &str| {
        let ran = program.run(&[
            "--config",
            "g/trailhound.toml",
            "scan",
            "g/events",
            "--lake",
            lake,
            "--format",
            "json",
            "--rules",
            rules,
        ]);
        (ran.status, ran.out, ran.err)
    };
    let (status, findings, said) = scan("new");
    assert!(findings.contains("AT-OWN-LOGIN-001") && !said.contains("is now"), "{said}");
    for name in ["network", "sign_in"] {
        let path = format!("g/rules/own/{name}.toml");
        let mut text = std::fs::read_to_string(program.path(&path)).expect("a description");
        for (new, old) in OLD_KEYS {
            text = text.replace(&format!("\n{new} = "), &format!("\n{old} = "));
        }
        program.write(&path, text);
    }
    let (old_status, old_findings, said) = scan("old");
    assert_eq!((old_status, old_findings), (status, findings));
    for (new, old) in OLD_KEYS {
        let warning = format!("network.toml`: the key `{old}` is now `{new}`");
        assert!(said.contains(&warning), "{warning}: {said}");
    }
    let ran = program.run(&["--config", "g/trailhound.toml", "rules", "lint", "AT-OWN-CRED-004"]);
    let line = "AT-OWN-CRED-004 deprecated-key: the key `reads` is now `prefilter`";
    assert!(ran.out.contains(line), "{}", ran.out);
    let text = std::fs::read_to_string(program.path("g/rules/own/sign_in.toml")).expect("a file");
    program.write("g/rules/own/sign_in.toml", format!("prefilter = \"true\"\n{text}"));
    let ran = program.run(&["--config", "g/trailhound.toml", "rules", "list"]);
    assert!(ran.err.contains("`reads` is the old name of the key `prefilter`"), "{}", ran.err);
}
