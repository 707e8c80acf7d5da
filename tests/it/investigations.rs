//! Saved investigations over a story with known answers in everyday traffic.

use crate::support::program::{Program, text};
use crate::support::template::{copy_of, generate};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use trailhound_queries::packs::investigations;

const ACCOUNT: &str = "1000000000000001";
const BOB_FROM: &str = "198.51.100.7";
const KEY: &str = "LTAI5tInvestigated00001";

fn person(name: &str) -> Value {
    json!({ "type": "ram-user", "accountId": ACCOUNT, "principalId": format!("29{name}"), "userName": name })
}

/// A call of `who` in the console.
fn call(id: &str, time: &str, service: &str, name: &str, who: &Value, parameters: Value) -> Value {
    let mut event = json!({
        "eventId": id, "eventTime": time, "eventName": name, "eventType": "ApiCall", "serviceName": service, "acsRegion": "cn-hangzhou",
        "eventRW": "Write", "sourceIpAddress": BOB_FROM, "userAgent": "Apache-HttpClient/4.5.13", "userIdentity": who,
        "requestParameters": parameters,
    });
    if let Some(instance) = parameters_instance(&event) {
        event["referencedResources"] = json!({ "ACS::ECS::Instance": [instance] });
    }
    event
}

fn parameters_instance(event: &Value) -> Option<String> {
    event["requestParameters"]["InstanceId"].as_str().map(str::to_owned)
}

fn with(mut event: Value, key: &str, value: impl Into<Value>) -> Value {
    event[key] = value.into();
    event
}

/// The platform releases an instance.
fn released(id: &str, time: &str, instance: &str) -> Value {
    let event = call(id, time, "Ecs", "Release", &json!({ "type": "system" }), json!({}));
    let event = with(with(event, "eventType", "AliyunServiceEvent"), "recipientAccountId", ACCOUNT);
    with(event, "referencedResources", json!({ "ACS::ECS::Instance": [instance] }))
}

/// Weeks before: how the instances were created.
fn weeks_before() -> Vec<Value> {
    let (alice, bob) = (person("alice"), person("bob"));
    let of = |instance: &str| json!({ "InstanceId": instance });
    vec![
        call("made-guest", "2026-09-01T08:00:00Z", "Ecs", "RunInstances", &alice, of("i-bp1guest")),
        with(
            call("made-far", "2026-09-01T08:01:00Z", "Ecs", "RunInstances", &alice, of("i-bp1far")),
            "acsRegion",
            "us-east-9",
        ),
        call("early-bob", "2026-09-02T08:00:00Z", "Ecs", "DescribeInstances", &bob, json!({})),
        call(
            "set",
            "2026-09-20T08:00:00Z",
            "Ecs",
            "ModifyInstanceAutoReleaseTime",
            &alice,
            json!({ "InstanceId": "i-bp1schedule", "AutoReleaseTime": "2026-09-28T03:00:00Z" }),
        ),
    ]
}

/// The night: commands, refusals, stops and releases.
fn night() -> Vec<Value> {
    let (alice, bob, carol) = (person("alice"), person("bob"), person("carol"));
    let of = |instance: &str| json!({ "InstanceId": instance });
    vec![
        call("command", "2026-09-28T01:50:00Z", "Ecs", "RunCommand", &carol, of("i-bp1guest")),
        with(
            call(
                "denied",
                "2026-09-28T01:55:00Z",
                "Ecs",
                "StopInstance",
                &carol,
                of("i-bp1denied"),
            ),
            "errorCode",
            "Forbidden.RAM",
        ),
        with(
            call(
                "asked",
                "2026-09-28T01:56:00Z",
                "Ecs",
                "StopInstance",
                &carol,
                json!({ "InstanceId": "i-bp1denied", "DryRun": true }),
            ),
            "errorCode",
            "DryRunOperation",
        ),
        call("stopped", "2026-09-28T02:00:00Z", "Ecs", "StopInstance", &bob, of("i-bp1operator")),
        call(
            "started",
            "2026-09-28T02:30:00Z",
            "Ecs",
            "StartInstance",
            &alice,
            of("i-bp1operator"),
        ),
        released("scheduled", "2026-09-28T03:00:30Z", "i-bp1schedule"),
        released("unannounced", "2026-09-28T03:10:00Z", "i-bp1platform"),
    ]
}

