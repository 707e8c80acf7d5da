//! Tests of the client against a store that lists keys that are no paths, and sends more than it has listed.

use super::client::BucketClient;
use super::options::{OssError, OssOptions};
use object_store::RetryConfig;
use object_store::path::Path;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// A store that answers every request with what `answer` gives for its first line. Returns its port.
fn store(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    #[expect(clippy::disallowed_methods, reason = "a store of the test, which ends with it")]
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let body = answer(request.lines().next().unwrap_or_default());
            let head = format!(
                "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nLast-Modified: Thu, 01 Oct 2026 00:00:00 GMT\r\n\
                 Connection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            // A client that has read enough hangs up.
            let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            drop(sent);
        }
    });
    port
}

fn client(port: u16) -> BucketClient {
    let options = OssOptions {
        name: "bucket".to_owned(),
        bucket: "trail".to_owned(),
        endpoint: format!("http://127.0.0.1:{port}"),
        region: "r".to_owned(),
        prefix: String::new(),
        virtual_hosted: false,
        credentials: None,
        window_days: 2,
        since: None,
        every: Duration::from_millis(1),
    };
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    BucketClient::with_retry(&options, retry, Duration::from_secs(20)).expect("a client")
}

/// A page of a listing with these keys, each of `size` bytes.
fn page(keys: &[&str], size: u64) -> Vec<u8> {
    let entry = |key: &&str| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-10-01T00:00:00.000Z</LastModified>\
             <ETag>\"e\"</ETag><Size>{size}</Size></Contents>"
        )
    };
    let entries: String = keys.iter().map(entry).collect();
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    format!("{head}<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>")
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_path_does_not_fail_the_listing_of_its_day() {
    let keys =
        ["d/2026/10/01/a.gz", "d/2026/10/01//b", "d/2026/10/01/../c", "d/2026/10/01/x&#xA;y"];
    let client = client(store(move |_| page(&keys, 1)));
    let folder = Path::from("d/2026/10/01");
    let listing = client.list_changed(&folder, &HashMap::new()).await.expect("listed");
    let changed: Vec<&str> =
        listing.changed.iter().map(|object| object.location.as_ref()).collect();
    assert_eq!(changed, ["d/2026/10/01/a.gz"]);
    let left_out = client.take_left_out();
    assert_eq!((left_out.count, client.take_left_out().count), (3, 0));
    assert!(left_out.example.is_some_and(|key| key.contains("..")));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_received_of_an_object_than_was_listed() {
    use futures::StreamExt;
    let port = store(|request| match request.contains("list-type") {
        true => page(&["a.gz"], 20),
        false => vec![b'x'; 64 << 20],
    });
    let client = client(port);
    let listing = client.list_changed(&Path::ROOT, &HashMap::new()).await.expect("listed");
    let budget = Arc::new(Semaphore::new(1 << 20));
    let mut fetched = std::pin::pin!(client.fetch(listing.changed, &budget));
    match fetched.next().await {
        Some((_, Err(OssError::LengthMismatch { got, listed: 20 }))) => {
            assert!(got < 4 << 20, "{got} bytes were received");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(budget.available_permits(), 1 << 20, "its room is given back");
}
