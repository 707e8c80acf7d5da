//! Tools for rule authors: explain, backtest, lint, test cases and new rules.

use crate::support::own_rules::with_a_new_rule;
use crate::support::program::{Program, RunOutput};
use crate::support::sign_ins::{ACCOUNT, with_sign_ins};
use serde_json::json;

fn explain(program: &Program, rule: &str, event: &str) -> RunOutput {
    program.run(&["rules", "explain", rule, event, "--lake", "l"])
}

#[test]
fn explain_tells_why_an_event_matches_a_rule_or_not() {
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
    assert!(other.out.contains("The event is not a finding."), "{}", other.out);
    // An unknown value is shown as unknown, a window with its count.
    let unknown = explain(&program, "AT-LOGIN-001", "unknown");
    assert!(unknown.out.contains("mfa would have to be = 'no'; it is unknown"), "{}", unknown.out);
    let few = explain(&program, "at-login-003", "failed-3");
    assert!(few.out.contains("most would have to be >= 5; it is 4"), "{}", few.out);
    let nothing = explain(&program, "AT-LOGIN-001", "x' OR 'a' = 'a");
    assert_eq!(nothing.status, 2, "{}", nothing.out);
    assert!(nothing.err.contains("no event with the id"), "{}", nothing.err);
}

#[test]
fn a_backtest_stores_nothing() {
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
    let plain = program.run_ok(&[&args[..], &["--format", "json"]].concat()).json();
    assert_eq!(plain[0]["open"], 2);
    assert_eq!(plain[0]["by_day"], json!({ "2026-09-20": 1, "2026-09-24": 1 }));
    assert_eq!(plain[0]["events"], 8);
    assert_eq!(plain[0]["per_day"], json!({ "median": 0, "most": 1 }));
    let other =
        program.run_ok(&[&args[..], &["--with", "other.toml", "--format", "json"]].concat()).json();
    assert_eq!(other[0]["added"], json!([]));
    assert_eq!(other[0]["removed"][0]["event_ids"], json!(["without"]));
    assert_eq!(other[0]["removed"][0]["suppressed_by"], "allowed_principals: moves to a passkey");
    let table = program.run_ok(&[&args[..], &["--with", "other.toml"]].concat()).out;
    assert!(
        table.contains("0 would be added and 1 removed")
            && table.contains("(suppressed by allowed_principals: moves"),
        "{table}"
    );
    assert_eq!(
        program.query_number(
            "l",
            "SELECT count(*) FROM findings WHERE rule_id = 'AT-LOGIN-001' AND status = 'open'"
        ),
        2
    );
}

#[test]
fn case_results_are_written_as_junit() {
    let program = Program::new();
    program.run_ok(&["rules", "test", "AT-NET-007", "--junit", "results.xml"]);
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
        program
            .run_ok(&["scan", "events.json", "--lake", "l", "--format", "json"])
            .open_findings()
            .len(),
        0
    );
    let cis = program
        .run_ok(&["detect", "--lake", "l", "--profile", "cis-alibaba-v2", "--format", "json"])
        .open_findings();
    assert_eq!(cis.keys().collect::<Vec<_>>(), ["AT-NET-002"]);
}

#[test]
fn the_query_in_a_rule_file_runs_unchanged() {
    let program = with_sign_ins("");
    let shown = program.run_ok(&["rules", "show", "AT-LOGIN-003"]).out;
    let sql = shown.split_once("test cases:\n\n").expect("the query").1;
    // It begins with `--`, which must not be parsed as an option.
    assert!(sql.starts_with("-- "), "{sql}");
    assert_eq!(
        program.run_ok(&["query", "--lake", "l", "--format", "json", "-c", sql]).json().len(),
        0
    );
    let four = sql.replace("most >= 5", "most >= 4");
    assert_eq!(
        program.run_ok(&["query", "--lake", "l", "--format", "json", "-c", &four]).json().len(),
        4
    );
}

