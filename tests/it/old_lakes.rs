//! Tests lakes of earlier versions: a lake is migrated without a change of its content, or refused
//! with its version. A running process of an older version is refused and loses no data.
//! `tests/lakes/README.md` describes how the lakes were created.

use crate::support::mounts::ReadOnlyMount;
use crate::support::object_store::{ObjectStore, configure, generated_objects};
use crate::support::postgres::{postgres, use_postgres_catalog};
use crate::support::program::{NOW, Program, RunOutput};
use crate::support::service::Service;
use crate::support::waiting::wait_for;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The folder of the archives.
const LAKES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lakes");

/// What each file of answers holds: the rows of a query.
const QUERIES: [(&str, &str); 6] = [
    ("findings", "SELECT finding_id, revision, status, finding FROM findings ORDER BY finding_id"),
    ("events", "SELECT event_key, source FROM events ORDER BY event_key"),
    ("copies", "SELECT event_key, source FROM copies ORDER BY event_key, source"),
    ("copies", "SELECT event_key, source FROM event_copies ORDER BY event_key, source"),
    ("sources", "SELECT * FROM sources ORDER BY source"),
    ("query_log", "SELECT * FROM query_log ORDER BY asked_at, statement"),
];

/// The lake of 0.1.0 in a folder of its own, as `lake`.
fn lake_of_0_1_0() -> Program {
    let program = Program::new();
    let archive = std::fs::read(format!("{LAKES}/0.1.0.tar.zst")).expect("an archive");
    let files = zstd::decode_all(&archive[..]).expect("zstd");
    let mut tar = Command::new("tar")
        .args(["-x", "-f", "-"])
        .current_dir(program.path(""))
        .stdin(Stdio::piped())
        .spawn()
        .expect("tar runs");
    tar.stdin.take().expect("piped").write_all(&files).expect("tar reads");
    assert!(tar.wait().expect("tar ends").success());
    // The configuration names them.
    for secret in ["id", "secret", "token"] {
        program.write(secret, "0123456789abcdef0123\n");
    }
    program
}

fn run(program: &Program, args: &[&str]) -> RunOutput {
    program.run(&[&["--config", "trailhound.toml"], args, &["--lake", "lake"]].concat())
}

fn ok(program: &Program, args: &[&str]) -> RunOutput {
    let ran = run(program, args);
    assert_eq!(ran.status, 0, "{args:?}\n{}\n{}", ran.out, ran.err);
    ran
}

fn info(program: &Program) -> Value {
    ok(program, &["lake", "info", "--json"]).json().remove(0)
}

/// What 0.1.0 answered.
fn answer(program: &Program, name: &str) -> String {
    std::fs::read_to_string(program.path("answers").join(name)).expect("an answer")
}

/// What does not depend on where the lake is and how often it was migrated. 0.1.0 moved no files aside.
fn lasting(mut info: Value) -> Value {
    for name in ["folder", "snapshot", "snapshot_time", "aside"] {
        info.as_object_mut().expect("an object").remove(name);
    }
    info
}

