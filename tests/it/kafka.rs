//! Tests `trailhound serve` with a real Kafka broker: findings are reported as events arrive, and
//! the lake holds each event exactly once, even after the service was frozen or the disk was full.

use crate::support::broker::broker;
use crate::support::kafka_pipeline::KafkaPipeline;
use crate::support::mounts::SmallDisk;
use crate::support::program::expected_findings;
use crate::support::service::Service;

#[test]
fn events_of_a_topic_become_findings_as_they_arrive() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "findings", 3, 20_000, 5);
    let mut service = pipeline.start_service();
    service.wait_until_ready();
    assert_eq!(service.get("/healthz").0, 200);
    pipeline.publish(broker);
    let expected = expected_findings(&pipeline.program.path("g"));
    service.wait_for_exact_findings(&expected);
    service.wait_for_records("stored", 20_000);
    let (status, open) = service.stop();
    assert_eq!((status, &open), (0, &expected));
    assert_eq!((pipeline.ledger("received"), pipeline.ledger("stored")), (20_000, 20_000));
    pipeline.assert_lake_exact();
}

#[test]
fn deleted_records_become_a_gap_and_a_recreated_topic_is_read_from_its_start() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "gaps", 1, 3_000, 8);
    pipeline.publish(broker);
    let service = pipeline.start_service();
    service.wait_for_records("stored", 3_000);
    assert_eq!(service.stop().0, 0);
    // While the service is stopped, more records arrive and some are deleted.
    pipeline.publish(broker);
    broker.delete_records_before("gaps", 4_000);
    let mut service = pipeline.start_service();
    service.wait_for_log("records are missing");
    service.wait_for_findings(|open| open.contains_key("AT-HEALTH-001"));
    let finding = service
        .findings
        .values()
        .find(|finding| finding["rule_id"] == "AT-HEALTH-001")
        .expect("told");
    assert!(
        finding["why"][0].as_str().is_some_and(|why| why.contains("records 3000 to 3999")),
        "{finding}"
    );
    assert!(
        finding["runbook"].as_str().is_some_and(|steps| steps.contains("trailhound ingest --lake")),
        "{finding}"
    );
    service.wait_for_records("duplicate", 2_000);
    assert_eq!(service.stop().0, 0);
    let info = pipeline.program.catalog("lake").info()["gaps"].clone();
    assert_eq!(
        (&info[0]["from"], &info[0]["to"], &info[0]["reason"]),
        (&3_000.into(), &4_000.into(), &"ingest_gap".into())
    );
    broker.delete_topic("gaps");
    broker.create_topic("gaps", 1);
    let sender = trailhound_ingest::source::kafka::TopicProducer::connect(
        &[("bootstrap.servers".to_owned(), broker.servers())].into(),
        "gaps",
    );
    let sender = sender.expect("a client");
    sender
        .send(None, br#"{"eventId":"anew","eventName":"x","eventTime":"2026-09-30T10:00:00Z","acsRegion":"cn-hangzhou","userIdentity":{"type":"ram-user","accountId":"1","userName":"a"}}"#)
        .expect("sent");
    sender.flush().expect("sent");
    let service = pipeline.start_service();
    service.wait_for_records("stored", 1);
    assert_eq!(service.stop().0, 0);
    let gaps = pipeline.program.catalog("lake").info()["gaps"].clone();
    assert_eq!(gaps[1]["reason"], "source_reset");
}

#[test]
fn a_second_service_on_one_lake_is_refused() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "second", 1, 100, 9);
    let service = pipeline.start_service();
    let other = pipeline.program.run(&["--config", "serve.toml", "serve", "--lake", "lake"]);
    assert_eq!(other.status, 2, "{}", other.err);
    assert!(other.err.contains("PostgreSQL"), "{}", other.err);
    assert_eq!(service.stop().0, 0);
}

