//! A real object store (SeaweedFS) with an S3 interface, installed by `scripts/install-test-parts`: one for the whole run, a
//! bucket for each test.

use crate::support::external::{bound_folder, external_part, spawn_bound};
use crate::support::ports::reserve_port;
use crate::support::program::Program;
use crate::support::template::{copy_folder, generated};
use crate::support::waiting::wait_for;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Generates events into the folder `g`; returns key and content of each object.
pub(crate) fn generated_objects(
    program: &Program,
    events: &str,
    seed: &str,
) -> Vec<(String, Vec<u8>)> {
    let made = generated(&["--events", events, "--seed", seed, "--days", "3"]);
    copy_folder(&made.path("g"), &program.path("g"));
    let root: PathBuf = program.path("g/events");
    let files = walkdir::WalkDir::new(&root)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.expect("a folder"));
    files
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let key = entry.path().strip_prefix(&root).expect("below").display().to_string();
            (key, std::fs::read(entry.path()).expect("a file"))
        })
        .collect()
}

pub(crate) fn configure(program: &Program, sources: &str) {
    let parameters = std::fs::read_to_string(program.path("g/trailhound.toml")).expect("a file");
    program.write(
        "serve.toml",
        format!("{parameters}\n[service]\nlisten = \"127.0.0.1:0\"\n\n{sources}"),
    );
    program.write("id", "testkey\n");
    program.write("secret", "testsecret\n");
}

const KEYS: &str = r#"{"identities":[{"name":"t","credentials":[{"accessKey":"testkey","secretKey":"testsecret"}],"actions":["Admin"]}]}"#;

/// The SeaweedFS server of this test run.
struct Server {
    filer: u16,
    s3: u16,
    _process: Child,
}

/// A bucket that only one test uses, in the server of this test run.
pub(crate) struct ObjectStore {
    server: &'static Server,
    bucket: String,
}

impl Server {
    fn start(weed: &str) -> Self {
        let folder = bound_folder("seaweedfs");
        let keys = folder.join("keys.json");
        std::fs::write(&keys, KEYS).expect("a file");
        let ports: Vec<u16> = (0..8).map(|_| reserve_port()).collect();
        let named = ["master", "volume", "filer", "s3"].iter().zip(ports.chunks(2));
        let port_args = named.flat_map(|(part, port)| {
            [format!("-{part}.port={}", port[0]), format!("-{part}.port.grpc={}", port[1])]
        });
        let fixed = [
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ];
        // Each bucket needs several volumes.
        let sizes = ["-master.volumeSizeLimitMB=64", "-volume.max=500", "-volume.minFreeSpace=0"];
        let places =
            [format!("-dir={}", folder.display()), format!("-s3.config={}", keys.display())];
        let process = spawn_bound(
            weed,
            fixed.into_iter().chain(sizes).map(str::to_owned).chain(places).chain(port_args),
        );
        Self { filer: ports[4], s3: ports[6], _process: process }
    }

    /// Sends a request to the server's filer, the part of SeaweedFS that stores files without
    /// authentication. Returns the HTTP status.
    fn send(&self, method: &str, path: &str, content: &[u8]) -> std::io::Result<u16> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.filer))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: store\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            content.len()
        )?;
        stream.write_all(content)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let status = answer
            .split(|&b| b == b' ')
            .nth(1)
            .and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
        Ok(status.unwrap_or(500))
    }
}

impl ObjectStore {
    /// Creates an empty bucket. Returns `None` and prints a notice if the store is not installed.
    pub(crate) fn start() -> Option<Self> {
        static SERVER: OnceLock<Server> = OnceLock::new();
        static BUCKETS: AtomicUsize = AtomicUsize::new(0);
        let weed = external_part("TRAILHOUND_WEED")?;
        let server = SERVER.get_or_init(|| Server::start(&weed));
        let bucket = format!("trail-{}", BUCKETS.fetch_add(1, Ordering::Relaxed));
        let store = Self { server, bucket };
        let made = || {
            let status = store.server.send("POST", &format!("/buckets/{}/", store.bucket), b"");
            // 409: an earlier attempt created it.
            let is_there = status.is_ok_and(|status| status < 300 || status == 409);
            (is_there && TcpStream::connect(("127.0.0.1", store.server.s3)).is_ok()).then_some(())
        };
        wait_for(made, || "the store does not start".to_owned());
        Some(store)
    }

    /// Puts an object into the bucket; retries while the store allocates volumes.
    pub(crate) fn put(&self, key: &str, content: &[u8]) {
        // The path of a request is ASCII.
        let encode = |byte: u8| match byte {
            b if b.is_ascii() => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        };
        let key: String = key.bytes().map(encode).collect();
        let path = format!("/buckets/{}/{key}", self.bucket);
        wait_for(
            || {
                let status = self.server.send("PUT", &path, content);
                status.is_ok_and(|status| status < 300).then_some(())
            },
            || "the store takes no objects".to_owned(),
        );
    }

    /// Removes an object from the bucket.
    pub(crate) fn remove(&self, key: &str) {
        let path = format!("/buckets/{}/{key}", self.bucket);
        let status = self.server.send("DELETE", &path, b"").expect("the store answers");
        assert!(status < 300, "{status}");
    }

    /// Port of the server's S3 interface.
    pub(crate) fn port(&self) -> u16 {
        self.server.s3
    }

    /// Configuration of the bucket as the source `bucket`.
    pub(crate) fn source(&self) -> String {
        self.source_named("bucket")
    }

    /// Configuration of the bucket as the source `name`.
    pub(crate) fn source_named(&self, name: &str) -> String {
        format!(
            "[[source.oss]]\nname = \"{name}\"\nbucket = \"{}\"\nendpoint = \"http://127.0.0.1:{}\"\nregion = \"us-east-1\"\n\
             virtual_hosted = false\nwindow_days = 5\nevery_seconds = 1\naccess_key_id = \"file:id\"\naccess_key_secret = \"file:secret\"\n",
            self.bucket, self.server.s3
        )
    }
}