/// Asserts that all queries return the same results as before the migration, except for renamed
/// values.
fn assert_same_answers(program: &Program) {
    let before: Value =
        serde_json::from_str(&answer(program, "info.json")).expect("the lake's figures");
    let after = info(program);
    assert_eq!(after["snapshot"], before["snapshot"].as_i64().expect("a number") + 1);
    assert_eq!(lasting(after), lasting(before));
    for (name, sql) in QUERIES {
        let rows = ok(program, &["query", "--format", "json", "-c", sql]).out;
        assert!(rows == answer(program, &format!("{name}.jsonl")), "{sql}:\n{rows}");
    }
    let entities = ok(program, &["entities", "--format", "json"]).out;
    assert!(entities == answer(program, "entities.jsonl"), "{entities}");
    let outbox = ok(program, &["outbox", "list", "--limit", "100000", "--format", "json"]);
    let (mut rows, mut states) = (String::new(), BTreeSet::new());
    for mut row in outbox.json() {
        // The state under its new name stands beside the old one.
        let state = row.as_object_mut().expect("an object").shift_remove("delivery_state");
        states.insert(state.expect("a state").to_string());
        rows.push_str(&format!("{row}\n"));
    }
    assert!(rows == answer(program, "outbox.jsonl"), "{rows}");
    assert!(states.contains("\"dead_lettered\""), "{states:?}");
    // Heads of columns have other words now.
    let runs = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with(" daily")).map(str::to_owned).collect()
    };
    let listed = runs(&ok(program, &["report", "--list"]).out);
    assert!(listed.len() == 3 && listed == runs(&answer(program, "report_runs.txt")), "{listed:?}");
    let day = ["--period", "day", "--at", NOW, "--format", "json", "--output", "made"];
    let report = ok(program, &[&["report"], &day[..]].concat()).out;
    let report = std::fs::read_to_string(program.path(report.trim())).expect("a report");
    let sections = |text: &str| {
        let mut report: Value = serde_json::from_str(text).expect("a report in JSON");
        let all = report["sections"].as_array_mut().expect("sections");
        // 0.1.0 had no such section.
        all.retain(|section| section["name"] != "comprehension");
        // Rows that a section puts at one place may stand in any order.
        for section in all {
            if let Some(rows) = section["rows"].as_array_mut() {
                rows.sort_by_cached_key(ToString::to_string);
            }
        }
        (report["period"].clone(), report["sections"].clone())
    };
    assert!(sections(&report) == sections(&answer(program, "report.json")), "{report}");
    assert_one_half_understood(program);
}

/// Verify names the one row that this version would not store: `{"eventId": "no-time"}`, which 0.1.0 took for an event.
fn assert_one_half_understood(program: &Program) {
    let verified = run(program, &["lake", "verify"]);
    assert_eq!(verified.status, 1, "{}", verified.err);
    for text in
        ["1 events are stored as an older version half understood them", "odd.json 1", "1 problems"]
    {
        assert!(verified.out.contains(text), "{}", verified.out);
    }
}

/// Its catalog has the tables of `new`, a lake that this version has made.
fn assert_same_schema(program: &Program, new: &str) {
    program.run_ok(&["ingest", "exports/8.json", "--lake", new]);
    let (migrated, new) = (program.catalog("lake").schema(), program.catalog(new).schema());
    assert!(migrated.len() > 200 && migrated == new, "{migrated:#?}\n{new:#?}");
}

/// Findings, one a line, without what a newer version of a rule changes in them.
fn judged(findings: &str) -> Vec<Value> {
    let finding = |line: &str| {
        let mut row: Value = serde_json::from_str(line).expect("JSON");
        let text = row["finding"].as_str().expect("text");
        let mut finding: Value = serde_json::from_str(text).expect("JSON");
        finding.as_object_mut().expect("an object").remove("rule_version");
        row["finding"] = finding;
        row.as_object_mut().expect("an object").remove("revision");
        row
    };
    findings.lines().map(finding).collect()
}

