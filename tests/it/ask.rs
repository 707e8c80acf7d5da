//! `trailhound query`: statements from everywhere, in every form, over every state of the lake; and the shell in a real terminal.

use crate::part::notice;
use crate::program::{Program, text};
use crate::rules::assert_written;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;
use std::process::Command;
use std::time::{Duration, Instant};
use trailhound_queries::docs::data_dictionary;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

fn lake() -> Program {
    let program = Program::new();
    program.ok(&["generate", "--events", "3000", "--seed", "51", "--days", "10", "--out", "g"]);
    program.ok(&["ingest", "g/events", "--lake", "l"]);
    program
}

#[test]
fn statements_come_from_the_command_line_a_file_and_standard_input() {
    let program = lake();
    program.write("two.sql", "-- first\nSELECT 1 AS a;\nSELECT 'x;y' AS b;");
    let two = program.ok(&["query", "--lake", "l", "--format", "json", "-f", "two.sql"]);
    assert_eq!(two.json(), [json!({ "a": 1 }), json!({ "b": "x;y" })]);
    let piped =
        program.run_with_input(&["query", "--lake", "l", "--format", "json"], b"SELECT 2 AS a");
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
    assert_eq!(program.ok(&bound).json(), [json!({ "a": "x' OR 1=1" })]);
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
    let invalid = program.run_with_input(&["query", "--lake", "l"], b"SELECT '\xff'");
    assert!(invalid.status == 2 && invalid.err.contains("not UTF-8 at byte 8"), "{}", invalid.err);
}

#[test]
fn rows_are_written_in_every_form() {
    let program = lake();
    let sql = "SELECT event_id, event_time, outcome, instance_ids, length(event_id) AS size, resources FROM events ORDER BY event_id LIMIT 20";
    let written = |form: &str, file: &str| {
        program.ok(&["query", "--lake", "l", "--format", form, "-o", file, "-c", sql]);
        std::fs::read(program.path(file)).expect("written")
    };
    let rows = program.ok(&["query", "--lake", "l", "--format", "json", "-c", sql]).json();
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
    let expanded = program.ok(&["query", "--lake", "l", "--format", "expanded", "-c", sql]);
    assert_eq!(expanded.out.lines().filter(|line| line.starts_with("-- row ")).count(), 20);
    assert!(
        expanded.out.contains(&format!("event_id     | {}", text(&rows[0]["event_id"]))),
        "{}",
        expanded.out
    );
}

