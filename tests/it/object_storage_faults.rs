//! A bucket whose store answers with errors, breaks connections, truncates bodies and delays them.

use crate::support::faulty_proxy::{Done, FAULTS, bad_line};
use crate::support::object_store::{ObjectStore, configure, generated_objects};
use crate::support::program::{Program, expected_findings};
use crate::support::service::Service;

#[test]
fn a_bucket_behind_a_faulty_network_is_read_exactly() {
    let Some(store) = ObjectStore::start() else { return };
    let program = Program::new();
    let objects = generated_objects(&program, "6000", "21");
    let (port, done) = bad_line(store.port());
    configure(&program, &store.source().replace(&store.port().to_string(), &port.to_string()));
    objects.iter().for_each(|(key, content)| store.put(key, content));
    let mut service = Service::start_at_test_time(&program, "serve.toml", "lake");
    let expected = expected_findings(&program.path("g"));
    service.wait_for_records("stored", 6_000);
    service.wait_for_exact_findings(&expected);
    service.wait_until_ready();
    let every = |done: &Done| {
        let done = done.lock().expect("whole");
        FAULTS.iter().all(|fault| done.keys().any(|(is_listing, of)| !is_listing && of == fault))
    };
    assert!(every(&done), "{:?}", done.lock());
    assert_eq!(service.stop(), (0, expected));
    program.run_ok(&["ingest", "g/events", "--lake", "whole"]);
    assert!(
        program.event_keys("lake") == program.event_keys("whole"),
        "the lakes hold other events"
    );
    assert_eq!(program.run(&["lake", "verify", "--lake", "lake"]).status, 0);
}
