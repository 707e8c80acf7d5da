//! What the service reads of its sources, whatever lies in them, and what it says of a source of which it reads nothing.

use crate::support::broker::broker;
use crate::support::kafka_topic::{event, producer, send};
use crate::support::object_store::{ObjectStore, configure};
use crate::support::program::Program;
use crate::support::service::Service;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The content of an object with one event.
fn object(id: &str) -> Vec<u8> {
    format!("[{}]", event(id)).into_bytes()
}

/// The source of `store` called `name`, with this prefix.
fn source(store: &ObjectStore, name: &str, prefix: &str) -> String {
    let source = store.source_named(name).replace("window_days = 5", "window_days = 2");
    format!("{source}prefix = \"{prefix}\"\n")
}

fn write_config(program: &Program, sources: &str, unread_max_seconds: u64) {
    program.write("g/trailhound.toml", "");
    configure(program, sources);
    let config = std::fs::read_to_string(program.path("serve.toml")).expect("a file");
    let service = format!("[service]\nunread_max_seconds = {unread_max_seconds}\n");
    program.write("serve.toml", config.replace("[service]\n", &service));
}

/// The sources of the lake, as `lake info` shows them, by name.
fn source_info(program: &Program) -> impl Fn(&str) -> Value {
    let ran = program.run_ok(&["lake", "info", "--lake", "lake", "--json"]);
    let info = ran.json().remove(0);
    move |name| {
        let sources = info["sources"].as_array().expect("sources").iter();
        let found = sources.clone().find(|source| source["source"] == name);
        found.unwrap_or_else(|| panic!("no source {name}: {info}")).clone()
    }
}

/// Each bucket: the prefix, the folder above the regions, and keys that lie beside them.
const BUCKETS: [(&str, &str, &[&str]); 11] = [
    ("AliyunLogs", "AliyunLogs/Actiontrail", &[]),
    ("", "AliyunLogs/Actiontrail", &["2026/09/30/monthly-report.txt", "images/a.png"]),
    ("", "logs/a/AliyunLogs/Actiontrail", &["1234/x.txt", "2025/notes.txt"]),
    ("AliyunLogs", "AliyunLogs/Actiontrail", &["AliyunLogs/2026/09/30/report.txt"]),
    ("AliyunLogs", "AliyunLogs/Actiontrail", &["AliyunLogs/Actiontrail/2026/09/30/r.txt"]),
    ("AliyunLogs", "AliyunLogs/Actiontrail/rd-Ab12/1", &["AliyunLogs/2024/scan/x"]),
    ("AliyunLogs", "AliyunLogs/Actiontrail/rd-Ab12/2026", &["AliyunLogs/9999/x"]),
    ("", "AliyunLogs/Actiontrail/rd-Ab12/123456789012345678901", &["2026/01/x"]),
    ("AliyunL", "AliyunLogs/Actiontrail", &["Ali/2026/09/30/x"]),
    ("AliyunLogs/Actiontrail/cn-", "AliyunLogs/Actiontrail", &["x"]),
    ("日志/AliyunLogs", "日志/AliyunLogs/Actiontrail", &["日志/2026/09/30/x"]),
];

#[test]
fn every_layout_of_a_bucket_is_read_and_so_are_late_objects() {
    let Some(first) = ObjectStore::start() else { return };
    let mut stores = vec![first];
    stores.extend((1..BUCKETS.len()).filter_map(|_| ObjectStore::start()));
    let (program, mut sources) = (Program::new(), String::new());
    for (number, (store, (prefix, above, beside))) in stores.iter().zip(BUCKETS).enumerate() {
        let key = format!("{above}/cn-hangzhou/2026/09/30/Actiontrail_20260930231500_1004.json");
        store.put(&key, &object(&format!("{number}-early")));
        beside.iter().for_each(|key| store.put(key, b"no event"));
        sources += &source(store, &format!("s{number}"), prefix);
    }
    write_config(&program, &sources, 300);
    let service = Service::start_at_test_time(&program, "serve.toml", "lake");
    let all = BUCKETS.len() as u64;
    service.wait_for_records("stored", all);
    // Later, under lower keys: the same minute with a lower serial, an hour before, the day before, and in another region.
    for (number, (store, (_, above, _))) in stores.iter().zip(BUCKETS).enumerate() {
        for (late, key) in [
            "cn-hangzhou/2026/09/30/Actiontrail_20260930231500_1002.json",
            "cn-hangzhou/2026/09/30/Actiontrail_20260930221500_1001.json",
            "cn-hangzhou/2026/09/29/Actiontrail_20260929101500_1001.json",
            "cn-beijing/2026/09/30/Actiontrail_20260930101500_1001.json",
        ]
        .iter()
        .enumerate()
        {
            store.put(&format!("{above}/{key}"), &object(&format!("{number}-late{late}")));
        }
    }
    service.wait_for_records("stored", 5 * all);
    service.wait_until_ready();
    assert_eq!(service.stop().0, 0);
    assert_eq!(program.catalog("lake").verify().0, [""; 0]);
    let info = source_info(&program);
    for (number, (_, above, _)) in BUCKETS.iter().enumerate() {
        let survey = &info(&format!("s{number}"))["survey"];
        let roots: Vec<&str> =
            survey["roots"].as_array().expect("roots").iter().filter_map(Value::as_str).collect();
        for region in ["cn-beijing", "cn-hangzhou"] {
            assert!(roots.contains(&format!("{above}/{region}").as_str()), "{survey}");
        }
        assert_eq!(survey["is_read"], true, "{survey}");
    }
    let passed_over = &info("s1")["survey"]["passed_over"][0];
    assert_eq!(
        (&passed_over["count"], &passed_over["example"]),
        (&1.into(), &"images/a.png".into())
    );
}

