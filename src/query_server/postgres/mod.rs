//! The PostgreSQL interface, for psql and other clients of its protocol.
//!
//! Each connection is served by a worker process of its own. The worker asks the service for a slot
//! before it runs a statement, and reports how the statement ended.

mod answers;
mod catalogue;
mod column_names;
mod commands;
mod connection;
mod copy;
mod cursors;
mod dialect;
mod errors;
mod execution;
mod idle;
mod ipc;
mod parameters;
mod query_handler;
mod session;
mod settings;
mod startup;
mod statements;
mod text;
mod tokens;
mod values;

pub(crate) use session::run as serve_connection;

use super::query_log::Client;
use super::server::{EXECUTABLE, GRACE, QueryServer};
use super::slots::QuerySlot;
use ipc::{CancelKey, FromServer, IpcChannel, ToServer};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::process::Command;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use trailhound_ingest::supervisor::Pulse;
use trailhound_queries::sql_guard::QueryErrorCode;

/// Maximum number of open connections. Dashboards keep connections open.
const CONNECTIONS_MAX: usize = 16;
/// How often the service checks that the client is still connected while a statement runs.
const CLIENT_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The accepting task gives a sign of life at least this often.
const ACCEPT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a cancelled statement may take to end before its worker is killed.
const CANCEL_TIME_MAX: Duration = Duration::from_secs(5);

/// The cancel keys of open connections, each with the notifier that cancels the statements.
type CancelKeys = Mutex<HashMap<CancelKey, Arc<Notify>>>;

/// The PostgreSQL server. It outlives a failure of the task that accepts connections.
pub(crate) struct PostgresServer {
    listener: TcpListener,
    server: Arc<QueryServer>,
    keys: Arc<CancelKeys>,
    connections: Arc<Semaphore>,
}

impl PostgresServer {
    /// A server that answers from `server`.
    pub(crate) fn new(listener: TcpListener, server: Arc<QueryServer>) -> Self {
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { listener, server, keys: Arc::default(), connections }
    }

    /// Accepts connections until it is aborted.
    ///
    /// # Errors
    /// None; the supervisor's tasks have a result.
    pub(crate) async fn accept(&self, pulse: &Pulse) -> Result<(), String> {
        loop {
            pulse.worked();
            let accepted = tokio::time::timeout(ACCEPT_TIME_MAX, self.listener.accept()).await;
            let (socket, peer) = match accepted {
                Ok(Ok(accepted)) => accepted,
                Ok(Err(error)) => {
                    // For example too many open files, which passes.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(CLIENT_CHECK_INTERVAL).await;
                    continue;
                }
                Err(_) => continue,
            };
            let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
                tracing::warn!(%peer, "a connection was refused: {CONNECTIONS_MAX} are open");
                continue;
            };
            let (server, keys) = (Arc::clone(&self.server), Arc::clone(&self.keys));
            self.server.supervisor.spawn_brief("postgresql connection", async move {
                if let Err(error) = serve_client(socket, peer, &server, &keys).await {
                    tracing::warn!(%peer, %error, "a connection failed");
                }
                drop(permit);
            });
        }
    }
}

/// Starts a worker for the socket and handles the messages of the worker until it ends.
async fn serve_client(
    socket: TcpStream,
    peer: SocketAddr,
    server: &QueryServer,
    keys: &CancelKeys,
) -> io::Result<()> {
    let socket = socket.into_std()?;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = Command::new(EXECUTABLE);
    if let Some(config) = &server.config {
        command.arg("--config").arg(config);
    }
    command.arg("serve-postgres").arg("--lake").arg(server.lake.folder());
    command
        .stdin(Stdio::from(OwnedFd::from(socket.try_clone()?)))
        .stdout(Stdio::from(OwnedFd::from(theirs)));
    let mut child = command.kill_on_drop(true).spawn()?;
    // The command holds the worker's end of the socket pair. The channel only closes with the
    // worker if no other copy is open.
    drop(command);
    let mut channel = IpcChannel::new(UnixStream::from_std(ours)?);
    let mut cancellation = Cancellation { keys, key: None, notify: Arc::default() };
    let handled = handle_messages(&mut channel, &socket, peer, server, &mut cancellation).await;
    if let Err(error) = child.start_kill() {
        tracing::debug!(%error, "the worker of a connection has ended by itself");
    }
    child.wait().await?;
    handled
}

