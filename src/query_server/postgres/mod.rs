//! The PostgreSQL interface, for psql and other clients of its protocol.
//!
//! The service itself asks each client for its password. A connection that is logged in is served by a worker process of its own. The worker asks the service for a slot
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
mod login;
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

use super::connection_slots::{self, ConnectionSlot, ConnectionSlots};
use super::query_log::Client;
use super::server::{EXECUTABLE, GRACE, QueryServer};
use super::slots::QuerySlot;
use super::spill_folder::SpillFolder;
use crate::config::{PostgresEndpoint, QueryBounds};
use crate::exit::Failure;
use datafusion_postgres::pgwire::error::ErrorInfo;
use futures::FutureExt;
use ipc::{CancelKey, FromServer, IpcChannel, ToServer};
use login::{ClientStream, Login, LoginCheck};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::process::Command;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use trailhound_ingest::supervisor::Pulse;
use trailhound_queries::sql_guard::QueryErrorCode;

/// Maximum number of open connections. Dashboards keep connections open.
const CONNECTIONS_MAX: usize = 16;
/// Maximum number of connections whose client has not sent the password yet.
const GREETED_MAX: usize = 64;
/// Time in which a client must log in.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(10);
/// Time in which a client must take the last bytes of its connection.
const LAST_BYTES_TIME_MAX: Duration = Duration::from_secs(5);
/// How often the service checks that the client is still connected while a statement runs.
const CLIENT_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// How long a cancelled statement may take to end before its worker is killed.
const CANCEL_TIME_MAX: Duration = Duration::from_secs(5);

/// The cancel keys of open connections, each with the notifier that cancels the statements.
type CancelKeys = Mutex<HashMap<CancelKey, Arc<Notify>>>;

/// The PostgreSQL server. It outlives a failure of the task that accepts connections.
pub(crate) struct PostgresServer {
    listener: TcpListener,
    state: Arc<ServerState>,
}

/// What the connections share.
struct ServerState {
    server: Arc<QueryServer>,
    login: LoginCheck,
    keys: CancelKeys,
    /// Connections whose client has not sent the password yet. A new one takes the place of the oldest.
    greeted: Arc<ConnectionSlots>,
    /// Connections whose client is logged in.
    connections: Semaphore,
}

impl PostgresServer {
    /// A server that answers from `server` as `endpoint` says.
    ///
    /// # Errors
    /// [`Failure`]: the certificate cannot be used.
    pub(crate) fn new(
        listener: TcpListener,
        server: Arc<QueryServer>,
        endpoint: PostgresEndpoint,
    ) -> Result<Self, Failure> {
        let state = ServerState {
            server,
            login: LoginCheck::new(endpoint)?,
            keys: CancelKeys::default(),
            greeted: ConnectionSlots::new(GREETED_MAX),
            connections: Semaphore::new(CONNECTIONS_MAX),
        };
        Ok(Self { listener, state: Arc::new(state) })
    }

    /// Accepts connections until it is aborted.
    ///
    /// # Errors
    /// None; the supervisor's tasks have a result.
    pub(crate) async fn accept(&self, pulse: &Pulse) -> Result<(), String> {
        loop {
            let (socket, peer) = connection_slots::accept(&self.listener, pulse).await;
            let Some(slot) = self.state.greeted.take() else {
                tracing::warn!(%peer, "a connection was refused: too many clients log in");
                continue;
            };
            let state = Arc::clone(&self.state);
            self.state.server.supervisor.spawn_brief("postgresql connection", async move {
                if let Err(error) = serve_client(socket, peer, &state, slot).await {
                    tracing::warn!(%peer, %error, "a connection failed");
                }
            });
        }
    }
}

/// Leads the client up to the right password. Then starts a worker for it and handles the messages of the worker until it ends.
async fn serve_client(
    socket: TcpStream,
    peer: SocketAddr,
    state: &ServerState,
    slot: ConnectionSlot,
) -> io::Result<()> {
    let socket = socket.into_std()?;
    let watched = socket.try_clone()?;
    let login = state.login.log_in(TcpStream::from_std(socket)?);
    let login = tokio::select! {
        login = tokio::time::timeout(LOGIN_TIME_MAX, login) => login,
        () = slot.revoked() => {
            return Err(io::Error::other("it made room for another before it was logged in"));
        }
    };
    drop(slot);
    let login = login.map_err(|_| {
        let text = format!("it was not logged in within {} s", LOGIN_TIME_MAX.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, text)
    })??;
    match login {
        Login::Refused { user, why } => {
            tracing::warn!(%peer, user, why, "a login failed");
            state.server.record_refusal(&client_at(peer, user), "", "login_failed").await
        }
        Login::Cancel { pid, secret } => {
            cancel(&state.keys, &CancelKey { pid, secret });
            Ok(())
        }
        Login::Accepted { mut stream, startup } => {
            let Ok(_permit) = state.connections.try_acquire() else {
                tracing::warn!(%peer, "a connection was refused: {CONNECTIONS_MAX} are open");
                let text = format!("{CONNECTIONS_MAX} connections are open already");
                let error = ErrorInfo::new("FATAL".to_owned(), "53300".to_owned(), text);
                return login::refuse(&mut stream, error).await;
            };
            serve_logged_in(stream, &startup, &watched, peer, state).await
        }
    }
}

