//! An attacker who reads the rules. Each change of [`EVASIONS`] is made to each firing case of each rule: the rule still gives
//! a finding, or the change is listed in `queries/evasions.toml` as not visible in the trail.

use crate::support::NOW;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use trailhound_detect::authoring::cases::{CaseRunner, EvasionOutcome, EvasionResult};
use trailhound_detect::authoring::evasion::attack::{Attack, Evasion};
use trailhound_detect::authoring::evasion::{EVASIONS, applicable};
use trailhound_ingest::decode_to_batch;
use trailhound_queries::packs::evasions::{UnseenEvasion, UnseenEvasions};
use trailhound_queries::packs::rules::{Rule, RuleSet};

/// The share of changes that may be listed as not visible in the trail: one of so many.
const UNSEEN_SHARE: usize = 10;
/// Rules are evaluated on this number of threads.
const THREADS: usize = 2;

/// The results of making `evasions` to `rules`, and the cases that do not work.
fn evade(rules: &[Rule], evasions: &[Evasion]) -> (Vec<EvasionResult>, Vec<String>) {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<EvasionResult>> = Mutex::default();
    let broken: Mutex<Vec<String>> = Mutex::default();
    let work = || {
        let decode = |content: &[u8]| decode_to_batch(content, NOW);
        let mut runner = CaseRunner::new(&decode);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        while let Some(rule) = rules.get(next.fetch_add(1, Ordering::Relaxed)) {
            match runtime.block_on(runner.evade(rule, evasions)) {
                Ok(of_rule) => results.lock().expect("a lock").extend(of_rule),
                Err(error) => broken.lock().expect("a lock").push(error),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    let mut results = results.into_inner().expect("results");
    results.sort_by(|a, b| (&a.rule_id, &a.case).cmp(&(&b.rule_id, &b.case)));
    (results, broken.into_inner().expect("errors"))
}

/// The rules that are tried: those of the product, or those in the folder `TRAILHOUND_EVADER_RULES`, which a rule's author
/// can try without a build.
fn rule_set() -> RuleSet {
    let Ok(folder) = std::env::var("TRAILHOUND_EVADER_RULES") else {
        return RuleSet::built_in().expect("rules");
    };
    let mut rule_set = RuleSet { rules: Vec::new() };
    let errors = rule_set.add_folder(Path::new(&folder)).expect("a folder of rules");
    errors.iter().for_each(|error| println!("left out: {error}"));
    rule_set
}

/// What is wrong with `results`, given the list of what is `unseen`.
fn faults(results: &[EvasionResult], unseen: &[UnseenEvasion]) -> Vec<String> {
    let mut missed: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    for result in results {
        let is_missed = matches!(result.outcome, EvasionOutcome::Missed(_));
        *missed.entry((result.rule_id.as_str(), result.evasion)).or_default() |= is_missed;
    }
    let listed: BTreeSet<(&str, &str)> =
        unseen.iter().map(|entry| (entry.rule.as_str(), entry.change.as_str())).collect();
    let mut faults = Vec::new();
    for (&(rule, change), &is_missed) in &missed {
        match (is_missed, listed.contains(&(rule, change))) {
            (true, false) => faults.push(format!("{rule}: {change} hides it")),
            (false, true) => faults.push(format!("{rule}: {change} is listed and yet held")),
            _ => {}
        }
    }
    for (rule, change) in listed.iter().filter(|pair| !missed.contains_key(*pair)) {
        faults.push(format!("{rule}: {change} is listed and does not apply"));
    }
    if listed.len() * UNSEEN_SHARE > missed.len() {
        faults.push(format!("{} of {} changes are not visible", listed.len(), missed.len()));
    }
    faults
}

/// The changes that are not held or held by a weaker finding, and a count by change.
fn table(results: &[EvasionResult]) -> String {
    let mut text = String::new();
    let mut counts: BTreeMap<&str, [u32; 3]> = BTreeMap::new();
    for EvasionResult { rule_id, case, evasion, outcome } in results {
        let count = counts.entry(evasion).or_default();
        match outcome {
            EvasionOutcome::Held => count[0] += 1,
            EvasionOutcome::Weaker => {
                count[1] += 1;
                let _ = writeln!(text, "weaker\t{rule_id}\t{evasion}\t{case}");
            }
            EvasionOutcome::Missed(instead) => {
                count[2] += 1;
                let _ = writeln!(text, "MISSED\t{rule_id}\t{evasion}\t{case}\t{instead}");
            }
        }
    }
    for (name, [held, weaker, missed]) in counts {
        let _ = writeln!(text, "{name}: {held} held, {weaker} weaker, {missed} missed");
    }
    text
}

#[test]
fn the_evader_hides_from_no_rule() {
    let rule_set = rule_set();
    let started = std::time::Instant::now();
    let (results, broken) = evade(&rule_set.rules, &EVASIONS);
    println!("{}{} results in {:?}", table(&results), results.len(), started.elapsed());
    let tried: BTreeSet<(&str, &str)> =
        results.iter().map(|result| (result.rule_id.as_str(), result.evasion)).collect();
    let shown: BTreeSet<(&str, &str)> = rule_set
        .rules
        .iter()
        .flat_map(|rule| {
            applicable(rule).into_iter().map(|evasion| (rule.id.as_str(), evasion.name))
        })
        .collect();
    let faults = faults(&results, &UnseenEvasions::built_in().not_visible);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    // `rules show` does not know which events of a case are the attacker's, so that it can name a change to an event that is not.
    let not_shown: Vec<_> = tried.difference(&shown).collect();
    assert!(not_shown.is_empty(), "`rules show` leaves out: {not_shown:?}");
}

/// A change that hides every attack.
fn hide(attack: &Attack) -> Vec<Vec<serde_json::Value>> {
    let harmless = |event: &serde_json::Value| {
        let mut event = event.clone();
        event["eventName"] = json!("DescribeRegions");
        event
    };
    vec![attack.events.iter().map(harmless).collect()]
}

#[test]
fn the_evader_notices_a_change_that_hides_an_attack() {
    let rule_set = RuleSet::built_in().expect("rules");
    let rule = rule_set.find("AT-IAM-001").expect("a rule").clone();
    let hidden = Evasion { name: "hidden", does: "hides", change: hide };
    let (results, broken) = evade(std::slice::from_ref(&rule), &[hidden, EVASIONS[0]]);
    assert!(broken.is_empty(), "{broken:?}");
    assert_eq!(faults(&results, &[]), ["AT-IAM-001: hidden hides it"], "{}", table(&results));
    let listed = |change: &str| UnseenEvasion {
        rule: rule.id.clone(),
        change: change.to_owned(),
        reason: String::new(),
        source: String::new(),
    };
    let found = faults(&results, &[listed("hidden"), listed(EVASIONS[0].name), listed("other")]);
    let stale = format!("AT-IAM-001: {} is listed and yet held", EVASIONS[0].name);
    assert!(found.contains(&stale), "{found:?}");
    assert!(found.contains(&"AT-IAM-001: other is listed and does not apply".to_owned()));
    assert!(found.contains(&"3 of 2 changes are not visible".to_owned()), "{found:?}");
    // A case that gives no finding even unchanged is told, and not taken for held.
    let silent = Rule { sql: rule.sql.replace("'success'", "'nothing'"), ..rule };
    let (results, broken) = evade(&[silent], &EVASIONS);
    assert!(results.is_empty() && broken[0].contains("no open finding"), "{broken:?}");
}