/// Cancels the statements of one connection.
struct Cancellation<'k> {
    keys: &'k CancelKeys,
    /// The key of this connection, once the worker has sent it.
    key: Option<CancelKey>,
    notify: Arc<Notify>,
}

impl Cancellation<'_> {
    /// Registers `key`, with which a client can cancel the statements of this connection.
    fn register(&mut self, key: CancelKey) {
        self.keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone(), Arc::clone(&self.notify));
        self.key = Some(key);
    }

    /// Cancels the statement that the connection with `key` runs, if there is one.
    fn cancel(&self, key: &CancelKey) {
        if let Some(other) = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            other.notify_waiters();
        }
    }
}

impl Drop for Cancellation<'_> {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }
}

/// Handles the messages of a worker until it ends.
async fn handle_messages(
    channel: &mut IpcChannel,
    socket: &std::net::TcpStream,
    peer: SocketAddr,
    server: &QueryServer,
    cancellation: &mut Cancellation<'_>,
) -> io::Result<()> {
    let begin_log = |user: String, statement: &str| {
        let client = Client { interface: "postgres", user, address: peer.ip().to_string() };
        server.log(&client, statement)
    };
    while let Some(message) = channel.read::<ToServer>().await? {
        let (who, statement) = match message {
            ToServer::Begin { who, statement } => (who, statement),
            ToServer::Ready(key) => {
                cancellation.register(key);
                continue;
            }
            ToServer::Cancel(key) => {
                cancellation.cancel(&key);
                continue;
            }
            ToServer::Refused { who, statement, result } => {
                begin_log(who, &statement).end(&result, 0, 0).await.map_err(io::Error::other)?;
                continue;
            }
            ToServer::End { .. } => continue,
        };
        let log = begin_log(who, &statement);
        let Some(slot) = server.slots.acquire().await else {
            channel.write(&FromServer::Busy).await?;
            log.end("busy", 0, 0).await.map_err(io::Error::other)?;
            continue;
        };
        channel.write(&FromServer::Go).await?;
        match wait_for_end(channel, socket, server, slot, &cancellation.notify).await? {
            StatementEnd::Reported { result, rows, bytes } => {
                log.end(&result, rows, bytes).await.map_err(io::Error::other)?
            }
            // Returning ends the connection and kills the worker.
            StatementEnd::Killed(why) => return log.end(why, 0, 0).await.map_err(io::Error::other),
        }
    }
    Ok(())
}

/// How a statement ended.
enum StatementEnd {
    /// The statement ended as the worker reports.
    Reported { result: String, rows: u64, bytes: u64 },
    /// The worker must be killed or has crashed; with the result for the query log.
    Killed(&'static str),
}

/// Waits until the statement ends, exceeds its time, is cancelled, or its client disconnects.
async fn wait_for_end(
    channel: &mut IpcChannel,
    socket: &std::net::TcpStream,
    server: &QueryServer,
    _slot: QuerySlot<'_>,
    cancel: &Notify,
) -> io::Result<StatementEnd> {
    let time_max = Duration::from_secs(server.bounds.seconds_max) + GRACE;
    let timeout = tokio::time::sleep(time_max);
    tokio::pin!(timeout);
    let cancel = cancel.notified();
    tokio::pin!(cancel);
    let mut cancelled = false;
    let mut client_check = tokio::time::interval(CLIENT_CHECK_INTERVAL);
    loop {
        tokio::select! {
            message = channel.read::<ToServer>() => match message? {
                Some(ToServer::End { result, rows, bytes }) => return Ok(StatementEnd::Reported { result, rows, bytes }),
                Some(_) => {}
                None => return Ok(StatementEnd::Killed(QueryErrorCode::MemoryLimit.name())),
            },
            () = &mut timeout => {
                return Ok(StatementEnd::Killed(if cancelled { QueryErrorCode::Cancelled.name() } else { QueryErrorCode::TimeLimit.name() }));
            }
            () = &mut cancel, if !cancelled => {
                cancelled = true;
                channel.write(&FromServer::Cancel).await?;
                timeout.as_mut().reset(Instant::now() + CANCEL_TIME_MAX);
            }
            _ = client_check.tick() => {
                if is_disconnected(socket) {
                    return Ok(StatementEnd::Killed(QueryErrorCode::Cancelled.name()));
                }
            }
        }
    }
}

/// True if the client has closed its end of the connection.
fn is_disconnected(socket: &std::net::TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut events = [PollFd::new(socket, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut events, Some(&now)).is_ok()
        && events[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
}
