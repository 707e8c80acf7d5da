//! Limits the open connections of a server. A connection that has not asked for anything yet makes room for a new one, so that
//! silent clients do not keep others away.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use trailhound_ingest::supervisor::Pulse;

/// The accepting task gives a sign of life at least this often.
const ACCEPT_TIME_MAX: Duration = Duration::from_secs(5);
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// The next connection of `listener`. Gives signs of life while it waits.
pub(crate) async fn accept(listener: &TcpListener, pulse: &Pulse) -> (TcpStream, SocketAddr) {
    loop {
        pulse.worked();
        match tokio::time::timeout(ACCEPT_TIME_MAX, listener.accept()).await {
            Ok(Ok(accepted)) => return accepted,
            Ok(Err(error)) => {
                // For example too many open files, which passes.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // Nobody has come.
            Err(_) => {}
        }
    }
}

/// The open connections, by a number that grows.
pub(crate) struct ConnectionSlots {
    max: usize,
    connections: Mutex<OpenConnections>,
}

#[derive(Default)]
struct OpenConnections {
    next: u64,
    open: BTreeMap<u64, Arc<Connection>>,
}

#[derive(Default)]
struct Connection {
    has_asked: AtomicBool,
    revoked: Notify,
}

/// The slot of one connection. Dropping it frees the slot.
pub(crate) struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    number: u64,
    connection: Arc<Connection>,
}

impl ConnectionSlots {
    /// At most `max` slots.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, connections: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot. Where all are taken, the oldest connection that has not asked for anything loses its own; `None` where all
    /// have asked.
    pub(crate) fn take(self: &Arc<Self>) -> Option<ConnectionSlot> {
        let mut connections = self.lock();
        if connections.open.len() >= self.max {
            let is_silent =
                |connection: &Arc<Connection>| !connection.has_asked.load(Ordering::Relaxed);
            let silent = connections.open.iter().find(|(_, connection)| is_silent(connection));
            let number = *silent?.0;
            connections.open.remove(&number)?.revoked.notify_one();
        }
        let number = connections.next;
        connections.next += 1;
        let connection = Arc::<Connection>::default();
        connections.open.insert(number, Arc::clone(&connection));
        Some(ConnectionSlot { slots: Arc::clone(self), number, connection })
    }
}

impl ConnectionSlot {
    /// The client has sent the head of a request.
    pub(crate) fn note_request(&self) {
        self.connection.has_asked.store(true, Ordering::Relaxed);
    }

    /// Waits until the slot is given to another connection.
    pub(crate) async fn revoked(&self) {
        self.connection.revoked.notified().await;
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.slots.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silent_connections_make_room_and_others_do_not() {
        let slots = ConnectionSlots::new(8);
        let held: Vec<ConnectionSlot> = (0..8).map(|_| slots.take().expect("a slot")).collect();
        held[0].note_request();
        let newest = slots.take().expect("the slot of a silent one");
        held[1].revoked().await;
        held.iter().for_each(ConnectionSlot::note_request);
        newest.note_request();
        assert!(slots.take().is_none(), "all have asked");
        drop(held);
        assert!(slots.take().is_some());
        assert_eq!(slots.lock().open.len(), 1, "the newest is left");
    }
}
