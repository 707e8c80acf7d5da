//! Broken rules and parameters: each is reported with name and place, or stopped while it runs; all others run.

use crate::support::broker::broker;
use crate::support::kafka_pipeline::KafkaPipeline;
use crate::support::own_rules::{with_a_new_rule, write_rule};
use crate::support::program::{Program, text};
use serde_json::json;

/// A program whose rules are in `rules`, and an event that AT-LOGIN-001 flags.
pub(crate) fn program() -> Program {
    let program = Program::new();
    program.write("trailhound.toml", "[rules]\nfolder = \"rules\"\n");
    let event = json!({ "eventId": "e", "eventTime": "2026-09-20T10:00:00Z", "eventName": "ConsoleSignin", "serviceName": "AasSub",
        "userIdentity": { "type": "ram-user", "accountId": "1000000000000001", "principalId": "2a" }, "additionalEventData": { "mfaChecked": "false" } });
    program.write("events.json", serde_json::to_vec(&[event]).expect("JSON"));
    program
}

#[test]
fn a_rule_that_cannot_run_is_reported_and_the_others_still_find() {
    let long = format!(
        "SELECT events.* FROM events WHERE regexp_like(event_name, '{}')",
        "(a|b)".repeat(200_000)
    );
    let wrong = [
        ("SELECT events.* FROM events WHERE (", "SQL"),
        ("", "SQL"),
        ("DROP TABLE events", "only statements that read"),
        ("INSERT INTO events SELECT * FROM events", "only statements that read"),
        ("SET datafusion.execution.batch_size = 1", "only statements that read"),
        ("SELECT events.*, no_such_column FROM events", "no_such_column"),
        ("SELECT x.* FROM no_such_table AS x", "no_such_table"),
        ("SELECT * FROM '/etc/passwd'", "/etc/passwd"),
        ("SELECT event_id FROM events", "event_key"),
        (
            "SELECT events.*, CAST(1 / (length(event_id) - length(event_id)) AS VARCHAR) AS why FROM events",
            "ivide by zero",
        ),
        ("SELECT events.*, 'grave' AS severity FROM events", "`grave` is no severity"),
        ("SELECT events.* FROM events; SELECT events.* FROM events", "statement"),
        (&long, ""),
    ];
    for prefilter in ["", "prefilter = \"event_time IS NOT NULL\""] {
        let program = program();
        for (number, (sql, _)) in wrong.iter().enumerate() {
            write_rule(
                &program,
                &format!("wrong_{number}"),
                &format!("AT-OWN-{number:03}"),
                sql,
                prefilter,
            );
        }
        let ran = program.run(&["scan", "events.json", "--lake", "l", "--format", "json"]);
        assert_eq!(ran.status, 4, "{}", ran.err);
        for (number, (sql, reason)) in wrong.iter().enumerate() {
            let id = format!("AT-OWN-{number:03}");
            let said = ran
                .err
                .lines()
                .find(|line| line.contains(&id))
                .unwrap_or_else(|| panic!("{id}: {}", ran.err));
            assert!(said.contains(reason), "{}: {said}", &sql[..sql.len().min(100)]);
            assert!(said.len() < 2_000, "{id}: an error is no place for all of it");
        }
        assert!(ran.open_findings().contains_key("AT-LOGIN-001"));
    }
}

#[test]
fn a_rule_with_too_many_rows_is_stopped_and_an_odd_or_slow_one_is_not() {
    let many = "SELECT * FROM (SELECT events.*, unnest(range(0, 11000000)) AS n FROM events) AS x";
    let many_rows = program();
    write_rule(&many_rows, "many", "AT-OWN-001", many, "");
    let ran = many_rows.run(&["scan", "events.json", "--lake", "l", "--rules", "AT-OWN-001"]);
    assert!(ran.status == 4 && ran.err.contains("more than 10000000 rows"), "{}", ran.err);
    // A rule may match every event.
    let everything = program();
    write_rule(
        &everything,
        "every",
        "AT-OWN-001",
        "SELECT events.* FROM events",
        "prefilter = \"true\"",
    );
    assert!(
        everything
            .run_ok(&[
                "scan",
                "events.json",
                "--lake",
                "l",
                "--format",
                "json",
                "--rules",
                "AT-OWN-001"
            ])
            .open_findings()
            .contains_key("AT-OWN-001")
    );
    // A backtracking regular expression engine would need exponential time for this pattern.
    let program = program();
    write_rule(
        &program,
        "slow",
        "AT-OWN-001",
        "SELECT events.* FROM events WHERE regexp_like(repeat('a', 5000) || '!', '(a+)+$')",
        "",
    );
    program.run_ok(&["scan", "events.json", "--lake", "l", "--rules", "AT-OWN-001"]);
}