/// The client `user` at `peer`, for the query log.
fn client_at(peer: SocketAddr, user: String) -> Client {
    Client { interface: "postgres", user, address: peer.ip().to_string() }
}

/// Starts a worker for a client and passes on what the two send to each other.
async fn serve_logged_in(
    mut stream: Box<dyn ClientStream>,
    startup: &[u8],
    watched: &std::net::TcpStream,
    peer: SocketAddr,
    state: &ServerState,
) -> io::Result<()> {
    let server = &*state.server;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let (data, their_data) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    data.set_nonblocking(true)?;
    let spill = SpillFolder::create()?;
    let mut command = Command::new(EXECUTABLE);
    if let Some(config) = &server.config {
        command.arg("--config").arg(config);
    }
    command.arg("serve-postgres").arg("--lake").arg(server.lake.folder());
    command
        .env("TMPDIR", spill.path())
        .stdin(Stdio::from(OwnedFd::from(their_data)))
        .stdout(Stdio::from(OwnedFd::from(theirs)));
    let mut child = command.kill_on_drop(true).spawn()?;
    // The command holds the worker's ends of the sockets. They only close with the worker if no other
    // copy is open.
    drop(command);
    let mut channel = IpcChannel::new(UnixStream::from_std(ours)?);
    let mut data = UnixStream::from_std(data)?;
    data.write_all(startup).await?;
    let mut cancellation = Cancellation { keys: &state.keys, key: None, notify: Arc::default() };
    let handled = {
        let mut passed_on = std::pin::pin!(pass_on(&mut stream, &mut data));
        let mut is_passed_on = false;
        let handled = {
            let handling = handle_messages(&mut channel, watched, peer, server, &mut cancellation);
            let mut handling = std::pin::pin!(handling);
            loop {
                tokio::select! {
                    handled = &mut handling => break handled,
                    // The worker ends by itself when its client has left.
                    _ = &mut passed_on, if !is_passed_on => is_passed_on = true,
                }
            }
        };
        if let Err(error) = child.start_kill() {
            tracing::debug!(%error, "the worker of a connection has ended by itself");
        }
        child.wait().await?;
        if !is_passed_on {
            // The client gets what the worker has sent last.
            let rest = tokio::time::timeout(LAST_BYTES_TIME_MAX, passed_on).await;
            tracing::debug!(?rest, "a connection ended");
        }
        handled?
    };
    if let Some(error) = handled.and_then(|killed| killed.fatal_error(&server.bounds)) {
        let told = login::refuse(&mut stream, error);
        let told = tokio::time::timeout(LAST_BYTES_TIME_MAX, told).await;
        tracing::debug!(?told, "a client was told why its connection ends");
    }
    let closed = tokio::time::timeout(LAST_BYTES_TIME_MAX, stream.shutdown()).await;
    tracing::debug!(?closed, "a connection ended");
    Ok(())
}

/// Passes on what client and worker send to each other until the worker has closed its end. The client's end stays open, so
/// that the service can tell why the connection ends.
async fn pass_on(client: &mut Box<dyn ClientStream>, worker: &mut UnixStream) -> io::Result<u64> {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_worker, mut to_worker) = worker.split();
    let upward = async {
        let sent = tokio::io::copy(&mut from_client, &mut to_worker).await;
        // The worker ends by itself when its client has left.
        let closed = to_worker.shutdown().await;
        tracing::debug!(?sent, ?closed, "a client sends no more");
        std::future::pending().await
    };
    tokio::select! {
        received = tokio::io::copy(&mut from_worker, &mut to_client) => received,
        never = upward => never,
    }
}

/// Why a worker was killed, or that it has crashed.
#[derive(Clone, Copy)]
struct Killed(QueryErrorCode);

impl Killed {
    /// What the client is told; `None` where it has left.
    fn fatal_error(self, bounds: &QueryBounds) -> Option<ErrorInfo> {
        let (state, text) = match self.0 {
            QueryErrorCode::TimeLimit => {
                ("57014", format!("the statement was not answered within {} s", bounds.seconds_max))
            }
            QueryErrorCode::MemoryLimit => (
                "53200",
                "the statement needs more memory than it may use, or nests too deep".to_owned(),
            ),
            QueryErrorCode::Cancelled => ("57014", "the statement was cancelled".to_owned()),
            _ => return None,
        };
        Some(ErrorInfo::new("FATAL".to_owned(), state.to_owned(), text))
    }
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
}

