//! `trailhound query`: statements from every source, in every format, over every snapshot; how the query engine reads
//! the lake.

use crate::support::events::event;
use crate::support::lakes::lake_of_3000;
use crate::support::program::{Program, text};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

#[test]
fn a_time_zone_is_set_by_option_or_statement_and_obeyed() {
    let program = lake_of_3000();
    let zones =
        "SET TIME ZONE 'asia/shanghai'; SHOW TIME ZONE; SELECT '2026-11-20'::timestamptz AS a";
    let zoned = program.run_ok(&["query", "--lake", "l", "--format", "json", "-c", zones]);
    assert_eq!(zoned.json(), [json!({ "a": "2026-11-20T00:00:00+08:00" })]);
    let day = "SELECT TIMESTAMPTZ '2026-11-20 20:00:00Z'::date AS a";
    let tokyo =
        ["query", "--lake", "l", "--format", "json", "--time-zone", "Asia/Tokyo", "-c", day];
    assert_eq!(program.run_ok(&tokyo).json(), [json!({ "a": "2026-11-21" })]);
    for (args, says) in [
        (["-c", "SELECT 1", "--time-zone", "Mars"], "there is no time zone \"Mars\""),
        (["-c", "SET TIME ZONE 8", "--time-zone", "UTC"], "a time zone is given by its name"),
    ] {
        let refused = program.run(&[&["query", "--lake", "l"][..], &args].concat());
        assert!(refused.status == 2 && refused.err.contains(says), "{says}: {}", refused.err);
    }
}

#[test]
fn statements_come_from_the_command_line_a_file_and_standard_input() {
    let program = lake_of_3000();
    program.write("two.sql", "-- first\nSELECT 1 AS a;\nSELECT 'x;y' AS b;");
    let two = program.run_ok(&["query", "--lake", "l", "--format", "json", "-f", "two.sql"]);
    assert_eq!(two.json(), [json!({ "a": 1 }), json!({ "b": "x;y" })]);
    let piped =
        program.run_with_stdin(&["query", "--lake", "l", "--format", "json"], b"SELECT 2 AS a");
    assert_eq!((piped.status, piped.json()), (0, vec![json!({ "a": 2 })]));
    let bound = [
        "query",
        "--lake",
        "l",
        "--format",
        "json",
        "--param",
        "a=x' OR 1=1",
        "-c",
        "SELECT $a AS a",
    ];
    assert_eq!(program.run_ok(&bound).json(), [json!({ "a": "x' OR 1=1" })]);
    for (args, says) in [
        (vec!["-c", ""], "there is no statement"),
        (vec!["-c", "SELECT $a"], "the parameter $a has no value"),
        (vec!["-c", "SELECT 1", "--param", "a=1"], "the statement has no $a"),
        (vec!["-c", "SELECT 1", "--param", "a"], "name=value"),
        (vec!["-f", "none.sql"], "none.sql"),
        (
            vec!["-c", "SELECT 1; SELECT 2", "--format", "arrow", "-o", "x"],
            "one file holds the rows of one statement",
        ),
        (
            vec!["-c", "SELECT event_id\nFROM events\nWHERE usr_name = 1"],
            "3 | WHERE usr_name = 1\n          ^",
        ),
        (
            vec!["-c", "SELECT usr_name FROM events"],
            "there is no column `usr_name` here; did you mean `user_name`?\n1 | SELECT usr_name",
        ),
        (
            vec!["-c", "SELECT e.usr_name FROM events AS e"],
            "there is no column `e.usr_name` here; did you mean `e.user_name`?",
        ),
        (
            vec!["-c", "SELECT missing FROM (SELECT 1 AS a, 2 AS b)"],
            "there is no column `missing` here; there are a, b\n",
        ),
        (
            vec!["-c", "SELECT Name FROM (SELECT 1 AS \"Name\")"],
            "there is no column `name` here; did you mean `\"Name\"`?",
        ),
        (
            vec!["-c", "SELECT 1 FROM events WHERE user_name = alice"],
            "and a text stands in single quotes: 'alice'",
        ),
        (vec!["-c", "SELECT * FROM evnets"], "did you mean `events`?"),
        (vec!["-c", "DROP TABLE events"], "only statements that read"),
    ] {
        let refused = program.run(&[&["query", "--lake", "l"], args.as_slice()].concat());
        assert!(refused.status == 2 && refused.err.contains(says), "{args:?}: {}", refused.err);
        assert!(
            refused.err.starts_with("error: ") && refused.err.matches("error: ").count() == 1,
            "{args:?}: {}",
            refused.err
        );
    }
    let invalid = program.run_with_stdin(&["query", "--lake", "l"], b"SELECT '\xff'");
    assert!(invalid.status == 2 && invalid.err.contains("not UTF-8 at byte 8"), "{}", invalid.err);
}

