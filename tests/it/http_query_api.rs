//! The HTTP query endpoint: what it answers, what it refuses, and that neither harms the service.

use crate::support::broker::broker;
use crate::support::kafka_pipeline::KafkaPipeline;
use crate::support::query_endpoint::{
    TOKEN, ask, cli_rows, endpoint_configuration, post, received, send, start_endpoint,
    write_secrets,
};
use crate::support::service::Service;
use serde_json::{Value, json};
use std::net::TcpStream;
use std::path::Path;

#[test]
fn http_returns_the_same_rows_as_the_cli_in_every_format() {
    let open = start_endpoint("", 3_000);
    let at = &open.service.address;
    let sql = "SELECT event_id, event_time, outcome, instance_ids, length(event_id) AS size FROM events ORDER BY event_id LIMIT 50";
    let expected = cli_rows(&open.program, sql);
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
    // An empty result.
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
    // Each query is logged with user, statement and result.
    let catalog = open.program.catalog("lake");
    open.service.wait_until("each noted", |_| {
        catalog.logged_queries("answered") + catalog.refused_queries() == 8
    });
    let noted = cli_rows(
        &open.program,
        "SELECT door, who, address, result, rows, statement FROM query_log ORDER BY asked_at",
    );
    assert_eq!(noted.len(), 8, "{noted:?}");
    let with_values = "-- $a = 'x'' OR ''1''=''1', $b = NULL";
    let is_with_values =
        |row: &Value| row["statement"].as_str().is_some_and(|text| text.ends_with(with_values));
    assert!(noted.iter().any(is_with_values), "{noted:?}");
    assert_eq!(
        noted[0],
        json!({ "door": "http", "who": "token", "address": "127.0.0.1", "result": "answered", "rows": 50, "statement": sql })
    );
}

#[test]
fn a_request_names_the_time_zone_of_its_statement() {
    let open = start_endpoint("", 1_000);
    let ask_in = |zone: &str, sql: &str| {
        post(&open.service.address, "*/*", &json!({ "sql": sql, "timezone": zone }))
    };
    let sql = "SELECT date_trunc('day', TIMESTAMPTZ '2026-11-20 20:00:00Z') AS day, '2026-11-20'::timestamptz AS read";
    let rows = ask_in("asia/shanghai", sql).json()["rows"].clone();
    assert_eq!(
        rows,
        json!([{ "day": "2026-11-21T00:00:00+08:00", "read": "2026-11-20T00:00:00+08:00" }])
    );
    // Each day of the zone has the events that fall on it.
    let days = "SELECT count(DISTINCT event_time::date) AS days FROM events WHERE date_trunc('day', event_time) <> date_trunc('day', event_time, 'UTC')";
    assert_ne!(ask_in("Asia/Shanghai", days).json()["rows"][0]["days"], 0);
    assert_eq!(ask_in("UTC", days).json()["rows"][0]["days"], 0);
    assert_eq!(ask_in("+08", sql).code(), "invalid");
    assert_eq!(ask_in("UTC", "SET TIME ZONE 'Asia/Shanghai'").code(), "statement_not_allowed");
    // What would not obey the zone is refused.
    assert_eq!(ask_in("Asia/Shanghai", "SELECT date_format(now(), '%H')").code(), "invalid");
}