/// Other activity of the night: sign-ins, keys and the root account.
fn other_activity() -> Vec<Value> {
    let (alice, bob) = (person("alice"), person("bob"));
    let mut dave = person("dave");
    dave["accessKeyId"] = KEY.into();
    let root = json!({ "type": "root-account", "accountId": ACCOUNT, "principalId": ACCOUNT, "userName": "root" });
    let sign_in = |id: &str, time: &str, error: &str| {
        let event = with(
            call(id, time, "AasSub", "ConsoleSignin", &alice, json!({})),
            "eventType",
            "ConsoleSignin",
        );
        with(
            with(event, "errorCode", error),
            "additionalEventData",
            json!({ "mfaChecked": "true" }),
        )
    };
    vec![
        sign_in("in", "2026-09-28T01:00:00Z", ""),
        sign_in("not-in", "2026-09-28T00:59:00Z", "Authentication.Failed"),
        with(
            call(
                "attached",
                "2026-09-28T02:10:00Z",
                "Ram",
                "AttachPolicyToUser",
                &bob,
                json!({ "UserName": "dave", "PolicyName": "Sweeping" }),
            ),
            "sourceIpAddress",
            "203.0.113.9",
        ),
        with(
            call("keyed", "2026-09-28T02:20:00Z", "Oss", "PutBucketAcl", &dave, json!({})),
            "sourceIpAddress",
            "192.0.2.77",
        ),
        with(
            call("keyed-failed", "2026-09-28T02:21:00Z", "Oss", "PutBucketAcl", &dave, json!({})),
            "errorCode",
            "AccessDenied",
        ),
        call("rooted", "2026-09-28T04:00:00Z", "Ecs", "DescribeRegions", &root, json!({})),
    ]
}

/// All events of the story.
fn story() -> Vec<Value> {
    [weeks_before(), night(), other_activity()].concat()
}

fn investigated() -> Program {
    copy_of("investigated", |program| {
        generate(program, &["--events", "3000", "--seed", "31", "--days", "10", "--story", "none"]);
        program.write("story.json", serde_json::to_vec(&story()).expect("JSON"));
        program.run_ok(&["scan", "g/events", "story.json", "--lake", "l"]);
    })
}

fn ask(program: &Program, name: &str, parameters: &[&str]) -> Vec<Value> {
    let mut args = vec!["investigate", name, "--lake", "l", "--format", "json"];
    for parameter in parameters {
        args.extend(["--param", parameter]);
    }
    program.run_ok(&args).json()
}

fn ids(rows: &[Value]) -> Vec<String> {
    rows.iter().filter_map(|row| row["event_id"].as_str()).map(str::to_owned).collect()
}

