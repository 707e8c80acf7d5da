//! A lake as a folder: any path, moved, damaged, locked.

use crate::support::events::event;
use crate::support::program::Program;
use crate::support::service::Service;

#[test]
fn a_lake_has_one_writer_at_a_time() {
    let program = Program::new();
    program.write("a.json", event("li"));
    program.run_ok(&["ingest", "a.json", "--lake", "l"]);
    let lock = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(program.path("l/writer.lock"))
        .expect("the lock file");
    lock.lock().expect("the lock");
    let ran = program.run(&["ingest", "a.json", "--lake", "l"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("one writer at a time"), "{}", ran.err);
    assert_eq!(program.query_number("l", "SELECT count(*) FROM events"), 1, "readers are free");
}

#[test]
fn a_moved_lake_works_and_a_damaged_lake_is_detected() {
    let program = Program::new();
    program.write("a.json", event("li"));
    program.run_ok(&["ingest", "a.json", "--lake", "l"]);
    std::fs::rename(program.path("l"), program.path("moved")).expect("renamed");
    assert_eq!(program.query_number("moved", "SELECT count(*) FROM events"), 1);
    program.run_ok(&["lake", "info", "--lake", "moved"]);
    program.run_ok(&["lake", "verify", "--lake", "moved"]);
    let file = program.path("moved/files/main/events/day=2026-09-21");
    let file = std::fs::read_dir(file)
        .expect("the partition")
        .next()
        .expect("a file")
        .expect("a file")
        .path();
    let mut content = std::fs::read(&file).expect("readable");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(&file, content).expect("written");
    let ran = program.run(&["lake", "verify", "--lake", "moved"]);
    assert_eq!((ran.status, ran.out.contains("checksum")), (1, true), "{}", ran.out);
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(program.run(&["lake", "verify", "--lake", "moved"]).status, 1);
}

/// The rule that finds the sign-in of these tests.
const RULE: &str = "AT-LOGIN-001";

#[test]
fn a_lake_works_at_any_path() {
    let program = Program::new();
    program.write("a.json", event("li"));
    for folder in ["plain", "with space", "数据湖", "p%20x", "it's #1 + [a]&b"] {
        let lake = format!("{folder}/lake");
        let found =
            program.run(&["scan", "a.json", "--lake", &lake, "--fail-on", "high", "--rules", RULE]);
        assert_eq!(found.status, 1, "{folder}: {}", found.err);
        let again = program.run(&["detect", "--lake", &lake, "--fail-on", "high", "--rules", RULE]);
        assert_eq!(
            (again.status, again.err.contains("rror")),
            (1, false),
            "{folder}: {}",
            again.err
        );
        let asked = program.run(&["query", "--lake", &lake, "-c", "SELECT user_name FROM events"]);
        assert!(asked.out.contains("li"), "{folder}: {}{}", asked.out, asked.err);
    }
}

#[test]
fn a_retention_of_no_days_or_of_no_date_is_refused() {
    let program = Program::new();
    for days in ["0", "-1", "36501", "100000000", "9999999999"] {
        program.write("trailhound.toml", format!("[lake]\nretention_days = {days}\n"));
        let ran = program.run(&["lake", "info", "--lake", "l"]);
        let says = format!("`retention_days` is {days}; write 1 to 36500");
        assert!(ran.status == 2 && ran.err.contains(&says), "{}", ran.err);
    }
}

#[cfg(unix)]
#[test]
fn the_files_of_a_lake_are_for_its_user_and_group_alone() {
    use std::os::unix::fs::PermissionsExt;
    let program = Program::new();
    program.write("in/a.json", event("li"));
    program.write("in/b.json", "no event");
    program.run(&["ingest", "in", "--lake", "l"]);
    let files = walkdir::WalkDir::new(program.path("l")).into_iter().map(|e| e.expect("a folder"));
    let files: Vec<_> = files.filter(|entry| entry.file_type().is_file()).collect();
    assert!(files.len() >= 4, "catalog, lock, events, quarantine: {files:?}");
    for file in files {
        let mode = file.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o007, 0, "{}: {mode:o}", file.path().display());
    }
}

#[test]
fn after_a_service_the_catalog_file_alone_is_the_catalog() {
    let program = Program::new();
    program.write("a.json", event("li"));
    program.run_ok(&["ingest", "a.json", "--lake", "l"]);
    program.write(
        "serve.toml",
        "[service]\nlisten = \"127.0.0.1:0\"\n\n[[source.oss]]\nname = \"bucket\"\nbucket = \"trail\"\n\
         endpoint = \"http://127.0.0.1:1\"\nregion = \"r\"\naccess_key_id = \"file:id\"\naccess_key_secret = \"file:id\"\nvirtual_hosted = false\n",
    );
    program.write("id", "x\n");
    let service = Service::start(&program, "serve.toml", "l");
    assert_eq!(service.stop().0, 0);
    let log = std::fs::metadata(program.path("l/catalog.sqlite-wal"));
    assert!(log.is_err() || log.is_ok_and(|log| log.len() == 0));
}
