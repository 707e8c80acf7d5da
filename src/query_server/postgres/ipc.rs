//! The protocol between the service and the worker process of a PostgreSQL connection: lines of
//! JSON over a socket pair.

use datafusion_postgres::pgwire::messages::startup::SecretKey;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// A message from the worker to the service.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ToServer {
    /// The worker is ready. A client that knows the key may cancel its statements.
    Ready(CancelKey),
    /// Asks for a slot to plan a statement.
    Plan {
        /// Name of the user.
        who: String,
        /// The statement.
        statement: String,
    },
    /// The statement is planned, or cannot be. The service answers `Go`, or has answered `Cancel` meanwhile.
    Planned,
    /// Asks for a slot to run a statement.
    Begin {
        /// Name of the user.
        who: String,
        /// The statement.
        statement: String,
    },
    /// A statement was refused before it ran.
    Refused {
        /// Name of the user.
        who: String,
        /// The statement.
        statement: String,
        /// Name of the error code.
        result: String,
    },
    /// The statement that ran has ended.
    End {
        /// `answered`, or the name of the error code.
        result: String,
        /// Rows of the answer.
        rows: u64,
        /// Size of the answer in memory.
        bytes: u64,
    },
}

/// A message from the service to the worker.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromServer {
    /// The statement may be planned or run.
    Go,
    /// Too many queries are waiting; the statement may not run.
    Busy,
    /// The statement that runs is cancelled.
    Cancel,
}

/// What a client receives when it connects, and sends on another connection to cancel its
/// statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct CancelKey {
    /// Process id of the worker.
    pub(super) pid: i32,
    /// A random secret.
    pub(super) secret: Vec<u8>,
}

impl CancelKey {
    /// The key with the secret of the PostgreSQL protocol.
    pub(super) fn new(pid: i32, secret: &SecretKey) -> Self {
        let secret = match secret {
            SecretKey::I32(number) => number.to_be_bytes().to_vec(),
            SecretKey::Bytes(bytes) => bytes.to_vec(),
        };
        Self { pid, secret }
    }
}

/// One end of the socket pair.
pub(super) struct IpcChannel {
    stream: BufReader<UnixStream>,
    /// The part of a line that has arrived. It is kept here so that a cancelled read loses nothing.
    line: Vec<u8>,
}

impl IpcChannel {
    /// A channel over `stream`.
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream: BufReader::new(stream), line: Vec::new() }
    }

    /// Receives the next message; `None` if the other end is closed. May be cancelled.
    ///
    /// # Errors
    /// The socket fails, or the message is not valid.
    pub(super) async fn read<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        self.stream.read_until(b'\n', &mut self.line).await?;
        if self.line.last() != Some(&b'\n') {
            return Ok(None);
        }
        let message = serde_json::from_slice(&self.line).map_err(io::Error::other);
        self.line.clear();
        message.map(Some)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The socket fails.
    pub(super) async fn write<T: Serialize + Sync>(&mut self, message: &T) -> io::Result<()> {
        let line = serde_json::to_string(message)? + "\n";
        self.stream.get_mut().write_all(line.as_bytes()).await
    }
}