#[test]
fn a_bucket_of_which_nothing_is_read_is_not_well() {
    let stores: Vec<ObjectStore> = (0..5).filter_map(|_| ObjectStore::start()).collect();
    let [wrong, foreign, old, empty, good] = stores.as_slice() else { return };
    let (program, trail) = (Program::new(), "AliyunLogs/Actiontrail/cn-hangzhou/2026");
    wrong.put(&format!("{trail}/09/30/a.json"), &object("wrong"));
    foreign.put("2026/09/30/report.txt", b"no event");
    old.put(&format!("{trail}/01/02/a.json"), &object("old"));
    good.put(&format!("{trail}/09/30/a.json"), &object("good"));
    let sources = [
        source(wrong, "wrong", "AliyunLogs/Actiontrail/cn-shanghai"),
        source(foreign, "foreign", ""),
        source(old, "old", "AliyunLogs"),
        source(empty, "empty", "AliyunLogs"),
        source(good, "good", "AliyunLogs"),
    ];
    write_config(&program, &sources.concat(), 1);
    let mut service = Service::start_at_test_time(&program, "serve.toml", "lake");
    service.wait_for_records("stored", 1);
    service.wait_for_log("nothing of a source is read");
    let failing = |service: &Service| -> Value {
        serde_json::from_str::<Value>(&service.get("/readyz").1).expect("JSON")["failing_sources"]
            .clone()
    };
    service.wait_until("the three sources", |service| {
        let failing = failing(service);
        failing.as_object().is_some_and(|failing| failing.len() == 3)
            && ["wrong", "foreign", "old"].iter().all(|name| failing[name].is_string())
    });
    let told = failing(&service);
    for (name, seen) in [("wrong", "`AliyunLogs/Actiontrail/cn-hangzhou`"), ("foreign", "1 listed")]
    {
        let text = told[name].as_str().expect("text");
        assert!(text.contains("nothing of it has been read") && text.contains(seen), "{text}");
    }
    assert_eq!(service.get("/readyz").0, 503);
    let info = program.run_ok(&["lake", "info", "--lake", "lake"]).out;
    assert_eq!(info.matches("NOTHING OF IT IS READ").count(), 3, "{info}");
    // What is read is well, and the others stay as they are.
    foreign.put(&format!("{trail}/09/30/a.json"), &object("foreign"));
    old.put(&format!("{trail}/09/30/b.json"), &object("new"));
    service.wait_for_records("stored", 3);
    service.wait_until("only the wrong prefix", |service| {
        failing(service).as_object().is_some_and(|failing| failing.keys().eq(["wrong"]))
    });
    assert_eq!(service.stop().0, 0);
}

/// A member of the group that holds the partitions of `topic` and reads nothing.
fn hold_partitions(servers: &str, topic: &str, stop: &Arc<AtomicBool>) {
    let mut config = ClientConfig::new();
    // The partition goes to the first member by name.
    config
        .set("bootstrap.servers", servers)
        .set("group.id", topic)
        .set("client.id", "a")
        .set("partition.assignment.strategy", "range,roundrobin")
        .set("enable.auto.commit", "false");
    let member: BaseConsumer = config.create().expect("a client");
    member.subscribe(&[topic]).expect("subscribed");
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            drop(member.poll(Duration::from_millis(100)));
        }
    });
}

