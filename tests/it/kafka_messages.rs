//! Everything a Kafka topic can hold: invalid messages, transactions, compressions, large messages, new partitions.

use crate::support::broker::broker;
use crate::support::kafka_pipeline::KafkaPipeline;
use crate::support::kafka_topic::{
    assert_holds, event, follow, ids, producer, send, serve, stored,
};
use crate::support::waiting::PATIENCE;
use rdkafka::producer::{BaseRecord, Producer};

#[test]
fn invalid_messages_are_quarantined_alone() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "odd", 1, 2_000, 7);
    let settings = [("bootstrap.servers".to_owned(), broker.servers())].into();
    let sender = trailhound_ingest::source::kafka::TopicProducer::connect(&settings, "odd")
        .expect("a client");
    let event = |id: &str| {
        format!(
            r#"{{"eventId":"{id}","eventName":"DescribeInstances","eventTime":"2026-09-30T10:00:00Z","acsRegion":"cn-hangzhou","userIdentity":{{"type":"ram-user","accountId":"1","userName":"a"}}}}"#
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
    let service = pipeline.start_service();
    service.wait_until("everything taken", |service| {
        service.metric("trailhound_records_total{fate=\"received\"}") >= 13.0
    });
    assert_eq!(service.stop().0, 0);
    let ledger =
        ["received", "stored", "duplicate", "quarantined"].map(|field| pipeline.ledger(field));
    assert_eq!(ledger, [13, 4, 1, 8]);
    let empty = pipeline
        .program
        .query_number("lake", "SELECT count(*) FROM quarantine WHERE code = 'empty'");
    assert_eq!(empty, 2);
    assert_eq!(pipeline.program.catalog("lake").verify().0, [""; 0]);
}

#[test]
fn an_aborted_transaction_leaves_only_an_offset_jump() {
    let Some(broker) = broker() else { return };
    broker.create_topic("transactions", 1);
    let sender = producer(&broker.servers(), &[("transactional.id", "t")]);
    let wait = PATIENCE;
    sender.init_transactions(wait).expect("the broker answers");
    for round in 0..6 {
        sender.begin_transaction().expect("begun");
        send(&sender, "transactions", 0, &ids(&format!("r{round}-"), 20));
        if round % 2 == 0 {
            sender.commit_transaction(wait)
        } else {
            sender.abort_transaction(wait)
        }
        .expect("the broker answers");
    }
    let program = follow(&broker.servers(), "transactions", "");
    let service = serve(&program);
    service.wait_until("what was committed", |service| stored(service) == 60);
    // Transaction markers take offsets too; they must not count as lag.
    service.wait_until_ready();
    assert_holds(&program, service, 60);
    let ledger = program.catalog("lake").info()["ledger"].clone();
    assert_eq!((&ledger["received"], &ledger["duplicate"]), (&60.into(), &0.into()));
}

#[test]
fn every_compression_and_a_message_larger_than_a_fetch_are_read() {
    let Some(broker) = broker() else { return };
    broker.create_topic("sizes", 1);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        send(
            &producer(&broker.servers(), &[("compression.codec", codec)]),
            "sizes",
            0,
            &ids(codec, 20),
        );
    }
    let large = event("large").replace("DescribeInstances", &"x".repeat(600_000));
    send(&producer(&broker.servers(), &[]), "sizes", 0, &[large, event("after")]);
    let program = follow(&broker.servers(), "sizes", "");
    let config = std::fs::read_to_string(program.path("serve.toml")).expect("a file");
    program.write("serve.toml", format!("{config}\"fetch.message.max.bytes\" = \"1000\"\n"));
    let service = serve(&program);
    service.wait_until("everything", |service| stored(service) == 102);
    assert_holds(&program, service, 102);
}

#[test]
fn a_thousand_poisoned_messages_are_quarantined_without_flooding_the_log() {
    let Some(broker) = broker() else { return };
    broker.create_topic("poison", 1);
    let sender = producer(&broker.servers(), &[("linger.ms", "50")]);
    let poison = (0..1_000).map(|number| format!("{{\"eventId\":\"p{number}\",,}}"));
    for value in ids("before", 4_500).into_iter().chain(poison).chain(ids("after", 4_500)) {
        sender
            .send(BaseRecord::<str, str>::to("poison").payload(&value))
            .map_err(|(e, _)| e)
            .expect("sent");
    }
    sender
        .send(BaseRecord::<str, str>::to("poison").key("only a key"))
        .map_err(|(e, _)| e)
        .expect("sent");
    sender.flush(PATIENCE).expect("taken");
    let program = follow(&broker.servers(), "poison", "");
    let mut service = serve(&program);
    service.wait_for_records("received", 10_001);
    service.wait_until("no lag", |service| service.metric("trailhound_lag_records") == 0.0);
    service.wait_for_records("quarantined", 1_001);
    let said = service.take_log();
    assert!(said.len() < 60, "{} lines:\n{}", said.len(), said.join("\n"));
    assert_holds(&program, service, 9_000);
}

#[test]
fn new_partitions_are_read_from_their_start() {
    let Some(broker) = broker() else { return };
    broker.create_topic("wider", 1);
    let sender = producer(&broker.servers(), &[("topic.metadata.refresh.interval.ms", "500")]);
    send(&sender, "wider", 0, &ids("a", 10));
    let program = follow(&broker.servers(), "wider", "");
    let config = std::fs::read_to_string(program.path("serve.toml")).expect("a file");
    program
        .write("serve.toml", format!("{config}\"topic.metadata.refresh.interval.ms\" = \"500\"\n"));
    let service = serve(&program);
    service.wait_until("the first partition", |service| stored(service) == 10);
    broker.add_partitions("wider", 3);
    let sender = producer(&broker.servers(), &[]);
    for partition in 0..3 {
        send(&sender, "wider", partition, &ids(&format!("p{partition}-"), 10));
    }
    service.wait_until("the new ones", |service| stored(service) == 40);
    assert_holds(&program, service, 40);
}
