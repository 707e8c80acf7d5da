//! An HTTP server that records what sinks send and answers with a given reply: as the services document it, or with a network fault.

use crate::support::waiting::PATIENCE;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The answer to a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Status, further header lines and body.
    Respond(u16, &'static str, &'static str),
    /// Status 200; the connection closes in the middle of the body.
    ResetMidBody,
    /// No answer until the client gives up.
    NeverRespond,
    /// The connection closes without an answer.
    Close,
    /// Status 200 and a body without an end.
    EndlessBody,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// The answer had a status below 300.
    pub(crate) accepted: bool,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

type Responder = Box<dyn Fn(usize, &Request) -> Reply + Send + Sync>;

struct State {
    requests: Mutex<Vec<Request>>,
    came: Condvar,
    answer: Responder,
}

#[derive(Clone)]
pub(crate) struct HttpReceiver {
    pub(crate) port: u16,
    state: Arc<State>,
}

impl HttpReceiver {
    /// Listens on a free port. `answer` receives the number of the request, from 0, and the request.
    pub(crate) fn start(answer: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer)
    }

    /// Listens at `address`.
    pub(crate) fn start_at(
        address: &str,
        answer: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State {
            requests: Mutex::default(),
            came: Condvar::new(),
            answer: Box::new(answer),
        });
        let receiver = Self { port, state };
        let serving = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        receiver
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().expect("whole").clone()
    }

    /// Waits until `enough` accepts the requests so far.
    pub(crate) fn wait_until(&self, what: &str, mut enough: impl FnMut(&[Request]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut requests = self.state.requests.lock().expect("whole");
        while !enough(&requests) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what} does not come; {} requests so far", requests.len());
            requests = self.state.came.wait_timeout(requests, left).expect("whole").0;
        }
    }

    /// Waits until `enough` returns true for the requests received, but no longer than `most`.
    pub(crate) fn wait_at_most(&self, most: Duration, mut enough: impl FnMut(&[Request]) -> bool) {
        let requests = self.state.requests.lock().expect("whole");
        let waited = self.state.came.wait_timeout_while(requests, most, |seen| !enough(seen));
        drop(waited.expect("whole"));
    }

    fn serve(&self, stream: TcpStream) {
        let Ok(mut writer) = stream.try_clone() else { return };
        let mut reader = BufReader::new(stream);
        while let Some(mut request) = read(&mut reader) {
            let mut requests = self.state.requests.lock().expect("whole");
            let reply = (self.state.answer)(requests.len(), &request);
            request.accepted = matches!(reply, Reply::Respond(200..=299, ..) | Reply::EndlessBody);
            requests.push(request);
            drop(requests);
            self.state.came.notify_all();
            let mut say = |text: String| writer.write_all(text.as_bytes()).is_ok();
            let goes_on = match reply {
                Reply::Respond(status, headers, body) => say(format!(
                    "HTTP/1.1 {status} it\r\n{headers}Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )),
                Reply::ResetMidBody => {
                    say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf".to_owned());
                    false
                }
                Reply::NeverRespond => {
                    // Returns when the client has closed the connection.
                    let _ = reader.read(&mut [0; 1]);
                    false
                }
                Reply::Close => false,
                Reply::EndlessBody => {
                    let mut goes_on =
                        say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned());
                    while goes_on {
                        goes_on = say(format!("1000\r\n{}\r\n", "x".repeat(0x1000)));
                    }
                    false
                }
            };
            if !goes_on {
                return;
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let target = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length: usize =
        headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { target, headers, body: String::from_utf8(body).ok()?, accepted: false })
}

/// Webhook ids of the requests that were accepted.
pub(crate) fn accepted_ids(requests: &[Request]) -> BTreeSet<String> {
    requests
        .iter()
        .filter(|request| request.accepted)
        .map(|request| request.headers["webhook-id"].clone())
        .collect()
}
