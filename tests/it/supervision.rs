//! Every task of the service: in whatever way it ends, `/readyz`, a finding and the exit status say so.

use crate::support::program::Program;
use crate::support::query_endpoint::{endpoint_configuration, write_secrets};
use crate::support::service::Service;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const KINDS: [(&str, &str); 4] =
    [("panic", "panicked"), ("return", "returned"), ("error", "failed"), ("hang", "silent")];

/// A service with every kind of task. Its sources are unreachable: their tasks run nevertheless.
fn prepared() -> Program {
    let program = Program::new();
    write_secrets(&program);
    let config = format!(
        "[service]\nlisten = \"127.0.0.1:0\"\n{}\n[[source.kafka]]\nname = \"k\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopics = [\"x\"]\n\
         [[source.oss]]\nname = \"b\"\nbucket = \"trail\"\nendpoint = \"http://127.0.0.1:1\"\nregion = \"r\"\nvirtual_hosted = false\n\
         [[sink]]\nname = \"f\"\n[sink.file]\npath = \"f\"\n\
         [[report]]\nname = \"r\"\nschedule = \"0 0 * * *\"\nperiod = \"day\"\nfolder = \"r\"\n",
        endpoint_configuration("")
    );
    program.write("serve.toml", config);
    program
}

fn start(program: &Program, faults: &str) -> Service {
    let mut command = program.command(&["--config", "serve.toml", "serve", "--lake", "lake"]);
    command.env_remove("TRAILHOUND_NOW").env("TRAILHOUND_TEST_TASK", faults);
    Service::spawn(command)
}

fn readiness(service: &Service) -> Value {
    serde_json::from_str(&service.get("/readyz").1).expect("JSON")
}

/// The tasks that the service names, and whether each is started again.
fn tasks(service: &Service) -> BTreeMap<String, bool> {
    let document = readiness(service);
    let tasks = document["tasks"].as_object().expect("tasks").iter();
    tasks
        .map(|(name, task)| (name.clone(), task["is_restarted"].as_bool().expect("a bool")))
        .collect()
}

/// The tasks of which the service has told that they failed in this way.
fn told(service: &Service, how: &str) -> BTreeSet<String> {
    let of_tasks = service
        .findings
        .values()
        .filter(|finding| finding["rule_id"] == "AT-HEALTH-006" && finding["variant"] == how);
    of_tasks
        .filter_map(|finding| finding["why"][0].as_str()?.split('`').nth(1).map(str::to_owned))
        .collect()
}

#[test]
fn every_task_that_ends_in_any_way_is_told_and_started_again_or_ends_the_service() {
    let program = prepared();
    let service = start(&program, "");
    service.wait_until("every task", |service| tasks(service).len() >= 14);
    let all = tasks(&service);
    assert_eq!(service.stop().0, 0);
    for name in [
        "ingest",
        "detection",
        "maintenance",
        "verifier",
        "reports",
        "sink f",
        "bucket b",
        "survey of k",
    ] {
        assert!(all.contains_key(name), "{name}: {all:?}");
    }
    for (kind, how) in KINDS {
        // A thread that hangs cannot be cancelled.
        let restarted = all
            .iter()
            .filter(|(name, restarts)| **restarts && (kind != "hang" || *name != "detection"));
        let restarted: BTreeSet<String> = restarted.map(|(name, _)| name.clone()).collect();
        let faults: Vec<String> = restarted.iter().map(|name| format!("{name}={kind}")).collect();
        let mut service = start(&program, &faults.join(","));
        let mut red = BTreeSet::new();
        service.wait_until("every task red", |service| {
            let (status, document) = service.get("/readyz");
            assert_eq!(status, 503);
            let document: Value = serde_json::from_str(&document).expect("JSON");
            red.extend(document["failing_tasks"].as_object().expect("tasks").keys().cloned());
            red.is_superset(&restarted)
        });
        service.wait_until("every task restarted", |service| {
            let document = readiness(service);
            restarted.iter().all(|name| document["tasks"][name]["restarts"].as_u64() >= Some(1))
        });
        while !told(&service, how).is_superset(&restarted) {
            service.wait_for_new_finding();
        }
        service.wait_until("every task working", |service| {
            readiness(service)["failing_tasks"].as_object().is_some_and(serde_json::Map::is_empty)
        });
        let metric = format!("trailhound_task_failures_total{{task=\"detection\",how=\"{how}\"}}");
        assert!(kind == "hang" || service.metric(&metric) >= 1.0, "{kind}");
        assert_eq!(service.stop().0, 0, "{kind}");
    }
    for (kind, how) in KINDS {
        let mut service = start(&program, &format!("ingest={kind}"));
        let (status, _) = service.wait_for_exit();
        assert_eq!(status, 4, "{kind}");
        assert!(told(&service, how).contains("ingest"), "{kind}: {:?}", service.findings);
    }
    let mut service = start(&program, "detection=hang");
    assert_eq!(service.wait_for_exit().0, 4);
    assert!(told(&service, "silent").contains("detection"));
}
