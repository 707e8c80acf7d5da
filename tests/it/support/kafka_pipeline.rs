//! A Kafka topic of generated events and a service that follows it.

use crate::support::broker::Broker;
use crate::support::program::{Program, expected_findings, text};
use crate::support::service::Service;
use crate::support::template::generated;
use serde_json::Value;
use std::collections::BTreeSet;

/// A topic of generated events, and a service to follow it.
pub(crate) struct KafkaPipeline {
    pub(crate) program: Program,
    topic: String,
    events: u64,
    seed: u64,
}

impl KafkaPipeline {
    pub(crate) fn new(
        broker: &Broker,
        topic: &str,
        partitions: i32,
        events: u64,
        seed: u64,
    ) -> Self {
        broker.create_topic(topic, partitions);
        // The same events as files, for the configuration, the expected findings and an undisturbed ingest.
        let number = [events.to_string(), seed.to_string()];
        let program = generated(&["--events", &number[0], "--seed", &number[1], "--days", "3"]);
        let pipeline = Self { program, topic: topic.to_owned(), events, seed };
        let parameters =
            std::fs::read_to_string(pipeline.program.path("g/trailhound.toml")).expect("a file");
        let config = format!(
            "{parameters}\n[service]\nlisten = \"127.0.0.1:0\"\n\n[[source.kafka]]\nname = \"sls\"\nbootstrap_servers = \"{}\"\n\
             topics = [\"{topic}\"]\ngroup_id = \"{topic}\"\n[source.kafka.settings]\n\"session.timeout.ms\" = \"6000\"\n",
            broker.servers()
        );
        pipeline.program.write("serve.toml", config);
        pipeline
    }

    pub(crate) fn publish(&self, broker: &Broker) {
        let (events, seed) = (self.events.to_string(), self.seed.to_string());
        let to =
            ["--to", "kafka", "--bootstrap-servers", &broker.servers(), "--topic", &self.topic];
        self.program.run_ok(
            &[&["generate", "--events", &events, "--seed", &seed, "--days", "3"], &to[..]].concat(),
        );
    }

    pub(crate) fn start_service(&self) -> Service {
        Service::start(&self.program, "serve.toml", "lake")
    }

    /// Asserts that the lake verifies and holds the events of an undisturbed ingest.
    pub(crate) fn assert_lake_exact(&self) {
        let (problems, _) = self.program.catalog("lake").verify();
        assert!(problems.is_empty(), "{problems:?}");
        self.program.run_ok(&["ingest", "g/events", "--lake", "whole"]);
        assert!(
            self.program.event_keys("lake") == self.program.event_keys("whole"),
            "the lakes hold other events"
        );
    }

    /// Asserts that the lake is exact and that the stored findings equal the findings of a run over
    /// the whole lake.
    pub(crate) fn assert_lake_and_findings_exact(&self) {
        self.assert_lake_exact();
        assert_findings_exact(&self.program);
    }

    /// Appends to the configuration of the service.
    pub(crate) fn add_configuration(&self, sinks: &str) {
        let path = self.program.path("serve.toml");
        let config = std::fs::read_to_string(&path).expect("a file");
        std::fs::write(path, format!("{config}\n{sinks}")).expect("written");
    }

    pub(crate) fn ledger(&self, field: &str) -> u64 {
        self.program.catalog("lake").ledger(field)
    }

    /// Rows of the outbox: of one sink or of all, in one state or in any.
    pub(crate) fn outbox(&self, sink: Option<&str>, state: Option<&str>) -> Vec<Value> {
        self.program.catalog("lake").outbox(sink, state)
    }

    /// There are outbox rows, and every one is delivered.
    pub(crate) fn all_delivered(&self) -> bool {
        let rows = self.outbox(None, None);
        !rows.is_empty() && rows.iter().all(|row| row["state"] == "delivered")
    }

    /// Revisions of findings in the outbox of `sink`, as `finding.revision`.
    pub(crate) fn outbox_revisions(&self, sink: &str) -> BTreeSet<String> {
        self.outbox(Some(sink), None).iter().map(revision_key).collect()
    }
}

/// Asserts that a run over the whole lake `lake` finds the generated truth and changes no stored finding.
pub(crate) fn assert_findings_exact(program: &Program) {
    let stored = program.catalog("lake").finding_revisions();
    let scan = ["--config", "serve.toml", "scan", "g/events", "--lake", "lake", "--format", "json"];
    let again = program.run_ok(&scan);
    assert_eq!(again.open_findings(), expected_findings(&program.path("g")));
    assert_eq!(program.catalog("lake").finding_revisions(), stored, "the run changed findings");
}

pub(crate) fn revision_key(row: &Value) -> String {
    format!("{}.{}", text(&row["finding_id"]), row["revision"])
}