#[test]
fn rows_are_written_in_every_format() {
    let program = lake_of_3000();
    let sql = "SELECT event_id, event_time, outcome, instance_ids, length(event_id) AS size, resources FROM events ORDER BY event_id LIMIT 20";
    let written = |form: &str, file: &str| {
        program.run_ok(&["query", "--lake", "l", "--format", form, "-o", file, "-c", sql]);
        std::fs::read(program.path(file)).expect("written")
    };
    let rows = program.run_ok(&["query", "--lake", "l", "--format", "json", "-c", sql]).json();
    assert_eq!(String::from_utf8(written("json", "rows.json")).expect("UTF-8").lines().count(), 20);
    let parquet = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(written(
        "parquet",
        "rows.parquet",
    )))
    .expect("a Parquet file");
    assert_eq!(
        parquet
            .build()
            .expect("readable")
            .map(|batch| batch.expect("rows").num_rows())
            .sum::<usize>(),
        20
    );
    let arrow = written("arrow", "rows.arrow");
    let arrow =
        arrow::ipc::reader::StreamReader::try_new(arrow.as_slice(), None).expect("a stream");
    assert_eq!(arrow.map(|batch| batch.expect("rows").num_rows()).sum::<usize>(), 20);
    let markdown = String::from_utf8(written("markdown", "rows.md")).expect("UTF-8");
    assert_eq!(markdown.lines().count(), 22);
    assert!(markdown.starts_with("| event\\_id | event\\_time |"), "{markdown}");
    let expanded = program.run_ok(&["query", "--lake", "l", "--format", "expanded", "-c", sql]);
    assert_eq!(expanded.out.lines().filter(|line| line.starts_with("-- row ")).count(), 20);
    assert!(
        expanded.out.contains(&format!("event_id     | {}", text(&rows[0]["event_id"]))),
        "{}",
        expanded.out
    );
}

#[test]
fn a_failed_write_fails_the_query() {
    let program = lake_of_3000();
    for form in ["table", "expanded", "json", "csv", "markdown", "parquet", "arrow"] {
        let full = program.run(&[
            "query",
            "--lake",
            "l",
            "--format",
            form,
            "-o",
            "/dev/full",
            "-c",
            "SELECT 1 AS a",
        ]);
        assert!(
            full.status != 0 && full.err.contains("No space left"),
            "{form}: {} {}",
            full.status,
            full.err
        );
    }
}

