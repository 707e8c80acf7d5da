//! `trailhound serve` on a bucket of a real object store.

use crate::broker::broker;
use crate::program::{Program, truth};
use crate::service::Service;
use crate::store::Store;
use std::path::PathBuf;

/// Generated traffic and where its objects belong.
fn traffic(program: &Program, events: &str, seed: &str) -> Vec<(String, Vec<u8>)> {
    program.ok(&["generate", "--events", events, "--seed", seed, "--days", "3", "--out", "g"]);
    let root: PathBuf = program.path("g/events");
    let files = walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().map(|entry| entry.expect("a folder"));
    files
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let key = entry.path().strip_prefix(&root).expect("below").display().to_string();
            (key, std::fs::read(entry.path()).expect("a file"))
        })
        .collect()
}

fn configure(program: &Program, sources: &str) {
    let parameters = std::fs::read_to_string(program.path("g/trailhound.toml")).expect("a file");
    program.write("serve.toml", format!("{parameters}\n[service]\nlisten = \"127.0.0.1:0\"\n\n{sources}"));
    program.write("id", "testkey\n");
    program.write("secret", "testsecret\n");
}

#[test]
fn objects_are_read_as_they_appear_and_once() {
    let Some(store) = Store::start() else { return };
    let program = Program::new();
    let objects = traffic(&program, "20000", "11");
    configure(&program, &store.source());
    let (early, late) = objects.split_at(objects.len() / 2);
    early.iter().for_each(|(key, content)| store.put(key, content));
    let mut service = Service::start_at_the_tests_time(&program, "serve.toml", "lake");
    service.wait_until("readiness", |service| service.get("/readyz").0 == 200);
    late.iter().for_each(|(key, content)| store.put(key, content));
    // The same content under a name that claims something else, and something that is no export.
    let other = format!("{}0.gz", early[0].0.trim_end_matches(".gz"));
    store.put(&other, &early[0].1);
    store.put("AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30/notes.txt", b"not an export");
    let expected = truth(&program.path("g"));
    service.findings_until(|open| *open == expected);
    service.wait_until("everything taken", |service| service.metric("trailhound_records_total{fate=\"duplicate\"}") > 0.0);
    service.wait_until("the odd one", |service| service.metric("trailhound_records_total{fate=\"quarantined\"}") as u64 == 1);
    assert_eq!(service.metric("trailhound_records_total{fate=\"stored\"}") as u64, 20_000);
    assert_eq!(service.end().0, 0);
    let verified = program.run(&["lake", "verify", "--lake", "lake"]);
    assert_eq!(verified.status, 0, "{}", verified.out);
    program.ok(&["ingest", "g/events", "--lake", "whole"]);
    assert!(program.keys("lake") == program.keys("whole"));
    // A restart reads nothing again; one more object is one more.
    let service = Service::start_at_the_tests_time(&program, "serve.toml", "lake");
    store.put("AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30/late.json", br#"[{"eventId":"late","eventTime":"2026-09-30T10:00:00Z"}]"#);
    service.wait_until("the late object", |service| service.metric("trailhound_records_total{fate=\"stored\"}") as u64 == 1);
    assert_eq!(service.metric("trailhound_records_total{fate=\"received\"}") as u64, 1);
    assert_eq!(service.end().0, 0);
}

#[test]
fn one_trail_by_both_ways_is_stored_once() {
    let (Some(broker), Some(store)) = (broker(), Store::start()) else { return };
    let program = Program::new();
    let objects = traffic(&program, "6000", "12");
    broker.create_topic("both", 2);
    let kafka = format!(
        "[[source.kafka]]\nname = \"sls\"\nbootstrap_servers = \"{}\"\ntopics = [\"both\"]\ngroup_id = \"both\"\n",
        broker.servers()
    );
    configure(&program, &format!("{}\n{kafka}", store.source()));
    let mut service = Service::start_at_the_tests_time(&program, "serve.toml", "lake");
    let (early, late) = objects.split_at(objects.len() / 2);
    early.iter().for_each(|(key, content)| store.put(key, content));
    let to = ["--to", "kafka", "--bootstrap-servers", &broker.servers(), "--topic", "both"];
    program.ok(&[&["generate", "--events", "6000", "--seed", "12", "--days", "3"], &to[..]].concat());
    late.iter().for_each(|(key, content)| store.put(key, content));
    let expected = truth(&program.path("g"));
    service.findings_until(|open| *open == expected);
    service.wait_until("both copies", |service| service.metric("trailhound_records_total{fate=\"received\"}") as u64 == 12_000);
    assert_eq!(service.end(), (0, expected));
    let ledger = program.ok(&["lake", "info", "--lake", "lake", "--json"]).json()[0]["ledger"].clone();
    assert_eq!((&ledger["stored"], &ledger["duplicate"]), (&6_000.into(), &6_000.into()));
    assert_eq!(program.run(&["lake", "verify", "--lake", "lake"]).status, 0);
}
