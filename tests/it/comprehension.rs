//! What was understood of the events is counted and shown: by the ingest, the scan, the coverage, the reports and the view
//! `comprehension`.

use crate::support::program::Program;
use serde_json::{Value, json};

/// Events of one account: `good` that are understood, and one whose parameters are not.
fn events(good: usize) -> String {
    let event = |number: usize| {
        json!({
            "eventId": format!("e{number}"), "eventName": "AttachPolicyToUser", "eventType": "ApiCall", "eventRW": "Write",
            "eventTime": format!("2026-09-21T03:{number:02}:00Z"), "serviceName": "Ram", "sourceIpAddress": "198.51.100.7",
            "requestParameters": { "UserName": "u", "PolicyName": "AliyunOSSReadOnlyAccess" },
            "userIdentity": { "type": "ram-user", "accountId": "1000000000000001", "principalId": "21", "userName": "alice" },
        })
    };
    let mut events: Vec<Value> = (0..=good).map(event).collect();
    events[0]["requestParameters"] = json!([[7], { "form": "unknown" }]);
    Value::from(events).to_string()
}

#[test]
fn what_was_not_understood_is_counted_and_shown() {
    let program = Program::new();
    program.write("events.json", events(3));
    let ingested =
        program.run_ok(&["ingest", "--lake", "l", "--json", "events.json"]).json().remove(0);
    let by_source: Vec<&Value> =
        ingested["not_understood"].as_object().expect("sources").values().collect();
    assert_eq!(by_source, [&json!({ "request_parameters": 1 })], "{ingested}");
    let scanned = program.run(&["scan", "--lake", "m", "events.json"]);
    let line = "not understood: facts of 1 of 4 stored events: request_parameters 1";
    assert!(scanned.out.contains(line), "{}", scanned.out);
    assert!(scanned.out.contains("AT-HEALTH-003"), "{}", scanned.out);
    let coverage =
        program.run_ok(&["coverage", "--lake", "m", "--format", "json"]).json().remove(0);
    assert_eq!(coverage["not_understood"], json!({ "request_parameters": 1 }));
    let sql = "SELECT fact, events, read, absent, not_understood FROM comprehension ORDER BY fact";
    let rows = program.run_ok(&["query", "--lake", "m", "--format", "json", "-c", sql]).json();
    let facts: Vec<&str> = rows.iter().filter_map(|row| row["fact"].as_str()).collect();
    let mut all = trailhound_datasets::fact::Fact::ALL.map(|(_, name)| name);
    all.sort_unstable();
    assert_eq!(facts, all);
    for row in &rows {
        let sum =
            ["read", "absent", "not_understood"].map(|state| row[state].as_i64().expect("a count"));
        assert_eq!(sum.iter().sum::<i64>(), 4, "{row}");
    }
    let of = |fact: &str| rows.iter().find(|row| row["fact"] == fact).expect("a fact");
    assert_eq!(of("request_parameters")["not_understood"], 1);
    assert_eq!(of("resources")["absent"], 4);
    let verified = program.run_ok(&["lake", "verify", "--findings", "--lake", "m"]);
    assert!(verified.out.contains("0 differences"), "{}", verified.out);
    let reread = program.run(&["lake", "reread", "--lake", "m"]);
    assert!(reread.err.contains("0 events read anew in 0 files"), "{}", reread.err);
    assert!(reread.out.contains("findings: 0 new, 0 revised"), "{}", reread.out);
}

#[test]
fn nothing_is_said_where_everything_was_understood() {
    let program = Program::new();
    program.write("events.json", events(3).replace(r#"[[7],{"form":"unknown"}]"#, "{}"));
    let scanned = program.run(&["scan", "--lake", "l", "events.json"]);
    assert!(!scanned.out.contains("not understood"), "{}", scanned.out);
    assert!(!scanned.out.contains("AT-HEALTH-003"), "{}", scanned.out);
}

#[test]
fn words_for_nothing_in_a_table_stand_for_nothing() {
    let program = Program::new();
    let header = "eventId,eventName,eventTime,eventType,eventRW,acsRegion,serviceName,sourceIpAddress,errorCode,errorMessage,resourceName,userIdentity.type,userIdentity.accountId,userIdentity.principalId,userIdentity.userName,userIdentity.accessKeyId,requestParameters.InstanceId";
    let row = |id: &str, word: &str| {
        format!(
            "{id},StopInstance,2026-09-21T03:00:00Z,ApiCall,Write,cn-hangzhou,Ecs,198.51.100.7,{word},{word},{word},root-account,1000000000000001,1000000000000001,root,{word},i-bp1"
        )
    };
    let words = ["", "None", "nan", "NaN", "<NA>", "N/A", "nil", "undefined"];
    let rows: Vec<String> =
        words.iter().enumerate().map(|(n, word)| row(&format!("e{n}"), word)).collect();
    program.write("events.csv", format!("{header}\n{}\n", rows.join("\n")));
    let ran = program.run(&["ingest", "--lake", "l", "events.csv"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let sql = "SELECT DISTINCT error_code, error_message, outcome, access_key_id, resource_name, array_to_string(instance_ids, ',') AS ids FROM events";
    let stored = program.run_ok(&["query", "--lake", "l", "--format", "json", "-c", sql]).json();
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert_eq!(stored[0]["outcome"], "success");
    assert_eq!(stored[0]["ids"], "i-bp1");
    for column in ["error_code", "error_message", "access_key_id", "resource_name"] {
        assert_eq!(stored[0][column], Value::Null, "{column}");
    }
}

#[test]
fn records_of_other_vendors_are_no_events() {
    let program = Program::new();
    let record = |more: Value| {
        let mut record = json!({
            "eventId": "x", "eventName": "StopInstances", "eventTime": "2026-09-21T03:00:00Z", "eventType": "ApiCall",
            "eventRW": "Write", "sourceIpAddress": "198.51.100.7",
            "userIdentity": { "type": "root-account", "accountId": "123456789012", "principalId": "1", "userName": "root" },
        });
        for (key, value) in more.as_object().expect("members") {
            record[key] = value.clone();
        }
        record
    };
    let by_vendor = [
        ("AWS CloudTrail", json!({ "eventSource": "ec2.amazonaws.com" })),
        ("Volcengine", json!({ "eventSource": "https://open.volcengineapi.com", "more": 1 })),
        ("Baidu", json!({ "eventSource": "bcc.bj.baidubce.com" })),
        ("JD Cloud", json!({ "resource": "jrn:vm:cn-north-1:1:instance/i-1" })),
        ("UCloud", json!({ "eventSource": "api.ucloud.cn" })),
        ("Tianyi", json!({ "eventSource": "ecs.ctyun.cn" })),
        ("another vendor", json!({ "eventType": "Api", "eventRW": "", "regionId": "cn-1" })),
    ];
    let records: Vec<Value> = by_vendor.iter().map(|(_, more)| record(more.clone())).collect();
    program.write("events.json", Value::from(records).to_string());
    let ran = program.run(&["ingest", "--lake", "l", "events.json"]);
    assert_eq!(ran.status, 3, "{}{}", ran.out, ran.err);
    let sql = "SELECT found FROM quarantine ORDER BY record";
    let found = program.run_ok(&["query", "--lake", "l", "--format", "json", "-c", sql]).json();
    assert_eq!(found.len(), by_vendor.len(), "{found:?}");
    for ((vendor, _), row) in by_vendor.iter().zip(&found) {
        assert!(
            row["found"].as_str().is_some_and(|found| found.contains(vendor)),
            "{vendor}: {row}"
        );
    }
}