#[test]
fn an_invalid_rule_description_is_reported_with_its_file() {
    let sound = "SELECT events.* FROM events";
    let wrong = [
        ("sevrity = \"high\"", "sevrity"),
        ("severity = \"high\"", "duplicate key"),
        ("lookback = \"5 minutes\"", "`5 minutes` is not a duration"),
        ("lookback = \"18446744073709551615d\"", "is not a duration"),
        ("parameters = [\"corporate_cidr\"]", "no parameter `corporate_cidr`"),
        ("first_last = { by = [\"nothing\"], per = \"1d\" }", "`nothing`, which is not a column"),
        ("dedup = { columns = \"principal_id\", window = \"1h\" }", "columns"),
        ("cases = 3", "cases"),
        ("\u{feff}x = 1", "x"),
    ];
    // All at once: each is reported with its own file, and none keeps the other rules from running.
    let program = program();
    for (number, (more, _)) in wrong.iter().enumerate() {
        write_rule(
            &program,
            &format!("wrong_{number}"),
            &format!("AT-OWN-{number:03}"),
            sound,
            more,
        );
    }
    let ran = program.run(&["scan", "events.json", "--lake", "l", "--format", "json"]);
    for (number, (more, said)) in wrong.iter().enumerate() {
        // An error shows the place below its first line.
        let error = ran.err.split("error: ").find(|e| e.contains(&format!("wrong_{number}.toml")));
        assert!(error.is_some_and(|error| error.contains(said)), "{more}: {}", ran.err);
    }
    assert!(ran.open_findings().contains_key("AT-LOGIN-001"), "{}", ran.err);
    let ids = ["AT-../../x", "AT-a/b", "OWN-1", "AT-", ""];
    let program = self::program();
    for (number, id) in ids.iter().enumerate() {
        write_rule(&program, &format!("wrong_{number}"), id, sound, "");
    }
    let ran = program.run(&["rules", "list"]);
    for (number, id) in ids.iter().enumerate() {
        let error = ran.err.split("error: ").find(|e| e.contains(&format!("wrong_{number}.toml")));
        assert!(error.is_some_and(|error| error.contains("rule id")), "{id}: {}", ran.err);
    }
    let program = self::program();
    program.write("rules/own/binary.toml", b"\xff\xfe\x00x");
    program.write("rules/own/binary.sql", "SELECT 1");
    write_rule(&program, "one", "AT-OWN-001", sound, "");
    write_rule(&program, "two", "AT-own-001", sound, "");
    std::os::unix::fs::symlink("/nowhere", program.path("rules/own/away.toml")).expect("a link");
    let ran = program.run(&["rules", "list", "--format", "csv"]);
    for said in ["binary.toml", "two rules have the id `AT-own-001`", "away.toml"] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    assert!(ran.out.contains("AT-OWN-001,"));
}

#[test]
fn the_service_reloads_changed_rules_all_or_none() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "reload", 1, 2_000, 3);
    let program = &pipeline.program;
    let config = std::fs::read_to_string(program.path("serve.toml")).expect("a file");
    program.write("serve.toml", format!("{config}\n[rules]\nfolder = \"rules\"\n"));
    let prefilter = "prefilter = \"event_action = 'consolesignin'\"";
    let every = "SELECT events.* FROM events WHERE event_action = 'consolesignin'";
    write_rule(program, "broken", "AT-OWN-001", "SELECT events.* FROM evens", prefilter);
    // What is broken at the start is left out.
    let mut service = pipeline.start_service();
    let reloads = |service: &crate::support::service::Service, outcome: &str| {
        service.metric(&format!("trailhound_rule_reloads_total{{outcome=\"{outcome}\"}}"))
    };
    write_rule(program, "sound", "AT-OWN-002", every, prefilter);
    service.wait_until("a refusal", |service| reloads(service, "refused") >= 1.0);
    write_rule(program, "broken", "AT-OWN-001", every, prefilter);
    service.wait_until("a reload", |service| reloads(service, "taken") >= 1.0);
    pipeline.publish(broker);
    service.wait_for_findings(|open| {
        open.contains_key("AT-OWN-001") && open.contains_key("AT-OWN-002")
    });
    // Half a file, then nothing: those from before run on.
    let taken = reloads(&service, "taken");
    program.write("rules/own/sound.toml", "id = \"AT-OWN-0");
    let refused = reloads(&service, "refused");
    service.wait_until("a refusal", |service| reloads(service, "refused") > refused);
    assert_eq!(reloads(&service, "taken"), taken);
    service.wait_until_ready();
    std::fs::remove_file(program.path("rules/own/sound.toml")).expect("removed");
    std::fs::remove_file(program.path("rules/own/sound.sql")).expect("removed");
    service.wait_until("a reload", |service| reloads(service, "taken") > taken);
    let (status, _) = service.stop();
    assert_eq!(status, 0);
    // Gone with its files, what it found stays.
    let kept = program.run_ok(&[
        "query",
        "--lake",
        "lake",
        "--format",
        "json",
        "-c",
        "SELECT DISTINCT rule_id FROM findings WHERE rule_id LIKE 'AT-OWN%' ORDER BY 1",
    ]);
    assert_eq!(
        kept.json().iter().map(|row| text(&row["rule_id"])).collect::<Vec<_>>(),
        ["AT-OWN-001", "AT-OWN-002"]
    );
}

