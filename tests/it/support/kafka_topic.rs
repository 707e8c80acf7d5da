//! Single messages in a topic, and a service that follows it.

use crate::support::program::Program;
use crate::support::service::Service;
use crate::support::waiting::PATIENCE;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

pub(crate) fn event(id: &str) -> String {
    format!(
        r#"{{"eventId":"{id}","eventName":"DescribeInstances","eventTime":"2026-09-30T10:00:00Z","acsRegion":"cn-hangzhou","userIdentity":{{"type":"ram-user","accountId":"1","userName":"a"}}}}"#
    )
}

/// A program configured to follow `topic`; `more` is added to the source's configuration.
pub(crate) fn follow(servers: &str, topic: &str, more: &str) -> Program {
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

pub(crate) fn serve(program: &Program) -> Service {
    Service::start_at_test_time(program, "serve.toml", "lake")
}

pub(crate) fn producer(servers: &str, settings: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("linger.ms", "1").set("log_level", "0");
    settings.iter().for_each(|(key, value)| {
        config.set(*key, *value);
    });
    config.create().expect("a client")
}

/// Sends each value as a batch of its own.
pub(crate) fn send(producer: &BaseProducer, topic: &str, partition: i32, values: &[String]) {
    for value in values {
        producer
            .send(BaseRecord::<str, str>::to(topic).partition(partition).payload(value))
            .map_err(|(e, _)| e)
            .expect("sent");
        producer.flush(PATIENCE).expect("taken");
    }
}

pub(crate) fn ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| event(&format!("{prefix}{number:05}"))).collect()
}

pub(crate) fn stored(service: &Service) -> usize {
    service.metric("trailhound_records_total{fate=\"stored\"}") as usize
}

/// Stops the service, and asserts that its lake holds `events` events, each once, and verifies.
pub(crate) fn assert_holds(program: &Program, service: Service, events: usize) {
    assert_eq!(service.stop().0, 0);
    let counts = program.run_ok(&[
        "query",
        "--lake",
        "lake",
        "--format",
        "csv",
        "-c",
        "SELECT count(*), count(DISTINCT event_id) FROM events",
    ]);
    assert_eq!(counts.out.lines().nth(1), Some(format!("{events},{events}").as_str()));
    assert_eq!(program.catalog("lake").verify().0, [""; 0]);
}
