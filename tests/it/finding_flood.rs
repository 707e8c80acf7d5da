//! More findings than anybody reads: a chat group receives counts, programs receive each finding, and nothing is dropped.

use crate::support::broker::{broker, each_message};
use crate::support::http_receiver::{HttpReceiver, Reply};
use crate::support::kafka_pipeline::KafkaPipeline;
use crate::support::program::text;
use crate::support::service::Service;
use crate::support::waiting::wait_for;
use serde_json::Value;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Waits until the metric `name` is at least `least`. Fails only when the metric stops growing.
fn grows_to(service: &Service, name: &str, least: u64) {
    let mut last = 0;
    while last < least {
        last = wait_for(
            || Some(service.metric(name) as u64).filter(|now| *now > last),
            || format!("{name} stays at {last} of {least}\n{}", service.get("/metrics").1),
        );
    }
}

/// Somebody makes a key: a finding for each who does.
fn key_made(number: u64, time: chrono::DateTime<chrono::Utc>) -> String {
    let time = time.format("%Y-%m-%dT%H:%M:%SZ");
    format!(
        "{{\"eventId\":\"flood-{number}\",\"eventVersion\":\"1\",\"eventName\":\"CreateAccessKey\",\"serviceName\":\"Ram\",\"eventType\":\"ApiCall\",\
         \"eventTime\":\"{time}\",\"eventRW\":\"Write\",\"acsRegion\":\"cn-hangzhou\",\"sourceIpAddress\":\"203.0.113.7\",\
         \"userAgent\":\"AlibabaCloud (linux; amd64)\",\"requestParameters\":{{\"UserName\":\"user-{number}\"}},\"userIdentity\":{{\
         \"type\":\"ram-user\",\"principalId\":\"2{number:017}\",\"accountId\":\"1000000000000001\",\"userName\":\"user-{number}\"}}}}"
    )
}

#[test]
fn a_flood_of_findings_is_grouped_in_chat_and_complete_in_file_and_topic() {
    let Some(broker) = broker() else { return };
    let findings: u64 = std::env::var("TRAILHOUND_FLOOD")
        .ok()
        .and_then(|findings| findings.parse().ok())
        .unwrap_or(20_000);
    let pipeline = KafkaPipeline::new(broker, "flood", 1, 100, 9);
    broker.create_topic("flood-told", 1);
    let group =
        HttpReceiver::start(|_, _| Reply::Respond(200, "", r#"{"errcode":0,"errmsg":"ok"}"#));
    pipeline.program.write("group", format!("http://127.0.0.1:{}/robot", group.port));
    pipeline.add_configuration(&format!(
        "[[sink]]\nname = \"file\"\n[sink.file]\npath = \"told/findings.jsonl\"\n\
         [[sink]]\nname = \"topic\"\n[sink.kafka]\nbootstrap_servers = \"{}\"\ntopic = \"flood-told\"\n\
         [[sink]]\nname = \"group\"\n[sink.dingtalk]\nurl = \"file:group\"\nprivate_allowed = [\"127.0.0.1/32\"]\n",
        broker.servers()
    ));
    let service = pipeline.start_service().discard_findings();
    let settings = [("bootstrap.servers".to_owned(), broker.servers())].into();
    let sender = trailhound_ingest::source::kafka::TopicProducer::connect(&settings, "flood")
        .expect("a client");
    let hour_ago = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    for number in 0..findings {
        let time =
            hour_ago + chrono::TimeDelta::milliseconds(3_500_000 * number as i64 / findings as i64);
        sender.send(None, key_made(number, time).as_bytes()).expect("sent");
    }
    sender.flush().expect("sent");
    grows_to(&service, "trailhound_records_total{fate=\"stored\"}", findings);
    for sink in ["file", "topic", "group"] {
        grows_to(
            &service,
            &format!("trailhound_deliveries_total{{sink=\"{sink}\",outcome=\"delivered\"}}"),
            findings,
        );
    }
    service.wait_until("nothing waits", |_| pipeline.outbox(None, Some("pending")).is_empty());
    let sent = pipeline.outbox(Some("topic"), Some("delivered")).len();
    let said = group.requests();
    assert!(
        (said.len() as u64) < findings / 100,
        "{} messages for {findings} findings",
        said.len()
    );
    let counted: u64 =
        said.iter().map(|request| told(&text(&request.json()["text"]["content"]))).sum();
    assert!(counted >= findings, "the group was told of {counted}");
    assert_eq!(service.stop().0, 0);
    // Each of them by itself, once, in what programs read.
    let of_rule = "SELECT count(*) FROM findings WHERE rule_id = 'AT-CRED-001' AND status = 'open'";
    assert_eq!(pipeline.program.query_number("lake", of_rule) as u64, findings);
    let (mut ids, lines) = written(&pipeline.program.path("told"));
    assert_eq!((ids.len() as u64, lines), (findings, findings));
    // And each can still be looked up.
    let first = ids.iter().next().expect("one").clone();
    let found = format!("SELECT count(*) FROM findings WHERE finding_id = '{first}'");
    assert_eq!(pipeline.program.query_number("lake", &found), 1);
    each_message(&broker.servers(), "flood-told", sent, |id, _| {
        ids.remove(&id);
    });
    assert!(
        ids.is_empty(),
        "the topic lacks {} of them, {:?} for one",
        ids.len(),
        ids.iter().next()
    );
}

/// The ids of the rule's findings in the files of `folder`, and how many lines report them.
fn written(folder: &Path) -> (HashSet<String>, u64) {
    let (mut ids, mut lines) = (HashSet::new(), 0);
    for file in std::fs::read_dir(folder).expect("a folder") {
        let file = std::fs::File::open(file.expect("a file").path()).expect("a file");
        for line in BufReader::new(file).lines() {
            let finding: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
            if finding["rule_id"] == "AT-CRED-001" {
                lines += 1;
                ids.insert(text(&finding["finding_id"]));
            }
        }
    }
    (ids, lines)
}

/// Returns the number of findings that a message reports.
fn told(message: &str) -> u64 {
    let first = message.lines().next().unwrap_or_default();
    match first.strip_suffix(" findings") {
        Some(many) => many
            .rsplit(' ')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("{first}")),
        None => 1,
    }
}
