//! Commands over findings: verification, risk, incidents, suppressions, coverage.

use crate::support::program::{Program, text};
use crate::support::sign_ins::{ACCOUNT, sign_in, with_sign_ins};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn verify_derives_findings_again_and_compares_them() {
    let program = with_sign_ins("");
    let verify = |more: &[&str]| {
        program.run(&[&["lake", "verify", "--findings", "--lake", "l"], more].concat())
    };
    let sound = verify(&[]);
    assert_eq!(sound.status, 0, "{}{}", sound.out, sound.err);
    assert!(sound.out.contains(" 0 differences"), "{}", sound.out);
    // An event that no rule has evaluated.
    program.write(
        "late.json",
        serde_json::to_vec(&[sign_in("late", "2026-09-26T10:00:00Z", "dora", Some(false), None)])
            .expect("JSON"),
    );
    program.run_ok(&["ingest", "late.json", "--lake", "l"]);
    let behind = verify(&[]);
    assert_eq!(behind.status, 1);
    assert!(
        behind.out.contains("DIFFERENCE AT-LOGIN-001") && behind.out.contains("is not kept"),
        "{}",
        behind.out
    );
    assert!(behind.err.contains("Not every rule has run over all events"), "{}", behind.err);
    assert_eq!(verify(&["--until", "2026-09-26"]).status, 0, "what is elsewhere does not count");
    program.run_ok(&["detect", "--lake", "l"]);
    assert_eq!(verify(&[]).status, 0);
    // Other parameters, other findings.
    let exception = r#"[parameters]
        allowed_principals = [{ rule = "AT-LOGIN-001", user_name = "alice", expires = "2026-12-31", reason = "known" }]"#;
    program.write("trailhound.toml", exception);
    let told = verify(&[]).err;
    assert!(told.contains("trailhound.toml. Other parameters give other findings"), "{told}");
    let changed = verify(&["--json"]).json();
    let kinds: BTreeSet<String> = changed[0]["differences"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|difference| text(&difference["difference"]))
        .collect();
    assert_eq!(kinds, BTreeSet::from(["not_found".to_owned(), "not_kept".to_owned()]));
}

#[test]
fn filters_on_findings_give_the_same_rows_in_catalog_and_engine() {
    let program = with_sign_ins("");
    let count = |condition: &str| {
        program.query_number("l", &format!("SELECT count(*) FROM findings WHERE {condition}"))
    };
    // The catalog evaluates the left condition; the right one hides its column, so the query engine evaluates it.
    let first = program
        .run_ok(&[
            "query",
            "--lake",
            "l",
            "--format",
            "csv",
            "-c",
            "SELECT min(first_seen) FROM findings",
        ])
        .out;
    let first = first.lines().nth(1).expect("a time");
    for (chosen, hidden) in [
        ("rule_id = 'AT-LOGIN-001'".to_owned(), "concat(rule_id, '') = 'AT-LOGIN-001'".to_owned()),
        (
            "status IN ('open', 'suppressed')".to_owned(),
            "concat(status, '') IN ('open', 'suppressed')".to_owned(),
        ),
        (
            format!("first_seen > TIMESTAMPTZ '{first}'"),
            format!("date_bin(INTERVAL '1 second', first_seen) > TIMESTAMPTZ '{first}'"),
        ),
        (
            format!("first_seen <= TIMESTAMPTZ '{first}'"),
            format!("date_bin(INTERVAL '1 second', first_seen) <= TIMESTAMPTZ '{first}'"),
        ),
    ] {
        let found = count(&chosen);
        assert!(found > 0, "{chosen}");
        assert_eq!(found, count(&hidden), "{chosen}");
    }
    assert_eq!(count("rule_id = 'AT-LOGIN-001' AND status = 'none'"), 0);
}

#[test]
fn risk_decays_and_its_sum_is_shown() {
    let program = with_sign_ins("");
    let ran = program.run_ok(&[
        "--now",
        "2026-10-01T10:00:00Z",
        "entities",
        "2bob",
        "--lake",
        "l",
        "--format",
        "json",
    ]);
    let risk = &ran.json()[0];
    // One high finding, a week old.
    assert_eq!((risk["kind"].as_str(), risk["name"].as_str()), (Some("principal"), Some("bob")));
    assert_eq!(risk["score"], 25.0);
    assert_eq!(risk["terms"][0]["weight"], 50.0);
    let later = program
        .run_ok(&[
            "--now",
            "2026-10-08T10:00:00Z",
            "entities",
            "--lake",
            "l",
            "--format",
            "json",
            "--kind",
            "principal",
        ])
        .json();
    let scores: Vec<f64> =
        later.iter().map(|risk| risk["score"].as_f64().expect("a score")).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.contains(&12.5), "{scores:?}");
    let table = program.run_ok(&["entities", "bob", "--lake", "l"]).out;
    assert!(
        table.contains("weight * 0.5 ^ (age / 7 days) / n") && table.contains("AT-LOGIN-001"),
        "{table}"
    );
    assert_eq!(program.run(&["entities", "nobody", "--lake", "l"]).status, 2);
}