#[test]
fn rows_that_cannot_be_written_are_no_success() {
    let program = lake();
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
fn files_that_cannot_hold_what_is_looked_for_are_not_opened() {
    let program = lake();
    let column = |sql: &str| -> Vec<String> {
        program
            .ok(&["query", "--lake", "l", "--format", "csv", "-c", sql])
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
    // A plan names no more than five.
    assert_eq!(opened("event_name = 'StopInstance'"), 5);
    assert_eq!(
        (
            opened("event_id = 'none'"),
            opened("array_has(instance_ids, 'i-none')"),
            opened("access_key_id = 'none'")
        ),
        (0, 0, 0)
    );
    // A condition that the filters know nothing of finds the same rows in all files.
    for instance in
        column("SELECT DISTINCT unnest(instance_ids) AS i FROM events ORDER BY i LIMIT 25")
    {
        let count = |condition: &str| {
            program.number("l", &format!("SELECT count(*) FROM events WHERE {condition}"))
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
        program.number(
            "l",
            &format!("SELECT count(*) FROM events WHERE event_id = '{id}' OR event_id = 'none'")
        ),
        1
    );
}

#[test]
fn a_period_is_asked_above_fast_scans_and_gives_the_same_rows() {
    let program = lake();
    let rows = |sql: &str| program.ok(&["query", "--lake", "l", "--format", "csv", "-c", sql]).out;
    let moment = |percentile: &str| {
        let sql = format!(
            "SELECT to_timestamp_micros(CAST(approx_percentile_cont(CAST(event_time AS BIGINT), {percentile}) AS BIGINT)) AS t FROM events"
        );
        rows(&sql).lines().nth(1).expect("a moment").to_owned()
    };
    let (since, until) = (moment("0.3"), moment("0.7"));
    let period =
        |time: &str| format!("{time} >= TIMESTAMP '{since}' AND {time} < TIMESTAMP '{until}'");
    // What the engine cannot take for the column is asked row by row in any case.
    let (fast, slow) = (period("event_time"), period("(event_time + INTERVAL '0 seconds')"));
    let some = program.number(
        "l",
        &format!(
            "SELECT count(*) FROM (SELECT event_time, acs_region FROM events WHERE {fast}) AS some"
        ),
    );
    assert!((600..2400).contains(&some), "{some}");
    for (shown, is_above) in [
        ("acs_region, event_time", true),
        ("acs_region, event_time, date_trunc('hour', event_time) AS hour", true),
        // Something else of its name.
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
fn groups_of_few_values_are_found_by_number() {
    let program = lake();
    for (by, is_coded) in [
        ("service_name, outcome", true),
        ("acs_region, CAST(event_time AS BIGINT) / 3600000000", true),
        ("date_trunc('hour', event_time), event_name", true),
        ("event_id", false),
    ] {
        let sql = format!("EXPLAIN SELECT {by}, count(*) FROM events GROUP BY {by}");
        let plan = program.ok(&["query", "--lake", "l", "--format", "csv", "-c", &sql]).out;
        assert_eq!(plan.contains("CodedAggregateExec: mode=Partial"), is_coded, "{plan}");
    }
}

#[test]
fn an_earlier_state_can_be_asked() {
    let program = lake();
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
    let info = program.ok(&["lake", "info", "--lake", "l", "--json"]).json();
    let snapshot = info[0]["snapshot"].as_i64().expect("a number").to_string();
    program.write("more.json", r#"{"eventId":"more","eventTime":"2026-09-30T10:00:00Z"}"#);
    program.ok(&["ingest", "more.json", "--lake", "l"]);
    assert_eq!(count(&[]), Ok(3_001));
    assert_eq!(count(&["--as-of", &snapshot]), Ok(3_000));
    assert!(
        count(&["--as-of", "999999"]).expect_err("refused").contains("there is no snapshot 999999")
    );
    // Snapshots have the time at which they were taken, which is not that of the tests.
    assert_eq!(count(&["--as-of", "2099-01-01"]), Ok(3_001));
    assert!(
        count(&["--as-of", "2001-01-01"])
            .expect_err("refused")
            .contains("there is no snapshot at or before")
    );
    assert!(
        count(&["--as-of", "yesterday"])
            .expect_err("refused")
            .contains("a snapshot's number or a time")
    );
}

#[tokio::test]
async fn all_there_is_to_ask_for_has_its_meaning() {
    let session = Session::over_events(
        Vec::new(),
        std::sync::Arc::new(Parameters::default()),
        &QueryLimits::default(),
    )
    .await
    .expect("a session");
    for relation in data_dictionary::relations(&session).await.expect("relations") {
        assert!(!relation.shows.is_empty(), "{}", relation.name);
        for column in relation.columns {
            assert!(!column.meaning.is_empty(), "{}.{}", relation.name, column.name);
        }
    }
    assert_written("docs/vocabulary.md", &data_dictionary::page(&session).await.expect("a page"));
}

/// A shell in a terminal of its own.
struct Terminal {
    socket: String,
}

impl Terminal {
    /// `None`, with a notice, where there is no tmux.
    fn start(program: &Program) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            notice("tmux is not installed");
            return None;
        }
        let terminal = Self { socket: program.path("tmux").display().to_string() };
        let shell = format!(
            "cd {} && HOME={} PAGER='less -S' {} query --lake l",
            program.path("").display(),
            program.path("").display(),
            crate::program::binary().display()
        );
        terminal.tmux(&["new-session", "-d", "-x", "120", "-y", "30", "sh", "-c", &shell]);
        terminal.shows("trailhound>");
        Some(terminal)
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-S", &self.socket, "-f", "/dev/null"])
            .args(args)
            .output()
            .expect("tmux runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", "0"], keys].concat());
    }

    fn typed(&self, text: &str) {
        // A semicolon at the end would be one of tmux's own.
        let text =
            text.strip_suffix(';').map_or_else(|| text.to_owned(), |text| format!("{text}\\;"));
        self.tmux(&["send-keys", "-t", "0", "-l", &text]);
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "0"])
    }

    /// Waits until the screen shows `text`.
    fn shows(&self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(text) {
                return screen;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "`{text}` does not appear:\n{screen}"
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn clear(&self) {
        self.keys(&["C-l"]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).status();
    }
}

#[test]
fn the_shell_completes_pages_cancels_and_points() {
    let program = lake();
    let Some(terminal) = Terminal::start(&program) else { return };
    completes(&terminal);
    points_and_cancels(&terminal);
    shows_as_told(&terminal);
    pages(&terminal);
    leaves_a_history(&program, &terminal);
}

/// A table, the columns of the table that is named, and a statement over several lines.
fn completes(terminal: &Terminal) {
    terminal.typed("SELECT outcome, count(*) FROM sign");
    terminal.keys(&["Tab"]);
    terminal.shows("FROM signins");
    // The statement goes on until its semicolon.
    terminal.keys(&["Enter"]);
    terminal.typed("GROUP BY outc");
    terminal.keys(&["Tab"]);
    terminal.typed(";");
    terminal.keys(&["Enter"]);
    terminal.shows("(2 rows)");
}

/// At the place of an error; and what has no end ends.
fn points_and_cancels(terminal: &Terminal) {
    terminal.clear();
    terminal.typed("SELECT usr_name FROM events;");
    terminal.keys(&["Enter"]);
    let pointed = terminal.shows("user_name");
    assert!(pointed.contains("1 | SELECT usr_name FROM events"), "{pointed}");
    terminal.clear();
    // Cancelled, and the shell is still there: also after a join that never yields, twice.
    let join =
        "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000000) b;";
    for (number, endless) in
        ["SELECT count(*) FROM generate_series(1, 1000000000000000);", join, join]
            .into_iter()
            .enumerate()
    {
        terminal.clear();
        terminal.typed(endless);
        terminal.keys(&["Enter"]);
        let begun = Instant::now();
        while !terminal.screen().contains("cancelled") {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "nothing is cancelled:\n{}",
                terminal.screen()
            );
            // Before the statement runs it only gives a new line.
            terminal.keys(&["C-c"]);
            std::thread::sleep(Duration::from_millis(100));
        }
        terminal.typed(&format!("SELECT 'here ' || '{number}' AS still;"));
        terminal.keys(&["Enter"]);
        terminal.shows(&format!("here {number}"));
    }
}

/// Times, and a line a column.
fn shows_as_told(terminal: &Terminal) {
    terminal.clear();
    terminal.typed("\\timing");
    terminal.keys(&["Enter"]);
    terminal.shows("times are told");
    terminal.typed("\\x");
    terminal.keys(&["Enter"]);
    terminal.shows("a line a column");
    terminal.typed("SELECT 1 AS one;");
    terminal.keys(&["Enter"]);
    terminal.shows("one | 1");
    terminal.shows("(1 rows) in ");
    terminal.typed("\\x");
    terminal.keys(&["Enter"]);
    terminal.shows("a line a row");
}

/// What is longer or wider than the screen.
fn pages(terminal: &Terminal) {
    terminal.clear();
    // More than the screen holds goes to the pager, which `q` leaves.
    terminal.typed("SELECT event_name, count(*) FROM events GROUP BY ALL ORDER BY 1;");
    terminal.keys(&["Enter"]);
    let paged = terminal.shows("event_name");
    assert!(!paged.contains("rows)"), "{paged}");
    terminal.keys(&["q"]);
    terminal.shows("rows)");
    terminal.clear();
    terminal.typed("\\d+ coverage");
    terminal.keys(&["Enter"]);
    terminal.shows("hours_with_events");
    terminal.keys(&["q"]);
    terminal.shows("trailhound>");
    terminal.clear();
    terminal.typed("\\investigate who_stopped instance=i-bp1none");
    terminal.keys(&["Enter"]);
    // It is wider than the screen.
    terminal.shows("not visible");
    terminal.keys(&["q"]);
    terminal.shows("(1 rows)");
}

/// An earlier state, the end, and what was typed in the next shell.
fn leaves_a_history(program: &Program, terminal: &Terminal) {
    terminal.typed("\\asof 0");
    terminal.keys(&["Enter"]);
    terminal.shows("snapshot 0");
    terminal.typed("SELECT 'now ' || count(*) AS n FROM events;");
    terminal.keys(&["Enter"]);
    terminal.shows("now 0");
    terminal.typed("\\q");
    terminal.keys(&["Enter"]);
    // What was typed is remembered by the next one.
    let begun = Instant::now();
    while Command::new("tmux")
        .args(["-S", &terminal.socket, "list-sessions"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        assert!(begun.elapsed() < Duration::from_secs(60), "the shell does not end");
        std::thread::sleep(Duration::from_millis(30));
    }
    let history = walkdir::WalkDir::new(program.path(""))
        .into_iter()
        .flatten()
        .find(|entry| entry.file_name() == "query_history");
    let history = std::fs::read_to_string(history.expect("a history").path()).expect("readable");
    assert!(history.contains("usr_name"), "{history}");
}

#[test]
fn views_show_what_they_say() {
    let program = lake();
    program.write("odd.json", "[1]");
    program.run(&["ingest", "odd.json", "g/events", "--lake", "l"]);
    let rows =
        |sql: &str| program.ok(&["query", "--lake", "l", "--format", "json", "-c", sql]).json();
    let sources =
        rows("SELECT source, events, copies, quarantined, objects > 1 AS several FROM sources");
    assert_eq!(
        sources,
        [
            json!({ "source": "files", "events": 3_000, "copies": 0, "quarantined": 1, "several": true })
        ]
    );
    let keys = program.number("l", "SELECT count(*) FROM key_activity");
    assert!(keys > 0);
    assert_eq!(keys, program.number("l", "SELECT count(*) FROM events WHERE access_key_id IS NOT NULL AND credential_kind <> 'none'"));
}
