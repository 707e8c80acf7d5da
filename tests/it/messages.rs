//! Whatever a topic can bring, and a broker can say: nothing is passed over, and what cannot be read is told.

use crate::broker::{Broker, broker};
use crate::program::Program;
use crate::service::Service;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

fn event(id: &str) -> String {
    format!(
        r#"{{"eventId":"{id}","eventName":"DescribeInstances","eventTime":"2026-09-30T10:00:00Z"}}"#
    )
}

/// Follows `topic` of any cluster, with more lines for the source.
fn follow(servers: &str, topic: &str, more: &str) -> Program {
    let program = Program::new();
    program.write(
        "serve.toml",
        format!(
            "[service]\nlisten = \"127.0.0.1:0\"\n[[source.kafka]]\nname = \"sls\"\nbootstrap_servers = \"{servers}\"\ntopics = [\"{topic}\"]\n\
             group_id = \"{topic}\"\n{more}\n[source.kafka.settings]\n\"session.timeout.ms\" = \"6000\"\n"
        ),
    );
    program
}

fn serve(program: &Program) -> Service {
    Service::start_at_the_tests_time(program, "serve.toml", "lake")
}

fn producer(servers: &str, settings: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("linger.ms", "1").set("log_level", "0");
    settings.iter().for_each(|(key, value)| {
        config.set(*key, *value);
    });
    config.create().expect("a client")
}

/// Sends each value as a batch of its own.
fn send(producer: &BaseProducer, topic: &str, partition: i32, values: &[String]) {
    for value in values {
        producer
            .send(BaseRecord::<str, str>::to(topic).partition(partition).payload(value))
            .map_err(|(e, _)| e)
            .expect("sent");
        producer.flush(Duration::from_secs(30)).expect("taken");
    }
}

fn ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| event(&format!("{prefix}{number:05}"))).collect()
}

fn stored(service: &Service) -> usize {
    service.metric("trailhound_records_total{fate=\"stored\"}") as usize
}

/// Ends the service; its lake holds `events` events, each once, and is sound.
fn assert_holds(program: &Program, service: Service, events: usize) {
    assert_eq!(service.end().0, 0);
    let counts = program.ok(&[
        "query",
        "--lake",
        "lake",
        "--format",
        "csv",
        "-c",
        "SELECT count(*), count(DISTINCT event_id) FROM events",
    ]);
    assert_eq!(counts.out.lines().nth(1), Some(format!("{events},{events}").as_str()));
    let verified = program.run(&["lake", "verify", "--lake", "lake"]);
    assert_eq!(verified.status, 0, "{}", verified.out);
}

/// Turns one bit in the first place of the broker's file where `text` stands.
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
fn damaged_messages_stop_their_partition_until_they_are_mended() {
    let Some(broker) = broker() else { return };
    broker.create_topic("damaged", 2);
    let sender = producer(&broker.servers(), &[]);
    send(&sender, "damaged", 0, &ids("a", 30));
    damage(broker, "damaged", "a00010");
    let program = follow(&broker.servers(), "damaged", "");
    let service = serve(&program);
    service.wait_until("what comes before the damage", |service| stored(service) == 10);
    // Sometimes the client says last that it has no offset to go on from.
    let is_told =
        |told: &str| told.contains("Bad message format") || told.contains("AutoOffsetReset");
    service.wait_until("the damage is told", |service| is_told(&service.get("/readyz").1));
    // Another partition goes on, however long the damage lasts.
    send(&sender, "damaged", 1, &ids("b", 50));
    service.wait_until("the other partition", |service| stored(service) == 60);
    assert_eq!(service.get("/readyz").0, 503);
    let position = program
        .number("lake", "SELECT max(source_position) FROM events WHERE source_partition = 0");
    assert_eq!(position, 9, "nothing behind the damage is taken");
    // The same bit again.
    damage(broker, "damaged", &format!("{}00010", char::from(b'a' ^ 1)));
    service.wait_until("the rest", |service| stored(service) == 80);
    service.wait_until("readiness", |service| service.get("/readyz").0 == 200);
    assert_holds(&program, service, 80);
}

