//! Backups: one snapshot while the lake is written, incremental, verified, whole after a kill.

use crate::support::embedded::{
    NOW_MICROS, data_files, event_of, fill_days, flip_bit, ingest_at, open, runtime,
};
use crate::support::postgres::{postgres, use_postgres_catalog};
use crate::support::program::Program;
use crate::support::template::copy_folder;
use crate::support::waiting::scaled;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::Value;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn back_up(program: &Program) -> Value {
    program.run_ok(&["lake", "backup", "backup", "--lake", "lake", "--json"]).json()[0].clone()
}

/// Restores the backup into the folder `into` and gives the number of events after verification.
fn restored(program: &Program, into: &str) -> i64 {
    program.run_ok(&["lake", "restore", "backup", "--lake", into]);
    let verified = program.run(&["lake", "verify", "--lake", into]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
    program.query_number(into, "SELECT count(*) FROM events")
}

#[test]
fn a_backup_of_a_lake_in_use_is_one_snapshot() {
    let program = Program::new();
    fill_days(&program, "lake", &[6]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            runtime().block_on(async {
                let lake = open(&program.path("lake")).await;
                for number in 0..400_i64 {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let event = event_of(&format!("w{number}"), "2026-09-12T01:00:00Z");
                    let path = program.write(&format!("in/w{number}.json"), event);
                    let now = NOW_MICROS + number * 60_000_000;
                    ingest_at(&lake, &path, now).await.expect("ingested");
                    if number % 9 == 8 {
                        lake.compact(now).await.expect("merged");
                        lake.expire_snapshots(now - 3_600_000_000, i64::MAX)
                            .await
                            .expect("expired");
                    }
                }
                lake.catalog().close().await;
                lake.writer_pool().close().await;
            });
        });
        let mut before = 0;
        for round in 0..4 {
            let summary = back_up(&program);
            let events = restored(&program, &format!("restored{round}"));
            assert!(events >= before && events >= 18, "round {round}: {events} after {before}");
            assert!(summary["snapshot"].as_i64() >= Some(6), "{summary}");
            before = events;
        }
        stop.store(true, Ordering::Relaxed);
    });
    // Nobody writes any more: the backup is the lake.
    back_up(&program);
    let events = restored(&program, "last");
    assert_eq!(events, program.query_number("lake", "SELECT count(*) FROM events"));
    assert!(program.event_keys("last") == program.event_keys("lake"));
}

#[test]
fn a_backup_adds_what_is_new_and_holds_configuration_and_rules() {
    let program = Program::new();
    fill_days(&program, "lake", &[3]);
    program.write("rules/note.txt", "a rule");
    program.write("trailhound.toml", "[rules]\nfolder = \"rules\"\n");
    assert_eq!(back_up(&program)["files_new"], 3);
    assert_eq!(back_up(&program)["files_new"], 0);
    program.write("late.json", event_of("late", "2026-09-15T10:00:00Z"));
    program.run_ok(&["ingest", "late.json", "--lake", "lake"]);
    let backed = ["--config", "trailhound.toml", "lake", "backup", "backup", "--lake", "lake"];
    let backed = program.run_ok(&[&backed[..], &["--json"]].concat()).json()[0].clone();
    assert_eq!((&backed["files"], &backed["files_new"]), (&4.into(), &1.into()));
    let kept: Vec<&str> = backed["configuration"]
        .as_array()
        .expect("paths")
        .iter()
        .map(|path| path.as_str().expect("text"))
        .collect();
    assert!(kept.len() == 2 && kept[0].ends_with("trailhound.toml"), "{kept:?}");
    let rule = program.path(kept[1]).join("note.txt");
    assert_eq!(std::fs::read_to_string(rule).expect("a rule"), "a rule");
    let catalogs = std::fs::read_dir(program.path("backup"))
        .expect("a folder")
        .filter(|entry| {
            let name = entry.as_ref().expect("an entry").file_name();
            name.to_string_lossy().starts_with("catalog-")
        })
        .count();
    assert_eq!(catalogs, 1, "what belonged to earlier backups alone is gone");
    assert_eq!(restored(&program, "restored"), 10);
    let linked = ["lake", "backup", "linked", "--lake", "lake", "--hard-links"];
    program.run_ok(&linked);
    // The restored lake takes what comes next, and knows what it has.
    program.run_ok(&["ingest", "late.json", "in", "--lake", "restored"]);
    assert_eq!(program.query_number("restored", "SELECT count(*) FROM events"), 10);
}

