//! A service with its HTTP and PostgreSQL query endpoints open, and clients of the HTTP one.

use crate::support::program::Program;
use crate::support::service::Service;
use crate::support::template::{copy_folder, copy_of, generate};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;

pub(crate) const TOKEN: &str = "token-of-the-tests-0123456789";
pub(crate) const PASSWORD: &str = "password-of-the-tests-0123456789";

/// A service over a lake of generated events with both endpoints open. Its Kafka source is unreachable.
pub(crate) struct QueryEndpoint {
    pub(crate) program: Program,
    pub(crate) service: Service,
    /// `HOST:PORT` of the PostgreSQL endpoint.
    pub(crate) postgres: String,
}

/// Configuration of both endpoints; `bounds` is added to `[query]`.
pub(crate) fn endpoint_configuration(bounds: &str) -> String {
    format!(
        "[query]\ntoken = \"file:token\"\n{bounds}\n[query.postgres]\nlisten = \"127.0.0.1:0\"\nuser = \"analyst\"\npassword = \"file:password\"\n"
    )
}

pub(crate) fn write_secrets(program: &Program) {
    program.write("token", TOKEN);
    program.write("password", PASSWORD);
}

pub(crate) fn start_endpoint(bounds: &str, events: u32) -> QueryEndpoint {
    start_endpoint_in(Program::new(), bounds, events, "")
}

/// Starts it in the folder of `program`; `more` is added to `[query.postgres]`.
pub(crate) fn start_endpoint_in(
    program: Program,
    bounds: &str,
    events: u32,
    more: &str,
) -> QueryEndpoint {
    let lake = copy_of(&format!("queried lake of {events}"), |program| {
        let events = events.to_string();
        generate(program, &["--events", &events, "--seed", "41", "--days", "10"]);
        program.run_ok(&["--config", "g/trailhound.toml", "scan", "g/events", "--lake", "lake"]);
    });
    copy_folder(&lake.path(""), &program.path(""));
    write_secrets(&program);
    let source = "[[source.kafka]]\nname = \"sls\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopics = [\"none\"]\n";
    program.write(
        "serve.toml",
        format!(
            "[service]\nlisten = \"127.0.0.1:0\"\n{}{more}{source}",
            endpoint_configuration(bounds)
        ),
    );
    let mut service = Service::start(&program, "serve.toml", "lake");
    let line = service.wait_for_log("answering PostgreSQL clients on ");
    let postgres = line.rsplit(' ').next().expect("an address").to_owned();
    QueryEndpoint { program, service, postgres }
}

/// An HTTP response.
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl HttpResponse {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{}", self.json()))
            .to_owned()
    }
}

/// Sends a query and returns the connection without reading the response.
pub(crate) fn send(address: &str, token: &str, accept: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = format!(
        "POST /api/v1/query HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nAccept: {accept}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    // The service may close the connection before it has read a body that is too large.
    let _ = stream.write_all(body);
    stream
}

pub(crate) fn received(mut stream: TcpStream) -> HttpResponse {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("UTF-8");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    HttpResponse { status, head, body: bytes[end + 4..].to_vec() }
}

pub(crate) fn post(address: &str, accept: &str, body: &Value) -> HttpResponse {
    received(send(address, TOKEN, accept, body.to_string().as_bytes()))
}

pub(crate) fn ask(address: &str, sql: &str) -> HttpResponse {
    post(address, "application/json", &json!({ "sql": sql }))
}

/// The rows that `trailhound query` returns for the same statement.
pub(crate) fn cli_rows(program: &Program, sql: &str) -> Vec<Value> {
    program.run_ok(&["query", "--lake", "lake", "--format", "json", "-c", sql]).json()
}