#[test]
fn who_stopped_gives_the_right_verdict_for_each_cause() {
    let program = investigated();
    let verdict = |parameters: &[&str]| {
        let rows = ask(&program, "who_stopped", parameters);
        let last = rows.last().expect("a verdict");
        assert_eq!(last["part"], "verdict");
        (text(&last["what"]), text(&last["evidence"]), ids(&rows))
    };
    let (what, evidence, events) = verdict(&["instance=i-bp1operator"]);
    assert_eq!(
        (what.as_str(), events),
        ("operator found", vec!["stopped".to_owned(), "started".to_owned()])
    );
    assert!(
        evidence.contains("by bob")
            && evidence.contains(BOB_FROM)
            && evidence.contains("2026-09-28T02:00:00Z"),
        "{evidence}"
    );
    let (what, evidence, _) = verdict(&["instance=i-bp1schedule"]);
    assert_eq!(what, "scheduled release");
    assert!(evidence.contains("as alice had set it at 2026-09-20T08:00:00Z"), "{evidence}");
    let (what, _, events) = verdict(&["instance=i-bp1platform"]);
    assert_eq!((what.as_str(), events), ("platform event", vec!["unannounced".to_owned()]));
    let (what, evidence, events) = verdict(&["instance=i-bp1guest"]);
    assert_eq!((what.as_str(), events), ("guest or host cause", vec!["command".to_owned()]));
    assert!(
        evidence.contains("RunCommand by carol")
            && evidence.contains("from cn-hangzhou the trail has"),
        "{evidence}"
    );
    // Refused calls and dry runs stop nothing.
    let (what, _, events) = verdict(&["instance=i-bp1denied"]);
    assert_eq!(
        (what.as_str(), events),
        ("guest or host cause", vec!["denied".to_owned(), "asked".to_owned()])
    );
    // A region without events; an unknown instance, with and without its region.
    let (what, evidence, _) = verdict(&["instance=i-bp1far"]);
    assert_eq!(what, "not visible");
    assert!(evidence.contains("from us-east-9 the trail has 0 event(s)"), "{evidence}");
    let (what, evidence, _) = verdict(&["instance=i-bp1nowhere"]);
    assert_eq!(what, "not visible");
    assert!(evidence.contains("no event has ever named the instance"), "{evidence}");
    assert_eq!(verdict(&["instance=i-bp1nowhere", "region=cn-hangzhou"]).0, "guest or host cause");
    // Before that night nobody had stopped it.
    assert_eq!(
        verdict(&["instance=i-bp1operator", "since=2026-09-25", "until=2026-09-28T02:00:00Z"]).0,
        "guest or host cause"
    );
}

#[test]
fn activity_of_a_principal_key_and_address_is_found() {
    let program = investigated();
    assert_eq!(
        ids(&ask(&program, "principal_timeline", &["principal=bob", "since=-30d"])),
        ["early-bob", "stopped", "attached"]
    );
    assert_eq!(
        ids(&ask(
            &program,
            "principal_timeline",
            &["principal=29bob", "since=-7d", "account=1000000000000001"]
        )),
        ["stopped", "attached"]
    );
    assert!(
        ask(
            &program,
            "principal_timeline",
            &["principal=bob", "account=1000000000000009", "since=-30d"]
        )
        .is_empty()
    );
    let summary = ask(&program, "principal_summary", &["principal=dave"]);
    let facts: BTreeMap<(String, String), (i64, i64)> = summary
        .iter()
        .map(|row| {
            let value = row["value"].as_str().unwrap_or_default().to_owned();
            (
                (text(&row["facet"]), value),
                (
                    row["events"].as_i64().expect("a number"),
                    row["failures"].as_i64().expect("a number"),
                ),
            )
        })
        .collect();
    let fact = |facet: &str, value: &str| facts.get(&(facet.to_owned(), value.to_owned())).copied();
    assert_eq!(fact("all", ""), Some((2, 1)));
    assert_eq!(fact("address", "192.0.2.77"), Some((1, 0)));
    assert_eq!(fact("service", "Oss"), Some((2, 1)));
    assert_eq!(fact("access key", "LTAI****0001"), Some((2, 1)));
    assert_eq!(fact("error", "AccessDenied"), Some((1, 1)));
    let key = ask(&program, "access_key", &[&format!("access_key={KEY}")]);
    let from: Vec<(&str, i64)> = key
        .iter()
        .map(|row| {
            (
                row["source_ip_address"].as_str().expect("text"),
                row["events"].as_i64().expect("a number"),
            )
        })
        .collect();
    assert_eq!(from, [("192.0.2.77", 1), (BOB_FROM, 1)]);
    let address = ask(&program, "address", &["address=203.0.113.9", "since=2026-09-28T02:00:00Z"]);
    assert!(
        address
            .iter()
            .any(|row| row["user_name"] == "bob" && row["event_name"] == "AttachPolicyToUser"),
        "{address:?}"
    );
}