#[test]
fn a_new_rule_passes_lint_and_cases_and_runs_over_existing_events() {
    let program = with_a_new_rule();
    assert_eq!(program.run(&["rules", "lint", "AT-OWN-001"]).status, 0);
    assert!(
        program.run_ok(&["rules", "test", "at-own-001"]).out.contains("4 cases passed, 0 failed")
    );
    let again = program.run(&["rules", "new", "AT-OWN-001"]);
    assert_eq!(again.status, 2, "{}", again.err);
    assert!(again.err.contains("own_001.toml"), "{}", again.err);
    let event = r#"{"eventId":"s1","eventTime":"2026-09-21T02:00:00Z","eventName":"DeleteSnapshot","serviceName":"Ecs","userIdentity":{"principalId":"1"}}"#;
    program.write("events.json", event);
    program.run_ok(&["ingest", "events.json", "--lake", "lake"]);
    let detect = |more: &[&str]| {
        let ran = program
            .run_ok(&[&["detect", "--lake", "lake", "--rules", "AT-OWN-001"], more].concat());
        ran.out.lines().find(|line| line.starts_with("findings: ")).expect("a summary").to_owned()
    };
    assert_eq!(
        detect(&["--since", "2026-09-22"]),
        "findings: 0 new, 0 revised, 0 known, 0 withdrawn"
    );
    assert_eq!(
        detect(&["--until", "2026-09-22"]),
        "findings: 1 new, 0 revised, 0 known, 0 withdrawn"
    );
    assert_eq!(detect(&[]), "findings: 0 new, 0 revised, 1 known, 0 withdrawn");
    // The narrowed rule withdraws the finding.
    let sql = program.path("rules/own/own_001.sql");
    let narrowed = std::fs::read_to_string(&sql)
        .expect("SQL")
        .replace("'deletesnapshot'", "'deletesnapshots'");
    std::fs::write(&sql, narrowed).expect("written");
    assert_eq!(detect(&[]), "findings: 0 new, 0 revised, 0 known, 1 withdrawn");
}

/// A text of the sound rule, what stands in its place, and the check that fails then.
const MISTAKES: [(&str, &str, &str); 26] = [
    ("1.0.0", "one", "version"),
    ("experimental", "brand new", "status"),
    ("T1490", "1490", "attack"),
    ("[\"T1490\"]", "[]", "attack-there"),
    ("请填写标题", "none", "title-zh"),
    ("1. 首先查看什么。2. 如何处理。", "look", "runbook-zh"),
    ("window = \"1h\"", "window = \"30d\"", "dedup-window"),
    ("dedup =", "lookback = \"1h\"\ndedup =", "lookback-used"),
    ("dedup =", "first_last = { by = [\"principal_id\"], per = \"2d\" }\ndedup =", "first-last"),
    (
        "dedup =",
        "first_last = { by = [\"principal_id\"], per = \"1d\" }\ndedup =",
        "first-last-groups",
    ),
    ("prefilter =", "needs = [\"read_events\"]\ngaps = [\"read_events\"]\nprefilter =", "needs"),
    ("lower(service_name) = 'ecs'", "lower(no_such_column) = 'ecs'", "prefilter-plans"),
    ("sample = \"ram_key_call\"", "sample = \"no_such_sample\"", "case-samples"),
    ("a near miss", "it happens", "cases-names"),
    ("errorCode", "requestId", "case-failed"),
    (
        ", remove = [\"userIdentity\", \"sourceIpAddress\", \"requestParameters\"]",
        "",
        "case-lacking",
    ),
    ("-- Which", "Which", "comment"),
    ("event_action = 'deletesnapshot'", "event_action = 'DeleteSnapshot'", "event-action"),
    ("event_action = 'deletesnapshot'", "event_name = 'DeleteSnapshot'", "no-event-name"),
    ("events.*,", "event_id,", "columns"),
    ("outcome = 'success'\n", "outcome = 'success' AND event_time < now()\n", "no-clock"),
    ("outcome = 'success'\n", "outcome = 'success' LIMIT 5\n", "no-limit"),
    (
        "outcome = 'success'\n",
        "outcome = 'success' AND event_time > event_time - INTERVAL '2 hours'\n",
        "lookback",
    ),
    ("outcome = 'success'\n", "outcome = 'success' AND off_hours(event_time)\n", "parameters-said"),
    ("columns = [\"principal_id\"]", "columns = [\"who\"]", "dedup-columns"),
    ("FROM events", "FROM evens", "query"),
];

#[test]
fn lint_names_each_mistake_in_a_rule() {
    let program = with_a_new_rule();
    let (toml, sql) =
        (program.path("rules/own/own_001.toml"), program.path("rules/own/own_001.sql"));
    let (sound_toml, sound_sql) = (
        std::fs::read_to_string(&toml).expect("TOML"),
        std::fs::read_to_string(&sql).expect("SQL"),
    );
    for (from, to, check) in MISTAKES {
        // The text is replaced in the description if it occurs there, otherwise in the query.
        let in_toml =
            sound_toml.contains(from) && !(sound_sql.contains(from) && check != "prefilter-plans");
        std::fs::write(
            &toml,
            if in_toml { sound_toml.replacen(from, to, 1) } else { sound_toml.clone() },
        )
        .expect("written");
        std::fs::write(
            &sql,
            if in_toml { sound_sql.clone() } else { sound_sql.replacen(from, to, 1) },
        )
        .expect("written");
        let ran = program.run(&["rules", "lint", "AT-OWN-001"]);
        assert_eq!(ran.status, 1, "{check}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(&format!("AT-OWN-001 {check}: ")), "{check}: {}", ran.out);
    }
}
