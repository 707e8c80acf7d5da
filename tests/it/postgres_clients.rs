//! Client libraries of PostgreSQL against the endpoint: cursors, `COPY`, settings and queries on
//! the catalogue. Each test starts the endpoint, and one process that runs the checks of its
//! clients.

use crate::support::external::{external_part, skip_notice};
use crate::support::postgres::postgres;
use crate::support::query_endpoint::{PASSWORD, QueryEndpoint, cli_rows, start_endpoint};
use serde_json::{Value, json};
use std::process::Command;

/// Number of events in the lake.
const EVENTS: i64 = 3_000;

/// Runs the script `tests/it/clients/FILE` with `python` and returns the results of its checks.
fn checks(python: &str, file: &str, open: &QueryEndpoint) -> Value {
    let (host, port) = open.postgres.rsplit_once(':').expect("HOST:PORT");
    let script = format!("{}/tests/it/clients/{file}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args([&script, host, port, PASSWORD])
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The endpoint, and the path of a Python that has the clients; `None`, with a notice, where there
/// is none.
fn endpoint() -> Option<(QueryEndpoint, String)> {
    let python = external_part("TRAILHOUND_CLIENTS_PYTHON")?;
    Some((start_endpoint("", u32::try_from(EVENTS).expect("a number")), python))
}

fn failures(open: &QueryEndpoint) -> i64 {
    open.program.query_number("lake", "SELECT count(*) FROM events WHERE outcome = 'failure'")
}

/// Instance ids of the first event that stops several instances.
fn stopped(open: &QueryEndpoint) -> Value {
    let sql = "SELECT instance_ids FROM stops WHERE cardinality(instance_ids) > 1 ORDER BY event_id LIMIT 1";
    cli_rows(&open.program, sql)[0]["instance_ids"].clone()
}

/// Checks that every result is as expected.
fn compare(found: &Value, expected: &Value) {
    for (name, expected) in expected.as_object().expect("names") {
        assert_eq!(&found[name], expected, "{name}: {}", found[name]);
    }
}

#[test]
fn psycopg_has_cursors_copies_settings_and_transactions() {
    let Some((open, python)) = endpoint() else { return };
    let found = checks(&python, "with_psycopg.py", &open);
    let first =
        &cli_rows(&open.program, "SELECT event_id FROM events ORDER BY event_id LIMIT 1")[0];
    compare(&found, &cursors_and_copies(failures(&open)));
    compare(&found, &settings_and_transactions());
    assert_eq!(found["copied_binary"][0], EVENTS);
    assert_eq!(found["copied_binary"][1], first["event_id"]);
    for name in ["bound", "meanings"] {
        let bound = found[name].as_array().expect("values");
        assert!(bound.iter().all(|same| same == &json!(true)), "{bound:?}");
    }
    assert_eq!(found["types"][0], found["types"][1], "text and binary");
    for reset in found["resets"].as_array().expect("statements") {
        assert_eq!(reset[1], "accepted", "{reset}");
    }
}

fn cursors_and_copies(failures: i64) -> Value {
    json!({
        "server_cursor": EVENTS,
        "server_cursor_with_parameter": failures,
        "scrolled": [1, 2, 3, 11, 7],
        "held": EVENTS,
        "rolled_back": "34000",
        "committed": [["a", "b"], "34000", 2],
        "copied_table": EVENTS,
        "copied": {
            "text": "1\ta\\tb\\\\\tt\n2\t\\N\tf\n3\t\t\\N\n4\tsay \"x\", ä\tt\n",
            "csv": "n,s,b\n1,a\tb\\,t\n2,,f\n3,\"\",\n4,\"say \"\"x\"\", ä\",t\n",
            "old": "n;s;b\n1;a\tb\\;t\n2;-;f\n3;;-\n4;\"say \"\"x\"\", ä\";t\n",
            "quoted": "1,\"a\tb\\\",t\n2,none,f\n3,\"\",none\n4,\"say \"\"x\"\", ä\",t\n",
        },
    })
}

fn settings_and_transactions() -> Value {
    json!({
        "prepared_reads_new_rows": true,
        "settings": {
            "extra_float_digits": "0",
            "bytea_output": "escape",
            "intervalstyle": "iso_8601",
            "statement_timeout": "90s",
            "search_path": "pg_catalog",
            "values": "0.3\tA\\\\377\tP1DT2H\n",
            "out of the path": "42P01",
            "with its schema": "accepted",
            "catalogue": "accepted",
            "standard_conforming_strings = off": "0A000",
            "default_transaction_read_only = off": "0A000",
            "client_encoding = 'LATIN1'": "0A000",
            "DateStyle = 'German'": "0A000",
            "IntervalStyle = 'sql_standard'": "22023",
            "search_path = information_schema": "0A000",
            "work_mem = '1GB'": "42704",
            "extra_float_digits = 9": "22023",
            "reset": ["\"$user\", public", "0"],
            "function": ["public", "public"],
        },
        "local_settings": ["5s", "0", ""],
        "startup_options": ["7s", "42P01", true],
        "stopped": "57014",
        "idle": true,
        "failed_transaction": ["42703", "25P02", 1, "25P01"],
        "one_snapshot": ["repeatable read", "read committed"],
        "refusals": {
            "COPY events FROM STDIN": "25006",
            "COPY (SELECT 1) TO '/tmp/x'": "25006",
            "COPY (SELECT 1) TO PROGRAM 'true'": "25006",
            "DECLARE c CURSOR FOR SELECT 1": "25P01",
            "FETCH nothing": "34000",
            "CLOSE nothing": "34000",
            "DEALLOCATE nothing": "26000",
            "LISTEN x": "25006",
            "BEGIN READ WRITE": "25006",
            "SHOW nothing": "42704",
            "SELECT current_setting('nothing')": "22000",
            "SELECT 1 / 0": "22012",
            "SELECT 'x'::int": "22P02",
            "SELECT 40000::smallint": "22003",
            "SELECT 10 / (length(event_id) * 0) FROM events": "22012",
        },
    })
}

#[test]
fn asyncpg_has_a_pool_binary_lists_and_portals() {
    let Some((open, python)) = endpoint() else { return };
    let found = checks(&python, "with_asyncpg.py", &open);
    let columns =
        cli_rows(&open.program, "SELECT * FROM events LIMIT 1")[0].as_object().map(|row| row.len());
    let failures = failures(&open);
    compare(
        &found,
        &json!({
            "count": EVENTS,
            "parameters": [failures, failures],
            "lists": ["list", stopped(&open)],
            "structs": ["list", "list"],
            "whole_row": columns,
            "portal": [EVENTS, 5, 5],
            "prepared": [["text"], ["text", "timestamptz"]],
            "copied": EVENTS,
            "pool": [EVENTS, EVENTS, EVENTS],
            "reset": null,
        }),
    );
}

#[test]
fn other_python_clients_read_rows_and_the_catalogue() {
    let Some((open, python)) = endpoint() else { return };
    let found = checks(&python, "with_others.py", &open);
    let (failures, stopped) = (failures(&open), stopped(&open));
    let columns = cli_rows(&open.program, "SELECT * FROM events LIMIT 1")[0]
        .as_object()
        .map_or(0, |row| row.len());
    compare(
        &found,
        &json!({
            "psycopg2_named": failures,
            "psycopg2_copy": [EVENTS, stopped],
            "pg8000_rows": [failures, columns, stopped],
            "reflected": EVENTS,
            "streamed": EVENTS,
            "asynchronous": EVENTS,
            "frames": [EVENTS, "datetime64[ns, UTC]", EVENTS, true],
            "adbc": [EVENTS, ["string", "timestamp[us, tz=UTC]", "string", "list<item: string>"], failures, columns],
        }),
    );
    for driver in ["psycopg", "psycopg2", "pg8000"] {
        let inspected = &found["inspected"][driver];
        let has = |part: usize, name: &str| {
            inspected[part].as_array().is_some_and(|names| names.iter().any(|known| known == name))
        };
        assert!(has(0, "public") && has(1, "events") && has(2, "stops"), "{driver}: {inspected}");
        assert!(!has(1, "stops") && !has(1, "pg_class") && !has(2, "columns"), "{inspected}");
        assert_eq!(inspected[3].as_object().map(|columns| columns.len()), Some(columns));
        assert_eq!(inspected[3]["event_id"], "TEXT");
        assert_eq!(inspected[3]["event_time"], "TIMESTAMP");
        assert_eq!(inspected[3]["instance_ids"], "ARRAY");
        for (part, none) in
            [(4, json!([])), (5, json!([])), (6, json!([])), (7, json!([])), (8, json!([]))]
        {
            assert_eq!(inspected[part], none, "{driver}");
        }
        assert_eq!((&inspected[9], &inspected[10]), (&json!(true), &json!(false)));
    }
}

#[test]
fn duckdb_attaches_the_lake_as_a_postgresql_database() {
    let Some(python) = external_part("TRAILHOUND_DUCKDB_PYTHON") else { return };
    let Some((open, _)) = endpoint() else { return };
    let found = checks(&python, "with_duckdb.py", &open);
    let failures = failures(&open);
    compare(
        &found,
        &json!({ "rows": EVENTS, "filtered": failures, "lists": stopped(&open), "passed_on": EVENTS }),
    );
    let tables = found["tables"].as_array().expect("tables");
    assert!(tables.iter().any(|name| name == "events"), "{tables:?}");
}

#[test]
fn a_foreign_server_of_postgresql_reads_the_lake() {
    let Some(server) = postgres() else { return };
    let Some(bin) = external_part("TRAILHOUND_POSTGRESQL") else { return };
    let open = start_endpoint("", u32::try_from(EVENTS).expect("a number"));
    let (host, port) = open.postgres.rsplit_once(':').expect("HOST:PORT");
    let database = server.database("foreign");
    let sql = format!(
        "CREATE EXTENSION postgres_fdw;
         CREATE SERVER lake FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{port}', dbname 'lake', fetch_size '250');
         CREATE USER MAPPING FOR CURRENT_USER SERVER lake OPTIONS (user 'analyst', password '{PASSWORD}');
         IMPORT FOREIGN SCHEMA public LIMIT TO (events, stops) FROM SERVER lake INTO public;
         SELECT count(*) FROM events;
         SELECT count(event_id) FROM events WHERE outcome = 'failure';
         SELECT array_to_json(instance_ids) FROM stops WHERE cardinality(instance_ids) > 1 ORDER BY event_id LIMIT 1;
         SELECT count(*) FROM (SELECT event_id, event_time FROM events) AS rows;"
    );
    let output = Command::new(format!("{bin}/psql"))
        .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", &sql, &database])
        .output()
        .expect("psql runs");
    let error = String::from_utf8_lossy(&output.stderr);
    if error.contains("could not open extension control file") {
        skip_notice("postgres_fdw is not installed");
        return;
    }
    assert!(output.status.success(), "{error}");
    let out = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], EVENTS.to_string());
    assert_eq!(lines[1], failures(&open).to_string());
    assert_eq!(serde_json::from_str::<Value>(lines[2]).expect("JSON"), stopped(&open));
    assert_eq!(lines[3], EVENTS.to_string());
}

#[test]
fn statements_of_tools_are_answered_in_both_protocols() {
    let Some((open, python)) = endpoint() else { return };
    let found = checks(&python, "statements.py", &open);
    let refused = found["refused"].as_array().expect("a list");
    assert!(refused.is_empty(), "{refused:#?}");
    assert!(found["answered"].as_i64().is_some_and(|count| count > 100), "{found}");
}