/// It is worked on as any other lake.
fn assert_in_use(program: &Program) {
    let known = ok(program, &["ingest", "exports/8.json", "--json"]).json().remove(0);
    assert_eq!(known["stored"], 0, "{known}");
    // Snapshots from before the migration can still be asked.
    let snapshot = serde_json::from_str::<Value>(&answer(program, "info.json"))
        .expect("the lake's figures")["snapshot"]
        .to_string();
    let copies = "SELECT event_key, source FROM event_copies ORDER BY event_key, source";
    let then = ["query", "--as-of", &snapshot, "--format", "json", "-c", copies];
    assert_eq!(ok(program, &then).out, answer(program, "copies.jsonl"));
    let again = run(program, &["detect", "--format", "json"]);
    assert!(again.status < 2, "{}", again.err);
    let (_, findings) = QUERIES[0];
    let findings = ok(program, &["query", "--format", "json", "-c", findings]).out;
    assert!(judged(&findings) == judged(&answer(program, "findings.jsonl")), "{findings}");
    program.write("more.json", r#"[{"eventId":"more","eventName":"StartInstance","eventTime":"2026-09-30T10:00:00Z","acsRegion":"cn-hangzhou","userIdentity":{"type":"ram-user","accountId":"1","userName":"a"}}]"#);
    let more = ok(program, &["ingest", "more.json", "--json"]).json().remove(0);
    assert_eq!(more["stored"], 1, "{more}");
    ok(program, &["outbox", "retry"]);
    ok(program, &["lake", "compact"]);
    assert_one_half_understood(program);
    let counts =
        |info: &Value| ["events", "quarantined"].map(|name| info[name].as_i64().expect("a number"));
    let [events, quarantined] = counts(&info(program));
    let reread = run(program, &["lake", "reread"]);
    assert!(reread.status < 2, "{}", reread.err);
    ok(program, &["lake", "verify"]);
    assert_eq!(counts(&info(program)), [events - 1, quarantined + 1]);
}

#[test]
fn a_lake_of_0_1_0_is_migrated_and_stays_what_it_is() {
    let program = lake_of_0_1_0();
    assert_same_answers(&program);
    assert_same_schema(&program, "new");
    assert_in_use(&program);
}

#[test]
fn a_lake_of_0_1_0_in_postgresql_is_migrated_and_stays_what_it_is() {
    let Some(postgres) = postgres() else { return };
    let program = lake_of_0_1_0();
    let url = postgres.database("old_lake");
    postgres.restore("old_lake", &program.path("lake/catalog.sql"));
    std::fs::remove_file(program.path("lake/catalog.sqlite")).expect("removed");
    use_postgres_catalog(&program, "lake", &url);
    assert_same_answers(&program);
    use_postgres_catalog(&program, "new", &postgres.database("new_lake"));
    assert_same_schema(&program, "new");
    assert_in_use(&program);
}

#[test]
fn an_old_lake_that_cannot_be_written_is_refused_with_what_to_do() {
    let program = lake_of_0_1_0();
    let Some(mounted) = ReadOnlyMount::mount(&program.path("lake")) else { return };
    let refused = run(&program, &["lake", "info"]);
    assert_eq!(refused.status, 2, "{}", refused.err);
    for text in ["has version 8", "read-only", "trailhound lake info --lake"] {
        assert!(refused.err.contains(text), "{}", refused.err);
    }
    drop(mounted);
    info(&program);
    let Some(mounted) = ReadOnlyMount::mount(&program.path("lake")) else { return };
    let read = run(&program, &["lake", "info"]);
    assert_eq!(read.status, 0, "migrated, it can be read: {}", read.err);
    drop(mounted);
}

/// True while another connection is in a write transaction on the SQLite file `catalog`.
fn is_write_locked(catalog: &Path) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let options = SqliteConnectOptions::new().filename(catalog).busy_timeout(Duration::ZERO);
        let mut connection = options.connect().await.expect("a connection");
        let begun = sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await;
        if begun.is_ok() {
            sqlx::query("ROLLBACK").execute(&mut connection).await.expect("rolled back");
        }
        connection.close().await.expect("closed");
        begun.is_err()
    })
}

#[test]
fn a_migration_that_is_killed_leaves_the_old_lake() {
    let program = lake_of_0_1_0();
    let catalog = program.path("lake/catalog.sqlite");
    let before = std::fs::read(&catalog).expect("a file");
    let mut migrating = program
        .command(&["lake", "info", "--lake", "lake"])
        .env("TRAILHOUND_TEST_SCHEMA", "slow-migration")
        .spawn()
        .expect("the program starts");
    // Once it holds the write lock, any moment will do: the switch makes the migration take minutes.
    wait_for(
        || is_write_locked(&catalog).then_some(()),
        || "the migration takes no write lock".to_owned(),
    );
    assert!(migrating.try_wait().expect("asked").is_none(), "the migration takes minutes");
    migrating.kill().expect("killed");
    migrating.wait().expect("gone");
    assert!(std::fs::read(&catalog).expect("a file") == before);
    assert_same_answers(&program);
}

