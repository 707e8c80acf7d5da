//! `trailhound serve` on a bucket of a real object store.

use crate::support::broker::broker;
use crate::support::metadata_service::{metadata_service, serve_each};
use crate::support::mounts::SmallDisk;
use crate::support::object_store::{ObjectStore, configure, generated_objects};
use crate::support::program::{Program, expected_findings};
use crate::support::service::Service;
use crate::support::waiting::PATIENCE;

#[test]
fn objects_are_read_as_they_appear_and_once() {
    let Some(store) = ObjectStore::start() else { return };
    let program = Program::new();
    let objects = generated_objects(&program, "20000", "11");
    configure(&program, &store.source());
    let (early, late) = objects.split_at(objects.len() / 2);
    early.iter().for_each(|(key, content)| store.put(key, content));
    let mut service = Service::start_at_test_time(&program, "serve.toml", "lake");
    service.wait_until_ready();
    late.iter().for_each(|(key, content)| store.put(key, content));
    // The same content under another name, and an object that is not an export.
    let other = format!("{}0.gz", early[0].0.trim_end_matches(".gz"));
    store.put(&other, &early[0].1);
    store.put("AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30/notes.txt", b"not an export");
    let expected = expected_findings(&program.path("g"));
    service.wait_for_exact_findings(&expected);
    service.wait_until("everything taken", |service| {
        service.metric("trailhound_records_total{fate=\"duplicate\"}") > 0.0
    });
    service.wait_for_records("quarantined", 1);
    service.wait_for_records("stored", 20_000);
    assert_eq!(service.stop().0, 0);
    assert_eq!(program.catalog("lake").verify().0, [""; 0]);
    program.run_ok(&["ingest", "g/events", "--lake", "whole"]);
    assert!(program.event_keys("lake") == program.event_keys("whole"));
    // After a restart only a new object is read.
    let service = Service::start_at_test_time(&program, "serve.toml", "lake");
    store.put(
        "AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30/late.json",
        br#"[{"eventId":"late","eventName":"StartInstance","eventTime":"2026-09-30T10:00:00Z","acsRegion":"cn-hangzhou","userIdentity":{"type":"ram-user","accountId":"1","userName":"a"}}]"#,
    );
    service.wait_for_records("stored", 1);
    assert_eq!(service.metric("trailhound_records_total{fate=\"received\"}") as u64, 1);
    assert_eq!(service.stop().0, 0);
}

#[test]
fn instance_role_credentials_sign_requests() {
    let Some(store) = ObjectStore::start() else { return };
    let program = Program::new();
    program.write("g/trailhound.toml", "");
    let keys = "access_key_id = \"file:id\"\naccess_key_secret = \"file:secret\"";
    let source = |role: &str| store.source().replace(keys, role);
    let role = |port: u16| {
        format!("instance_role = \"\"\nmetadata_endpoint = \"http://127.0.0.1:{port}\"")
    };
    store.put(
        "AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30/one.json",
        br#"[{"eventId":"one","eventName":"StartInstance","eventTime":"2026-09-30T10:00:00Z","acsRegion":"cn-hangzhou","userIdentity":{"type":"ram-user","accountId":"1","userName":"a"}}]"#,
    );
    // This store validates security tokens against its own, so the role has keys only.
    configure(&program, &source(&role(metadata_service(""))));
    let service = Service::start_at_test_time(&program, "serve.toml", "lake");
    service.wait_for_records("stored", 1);
    assert_eq!(service.stop().0, 0);
    // Without the role nothing is read.
    configure(&program, &source(""));
    let service = Service::start_at_test_time(&program, "serve.toml", "other");
    service.wait_until("the refusal", |service| service.get("/readyz").1.contains("AccessDenied"));
    assert_eq!(service.metric("trailhound_records_total{fate=\"received\"}") as u64, 0);
    assert_eq!(service.stop().0, 0);
    // The keys of a real role come with a security token, which is sent with every request.
    let (seen, requests) = std::sync::mpsc::channel();
    let recorder = serve_each(move |request| {
        let _ = seen.send(request.join("\n"));
        ("403 Forbidden", String::new())
    });
    let elsewhere = source(&role(metadata_service("temporary")))
        .replace(&store.port().to_string(), &recorder.to_string());
    configure(&program, &elsewhere);
    let service = Service::start_at_test_time(&program, "serve.toml", "third");
    let request = requests.recv_timeout(PATIENCE).expect("a request").to_lowercase();
    assert!(
        request.contains("x-amz-security-token: temporary")
            && request.contains("credential=testkey/"),
        "{request}"
    );
    assert_eq!(service.stop().0, 0);
}