#[test]
fn files_without_the_searched_value_are_pruned() {
    let program = lake_of_3000();
    let column = |sql: &str| -> Vec<String> {
        program
            .run_ok(&["query", "--lake", "l", "--format", "csv", "-c", sql])
            .out
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect()
    };
    let opened = |condition: &str| {
        let plan =
            column(&format!("EXPLAIN SELECT event_time FROM events WHERE {condition}")).join("\n");
        let paths: std::collections::BTreeSet<&str> =
            plan.split("day=").skip(1).filter_map(|rest| rest.split(':').next()).collect();
        paths.len()
    };
    // A plan names at most five files.
    assert_eq!(opened("event_name = 'StopInstance'"), 5);
    assert_eq!(
        (
            opened("event_id = 'none'"),
            opened("array_has(instance_ids, 'i-none')"),
            opened("access_key_id = 'none'")
        ),
        (0, 0, 0)
    );
    // A condition that the Bloom filters do not support finds the same rows.
    for instance in
        column("SELECT DISTINCT unnest(instance_ids) AS i FROM events ORDER BY i LIMIT 25")
    {
        let count = |condition: &str| {
            program.query_number("l", &format!("SELECT count(*) FROM events WHERE {condition}"))
        };
        let has = format!("array_has(instance_ids, '{instance}')");
        let held = count(&has);
        assert!(
            held > 0
                && held
                    == count(&format!("array_position(instance_ids, '{instance}') IS NOT NULL")),
            "{instance}"
        );
    }
    let id = &column("SELECT event_id FROM events ORDER BY event_id LIMIT 1")[0];
    assert_eq!(opened(&format!("event_id = '{id}'")), 1);
    assert_eq!(
        program.query_number(
            "l",
            &format!("SELECT count(*) FROM events WHERE event_id = '{id}' OR event_id = 'none'")
        ),
        1
    );
}

#[test]
fn a_time_filter_above_the_scan_gives_the_same_rows() {
    let program = lake_of_3000();
    let rows =
        |sql: &str| program.run_ok(&["query", "--lake", "l", "--format", "csv", "-c", sql]).out;
    let moment = |percentile: &str| {
        let sql = format!(
            "SELECT to_timestamp_micros(CAST(approx_percentile_cont(arrow_cast(event_time, 'Int64'), {percentile}) AS BIGINT)) AS t FROM events"
        );
        rows(&sql).lines().nth(1).expect("a moment").to_owned()
    };
    let (since, until) = (moment("0.3"), moment("0.7"));
    let period =
        |time: &str| format!("{time} >= TIMESTAMP '{since}' AND {time} < TIMESTAMP '{until}'");
    // The query engine evaluates the second form row by row.
    let (fast, slow) = (period("event_time"), period("(event_time + INTERVAL '0 seconds')"));
    let some = program.query_number(
        "l",
        &format!(
            "SELECT count(*) FROM (SELECT event_time, acs_region FROM events WHERE {fast}) AS some"
        ),
    );
    assert!((600..2400).contains(&some), "{some}");
    for (shown, is_above) in [
        ("acs_region, event_time", true),
        ("acs_region, event_time, date_trunc('hour', event_time) AS hour", true),
        // Another expression with the column's name.
        ("acs_region, date_trunc('hour', event_time) AS event_time", true),
        ("event_id, event_time", false),
        ("instance_ids, event_time", false),
    ] {
        let of = |condition: &str| format!("SELECT {shown} FROM events WHERE {condition}");
        assert_eq!(
            rows(&format!("EXPLAIN {}", of(&fast))).contains("FilterExec"),
            is_above,
            "{shown}"
        );
        assert_eq!(
            rows(&format!("{} ORDER BY 1, 2", of(&fast))),
            rows(&format!("{} ORDER BY 1, 2", of(&slow))),
            "{shown}"
        );
    }
    let first = rows(&format!("SELECT acs_region, event_time FROM events WHERE {fast} LIMIT 7"));
    assert_eq!(first.lines().count(), 8);
}

#[test]
fn groups_of_low_cardinality_use_dictionary_aggregation() {
    let program = lake_of_3000();
    for (by, is_coded) in [
        ("service_name, outcome", true),
        ("acs_region, arrow_cast(event_time, 'Int64') / 3600000000", true),
        ("date_trunc('hour', event_time), event_name", true),
        ("event_id", false),
    ] {
        let sql = format!("EXPLAIN SELECT {by}, count(*) FROM events GROUP BY {by}");
        let plan = program.run_ok(&["query", "--lake", "l", "--format", "csv", "-c", &sql]).out;
        assert_eq!(plan.contains("DictionaryAggregateExec: mode=Partial"), is_coded, "{plan}");
    }
}