#[test]
fn an_old_lake_that_several_open_at_once_is_migrated_once() {
    let program = lake_of_0_1_0();
    let start = |_| {
        program
            .command(&["lake", "info", "--lake", "lake", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    };
    let children: Vec<_> = (0..4).map(start).collect();
    for child in children {
        let ran = RunOutput::of(child.wait_with_output().expect("it ends"));
        assert_eq!(ran.status, 0, "{}", ran.err);
    }
    assert_same_answers(&program);
}

/// Runs a build that is one version newer.
fn newer(program: &Program, args: &[&str]) -> RunOutput {
    let output = program.command(args).env("TRAILHOUND_TEST_SCHEMA", "newer").output();
    RunOutput::of(output.expect("the program starts"))
}

/// Ids of rows of a lake that a newer build has migrated.
fn ids(program: &Program, sql: &str) -> BTreeSet<String> {
    let ran = newer(program, &["query", "--lake", "lake", "--format", "csv", "-c", sql]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    ran.out.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_lake_of_a_newer_version_is_refused() {
    let program = lake_of_0_1_0();
    assert_eq!(newer(&program, &["lake", "info", "--lake", "lake"]).status, 0);
    for args in [&["lake", "info"][..], &["query", "-c", "SELECT 1"], &["ingest", "exports"]] {
        let refused = run(&program, args);
        assert_eq!(refused.status, 2, "{args:?}: {}", refused.err);
        assert!(refused.err.contains("has version 10"), "{args:?}: {}", refused.err);
    }
}

/// Asserts that a service stores nothing more after a newer build has migrated its lake, and that a
/// service of the newer build continues.
fn assert_fenced(program: &Program, store: &ObjectStore) {
    let objects = generated_objects(program, "4000", "23");
    configure(program, &store.source());
    let (early, late) = objects.split_at(objects.len() / 2);
    early.iter().for_each(|(key, content)| store.put(key, content));
    let mut older = Service::start_at_test_time(program, "serve.toml", "lake");
    older.wait_until("the first half", |service| {
        service.metric("trailhound_records_total{fate=\"stored\"}") > 0.0
    });
    let migrated = newer(program, &["lake", "info", "--lake", "lake"]);
    assert_eq!(migrated.status, 0, "{}", migrated.err);
    let keys = "SELECT event_key FROM events";
    let stored = ids(program, keys);
    late.iter().for_each(|(key, content)| store.put(key, content));
    older.wait_for_log("a newer trailhound has migrated the lake");
    older.wait_until("it is not ready", |service| service.get("/readyz").0 == 503);
    assert!(ids(program, keys) == stored, "something was stored by the older version");
    // Ended in order: a killed one would keep its lease for as long as the clock stands still.
    older.stop();
    let refused = program.run(&["serve", "--lake", "lake", "--config", "serve.toml"]);
    assert!(refused.status == 2 && refused.err.contains("has version 10"), "{}", refused.err);

    let mut command = program.command(&["--config", "serve.toml", "serve", "--lake", "lake"]);
    command.env("TRAILHOUND_TEST_SCHEMA", "newer");
    let restarted = Service::spawn(command);
    program.run_ok(&[
        "--config",
        "g/trailhound.toml",
        "ingest",
        "g/events",
        "--lake",
        "undisturbed",
    ]);
    let expected: BTreeSet<String> = program.event_keys("undisturbed").into_iter().collect();
    restarted.wait_until("everything arrives", |_| ids(program, keys) == expected);
    program.run(&["--config", "g/trailhound.toml", "detect", "--lake", "undisturbed"]);
    let found = "SELECT finding_id FROM findings WHERE status <> 'withdrawn'";
    let undisturbed = program
        .run_ok(&["query", "--lake", "undisturbed", "--format", "csv", "-c", found])
        .out
        .lines()
        .skip(1)
        .map(str::to_owned)
        .collect();
    restarted.wait_until("every finding", |_| ids(program, found) == undisturbed);
    assert_eq!(restarted.stop().0, 0);
    let verified = newer(program, &["lake", "verify", "--lake", "lake"]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
}

#[test]
fn a_service_of_an_older_version_is_refused_and_loses_nothing() {
    let Some(store) = ObjectStore::start() else { return };
    assert_fenced(&Program::new(), &store);
}

#[test]
fn a_service_of_an_older_version_is_refused_in_postgresql_and_loses_nothing() {
    let (Some(store), Some(postgres)) = (ObjectStore::start(), postgres()) else { return };
    let program = Program::new();
    use_postgres_catalog(&program, "lake", &postgres.database("fenced"));
    assert_fenced(&program, &store);
}

#[test]
fn archives_are_small() {
    for entry in std::fs::read_dir(Path::new(LAKES)).expect("a folder") {
        let entry = entry.expect("an entry");
        let bytes = entry.metadata().expect("a file").len();
        assert!(bytes <= 200 * 1024, "{} has {bytes} bytes", entry.path().display());
    }
}
