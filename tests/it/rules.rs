//! The rule pack as a whole: what its files must have, and the pages made from them.

use crate::program::Program;
use std::collections::BTreeSet;
use std::path::Path;
use trailhound_queries::docs::rules_page;
use trailhound_queries::packs::rules::{Rule, RuleSet};

fn catalogue() -> RuleSet {
    RuleSet::built_in().expect("the rules are sound")
}

/// Compares `found` with the file; with `TRAILHOUND_WRITE_GOLDEN=1` the file is written anew.
pub(crate) fn assert_written(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("TRAILHOUND_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("the file is written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == found, "{file} is not as generated; TRAILHOUND_WRITE_GOLDEN=1 writes it");
}

#[test]
fn the_pages_about_rules_are_generated() {
    assert_written("docs/rules.md", &rules_page::rules(&catalogue()));
    assert_written("docs/findings.md", &trailhound_queries::tables::findings::documentation());
    let layer =
        serde_json::to_string_pretty(&rules_page::navigator_layer(&catalogue())).expect("JSON");
    assert_written("docs/attack-navigator.json", &format!("{layer}\n"));
}

#[test]
fn every_function_is_documented() {
    let page = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/writing-rules.md"),
    )
    .expect("a page");
    for (name, arguments, meaning) in trailhound_queries::functions::FUNCTIONS {
        let line = format!("| `{name}` | `{arguments}` | {meaning} |");
        assert!(page.contains(&line), "docs/writing-rules.md lacks: {line}");
    }
}

