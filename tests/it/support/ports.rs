//! Port numbers for servers that need one in their configuration.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

/// Below the system's range of ephemeral ports, so that neither `:0` nor an outgoing connection takes a reserved port.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// Reserves a port of 127.0.0.1. No other caller, in this or another process, gets the port while
/// this process runs.
pub(crate) fn reserve_port() -> u16 {
    static HELD: Mutex<Vec<(u16, File)>> = Mutex::new(Vec::new());
    let mut held = HELD.lock().expect("no reservation panicked");
    let folder = std::env::temp_dir().join("trailhound-test-ports");
    std::fs::create_dir_all(&folder).expect("a folder");
    let first = held.last().map_or(RANGE.start, |(port, _)| port + 1);
    for port in (first..RANGE.end).chain(RANGE.start..first) {
        let lock = File::create(folder.join(port.to_string())).expect("a file");
        if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            held.push((port, lock));
            return port;
        }
    }
    panic!("every port of {RANGE:?} is taken");
}

/// Waits until something listens on `port`.
pub(crate) fn wait_until_listening(port: u16) {
    super::waiting::wait_for(
        || TcpStream::connect(("127.0.0.1", port)).ok(),
        || format!("nothing listens on {port}"),
    );
}
