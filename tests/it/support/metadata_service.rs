//! An ECS instance metadata service that hands out role credentials.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

/// Starts the service; returns its port. It answers requests with the metadata token, with keys and `security_token`.
pub(crate) fn metadata_service(security_token: &'static str) -> u16 {
    serve_each(move |request| {
        let has_token = request
            .iter()
            .any(|line| line.eq_ignore_ascii_case("x-aliyun-ecs-metadata-token: sesame"));
        let keys = format!(
            "{{\"AccessKeyId\":\"testkey\",\"AccessKeySecret\":\"testsecret\",\"Expiration\":\"2099-01-01T00:00:00Z\",\
             \"SecurityToken\":\"{security_token}\",\"LastUpdated\":\"2026-09-30T00:00:00Z\",\"Code\":\"Success\"}}"
        );
        match request[0].split(' ').nth(1).expect("a path") {
            "/latest/api/token" if request[0].starts_with("PUT") => ("200 OK", "sesame".to_owned()),
            _ if !has_token => ("403 Forbidden", String::new()),
            "/latest/meta-data/ram/security-credentials/" => ("200 OK", "trail-reader".to_owned()),
            "/latest/meta-data/ram/security-credentials/trail-reader" => ("200 OK", keys),
            _ => ("404 Not Found", String::new()),
        }
    })
}

/// Answers requests one after the other; returns the port.
pub(crate) fn serve_each(
    answer: impl Fn(&[String]) -> (&'static str, String) + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(connection.try_clone().expect("a handle"))
                .lines()
                .map_while(Result::ok);
            let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            if !request.is_empty() {
                let (status, body) = answer(&request);
                // The client may have closed the connection.
                let _ = write!(
                    connection,
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
            }
        }
    });
    port
}