/// Cancels the statement that the connection with `key` runs, if there is one.
fn cancel(keys: &CancelKeys, key: &CancelKey) {
    if let Some(other) = keys.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
        // It waits where the statement is between planning and running.
        other.notify_one();
    }
}

impl Drop for Cancellation<'_> {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }
}

/// Handles the messages of a worker until it ends, or must be killed.
async fn handle_messages(
    channel: &mut IpcChannel,
    socket: &std::net::TcpStream,
    peer: SocketAddr,
    server: &QueryServer,
    cancellation: &mut Cancellation<'_>,
) -> io::Result<Option<Killed>> {
    let client_of = |user| client_at(peer, user);
    // A statement is planned and has not ended. What cancels before that, cancels nothing.
    let mut is_planned = false;
    while let Some(message) = channel.read::<ToServer>().await? {
        let (who, statement) = match message {
            ToServer::Begin { who, statement } | ToServer::Plan { who, statement } => {
                (who, statement)
            }
            ToServer::Ready(key) => {
                cancellation.register(key);
                continue;
            }
            ToServer::Refused { who, statement, result } => {
                server.record_refusal(&client_of(who), &statement, &result).await?;
                continue;
            }
            ToServer::End { .. } | ToServer::Planned => continue,
        };
        // A statement is recorded when it runs. One that is never planned is recorded too.
        let log = server.log(&client_of(who), &statement);
        let Some(slot) = server.slots.acquire().await else {
            channel.write(&FromServer::Busy).await?;
            log.end("busy", 0, 0).await.map_err(io::Error::other)?;
            continue;
        };
        if !is_planned {
            let late = cancellation.notify.notified().now_or_never();
            tracing::trace!(?late, "a cancellation came between two statements");
        }
        channel.write(&FromServer::Go).await?;
        is_planned = false;
        match wait_for_end(channel, socket, server, slot, &cancellation.notify).await? {
            StatementEnd::Planned { cancelled: false } => {
                is_planned = true;
                channel.write(&FromServer::Go).await?;
                log.forget();
            }
            // The worker has the message of the cancellation.
            StatementEnd::Planned { cancelled: true } => {
                let result = QueryErrorCode::Cancelled.name();
                log.end(result, 0, 0).await.map_err(io::Error::other)?;
            }
            StatementEnd::Reported { result, rows, bytes } => {
                log.end(&result, rows, bytes).await.map_err(io::Error::other)?
            }
            // Returning ends the connection and kills the worker.
            StatementEnd::Killed(why) => {
                log.end(why.name(), 0, 0).await.map_err(io::Error::other)?;
                return Ok(Some(Killed(why)));
            }
        }
    }
    Ok(None)
}

/// How a statement ended.
enum StatementEnd {
    /// The statement is planned, and may be cancelled.
    Planned {
        /// It is.
        cancelled: bool,
    },
    /// The statement ended as the worker reports.
    Reported { result: String, rows: u64, bytes: u64 },
    /// The worker must be killed or has crashed; with the result for the query log.
    Killed(QueryErrorCode),
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
            message = channel.read::<ToServer>() => match message.unwrap_or_else(crashed) {
                Some(ToServer::End { result, rows, bytes }) => return Ok(StatementEnd::Reported { result, rows, bytes }),
                Some(ToServer::Planned) => return Ok(StatementEnd::Planned { cancelled }),
                Some(_) => {}
                None => return Ok(StatementEnd::Killed(QueryErrorCode::MemoryLimit)),
            },
            () = &mut timeout => {
                return Ok(StatementEnd::Killed(if cancelled { QueryErrorCode::Cancelled } else { QueryErrorCode::TimeLimit }));
            }
            () = &mut cancel, if !cancelled => {
                cancelled = true;
                channel.write(&FromServer::Cancel).await?;
                timeout.as_mut().reset(Instant::now() + CANCEL_TIME_MAX);
            }
            _ = client_check.tick() => {
                if is_disconnected(socket) {
                    return Ok(StatementEnd::Killed(QueryErrorCode::Cancelled));
                }
            }
        }
    }
}

/// The message of a worker whose channel is broken: none.
fn crashed(error: io::Error) -> Option<ToServer> {
    tracing::warn!(%error, "the worker of a connection has crashed");
    None
}

/// True if the client has closed its end of the connection.
fn is_disconnected(socket: &std::net::TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut events = [PollFd::new(socket, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut events, Some(&now)).is_ok()
        && events[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
}
