//! `trailhound serve` against a real broker: findings as events come, and the lake exact whatever happens.

use crate::broker::{Broker, broker};
use crate::part::SmallDisk;
use crate::program::{Program, truth};
use crate::service::Service;
use std::time::Duration;

/// A topic of generated events, and a service to follow it.
pub(crate) struct Stage {
    pub(crate) program: Program,
    topic: String,
    events: u64,
    seed: u64,
}

impl Stage {
    pub(crate) fn new(
        broker: &Broker,
        topic: &str,
        partitions: i32,
        events: u64,
        seed: u64,
    ) -> Self {
        broker.create_topic(topic, partitions);
        let stage = Self { program: Program::new(), topic: topic.to_owned(), events, seed };
        // The same traffic as files: its configuration, its truth, and the lake an undisturbed ingest makes of it.
        let number = [events.to_string(), seed.to_string()];
        stage.program.ok(&[
            "generate", "--events", &number[0], "--seed", &number[1], "--days", "3", "--out", "g",
        ]);
        let parameters =
            std::fs::read_to_string(stage.program.path("g/trailhound.toml")).expect("a file");
        let config = format!(
            "{parameters}\n[service]\nlisten = \"127.0.0.1:0\"\n\n[[source.kafka]]\nname = \"sls\"\nbootstrap_servers = \"{}\"\n\
             topics = [\"{topic}\"]\ngroup_id = \"{topic}\"\n[source.kafka.settings]\n\"session.timeout.ms\" = \"6000\"\n",
            broker.servers()
        );
        stage.program.write("serve.toml", config);
        stage
    }

    pub(crate) fn send(&self, broker: &Broker) {
        let (events, seed) = (self.events.to_string(), self.seed.to_string());
        let to =
            ["--to", "kafka", "--bootstrap-servers", &broker.servers(), "--topic", &self.topic];
        self.program.ok(&[
            &["generate", "--events", &events, "--seed", &seed, "--days", "3"],
            &to[..],
        ]
        .concat());
    }

    pub(crate) fn serve(&self) -> Service {
        Service::start(&self.program, "serve.toml", "lake")
    }

    /// The lake holds what an undisturbed ingest of the same events holds, and is sound.
    pub(crate) fn assert_exact(&self) {
        let verified = self.program.run(&["lake", "verify", "--lake", "lake", "--json"]);
        assert_eq!(verified.status, 0, "{}", verified.out);
        self.program.ok(&["ingest", "g/events", "--lake", "whole"]);
        assert!(
            self.program.keys("lake") == self.program.keys("whole"),
            "the lakes hold other events"
        );
    }

    /// Likewise, and what is kept is what a run over the whole lake finds: nothing more, nothing less, nothing revised.
    pub(crate) fn assert_exact_with_findings(&self) {
        self.assert_exact();
        let again = self.program.ok(&[
            "--config",
            "serve.toml",
            "scan",
            "g/events",
            "--lake",
            "lake",
            "--format",
            "json",
        ]);
        assert_eq!(again.open(), truth(&self.program.path("g")));
        let known =
            self.program.ok(&["--config", "serve.toml", "scan", "g/events", "--lake", "lake"]);
        assert!(known.out.contains("findings: 0 new, 0 revised"), "{}", known.out);
    }

    pub(crate) fn ledger(&self, field: &str) -> u64 {
        self.program.ok(&["lake", "info", "--lake", "lake", "--json"]).json()[0]["ledger"][field]
            .as_u64()
            .expect("a count")
    }
}

#[test]
fn events_of_a_topic_become_findings_while_they_come() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "findings", 3, 20_000, 5);
    let mut service = stage.serve();
    service.wait_until("readiness", |service| service.get("/readyz").0 == 200);
    assert_eq!(service.get("/healthz").0, 200);
    stage.send(broker);
    let expected = truth(&stage.program.path("g"));
    service.findings_are(&expected);
    assert_eq!(service.metric("trailhound_records_total{fate=\"stored\"}") as u64, 20_000);
    let (status, open) = service.end();
    assert_eq!((status, &open), (0, &expected));
    assert_eq!((stage.ledger("received"), stage.ledger("stored")), (20_000, 20_000));
    stage.assert_exact();
}