#[test]
fn http_refuses_wrong_tokens_and_invalid_requests() {
    let open = start_endpoint("", 1_000);
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

/// Statements that exceed a limit of time, memory, spill, rows or bytes. Each must be stopped, by whichever limit.
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

/// Statements that are too long or nested too deeply to be parsed.
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

/// Asks each statement of the list of attacks. Returns how many were refused, each with its code and without a word of the
/// lake's files.
fn assert_attacks_refused(at: &str, lake: &Path) -> i64 {
    let (mut tried, mut wrong) = (0, Vec::new());
    for line in include_str!("attacks.tsv").lines() {
        let (code, sql) = line.split_once('\t').expect("code and statement");
        let answer = ask(at, sql);
        let found = answer.code();
        // A statement of another dialect may be a syntax error instead.
        if found != code && !(code == "statement_not_allowed" && found == "syntax") {
            wrong.push(format!("{sql}: {found}, not {code}"));
        }
        let said = answer.json()["error"]["message"].as_str().expect("words").to_owned();
        let leaks = ["catalog.sqlite", ".parquet", &*lake.display().to_string()]
            .into_iter()
            .any(|text| said.contains(text) && !sql.contains(text));
        assert!(!leaks, "{sql}: {said}");
        tried += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    tried
}

#[test]
fn hostile_statements_are_refused_or_stopped_while_ingest_continues() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "attacked", 1, 4_000, 42);
    write_secrets(&pipeline.program);
    let config = std::fs::read_to_string(pipeline.program.path("serve.toml")).expect("a file");
    let configure = |seconds: u32| {
        let bounds = format!(
            "time_max_seconds = {seconds}\nmemory_max_mib = 64\nspill_max_mib = 64\nrows_max = 1000\nbytes_max_mib = 8\n"
        );
        let config = format!("{config}\n{}", endpoint_configuration(&bounds));
        pipeline.program.write("serve.toml", config);
    };
    let assert_memory = |service: &Service, before: f64| {
        let grown = service.metric("trailhound_memory_bytes") - before;
        assert!(grown < f64::from(200 << 20), "the service has grown by {grown} bytes");
    };
    configure(10);
    let service = pipeline.start_service();
    pipeline.publish(broker);
    service.wait_for_records("stored", 4_000);
    let at = &service.address;
    let before = service.metric("trailhound_memory_bytes");
    let mut tried = assert_attacks_refused(at, &pipeline.program.path("lake"));
    for sql in too_complex() {
        assert_eq!(ask(at, &sql).code(), "too_complex", "{}", &sql[..60]);
        tried += 1;
    }
    assert_memory(&service, before);
    assert_eq!(service.stop().0, 0);
    // A shorter time limit for the statements that run into it.
    configure(1);
    let service = pipeline.start_service();
    let at = &service.address;
    let before = service.metric("trailhound_memory_bytes");
    // Meanwhile more events arrive and are stored.
    pipeline.publish(broker);
    for sql in too_much() {
        let answer = ask(at, &sql);
        let shown =
            String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]).into_owned();
        assert_eq!(answer.status, 422, "{sql}: {shown}");
        tried += 1;
    }
    assert!(tried >= 200, "{tried}");
    service.wait_until("every refusal logged", |_| {
        pipeline.program.catalog("lake").refused_queries() == tried
    });
    service.wait_for_records("duplicate", 4_000);
    assert_memory(&service, before);
    // It still answers. On a busy machine an answer may exceed the time limit, so it is asked again.
    service.wait_until("an answer", |_| {
        let answer = ask(at, "SELECT count(*) AS n FROM events");
        answer.status == 200 && answer.json()["rows"] == json!([{ "n": 4_000 }])
    });
    assert_eq!(service.stop().0, 0);
}

#[test]
fn disconnects_bursts_and_slow_readers_harm_nobody() {
    let open = start_endpoint("time_max_seconds = 60\nrows_max = 100000\n", 3_000);
    let at = open.service.address.clone();
    let endless =
        json!({ "sql": "SELECT count(*) FROM generate_series(1, 1000000000000000)" }).to_string();
    // A request counts as asked only once the service has read it.
    let gone = send(&at, TOKEN, "*/*", endless.as_bytes());
    open.service.wait_until("it is being answered", |service| {
        service.metric("trailhound_queries_running") == 1.0
    });
    drop(gone);
    let noted = |result: &str| open.program.catalog("lake").logged_queries(result);
    open.service.wait_until("the cancelled one noted", |_| noted("cancelled") == 1);
    // Two are answered at once, a few wait, the others are refused as busy.
    let askers: Vec<TcpStream> =
        (0..100).map(|_| send(&at, TOKEN, "*/*", endless.as_bytes())).collect();
    open.service.wait_until("the busy ones noted", |_| noted("busy") == 90);
    drop(askers);
    open.service.wait_until("all of them noted", |_| noted("cancelled") == 11);
    assert_eq!(ask(&at, "SELECT 1").status, 200);
    // A slow reader delays nobody.
    let rows =
        json!({ "sql": "SELECT a.* FROM events a CROSS JOIN generate_series(1, 3)" }).to_string();
    let slow: Vec<TcpStream> =
        (0..4).map(|_| send(&at, TOKEN, "application/x-ndjson", rows.as_bytes())).collect();
    open.service.wait_until("the slow ones answered", |_| noted("answered") >= 5);
    assert_eq!(ask(&at, "SELECT 1").status, 200);
    drop(slow);
}

#[test]
fn a_response_over_the_byte_limit_is_refused_in_every_format() {
    let open = start_endpoint("bytes_max_mib = 1\n", 3_000);
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
