//! Clients that are silent, slow or unknown hold nothing for long, and keep nobody else away.

use crate::support::external::external_part;
use crate::support::query_endpoint::{PASSWORD, QueryEndpoint, TOKEN, start_endpoint};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

/// The service closes silent connections within ten seconds; this is far above.
const CLOSED_WITHIN: Duration = Duration::from_secs(60);

fn connect(address: &str, first: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(CLOSED_WITHIN)).expect("a socket");
    stream.write_all(first).expect("sent");
    stream
}

/// What the service sends until it closes the connection.
fn received_until_closed(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => all.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("it stays open: {error}"),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// True where the service has closed the connection by now.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let mut byte = [0];
    match (&*stream).read(&mut byte) {
        Ok(0) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
        Ok(_) => false,
    }
}

#[test]
fn silent_and_slow_http_clients_are_closed_and_keep_nobody_away() {
    let open = start_endpoint("", 1_000);
    let at = &open.service.address;
    // More than may be open at once: the oldest make room.
    let silent: Vec<TcpStream> = (0..400).map(|_| connect(at, b"")).collect();
    assert_eq!(open.service.get("/healthz").0, 200);
    let slow_head = connect(at, b"GET /healthz HTTP/1.1\r\nHost:");
    let idle = connect(at, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    let slow_body = format!(
        "POST /api/v1/query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 900000\r\n\r\n{{"
    );
    let slow_body = connect(at, slow_body.as_bytes());
    assert_eq!(open.service.get("/healthz").0, 200);
    assert_eq!(received_until_closed(slow_head), "");
    assert!(received_until_closed(idle).starts_with("HTTP/1.1 200"));
    assert!(received_until_closed(slow_body).starts_with("HTTP/1.1 408"));
    open.service.wait_until("every silent client gone", |_| silent.iter().all(is_closed));
}

#[test]
fn the_token_is_asked_for_before_the_body() {
    let open = start_endpoint("", 1_000);
    for token in ["", "Bearer wrong", "Basic eDp5"] {
        let request = format!(
            "POST /api/v1/query HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: 900000\r\n\r\n"
        );
        let mut stream = connect(&open.service.address, request.as_bytes());
        let mut answer = [0; 12];
        let asked = Instant::now();
        stream.read_exact(&mut answer).expect("an answer without a body");
        assert_eq!(&answer, b"HTTP/1.1 401", "{token}");
        assert!(asked.elapsed() < CLOSED_WITHIN);
    }
}

fn psql(open: &QueryEndpoint) -> String {
    let (host, port) = open.postgres.rsplit_once(':').expect("HOST:PORT");
    let bin = std::env::var("TRAILHOUND_POSTGRESQL").expect("psql is there");
    let mut command = Command::new(format!("{bin}/psql"));
    command.env("PGPASSWORD", PASSWORD).env("PGCONNECT_TIMEOUT", "60");
    command.args(["-X", "-A", "-t", "-h", host, "-p", port, "-U", "analyst", "-d", "lake"]);
    let output = command.args(["-c", "SELECT count(*) FROM events"]).output().expect("psql runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
}

#[test]
fn postgresql_clients_without_a_login_start_no_process_and_keep_nobody_away() {
    if external_part("TRAILHOUND_POSTGRESQL").is_none() {
        return;
    }
    let open = start_endpoint("", 1_000);
    let startup = b"\0\0\0\x16\0\x03\0\0user\0analyst\0\0";
    let beginnings: [&[u8]; 5] =
        [b"", b"\0\0", b"\0\0\0\x08\x04\xd2\x16\x2f", startup, b"\0\0\0\x08\x04\xd2\x16\x30"];
    let silent: Vec<TcpStream> =
        (0..100).map(|at| connect(&open.postgres, beginnings[at % beginnings.len()])).collect();
    assert_eq!(psql(&open), "1000");
    let workers = || {
        let children = open.service.child_processes();
        children.iter().filter(|command| command.contains("serve-postgres")).count()
    };
    open.service.wait_until("no process but of psql, which is gone", |_| workers() == 0);
    // What is no startup message, and a password message without a password, is refused at once.
    for wrong in [&b"\0\0\0\x04"[..], b"\x7f\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n"] {
        assert_eq!(received_until_closed(connect(&open.postgres, wrong)), "", "{wrong:?}");
    }
    let wrong = [&startup[..], b"p\0\0\0\x16SCRAM-SHA-256\0\0\0\0\0"].concat();
    assert!(received_until_closed(connect(&open.postgres, &wrong)).contains("28P01"));
    open.service.wait_until("every silent client gone", |_| {
        silent.iter().all(|stream| is_closed(stream) || has_answer(stream))
    });
    assert_eq!(psql(&open), "1000");
}

/// True where the service has answered, so that the end of the connection comes behind the answer.
fn has_answer(stream: &TcpStream) -> bool {
    let mut rest = Vec::new();
    match (&*stream).read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}
