//! The doors by which other programs ask while the service runs: what they answer, what they refuse, and that neither harms the service.

use crate::broker::broker;
use crate::certificate;
use crate::live::Stage;
use crate::part::part;
use crate::program::Program;
use crate::service::Service;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

const TOKEN: &str = "token-of-the-tests-0123456789";
const PASSWORD: &str = "password-of-the-tests-0123456789";

/// A service over a lake with generated events, its doors open, that follows a topic nobody serves.
struct Open {
    program: Program,
    service: Service,
    /// `HOST:PORT` of the PostgreSQL door.
    postgres: String,
}

/// What opens the doors.
fn doors(bounds: &str) -> String {
    format!(
        "[query]\ntoken = \"file:token\"\n{bounds}\n[query.postgres]\nlisten = \"127.0.0.1:0\"\nuser = \"analyst\"\npassword = \"file:password\"\n"
    )
}

fn with_secrets(program: &Program) {
    program.write("token", TOKEN);
    program.write("password", PASSWORD);
}

fn open(bounds: &str, events: u32) -> Open {
    open_with(Program::new(), bounds, events, "")
}

/// The same in the folder of `program`, with `more` said of the PostgreSQL door.
fn open_with(program: Program, bounds: &str, events: u32, more: &str) -> Open {
    program.ok(&[
        "generate",
        "--events",
        &events.to_string(),
        "--seed",
        "41",
        "--days",
        "10",
        "--out",
        "g",
    ]);
    program.ok(&["--config", "g/trailhound.toml", "scan", "g/events", "--lake", "lake"]);
    with_secrets(&program);
    let source = "[[source.kafka]]\nname = \"sls\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopics = [\"none\"]\n";
    program.write(
        "serve.toml",
        format!("[service]\nlisten = \"127.0.0.1:0\"\n{}{more}{source}", doors(bounds)),
    );
    let mut service = Service::start(&program, "serve.toml", "lake");
    let line = service.said("answering PostgreSQL clients on ");
    let postgres = line.rsplit(' ').next().expect("an address").to_owned();
    Open { program, service, postgres }
}

/// What came back.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{}", self.json()))
            .to_owned()
    }
}

