//! The catalog of a lake: full, lost, older than the data, another lake's, or read-only.

use crate::support::embedded::{
    NOW_MICROS, data_files, event_of, fill_days, ingest_at, open, runtime,
};
use crate::support::mounts::{ReadOnlyMount, SmallDisk};
use crate::support::program::Program;
use crate::support::template::copy_folder;
use sqlx::Connection;
use std::time::Duration;
use trailhound_detect::finding::health::sample_finding;
use trailhound_detect::{StoreContext, StoreSummary, store_findings};
use trailhound_ingest::lake::{Lake, QueryLogEntry};

/// A statement of `bytes` bytes for the query log.
fn long_statement(bytes: usize) -> QueryLogEntry {
    QueryLogEntry {
        at: NOW_MICROS,
        door: "http".to_owned(),
        who: "tests".to_owned(),
        address: "127.0.0.1".to_owned(),
        statement: "x".repeat(bytes),
        result: "answered".to_owned(),
        rows: 0,
        bytes: 0,
        took: Duration::ZERO,
    }
}

/// Whether each writer of the catalog could write; `entries` of the query log are written.
async fn write_all(lake: &Lake, program: &Program, round: i64, entries: u32) -> [bool; 4] {
    let events: Vec<String> = (0..300)
        .map(|n| {
            event_of(&format!("u{round}-{n}"), &format!("2026-09-{:02}T01:00:00Z", n % 30 + 1))
        })
        .collect();
    let path = program.write(&format!("in/{round}.json"), events.join("\n"));
    let now = NOW_MICROS + round * 1_000_000;
    let ingested = ingest_at(lake, &path, now).await.is_ok();
    let mut logged = true;
    for _ in 0..entries {
        logged &= lake.log_query(&long_statement(600_000), Some(now)).await.is_ok();
        if !logged {
            break;
        }
    }
    let mut summary = StoreSummary::default();
    let context = StoreContext { now, ..StoreContext::default() };
    let findings: Vec<_> = (0..400).map(|n| sample_finding(now + n * 1_000_000)).collect();
    let mut stored = [false; 2];
    for (stored, pool) in stored.iter_mut().zip([lake.writer_pool(), lake.catalog()]) {
        let storing = store_findings(pool, &findings, &[], &[], 0, context, &mut summary);
        *stored = storing.await.is_ok();
    }
    [ingested, logged, stored[0], stored[1]]
}

#[test]
fn commits_go_on_by_themselves_after_the_catalogs_disk_was_full() {
    let program = Program::new();
    let folder = program.path("lake");
    let Some(disk) = SmallDisk::mount(&folder, 48) else { return };
    // The data is on another disk: only the catalog's is full.
    std::fs::create_dir(program.path("data")).expect("a folder");
    std::os::unix::fs::symlink(program.path("data"), folder.join("files")).expect("a link");
    runtime().block_on(async {
        let lake = open(&folder).await;
        assert_eq!(write_all(&lake, &program, 0, 1).await, [true; 4], "there is room");
        for round in 1..4 {
            disk.fill(0);
            // SQLite writes on for a while in the space that its log has.
            let full = write_all(&lake, &program, 2 * round, 80).await;
            assert!(full.contains(&false), "round {round}: the disk is full");
            disk.free();
            assert_eq!(
                write_all(&lake, &program, 2 * round + 1, 1).await,
                [true; 4],
                "round {round}: there is room again, and the same process writes"
            );
        }
        let verified = lake.verify().await.expect("verified");
        assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    });
}

/// Runs `lake sweep` and `ingest`, which must both refuse, say `says` and leave every data file where it is.
fn assert_refused(program: &Program, says: &str) {
    let before = data_files(&program.path("lake"));
    program.write("other.json", event_of("other", "2026-09-12T10:00:00Z"));
    program.write(
        "serve.toml",
        "[service]\nlisten = \"127.0.0.1:0\"\n[[source.kafka]]\nname = \"sls\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopics = [\"none\"]\n",
    );
    for command in [
        &["lake", "sweep", "--lake", "lake"][..],
        &["ingest", "other.json", "--lake", "lake"],
        &["lake", "compact", "--lake", "lake"],
        &["--config", "serve.toml", "serve", "--lake", "lake"],
    ] {
        let refused = program.run(command);
        assert_ne!(refused.status, 0, "{command:?}: {}", refused.out);
        assert!(refused.err.contains(says), "{command:?}: {}", refused.err);
    }
    assert_eq!(data_files(&program.path("lake")), before, "nothing was moved");
}