#[test]
fn changes_to_resources_sign_ins_and_permissions_are_found() {
    let program = investigated();
    assert_eq!(
        ids(&ask(&program, "resource_changes", &["resource=i-bp1operator"])),
        ["stopped", "started"]
    );
    let sign_ins = ask(&program, "sign_ins", &["user=alice"]);
    let seen: Vec<_> = sign_ins
        .iter()
        .map(|row| (text(&row["event_id"]), text(&row["outcome"]), text(&row["mfa"])))
        .collect();
    let expected = [("not-in", "failure"), ("in", "success")]
        .map(|(id, outcome)| (id.to_owned(), outcome.to_owned(), "yes".to_owned()));
    assert_eq!(seen, expected);
    let root = ask(
        &program,
        "root_use",
        &["account=1000000000000001", "since=2026-09-28T03:59:00Z", "until=2026-09-28T04:01:00Z"],
    );
    assert!(
        root.len() == 1 && root[0]["event_name"] == "DescribeRegions" && root[0]["events"] == 1,
        "{root:?}"
    );
    let rights = ask(
        &program,
        "permission_changes",
        &["since=2026-09-28T02:00:00Z", "until=2026-09-28T03:00:00Z", "account=1000000000000001"],
    );
    let attached = rights.iter().find(|row| row["event_id"] == "attached").expect("the change");
    assert_eq!(
        (&attached["operator"], &attached["whom"], &attached["policy"]),
        (&json!("bob"), &json!("dave"), &json!("Sweeping"))
    );
    let failed = ask(&program, "failed_calls", &[]);
    let of_carol = failed.iter().find(|row| row["operator"] == "carol").expect("a row");
    // A dry run is not a failure.
    assert_eq!(
        (&of_carol["error_code"], &of_carol["failures"]),
        (&json!("Forbidden.RAM"), &json!(1))
    );
}

#[test]
fn member_record_new_this_week_and_around_finding_are_correct() {
    let program = investigated();
    let record = ask(&program, "member_record", &["since=2026-09-01", "account=1000000000000001"]);
    let of = |name: &str| {
        record
            .iter()
            .filter(|row| row["user_name"] == name)
            .map(|row| row["events"].as_i64().expect("a number"))
            .sum::<i64>()
    };
    let counted = |name: &str| {
        program.query_number("l", &format!("SELECT count(*) FROM events WHERE user_name = '{name}' AND account_id = '{ACCOUNT}'"))
    };
    for name in ["alice", "bob", "carol", "dave"] {
        assert_eq!(of(name), counted(name), "{name}");
    }
    let new = ask(&program, "new_this_week", &[]);
    let names: BTreeSet<(String, String)> =
        new.iter().map(|row| (text(&row["kind"]), text(&row["value"]))).collect();
    let has = |kind: &str, value: &str| names.contains(&(kind.to_owned(), value.to_owned()));
    assert!(
        has("principal", "29carol")
            && has("access key", "LTAI****0001")
            && has("address", "192.0.2.77")
            && has("call", "Ram attachpolicytouser")
    );
    // Seen before, so not new.
    assert!(!has("principal", "29bob") && !has("principal", "29alice"), "{names:?}");
    let found = program
        .run_ok(&[
            "query",
            "--lake",
            "l",
            "--format",
            "json",
            "-c",
            "SELECT finding_id, event_ids FROM findings WHERE rule_id = 'AT-ECS-001'",
        ])
        .json();
    let stop = found
        .iter()
        .find(|row| row["event_ids"] == json!(["stopped"]))
        .expect("a finding of the stop");
    let around =
        ask(&program, "around_finding", &[&format!("finding={}", text(&stop["finding_id"]))]);
    let related: BTreeMap<String, String> =
        around.iter().map(|row| (text(&row["event_id"]), text(&row["relation"]))).collect();
    assert_eq!(related.get("stopped").map(String::as_str), Some("finding"));
    assert_eq!(related.get("attached").map(String::as_str), Some("same principal"));
    assert_eq!(related.get("started").map(String::as_str), Some("same address"));
    assert!(!related.contains_key("rooted") && !related.contains_key("keyed"), "{related:?}");
}