#[test]
fn every_rule_passes_the_checks() {
    let ran = Program::new().run(&["rules", "lint"]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    assert!(catalogue().rules.iter().all(|rule| rule.reads.is_some()));
}

/// A program whose configuration names a folder of rules, with a new one in it.
fn with_a_new_rule() -> Program {
    let program = Program::new();
    program.write("trailhound.toml", "[rules]\nfolder = \"rules\"\n");
    std::fs::create_dir(program.path("rules")).expect("a folder");
    program.ok(&["rules", "new", "AT-OWN-001", "--title", "Snapshot deleted by \"somebody\""]);
    program
}

#[test]
fn a_new_rule_passes_checks_and_cases_and_runs_over_what_is_there() {
    let program = with_a_new_rule();
    assert_eq!(program.run(&["rules", "lint", "AT-OWN-001"]).status, 0);
    assert!(program.ok(&["rules", "test", "at-own-001"]).out.contains("4 cases passed, 0 failed"));
    let again = program.run(&["rules", "new", "AT-OWN-001"]);
    assert_eq!(again.status, 2, "{}", again.err);
    assert!(again.err.contains("own_001.toml"), "{}", again.err);
    let event = r#"{"eventId":"s1","eventTime":"2026-09-21T02:00:00Z","eventName":"DeleteSnapshot","serviceName":"Ecs","userIdentity":{"principalId":"1"}}"#;
    program.write("events.json", event);
    program.ok(&["ingest", "events.json", "--lake", "lake"]);
    let detect = |more: &[&str]| {
        let ran =
            program.ok(&[&["detect", "--lake", "lake", "--rules", "AT-OWN-001"], more].concat());
        ran.out.lines().find(|line| line.starts_with("findings: ")).expect("a summary").to_owned()
    };
    assert_eq!(
        detect(&["--since", "2026-09-22"]),
        "findings: 0 new, 0 revised, 0 known, 0 withdrawn"
    );
    assert_eq!(
        detect(&["--until", "2026-09-22"]),
        "findings: 1 new, 0 revised, 0 known, 0 withdrawn"
    );
    assert_eq!(detect(&[]), "findings: 0 new, 0 revised, 1 known, 0 withdrawn");
    // Narrowed, it no longer finds that, and says so.
    let sql = program.path("rules/own/own_001.sql");
    let narrowed = std::fs::read_to_string(&sql)
        .expect("SQL")
        .replace("'deletesnapshot'", "'deletesnapshots'");
    std::fs::write(&sql, narrowed).expect("written");
    assert_eq!(detect(&[]), "findings: 0 new, 0 revised, 0 known, 1 withdrawn");
}

#[test]
fn checks_name_what_is_wrong_with_a_rule() {
    let program = with_a_new_rule();
    let (toml, sql) =
        (program.path("rules/own/own_001.toml"), program.path("rules/own/own_001.sql"));
    let (sound_toml, sound_sql) = (
        std::fs::read_to_string(&toml).expect("TOML"),
        std::fs::read_to_string(&sql).expect("SQL"),
    );
    for (from, to, check) in [
        ("1.0.0", "one", "version"),
        ("experimental", "brand new", "status"),
        ("T1490", "1490", "attack"),
        ("[\"T1490\"]", "[]", "attack-there"),
        ("请填写标题", "none", "title-zh"),
        ("1. 首先查看什么。2. 如何处理。", "look", "runbook-zh"),
        ("window = \"1h\"", "window = \"30d\"", "dedup-window"),
        ("dedup =", "lookback = \"1h\"\ndedup =", "lookback-used"),
        ("dedup =", "condensed = { by = [\"principal_id\"], per = \"2d\" }\ndedup =", "condensed"),
        (
            "dedup =",
            "condensed = { by = [\"principal_id\"], per = \"1d\" }\ndedup =",
            "condensed-groups",
        ),
        ("reads =", "needs = [\"read_events\"]\ngaps = [\"read_events\"]\nreads =", "needs"),
        ("lower(service_name) = 'ecs'", "lower(no_such_column) = 'ecs'", "reads-plans"),
        ("sample = \"ram_key_call\"", "sample = \"no_such_sample\"", "case-samples"),
        ("a near miss", "it happens", "cases-names"),
        ("errorCode", "requestId", "case-failed"),
        (
            ", remove = [\"userIdentity\", \"sourceIpAddress\", \"requestParameters\"]",
            "",
            "case-lacking",
        ),
        ("-- Which", "Which", "comment"),
        ("event_action = 'deletesnapshot'", "event_action = 'DeleteSnapshot'", "event-action"),
        ("event_action = 'deletesnapshot'", "event_name = 'DeleteSnapshot'", "no-event-name"),
        ("events.*,", "event_id,", "columns"),
        ("outcome = 'success'\n", "outcome = 'success' AND event_time < now()\n", "no-clock"),
        ("outcome = 'success'\n", "outcome = 'success' LIMIT 5\n", "no-limit"),
        (
            "outcome = 'success'\n",
            "outcome = 'success' AND event_time > event_time - INTERVAL '2 hours'\n",
            "lookback",
        ),
        (
            "outcome = 'success'\n",
            "outcome = 'success' AND off_hours(event_time)\n",
            "parameters-said",
        ),
        ("columns = [\"principal_id\"]", "columns = [\"who\"]", "dedup-columns"),
        ("FROM events", "FROM evens", "query"),
    ] {
        // In the description where it stands there, else in the query.
        let in_toml =
            sound_toml.contains(from) && !(sound_sql.contains(from) && check != "reads-plans");
        std::fs::write(
            &toml,
            if in_toml { sound_toml.replacen(from, to, 1) } else { sound_toml.clone() },
        )
        .expect("written");
        std::fs::write(
            &sql,
            if in_toml { sound_sql.clone() } else { sound_sql.replacen(from, to, 1) },
        )
        .expect("written");
        let ran = program.run(&["rules", "lint", "AT-OWN-001"]);
        assert_eq!(ran.status, 1, "{check}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(&format!("AT-OWN-001 {check}: ")), "{check}: {}", ran.out);
    }
}

#[test]
fn a_broken_rule_is_named_and_the_others_run() {
    let program = with_a_new_rule();
    program.write("rules/own/broken.toml", "id = \"AT-OWN-002\"\nseverity = \"grave\"\n");
    program.write("rules/own/alone.sql", "SELECT 1");
    let taken = std::fs::read_to_string(program.path("rules/own/own_001.toml"))
        .expect("TOML")
        .replace("AT-OWN-001", "AT-ECS-001");
    program.write("rules/own/taken.toml", taken);
    program.write("rules/own/taken.sql", "SELECT events.* FROM events");
    let ran = program.run(&["rules", "list", "--format", "csv"]);
    assert_eq!(ran.status, 0);
    for said in ["broken.toml", "alone.sql` has no `toml`", "two rules have the id `AT-ECS-001`"] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    assert!(ran.out.contains("AT-OWN-001") && !ran.out.contains("AT-OWN-002"));
    assert_eq!(
        program.run(&["rules", "lint", "AT-OWN-001"]).status,
        1,
        "what is left out is no rule that passed"
    );
    program.write("trailhound.toml", "[rules]\nfolder = \"nowhere\"\n");
    let ran = program.run(&["rules", "list"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("nowhere"), "{}", ran.err);
}

#[test]
fn every_rule_has_a_story() {
    let spec = trailhound_datasets::generate::Spec {
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
    let truth = traffic.truth();
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