fn replace_catalog(program: &Program, with: &str) {
    for name in ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"] {
        let target = program.path("lake").join(name);
        if target.exists() {
            std::fs::remove_file(&target).expect("removed");
        }
        let source = program.path(with).join(name);
        if source.exists() {
            std::fs::copy(source, target).expect("copied");
        }
    }
}

#[test]
fn an_older_catalog_is_refused_until_it_is_accepted_and_nothing_is_deleted() {
    let program = Program::new();
    fill_days(&program, "lake", &[3]);
    copy_folder(&program.path("lake"), &program.path("old"));
    program.write("late.json", event_of("late", "2026-09-15T10:00:00Z"));
    program.run_ok(&["ingest", "late.json", "--lake", "lake"]);
    assert_eq!(program.query_number("lake", "SELECT count(*) FROM events"), 10);
    replace_catalog(&program, "old");
    assert_refused(&program, "is not the one that was last written");
    assert_refused(&program, "--accept-catalog");
    let verified = program.run(&["lake", "verify", "--lake", "lake"]);
    assert!(verified.status == 1 && verified.out.contains("last written"), "{}", verified.out);
    let accepted = program.run_ok(&["lake", "sweep", "--accept-catalog", "--lake", "lake"]);
    assert!(accepted.out.starts_with("1 files"), "{}", accepted.out);
    let info = program.run_ok(&["lake", "info", "--lake", "lake", "--json"]).json()[0].clone();
    assert_eq!(
        (&info["aside"][0]["files"], &info["aside"][0]["day"]),
        (&1.into(), &"2026-10-01".into())
    );
    assert!(program.run_ok(&["lake", "info", "--lake", "lake"]).out.contains("aside     1 files"));
    assert_eq!(data_files(&program.path("lake")).len(), 4, "it is aside, and not deleted");
    program.run_ok(&["lake", "verify", "--lake", "lake"]);
    // The source is read on from the older catalog's positions.
    program.run_ok(&["ingest", "late.json", "--lake", "lake"]);
    assert_eq!(program.query_number("lake", "SELECT count(*) FROM events"), 10);
    program.run_ok(&["lake", "verify", "--lake", "lake"]);
}

#[test]
fn a_lost_an_empty_and_a_foreign_catalog_are_refused() {
    let program = Program::new();
    fill_days(&program, "lake", &[3]);
    fill_days(&program, "other", &[5]);
    copy_folder(&program.path("lake"), &program.path("good"));
    replace_catalog(&program, "nothing");
    assert_refused(&program, "holds the data of a lake");
    assert!(!program.path("lake/catalog.sqlite").exists(), "no catalog is made");
    let asked = program.run(&["query", "--lake", "lake", "-c", "SELECT 1"]);
    assert!(asked.status == 2 && asked.err.contains("no catalog"), "{}", asked.err);
    program.write("lake/catalog.sqlite", "");
    let refused = program.run(&["ingest", "other.json", "--lake", "lake"]);
    assert!(refused.err.contains("holds the data of a lake"), "{}", refused.err);
    replace_catalog(&program, "other");
    assert_refused(&program, "that of another lake");
    // As old, and then written by a process that did not look.
    replace_catalog(&program, "good");
    runtime().block_on(async {
        let url = format!("sqlite://{}", program.path("lake/catalog.sqlite").display());
        let mut catalog = sqlx::SqliteConnection::connect(&url).await.expect("a catalog");
        sqlx::query("UPDATE ducklake_snapshot SET snapshot_time = '2026-09-30 00:00:00+00' WHERE snapshot_id = 3")
            .execute(&mut catalog)
            .await
            .expect("written");
        catalog.close().await.expect("closed");
    });
    assert_refused(&program, "snapshot 3 was committed at");
    replace_catalog(&program, "good");
    program.run_ok(&["lake", "verify", "--lake", "lake"]);
}

#[test]
fn without_a_head_record_many_unknown_files_are_refused() {
    let program = Program::new();
    fill_days(&program, "lake", &[2]);
    copy_folder(&program.path("lake"), &program.path("old"));
    fill_days(&program, "more", &[20]);
    copy_folder(&program.path("more/files"), &program.path("lake/files"));
    std::fs::remove_file(program.path("lake/head.json")).expect("removed");
    let refused = program.run(&["lake", "sweep", "--lake", "lake"]);
    assert!(
        refused.err.contains("20 data files that the catalog does not know"),
        "{}",
        refused.err
    );
    // With the record the catalog is known to be the newest: they are what a crash has left.
    copy_folder(&program.path("old"), &program.path("lake"));
    let swept = program.run_ok(&["lake", "sweep", "--lake", "lake"]);
    assert!(swept.out.starts_with("20 files"), "{}", swept.out);
}

