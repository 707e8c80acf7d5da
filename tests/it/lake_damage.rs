//! Data files that are not as they were committed: flipped, cut, exchanged, gone. They are named, merged into nothing, and
//! no command answers from them.

use crate::support::embedded::{NOW_MICROS, data_files, fill_days, flip_bit, open, runtime};
use crate::support::program::Program;
use crate::support::service::Service;
use crate::support::template::copy_folder;
use crate::support::waiting::scaled;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use std::path::Path;

/// A way in which a file is damaged.
type Damage = fn(&Path, &Path);

/// Damages the first file; the second is another one of the lake.
const DAMAGES: [(&str, Damage); 5] = [
    ("a flipped bit", |file, _| flip_bit(file, 300)),
    ("a flipped bit in the footer", |file, _| flip_bit(file, 950)),
    ("a cut file", |file, _| {
        let content = std::fs::read(file).expect("readable");
        std::fs::write(file, &content[..content.len() - 1]).expect("written");
    }),
    ("a file exchanged for another", |file, other| {
        std::fs::copy(other, file).expect("copied");
    }),
    ("a missing file", |file, _| std::fs::remove_file(file).expect("removed")),
];

#[test]
fn a_damaged_file_stops_the_merge_of_its_day_and_is_in_no_answer() {
    for (name, damage) in DAMAGES {
        let program = Program::new();
        fill_days(&program, "lake", &[9, 9]);
        let day = program.path("lake/files/main/events/day=2026-09-10");
        let files = data_files(&day);
        let kept = std::fs::read(&files[4]).expect("readable");
        damage(&files[4], &files[5]);
        let left = data_files(&day);
        let path = files[4].display().to_string();
        let compacted = program.run(&["lake", "compact", "--lake", "lake"]);
        assert_eq!(compacted.status, 1, "{name}: {}{}", compacted.out, compacted.err);
        assert!(compacted.out.contains(&path), "{name}: {}", compacted.out);
        assert_eq!(data_files(&day), left, "{name}: its day is as it was");
        assert!(compacted.out.contains("9 files merged into 1"), "{name}: {}", compacted.out);
        for command in [
            &["query", "--lake", "lake", "-c", "SELECT count(DISTINCT user_name) FROM events"][..],
            // Also where the Bloom filters decide which files are read.
            &["query", "--lake", "lake", "-c", "SELECT * FROM events WHERE user_name = 'user0x4'"],
            &["detect", "--lake", "lake"],
        ] {
            let answered = program.run(command);
            assert_ne!(answered.status, 0, "{name}: {command:?}: {}", answered.out);
            let told = format!("{}{}", answered.out, answered.err);
            assert!(told.contains(files[4].to_str().expect("text")), "{name}: {command:?}: {told}");
        }
        let verified = program.run(&["lake", "verify", "--lake", "lake"]);
        assert!(verified.status == 1 && verified.out.contains(&path), "{name}: {}", verified.out);
        std::fs::write(&files[4], kept).expect("put back");
        program.run_ok(&["lake", "compact", "--lake", "lake"]);
        assert_eq!(program.query_number("lake", "SELECT count(*) FROM events"), 54, "{name}");
        program.run_ok(&["lake", "verify", "--lake", "lake"]);
    }
}

#[test]
fn no_flipped_bit_is_merged_or_passes_verification() {
    let program = Program::new();
    fill_days(&program, "lake", &[8]);
    let mut rng = Pcg64::seed_from_u64(7);
    let runtime = runtime();
    for round in 0..scaled(60) {
        let copy = program.path(&format!("copy{round}"));
        copy_folder(&program.path("lake"), &copy);
        let files = data_files(&copy);
        let (file, part) = (rng.random_range(0..files.len()), rng.random_range(0..1000));
        flip_bit(&files[file], part);
        runtime.block_on(async {
            let lake = open(&copy).await;
            let told = |paths: Vec<&Path>| {
                assert_eq!(paths, [files[file].as_path()], "round {round}, {part} thousandths");
            };
            let summary = lake.compact(NOW_MICROS).await.expect("compacted");
            told(summary.damaged.iter().map(|damage| damage.path.as_path()).collect());
            assert_eq!(summary.files_merged, 0, "round {round}");
            let seen = lake.files_since(0, lake.snapshot().await.expect("asked")).await;
            let error = seen.expect_err("detection has no such file").to_string();
            assert!(error.contains(files[file].to_str().expect("text")), "{error}");
            let verified = lake.verify().await.expect("verified");
            assert!(!verified.problems.is_empty(), "round {round}, {part} thousandths");
            lake.catalog().close().await;
        });
        std::fs::remove_dir_all(&copy).expect("removed");
    }
}

#[test]
fn the_service_reads_its_files_again_and_tells_of_damage_and_repair() {
    let program = Program::new();
    fill_days(&program, "lake", &[3]);
    let files = data_files(&program.path("lake"));
    let kept = std::fs::read(&files[1]).expect("readable");
    flip_bit(&files[1], 500);
    program.write(
        "serve.toml",
        "[service]\nlisten = \"127.0.0.1:0\"\nmaintenance_interval_seconds = 1\n[[source.kafka]]\nname = \"sls\"\n\
         bootstrap_servers = \"127.0.0.1:1\"\ntopics = [\"none\"]\n",
    );
    let mut service = Service::start_at_test_time(&program, "serve.toml", "lake");
    let damaged = |service: &Service| {
        let document: Value = serde_json::from_str(&service.get("/readyz").1).expect("JSON");
        document["damaged_files"].clone()
    };
    let path = files[1].display().to_string();
    service.wait_until("the damage is told", |service| damaged(service).get(&path).is_some());
    let finding = service.wait_for_finding(|finding| finding["rule_id"] == "AT-HEALTH-009");
    assert!(finding["why"][0].as_str().is_some_and(|why| why.contains(&path)), "{finding}");
    assert_eq!(service.metric("trailhound_damaged_files"), 1.0);
    service.wait_until("every file was read", |service| {
        service.metric("trailhound_verification_walks_total") >= 1.0
    });
    assert_eq!(service.metric("trailhound_verified_files_total"), 3.0);
    std::fs::write(&files[1], kept).expect("put back");
    service.wait_until("the repair is seen", |service| damaged(service) == json!({}));
    assert_eq!(service.metric("trailhound_damaged_files"), 0.0);
    service.stop();
}