#[test]
fn incidents_join_findings_on_the_same_entity_close_in_time() {
    let program = Program::new();
    program.write(
        "trailhound.toml",
        "[parameters]\ncorporate_cidrs = [{ cidr = \"203.0.113.0/24\" }]\n",
    );
    let call = |id: &str, time: &str, name: &str, user: &str, from: &str| {
        json!({ "eventId": id, "eventTime": time, "eventName": name, "serviceName": "Ram", "eventRW": "Write", "sourceIpAddress": from,
            "userIdentity": { "type": "ram-user", "accountId": ACCOUNT, "principalId": format!("2{user}"), "userName": user },
            "requestParameters": { "UserName": "x", "PolicyName": "AdministratorAccess", "PolicyType": "System" } })
    };
    let events = [
        call("a", "2026-09-20T10:00:00Z", "AttachPolicyToUser", "alice", "203.0.113.5"),
        call("b", "2026-09-20T10:50:00Z", "UnbindMFADevice", "alice", "203.0.113.5"),
        // Of the same office and hour, but somebody else.
        call("c", "2026-09-20T10:20:00Z", "UnbindMFADevice", "bob", "203.0.113.5"),
        // Too late.
        call("d", "2026-09-20T12:00:00Z", "CreateLoginProfile", "alice", "203.0.113.5"),
    ];
    program.write("events.json", serde_json::to_vec(&events).expect("JSON"));
    program.run_ok(&["scan", "events.json", "--lake", "l"]);
    let found = program.run_ok(&["incidents", "--lake", "l", "--format", "json"]).json();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["findings"].as_array().map(Vec::len), Some(2));
    assert_eq!(found[0]["entities"][0]["id"], "2alice");
    let wider = program
        .run_ok(&["incidents", "--lake", "l", "--format", "csv", "--window-minutes", "90"])
        .out;
    assert!(wider.contains("AT-IAM-001 AT-IAM-003 AT-IAM-004"), "{wider}");
}

#[test]
fn suppressed_findings_are_counted_and_expiring_exceptions_announced() {
    let entries = r#"allowed_principals = [
        { rule = "AT-LOGIN-001", user_name = "alice", expires = "2026-10-05", reason = "moves to a passkey", ticket = "SEC-1" },
        { rule = "AT-LOGIN-001", user_name = "nobody", expires = "2027-10-05", reason = "left long ago" },
        { rule = "AT-ROOT-001", access_key_id = "LTAI5tOld", expires = "2026-01-31", reason = "old key" },
    ]"#;
    let program = with_sign_ins(entries);
    let listed = program.run_ok(&["suppressions", "--lake", "l", "--format", "json"]).json();
    let of = |reason: &str| {
        listed
            .iter()
            .find(|entry| text(&entry["suppressed_by"]).contains(reason))
            .expect("an entry")
            .clone()
    };
    assert_eq!((&of("passkey")["findings"], &of("passkey")["events"]), (&json!(1), &json!(1)));
    assert!(text(&of("passkey")["to_do"]).starts_with("expires soon"));
    assert!(text(&of("left long ago")["to_do"]).starts_with("has hidden nothing"));
    assert!(text(&of("old key")["to_do"]).starts_with("expired"));
    // Half a year later nothing of it lies within the 90 days, and the entry has expired.
    let later = program
        .run_ok(&[
            "--now",
            "2027-03-01T00:00:00Z",
            "suppressions",
            "--lake",
            "l",
            "--format",
            "json",
        ])
        .json();
    assert!(later.iter().all(|entry| entry["findings"] == 0));
    let hidden = program.query_number(
        "l",
        "SELECT count(*) FROM findings WHERE suppressed_by LIKE '%passkey (SEC-1)'",
    );
    assert_eq!(hidden, 1, "hidden is not gone");
}

#[test]
fn coverage_reports_blind_spots() {
    let program = with_sign_ins("");
    let read = json!({ "eventId": "r", "eventTime": "2026-09-23T01:00:00Z", "eventName": "DescribeInstances", "serviceName": "Ecs", "eventRW": "Read",
        "acsRegion": "cn-beijing", "recipientAccountId": "1000000000000002", "userIdentity": { "accountId": "1000000000000002" } });
    program.write("read.json", serde_json::to_vec(&[read]).expect("JSON"));
    program.run_ok(&["ingest", "read.json", "--lake", "l"]);
    let found = program.run_ok(&["coverage", "--lake", "l", "--format", "json"]).json();
    let [first, second] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        (&first["events"], &first["read_events"], &first["sign_ins"]),
        (&json!(8), &json!(0), &json!(8))
    );
    assert_eq!(first["sign_ins_mfa_unknown"], 5);
    assert_eq!(
        (&first["silent_days"], &first["silent_days_in_all"]),
        (&json!(["2026-09-22", "2026-09-23"]), &json!(2))
    );
    let blind = |account: &Value| -> BTreeSet<String> {
        account["blind"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|b| b["wholly"] == true)
            .map(|b| text(&b["rule_id"]))
            .collect()
    };
    assert!(
        blind(first).contains("AT-DATA-005") && !blind(second).contains("AT-DATA-005"),
        "{found:?}"
    );
    let table = program.run_ok(&["coverage", "--lake", "l"]).out;
    for said in [
        "days without any event: 2026-09-22, 2026-09-23",
        "Off by default",
        "Not loaded, needs corporate_cidrs: AT-LOGIN-002",
    ] {
        assert!(table.contains(said), "{said}: {table}");
    }
    let rows = program.query_number(
        "l",
        "SELECT count(*) FROM coverage WHERE acs_region = 'cn-hangzhou' AND hours_with_events >= 1",
    );
    assert_eq!(rows, 4);
}
