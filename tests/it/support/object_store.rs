//! A real object store (SeaweedFS) with an S3 interface, installed by `scripts/install-test-parts`.

use crate::support::external::{external_part, spawn_bound};
use crate::support::program::Program;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Generated traffic and where its objects belong.
pub(crate) fn generated_objects(
    program: &Program,
    events: &str,
    seed: &str,
) -> Vec<(String, Vec<u8>)> {
    program.run_ok(&["generate", "--events", events, "--seed", seed, "--days", "3", "--out", "g"]);
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

pub(crate) struct ObjectStore {
    filer: u16,
    s3: u16,
    _process: Child,
    _folder: TempDir,
}

impl ObjectStore {
    /// Starts a store with one bucket; `None`, with a notice, where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let weed = external_part("TRAILHOUND_WEED")?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let keys = folder.path().join("keys.json");
        std::fs::write(&keys, KEYS).expect("a file");
        // Held all at once, so that no port is given twice.
        let listeners: Vec<TcpListener> =
            (0..8).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
        let ports: Vec<u16> =
            listeners.iter().map(|listener| listener.local_addr().expect("bound").port()).collect();
        drop(listeners);
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
        let sizes = ["-master.volumeSizeLimitMB=64", "-volume.max=20", "-volume.minFreeSpace=0"];
        let places =
            [format!("-dir={}", folder.path().display()), format!("-s3.config={}", keys.display())];
        let process = spawn_bound(
            &weed,
            fixed.into_iter().chain(sizes).map(str::to_owned).chain(places).chain(port_args),
        );
        let store = Self { filer: ports[4], s3: ports[6], _process: process, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        // 409: an earlier turn of this loop has made it.
        let made = |store: &Self| {
            store
                .send("POST", "/buckets/trail/", b"")
                .is_ok_and(|status| status < 300 || status == 409)
        };
        while !made(&store) || TcpStream::connect(("127.0.0.1", store.s3)).is_err() {
            assert!(Instant::now() < deadline, "the store does not come up");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(store)
    }

    /// Puts an object into the bucket; waits while the store is still making room.
    pub(crate) fn put(&self, key: &str, content: &[u8]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self
            .send("PUT", &format!("/buckets/trail/{key}"), content)
            .is_ok_and(|status| status < 300)
        {
            assert!(Instant::now() < deadline, "the store takes no objects");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

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

    /// Port of its S3 interface.
    pub(crate) fn port(&self) -> u16 {
        self.s3
    }

    /// The bucket as a source.
    pub(crate) fn source(&self) -> String {
        format!(
            "[[source.oss]]\nname = \"bucket\"\nbucket = \"trail\"\nendpoint = \"http://127.0.0.1:{}\"\nregion = \"us-east-1\"\n\
             virtual_hosted = false\nwindow_days = 5\nevery_seconds = 1\naccess_key_id = \"file:id\"\naccess_key_secret = \"file:secret\"\n",
            self.s3
        )
    }
}
