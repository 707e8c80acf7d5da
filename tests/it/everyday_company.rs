//! The everyday company: what it is made of, and what the rules find in it although nothing is wrong.

use crate::support::golden::assert_written;
use crate::support::own_rules::with_a_new_rule;
use crate::support::program::{NOW, Program};
use crate::support::waiting::scaled;
use chrono::DateTime;
use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use trailhound_datasets::generate::{EVERYDAY_OPERATIONS, Traffic, everyday_company_page};

/// Days of the traffic: five weeks.
const DAYS: u32 = 35;
/// Events that five weeks have at least.
const EVENTS_MIN: usize = 100_000;
/// Times that each of the operations occurs at least.
const OPERATION_MIN: usize = 100;

/// The events of the company with the seed `seed`.
fn events(seed: u64, days: u32) -> Vec<Value> {
    let end = DateTime::parse_from_rfc3339(NOW).expect("a time").timestamp_micros();
    let mut events = Vec::new();
    for file in Traffic::everyday(seed, days, end).files() {
        let part: Vec<Value> =
            serde_json::from_reader(GzDecoder::new(&file.content[..])).expect("an array of events");
        assert_eq!(part.len() as u64, file.events);
        events.extend(part);
    }
    events
}

/// The event's service and name in lower case, as `service:event`.
fn operation(event: &Value) -> String {
    let name = |key: &str| event[key].as_str().expect("a name").to_lowercase();
    format!("{}:{}", name("serviceName"), name("eventName"))
}

#[test]
fn the_page_of_the_everyday_company_is_generated() {
    assert_written("docs/everyday-company.md", &everyday_company_page());
}

#[test]
fn each_everyday_operation_occurs_a_hundred_times_in_five_weeks() {
    for seed in 1..=scaled(1) {
        let events = events(seed, DAYS);
        assert!(events.len() >= EVENTS_MIN, "seed {seed}: {} events", events.len());
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for event in &events {
            *counts.entry(operation(event)).or_default() += 1;
        }
        let rare: Vec<(&str, usize)> = EVERYDAY_OPERATIONS
            .into_iter()
            .map(|name| (name, counts.get(name).copied().unwrap_or(0)))
            .filter(|(_, count)| *count < OPERATION_MIN)
            .collect();
        assert!(rare.is_empty(), "seed {seed}: {rare:?}");
    }
}

#[test]
fn events_of_the_everyday_company_are_whole() {
    let (mut accounts, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    let mut ids = BTreeSet::new();
    for event in events(1, 3) {
        assert!(!event.to_string().contains('<'), "a placeholder is left: {event}");
        assert!(ids.insert(event["eventId"].to_string()), "{event}");
        accounts.insert(event["recipientAccountId"].to_string());
        addresses.insert(event["sourceIpAddress"].to_string());
        let parameters = &event["requestParameters"];
        assert!(parameters.is_null() || parameters.is_object(), "{event}");
        assert!(event["userIdentity"]["type"] != "root-account", "{event}");
    }
    assert_eq!(accounts.len(), 3, "{accounts:?}");
    for office in ["203.0.113.", "2001:db8:10:"] {
        assert!(addresses.iter().any(|address| address.contains(office)), "{addresses:?}");
    }
}

#[test]
fn the_everyday_company_is_written_like_other_traffic() {
    let program = Program::new();
    let generate = |seed: &str, out: &str| {
        let ran = program.run_ok(&[
            "generate",
            "--neighbour",
            "--days",
            "2",
            "--seed",
            seed,
            "--out",
            out,
        ]);
        assert!(ran.err.contains(" events in "), "{}", ran.err);
        let ran = program.run_ok(&[
            "ingest",
            &format!("{out}/events"),
            "--lake",
            &format!("{out}-lake"),
            "--json",
        ]);
        ran.json()[0]["stored"].as_u64().expect("a count")
    };
    let stored = generate("1", "g");
    assert!(stored > 2_000, "{stored}");
    assert_eq!(generate("1", "again"), stored);
    assert_eq!(program.event_keys("g-lake"), program.event_keys("again-lake"));
    generate("2", "other");
    assert_ne!(program.event_keys("g-lake"), program.event_keys("other-lake"));
    let truth = std::fs::read_to_string(program.path("g/truth.json")).expect("the truth");
    assert!(truth.contains("\"expected\": []"), "{truth}");
    let ran = program.run(&["generate", "--neighbour", "--story", "silence", "--out", "x"]);
    assert_eq!(ran.status, 2);
}

#[test]
fn rules_stay_within_the_noise_budget_in_the_everyday_company() {
    let program = Program::new();
    let seeds = scaled(5).to_string();
    let ran = program.run(&["rules", "noise", "--seeds", &seeds, "--format", "json"]);
    let report = &ran.json()[0];
    assert!(report["events"].as_u64() >= Some(scaled(5) * EVENTS_MIN as u64), "{report}");
    assert_eq!(report["excesses"], Value::from(Vec::<Value>::new()), "{report:#}");
    assert_eq!((ran.status, report["within_budget"].as_bool()), (0, Some(true)));
}

#[test]
fn noise_over_the_budget_is_told_by_rule_and_principal() {
    // The new rule finds deleted snapshots, which the company's backups rotate every night.
    let program = with_a_new_rule();
    let noise = |more: &[&str]| {
        program.run(&[&["rules", "noise", "AT-OWN-001", "--days", "3"], more].concat())
    };
    let ran = noise(&[]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    for text in ["AT-OWN-001", "Over the budget", "everyday companies over 3 days"] {
        assert!(ran.out.contains(text), "{text}: {}", ran.out);
    }
    let ran = noise(&["--format", "json"]);
    assert_eq!(ran.status, 1);
    let rule = &ran.json()[0]["rules"][0];
    assert_eq!(rule["rule_id"], "AT-OWN-001");
    assert!(rule["open"].as_u64() > Some(2) && rule["most_by"].is_string(), "{rule}");
    assert!(rule["suppressed"].as_u64() > Some(0), "{rule}");
    let ran = noise(&["--format", "csv"]);
    assert!(ran.out.starts_with("rule,open,") && ran.out.lines().count() == 2, "{}", ran.out);
}