#[test]
fn odd_messages_cost_only_themselves() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "odd", 1, 2_000, 7);
    let settings = [("bootstrap.servers".to_owned(), broker.servers())].into();
    let sender =
        trailhound_ingest::source::kafka::Sender::connect(&settings, "odd").expect("a client");
    let event = |id: &str| {
        format!(
            r#"{{"eventId":"{id}","eventName":"DescribeInstances","eventTime":"2026-09-30T10:00:00Z"}}"#
        )
    };
    for value in [
        "",
        "   ",
        "not json",
        "{\"eventId\":",
        "[1]",
        "7",
        "{\"event\":\"{\\\"eventId\\\":\"}",
        "\u{0}",
    ] {
        sender.send(None, value.as_bytes()).expect("sent");
    }
    for value in [
        event("a"),
        format!("[{},{}]", event("b"), event("c")),
        format!(r#"{{"event":{}}}"#, event("d")),
        event("a"),
    ] {
        sender.send(Some("event"), value.as_bytes()).expect("sent");
    }
    sender.flush().expect("sent");
    let service = stage.serve();
    service.wait_until("everything taken", |service| {
        service.metric("trailhound_records_total{fate=\"received\"}") >= 13.0
    });
    assert_eq!(service.end().0, 0);
    let ledger =
        ["received", "stored", "duplicate", "quarantined"].map(|field| stage.ledger(field));
    assert_eq!(ledger, [13, 4, 1, 8]);
    let empty =
        stage.program.number("lake", "SELECT count(*) FROM quarantine WHERE code = 'empty'");
    assert_eq!(empty, 2);
    let verified = stage.program.run(&["lake", "verify", "--lake", "lake"]);
    assert_eq!(verified.status, 0, "{}", verified.out);
}

#[test]
fn what_the_broker_dropped_is_a_gap_and_a_topic_made_anew_is_read_from_its_start() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "gaps", 1, 3_000, 8);
    stage.send(broker);
    let service = stage.serve();
    service.wait_until("everything stored", |service| {
        service.metric("trailhound_records_total{fate=\"stored\"}") as u64 == 3_000
    });
    assert_eq!(service.end().0, 0);
    // While nobody reads, more comes and a part of it goes.
    stage.send(broker);
    broker.drop_before("gaps", 4_000);
    let mut service = stage.serve();
    service.said("records are missing");
    service.findings_until(|open| open.contains_key("AT-HEALTH-001"));
    let finding =
        service.told.values().find(|finding| finding["rule_id"] == "AT-HEALTH-001").expect("told");
    assert!(
        finding["why"][0].as_str().is_some_and(|why| why.contains("records 3000 to 3999")),
        "{finding}"
    );
    assert!(
        finding["runbook"].as_str().is_some_and(|steps| steps.contains("trailhound ingest --lake")),
        "{finding}"
    );
    service.wait_until("the rest taken", |service| {
        service.metric("trailhound_records_total{fate=\"duplicate\"}") as u64 == 2_000
    });
    assert_eq!(service.end().0, 0);
    let info =
        stage.program.ok(&["lake", "info", "--lake", "lake", "--json"]).json()[0]["gaps"].clone();
    assert_eq!(
        (&info[0]["from"], &info[0]["to"], &info[0]["reason"]),
        (&3_000.into(), &4_000.into(), &"ingest_gap".into())
    );
    broker.delete_topic("gaps");
    broker.create_topic("gaps", 1);
    let sender = trailhound_ingest::source::kafka::Sender::connect(
        &[("bootstrap.servers".to_owned(), broker.servers())].into(),
        "gaps",
    );
    let sender = sender.expect("a client");
    sender
        .send(None, br#"{"eventId":"anew","eventName":"x","eventTime":"2026-09-30T10:00:00Z"}"#)
        .expect("sent");
    sender.flush().expect("sent");
    let service = stage.serve();
    service.wait_until("the new event", |service| {
        service.metric("trailhound_records_total{fate=\"stored\"}") as u64 == 1
    });
    assert_eq!(service.end().0, 0);
    let gaps =
        stage.program.ok(&["lake", "info", "--lake", "lake", "--json"]).json()[0]["gaps"].clone();
    assert_eq!(gaps[1]["reason"], "source_reset");
}

#[test]
fn a_second_service_on_one_lake_is_refused() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "second", 1, 100, 9);
    let service = stage.serve();
    let other = stage.program.run(&["--config", "serve.toml", "serve", "--lake", "lake"]);
    assert_eq!(other.status, 2, "{}", other.err);
    assert!(other.err.contains("PostgreSQL"), "{}", other.err);
    assert_eq!(service.end().0, 0);
}