/// Sends a request and leaves the connection to the caller.
fn send(address: &str, token: &str, accept: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = format!(
        "POST /api/v1/query HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nAccept: {accept}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    // Who is refused for the size of the body may not have it read.
    let _ = stream.write_all(body);
    stream
}

fn received(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("UTF-8");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

fn post(address: &str, accept: &str, body: &Value) -> Answer {
    received(send(address, TOKEN, accept, body.to_string().as_bytes()))
}

fn ask(address: &str, sql: &str) -> Answer {
    post(address, "application/json", &json!({ "sql": sql }))
}

/// What `query` gives for the same statement, as JSON lines.
fn same(program: &Program, sql: &str) -> Vec<Value> {
    program.ok(&["query", "--lake", "lake", "--format", "json", "-c", sql]).json()
}

#[test]
fn http_answers_as_the_shell_does_in_every_form() {
    let open = open("", 3_000);
    let at = &open.service.address;
    let sql = "SELECT event_id, event_time, outcome, instance_ids, length(event_id) AS size FROM events ORDER BY event_id LIMIT 50";
    let expected = same(&open.program, sql);
    let document = ask(at, sql);
    assert_eq!(document.status, 200, "{}", document.head);
    assert_eq!(document.json()["rows"], Value::Array(expected.clone()));
    assert_eq!(document.json()["row_count"], 50);
    assert_eq!(document.json()["columns"][0], json!({ "name": "event_id", "type": "text" }));
    let lines = post(at, "application/x-ndjson", &json!({ "sql": sql }));
    let lines: Vec<Value> = String::from_utf8(lines.body)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines, expected);
    let csv = post(at, "text/csv", &json!({ "sql": sql }));
    assert_eq!(String::from_utf8(csv.body).expect("UTF-8").lines().count(), 51);
    let arrow = post(at, "application/vnd.apache.arrow.stream", &json!({ "sql": sql }));
    let batches =
        arrow::ipc::reader::StreamReader::try_new(arrow.body.as_slice(), None).expect("a stream");
    assert_eq!(batches.map(|batch| batch.expect("rows").num_rows()).sum::<usize>(), 50);
    // Nothing is an answer too.
    assert_eq!(
        ask(at, "SELECT 1 AS a WHERE false").json(),
        json!({ "columns": [{ "name": "a", "type": "whole number" }], "rows": [], "row_count": 0 })
    );
    let bound = post(
        at,
        "*/*",
        &json!({ "sql": "SELECT $a AS a, $b AS b", "params": { "a": "x' OR '1'='1", "b": null } }),
    );
    assert_eq!(bound.json()["rows"], json!([{ "a": "x' OR '1'='1", "b": null }]));
    let early =
        post(at, "*/*", &json!({ "sql": "SELECT count(*) AS n FROM events", "snapshot": 0 }));
    assert_eq!(early.json()["rows"], json!([{ "n": 0 }]));
    assert_eq!(
        post(at, "*/*", &json!({ "sql": "SELECT 1", "snapshot": 999_999 })).code(),
        "invalid"
    );
    // Each was noted, with who, what and how it ended.
    let noted = same(
        &open.program,
        "SELECT door, who, address, result, rows, statement FROM query_log ORDER BY asked_at",
    );
    assert_eq!(noted.len(), 8, "{noted:?}");
    assert_eq!(
        noted[0],
        json!({ "door": "http", "who": "token", "address": "127.0.0.1", "result": "answered", "rows": 50, "statement": sql })
    );
}

#[test]
fn http_refuses_who_brings_no_token_and_what_is_no_request() {
    let open = open("", 1_000);
    let at = &open.service.address;
    let body = json!({ "sql": "SELECT 1" }).to_string();
    for token in [
        "",
        "token",
        "token-of-the-tests-012345678",
        "token-of-the-tests-01234567890",
        "Token-of-the-tests-0123456789",
    ] {
        let refused = received(send(at, token, "*/*", body.as_bytes()));
        assert_eq!((refused.status, refused.code().as_str()), (401, "unauthorized"), "{token}");
        assert!(refused.head.to_lowercase().contains("www-authenticate: bearer"));
    }
    assert_eq!(open.service.get("/api/v1/query").0, 405);
    for (body, status) in [
        (&b"not json"[..], 400),
        (b"", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b"{\"sql\":1}", 400),
        (b"{\"sql\":\"SELECT 1\",\"sgl\":1}", 400),
        (b"{\"sql\":\"\xff\"}", 400),
        (b"{\"sql\":\"SELECT 1\",\"params\":{\"a\":{\"b\":1}}}", 400),
        (&vec![b' '; 1 << 20], 413),
    ] {
        assert_eq!(
            received(send(at, TOKEN, "*/*", body)).status,
            status,
            "{}",
            String::from_utf8_lossy(&body[..body.len().min(60)])
        );
    }
    assert_eq!(post(at, "image/png", &json!({ "sql": "SELECT 1" })).status, 406);
    let placed =
        ask(at, "SELECT event_id\nFROM events\nWHERE usr_name = 'x'").json()["error"].clone();
    assert_eq!((&placed["line"], &placed["column"]), (&json!(3), &json!(7)), "{placed}");
    assert!(placed["message"].as_str().expect("text").contains("user_name"), "{placed}");
    assert_eq!(ask(at, "SELECT 1").status, 200);
}

/// Statements that would need more of something than a question may have. Each must be stopped, whatever stops it.
fn too_much() -> Vec<String> {
    let many = "generate_series(1, 1000000000000000)";
    vec![
        "SELECT count(*) FROM events a CROSS JOIN events b CROSS JOIN events c WHERE a.event_id || b.event_id || c.event_id = 'x'"
            .to_owned(),
        "SELECT count(*) FROM events a JOIN events b ON true JOIN events c ON a.event_id < c.event_id".to_owned(),
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r".to_owned(),
        "WITH RECURSIVE r AS (SELECT 'x' AS n UNION ALL SELECT n || n FROM r) SELECT length(n) FROM r".to_owned(),
        format!("SELECT * FROM {many}"),
        format!("SELECT count(*) FROM {many}"),
        format!("SELECT array_agg(value) FROM {many}"),
        format!("SELECT count(DISTINCT value) FROM {many}"),
        format!("SELECT value FROM {many} ORDER BY value DESC LIMIT 1"),
        format!("SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY value) AS n FROM {many})"),
        "SELECT length(repeat('x', 2147483647))".to_owned(),
        "SELECT length(string_agg(repeat('x', 1000000), ',')) FROM generate_series(1, 100000)".to_owned(),
        "SELECT lpad('x', 2147483647, 'y')".to_owned(),
        "SELECT array_repeat(1, 100000000000)".to_owned(),
        "SELECT range(1, 100000000000)".to_owned(),
        "SELECT array_agg(a.event_id || b.event_id || c.event_id) FROM events a, events b, events c".to_owned(),
        "SELECT event_id FROM events WHERE regexp_like(user_agent, '((a{900}){900}){900}')".to_owned(),
        "SELECT * FROM events".to_owned(),
        "SELECT repeat(event_id, 100000) FROM events LIMIT 900".to_owned(),
        "SELECT 1 / 0".to_owned(),
    ]
}

/// Statements too long or too deep to be looked at.
fn too_complex() -> Vec<String> {
    let many = |piece: &str, count: usize| piece.repeat(count);
    vec![
        format!("SELECT 1{}", many("+1", 10_000)),
        format!("SELECT 1 FROM events WHERE 1 = 1{}", many(" OR 1=1", 8_000)),
        format!("SELECT 1 IN (1{})", many(",1", 30_000)),
        format!("SELECT {}1{}", many("(", 10_000), many(")", 10_000)),
        format!("SELECT {}1", many("1,", 10_000)),
        format!("SELECT 1 FROM events{}", many(" JOIN events ON true", 200)),
        format!("SELECT {}1", many("NOT ", 10_000)),
        format!("SELECT {}1{}", many("(SELECT ", 4_000), many(")", 4_000)),
        format!("SELECT '{}'", many("x", 70_000)),
    ]
}

#[test]
fn attacks_are_refused_or_stopped_while_the_ingest_goes_on() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "attacked", 1, 4_000, 42);
    with_secrets(&stage.program);
    let bounds = "time_max_seconds = 3\nmemory_max_mib = 64\nspill_max_mib = 64\nrows_max = 1000\nbytes_max_mib = 8\n";
    let config = std::fs::read_to_string(stage.program.path("serve.toml")).expect("a file");
    stage.program.write("serve.toml", format!("{config}\n{}", doors(bounds)));
    let service = stage.serve();
    stage.send(broker);
    service.wait_until("everything stored", |service| {
        service.metric("trailhound_records_total{fate=\"stored\"}") as u64 == 4_000
    });
    let at = &service.address;
    let before = service.metric("trailhound_memory_bytes");
    let (mut tried, mut wrong) = (0, Vec::new());
    for line in include_str!("attacks.tsv").lines() {
        let (code, sql) = line.split_once('\t').expect("code and statement");
        let answer = ask(at, sql);
        let found = answer.code();
        // What this SQL does not know at all is no statement for it.
        if found != code && !(code == "statement_not_allowed" && found == "syntax") {
            wrong.push(format!("{sql}: {found}, not {code}"));
        }
        let said = answer.json()["error"]["message"].as_str().expect("words").to_owned();
        let leaks =
            ["catalog.sqlite", ".parquet", &*stage.program.path("lake").display().to_string()]
                .into_iter()
                .any(|text| said.contains(text) && !sql.contains(text));
        assert!(!leaks, "{sql}: {said}");
        tried += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for sql in too_complex() {
        assert_eq!(ask(at, &sql).code(), "too_complex", "{}", &sql[..60]);
        tried += 1;
    }
    // While the worst of it runs, more events come and are stored.
    stage.send(broker);
    for sql in too_much() {
        let answer = ask(at, &sql);
        let shown =
            String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]).into_owned();
        assert_eq!(answer.status, 422, "{sql}: {shown}");
        tried += 1;
    }
    assert!(tried >= 200, "{tried}");
    assert_eq!(ask(at, "SELECT count(*) AS n FROM events").json()["rows"], json!([{ "n": 4_000 }]));
    service.wait_until("the copies told apart", |service| {
        service.metric("trailhound_records_total{fate=\"duplicate\"}") as u64 == 4_000
    });
    let grown = service.metric("trailhound_memory_bytes") - before;
    assert!(grown < f64::from(200 << 20), "the service has grown by {grown} bytes");
    let noted =
        stage.program.number("lake", "SELECT count(*) FROM query_log WHERE result <> 'answered'");
    assert_eq!(noted, tried);
    assert_eq!(service.end().0, 0);
}

