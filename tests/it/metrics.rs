//! Metrics that dashboards and documentation name exist.

use crate::support::program::Program;
use crate::support::service::Service;
use std::collections::BTreeSet;

/// Every `trailhound_...` in `text`, without the suffixes of counters and histograms.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let metrics = words.filter(|word| word.starts_with("trailhound_"));
    let endings = ["_total", "_bucket", "_sum", "_count"];
    metrics
        .map(|name| {
            endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name).to_owned()
        })
        .collect()
}

#[test]
fn documented_metrics_and_exported_metrics_are_the_same() {
    let program = Program::new();
    // The broker is unreachable; the service exports its metrics nevertheless.
    program.write(
        "serve.toml",
        "[service]\nlisten = \"127.0.0.1:0\"\n[[source.kafka]]\nname = \"x\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopics = [\"x\"]\n\
         [[sink]]\nname = \"f\"\n[sink.file]\npath = \"f\"\n\
         [[report]]\nname = \"r\"\nschedule = \"0 0 * * *\"\nperiod = \"day\"\nfolder = \"r\"\n",
    );
    let service = Service::start(&program, "serve.toml", "lake");
    assert_eq!(service.get("/healthz").0, 200);
    assert_eq!(service.get("/readyz").0, 503);
    let exported = |service: &Service| -> BTreeSet<String> {
        let text = service.get("/metrics").1;
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        types.map(str::to_owned).collect()
    };
    let documented = named(include_str!("../../docs/live.md"));
    // Some metrics appear only when the outbox is first counted and the scheduler has started.
    service.wait_until("every documented metric", |service| {
        exported(service).is_superset(&documented)
    });
    let told = exported(&service);
    assert_eq!(documented, told, "docs/live.md");
    let shown = named(include_str!("../../docs/deploy/dashboard.json"));
    assert!(shown.is_subset(&told), "docs/deploy/dashboard.json: {:?}", shown.difference(&told));
    assert_eq!(service.stop().0, 0);
}