#[test]
fn tls_and_a_password_as_a_log_service_wants_them() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "secure", 1, 1_000, 10);
    stage.send(broker);
    let config = |password: &str| {
        stage.program.write("key", format!("{password}\n"));
        format!(
            "[service]\nlisten = \"127.0.0.1:0\"\n[[source.kafka]]\nname = \"sls\"\nbootstrap_servers = \"{}\"\ntopics = [\"secure\"]\n\
             group_id = \"secure\"\nsecurity_protocol = \"sasl_ssl\"\nsasl_mechanism = \"PLAIN\"\nusername = \"project\"\npassword = \"file:key\"\n\
             [source.kafka.settings]\n\"ssl.ca.location\" = \"{}\"\n",
            broker.secure_servers(),
            broker.certificate.display()
        )
    };
    stage.program.write("serve.toml", config("LTAI5tTestKeyId#wrong-secret"));
    let mut service = stage.serve();
    let said = service.said("uthentication");
    assert!(!said.contains("wrong-secret"), "{said}");
    let (status, why) = service.get("/readyz");
    assert!(status == 503 && !why.contains("wrong-secret"), "{why}");
    service.kill();
    stage.program.write("serve.toml", config(crate::broker::PASSWORD));
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let config = config(crate::broker::PASSWORD).replace("PLAIN", mechanism);
        stage.program.write(
            "serve.toml",
            config.replace("group_id = \"secure\"", &format!("group_id = \"{mechanism}\"")),
        );
        let service = Service::start(&stage.program, "serve.toml", mechanism);
        service.wait_until(mechanism, |service| {
            service.metric("trailhound_records_total{fate=\"stored\"}") as u64 == 1_000
        });
        assert_eq!(service.end().0, 0);
    }
    // A secret in place of a reference to it is refused, and not repeated.
    stage
        .program
        .write("serve.toml", config("x").replace("file:key", "LTAI5tTestKeyId#test-secret"));
    let refused = stage.program.run(&["--config", "serve.toml", "serve", "--lake", "lake"]);
    assert_eq!(refused.status, 2);
    assert!(
        refused.err.contains("by reference") && !refused.err.contains("test-secret"),
        "{}",
        refused.err
    );
}

#[test]
fn frozen_beyond_its_session_it_goes_on_exactly() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "frozen", 2, 20_000, 13);
    let service = stage.serve();
    stage.send(broker);
    service
        .wait_until("a first commit", |service| service.metric("trailhound_commits_total") >= 1.0);
    service.signal("STOP");
    // The session ends after six seconds without a heartbeat; the broker then gives the partitions away.
    std::thread::sleep(Duration::from_secs(9));
    service.signal("CONT");
    stage.send(broker);
    service.wait_until("both deliveries", |service| {
        service.metric("trailhound_records_total{fate=\"received\"}") as u64 == 40_000
    });
    assert_eq!(service.end().0, 0);
    assert_eq!((stage.ledger("stored"), stage.ledger("duplicate")), (20_000, 20_000));
    stage.assert_exact();
}

#[test]
fn a_full_disk_is_waited_out() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "full", 1, 30_000, 14);
    let lake = stage.program.path("lake");
    let Some(disk) = SmallDisk::mount(&lake, 48) else { return };
    let service = stage.serve();
    service.wait_until("readiness", |service| service.get("/readyz").0 == 200);
    disk.fill(2 << 20);
    stage.send(broker);
    service.wait_until("a stall that is told", |service| {
        service.get("/readyz").1.contains("\"stalled\":\"")
    });
    assert_eq!(service.get("/healthz").0, 200, "waiting is no hanging");
    disk.free();
    service.wait_until("everything stored", |service| {
        service.metric("trailhound_records_total{fate=\"stored\"}") as u64 == 30_000
    });
    service.wait_until("readiness again", |service| service.get("/readyz").0 == 200);
    assert_eq!(service.end().0, 0);
    stage.assert_exact();
}

#[test]
fn traffic_as_in_life_has_the_time_at_which_it_is_sent() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "life", 1, 500, 16);
    let before = chrono::Utc::now().timestamp();
    let to =
        ["--live", "--to", "kafka", "--bootstrap-servers", &broker.servers(), "--topic", "life"];
    stage.program.ok(&[&["generate", "--events", "500", "--days", "3"], &to[..]].concat());
    let service = stage.serve();
    service.wait_until("everything stored", |service| {
        service.metric("trailhound_records_total{fate=\"stored\"}") as u64 == 500
    });
    assert_eq!(service.end().0, 0);
    let recent = stage.program.number(
        "lake",
        &format!("SELECT count(*) FROM events WHERE event_time >= to_timestamp({before})"),
    );
    assert_eq!(recent, 500);
}