#[test]
fn investigations_are_listed_shown_and_report_wrong_parameters() {
    let program = investigated();
    let list = program.run_ok(&["investigate"]);
    for one in investigations::built_in().expect("investigations") {
        assert!(
            list.out.contains(&one.name) && list.out.contains(&one.question.zh),
            "{}",
            one.name
        );
    }
    assert!(
        program
            .run_ok(&["investigate", "who_stopped", "--show"])
            .out
            .contains("--param instance=...  Instance id")
    );
    for (args, says) in [
        (vec!["investigate", "who_stoped"], "did you mean `who_stopped`?"),
        (vec!["investigate", "who_stopped", "--lake", "l"], "needs `--param instance="),
        (
            vec![
                "investigate",
                "who_stopped",
                "--lake",
                "l",
                "--param",
                "instance=x",
                "--param",
                "when=now",
            ],
            "no parameter `when`",
        ),
        (
            vec![
                "investigate",
                "who_stopped",
                "--lake",
                "l",
                "--param",
                "instance=x",
                "--param",
                "since=soon",
            ],
            "`since` is `soon`",
        ),
    ] {
        let refused = program.run(&args);
        assert!(refused.status == 2 && refused.err.contains(says), "{args:?}: {}", refused.err);
    }
    // Parameters are bound, never inserted into the statement.
    let rows = ask(&program, "principal_timeline", &["principal=x' OR 1=1 --", "since=-30d"]);
    assert!(rows.is_empty(), "{rows:?}");
}

#[test]
fn the_investigations_page_is_generated() {
    let page =
        investigations::investigations_page(&investigations::built_in().expect("investigations"));
    crate::support::golden::assert_written("docs/investigations.md", &page);
}

#[test]
fn a_user_folder_adds_investigations() {
    let program = investigated();
    program.write("c.toml", "[investigations]\nfolder = \"own\"\n");
    let head = "--! question = { en = \"Who called it?\", zh = \"谁调用了？\" }\n--! when = \"Often.\"\n--! next = []\n--! [parameters.name]\n--! meaning = \"The call.\"\n";
    program.write(
        "own/who_called.sql",
        format!("{head}SELECT event_id FROM events WHERE event_name = $name ORDER BY event_id"),
    );
    program.write("own/writes.sql", head.replace("name", "x") + "DROP TABLE events");
    program.write("own/broken.sql", "SELECT 1");
    program.write("own/root_use.sql", format!("{head}SELECT $name"));
    program.write("own/notes.txt", "");
    let run = |args: &[&str]| program.run(&[&["--config", "c.toml", "investigate"], args].concat());
    let listed = run(&[]);
    assert!(
        listed.status == 0
            && listed.out.contains("who_called")
            && listed.out.contains("who_stopped"),
        "{}",
        listed.out
    );
    for says in ["`broken`", "there is an investigation `root_use` already"] {
        assert!(listed.err.contains(says), "{}", listed.err);
    }
    let ran = run(&["who_called", "--lake", "l", "--param", "name=RunCommand", "--format", "json"]);
    assert_eq!((ran.status, ids(&ran.json())), (0, vec!["command".to_owned()]), "{}", ran.err);
    // It passes the same SQL guard as an ad-hoc statement.
    let ran = run(&["writes", "--lake", "l", "--param", "x=1"]);
    assert!(
        ran.status == 2 && program.query_number("l", "SELECT count(*) FROM events") > 3000,
        "{}",
        ran.err
    );
    program.write("c.toml", "[investigations]\nfolder = \"nowhere\"\n");
    let ran = run(&[]);
    assert!(ran.status == 2 && ran.err.contains("nowhere"), "{}", ran.err);
}
