//! `trailhound serve` on a bucket of a real object store.

use crate::broker::broker;
use crate::part::SmallDisk;
use crate::program::{Program, truth};
use crate::service::Service;
use crate::store::Store;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

/// Generated traffic and where its objects belong.
pub(crate) fn traffic(program: &Program, events: &str, seed: &str) -> Vec<(String, Vec<u8>)> {
    program.ok(&["generate", "--events", events, "--seed", seed, "--days", "3", "--out", "g"]);
    let root: PathBuf = program.path("g/events");
    let files = walkdir::WalkDir::new(&root)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.expect("a folder"));
    files
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let key = entry.path().strip_prefix(&root).expect("below").display().to_string();
            (key, std::fs::read(entry.path()).expect("a file"))
        })
        .collect()
}

pub(crate) fn configure(program: &Program, sources: &str) {
    let parameters = std::fs::read_to_string(program.path("g/trailhound.toml")).expect("a file");
    program.write(
        "serve.toml",
        format!("{parameters}\n[service]\nlisten = \"127.0.0.1:0\"\n\n{sources}"),
    );
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
    service.findings_are(&expected);
    service.wait_until("everything taken", |service| {
        service.metric("trailhound_records_total{fate=\"duplicate\"}") > 0.0
    });
    service.wait_until("the odd one", |service| {
        service.metric("trailhound_records_total{fate=\"quarantined\"}") as u64 == 1
    });
    assert_eq!(service.metric("trailhound_records_total{fate=\"stored\"}") as u64, 20_000);
    assert_eq!(service.end().0, 0);
    let verified = program.run(&["lake", "verify", "--lake", "lake"]);
    assert_eq!(verified.status, 0, "{}", verified.out);
    program.ok(&["ingest", "g/events", "--lake", "whole"]);
    assert!(program.keys("lake") == program.keys("whole"));
    // A restart reads nothing again; one more object is one more.
    let service = Service::start_at_the_tests_time(&program, "serve.toml", "lake");
    store.put(
        "AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30/late.json",
        br#"[{"eventId":"late","eventTime":"2026-09-30T10:00:00Z"}]"#,
    );
    service.wait_until("the late object", |service| {
        service.metric("trailhound_records_total{fate=\"stored\"}") as u64 == 1
    });
    assert_eq!(service.metric("trailhound_records_total{fate=\"received\"}") as u64, 1);
    assert_eq!(service.end().0, 0);
}

/// What an instance's metadata service answers, to whoever brings its token; the keys come with a security token.
fn metadata_service(security_token: &'static str) -> u16 {
    serve_each(move |request| {
        let has_token = request
            .iter()
            .any(|line| line.eq_ignore_ascii_case("x-aliyun-ecs-metadata-token: sesame"));
        let keys = format!(
            "{{\"AccessKeyId\":\"testkey\",\"AccessKeySecret\":\"testsecret\",\"Expiration\":\"2099-01-01T00:00:00Z\",\
             \"SecurityToken\":\"{security_token}\",\"LastUpdated\":\"2026-09-30T00:00:00Z\",\"Code\":\"Success\"}}"
        );
        match request[0].split(' ').nth(1).expect("a path") {
            "/latest/api/token" if request[0].starts_with("PUT") => ("200 OK", "sesame".to_owned()),
            _ if !has_token => ("403 Forbidden", String::new()),
            "/latest/meta-data/ram/security-credentials/" => ("200 OK", "trail-reader".to_owned()),
            "/latest/meta-data/ram/security-credentials/trail-reader" => ("200 OK", keys),
            _ => ("404 Not Found", String::new()),
        }
    })
}

/// Answers requests one after the other; gives the port.
fn serve_each(answer: impl Fn(&[String]) -> (&'static str, String) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(connection.try_clone().expect("a handle"))
                .lines()
                .map_while(Result::ok);
            let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            if !request.is_empty() {
                let (status, body) = answer(&request);
                // Whoever asked may have gone.
                let _ = write!(
                    connection,
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
            }
        }
    });
    port
}