#[test]
fn a_transaction_taken_back_leaves_a_jump_and_nothing_else() {
    let Some(broker) = broker() else { return };
    broker.create_topic("transactions", 1);
    let sender = producer(&broker.servers(), &[("transactional.id", "t")]);
    let wait = Duration::from_secs(30);
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
    // The markers take offsets too: with them behind it, the lag is none.
    service.wait_until("readiness", |service| service.get("/readyz").0 == 200);
    assert_holds(&program, service, 60);
    let ledger =
        program.ok(&["lake", "info", "--lake", "lake", "--json"]).json()[0]["ledger"].clone();
    assert_eq!((&ledger["received"], &ledger["duplicate"]), (&60.into(), &0.into()));
}

#[test]
fn every_compression_and_a_message_larger_than_a_fetch() {
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
fn a_thousand_poisoned_messages_are_set_aside_without_a_thousand_words() {
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
    sender.flush(Duration::from_secs(30)).expect("taken");
    let program = follow(&broker.servers(), "poison", "");
    let mut service = serve(&program);
    service.wait_until("everything", |service| {
        service.metric("trailhound_records_total{fate=\"received\"}") as usize == 10_001
    });
    service.wait_until("no lag", |service| service.metric("trailhound_lag_records") == 0.0);
    assert_eq!(service.metric("trailhound_records_total{fate=\"quarantined\"}") as usize, 1_001);
    let said = service.said_so_far();
    assert!(said.len() < 60, "{} lines:\n{}", said.len(), said.join("\n"));
    assert_holds(&program, service, 9_000);
}

#[test]
fn partitions_that_appear_are_read_from_their_start() {
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
    broker.widen("wider", 3);
    let sender = producer(&broker.servers(), &[]);
    for partition in 0..3 {
        send(&sender, "wider", partition, &ids(&format!("p{partition}-"), 10));
    }
    service.wait_until("the new ones", |service| stored(service) == 40);
    assert_holds(&program, service, 40);
}

#[test]
fn a_source_in_trouble_says_why_and_the_others_run_on() {
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

/// A cluster in this process that can be told what to answer.
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
        self.producer.flush(Duration::from_secs(60)).expect("taken");
    }
}

#[test]
fn whatever_a_broker_answers_nothing_is_lost_or_doubled() {
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
    service.wait_until("readiness", |service| service.get("/readyz").0 == 200);
    assert_holds(&program, service, sent);
}

#[test]
fn leaders_change_and_links_are_slow() {
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
    // Away altogether, and back.
    mock.cluster.broker_down(-1).expect("down");
    service.wait_until("that is told", |service| service.get("/readyz").0 == 503);
    mock.cluster.broker_up(-1).expect("up");
    service.wait_until("and over", |service| service.get("/readyz").0 == 200);
    mock.send("leaders", 3, &ids("last", 300));
    service.wait_until("the last", |service| stored(service) == sent + 300);
    assert_holds(&program, service, sent + 300);
}

#[test]
fn what_is_trimmed_while_it_reads_is_a_gap() {
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
    service.said("records are missing");
    service.wait_until("the rest", |service| {
        service.metric("trailhound_lag_records") == 0.0 && stored(service) > 100
    });
    let gap =
        program.ok(&["lake", "info", "--lake", "lake", "--json"]).json()[0]["gaps"][0].clone();
    let (from, to) =
        (gap["from"].as_u64().expect("a number"), gap["to"].as_u64().expect("a number"));
    assert!(gap["reason"] == "ingest_gap" && from >= 100 && to > from, "{gap}");
    // Every record is stored or in the gap.
    service.wait_until("all that is left", |service| stored(service) as u64 + (to - from) == 700);
    let events = stored(&service);
    assert_holds(&program, service, events);
}
