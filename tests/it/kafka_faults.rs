//! Kafka errors: damaged records, broker errors, leader changes and trimmed records lose and duplicate nothing.

use crate::support::broker::{Broker, broker};
use crate::support::kafka_topic::{
    assert_holds, event, follow, ids, producer, send, serve, stored,
};
use crate::support::service::Service;
use crate::support::waiting::PATIENCE;
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

/// Flips one bit of the first occurrence of `text` in the broker's log segment.
fn damage(broker: &Broker, topic: &str, text: &str) {
    let mut file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(broker.log_file(topic, 0))
        .expect("the broker's file");
    let mut content = Vec::new();
    file.read_to_end(&mut content).expect("read");
    let at = content
        .windows(text.len())
        .position(|window| window == text.as_bytes())
        .expect("the text is there");
    file.seek(SeekFrom::Start(at as u64)).expect("within");
    file.write_all(&[content[at] ^ 1]).expect("written");
}

#[test]
fn damaged_messages_stop_only_their_partition_until_repaired() {
    let Some(broker) = broker() else { return };
    broker.create_topic("damaged", 2);
    let sender = producer(&broker.servers(), &[]);
    send(&sender, "damaged", 0, &ids("a", 30));
    damage(broker, "damaged", "a00010");
    let program = follow(&broker.servers(), "damaged", "");
    let service = serve(&program);
    service.wait_until("what comes before the damage", |service| stored(service) == 10);
    // The client's last error may be that it has no offset to continue from.
    let is_told =
        |told: &str| told.contains("Bad message format") || told.contains("AutoOffsetReset");
    service.wait_until("the damage is told", |service| is_told(&service.get("/readyz").1));
    // The other partition is read meanwhile.
    send(&sender, "damaged", 1, &ids("b", 50));
    service.wait_until("the other partition", |service| stored(service) == 60);
    assert_eq!(service.get("/readyz").0, 503);
    let position = program
        .query_number("lake", "SELECT max(source_position) FROM events WHERE source_partition = 0");
    assert_eq!(position, 9, "nothing behind the damage is taken");
    // Flips the same bit back.
    damage(broker, "damaged", &format!("{}00010", char::from(b'a' ^ 1)));
    service.wait_until("the rest", |service| stored(service) == 80);
    service.wait_until_ready();
    assert_holds(&program, service, 80);
}

#[test]
fn a_failing_source_reports_why_and_the_others_continue() {
    let Some(broker) = broker() else { return };
    broker.create_topic("well", 1);
    let program = follow(&broker.servers(), "well", "");
    let config = std::fs::read_to_string(program.path("serve.toml")).expect("a file");
    let more = format!(
        "[[source.kafka]]\nname = \"missing\"\nbootstrap_servers = \"{}\"\ntopics = [\"not-there-yet\"]\ngroup_id = \"missing\"\n\
         [source.kafka.settings]\n\"topic.metadata.refresh.interval.ms\" = \"500\"\n\
         [[source.kafka]]\nname = \"refused\"\nbootstrap_servers = \"{}\"\ntopics = [\"well\"]\ngroup_id = \"refused\"\nsecurity_protocol = \"sasl_ssl\"\n\
         sasl_mechanism = \"PLAIN\"\nusername = \"project\"\npassword = \"file:wrong\"\n[source.kafka.settings]\n\"ssl.ca.location\" = \"{}\"\n",
        broker.servers(),
        broker.secure_servers(),
        broker.certificate.display()
    );
    program.write("serve.toml", format!("{config}{more}"));
    program.write("wrong", "not the password\n");
    let service = serve(&program);
    let sender = producer(&broker.servers(), &[]);
    send(&sender, "well", 0, &ids("w", 10));
    service.wait_until("the one that is well", |service| stored(service) == 10);
    let troubles = |service: &Service| {
        let ready: serde_json::Value =
            serde_json::from_str(&service.get("/readyz").1).expect("JSON");
        ready["sources_in_trouble"].clone()
    };
    service.wait_until("the missing topic is told", |service| {
        troubles(service)["missing"].as_str().is_some_and(|why| why.contains("nknown topic"))
    });
    service.wait_until("the wrong password is told", |service| {
        troubles(service)["refused"].as_str().is_some_and(|why| why.contains("uthentication"))
    });
    assert_eq!(troubles(&service).get("sls"), None);
    broker.create_topic("not-there-yet", 1);
    send(&sender, "not-there-yet", 0, &ids("n", 10));
    service.wait_until("the topic that came late", |service| stored(service) == 20);
    service.wait_until("nothing of it is told any more", |service| {
        troubles(service).get("missing").is_none()
    });
    assert_holds(&program, service, 20);
}

/// A mock cluster in this process with configurable answers.
struct Mock {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
}

impl Mock {
    fn new(topic: &str, brokers: i32, partitions: i32) -> Self {
        let cluster = MockCluster::new(brokers).expect("a cluster");
        cluster.create_topic(topic, partitions, brokers).expect("a topic");
        let producer = producer(&cluster.bootstrap_servers(), &[("linger.ms", "20")]);
        Self { cluster, producer }
    }

