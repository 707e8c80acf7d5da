//! A proxy before an object store that injects faults in turn: error answers, broken connections,
//! truncated bodies and delays.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A fault in the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    None,
    /// Status 429 with `Retry-After`.
    TooMany,
    /// Status 500.
    Internal,
    /// Status 503 with the code `SlowDown`.
    SlowDown,
    /// The connection breaks in the middle of the body.
    Reset,
    /// The body ends before its stated length.
    Truncated,
    /// Half of the body, with the `Content-Length` of the half. Only the size in the listing and in
    /// the object's name shows that the rest is missing.
    Shortened,
    /// The body arrives in pieces, with a delay before each.
    Dawdle,
    /// The connection is closed without an answer.
    Silence,
}

pub(crate) const FAULTS: [Fault; 8] = [
    Fault::TooMany,
    Fault::Internal,
    Fault::SlowDown,
    Fault::Reset,
    Fault::Truncated,
    Fault::Shortened,
    Fault::Dawdle,
    Fault::Silence,
];

/// How often each fault has happened, to listings (`true`) and to objects (`false`).
pub(crate) type Done = Arc<Mutex<BTreeMap<(bool, Fault), u64>>>;

/// Starts a proxy to the store on `port` that injects faults in turn. Returns its port and the
/// counts of the faults, which it keeps updating.
pub(crate) fn bad_line(port: u16) -> (u16, Done) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let own = listener.local_addr().expect("bound").port();
    let done = Done::default();
    let counted = Arc::clone(&done);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let (Ok(connection), done) = (connection, Arc::clone(&counted)) else { continue };
            // An error here is a client that closed the connection.
            std::thread::spawn(move || drop(answer(connection, port, &done)));
        }
    });
    (own, done)
}

/// The fault for the next request, which is then counted in `done`. Every second request has
/// [`Fault::None`]; the others take [`FAULTS`] in turn. Listings and objects are counted apart,
/// because their order is not fixed.
fn next_fault(is_listing: bool, done: &mut BTreeMap<(bool, Fault), u64>) -> Fault {
    let number = done
        .iter()
        .filter(|((of_listing, _), _)| *of_listing == is_listing)
        .map(|(_, count)| *count as usize)
        .sum::<usize>();
    let fault = match if number % 2 == 1 { Fault::None } else { FAULTS[number / 2 % FAULTS.len()] }
    {
        // A client cannot notice what a shortened listing leaves out.
        Fault::Shortened if is_listing => Fault::Truncated,
        fault => fault,
    };
    *done.entry((is_listing, fault)).or_default() += 1;
    fault
}

fn answer(mut client: TcpStream, port: u16, done: &Done) -> std::io::Result<()> {
    let request = head(&mut client)?;
    let is_listing = request.contains("list-type=2");
    let fault = next_fault(is_listing, &mut done.lock().expect("whole"));
    let error = |status: &str, code: &str, more: &str| {
        let body = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>not now</Message></Error>"
        );
        format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    match fault {
        Fault::TooMany => {
            return client.write_all(
                error("429 Too Many Requests", "TooManyRequests", "Retry-After: 0\r\n").as_bytes(),
            );
        }
        Fault::Internal => {
            return client
                .write_all(error("500 Internal Server Error", "InternalError", "").as_bytes());
        }
        Fault::SlowDown => {
            return client.write_all(error("503 Service Unavailable", "SlowDown", "").as_bytes());
        }
        Fault::Silence => return Ok(()),
        _ => {}
    }
    let (head, body) = ask(port, &request)?;
    let half = body.len() / 2;
    match fault {
        Fault::Reset => {
            client.write_all(head.as_bytes())?;
            client.write_all(&body[..half])?;
            // Without lingering, so that the client sees a reset.
            socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO))
        }
        Fault::Truncated => {
            client.write_all(head.as_bytes())?;
            client.write_all(&body[..half])
        }
        Fault::Shortened => {
            client.write_all(
                head.replace(&format!("ength: {}\r\n", body.len()), &format!("ength: {half}\r\n"))
                    .as_bytes(),
            )?;
            client.write_all(&body[..half])
        }
        Fault::Dawdle => {
            client.write_all(head.as_bytes())?;
            for piece in body.chunks(body.len() / 8 + 1) {
                // Slowness is the fault that this injects.
                std::thread::sleep(Duration::from_millis(30));
                client.write_all(piece)?;
            }
            Ok(())
        }
        _ => {
            client.write_all(head.as_bytes())?;
            client.write_all(&body)
        }
    }
}

/// The head of a request without a body.
fn head(stream: &mut TcpStream) -> std::io::Result<String> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        text.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Head and body of the store's answer, with `Connection: close` in the head.
fn ask(port: u16, request: &str) -> std::io::Result<(String, Vec<u8>)> {
    let mut store = TcpStream::connect(("127.0.0.1", port))?;
    store.write_all(request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1).as_bytes())?;
    let mut answer = Vec::new();
    store.read_to_end(&mut answer)?;
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(answer.len(), |at| at + 4);
    let body = answer.split_off(end);
    let head = String::from_utf8_lossy(&answer).into_owned();
    let head = if head.contains("Connection: close") {
        head
    } else {
        head.replacen("\r\n", "\r\nConnection: close\r\n", 1)
    };
    Ok((head, body))
}
