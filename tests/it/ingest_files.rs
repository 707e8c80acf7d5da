//! `trailhound ingest` on files, folders, globs and standard input.

use crate::support::events::event;
use crate::support::program::Program;

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
