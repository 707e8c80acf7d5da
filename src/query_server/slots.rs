//! Limits how many queries run at once and how many wait.

use prometheus_client::metrics::gauge::Gauge;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Maximum number of queries that run at once.
const RUNNING_MAX: usize = 2;
/// Maximum number of queries that wait for a slot.
const WAITING_MAX: usize = 8;

/// The slots that queries run in.
pub(super) struct QuerySlots {
    free: Semaphore,
    waiting: AtomicUsize,
    running: Gauge,
}

impl QuerySlots {
    /// All slots are free. `running` counts the queries that run.
    pub(super) fn new(running: Gauge) -> Self {
        Self { free: Semaphore::new(RUNNING_MAX), waiting: AtomicUsize::new(0), running }
    }

    /// Waits for a free slot. `None` if too many queries wait already.
    pub(super) async fn acquire(&self) -> Option<QuerySlot<'_>> {
        let permit = match self.free.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                let _position = QueuePosition::take(&self.waiting)?;
                self.free.acquire().await.ok()?
            }
        };
        self.running.inc();
        Some(QuerySlot { _permit: permit, running: &self.running })
    }
}

/// A slot that a query runs in. Dropping it frees the slot.
pub(super) struct QuerySlot<'s> {
    _permit: SemaphorePermit<'s>,
    running: &'s Gauge,
}

impl Drop for QuerySlot<'_> {
    fn drop(&mut self) {
        self.running.dec();
    }
}

/// A position in the queue of waiting queries. Dropping it frees the position.
struct QueuePosition<'q>(&'q AtomicUsize);

impl<'q> QueuePosition<'q> {
    fn take(waiting: &'q AtomicUsize) -> Option<Self> {
        // Counted before the check, and uncounted by the drop if the queue is full.
        let position = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX { Some(position) } else { None }
    }
}

impl Drop for QueuePosition<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