#[test]
fn a_topic_of_which_nothing_is_read_is_not_well() {
    let Some(broker) = broker() else { return };
    let servers = broker.servers();
    let (program, stop) = (Program::new(), Arc::new(AtomicBool::new(false)));
    let mut sources = String::new();
    for topic in ["unread-good", "unread-junk", "unread-held", "unread-empty"] {
        broker.create_topic(topic, 1);
        sources += &format!(
            "[[source.kafka]]\nname = \"{topic}\"\nbootstrap_servers = \"{servers}\"\ntopics = [\"{topic}\"]\ngroup_id = \"{topic}\"\n"
        );
    }
    let client = producer(&servers, &[]);
    send(&client, "unread-good", 0, &[event("a")]);
    send(&client, "unread-junk", 0, &["no event".to_owned()]);
    send(&client, "unread-held", 0, &[event("b")]);
    hold_partitions(&servers, "unread-held", &stop);
    broker.wait_for_members("unread-held", 1);
    write_config(&program, &sources, 1);
    let service = Service::start_at_test_time(&program, "serve.toml", "lake");
    service.wait_until("two topics of which nothing is read", |service| {
        let ready: Value = serde_json::from_str(&service.get("/readyz").1).expect("JSON");
        let is_unread = |name: &str| {
            let text = ready["failing_sources"][name].as_str().unwrap_or_default();
            text.contains("nothing of it has been read")
        };
        let is_well = |name: &str| ready["failing_sources"][name].is_null();
        is_unread("unread-junk") && is_unread("unread-held") && is_well("unread-good")
    });
    // The member that held the partition leaves.
    stop.store(true, Ordering::Relaxed);
    service.wait_for_records("stored", 2);
    service.wait_until("the topic is read", |service| {
        let ready: Value = serde_json::from_str(&service.get("/readyz").1).expect("JSON");
        ready["failing_sources"]
            .as_object()
            .is_some_and(|failing| failing.keys().eq(["unread-junk"]))
    });
    assert_eq!(service.stop().0, 0);
    let info = source_info(&program);
    assert_eq!(info("unread-good")["survey"]["roots"][0], "unread-good/0");
    assert_eq!(info("unread-empty")["survey"]["has_content"], false);
}

#[test]
fn an_endpoint_that_no_client_can_use_is_refused_by_name() {
    let program = Program::new();
    let config = |endpoint: &str, more: &str| {
        format!(
            "[[source.oss]]\nname = \"b\"\nbucket = \"trail\"\nregion = \"r\"\nendpoint = \"{endpoint}\"\n{more}"
        )
    };
    for (text, named) in [
        (config("http://127.0.0.1:1", ""), "virtual_hosted = false"),
        (config("http://[::1]:1", ""), "virtual_hosted = false"),
        (config("http://host/folder", ""), "`prefix`"),
        (config("http://host", "prefix = \"a//b\""), "`prefix`"),
        (config("host", ""), "`endpoint`"),
    ] {
        program.write("serve.toml", &text);
        let ran = program.run(&["--config", "serve.toml", "serve", "--lake", "lake"]);
        assert!(ran.status == 2 && ran.err.contains(named), "{text}\n{}", ran.err);
        assert!(ran.err.contains("[[source.oss]] `b`"), "{}", ran.err);
    }
}

#[test]
fn an_account_of_which_no_event_comes_is_a_finding_with_the_day_it_was_last_seen() {
    let Some(store) = ObjectStore::start() else { return };
    let program = Program::new();
    let event = |account: &str, day: u32| {
        format!(
            r#"{{"eventId":"{account}-{day}","eventName":"DescribeInstances","eventTime":"2026-09-{day}T10:00:00Z","recipientAccountId":"{account}"}}"#
        )
    };
    let mut events: Vec<String> = (20..=29).map(|day| event("1", day)).collect();
    events.extend([20, 21, 22].map(|day| event("2", day)));
    program.write("events.json", format!("[{}]", events.join(",")));
    program.run_ok(&["ingest", "events.json", "--lake", "lake"]);
    let accounts =
        "[parameters]\naccounts = { \"1\" = \"one\", \"2\" = \"two\", \"3\" = \"three\" }\n";
    write_config(&program, &format!("{}\n{accounts}", store.source()), 1);
    let mut service = Service::start_at_test_time(&program, "serve.toml", "lake");
    let of = |account: &'static str, status: &'static str| {
        move |finding: &Value| {
            finding["rule_id"] == "AT-HEALTH-004"
                && finding["account_id"] == account
                && finding["status"] == status
        }
    };
    let mut why = |account| service.wait_for_finding(of(account, "open"))["why"][0].to_string();
    let (two, three) = (why("2"), why("3"));
    assert!(two.contains("its last event is of 2026-09-22") && two.contains("2026-09-29"), "{two}");
    assert!(three.contains("no event of it was ever stored"), "{three}");
    // It speaks again.
    let again = format!("[{}]", event("2", 30));
    store.put("AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30/b.json", again.as_bytes());
    service.wait_for_finding(of("2", "withdrawn"));
    assert_eq!(service.stop().0, 0);
}
