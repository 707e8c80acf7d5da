//! A Kafka topic of generated events and a service that follows it.

use crate::support::broker::Broker;
use crate::support::program::{Program, expected_findings, text};
use crate::support::service::Service;
use serde_json::Value;
use std::collections::BTreeSet;

/// A topic of generated events, and a service to follow it.
pub(crate) struct KafkaPipeline {
    pub(crate) program: Program,
    pub(crate) topic: String,
    pub(crate) events: u64,
    pub(crate) seed: u64,
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
        let pipeline = Self { program: Program::new(), topic: topic.to_owned(), events, seed };
        // The same traffic as files: its configuration, its truth, and the lake an undisturbed ingest makes of it.
        let number = [events.to_string(), seed.to_string()];
        pipeline.program.run_ok(&[
            "generate", "--events", &number[0], "--seed", &number[1], "--days", "3", "--out", "g",
        ]);
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

    /// The lake holds what an undisturbed ingest of the same events holds, and is sound.
    pub(crate) fn assert_lake_exact(&self) {
        let verified = self.program.run(&["lake", "verify", "--lake", "lake", "--json"]);
        assert_eq!(verified.status, 0, "{}", verified.out);
        self.program.run_ok(&["ingest", "g/events", "--lake", "whole"]);
        assert!(
            self.program.event_keys("lake") == self.program.event_keys("whole"),
            "the lakes hold other events"
        );
    }

    /// Likewise, and what is kept is what a run over the whole lake finds: nothing more, nothing less, nothing revised.
    pub(crate) fn assert_lake_and_findings_exact(&self) {
        self.assert_lake_exact();
        let again = self.program.run_ok(&[
            "--config",
            "serve.toml",
            "scan",
            "g/events",
            "--lake",
            "lake",
            "--format",
            "json",
        ]);
        assert_eq!(again.open_findings(), expected_findings(&self.program.path("g")));
        let known =
            self.program.run_ok(&["--config", "serve.toml", "scan", "g/events", "--lake", "lake"]);
        assert!(known.out.contains("findings: 0 new, 0 revised"), "{}", known.out);
    }

    pub(crate) fn ledger(&self, field: &str) -> u64 {
        self.program.run_ok(&["lake", "info", "--lake", "lake", "--json"]).json()[0]["ledger"]
            [field]
            .as_u64()
            .expect("a count")
    }
}

impl KafkaPipeline {
    /// Adds sinks to its configuration.
    pub(crate) fn add_configuration(&self, sinks: &str) {
        let path = self.program.path("serve.toml");
        let config = std::fs::read_to_string(&path).expect("a file");
        std::fs::write(path, format!("{config}\n{sinks}")).expect("written");
    }

    /// Rows of the outbox.
    pub(crate) fn outbox(&self, which: &[&str]) -> Vec<Value> {
        self.program
            .run_ok(
                &[
                    &[
                        "--config",
                        "serve.toml",
                        "outbox",
                        "list",
                        "--lake",
                        "lake",
                        "--format",
                        "json",
                        "--limit",
                        "100000",
                    ],
                    which,
                ]
                .concat(),
            )
            .json()
    }

    /// Revisions that the sink was owed, as `finding.revision`.
    pub(crate) fn delivered_revisions(&self, sink: &str) -> BTreeSet<String> {
        self.outbox(&["--sink", sink]).iter().map(revision_key).collect()
    }
}

pub(crate) fn revision_key(row: &Value) -> String {
    format!("{}.{}", text(&row["finding_id"]), row["revision"])
}