#[test]
fn what_is_aside_is_removed_after_its_time_and_by_no_wrong_clock() {
    let program = Program::new();
    fill_days(&program, "lake", &[2]);
    program.write("lake/files/main/events/day=2026-09-10/rest.parquet", "rest");
    program.write("lake/files/main/events/day=2026-09-10/rest.parquet.tmp", "rest");
    let sweep = |now: &str| {
        let mut command = program.command(&["lake", "sweep", "--lake", "lake"]);
        command.env("TRAILHOUND_NOW", now).output().expect("the program starts")
    };
    let first = sweep("2026-10-01T00:00:00Z");
    assert!(String::from_utf8_lossy(&first.stdout).starts_with("2 files"), "{first:?}");
    let aside = program.path("lake/aside/2026-10-01/files/main/events/day=2026-09-10/rest.parquet");
    assert_eq!(std::fs::read(&aside).expect("aside"), b"rest");
    sweep("2036-10-01T00:00:00Z");
    assert!(aside.exists(), "the clock alone says that years have passed");
    program.write("late.json", event_of("late", "2026-10-08T10:00:00Z"));
    let mut later = program.command(&["ingest", "late.json", "--lake", "lake"]);
    assert!(later.env("TRAILHOUND_NOW", "2026-10-09T00:00:00Z").status().expect("runs").success());
    let removed = sweep("2026-10-09T00:00:00Z");
    assert!(!aside.exists(), "{removed:?}");
    let told = String::from_utf8_lossy(&removed.stderr).into_owned();
    assert!(told.contains("were removed") && told.contains("2026-10-01"), "{told}");
}

#[test]
fn a_clock_that_is_behind_does_not_make_files_aside_look_old() {
    let program = Program::new();
    fill_days(&program, "lake", &[2]);
    program.write("lake/files/main/events/day=2026-09-10/rest.parquet", "rest");
    let mut sweep = program.command(&["lake", "sweep", "--lake", "lake"]);
    let swept = sweep.env("TRAILHOUND_NOW", "2016-10-01T00:00:00Z").output();
    let swept = swept.expect("the program starts");
    assert!(String::from_utf8_lossy(&swept.stdout).starts_with("1 files"), "{swept:?}");
    let info = program.run_ok(&["lake", "info", "--lake", "lake", "--json"]).json()[0].clone();
    assert_eq!(info["aside"][0]["day"], "2026-10-01", "the day of the newest commit");
    program.run_ok(&["lake", "sweep", "--lake", "lake"]);
    assert!(program.path("lake/aside/2026-10-01").exists(), "not removed at once");
}

#[test]
fn a_read_only_lake_is_read_and_never_written() {
    let program = Program::new();
    fill_days(&program, "made", &[2]);
    let last = program.write("last.json", event_of("last", "2026-09-12T10:00:00Z"));
    runtime().block_on(async {
        let lake = open(&program.path("made")).await;
        ingest_at(&lake, &last, NOW_MICROS).await.expect("ingested");
        // As after a crash: moved, and with a commit in the log alone. A reader can write down neither.
        copy_folder(&program.path("made"), &program.path("crashed"));
        lake.catalog().close().await;
        lake.writer_pool().close().await;
    });
    let log = program.path("crashed/catalog.sqlite-wal");
    assert!(log.metadata().expect("a log").len() > 0);
    for folder in ["crashed", "made"] {
        let Some(mounted) = ReadOnlyMount::mount(&program.path(folder)) else { return };
        let events = program.query_number(folder, "SELECT count(*) FROM events");
        assert_eq!(events, 7, "{folder}");
        assert_eq!(program.query_number(folder, "SELECT count(*) FROM findings"), 0);
        let info = program.run_ok(&["lake", "info", "--lake", folder, "--json"]).json()[0].clone();
        assert_eq!(info["events"], 7);
        program.run_ok(&["lake", "verify", "--lake", folder]);
        program.run_ok(&["coverage", "--lake", folder]);
        for command in [
            &["ingest", "last.json", "--lake", folder][..],
            &["lake", "compact", "--lake", folder],
            &["lake", "sweep", "--lake", folder],
            &["detect", "--lake", folder],
        ] {
            let refused = program.run(command);
            assert!(
                refused.status == 2 && refused.err.contains("is read-only"),
                "{command:?}: {} {}",
                refused.status,
                refused.err
            );
        }
        drop(mounted);
    }
}
