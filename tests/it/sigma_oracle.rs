//! Imported Sigma rules find what pySigma, the reference implementation, finds by its SQLite backend: over generated rules,
//! correlations and events.

use crate::support::external::external_part;
use crate::support::program::{Program, RunOutput, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Seed of the generated rules and events.
const SEED: &str = "20261130";
const RULES: usize = 300;
const EVENTS: usize = 40;
const CORRELATIONS: usize = 60;

/// How many times the usual number of rules is generated.
fn scale() -> usize {
    std::env::var("TRAILHOUND_SIGMA_ORACLE_SCALE")
        .ok()
        .and_then(|scale| scale.parse().ok())
        .unwrap_or(1)
}

/// Generated rules in `rules.yml`, events in `events.json` and what pySigma finds in `expected.json`, and the program that has
/// imported the rules and scanned the events.
struct Comparison {
    expected: BTreeMap<String, Value>,
    found: BTreeMap<String, BTreeSet<String>>,
    /// Reasons of refused documents, by title.
    refused: BTreeMap<String, String>,
    /// Who acted in each event.
    principals: BTreeMap<String, String>,
}

fn compare(python: &str, count: usize, events: &str) -> Comparison {
    let program = Program::new();
    program.write("trailhound.toml", "[rules]\nfolder = \"rules\"\n");
    program.write("rules/.keep", "");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/clients/sigma_oracle.py");
    let ran = Command::new(python)
        .args([script, SEED, &count.to_string(), events])
        .arg(program.path(""))
        .output()
        .expect("Python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let imported = program.run(&["rules", "import", "rules.yml"]);
    assert!([0, 3].contains(&imported.status), "{}{}", imported.out, imported.err);
    let scanned = program.run_ok(&["scan", "events.json", "--lake", "l", "--format", "json"]);
    let json = |name: &str| -> Value {
        let bytes = std::fs::read(program.path(name)).expect("a file");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let expected = json("expected.json").as_object().expect("an object").clone();
    let principal =
        |event: &Value| (text(&event["eventId"]), text(&event["userIdentity"]["principalId"]));
    Comparison {
        expected: expected.into_iter().collect(),
        principals: json("events.json").as_array().expect("a list").iter().map(principal).collect(),
        found: scanned.open_matches(),
        refused: refusals(&imported),
    }
}

fn refusals(imported: &RunOutput) -> BTreeMap<String, String> {
    let refusal = |line: &str| {
        let (_, told) = line.strip_prefix("REFUSED ")?.split_once(": \"")?;
        let (title, reason) = told.split_once("\": ")?;
        Some((title.to_owned(), reason.to_owned()))
    };
    imported.out.lines().filter_map(refusal).collect()
}

/// The reason without the names and values in it.
fn cause(reason: &str) -> String {
    reason.split('`').step_by(2).collect::<Vec<_>>().join("…")
}

impl Comparison {
    fn found(&self, id: &str) -> BTreeSet<String> {
        self.found.get(&format!("AT-SIGMA-{id}")).cloned().unwrap_or_default()
    }

    /// Compares every rule that was not refused by `differs`. Returns the number of rules that were answered and the number that
    /// pySigma answers. Prints how many were refused, by cause.
    fn answered(
        &self,
        title: &str,
        differs: impl Fn(&Value, &BTreeSet<String>) -> bool,
    ) -> (usize, usize) {
        let (mut answered, mut answerable) = (0, 0);
        let mut causes: BTreeMap<String, usize> = BTreeMap::new();
        let mut wrong = Vec::new();
        for (id, expected) in &self.expected {
            let number = usize::from_str_radix(id, 16).expect("a number");
            let refused = self.refused.get(&format!("{title} {number}"));
            if expected.is_string() {
                // pySigma refuses the rule. Here it may be translated or refused.
                continue;
            }
            answerable += 1;
            match refused {
                Some(reason) => *causes.entry(cause(reason)).or_default() += 1,
                None => {
                    answered += 1;
                    let found = self.found(id);
                    if differs(expected, &found) {
                        wrong.push(format!(
                            "{title} {number}: expected {expected}, found {found:?}"
                        ));
                    }
                }
            }
        }
        println!("seed {SEED}: {answered} of {answerable} answered; refused by cause: {causes:#?}");
        assert!(wrong.is_empty(), "{} differ, seed {SEED}:\n{}", wrong.len(), wrong.join("\n"));
        (answered, answerable)
    }
}

fn ids(value: &Value) -> BTreeSet<String> {
    let texts = value.as_array().into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn imported_rules_match_what_pysigma_matches() {
    let Some(python) = external_part("TRAILHOUND_SIGMA_PYTHON") else { return };
    let compared = compare(&python, RULES * scale(), &EVENTS.to_string());
    let (answered, answerable) =
        compared.answered("rule", |expected, found| ids(expected) != *found);
    println!("{} pairs of rule and event compared", answered * EVENTS);
    assert!(answered * EVENTS >= 5_000 * scale(), "{answered} rules");
    assert!(answered * 100 >= answerable * 85, "{answered} of {answerable} answered");
    let firing = compared.expected.values().filter(|expected| !ids(expected).is_empty()).count();
    assert!(firing * 3 >= answerable, "only {firing} of {answerable} rules match any event");
}

#[test]
fn imported_correlations_find_what_pysigma_finds() {
    let Some(python) = external_part("TRAILHOUND_SIGMA_PYTHON") else { return };
    let compared = compare(&python, CORRELATIONS * scale(), "correlations");
    let differs = |expected: &Value, found: &BTreeSet<String>| match expected["kind"].as_str() {
        // The finding holds the last event of each sequence, pySigma's the first sequence of each window.
        Some("temporal_ordered") => {
            let groups = found.iter().map(|id| compared.principals[id].clone()).collect();
            ids(&expected["groups"]) != groups
        }
        _ => ids(&expected["events"]) != *found,
    };
    let (answered, answerable) = compared.answered("correlation", differs);
    // A condition with `not` is refused.
    assert!(answered * 100 >= answerable * 85, "{answered} of {answerable} answered");
}