#[test]
fn the_keys_of_an_instance_role_sign_requests() {
    let Some(store) = Store::start() else { return };
    let program = Program::new();
    program.write("g/trailhound.toml", "");
    let keys = "access_key_id = \"file:id\"\naccess_key_secret = \"file:secret\"";
    let source = |role: &str| store.source().replace(keys, role);
    let role = |port: u16| {
        format!("instance_role = \"\"\nmetadata_endpoint = \"http://127.0.0.1:{port}\"")
    };
    store.put(
        "AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30/one.json",
        br#"[{"eventId":"one","eventTime":"2026-09-30T10:00:00Z"}]"#,
    );
    // This store takes a security token for one of its own; without one the keys alone must do.
    configure(&program, &source(&role(metadata_service(""))));
    let service = Service::start_at_the_tests_time(&program, "serve.toml", "lake");
    service.wait_until("the event", |service| {
        service.metric("trailhound_records_total{fate=\"stored\"}") as u64 == 1
    });
    assert_eq!(service.end().0, 0);
    // Without the role nothing is read.
    configure(&program, &source(""));
    let service = Service::start_at_the_tests_time(&program, "serve.toml", "other");
    service.wait_until("the refusal", |service| service.get("/readyz").1.contains("AccessDenied"));
    assert_eq!(service.metric("trailhound_records_total{fate=\"received\"}") as u64, 0);
    assert_eq!(service.end().0, 0);
    // Keys of a real role come with a token, which goes with every request.
    let (seen, requests) = std::sync::mpsc::channel();
    let recorder = serve_each(move |request| {
        let _ = seen.send(request.join("\n"));
        ("403 Forbidden", String::new())
    });
    let elsewhere = source(&role(metadata_service("temporary")))
        .replace(&store.port().to_string(), &recorder.to_string());
    configure(&program, &elsewhere);
    let service = Service::start_at_the_tests_time(&program, "serve.toml", "third");
    let request = requests.recv_timeout(Duration::from_secs(60)).expect("a request").to_lowercase();
    assert!(
        request.contains("x-amz-security-token: temporary")
            && request.contains("credential=testkey/"),
        "{request}"
    );
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
    program
        .ok(&[&["generate", "--events", "6000", "--seed", "12", "--days", "3"], &to[..]].concat());
    late.iter().for_each(|(key, content)| store.put(key, content));
    let expected = truth(&program.path("g"));
    service.findings_are(&expected);
    service.wait_until("both copies", |service| {
        service.metric("trailhound_records_total{fate=\"received\"}") as u64 == 12_000
    });
    assert_eq!(service.end(), (0, expected));
    let ledger =
        program.ok(&["lake", "info", "--lake", "lake", "--json"]).json()[0]["ledger"].clone();
    assert_eq!((&ledger["stored"], &ledger["duplicate"]), (&6_000.into(), &6_000.into()));
    assert_eq!(program.run(&["lake", "verify", "--lake", "lake"]).status, 0);
}

#[test]
fn what_a_failed_commit_threw_away_is_fetched_again_whatever_its_day() {
    let Some(store) = Store::start() else { return };
    let program = Program::new();
    let objects = traffic(&program, "20000", "15");
    // The traffic's days lie before the window: only the back-fill finds them.
    let source =
        store.source().replace("window_days = 5", "window_days = 0\nsince = \"2026-05-01\"");
    configure(&program, &source);
    let Some(disk) = SmallDisk::mount(&program.path("lake"), 48) else { return };
    program.write("one.json", r#"{"eventId":"one","eventTime":"2026-09-30T10:00:00Z"}"#);
    program.ok(&["ingest", "one.json", "--lake", "lake"]);
    objects.iter().for_each(|(key, content)| store.put(key, content));
    disk.fill(256 << 10);
    let service = Service::start_at_the_tests_time(&program, "serve.toml", "lake");
    service.wait_until("a stall that is told", |service| {
        service.get("/readyz").1.contains("\"stalled\":\"")
    });
    disk.free();
    service.wait_until("everything stored", |service| {
        service.metric("trailhound_records_total{fate=\"stored\"}") as u64 == 20_000
    });
    service.wait_until("readiness again", |service| service.get("/readyz").0 == 200);
    assert_eq!(service.end().0, 0);
    program.ok(&["ingest", "one.json", "g/events", "--lake", "whole"]);
    assert!(program.keys("lake") == program.keys("whole"));
    assert_eq!(program.run(&["lake", "verify", "--lake", "lake"]).status, 0);
}

#[test]
fn an_object_that_changed_is_read_anew_and_what_it_repeats_is_known() {
    let Some(store) = Store::start() else { return };
    let program = Program::new();
    program.write("g/trailhound.toml", "");
    configure(&program, &store.source());
    let key = "AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30/rewritten.json";
    let events = |ids: &[&str]| {
        let event =
            |id: &&str| format!(r#"{{"eventId":"{id}","eventTime":"2026-09-30T10:00:00Z"}}"#);
        format!("[{}]", ids.iter().map(event).collect::<Vec<_>>().join(","))
    };
    store.put(key, events(&["a", "b"]).as_bytes());
    let service = Service::start_at_the_tests_time(&program, "serve.toml", "lake");
    service.wait_until("the first content", |service| {
        service.metric("trailhound_records_total{fate=\"stored\"}") as u64 == 2
    });
    store.put(key, events(&["b", "c", "d"]).as_bytes());
    service.wait_until("the second content", |service| {
        service.metric("trailhound_records_total{fate=\"stored\"}") as u64 == 4
    });
    assert_eq!(service.end().0, 0);
    let ledger =
        program.ok(&["lake", "info", "--lake", "lake", "--json"]).json()[0]["ledger"].clone();
    assert_eq!(
        ["received", "stored", "duplicate"].map(|field| ledger[field].as_u64()),
        [Some(5), Some(4), Some(1)]
    );
    assert_eq!(program.run(&["lake", "verify", "--lake", "lake"]).status, 0);
}
