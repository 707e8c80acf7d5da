//! Progress of an ingest, readable from another thread while it runs.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a running ingest. They are for display and may lag behind one another.
#[derive(Debug, Default)]
pub struct Progress {
    objects_done: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
    quarantined: AtomicU64,
}

/// A copy of the counters.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProgressCounters {
    /// Objects read to their end.
    pub objects_done: u64,
    /// Events decoded.
    pub events: u64,
    /// Bytes read, before decompression.
    pub bytes: u64,
    /// Records quarantined.
    pub quarantined: u64,
}

impl Progress {
    /// The current counters.
    #[must_use]
    pub fn counters(&self) -> ProgressCounters {
        ProgressCounters {
            objects_done: self.objects_done.load(Ordering::Relaxed),
            events: self.events.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            quarantined: self.quarantined.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn object_finished(&self) {
        self.objects_done.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an object that was not read because the lake holds it.
    pub(crate) fn object_skipped(&self, bytes: Option<u64>) {
        self.bytes.fetch_add(bytes.unwrap_or(0), Ordering::Relaxed);
        self.object_finished();
    }

    pub(crate) fn event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self, count: u64) {
        self.bytes.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn quarantined(&self) {
        self.quarantined.fetch_add(1, Ordering::Relaxed);
    }
}
