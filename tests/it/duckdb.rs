//! DuckDB attaches the lake and agrees. Its wheel is installed by `scripts/install-test-parts`.

use crate::support::external::external_part;
use crate::support::postgres::postgres;
use crate::support::program::Program;
use std::process::Command;

const SCRIPT: &str = r#"
import sys, json, duckdb, duckdb_extensions
names = ("ducklake", "sqlite_scanner", "postgres_scanner")
for name in names:
    duckdb_extensions.import_extension(name)
db = duckdb.connect()
# A query that takes long on a busy machine would print it among the rows.
db.execute("SET enable_progress_bar = false")
for name in names:
    db.execute(f"LOAD {name}")
db.execute(f"ATTACH 'ducklake:{sys.argv[1]}' AS lake (READ_ONLY)")
one = lambda sql: db.execute(sql).fetchall()
print(json.dumps({
    "events": one("SELECT count(*) FROM lake.events")[0][0],
    "copies": one("SELECT count(*) FROM lake.event_copies")[0][0],
    "quarantine": one("SELECT count(*) FROM lake.quarantine")[0][0],
    "keys": one("SELECT count(DISTINCT event_key) FROM lake.events")[0][0],
    "days": dict(one("SELECT day, count(*) FROM lake.events GROUP BY ALL")),
    "actions": dict(one("SELECT event_action, count(*) FROM lake.events GROUP BY ALL")),
    "stops": one("SELECT event_id, strftime(event_time AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%SZ'), array_to_string(instance_ids, ' ') FROM lake.events WHERE event_action = 'stopinstances' ORDER BY 1"),
    "typed": one("SELECT count(*) FROM lake.events WHERE len(list_filter(resources, r -> r.type = 'ACS::ECS::Instance')) > 0")[0][0],
    "early": one("SELECT count(*) FROM lake.events WHERE event_time < TIMESTAMPTZ '2026-09-25 00:00:00+00'")[0][0],
}))
"#;

#[test]
fn duckdb_reads_a_lake_with_a_sqlite_catalog() {
    let Some(python) = external_part("TRAILHOUND_DUCKDB_PYTHON") else { return };
    let program = lake();
    assert_agrees(
        &program,
        &python,
        &format!("sqlite:{}/catalog.sqlite", program.path("l").display()),
    );
}

#[test]
fn duckdb_reads_a_lake_with_a_postgresql_catalog() {
    let (Some(python), Some(postgres)) = (external_part("TRAILHOUND_DUCKDB_PYTHON"), postgres())
    else {
        return;
    };
    let program = lake();
    program.write("l/url", postgres.database("duck"));
    program.run_ok(&["lake", "migrate", "--lake", "l", "--to", "file:url"]);
    assert_agrees(&program, &python, &format!("postgres:{}", postgres.url("duck")));
}

fn lake() -> Program {
    let program = Program::new();
    program.run_ok(&["generate", "--events", "20000", "--seed", "3", "--days", "10", "--out", "g"]);
    program.write(
        "g/events/odd.json",
        "[1,{\"eventId\":\"x\",\"eventName\":\"x\",\"eventTime\":\"2015-01-01T00:00:00Z\",\"acsRegion\":\"cn-hangzhou\",\"userIdentity\":{\"type\":\"ram-user\",\"accountId\":\"1\",\"userName\":\"a\"}}]",
    );
    assert_eq!(program.run(&["ingest", "g/events", "--lake", "l"]).status, 3);
    program
}

/// Asserts that DuckDB, attached to the lake with the catalog `catalogue`, returns the same results
/// as the program.
fn assert_agrees(program: &Program, python: &str, catalogue: &str) {
    let output =
        Command::new(python).args(["-c", SCRIPT, catalogue]).output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let count = |sql: &str| program.query_number("l", sql);
    assert_eq!(theirs["events"], count("SELECT count(*) FROM events"));
    assert_eq!(theirs["events"], 20_001);
    assert_eq!((&theirs["quarantine"], &theirs["copies"]), (&1.into(), &0.into()));
    assert_eq!(theirs["keys"], 20_001);
    assert_eq!(
        theirs["typed"],
        count("SELECT count(*) FROM events WHERE cardinality(instance_ids) > 0")
    );
    assert_eq!(
        theirs["early"],
        count("SELECT count(*) FROM events WHERE event_time < TIMESTAMP '2026-09-25T00:00:00Z'")
    );
    for (column, name) in [("day", "days"), ("event_action", "actions")] {
        let sql = format!(
            "SELECT {column} AS name, count(*) AS n FROM events WHERE {column} IS NOT NULL GROUP BY 1"
        );
        for row in program.run_ok(&["query", "--lake", "l", "--format", "json", "-c", &sql]).json()
        {
            assert_eq!(theirs[name][row["name"].as_str().expect("a name")], row["n"], "{row}");
        }
    }
    let sql = "SELECT event_id, event_time, array_to_string(instance_ids, ' ') AS ids FROM events WHERE event_action = 'stopinstances' ORDER BY 1";
    let ours: Vec<_> =
        program.run_ok(&["query", "--lake", "l", "--format", "json", "-c", sql]).json();
    assert!(!ours.is_empty());
    for (ours, theirs) in ours.iter().zip(theirs["stops"].as_array().expect("rows")) {
        assert_eq!(
            [&ours["event_id"], &ours["event_time"], &ours["ids"]],
            [&theirs[0], &theirs[1], &theirs[2]]
        );
    }
}
