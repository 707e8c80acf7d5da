//! What the service and the process of a connection say to each other: lines of JSON over a socket pair.

use datafusion_postgres::pgwire::messages::startup::SecretKey;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// What the process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ToServer {
    /// It is there, and what it runs is called off by who knows this.
    Ready(CancelKey),
    /// A client calls off what another connection runs.
    Cancel(CancelKey),
    /// May this run?
    Begin {
        /// Name of the user.
        who: String,
        /// The statement.
        statement: String,
    },
    /// This was not let through.
    Refused {
        /// Name of the user.
        who: String,
        /// The statement.
        statement: String,
        /// The code of the refusal.
        result: String,
    },
    /// It has run.
    End {
        /// `answered`, or the code of the refusal.
        result: String,
        /// Rows of the answer.
        rows: u64,
        /// Bytes of the answer, in memory.
        bytes: u64,
    },
}

/// What the service answers to a `Begin`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromServer {
    /// It may.
    Go,
    /// Too many others are waiting.
    Busy,
    /// What runs is called off.
    Cancel,
}

/// What a client is told when it comes in, to call off what it asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct CancelKey {
    /// Number of the process.
    pub(super) pid: i32,
    /// What only that client knows.
    pub(super) secret: Vec<u8>,
}

impl CancelKey {
    pub(super) fn new(pid: i32, secret: &SecretKey) -> Self {
        let secret = match secret {
            SecretKey::I32(number) => number.to_be_bytes().to_vec(),
            SecretKey::Bytes(bytes) => bytes.to_vec(),
        };
        Self { pid, secret }
    }
}

/// One end of the wire.
pub(super) struct Wire {
    stream: BufReader<UnixStream>,
    /// The part of a line that has come; a reader that is given up must not lose it.
    line: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream: BufReader::new(stream), line: Vec::new() }
    }

    /// The next thing said; none where the other end is closed.
    pub(super) async fn read<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        self.stream.read_until(b'\n', &mut self.line).await?;
        if self.line.last() != Some(&b'\n') {
            return Ok(None);
        }
        let said = serde_json::from_slice(&self.line).map_err(io::Error::other);
        self.line.clear();
        said.map(Some)
    }

    pub(super) async fn write<T: Serialize + Sync>(&mut self, said: &T) -> io::Result<()> {
        let line = serde_json::to_string(said)? + "\n";
        self.stream.get_mut().write_all(line.as_bytes()).await
    }
}
