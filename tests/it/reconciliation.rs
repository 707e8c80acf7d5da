//! Tests the reconciliation of one trail that two sources deliver, each with missing events.

use crate::support::broker::{Broker, broker};
use crate::support::object_store::{ObjectStore, configure, generated_objects};
use crate::support::program::{Program, expected_findings};
use crate::support::service::Service;
use flate2::read::GzDecoder;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::Value;
use std::collections::BTreeMap;
use trailhound_ingest::source::kafka::TopicProducer;

const EVENTS: usize = 3_000;
/// Events of an object.
const OBJECT: usize = 100;

/// By account, region, hour and source: the number of events, and of those that the source delivered.
type Report = BTreeMap<(String, String, String, String), (u64, u64)>;

/// The events that each source delivers, and the expected report.
struct Ways {
    sls: Vec<Value>,
    bucket: Vec<Value>,
    report: Report,
}

fn place(event: &Value) -> (String, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let account = [&event["userIdentity"]["accountId"], &event["recipientAccountId"]]
        .into_iter()
        .map(text)
        .find(|text| !text.is_empty());
    (
        account.unwrap_or_default(),
        text(&event["acsRegion"]),
        text(&event["eventTime"])[..13].to_owned(),
    )
}

fn split(program: &Program, seed: u64) -> Ways {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut ways = Ways { sls: Vec::new(), bucket: Vec::new(), report: Report::new() };
    for (_, content) in generated_objects(program, &EVENTS.to_string(), &seed.to_string()) {
        for event in serde_json::from_reader::<_, Vec<Value>>(GzDecoder::new(&content[..]))
            .expect("an array")
        {
            let share = rng.random_range(0..100);
            let (account, region, hour) = place(&event);
            for (source, brings) in [("sls", share < 80), ("bucket", share >= 15)] {
                let counts = ways
                    .report
                    .entry((account.clone(), region.clone(), hour.clone(), source.to_owned()))
                    .or_default();
                *counts = (counts.0 + 1, counts.1 + u64::from(brings));
                if brings {
                    if source == "sls" { &mut ways.sls } else { &mut ways.bucket }
                        .push(event.clone());
                }
            }
        }
    }
    assert!(ways.report.values().any(|(events, seen)| seen < events));
    ways
}

/// Removes the hours before a source's first event, for which nothing is expected of it.
fn from_its_first(report: Report) -> Report {
    let mut first: BTreeMap<(String, String), String> = BTreeMap::new();
    for ((account, _, hour, source), (_, seen)) in &report {
        if *seen > 0 {
            let first =
                first.entry((account.clone(), source.clone())).or_insert_with(|| hour.clone());
            *first = first.clone().min(hour.clone());
        }
    }
    let ways = |account: &String| first.keys().filter(|(of, _)| of == account).count();
    let asked = |(account, _, hour, source): &(String, String, String, String)| {
        ways(account) > 1
            && first.get(&(account.clone(), source.clone())).is_some_and(|first| first <= hour)
    };
    report.clone().into_iter().filter(|(key, _)| asked(key)).collect()
}

fn reported(program: &Program) -> Report {
    let ran = program.run(&["lake", "reconcile", "--lake", "lake", "--all", "--format", "json"]);
    assert_eq!(ran.status, 1, "each has missed something\n{}", ran.err);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let count = |value: &Value| value.as_u64().expect("a count");
    let mut report = Report::new();
    for row in ran.json() {
        let key = (
            text(&row["account_id"]),
            text(&row["acs_region"]),
            text(&row["hour"])[..13].to_owned(),
            text(&row["source"]),
        );
        let (events, seen, missed) =
            (count(&row["events"]), count(&row["seen"]), count(&row["missed"]));
        assert_eq!(events, seen + missed);
        assert_eq!(row["status"] == "complete", missed == 0, "{row}");
        assert!(report.insert(key, (events, seen)).is_none(), "{row} stands there twice");
    }
    report
}

struct Trail<'t> {
    program: Program,
    broker: &'t Broker,
    store: ObjectStore,
    topic: String,
    ways: Ways,
}

impl Trail<'_> {
    fn send(&self) {
        let sender = TopicProducer::connect(
            &[("bootstrap.servers".to_owned(), self.broker.servers())].into(),
            &self.topic,
        )
        .expect("a client");
        for event in &self.ways.sls {
            sender.send(None, event.to_string().as_bytes()).expect("sent");
        }
        sender.flush().expect("taken");
    }

    fn put(&self) {
        for (number, events) in self.ways.bucket.chunks(OBJECT).enumerate() {
            let content = Value::from(events.to_vec()).to_string();
            self.store.put(
                &format!("AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30/part-{number}.json"),
                content.as_bytes(),
            );
        }
    }

    fn wait(&self, service: &Service, received: usize) {
        service.wait_for_records("received", received as u64);
    }
}

#[test]
fn events_one_source_missed_are_filled_from_the_other_and_reported() {
    let Some(broker) = broker() else { return };
    for (order, seed) in ["sls first", "bucket first", "at once"].into_iter().zip(31..) {
        let Some(store) = ObjectStore::start() else { return };
        let program = Program::new();
        let ways = split(&program, seed);
        let topic = format!("reconcile-{seed}");
        broker.create_topic(&topic, 2);
        let kafka = format!(
            "[[source.kafka]]\nname = \"sls\"\nbootstrap_servers = \"{}\"\ntopics = [\"{topic}\"]\ngroup_id = \"{topic}\"\n",
            broker.servers()
        );
        configure(&program, &format!("{}\n{kafka}", store.source()));
        let trail = Trail { program, broker, store, topic, ways };
        let mut service = Service::start_at_test_time(&trail.program, "serve.toml", "lake");
        let both = trail.ways.sls.len() + trail.ways.bucket.len();
        match order {
            "sls first" => {
                trail.send();
                trail.wait(&service, trail.ways.sls.len());
                trail.put();
            }
            "bucket first" => {
                trail.put();
                trail.wait(&service, trail.ways.bucket.len());
                trail.send();
            }
            _ => {
                trail.put();
                trail.send();
            }
        }
        trail.wait(&service, both);
        let expected = expected_findings(&trail.program.path("g"));
        service.wait_for_exact_findings(&expected);
        assert_eq!(service.stop(), (0, expected), "{order}: findings doubled or lost");
        let info = trail.program.catalog("lake").info();
        assert_eq!(info["ledger"]["stored"], EVENTS, "{order}");
        assert_eq!(info["copies"], both - EVENTS, "{order}");
        assert_eq!(reported(&trail.program), from_its_first(trail.ways.report.clone()), "{order}");
        assert_eq!(trail.program.catalog("lake").verify().0, [""; 0], "{order}");
        // A repeated delivery by the bucket is no further copy.
        let again = Service::start_at_test_time(&trail.program, "serve.toml", "lake");
        let repeated = Value::from(trail.ways.bucket[..OBJECT].to_vec()).to_string();
        trail
            .store
            .put("AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30/again.json", repeated.as_bytes());
        trail.wait(&again, OBJECT);
        assert_eq!(again.stop().0, 0);
        assert_eq!(
            reported(&trail.program),
            from_its_first(trail.ways.report.clone()),
            "{order}, repeated"
        );
    }
}
