//! An ingest killed with SIGKILL at any moment, and resumed: the lake of an undisturbed run.

use crate::support::program::Program;
use crate::support::waiting::scaled;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
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
        "[{\"eventId\":\"good\",\"eventName\":\"x\",\"eventTime\":\"2026-09-21T02:14:05Z\",\"acsRegion\":\"cn-hangzhou\",\"userIdentity\":{\"type\":\"ram-user\",\"accountId\":\"1\",\"userName\":\"a\"}},{\"eventId\":oops}]",
    );
    program.write("c.toml", CONFIG);
    let ingest = ["--config", "c.toml", "ingest", "g/events", "--json", "--lake"];
    let run = |lake: &str| program.run(&[&ingest[..], &[lake]].concat());
    let ledger_of = |lake: &str| program.catalog(lake).info()["ledger"].clone();
    let started = Instant::now();
    assert_eq!(run("whole").status, 3);
    let (keys, ledger) = (program.event_keys("whole"), ledger_of("whole"));
    let mut span = started.elapsed();
    let mut rng = Pcg64::seed_from_u64(9);
    let rounds = scaled(20);
    let (mut interrupted, mut round) = (0, 0);
    while interrupted < rounds || round < rounds {
        round += 1;
        let lake = format!("lake-{round}");
        // One or two kills at random moments within the time of an undisturbed run: they are the subject of this test.
        for _ in 0..rng.random_range(1..3) {
            let mut child = program
                .command(&[&ingest[..], &[lake.as_str()]].concat())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts");
            std::thread::sleep(Duration::from_micros(rng.random_range(0..span.as_micros() as u64)));
            if child.try_wait().expect("a child").is_none() {
                interrupted += 1;
            } else {
                // The run had ended, so later moments are chosen from a shorter time.
                span = span * 3 / 4;
            }
            child.kill().expect("killed");
            child.wait().expect("gone");
        }
        let last = run(&lake);
        assert!(last.status == 3 || last.status == 0, "round {round}: {}", last.err);
        let (problems, unreferenced) = program.catalog(&lake).verify();
        assert!(problems.is_empty(), "round {round}: {problems:?}");
        assert_eq!(unreferenced, 0, "round {round}: leftovers are swept");
        assert_eq!(ledger_of(&lake), ledger, "round {round}");
        assert!(program.event_keys(&lake) == keys, "round {round}: other events");
        std::fs::remove_dir_all(program.path(&lake)).expect("removed");
    }
}