#[test]
fn who_goes_away_or_comes_too_often_is_no_harm() {
    let open = open("time_max_seconds = 60\nrows_max = 100000\n", 3_000);
    let at = open.service.address.clone();
    let endless =
        json!({ "sql": "SELECT count(*) FROM generate_series(1, 1000000000000000)" }).to_string();
    // What is cut off before it was read was never asked.
    let gone = send(&at, TOKEN, "*/*", endless.as_bytes());
    open.service.wait_until("it is being answered", |service| {
        service.metric("trailhound_queries_running") == 1.0
    });
    drop(gone);
    let noted = |result: &str| {
        open.program
            .number("lake", &format!("SELECT count(*) FROM query_log WHERE result = '{result}'"))
    };
    open.service.wait_until("the cancelled one noted", |_| noted("cancelled") == 1);
    // Two are answered at once, a few wait, the others are told to come again.
    let askers: Vec<TcpStream> =
        (0..100).map(|_| send(&at, TOKEN, "*/*", endless.as_bytes())).collect();
    open.service.wait_until("the busy ones noted", |_| noted("busy") == 90);
    drop(askers);
    open.service.wait_until("all of them noted", |_| noted("cancelled") == 11);
    assert_eq!(ask(&at, "SELECT 1").status, 200);
    // Who reads slowly holds nobody up.
    let rows =
        json!({ "sql": "SELECT a.* FROM events a CROSS JOIN generate_series(1, 3)" }).to_string();
    let slow: Vec<TcpStream> =
        (0..4).map(|_| send(&at, TOKEN, "application/x-ndjson", rows.as_bytes())).collect();
    open.service.wait_until("the slow ones answered", |_| noted("answered") >= 5);
    assert_eq!(ask(&at, "SELECT 1").status, 200);
    drop(slow);
}

