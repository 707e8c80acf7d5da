//! Generated stories: the findings equal the truth, whatever way the events came.

use crate::support::program::{Program, RunOutput, expected_findings};
use crate::support::waiting::scaled;
use flate2::read::GzDecoder;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use serde_json::Value;
use serde_json::value::RawValue;
use std::io::Read;
use std::path::Path;

const EVENTS: u64 = 200_000;

/// Generates traffic: for even seeds over 120 days, for rules that need a long history.
fn generate(program: &Program, seed: u64, events: u64) {
    let days = if seed.is_multiple_of(2) { "120" } else { "30" };
    program.run_ok(&[
        "generate",
        "--events",
        &events.to_string(),
        "--days",
        days,
        "--seed",
        &seed.to_string(),
        "--out",
        "g",
    ]);
}

fn scan(program: &Program, paths: &[&str], lake: &str) -> RunOutput {
    let mut args =
        vec!["--config", "g/trailhound.toml", "scan", "--lake", lake, "--format", "json"];
    args.extend(paths);
    program.run_ok(&args)
}

fn events(folder: &Path) -> Vec<Box<RawValue>> {
    let files = walkdir::WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.expect("an entry"));
    files
        .filter(|entry| entry.file_type().is_file())
        .flat_map(|entry| {
            let mut text = String::new();
            GzDecoder::new(std::fs::File::open(entry.path()).expect("a file"))
                .read_to_string(&mut text)
                .expect("gzip");
            serde_json::from_str::<Vec<Box<RawValue>>>(&text).expect("an array")
        })
        .collect()
}

#[test]
fn findings_equal_the_generated_truth_for_five_seeds() {
    let assert_truth = |seed: u64| {
        let program = Program::new();
        generate(&program, seed, EVENTS);
        let ran = scan(&program, &["g/events"], "l");
        assert_eq!(ran.open_findings(), expected_findings(&program.path("g")), "seed {seed}");
        assert_eq!(program.catalog("l").verify().0, [""; 0], "seed {seed}");
    };
    // The program uses one core for much of a scan, so seeds run beside each other.
    std::thread::scope(|scope| {
        for seed in 1..=scaled(5) {
            scope.spawn(move || assert_truth(seed));
        }
    });
}

#[test]
fn splitting_shuffling_and_repeating_input_changes_no_finding() {
    let program = Program::new();
    let count = scaled(EVENTS);
    generate(&program, 6, count);
    let expected = scan(&program, &["g/events"], "straight");
    let mut all = events(&program.path("g/events"));
    assert_eq!(all.len() as u64, count);
    all.shuffle(&mut Pcg64::seed_from_u64(1));
    for (index, chunk) in all.chunks(7_001).enumerate() {
        let lines: Vec<&str> = chunk.iter().map(|event| event.get()).collect();
        program.write(&format!("shuffled/{index}.jsonl"), lines.join("\n"));
        program.write(&format!("again/{index}.json"), format!("[{}]", lines.join(",")));
    }
    drop(all);
    let ran = scan(&program, &["shuffled", "again"], "shuffled-lake");
    assert_eq!(ran.open_findings(), expected_findings(&program.path("g")));
    let ledger = format!(
        "{} records received = {count} stored + {count} duplicate + 0 quarantined",
        2 * count
    );
    assert!(ran.err.contains(&ledger), "{}", ran.err);
    assert_eq!(program.event_keys("straight"), program.event_keys("shuffled-lake"));
    // The findings themselves are the same, but for where the evidence lies.
    let without_place = |ran: &RunOutput| {
        let mut findings: Vec<Value> = ran.json();
        for finding in &mut findings {
            for evidence in finding["evidence"].as_array_mut().expect("evidence") {
                evidence["source_object"].take();
                evidence["source_position"].take();
            }
        }
        findings
    };
    assert_eq!(without_place(&expected), without_place(&ran));
    // And again: nothing new anywhere.
    let again = program.run(&[
        "--config",
        "g/trailhound.toml",
        "scan",
        "--lake",
        "shuffled-lake",
        "shuffled",
        "again",
    ]);
    assert!(again.out.contains("findings: 0 new, 0 revised,"), "{}", again.out);
}

/// Findings that a hundred thousand everyday events may give, of all rules that are on.
const NOISE_BUDGET: usize = 5;

#[test]
fn everyday_traffic_stays_within_the_noise_budget() {
    let mut findings = Vec::new();
    for seed in 1..=5 {
        let program = Program::new();
        program.run_ok(&[
            "generate",
            "--events",
            "20000",
            "--days",
            "7",
            "--story",
            "none",
            "--seed",
            &seed.to_string(),
            "--out",
            "g",
        ]);
        assert!(expected_findings(&program.path("g")).is_empty());
        let ran = scan(&program, &["g/events"], "l");
        findings.extend(ran.json().into_iter().filter(|finding| finding["status"] == "open"));
    }
    assert!(findings.len() <= NOISE_BUDGET, "{} in 100,000 events: {findings:?}", findings.len());
}