#[test]
fn as_of_queries_an_earlier_snapshot() {
    let program = lake_of_3000();
    let count = |as_of: &[&str]| {
        let ran = program.run(
            &[
                &[
                    "query",
                    "--lake",
                    "l",
                    "--format",
                    "json",
                    "-c",
                    "SELECT count(*) AS n FROM events",
                ],
                as_of,
            ]
            .concat(),
        );
        if ran.status == 0 {
            Ok(ran.json()[0]["n"].as_i64().expect("a number"))
        } else {
            Err(ran.err)
        }
    };
    let info = program.run_ok(&["lake", "info", "--lake", "l", "--json"]).json();
    let snapshot = info[0]["snapshot"].as_i64().expect("a number").to_string();
    program.write("more.json", r#"{"eventId":"more","eventName":"StartInstance","eventTime":"2026-09-30T10:00:00Z","acsRegion":"cn-hangzhou","userIdentity":{"type":"ram-user","accountId":"1","userName":"a"}}"#);
    program.run_ok(&["ingest", "more.json", "--lake", "l"]);
    assert_eq!(count(&[]), Ok(3_001));
    assert_eq!(count(&["--as-of", &snapshot]), Ok(3_000));
    assert!(
        count(&["--as-of", "999999"]).expect_err("refused").contains("there is no snapshot 999999")
    );
    // Snapshots carry the real time, not the fixed time of the tests.
    assert_eq!(count(&["--as-of", "2099-01-01"]), Ok(3_001));
    assert!(
        count(&["--as-of", "2001-01-01"])
            .expect_err("refused")
            .contains("there is no snapshot at or before")
    );
    assert!(
        count(&["--as-of", "yesterday"])
            .expect_err("refused")
            .contains("a snapshot number or a time")
    );
}

#[test]
fn the_sources_and_key_activity_views_count_correctly() {
    let program = lake_of_3000();
    program.write("odd.json", "[1]");
    program.run(&["ingest", "odd.json", "g/events", "--lake", "l"]);
    let rows =
        |sql: &str| program.run_ok(&["query", "--lake", "l", "--format", "json", "-c", sql]).json();
    let sources =
        rows("SELECT source, events, copies, quarantined, objects > 1 AS several FROM sources");
    assert_eq!(
        sources,
        [
            json!({ "source": "files", "events": 3_000, "copies": 0, "quarantined": 1, "several": true })
        ]
    );
    let keys = program.query_number("l", "SELECT count(*) FROM key_activity");
    assert!(keys > 0);
    assert_eq!(keys, program.query_number("l", "SELECT count(*) FROM events WHERE access_key_id IS NOT NULL AND credential_kind <> 'none'"));
}

#[test]
fn queries_only_read() {
    let program = Program::new();
    program.write("a.json", event("li"));
    program.run(&["ingest", "a.json", "--lake", "l"]);
    let ran = program.run_ok(&[
        "query",
        "--lake",
        "l",
        "--format",
        "json",
        "-c",
        "SELECT user_name, mfa, param(additional_event_data, 'mfaChecked') AS flag, event_time FROM signins",
    ]);
    assert_eq!(
        ran.json()[0],
        serde_json::json!({ "user_name": "li", "mfa": "no", "flag": "false", "event_time": "2026-09-21T02:14:05Z" })
    );
    assert_eq!(
        program.query_number(
            "l",
            "SELECT count(*) FROM events WHERE ip_in_cidr(source_ip, '198.51.100.0/24')"
        ),
        1
    );
    for wrong in [
        "DROP TABLE events",
        "INSERT INTO events VALUES (1)",
        "COPY events TO 'x.parquet'",
        "CREATE TABLE x AS SELECT 1",
        "SET a = 1",
        "SELECT nope FROM events",
        "SELEC",
    ] {
        let ran = program.run(&["query", "--lake", "l", "-c", wrong]);
        assert_eq!(ran.status, 2, "{wrong}: {}{}", ran.out, ran.err);
    }
    assert!(!program.path("x.parquet").exists());
}
