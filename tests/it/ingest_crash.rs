//! An ingest killed with SIGKILL at any moment, and resumed: the lake of an undisturbed run.

use crate::support::program::Program;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Small commits and two workers, so that there is something to interrupt.
const CONFIG: &str = "[ingest]\nflush_rows_max = 4000\nworkers = 2\n";

#[test]
fn an_ingest_killed_at_random_moments_resumes_exactly() {
    let program = Program::new();
    program.run_ok(&["generate", "--events", "40000", "--seed", "9", "--days", "6", "--out", "g"]);
    program.write(
        "g/events/broken.json",
        "[{\"eventId\":\"good\",\"eventTime\":\"2026-09-21T02:14:05Z\"},{\"eventId\":oops}]",
    );
    program.write("c.toml", CONFIG);
    let ingest = ["--config", "c.toml", "ingest", "g/events", "--json", "--lake"];
    let run = |lake: &str| program.run(&[&ingest[..], &[lake]].concat());
    let started = Instant::now();
    assert_eq!(run("whole").status, 3);
    let undisturbed = started.elapsed();
    let mut rng = Pcg64::seed_from_u64(9);
    let (mut interrupted, mut round) = (0, 0);
    // How long a run takes depends on what else the machine does: rounds go on until enough were cut short.
    while interrupted < 20 || round < 20 {
        assert!(round < 80, "only {interrupted} runs were interrupted");
        round += 1;
        let lake = format!("lake-{round}");
        // Killed once or twice, anywhere in the time an undisturbed run takes.
        for _ in 0..rng.random_range(1..3) {
            let mut child = program
                .command(&[&ingest[..], &[lake.as_str()]].concat())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts");
            std::thread::sleep(Duration::from_micros(
                rng.random_range(0..undisturbed.as_micros() as u64),
            ));
            interrupted += usize::from(child.try_wait().expect("a child").is_none());
            child.kill().expect("killed");
            child.wait().expect("gone");
        }
        let last = run(&lake);
        assert!(last.status == 3 || last.status == 0, "round {round}: {}", last.err);
        let verified = program.run(&["lake", "verify", "--lake", &lake, "--json"]);
        assert_eq!(verified.status, 0, "round {round}: {}", verified.out);
        assert_eq!(
            verified.json()[0]["unreferenced_files"],
            0,
            "round {round}: leftovers are swept"
        );
        assert_eq!(ledger(&program, &lake), ledger(&program, "whole"), "round {round}");
        assert!(
            program.event_keys(&lake) == program.event_keys("whole"),
            "round {round}: other events"
        );
        std::fs::remove_dir_all(program.path(&lake)).expect("removed");
    }
}

fn ledger(program: &Program, lake: &str) -> Value {
    program.run_ok(&["lake", "info", "--lake", lake, "--json"]).json()[0]["ledger"].clone()
}
