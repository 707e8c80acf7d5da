//! The count of everything that came in. Every record ends in exactly one of four places.

use serde::Serialize;
use std::ops::AddAssign;

/// Records by what became of them: `received = stored + duplicate + quarantined + expired`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// Records read.
    pub received: u64,
    /// Events now in the lake.
    pub stored: u64,
    /// Events (or rejects) the lake had already.
    pub duplicate: u64,
    /// Records set aside.
    pub quarantined: u64,
    /// Events older than the retention.
    pub expired: u64,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Stored,
    Duplicate,
    Quarantined,
    Expired,
}

impl Ledger {
    /// Counts a record received.
    pub(crate) fn count(&mut self, fate: Fate) {
        self.received += 1;
        match fate {
            Fate::Stored => self.stored += 1,
            Fate::Duplicate => self.duplicate += 1,
            Fate::Quarantined => self.quarantined += 1,
            Fate::Expired => self.expired += 1,
        }
    }

    /// True where every record received is accounted for.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.received == self.stored + self.duplicate + self.quarantined + self.expired
    }

    /// True where nothing was received.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.stored += other.stored;
        self.duplicate += other.duplicate;
        self.quarantined += other.quarantined;
        self.expired += other.expired;
    }
}
