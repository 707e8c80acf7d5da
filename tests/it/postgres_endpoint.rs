//! The PostgreSQL endpoint with real clients: psql, psycopg, SQLAlchemy, JDBC and what Grafana sends.

use crate::support::certificate;
use crate::support::external::external_part;
use crate::support::program::Program;
use crate::support::query_endpoint::{
    PASSWORD, QueryEndpoint, cli_rows, start_endpoint, start_endpoint_in,
};
use crate::support::service::Service;
use serde_json::{Value, json};
use std::process::Command;

/// `psql` with the password of the tests.
fn psql(open: &QueryEndpoint, args: &[&str]) -> (bool, String, String) {
    psql_as(open, "analyst", PASSWORD, args)
}

fn psql_as(
    open: &QueryEndpoint,
    user: &str,
    password: &str,
    args: &[&str],
) -> (bool, String, String) {
    let (host, port) = open.postgres.rsplit_once(':').expect("HOST:PORT");
    let program =
        format!("{}/psql", std::env::var("TRAILHOUND_POSTGRESQL").expect("psql is there"));
    let mut command = Command::new(program);
    command
        .env("PGPASSWORD", password)
        .env("PGCONNECT_TIMEOUT", "20")
        .args(["-X", "-h", host, "-p", port, "-U", user, "-d", "lake"])
        .args(args);
    let output = command.output().expect("psql runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn psql_connects_by_tls_and_verifies_the_certificate() {
    if external_part("TRAILHOUND_POSTGRESQL").is_none() {
        return;
    }
    let program = Program::new();
    if !certificate::create(&program.path("")) {
        return;
    }
    let open = start_endpoint_in(
        program,
        "",
        1_000,
        "certificate = \"certificate.pem\"\nkey = \"key.pem\"\n",
    );
    let (host, port) = open.postgres.rsplit_once(':').expect("HOST:PORT");
    let psql = format!("{}/psql", std::env::var("TRAILHOUND_POSTGRESQL").expect("psql is there"));
    let ask = |how: &str| {
        let place = format!("host={host} port={port} user=analyst dbname=lake {how}");
        let mut command = Command::new(&psql);
        command
            .current_dir(open.program.path(""))
            .env("PGPASSWORD", PASSWORD)
            .env("PGCONNECT_TIMEOUT", "20");
        let output = command
            .args(["-X", "-A", "-t", "-c", "SELECT count(*) FROM events", &place])
            .output()
            .expect("psql runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (ok, out, err) = ask("sslmode=verify-full sslrootcert=certificate.pem");
    assert_eq!((ok, out.as_str()), (true, "1000"), "{err}");
    std::fs::create_dir(open.program.path("other")).expect("a folder");
    assert!(certificate::create(&open.program.path("other")));
    let (ok, _, err) = ask("sslmode=verify-full sslrootcert=other/certificate.pem");
    assert!(!ok && err.contains("certificate verify failed"), "{err}");
}

/// Statements that are refused, and what the refusal says.
const REFUSED: [(&str, &str); 11] = [
    ("DROP TABLE events", "only statements that read"),
    ("INSERT INTO events VALUES (1)", "only statements that read"),
    ("SELEC 1", ""),
    ("COPY events TO '/tmp/x'", ""),
    ("SET datafusion.runtime.memory_limit = '100G'", "cannot be set"),
    ("SELECT * FROM '/etc/passwd'", "there is no table"),
    ("SELECT read_text('/etc/passwd')", "there is no function"),
    ("SELECT nothing FROM events", "nothing"),
    ("SELECT * FROM evnets", "did you mean"),
    ("SELECT * FROM events", "more than 1000 rows"),
    (
        "SELECT count(*) FROM events a, events b, events c WHERE a.event_id || b.event_id || c.event_id = 'x'",
        "",
    ),
];

#[test]
fn psql_returns_the_same_rows_as_the_cli_and_changes_nothing() {
    if external_part("TRAILHOUND_POSTGRESQL").is_none() {
        return;
    }
    let open = start_endpoint("time_max_seconds = 3\nrows_max = 1000\n", 3_000);
    let sql = "SELECT event_id, outcome FROM events ORDER BY event_id LIMIT 5";
    let (ok, out, err) = psql(&open, &["-A", "-t", "-F", "\t", "-c", sql]);
    assert!(ok, "{err}");
    let expected: Vec<String> = cli_rows(&open.program, sql)
        .iter()
        .map(|row| {
            format!(
                "{}\t{}",
                row["event_id"].as_str().expect("text"),
                row["outcome"].as_str().expect("text")
            )
        })
        .collect();
    assert_eq!(out.lines().collect::<Vec<_>>(), expected);
    for (what, says) in [
        ("\\d", "events"),
        ("\\dt", "findings"),
        ("\\dv", "stops"),
        ("SELECT version()", "PostgreSQL 16.6 (Trailhound"),
        ("SHOW server_version", "16.6 (Trailhound"),
        ("BEGIN; SELECT 1 AS one; COMMIT", "one"),
        (
            "SET TIME ZONE 'Asia/Shanghai'; SELECT ARRAY[timestamptz '2026-11-14 00:00:00+00']",
            "{\"2026-11-14 08:00:00+08\"}",
        ),
    ] {
        let (ok, out, err) = psql(&open, &["-c", what]);
        assert!(ok && out.contains(says), "{what}: {out}{err}");
    }
    let long = format!("SELECT {}", "'',".repeat(30_000));
    for (sql, says) in REFUSED.into_iter().chain([(long.as_str(), "at most 65536")]) {
        let (ok, out, err) = psql(&open, &["-c", sql]);
        assert!(!ok && err.contains(says), "{sql}: {out}{err}");
    }
    // Refused statements are logged too.
    let tried = || {
        cli_rows(
            &open.program,
            "SELECT result, length(statement) AS length FROM query_log WHERE result <> 'answered' ORDER BY asked_at",
        )
    };
    open.service.wait_until("every refusal noted", |_| {
        open.program.catalog("lake").refused_queries() == REFUSED.len() as i64 + 1
    });
    let codes: Vec<String> =
        tried().iter().map(|row| crate::support::program::text(&row["result"])).collect();
    assert_eq!(
        codes[..3],
        ["statement_not_allowed", "statement_not_allowed", "syntax"],
        "{codes:?}"
    );
    // Of a refused statement the log keeps the beginning and the length.
    let length = tried().last().and_then(|row| row["length"].as_i64()).expect("a length");
    assert!((4_096..4_200).contains(&length), "{length}");
    failed_logins_are_noted(&open);
}

/// Nobody comes in with a wrong name or password, and the log says who tried.
fn failed_logins_are_noted(open: &QueryEndpoint) {
    for (user, password) in
        [("analyst", "wrong-password-0123456789"), ("analyst", ""), ("postgres", PASSWORD)]
    {
        let (ok, _, err) = psql_as(open, user, password, &["-w", "-c", "SELECT 1"]);
        assert!(!ok, "{user} came in: {err}");
    }
    assert!(psql(open, &["-c", "SELECT 1"]).0);
    open.service.wait_until("the failed logins noted", |_| {
        open.program.catalog("lake").logged_queries("login_failed") == 2
    });
    let noted = cli_rows(
        &open.program,
        "SELECT DISTINCT door, who, result = 'login_failed' AS failed FROM query_log ORDER BY who, failed",
    );
    let row = |who: &str, failed: bool| json!({ "door": "postgres", "who": who, "failed": failed });
    assert_eq!(noted, [row("analyst", false), row("analyst", true), row("postgres", true)]);
}

const CLIENT: &str = r#"
import sys, json, psycopg, sqlalchemy as sa
host, port, password = sys.argv[1:]
said = {}
with psycopg.connect(host=host, port=port, user="analyst", password=password, dbname="lake") as db:
    said["param"] = db.execute("SELECT count(*) FROM events WHERE outcome = %s", ("failure",)).fetchone()[0]
    said["binary"] = str(db.execute("SELECT max(event_time) FROM events", binary=True).fetchone()[0])
    said["version"] = db.execute("SHOW server_version", prepare=True).fetchone()[0]
    try:
        db.execute("DELETE FROM events")
    except psycopg.Error as error:
        said["refused"] = error.sqlstate
engine = sa.create_engine(sa.URL.create("postgresql+psycopg", "analyst", password, host, int(port), "lake"))
with engine.connect() as db:
    said["bound"] = db.execute(sa.text("SELECT count(*) FROM events WHERE outcome = :o"), {"o": "failure"}).scalar()
    said["list"] = db.execute(sa.text("SELECT instance_ids FROM stops WHERE cardinality(instance_ids) > 1 ORDER BY event_id LIMIT 1")).scalar()
print(json.dumps(said))
"#;

#[test]
fn psycopg_and_sqlalchemy_query() {
    let (Some(python), Some(_)) =
        (external_part("TRAILHOUND_CLIENTS_PYTHON"), external_part("TRAILHOUND_POSTGRESQL"))
    else {
        return;
    };
    let open = start_endpoint("", 3_000);
    let (host, port) = open.postgres.rsplit_once(':').expect("HOST:PORT");
    let output = Command::new(python)
        .args(["-c", CLIENT, host, port, PASSWORD])
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let failures =
        open.program.query_number("lake", "SELECT count(*) FROM events WHERE outcome = 'failure'");
    assert_eq!(
        (said["param"].as_i64(), said["bound"].as_i64()),
        (Some(failures), Some(failures)),
        "{said}"
    );
    assert_eq!(said["refused"], "25006");
    assert!(
        said["version"].as_str().is_some_and(|version| version.starts_with("16.6 (Trailhound")),
        "{said}"
    );
    let newest = &cli_rows(&open.program, "SELECT max(event_time) AS t FROM events")[0]["t"];
    assert_eq!(
        said["binary"].as_str().map(|text| &text[..19]),
        newest.as_str().map(|text| text[..19].replace('T', " ")).as_deref()
    );
    let list = &cli_rows(
        &open.program,
        "SELECT instance_ids FROM stops WHERE cardinality(instance_ids) > 1 ORDER BY event_id LIMIT 1",
    )[0]["instance_ids"];
    assert_eq!(&said["list"], list);
    let noted = "SELECT statement FROM query_log WHERE statement LIKE '%-- $1 = ''failure%'";
    assert_eq!(cli_rows(&open.program, noted).len(), 2, "both with the value of the parameter");
}

#[test]
fn jdbc_queries_and_lists_tables() {
    let (Some(jar), Some(_)) =
        (external_part("TRAILHOUND_JDBC"), external_part("TRAILHOUND_POSTGRESQL"))
    else {
        return;
    };
    let open = start_endpoint("", 3_000);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/clients/Ask.java");
    let output = Command::new("java")
        .args(["-cp", &jar, source, &open.postgres, PASSWORD])
        .output()
        .expect("java runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8_lossy(&output.stdout);
    let said = |name: &str| {
        out.lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .collect::<Vec<_>>()
    };
    let failures = open
        .program
        .query_number("lake", "SELECT count(*) FROM events WHERE outcome = 'failure'")
        .to_string();
    assert_eq!(said("failures"), vec![failures.as_str(); 8]);
    let newest = &cli_rows(&open.program, "SELECT max(event_time) AS t FROM events")[0]["t"];
    assert_eq!(
        said("newest")[0].parse::<chrono::DateTime<chrono::Utc>>(),
        newest.as_str().expect("a time").parse()
    );
    let stops = "SELECT array_to_string(instance_ids, ',') AS ids FROM stops WHERE cardinality(instance_ids) > 1 ORDER BY event_id LIMIT 1";
    assert_eq!(said("list"), [cli_rows(&open.program, stops)[0]["ids"].as_str().expect("text")]);
    assert_eq!(said("refused"), ["25006"]);
    let named: Vec<&str> = said("tables")[0].split(',').collect();
    for table in ["events", "findings", "quarantine", "stops", "query_log"] {
        assert!(named.contains(&table), "{named:?}");
    }
    assert!(
        said("columns")[0].split(',').any(|column| column.starts_with("event_time:timestamp")),
        "{out}"
    );
}

/// Statements that Grafana's data source sends while a panel is built, and a panel's statement with its macros expanded.
const GRAFANA: [(&str, &str); 7] = [
    ("SELECT current_setting('server_version_num')::int/100 as version", "1600"),
    (
        "SELECT data_type FROM information_schema.columns WHERE table_name = 'events' AND column_name = 'event_id'",
        "text",
    ),
    ("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'", ""),
    (
        r#"select quote_ident(table_name) as "table" from information_schema.tables
    where quote_ident(table_schema) not in ('information_schema',
                             'pg_catalog',
                             '_timescaledb_cache',
                             '_timescaledb_catalog',
                             '_timescaledb_internal',
                             '_timescaledb_config',
                             'timescaledb_information',
                             'timescaledb_experimental')
      and 
          quote_ident(table_schema) IN (
          SELECT
            CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
          FROM
            generate_series(
              array_lower(string_to_array(current_setting('search_path'),','),1),
              array_upper(string_to_array(current_setting('search_path'),','),1)
            ) as i,
            string_to_array(current_setting('search_path'),',') s
          )"#,
        "events",
    ),
    (
        r#"select quote_ident(column_name) as "column", data_type as "type"
    from information_schema.columns
    where quote_ident(table_name) = 'events';"#,
        "event_time|timestamp with time zone",
    ),
    (
        "SELECT floor(extract(epoch from event_time)/3600)*3600 AS \"time\", count(*) AS \"value\" FROM events \
         WHERE event_time BETWEEN '2020-01-01T00:00:00Z' AND '2030-01-01T00:00:00Z' GROUP BY 1 ORDER BY 1",
        "",
    ),
    (
        "SELECT event_time AS \"time\", user_name AS metric, 1 AS value FROM stops WHERE event_time >= '2020-01-01T00:00:00Z' ORDER BY 1 LIMIT 5",
        "",
    ),
];

#[test]
fn grafana_statements_are_answered() {
    if external_part("TRAILHOUND_POSTGRESQL").is_none() {
        return;
    }
    let open = start_endpoint("", 3_000);
    for (sql, holds) in GRAFANA {
        let (ok, out, err) = psql(&open, &["-A", "-t", "-c", sql]);
        assert!(ok && out.contains(holds), "{sql}\n{out}{err}");
    }
}

#[test]
fn a_disconnected_postgresql_client_ends_its_query_process() {
    if external_part("TRAILHOUND_POSTGRESQL").is_none() {
        return;
    }
    let open = start_endpoint("time_max_seconds = 60\n", 1_000);
    let (host, port) = open.postgres.rsplit_once(':').expect("HOST:PORT");
    let program =
        format!("{}/psql", std::env::var("TRAILHOUND_POSTGRESQL").expect("psql is there"));
    let ask = || {
        let mut client = Command::new(&program);
        client
            .env("PGPASSWORD", PASSWORD)
            .args(["-X", "-h", host, "-p", port, "-U", "analyst", "-d", "lake"]);
        client
            .args(["-c", "SELECT count(*) FROM generate_series(1, 1000000000000000)"])
            .spawn()
            .expect("psql runs")
    };
    let mut client = ask();
    let runs = |service: &Service| service.metric("trailhound_queries_running") > 0.0;
    open.service.wait_until("the statement running", |service| runs(service));
    // The client cancels the statement, as with Ctrl-C.
    let interrupted =
        Command::new("kill").args(["-INT", &client.id().to_string()]).status().expect("kill runs");
    assert!(interrupted.success());
    assert!(!client.wait().expect("ends").success());
    let noted = |result: &str| open.program.catalog("lake").logged_queries(result);
    open.service.wait_until("the statement noted", |_| noted("cancelled") == 1);
    open.service.wait_until("nothing running", |service| !runs(service));
    let mut client = ask();
    open.service.wait_until("the statement running", |service| runs(service));
    client.kill().expect("killed");
    client.wait().expect("gone");
    open.service.wait_until("nothing running", |service| !runs(service));
    assert!(psql(&open, &["-c", "SELECT 1"]).0);
}

/// A statement that takes hours to plan: each part reads the one before it twice.
fn planned_for_hours() -> String {
    let parts: Vec<String> = (1..30)
        .map(|n| {
            format!("p{n} AS (SELECT (SELECT x FROM p{0}) + (SELECT x FROM p{0}) AS x)", n - 1)
        })
        .collect();
    format!("WITH p0 AS (SELECT 1 AS x), {} SELECT x FROM p29", parts.join(", "))
}

#[test]
fn planning_takes_a_turn_and_ends_with_its_client_or_its_time() {
    let Some(folder) = external_part("TRAILHOUND_POSTGRESQL") else { return };
    let open = start_endpoint("time_max_seconds = 60\n", 1_000);
    let (host, port) = open.postgres.rsplit_once(':').expect("HOST:PORT");
    let mut client = Command::new(format!("{folder}/psql"))
        .env("PGPASSWORD", PASSWORD)
        .args(["-X", "-h", host, "-p", port, "-U", "analyst", "-d", "lake"])
        .args(["-c", &planned_for_hours()])
        .spawn()
        .expect("psql runs");
    let runs = |service: &Service| service.metric("trailhound_queries_running") > 0.0;
    open.service.wait_until("a turn taken", |service| runs(service));
    client.kill().expect("killed");
    client.wait().expect("gone");
    open.service.wait_until("the turn given back", |service| !runs(service));
    open.service.wait_until("the statement noted", |_| {
        open.program.catalog("lake").logged_queries("cancelled") == 1
    });
    let open = start_endpoint("time_max_seconds = 1\n", 1_000);
    let (ok, _, err) = psql(&open, &["-c", &planned_for_hours()]);
    let is_told = ["was not answered within 1 s", "needs more memory than it may use"]
        .iter()
        .any(|words| err.contains(words));
    assert!(!ok && is_told, "{err}");
    assert!(psql(&open, &["-c", "SELECT 1"]).0);
}

#[test]
fn documented_examples_give_the_same_result_by_every_interface() {
    let (Some(bin), Some(python)) =
        (external_part("TRAILHOUND_POSTGRESQL"), external_part("TRAILHOUND_DUCKDB_PYTHON"))
    else {
        return;
    };
    let open = start_endpoint("", 3_000);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/asking.md"))
        .expect("the page");
    let failed =
        open.program.query_number("lake", "SELECT count(*) FROM events WHERE outcome = 'failure'");
    let postgres_port = open.postgres.rsplit(':').next().expect("a port");
    let folder =
        |file: &str| std::path::Path::new(file).parent().expect("a folder").display().to_string();
    let path = [
        folder(&crate::support::program::binary().to_string_lossy()),
        bin,
        folder(&python),
        std::env::var("PATH").expect("a path"),
    ]
    .join(":");
    let blocks: Vec<&str> = page
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().expect("an end"))
        .collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        let here = block
            .replace("127.0.0.1:8640", &open.service.address)
            .replace("--port 5433", &format!("--port {postgres_port}"));
        // DuckDB's extensions are installed as wheels, so that the test needs no network.
        let install = "import duckdb_extensions\nfor name in ('ducklake', 'sqlite_scanner'):\n    duckdb_extensions.import_extension(name)\ndb.execute(\"LOAD ducklake; LOAD sqlite_scanner\")";
        let here = here.replace(
            "db.execute(\"INSTALL ducklake; LOAD ducklake; INSTALL sqlite; LOAD sqlite\")",
            install,
        );
        let output = Command::new("bash")
            .args(["-euc", &here])
            .current_dir(open.program.path(""))
            .env("PATH", &path)
            .output()
            .expect("bash runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{here}\n{}", String::from_utf8_lossy(&output.stderr));
        let numbers: Vec<&str> = said.split(|letter: char| !letter.is_ascii_digit()).collect();
        assert!(numbers.contains(&failed.to_string().as_str()), "{here}\n{said}, not {failed}");
    }
}
