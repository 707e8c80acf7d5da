//! What one can do with findings and rules: explain, try, prove, weigh; and see what is hidden and what cannot be seen.

use crate::program::{Program, Ran, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use trailhound_queries::packs::attack::tactics;
use trailhound_queries::packs::profile::Profile;
use trailhound_queries::packs::rules::RuleSet;

const ACCOUNT: &str = "1000000000000001";

/// A sign-in of a RAM user.
fn sign_in(id: &str, time: &str, user: &str, mfa: Option<bool>, error: Option<&str>) -> Value {
    let mut event = json!({
        "eventId": id, "eventTime": time, "eventName": "ConsoleSignin", "eventType": "ConsoleSignin", "serviceName": "AasSub",
        "sourceIpAddress": "198.51.100.7", "acsRegion": "cn-hangzhou",
        "userIdentity": { "type": "ram-user", "accountId": ACCOUNT, "principalId": format!("2{user}"), "userName": user },
        "additionalEventData": {}, "errorCode": error.unwrap_or(""),
    });
    if let Some(mfa) = mfa {
        event["additionalEventData"]["mfaChecked"] = mfa.to_string().into();
    }
    event
}

/// A lake `l` with sign-ins, and what the rules find in them with `parameters`.
fn with_sign_ins(parameters: &str) -> Program {
    let program = Program::new();
    program.write("trailhound.toml", format!("[parameters]\n{parameters}"));
    let mut events = vec![
        sign_in("without", "2026-09-20T10:00:00Z", "alice", Some(false), None),
        sign_in("with", "2026-09-21T10:00:00Z", "alice", Some(true), None),
        sign_in("unknown", "2026-09-21T11:00:00Z", "bob", None, None),
        sign_in("bob-without", "2026-09-24T10:00:00Z", "bob", Some(false), None),
    ];
    for minute in 0..4 {
        let time = format!("2026-09-25T10:0{minute}:00Z");
        events.push(sign_in(
            &format!("failed-{minute}"),
            &time,
            "carol",
            None,
            Some("Authentication.Failed"),
        ));
    }
    program.write("events.json", serde_json::to_vec(&events).expect("JSON"));
    program.ok(&["scan", "events.json", "--lake", "l"]);
    program
}

fn explain(program: &Program, rule: &str, event: &str) -> Ran {
    program.run(&["rules", "explain", rule, event, "--lake", "l"])
}

#[test]
fn a_rule_says_why_and_why_not() {
    let program = with_sign_ins("");
    let found = explain(&program, "AT-LOGIN-001", "without");
    assert_eq!(found.status, 0, "{}{}", found.out, found.err);
    assert!(
        found.out.contains("It is part of finding") && found.out.contains("yes     \"mfa\" = 'no'"),
        "{}",
        found.out
    );
    let other = explain(&program, "AT-LOGIN-001", "with");
    assert_eq!(other.status, 1);
    assert!(other.out.contains("mfa would have to be = 'no'; it is yes"), "{}", other.out);
    assert!(other.out.contains("It is no finding."), "{}", other.out);
    // Not known is told as such, and a window with what it counted.
    let unknown = explain(&program, "AT-LOGIN-001", "unknown");
    assert!(unknown.out.contains("mfa would have to be = 'no'; it is unknown"), "{}", unknown.out);
    let few = explain(&program, "at-login-003", "failed-3");
    assert!(few.out.contains("most would have to be >= 5; it is 4"), "{}", few.out);
    let nothing = explain(&program, "AT-LOGIN-001", "x' OR 'a' = 'a");
    assert_eq!(nothing.status, 2, "{}", nothing.out);
    assert!(nothing.err.contains("no event with the id"), "{}", nothing.err);
}

#[test]
fn the_past_is_tried_without_being_kept() {
    let program = with_sign_ins("");
    let exception = r#"allowed_principals = [{ rule = "AT-LOGIN-001", user_name = "alice", expires = "2026-12-31", reason = "moves to a passkey" }]"#;
    program.write("other.toml", format!("[parameters]\n{exception}\n"));
    let args = [
        "rules",
        "backtest",
        "AT-LOGIN-001",
        "--lake",
        "l",
        "--since",
        "2026-09-19",
        "--until",
        "2026-09-29",
    ];
    let plain = program.ok(&[&args[..], &["--format", "json"]].concat()).json();
    assert_eq!(plain[0]["open"], 2);
    assert_eq!(plain[0]["by_day"], json!({ "2026-09-20": 1, "2026-09-24": 1 }));
    assert_eq!(plain[0]["events"], 8);
    assert_eq!(plain[0]["per_day"], json!({ "median": 0, "most": 1 }));
    let other =
        program.ok(&[&args[..], &["--with", "other.toml", "--format", "json"]].concat()).json();
    assert_eq!(other[0]["added"], json!([]));
    assert_eq!(other[0]["removed"][0]["event_ids"], json!(["without"]));
    assert_eq!(other[0]["removed"][0]["suppressed_by"], "allowed_principals: moves to a passkey");
    let table = program.ok(&[&args[..], &["--with", "other.toml"]].concat()).out;
    assert!(
        table.contains("0 would be added and 1 removed")
            && table.contains("(suppressed by allowed_principals: moves"),
        "{table}"
    );
    assert_eq!(
        program.number(
            "l",
            "SELECT count(*) FROM findings WHERE rule_id = 'AT-LOGIN-001' AND status = 'open'"
        ),
        2
    );
}

#[test]
fn findings_are_derived_again_and_compared() {
    let program = with_sign_ins("");
    let verify = |more: &[&str]| {
        program.run(&[&["lake", "verify", "--findings", "--lake", "l"], more].concat())
    };
    let sound = verify(&[]);
    assert_eq!(sound.status, 0, "{}{}", sound.out, sound.err);
    assert!(sound.out.contains(" 0 differences"), "{}", sound.out);
    // An event that no rule has run over.
    program.write(
        "late.json",
        serde_json::to_vec(&[sign_in("late", "2026-09-26T10:00:00Z", "dora", Some(false), None)])
            .expect("JSON"),
    );
    program.ok(&["ingest", "late.json", "--lake", "l"]);
    let behind = verify(&[]);
    assert_eq!(behind.status, 1);
    assert!(
        behind.out.contains("DIFFERENCE AT-LOGIN-001") && behind.out.contains("is not kept"),
        "{}",
        behind.out
    );
    assert!(behind.err.contains("Not every rule has run over everything"), "{}", behind.err);
    assert_eq!(verify(&["--until", "2026-09-26"]).status, 0, "what is elsewhere does not count");
    program.ok(&["detect", "--lake", "l"]);
    assert_eq!(verify(&[]).status, 0);
    // Other parameters give other findings.
    let exception = r#"[parameters]
        allowed_principals = [{ rule = "AT-LOGIN-001", user_name = "alice", expires = "2026-12-31", reason = "known" }]"#;
    program.write("trailhound.toml", exception);
    let told = verify(&[]).err;
    assert!(told.contains("trailhound.toml: other parameters find other things"), "{told}");
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
fn what_is_asked_of_findings_is_the_same_whoever_chooses() {
    let program = with_sign_ins("");
    let count = |condition: &str| {
        program.number("l", &format!("SELECT count(*) FROM findings WHERE {condition}"))
    };
    // The left side the catalogue answers, the right side hides its column from it.
    let first = program
        .ok(&[
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
fn risk_decays_and_shows_its_sum() {
    let program = with_sign_ins("");
    let ran = program.ok(&[
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
        .ok(&[
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
    let table = program.ok(&["entities", "bob", "--lake", "l"]).out;
    assert!(
        table.contains("weight * 0.5 ^ (age / 7 days) / n") && table.contains("AT-LOGIN-001"),
        "{table}"
    );
    assert_eq!(program.run(&["entities", "nobody", "--lake", "l"]).status, 2);
}

#[test]
fn incidents_join_what_concerns_the_same_in_quick_succession() {
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
    program.ok(&["scan", "events.json", "--lake", "l"]);
    let found = program.ok(&["incidents", "--lake", "l", "--format", "json"]).json();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["findings"].as_array().map(Vec::len), Some(2));
    assert_eq!(found[0]["entities"][0]["id"], "2alice");
    let wider =
        program.ok(&["incidents", "--lake", "l", "--format", "csv", "--window-minutes", "90"]).out;
    assert!(wider.contains("AT-IAM-001 AT-IAM-003 AT-IAM-004"), "{wider}");
}

#[test]
fn what_is_suppressed_is_counted_and_what_ends_is_warned_of() {
    let entries = r#"allowed_principals = [
        { rule = "AT-LOGIN-001", user_name = "alice", expires = "2026-10-05", reason = "moves to a passkey", ticket = "SEC-1" },
        { rule = "AT-LOGIN-001", user_name = "nobody", expires = "2027-10-05", reason = "left long ago" },
        { rule = "AT-ROOT-001", access_key_id = "LTAI5tOld", expires = "2026-01-31", reason = "old key" },
    ]"#;
    let program = with_sign_ins(entries);
    let listed = program.ok(&["suppressions", "--lake", "l", "--format", "json"]).json();
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
        .ok(&["--now", "2027-03-01T00:00:00Z", "suppressions", "--lake", "l", "--format", "json"])
        .json();
    assert!(later.iter().all(|entry| entry["findings"] == 0));
    let hidden = program
        .number("l", "SELECT count(*) FROM findings WHERE suppressed_by LIKE '%passkey (SEC-1)'");
    assert_eq!(hidden, 1, "hidden is not gone");
}

#[test]
fn coverage_tells_what_cannot_be_seen() {
    let program = with_sign_ins("");
    let read = json!({ "eventId": "r", "eventTime": "2026-09-23T01:00:00Z", "eventName": "DescribeInstances", "serviceName": "Ecs", "eventRW": "Read",
        "acsRegion": "cn-beijing", "recipientAccountId": "1000000000000002", "userIdentity": { "accountId": "1000000000000002" } });
    program.write("read.json", serde_json::to_vec(&[read]).expect("JSON"));
    program.ok(&["ingest", "read.json", "--lake", "l"]);
    let found = program.ok(&["coverage", "--lake", "l", "--format", "json"]).json();
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
    let table = program.ok(&["coverage", "--lake", "l"]).out;
    for said in [
        "days without any event: 2026-09-22, 2026-09-23",
        "Off by default",
        "Not loaded for want of corporate_cidrs: AT-LOGIN-002",
    ] {
        assert!(table.contains(said), "{said}: {table}");
    }
    let rows = program.number(
        "l",
        "SELECT count(*) FROM coverage WHERE acs_region = 'cn-hangzhou' AND hours_with_events >= 1",
    );
    assert_eq!(rows, 4);
}

#[test]
fn rules_are_listed_by_what_they_are() {
    let program = Program::new();
    let ids = |more: &[&str]| -> BTreeSet<String> {
        let ran = program.ok(&[&["rules", "list", "--format", "json"], more].concat());
        ran.json().iter().map(|rule| text(&rule["id"])).collect()
    };
    let all = ids(&[]);
    assert!(all.len() >= 69);
    assert!(ids(&["--group", "root"]).iter().all(|id| id.starts_with("AT-ROOT-")));
    let critical = ids(&["--severity", "critical", "--tactic", "impact"]);
    assert!(
        critical.contains("AT-IMPACT-001") && !critical.contains("AT-ROOT-001"),
        "{critical:?}"
    );
    let cis = ids(&["--profile", "cis-alibaba-v2"]);
    assert!(cis.contains("AT-IAM-011") && cis.len() < all.len());
    assert_eq!(program.run(&["rules", "list", "--tactic", "sorcery"]).status, 2);
    assert_eq!(program.run(&["scan", "x", "--profile", "cis"]).status, 2);
}

#[test]
fn every_technique_has_a_tactic_and_every_profile_its_rules() {
    let catalogue = RuleSet::built_in().expect("rules");
    for technique in catalogue.rules.iter().flat_map(|rule| &rule.attack) {
        assert!(!tactics(technique).is_empty(), "{technique}");
    }
    for profile in Profile::all().expect("profiles") {
        for id in profile.rules() {
            assert!(catalogue.find(id).is_some(), "{}: {id}", profile.name);
        }
    }
}

#[test]
fn results_of_cases_are_written_for_other_programs() {
    let program = Program::new();
    program.ok(&["rules", "test", "AT-NET-007", "--junit", "results.xml"]);
    let xml = std::fs::read_to_string(program.path("results.xml")).expect("a file");
    assert!(
        xml.contains("<testsuite name=\"AT-NET-007\" tests=\"6\"")
            && xml.contains("failures=\"0\""),
        "{xml}"
    );
}

#[test]
fn a_profile_runs_rules_that_are_off_by_default() {
    let program = Program::new();
    let event = json!({ "eventId": "v", "eventTime": "2026-09-20T10:00:00Z", "eventName": "CreateVpc", "serviceName": "Vpc", "eventRW": "Write",
        "sourceIpAddress": "198.51.100.7", "userIdentity": { "type": "ram-user", "accountId": ACCOUNT, "principalId": "2a", "userName": "a" } });
    program.write("events.json", serde_json::to_vec(&[event]).expect("JSON"));
    assert_eq!(
        program.ok(&["scan", "events.json", "--lake", "l", "--format", "json"]).open().len(),
        0
    );
    let cis = program
        .ok(&["detect", "--lake", "l", "--profile", "cis-alibaba-v2", "--format", "json"])
        .open();
    assert_eq!(cis.keys().collect::<Vec<_>>(), ["AT-NET-002"]);
}

#[test]
fn a_rules_query_runs_as_it_stands_in_its_file() {
    let program = with_sign_ins("");
    let shown = program.ok(&["rules", "show", "AT-LOGIN-003"]).out;
    let sql = shown.split_once("test cases:\n\n").expect("the query").1;
    // It begins with a comment, which is no option of the command.
    assert!(sql.starts_with("-- "), "{sql}");
    assert_eq!(
        program.ok(&["query", "--lake", "l", "--format", "json", "-c", sql]).json().len(),
        0
    );
    let four = sql.replace("most >= 5", "most >= 4");
    assert_eq!(
        program.ok(&["query", "--lake", "l", "--format", "json", "-c", &four]).json().len(),
        4
    );
}