    fn send(&self, topic: &str, partitions: i32, values: &[String]) {
        for (number, value) in values.iter().enumerate() {
            let record = BaseRecord::<str, str>::to(topic)
                .partition(number as i32 % partitions)
                .payload(value);
            self.producer.send(record).map_err(|(e, _): (KafkaError, _)| e).expect("sent");
        }
        self.producer.flush(PATIENCE).expect("taken");
    }
}

#[test]
fn no_broker_error_loses_or_duplicates_events() {
    use RDKafkaRespErr as E;
    let mock = Mock::new("answers", 3, 3);
    let program = follow(&mock.cluster.bootstrap_servers(), "answers", "");
    let service = serve(&program);
    mock.send("answers", 3, &ids("first", 300));
    service.wait_until("the first", |service| stored(service) == 300);
    let faults: [(RDKafkaApiKey, &[E]); 7] = [
        (
            RDKafkaApiKey::Fetch,
            &[
                E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                E::RD_KAFKA_RESP_ERR_UNKNOWN,
                E::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
                E::RD_KAFKA_RESP_ERR__TRANSPORT,
            ],
        ),
        (
            RDKafkaApiKey::Fetch,
            &[E::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, E::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE],
        ),
        (RDKafkaApiKey::Fetch, &[E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]),
        (
            RDKafkaApiKey::Heartbeat,
            &[E::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, E::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION],
        ),
        (
            RDKafkaApiKey::OffsetCommit,
            &[E::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, E::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT],
        ),
        (RDKafkaApiKey::ListOffsets, &[E::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE]),
        (RDKafkaApiKey::Metadata, &[E::RD_KAFKA_RESP_ERR__TRANSPORT]),
    ];
    let mut sent = 300;
    for (number, (request, errors)) in faults.into_iter().enumerate() {
        mock.cluster.request_errors(request, errors);
        mock.send("answers", 3, &ids(&format!("after{number}-"), 300));
        sent += 300;
        service.wait_until("what comes after the fault", |service| stored(service) == sent);
    }
    service.wait_until_ready();
    assert_holds(&program, service, sent);
}

#[test]
fn leader_changes_and_slow_links_lose_nothing() {
    let mock = Mock::new("leaders", 3, 3);
    let program = follow(&mock.cluster.bootstrap_servers(), "leaders", "");
    let service = serve(&program);
    let mut sent = 0;
    for round in 0..4 {
        for partition in 0..3 {
            mock.cluster
                .partition_leader("leaders", partition, Some((round + partition) % 3 + 1))
                .expect("a leader");
        }
        if round == 2 {
            mock.cluster.broker_round_trip_time(-1, Duration::from_millis(400)).expect("slow");
        }
        mock.send("leaders", 3, &ids(&format!("r{round}-"), 300));
        sent += 300;
        service.wait_until("everything so far", |service| stored(service) == sent);
    }
    mock.cluster.broker_round_trip_time(-1, Duration::ZERO).expect("quick again");
    // All brokers down, and up again.
    mock.cluster.broker_down(-1).expect("down");
    service.wait_until("that is told", |service| service.get("/readyz").0 == 503);
    mock.cluster.broker_up(-1).expect("up");
    service.wait_until("and over", |service| service.get("/readyz").0 == 200);
    mock.send("leaders", 3, &ids("last", 300));
    service.wait_until("the last", |service| stored(service) == sent + 300);
    assert_holds(&program, service, sent + 300);
}

#[test]
fn records_trimmed_while_reading_become_a_gap() {
    // This cluster keeps the last 5 MiB of a partition.
    let mock = Mock::new("trimmed", 1, 1);
    let program = follow(&mock.cluster.bootstrap_servers(), "trimmed", "");
    let mut service = serve(&program);
    mock.send("trimmed", 1, &ids("first", 100));
    service.wait_until("the first", |service| stored(service) == 100);
    service.signal("STOP");
    let large: Vec<String> = (0..600)
        .map(|n| event(&format!("large{n}")).replace("DescribeInstances", &"x".repeat(20_000)))
        .collect();
    mock.send("trimmed", 1, &large);
    service.signal("CONT");
    service.wait_for_log("records are missing");
    service.wait_until("the rest", |service| {
        service.metric("trailhound_lag_records") == 0.0 && stored(service) > 100
    });
    let gap = program.catalog("lake").info()["gaps"][0].clone();
    let (from, to) =
        (gap["from"].as_u64().expect("a number"), gap["to"].as_u64().expect("a number"));
    assert!(gap["reason"] == "ingest_gap" && from >= 100 && to > from, "{gap}");
    // Every record is stored or in the gap.
    service.wait_until("all that is left", |service| stored(service) as u64 + (to - from) == 700);
    let events = stored(&service);
    assert_holds(&program, service, events);
}
