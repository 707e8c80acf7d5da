//! Real events nobody here wrote, where `TRAILHOUND_SAMPLES` points at them.

use crate::part::part;
use crate::program::Program;

#[test]
fn real_samples_are_read_and_judged() {
    let Some(samples) = part("TRAILHOUND_SAMPLES") else { return };
    let program = Program::new();
    let ran = program.run(&["scan", &samples, "--lake", "l", "--format", "json"]);
    assert_eq!(ran.status, 3, "{}", ran.err);
    let counts: Vec<(String, usize)> =
        ran.open().into_iter().map(|(rule, ids)| (rule, ids.len())).collect();
    let expected = [
        ("AT-ECS-001", 1),
        ("AT-LOG-001", 2),
        ("AT-LOGIN-001", 2),
        ("AT-ROOT-001", 6),
        ("AT-ROOT-002", 1),
        ("AT-ROOT-003", 4),
    ];
    assert_eq!(counts, expected.map(|(rule, count)| (rule.to_owned(), count)));
    // 28 events; the delivery that is there twice, and two raw texts that are valid as they are.
    assert_eq!(program.number("l", "SELECT count(*) FROM events"), 28);
    assert_eq!(program.number("l", "SELECT count(DISTINCT event_key) FROM events"), 28);
    let info = program.ok(&["lake", "info", "--lake", "l", "--json"]).json();
    assert_eq!(info[0]["ledger"]["duplicate"], 3);
    program.ok(&["lake", "verify", "--lake", "l"]);
}