#[test]
fn tls_with_plain_and_scram_passwords_connects() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "secure", 1, 1_000, 10);
    pipeline.publish(broker);
    let config = |password: &str| {
        pipeline.program.write("key", format!("{password}\n"));
        format!(
            "[service]\nlisten = \"127.0.0.1:0\"\n[[source.kafka]]\nname = \"sls\"\nbootstrap_servers = \"{}\"\ntopics = [\"secure\"]\n\
             group_id = \"secure\"\nsecurity_protocol = \"sasl_ssl\"\nsasl_mechanism = \"PLAIN\"\nusername = \"project\"\npassword = \"file:key\"\n\
             [source.kafka.settings]\n\"ssl.ca.location\" = \"{}\"\n",
            broker.secure_servers(),
            broker.certificate.display()
        )
    };
    pipeline.program.write("serve.toml", config("LTAI5tTestKeyId#wrong-secret"));
    let mut service = pipeline.start_service();
    let said = service.wait_for_log("uthentication");
    assert!(!said.contains("wrong-secret"), "{said}");
    let (status, why) = service.get("/readyz");
    assert!(status == 503 && !why.contains("wrong-secret"), "{why}");
    service.kill();
    pipeline.program.write("serve.toml", config(crate::support::broker::PASSWORD));
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let config = config(crate::support::broker::PASSWORD).replace("PLAIN", mechanism);
        pipeline.program.write(
            "serve.toml",
            config.replace("group_id = \"secure\"", &format!("group_id = \"{mechanism}\"")),
        );
        let service = Service::start(&pipeline.program, "serve.toml", mechanism);
        service.wait_for_records("stored", 1_000);
        assert_eq!(service.stop().0, 0);
    }
    // A literal secret is refused, and not repeated in the error.
    pipeline
        .program
        .write("serve.toml", config("x").replace("file:key", "LTAI5tTestKeyId#test-secret"));
    let refused = pipeline.program.run(&["--config", "serve.toml", "serve", "--lake", "lake"]);
    assert_eq!(refused.status, 2);
    assert!(
        refused.err.contains("by reference") && !refused.err.contains("test-secret"),
        "{}",
        refused.err
    );
}

#[test]
fn a_service_frozen_beyond_its_session_timeout_continues_exactly() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "frozen", 2, 20_000, 13);
    let service = pipeline.start_service();
    pipeline.publish(broker);
    service
        .wait_until("a first commit", |service| service.metric("trailhound_commits_total") >= 1.0);
    service.signal("STOP");
    // Its session ends when the broker has heard no heartbeat for six seconds.
    broker.wait_for_members("frozen", 0);
    service.signal("CONT");
    pipeline.publish(broker);
    service.wait_for_records("received", 40_000);
    assert_eq!(service.stop().0, 0);
    assert_eq!((pipeline.ledger("stored"), pipeline.ledger("duplicate")), (20_000, 20_000));
    pipeline.assert_lake_exact();
}

#[test]
fn ingest_resumes_after_a_full_disk() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "full", 1, 30_000, 14);
    let lake = pipeline.program.path("lake");
    let Some(disk) = SmallDisk::mount(&lake, 48) else { return };
    let service = pipeline.start_service();
    service.wait_until_ready();
    disk.fill(2 << 20);
    pipeline.publish(broker);
    service.wait_until("a stall that is told", |service| {
        service.get("/readyz").1.contains("\"stalled\":\"")
    });
    assert_eq!(service.get("/healthz").0, 200, "waiting is no hanging");
    disk.free();
    service.wait_for_records("stored", 30_000);
    service.wait_until_ready();
    assert_eq!(service.stop().0, 0);
    pipeline.assert_lake_exact();
}

#[test]
fn live_generated_events_carry_the_time_they_are_sent() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "life", 1, 500, 16);
    let before = chrono::Utc::now().timestamp();
    let to =
        ["--live", "--to", "kafka", "--bootstrap-servers", &broker.servers(), "--topic", "life"];
    pipeline.program.run_ok(&[&["generate", "--events", "500", "--days", "3"], &to[..]].concat());
    let service = pipeline.start_service();
    service.wait_for_records("stored", 500);
    assert_eq!(service.stop().0, 0);
    let recent = pipeline.program.query_number(
        "lake",
        &format!("SELECT count(*) FROM events WHERE event_time >= to_timestamp({before})"),
    );
    assert_eq!(recent, 500);
}