#[test]
fn a_broken_rule_is_named_and_the_others_are_loaded() {
    let program = with_a_new_rule();
    program.write("rules/own/broken.toml", "id = \"AT-OWN-002\"\nseverity = \"grave\"\n");
    program.write("rules/own/alone.sql", "SELECT 1");
    let taken = std::fs::read_to_string(program.path("rules/own/own_001.toml"))
        .expect("TOML")
        .replace("AT-OWN-001", "AT-ECS-001");
    program.write("rules/own/taken.toml", taken);
    program.write("rules/own/taken.sql", "SELECT events.* FROM events");
    let ran = program.run(&["rules", "list", "--format", "csv"]);
    assert_eq!(ran.status, 0);
    for said in ["broken.toml", "alone.sql` has no `toml`", "two rules have the id `AT-ECS-001`"] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    assert!(ran.out.contains("AT-OWN-001") && !ran.out.contains("AT-OWN-002"));
    assert_eq!(
        program.run(&["rules", "lint", "AT-OWN-001"]).status,
        1,
        "what is left out is no rule that passed"
    );
    program.write("trailhound.toml", "[rules]\nfolder = \"nowhere\"\n");
    let ran = program.run(&["rules", "list"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("nowhere"), "{}", ran.err);
}

#[test]
fn a_rule_beyond_the_bounds_of_statements_is_refused_and_the_others_still_find() {
    let program = program();
    let ors = vec!["event_name = 'x'"; 3_000].join(" OR ");
    let deep = format!("{}1{}", "(".repeat(2_000), ")".repeat(2_000));
    let select = "SELECT events.* FROM events";
    for (id, sql, more) in [
        ("AT-OWN-001", format!("{select} WHERE {ors}"), String::new()),
        ("AT-OWN-002", format!("{select} WHERE {deep} = 1"), String::new()),
        ("AT-OWN-003", select.to_owned(), format!("prefilter = \"{ors}\"")),
        (
            "AT-OWN-004",
            select.to_owned(),
            format!("baseline = {{ rows = \"{ors}\", for = \"2d\" }}"),
        ),
    ] {
        write_rule(&program, id, id, &sql, &more);
    }
    let ran = program.run(&["scan", "events.json", "--lake", "l", "--format", "json"]);
    for (id, says) in [
        ("AT-OWN-001", "more than 600 operators"),
        ("AT-OWN-002", "more than 48 levels of nesting"),
        ("AT-OWN-003", "`prefilter`: more than 600 operators"),
        ("AT-OWN-004", "`baseline`: more than 600 operators"),
    ] {
        let said = ran.err.lines().any(|line| line.contains(id) && line.contains(says));
        assert!(said, "{id}: {}", ran.err);
    }
    assert!(ran.open_findings().contains_key("AT-LOGIN-001"));
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_a_file_is_refused() {
    let program = program();
    std::fs::create_dir_all(program.path("rules/own")).expect("a folder");
    for name in ["rules/own/pipe.toml", "pipe.toml"] {
        let made = std::process::Command::new("mkfifo").arg(program.path(name)).status();
        assert!(made.expect("mkfifo runs").success());
    }
    let ran = program.run(&["scan", "events.json", "--lake", "l", "--format", "json"]);
    assert!(ran.err.contains("pipe.toml") && ran.err.contains("not a file"), "{}", ran.err);
    assert!(ran.open_findings().contains_key("AT-LOGIN-001"));
    let ran = program.run(&["--config", "pipe.toml", "config", "check"]);
    assert!(ran.status == 2 && ran.err.contains("it is not a file"), "{}", ran.err);
}
