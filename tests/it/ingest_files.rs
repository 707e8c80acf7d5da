//! `trailhound ingest` on files, folders, globs and standard input.

use crate::support::events::event;
use crate::support::program::{Program, RunOutput};

#[test]
fn repeated_input_is_reported_and_stored_once() {
    let program = Program::new();
    program.write("in/a.json", event("li"));
    program.write("in/bad.json", "[{\"eventId\":");
    let first = program.run(&["ingest", "in", "--lake", "l", "--json"]).json();
    assert_eq!((first[0]["stored"].as_u64(), first[0]["quarantined"].as_u64()), (Some(1), Some(1)));
    let again = program.run(&["ingest", "in", "--lake", "l"]);
    assert!(again.out.contains("2 objects were in the lake already"), "{}", again.out);
    // A copy under another name is read and its events are duplicates; a rewritten object is read again.
    program.write("in/copy.json", event("li"));
    program.write("in/bad.json", format!("[{}] ", event("wang")));
    let third = program.run(&["ingest", "in", "--lake", "l", "--json"]).json();
    assert_eq!(
        (
            third[0]["received"].as_u64(),
            third[0]["duplicate"].as_u64(),
            third[0]["stored"].as_u64()
        ),
        (Some(2), Some(1), Some(1))
    );
    assert_eq!(program.run(&["lake", "verify", "--lake", "l"]).status, 0);
}

#[test]
fn standard_input_globs_and_folders_are_ingested() {
    let program = Program::new();
    program.write("x/one.json", event("a"));
    program.write("x/two.json", event("b").replace("E1", "E2"));
    program.write("x/.hidden.json", event("c").replace("E1", "E3"));
    let ran = program.run_with_stdin(
        &["ingest", "-", "x/*.json", "x", "--lake", "l", "--json"],
        event("d").replace("E1", "E4").as_bytes(),
    );
    assert_eq!(ran.json()[0]["stored"].as_u64(), Some(3), "{}", ran.err);
    let ran = program.run(&["ingest", "x/*.nothing", "--lake", "l"]);
    assert_eq!((ran.status, ran.err.contains("no file matches")), (2, true), "{}", ran.err);
}

#[test]
fn object_names_are_checked_against_the_content() {
    let program = Program::new();
    let name = "AliyunLogs/Actiontrail/rd-Ab12/1000000000000009/cn-hangzhou/2026/09/21/Actiontrail_cn-hangzhou_20260921021905_1002_7_999_00000000000000000000000000000000.gz";
    let system = r#"[{"eventId":"S1","eventName":"Release","eventTime":"2026-09-21T02:14:05Z","userIdentity":{"type":"system"}}]"#;
    program.write(name, system);
    let ran = program.run_ok(&["ingest", "AliyunLogs", "--lake", "l"]);
    for part in ["the name says 7 events, the object holds 1", "999 bytes", "MD5"] {
        assert!(ran.err.contains(part), "{}", ran.err);
    }
    assert_eq!(
        program.query_number("l", "SELECT count(*) FROM events WHERE account_id = '1000000000000009' AND array_has(flags, 'account_from_path')"),
        1
    );
}

#[test]
fn millions_of_rejects_in_one_object_are_few_rows_and_a_sum() {
    let program = Program::new();
    let numbers = "1,".repeat(30_000);
    program.write("flood.json", format!("[{numbers}{}]", event("li")));
    let ran = program.run(&["ingest", "flood.json", "--lake", "l", "--json"]);
    let report = &ran.json()[0];
    let counted = ["received", "stored", "quarantined", "duplicate"].map(|of| report[of].as_u64());
    assert_eq!(counted, [Some(30_002), Some(1), Some(10_001), Some(20_000)], "{}", ran.err);
    let sum = "SELECT count(*) FROM quarantine WHERE code = 'too_many_rejects' AND found LIKE '20000 more%' \
               AND source_object LIKE '%flood.json'";
    assert_eq!(program.query_number("l", sum), 1);
    assert_eq!(program.run(&["lake", "verify", "--lake", "l"]).status, 0);
    // What comes again has its rows already.
    program.write("flood.json", format!("[{numbers}{}] ", event("li")));
    let again = program.run(&["ingest", "flood.json", "--lake", "l", "--json"]).json();
    assert_eq!(again[0]["quarantined"].as_u64(), Some(0));
}

#[test]
fn a_machine_without_room_for_temporary_files_books_nothing_as_damaged() {
    let program = Program::new();
    program.write("a.json", event("li"));
    program.run_ok(&["ingest", "a.json", "--lake", "l"]);
    let rows = "SELECT replace(to_json, 'E1', 'E2') AS event FROM (SELECT CAST('EVENT' AS VARCHAR) AS to_json)";
    let rows = rows.replace("EVENT", &event("wang"));
    program.run_ok(&[
        "query",
        "--lake",
        "l",
        "--format",
        "parquet",
        "-o",
        "b.parquet",
        "-c",
        &rows,
    ]);
    let ingest = ["ingest", "b.parquet", "--lake", "l", "--json"];
    let mut command = program.command(&ingest);
    command.env("TMPDIR", program.path("no/such/folder"));
    let failed = RunOutput::of(command.output().expect("the program starts"));
    assert_eq!(failed.status, 4, "{}\n{}", failed.out, failed.err);
    assert!(failed.err.contains("b.parquet` was left unread"), "{}", failed.err);
    assert_eq!(program.query_number("l", "SELECT count(*) FROM quarantine"), 0);
    let mended = program.run_ok(&ingest).json();
    assert_eq!(mended[0]["stored"].as_u64(), Some(1));
}
