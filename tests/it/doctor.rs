//! `trailhound doctor` finds what is wrong, names the place and says what to do, in both languages.

use crate::support::broker::broker;
use crate::support::kafka_topic::{event, producer, send};
use crate::support::metadata_service::serve_each;
use crate::support::mounts::SmallDisk;
use crate::support::object_store::ObjectStore;
use crate::support::own_rules::write_rule;
use crate::support::ports::reserve_port;
use crate::support::program::{Program, RunOutput};
use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::Value;
use std::net::TcpListener;

/// A Kafka topic, a bucket and a free port, with a configuration in which nothing is wrong.
struct Healthy {
    program: Program,
    bucket: String,
    topic: String,
    service: String,
}

impl Healthy {
    /// `None`, with a notice, where broker or store are not installed.
    fn new(topic: &str) -> Option<Self> {
        let (broker, store) = (broker()?, ObjectStore::start()?);
        let program = Program::new();
        broker.create_topic(topic, 1);
        send(&producer(&broker.servers(), &[]), topic, 0, &[event("a")]);
        let key = "AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30/a.json";
        store.put(key, format!("[{}]", event("b")).as_bytes());
        program.write("id", "testkey\n");
        program.write("secret", "testsecret\n");
        let topic_text = format!(
            "[[source.kafka]]\nname = \"sls\"\nbootstrap_servers = \"{}\"\ntopics = [\"{topic}\"]\n",
            broker.servers()
        );
        Some(Self {
            bucket: format!("{}prefix = \"AliyunLogs\"\nsince = \"2026-01-01\"\n", store.source()),
            topic: topic_text,
            service: format!("[service]\nlisten = \"127.0.0.1:{}\"\n", reserve_port()),
            program,
        })
    }

    /// Writes the configuration: replaces the first text of `change` by the second, and appends
    /// `more`.
    fn write(&self, change: (&str, &str), more: &str) {
        let text = format!("{}{}{}", self.service, self.bucket, self.topic);
        assert!(text.contains(change.0), "{text}");
        self.program.write("serve.toml", format!("{}{more}", text.replace(change.0, change.1)));
    }

    /// Runs the doctor with the clock of this machine instead of the time of the tests.
    fn run(&self, more: &[&str]) -> RunOutput {
        let args = ["--config", "serve.toml", "doctor", "--lake", "lake"];
        let mut command = self.program.command(&[&args[..], more].concat());
        RunOutput::of(command.env_remove("TRAILHOUND_NOW").output().expect("the program starts"))
    }

    /// Asserts that the doctor finds exactly one thing wrong, in both languages: `area` and `subject` with the words `found`,
    /// and that its advice has the words `advice`.
    fn assert_finds(&self, what: &str, more: &[&str], expected: [&str; 4]) {
        let [area, subject, found, advice] = expected;
        for language in ["en", "zh"] {
            let ran = self.run(&[more, &["--format", "json", "--lang", language]].concat());
            assert_eq!(ran.status, 1, "{what}: {}\n{}", ran.out, ran.err);
            let checks = ran.json();
            let wrong: Vec<&Value> =
                checks.iter().filter(|check| check["state"] == "wrong").collect();
            assert_eq!(wrong.len(), 1, "{what}: {wrong:#?}");
            let text = |key: &str| wrong[0][key].as_str().unwrap_or_default().to_owned();
            assert_eq!(text("area"), area, "{what}");
            assert!(text("subject").contains(subject), "{what}: {wrong:?}");
            let is_chinese =
                |text: &str| text.chars().any(|c| ('\u{4e00}'..'\u{9fff}').contains(&c));
            if language == "en" {
                assert!(text("found").contains(found), "{what}: {wrong:?}");
                assert!(text("what_to_do").contains(advice), "{what}: {wrong:?}");
            } else {
                assert!(is_chinese(&text("what_to_do")), "{what}: {wrong:?}");
            }
            let others = checks.iter().filter(|check| check["state"] == "right").count();
            assert!(others >= 3, "{what}: the other parts are checked too: {checks:#?}");
        }
    }
}

const NO_CHANGE: (&str, &str) = ("[service]", "[service]");

#[test]
fn a_configuration_in_which_nothing_is_wrong_passes() {
    let Some(healthy) = Healthy::new("doctor-well") else { return };
    let sink = "[[sink]]\nname = \"out\"\n[sink.file]\npath = \"findings.jsonl\"\n";
    healthy.write(NO_CHANGE, sink);
    let ran = healthy.run(&["--format", "json"]);
    assert_eq!(ran.status, 0, "{}\n{}", ran.out, ran.err);
    let states = ran.json();
    for area in ["configuration", "source", "lake", "sink", "port"] {
        let of = |check: &&Value| check["area"] == area && check["state"] == "right";
        assert!(states.iter().any(|check| of(&check)), "{area}: {}", ran.out);
    }
    for seen in [
        "reached, signed in",
        "the newest object is of",
        "the clock agrees",
        "layout is known",
        "are understood",
    ] {
        assert!(ran.out.contains(seen), "{seen}: {}", ran.out);
    }
    // Nothing was made by looking.
    assert!(
        !healthy.program.path("lake").exists() && !healthy.program.path("findings.jsonl").exists()
    );
    let table = healthy.run(&["--lang", "zh"]);
    assert!(table.status == 0 && table.out.contains("正常"), "{}", table.out);
}