#[test]
fn a_killed_backup_or_restore_leaves_what_can_be_restored() {
    let program = Program::new();
    fill_days(&program, "lake", &[12]);
    back_up(&program);
    let mut rng = Pcg64::seed_from_u64(3);
    let started = Instant::now();
    back_up(&program);
    let span = started.elapsed().as_micros() as u64;
    for round in 0..scaled(8) {
        program.write("more.json", event_of(&format!("m{round}"), "2026-09-15T10:00:00Z"));
        program.run_ok(&["ingest", "more.json", "--lake", "lake"]);
        let into = format!("restored{round}");
        for command in [
            ["lake", "backup", "backup", "--lake", "lake"],
            ["lake", "restore", "backup", "--lake", into.as_str()],
        ] {
            let mut child = program
                .command(&command)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts");
            // The moment of the kill is the subject of this test.
            std::thread::sleep(Duration::from_micros(rng.random_range(0..span)));
            child.kill().expect("killed");
            child.wait().expect("gone");
        }
        if !program.path(&into).join("catalog.sqlite").exists() {
            let events = restored(&program, &into);
            assert!((36..=37 + round as i64).contains(&events), "round {round}: {events}");
        }
        program.run_ok(&["lake", "verify", "--lake", &into]);
    }
}

#[test]
fn damage_is_named_by_backup_and_restore_and_the_earlier_backup_stays() {
    let program = Program::new();
    fill_days(&program, "lake", &[3]);
    back_up(&program);
    program.write("late.json", event_of("late", "2026-09-15T10:00:00Z"));
    program.run_ok(&["ingest", "late.json", "--lake", "lake"]);
    let newest = data_files(&program.path("lake")).pop().expect("a file");
    copy_folder(&program.path("lake"), &program.path("good"));
    flip_bit(&newest, 500);
    let refused = program.run(&["lake", "backup", "backup", "--lake", "lake"]);
    let name = newest.file_name().expect("a name").to_str().expect("text").to_owned();
    assert!(refused.status != 0 && refused.err.contains(&name), "{}", refused.err);
    assert_eq!(restored(&program, "earlier"), 9);
    copy_folder(&program.path("good"), &program.path("lake"));
    back_up(&program);
    // A copy that was damaged since is refused by a restore, and made anew by the next backup.
    let copy = data_files(&program.path("backup"))[0].clone();
    flip_bit(&copy, 500);
    let refused = program.run(&["lake", "restore", "backup", "--lake", "broken"]);
    let name = copy.file_name().expect("a name").to_str().expect("text").to_owned();
    assert!(refused.status != 0 && refused.err.contains(&name), "{}", refused.err);
    assert!(!program.path("broken/catalog.sqlite").exists());
    assert_eq!(back_up(&program)["files_new"], 1);
    assert_eq!(restored(&program, "broken"), 10, "the restore is continued");
    for (folder, says) in [("broken", "holds a lake"), ("lake", "holds a lake")] {
        let refused = program.run(&["lake", "restore", "backup", "--lake", folder]);
        assert!(refused.status == 2 && refused.err.contains(says), "{}", refused.err);
    }
    // A manifest is input like any other.
    let manifest = program.path("backup/backup.json");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    std::fs::write(&manifest, text.replacen("files/main", "../files/main", 1)).expect("written");
    let refused = program.run(&["lake", "restore", "backup", "--lake", "outside"]);
    assert!(refused.status == 2 && refused.err.contains("outside of it"), "{}", refused.err);
    std::fs::write(&manifest, "{").expect("written");
    let refused = program.run(&["lake", "restore", "backup", "--lake", "outside"]);
    assert!(refused.status == 2 && refused.err.contains("cannot be read"), "{}", refused.err);
    let refused = program.run(&["lake", "restore", "nowhere", "--lake", "outside"]);
    assert!(refused.status == 2 && refused.err.contains("no backup"), "{}", refused.err);
}

#[test]
fn a_lake_in_postgresql_is_backed_up_and_restored_with_a_catalog_of_its_own() {
    let Some(postgres) = postgres() else { return };
    let program = Program::new();
    use_postgres_catalog(&program, "lake", &postgres.database("backed_up"));
    for number in 0..3 {
        let name = format!("{number}.json");
        program.write(&name, event_of(&format!("u{number}"), "2026-09-12T01:00:00Z"));
        program.run_ok(&["scan", &name, "--lake", "lake"]);
    }
    back_up(&program);
    assert_eq!(restored(&program, "restored"), 3);
    assert!(program.path("restored/catalog.sqlite").exists());
    assert!(program.event_keys("restored") == program.event_keys("lake"));
    let info = |lake: &str| {
        let info = program.run_ok(&["lake", "info", "--lake", lake, "--json"]).json()[0].clone();
        (info["ledger"].clone(), info["sources"].clone(), info["days"].clone())
    };
    assert_eq!(info("restored"), info("lake"));
    // It is written on, and may move to PostgreSQL again.
    program.run_ok(&["ingest", "0.json", "--lake", "restored"]);
    program.write("restored/url", postgres.database("restored"));
    program.run_ok(&["lake", "migrate", "--lake", "restored", "--to", "file:url"]);
    program.run_ok(&["lake", "verify", "--lake", "restored"]);
}