#[test]
fn one_trail_from_topic_and_bucket_is_stored_once() {
    let (Some(broker), Some(store)) = (broker(), ObjectStore::start()) else { return };
    let program = Program::new();
    let objects = generated_objects(&program, "6000", "12");
    broker.create_topic("both", 2);
    let kafka = format!(
        "[[source.kafka]]\nname = \"sls\"\nbootstrap_servers = \"{}\"\ntopics = [\"both\"]\ngroup_id = \"both\"\n",
        broker.servers()
    );
    configure(&program, &format!("{}\n{kafka}", store.source()));
    let mut service = Service::start_at_test_time(&program, "serve.toml", "lake");
    let (early, late) = objects.split_at(objects.len() / 2);
    early.iter().for_each(|(key, content)| store.put(key, content));
    let to = ["--to", "kafka", "--bootstrap-servers", &broker.servers(), "--topic", "both"];
    program.run_ok(
        &[&["generate", "--events", "6000", "--seed", "12", "--days", "3"], &to[..]].concat(),
    );
    late.iter().for_each(|(key, content)| store.put(key, content));
    let expected = expected_findings(&program.path("g"));
    service.wait_for_exact_findings(&expected);
    service.wait_for_records("received", 12_000);
    assert_eq!(service.stop(), (0, expected));
    let ledger = program.catalog("lake").info()["ledger"].clone();
    assert_eq!((&ledger["stored"], &ledger["duplicate"]), (&6_000.into(), &6_000.into()));
    assert_eq!(program.catalog("lake").verify().0, [""; 0]);
}

#[test]
fn objects_of_a_failed_commit_are_fetched_again_whatever_their_day() {
    let Some(store) = ObjectStore::start() else { return };
    let program = Program::new();
    let objects = generated_objects(&program, "20000", "15");
    // The events lie before the window, so only the backfill finds them.
    let source =
        store.source().replace("window_days = 5", "window_days = 0\nsince = \"2026-05-01\"");
    configure(&program, &source);
    let Some(disk) = SmallDisk::mount(&program.path("lake"), 48) else { return };
    program.write("one.json", r#"{"eventId":"one","eventName":"StartInstance","eventTime":"2026-09-30T10:00:00Z","acsRegion":"cn-hangzhou","userIdentity":{"type":"ram-user","accountId":"1","userName":"a"}}"#);
    program.run_ok(&["ingest", "one.json", "--lake", "lake"]);
    objects.iter().for_each(|(key, content)| store.put(key, content));
    disk.fill(256 << 10);
    let service = Service::start_at_test_time(&program, "serve.toml", "lake");
    service.wait_until("a stall that is told", |service| {
        service.get("/readyz").1.contains("\"stalled\":\"")
    });
    disk.free();
    service.wait_for_records("stored", 20_000);
    service.wait_until_ready();
    assert_eq!(service.stop().0, 0);
    program.run_ok(&["ingest", "one.json", "g/events", "--lake", "whole"]);
    assert!(program.event_keys("lake") == program.event_keys("whole"));
    assert_eq!(program.catalog("lake").verify().0, [""; 0]);
}

#[test]
fn a_changed_object_is_read_again_and_repeated_events_are_duplicates() {
    let Some(store) = ObjectStore::start() else { return };
    let program = Program::new();
    program.write("g/trailhound.toml", "");
    configure(&program, &store.source());
    let key = "AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30/rewritten.json";
    let events = |ids: &[&str]| {
        let event = |id: &&str| {
            format!(
                r#"{{"eventId":"{id}","eventName":"StartInstance","eventTime":"2026-09-30T10:00:00Z","acsRegion":"cn-hangzhou","userIdentity":{{"type":"ram-user","accountId":"1","userName":"a"}}}}"#
            )
        };
        format!("[{}]", ids.iter().map(event).collect::<Vec<_>>().join(","))
    };
    store.put(key, events(&["a", "b"]).as_bytes());
    let service = Service::start_at_test_time(&program, "serve.toml", "lake");
    service.wait_for_records("stored", 2);
    store.put(key, events(&["b", "c", "d"]).as_bytes());
    service.wait_for_records("stored", 4);
    assert_eq!(service.stop().0, 0);
    let ledger = program.catalog("lake").info()["ledger"].clone();
    assert_eq!(
        ["received", "stored", "duplicate"].map(|field| ledger[field].as_u64()),
        [Some(5), Some(4), Some(1)]
    );
    assert_eq!(program.catalog("lake").verify().0, [""; 0]);
}
