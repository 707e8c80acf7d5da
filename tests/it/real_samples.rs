//! Real events from `TRAILHOUND_SAMPLES`.

use crate::support::external::external_part;
use crate::support::program::Program;

#[test]
fn real_samples_are_ingested_and_evaluated() {
    let Some(samples) = external_part("TRAILHOUND_SAMPLES") else { return };
    let program = Program::new();
    let ran = program.run(&["scan", &samples, "--lake", "l", "--format", "json"]);
    assert_eq!(ran.status, 3, "{}", ran.err);
    let counts: Vec<(String, usize)> =
        ran.open_findings().into_iter().map(|(rule, ids)| (rule, ids.len())).collect();
    let expected = [
        ("AT-ECS-001", 1),
        // Pages of the vendor mask addresses.
        ("AT-HEALTH-003", 8),
        ("AT-LOG-001", 2),
        ("AT-LOGIN-001", 2),
        ("AT-ROOT-001", 6),
        ("AT-ROOT-002", 1),
        ("AT-ROOT-003", 4),
    ];
    assert_eq!(counts, expected.map(|(rule, count)| (rule.to_owned(), count)));
    // 28 events; the delivery that is there twice, and two raw texts that are valid as they are.
    assert_eq!(program.query_number("l", "SELECT count(*) FROM events"), 28);
    assert_eq!(program.query_number("l", "SELECT count(DISTINCT event_key) FROM events"), 28);
    let info = program.run_ok(&["lake", "info", "--lake", "l", "--json"]).json();
    assert_eq!(info[0]["ledger"]["duplicate"], 3);
    program.run_ok(&["lake", "verify", "--lake", "l"]);
}
