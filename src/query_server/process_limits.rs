//! Limits that the kernel enforces on a worker process.

use crate::config::QueryBounds;
use rustix::process::{Resource, Rlimit, Signal};
use std::io;

/// Memory, in bytes, that the query engine's memory limit does not include: code, the catalog,
/// decoded pages, the result.
const UNCOUNTED_BYTES: u64 = 1 << 30;
/// How much the priority of a worker is lowered below that of the service.
const NICE: i32 = 10;

/// Limits the address space and the files of this process to `bounds`, lowers its priority, and has
/// it killed when the service ends.
///
/// # Errors
/// The kernel refuses a limit.
pub(super) fn apply(bounds: &QueryBounds) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::nice(NICE)?;
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 =
        statm.split(' ').next().unwrap_or_default().parse().map_err(io::Error::other)?;
    let used = pages * rustix::param::page_size() as u64;
    let limit = |bytes: u64| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    rustix::process::setrlimit(
        Resource::As,
        limit(used + 2 * bounds.memory_bytes_max as u64 + UNCOUNTED_BYTES),
    )?;
    rustix::process::setrlimit(
        Resource::Fsize,
        limit(bounds.bytes_max.max(bounds.spill_bytes_max)),
    )?;
    rustix::process::setrlimit(Resource::Core, limit(0))?;
    Ok(())
}