/// `psql` with the password of the tests.
fn psql(open: &Open, args: &[&str]) -> (bool, String, String) {
    psql_as(open, "analyst", PASSWORD, args)
}

fn psql_as(open: &Open, user: &str, password: &str, args: &[&str]) -> (bool, String, String) {
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
fn an_answer_that_is_too_large_is_refused_in_every_form() {
    let open = open("bytes_max_mib = 1\n", 3_000);
    let at = &open.service.address;
    for accept in [
        "application/json",
        "application/x-ndjson",
        "text/csv",
        "application/vnd.apache.arrow.stream",
    ] {
        let refused =
            post(at, accept, &json!({ "sql": "SELECT repeat(event_id, 1000) AS a FROM events" }));
        assert_eq!((refused.status, refused.code().as_str()), (422, "byte_limit"), "{accept}");
        assert_eq!(
            post(at, accept, &json!({ "sql": "SELECT event_id FROM events LIMIT 10" })).status,
            200,
            "{accept}"
        );
    }
}

#[test]
fn psql_speaks_tls_and_knows_whom_it_speaks_to() {
    if part("TRAILHOUND_POSTGRESQL").is_none() {
        return;
    }
    let program = Program::new();
    if !certificate::make(&program.path("")) {
        return;
    }
    let open =
        open_with(program, "", 1_000, "certificate = \"certificate.pem\"\nkey = \"key.pem\"\n");
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
    assert!(certificate::make(&open.program.path("other")));
    let (ok, _, err) = ask("sslmode=verify-full sslrootcert=other/certificate.pem");
    assert!(!ok && err.contains("certificate verify failed"), "{err}");
}

#[test]
fn psql_asks_as_the_shell_does_and_changes_nothing() {
    if part("TRAILHOUND_POSTGRESQL").is_none() {
        return;
    }
    let open = open("time_max_seconds = 3\nrows_max = 1000\n", 3_000);
    let sql = "SELECT event_id, outcome FROM events ORDER BY event_id LIMIT 5";
    let (ok, out, err) = psql(&open, &["-A", "-t", "-F", "\t", "-c", sql]);
    assert!(ok, "{err}");
    let expected: Vec<String> = same(&open.program, sql)
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
    ] {
        let (ok, out, err) = psql(&open, &["-c", what]);
        assert!(ok && out.contains(says), "{what}: {out}{err}");
    }
    let refused = [
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
    let long = format!("SELECT {}", "'',".repeat(30_000));
    for (sql, says) in refused.into_iter().chain([(long.as_str(), "at most 65536")]) {
        let (ok, out, err) = psql(&open, &["-c", sql]);
        assert!(!ok && err.contains(says), "{sql}: {out}{err}");
    }
    // Whoever tries what is not let through is known too.
    let tried = || {
        same(
            &open.program,
            "SELECT result, length(statement) AS length FROM query_log WHERE result <> 'answered' ORDER BY asked_at",
        )
    };
    open.service.wait_until("every refusal noted", |_| tried().len() == refused.len() + 1);
    let codes: Vec<String> =
        tried().iter().map(|row| crate::program::text(&row["result"])).collect();
    assert_eq!(
        codes[..3],
        ["statement_not_allowed", "statement_not_allowed", "syntax"],
        "{codes:?}"
    );
    assert_eq!(tried().last().map(|row| row["length"].as_i64()), Some(Some(65_536)));
    for (user, password) in
        [("analyst", "wrong-password-0123456789"), ("analyst", ""), ("postgres", PASSWORD)]
    {
        let (ok, _, err) = psql_as(&open, user, password, &["-w", "-c", "SELECT 1"]);
        assert!(!ok, "{user} came in: {err}");
    }
    assert!(psql(&open, &["-c", "SELECT 1"]).0);
    let noted = same(&open.program, "SELECT DISTINCT door, who FROM query_log");
    assert_eq!(noted, [json!({ "door": "postgres", "who": "analyst" })]);
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
fn psycopg_and_sqlalchemy_ask_too() {
    let (Some(python), Some(_)) =
        (part("TRAILHOUND_CLIENTS_PYTHON"), part("TRAILHOUND_POSTGRESQL"))
    else {
        return;
    };
    let open = open("", 3_000);
    let (host, port) = open.postgres.rsplit_once(':').expect("HOST:PORT");
    let output = Command::new(python)
        .args(["-c", CLIENT, host, port, PASSWORD])
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let failures =
        open.program.number("lake", "SELECT count(*) FROM events WHERE outcome = 'failure'");
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
    let newest = &same(&open.program, "SELECT max(event_time) AS t FROM events")[0]["t"];
    assert_eq!(
        said["binary"].as_str().map(|text| &text[..19]),
        newest.as_str().map(|text| text[..19].replace('T', " ")).as_deref()
    );
    let list = &same(
        &open.program,
        "SELECT instance_ids FROM stops WHERE cardinality(instance_ids) > 1 ORDER BY event_id LIMIT 1",
    )[0]["instance_ids"];
    assert_eq!(&said["list"], list);
}

#[test]
fn jdbc_asks_and_sees_what_there_is() {
    let (Some(jar), Some(_)) = (part("TRAILHOUND_JDBC"), part("TRAILHOUND_POSTGRESQL")) else {
        return;
    };
    let open = open("", 3_000);
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
        .number("lake", "SELECT count(*) FROM events WHERE outcome = 'failure'")
        .to_string();
    assert_eq!(said("failures"), vec![failures.as_str(); 8]);
    let newest = &same(&open.program, "SELECT max(event_time) AS t FROM events")[0]["t"];
    assert_eq!(
        said("newest")[0].parse::<chrono::DateTime<chrono::Utc>>(),
        newest.as_str().expect("a time").parse()
    );
    let stops = "SELECT array_to_string(instance_ids, ',') AS ids FROM stops WHERE cardinality(instance_ids) > 1 ORDER BY event_id LIMIT 1";
    assert_eq!(said("list"), [same(&open.program, stops)[0]["ids"].as_str().expect("text")]);
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

/// What Grafana's data source asks while somebody builds a panel, and what its macros make of a panel's statement.
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
fn what_grafana_asks_is_answered() {
    if part("TRAILHOUND_POSTGRESQL").is_none() {
        return;
    }
    let open = open("", 3_000);
    for (sql, holds) in GRAFANA {
        let (ok, out, err) = psql(&open, &["-A", "-t", "-c", sql]);
        assert!(ok && out.contains(holds), "{sql}\n{out}{err}");
    }
}

#[test]
fn a_postgresql_client_that_goes_away_takes_its_process_with_it() {
    if part("TRAILHOUND_POSTGRESQL").is_none() {
        return;
    }
    let open = open("time_max_seconds = 60\n", 1_000);
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
    // Called off as Ctrl-C does, the client goes on.
    let interrupted =
        Command::new("kill").args(["-INT", &client.id().to_string()]).status().expect("kill runs");
    assert!(interrupted.success());
    assert!(!client.wait().expect("ends").success());
    let noted = |result: &str| {
        open.program
            .number("lake", &format!("SELECT count(*) FROM query_log WHERE result = '{result}'"))
    };
    open.service.wait_until("the statement noted", |_| noted("cancelled") == 1);
    open.service.wait_until("nothing running", |service| !runs(service));
    let mut client = ask();
    open.service.wait_until("the statement running", |service| runs(service));
    client.kill().expect("killed");
    client.wait().expect("gone");
    open.service.wait_until("nothing running", |service| !runs(service));
    assert!(psql(&open, &["-c", "SELECT 1"]).0);
}

#[test]
fn what_the_page_shows_gives_the_same_by_every_way() {
    let (Some(bin), Some(python)) =
        (part("TRAILHOUND_POSTGRESQL"), part("TRAILHOUND_DUCKDB_PYTHON"))
    else {
        return;
    };
    let open = open("", 3_000);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/asking.md"))
        .expect("the page");
    let failed =
        open.program.number("lake", "SELECT count(*) FROM events WHERE outcome = 'failure'");
    let postgres_port = open.postgres.rsplit(':').next().expect("a port");
    let folder =
        |file: &str| std::path::Path::new(file).parent().expect("a folder").display().to_string();
    let path = [
        folder(&crate::program::binary().to_string_lossy()),
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
        // Its extensions come as wheels where nothing beyond this machine is to be reached.
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