#[test]
fn each_of_twelve_misconfigurations_is_found_with_what_to_do() {
    let Some(healthy) = Healthy::new("doctor-ill") else { return };
    sources_that_cannot_be_read_are_found(&healthy);
    troubles_of_the_machine_are_found(&healthy);
    files_that_are_wrong_are_found(&healthy);
}

/// Wrong key, region, prefix and topic, and an unknown layout.
fn sources_that_cannot_be_read_are_found(healthy: &Healthy) {
    let program = &healthy.program;
    let finds = |what: &str, expected: [&str; 4]| healthy.assert_finds(what, &[], expected);

    program.write("wrong", "othersecret\n");
    healthy.write(("file:secret", "file:wrong"), "");
    finds("wrong key", ["source", "bucket", "refuses the key", "access_key_secret"]);

    let other_region = serve_each(|_| {
        let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-east-1' is wrong</Message></Error>";
        ("400 Bad Request", body.to_owned())
    });
    let endpoint = healthy.bucket.split('"').find(|part| part.starts_with("http://"));
    let endpoint = endpoint.expect("an endpoint");
    healthy.write((endpoint, &format!("http://127.0.0.1:{other_region}")), "");
    finds("wrong region", ["source", "bucket", "`region` or `endpoint`", "region of the bucket"]);

    healthy.write(("prefix = \"AliyunLogs\"", "prefix = \"AliyunLog/\""), "");
    finds("wrong prefix", ["source", "bucket", "`AliyunLogs`", "correct `prefix`"]);

    healthy.write(("[\"doctor-ill\"]", "[\"doctor-il\"]"), "");
    finds("wrong topic", ["source", "sls", "`doctor-il`", "did you mean `doctor-ill`"]);

    let broker = broker().expect("it is there");
    broker.create_topic("doctor-junk", 1);
    send(&producer(&broker.servers(), &[]), "doctor-junk", 0, &["no event".to_owned()]);
    healthy.write(("[\"doctor-ill\"]", "[\"doctor-junk\"]"), "");
    finds("layout unknown", ["source", "sls", "the layout is unknown", "prefix or topic"]);
}

/// A clock that is off, a full disk, a sink that is refused, and a port that is taken.
fn troubles_of_the_machine_are_found(healthy: &Healthy) {
    let program = &healthy.program;
    let finds = |what: &str, expected: [&str; 4]| healthy.assert_finds(what, &[], expected);

    healthy.write(NO_CHANGE, "");
    let hour = Utc::now() + TimeDelta::hours(1);
    let now = hour.to_rfc3339_opts(SecondsFormat::Secs, true);
    let expected = ["source", "bucket", "off by", "NTP"];
    healthy.assert_finds("clock off by an hour", &["--now", &now], expected);

    if let Some(disk) = SmallDisk::mount(&program.path("lake"), 24) {
        disk.fill(256 << 10);
        finds("disk full", ["lake", "lake", "the disk is full", "retention_days"]);
    }
    let _ = std::fs::remove_dir_all(program.path("lake"));

    let closed = reserve_port();
    let sink = format!(
        "[[sink]]\nname = \"hook\"\n[sink.webhook]\nurl = \"http://127.0.0.1:{closed}/\"\nprivate_allowed = [\"127.0.0.1/32\"]\n"
    );
    healthy.write(NO_CHANGE, &sink);
    finds("sink refused", ["sink", "hook", "cannot be reached", "trailhound sinks test hook"]);

    healthy.write(NO_CHANGE, "");
    let address = healthy.service.split('"').nth(1).expect("an address");
    let _taken = TcpListener::bind(address).expect("free");
    finds("port taken", ["port", address, "taken by another program", "[service] listen"]);
}

/// A catalog of another version, a database that is missing, and a rule that is broken.
fn files_that_are_wrong_are_found(healthy: &Healthy) {
    let program = &healthy.program;
    let finds = |what: &str, expected: [&str; 4]| healthy.assert_finds(what, &[], expected);

    healthy.write(NO_CHANGE, "");
    program.write("one.json", event("one"));
    let newer = program
        .command(&["ingest", "one.json", "--lake", "lake"])
        .env("TRAILHOUND_TEST_SCHEMA", "newer")
        .output();
    assert!(newer.expect("the program starts").status.success());
    finds(
        "catalogue of another version",
        ["lake", "lake", "has version 10", "use the trailhound version"],
    );
    std::fs::remove_dir_all(program.path("lake")).expect("removed");

    healthy.write(NO_CHANGE, "[parameters]\ngeo_city = \"none.mmdb\"\n");
    finds("geo database missing", ["configuration", "serve.toml", "none.mmdb", "put the database"]);

    write_rule(program, "broken", "AT-OWN-001", "SELECT", "");
    program.write("rules/own/broken.toml", "id = \"AT-OWN-001\"\n");
    healthy.write(NO_CHANGE, "[rules]\nfolder = \"rules\"\n");
    finds("rules broken", ["configuration", "rules", "broken.toml", "rules lint"]);
}
