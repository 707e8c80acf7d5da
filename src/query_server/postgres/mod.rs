//! The PostgreSQL door: psql and what speaks its protocol. Each connection is served by a process of its own, which asks here before it runs a statement
//! and tells here how it ended.

mod functions;
mod information;
mod ipc;
mod query_handler;
mod session;

pub(crate) use session::run as serve_connection;

use super::note::Note;
use super::{Asker, EXECUTABLE, GRACE, QueryServer, Turn};
use ipc::{CancelKey, FromServer, ToServer, Wire};
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
use trailhound_queries::sql_guard::QueryErrorCode;

/// Connections at once. Dashboards keep some open.
const CONNECTIONS_MAX: usize = 16;
/// How often it is looked whether the client is still there while a statement runs.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long a statement that was called off may take to end before its process is killed.
const CANCEL_TIME_MAX: Duration = Duration::from_secs(5);

/// By what the statements of open connections are called off.
type CancelKeys = Mutex<HashMap<CancelKey, Arc<Notify>>>;

/// Takes connections until the service ends.
pub(crate) async fn serve(listener: TcpListener, doors: Arc<QueryServer>) {
    let keys = Arc::new(CancelKeys::default());
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Nothing that waiting would not mend: too many open files.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&connections).try_acquire_owned() else {
            tracing::warn!(%peer, "a connection was refused: {CONNECTIONS_MAX} are open");
            continue;
        };
        let (doors, keys) = (Arc::clone(&doors), Arc::clone(&keys));
        tokio::spawn(async move {
            if let Err(error) = connection(socket, peer, &doors, &keys).await {
                tracing::warn!(%peer, %error, "a connection broke");
            }
            drop(place);
        });
    }
}

/// Hands the socket to a process and attends to what that asks.
async fn connection(
    socket: TcpStream,
    peer: SocketAddr,
    doors: &QueryServer,
    keys: &CancelKeys,
) -> io::Result<()> {
    let socket = socket.into_std()?;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = Command::new(EXECUTABLE);
    if let Some(config) = &doors.config {
        command.arg("--config").arg(config);
    }
    command.arg("serve-postgres").arg("--lake").arg(doors.lake.folder());
    command
        .stdin(Stdio::from(OwnedFd::from(socket.try_clone()?)))
        .stdout(Stdio::from(OwnedFd::from(theirs)));
    let mut child = command.kill_on_drop(true).spawn()?;
    // The command holds the other end of the wire as long as it lives.
    drop(command);
    let mut wire = Wire::new(UnixStream::from_std(ours)?);
    let mut called_off = CalledOff { keys, own: None, notify: Arc::default() };
    let attended = attend(&mut wire, &socket, peer, doors, &mut called_off).await;
    let _ = child.start_kill();
    child.wait().await?;
    attended
}

/// How the statements of one connection are called off.
struct CalledOff<'k> {
    keys: &'k CancelKeys,
    own: Option<CancelKey>,
    notify: Arc<Notify>,
}

impl CalledOff<'_> {
    /// Those who know `key` can do it from now on.
    fn known_by(&mut self, key: CancelKey) {
        self.keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone(), Arc::clone(&self.notify));
        self.own = Some(key);
    }

    /// Calls off what the connection with `key` runs now, if there is one.
    fn call_off(&self, key: &CancelKey) {
        if let Some(other) = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            other.notify_waiters();
        }
    }
}

impl Drop for CalledOff<'_> {
    fn drop(&mut self) {
        if let Some(key) = &self.own {
            self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }
}

/// Answers what the process asks until it ends.
async fn attend(
    wire: &mut Wire,
    socket: &std::net::TcpStream,
    peer: SocketAddr,
    doors: &QueryServer,
    called_off: &mut CalledOff<'_>,
) -> io::Result<()> {
    let noting = |who: String, statement: &str| {
        let asker = Asker { door: "postgres", who, address: peer.ip().to_string() };
        Note::new(doors.lake.clone(), (doors.clock)(), &asker, statement)
    };
    while let Some(said) = wire.read::<ToServer>().await? {
        let (who, statement) = match said {
            ToServer::Begin { who, statement } => (who, statement),
            ToServer::Ready(key) => {
                called_off.known_by(key);
                continue;
            }
            ToServer::Cancel(key) => {
                called_off.call_off(&key);
                continue;
            }
            ToServer::Refused { who, statement, result } => {
                noting(who, &statement).ended(&result, 0, 0).await.map_err(io::Error::other)?;
                continue;
            }
            ToServer::End { .. } => continue,
        };
        let note = noting(who, &statement);
        let Some(turn) = doors.turn().await else {
            wire.write(&FromServer::Busy).await?;
            note.ended("busy", 0, 0).await.map_err(io::Error::other)?;
            continue;
        };
        wire.write(&FromServer::Go).await?;
        match ended(wire, socket, doors, turn, &called_off.notify).await? {
            Ended::Told { result, rows, bytes } => {
                note.ended(&result, rows, bytes).await.map_err(io::Error::other)?
            }
            // It is killed with the connection.
            Ended::Killed(why) => return note.ended(why, 0, 0).await.map_err(io::Error::other),
        }
    }
    Ok(())
}

/// How a statement ended.
enum Ended {
    /// As the process says.
    Told { result: String, rows: u64, bytes: u64 },
    /// Not by itself, and why.
    Killed(&'static str),
}

/// How the statement that runs ended: by itself, or because its time is up, or nobody waits for it any more.
async fn ended(
    wire: &mut Wire,
    socket: &std::net::TcpStream,
    doors: &QueryServer,
    _turn: Turn<'_>,
    called_off: &Notify,
) -> io::Result<Ended> {
    let most = Duration::from_secs(doors.bounds.seconds_max) + GRACE;
    let out_of_time = tokio::time::sleep(most);
    tokio::pin!(out_of_time);
    let called_off = called_off.notified();
    tokio::pin!(called_off);
    let mut cancelled = false;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            said = wire.read::<ToServer>() => match said? {
                Some(ToServer::End { result, rows, bytes }) => return Ok(Ended::Told { result, rows, bytes }),
                Some(_) => {}
                None => return Ok(Ended::Killed(QueryErrorCode::MemoryLimit.name())),
            },
            () = &mut out_of_time => {
                return Ok(Ended::Killed(if cancelled { QueryErrorCode::Cancelled.name() } else { QueryErrorCode::TimeLimit.name() }));
            }
            () = &mut called_off, if !cancelled => {
                cancelled = true;
                wire.write(&FromServer::Cancel).await?;
                out_of_time.as_mut().reset(Instant::now() + CANCEL_TIME_MAX);
            }
            _ = look.tick() => {
                if has_gone(socket) {
                    return Ok(Ended::Killed(QueryErrorCode::Cancelled.name()));
                }
            }
        }
    }
}

/// True where the client has closed its end.
fn has_gone(socket: &std::net::TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut asked = [PollFd::new(socket, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&now)).is_ok()
        && asked[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
}
