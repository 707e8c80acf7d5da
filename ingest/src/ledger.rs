//! The ledger: counts every received record by its outcome. Each record has exactly one of four outcomes.

use serde::Serialize;
use std::ops::AddAssign;

/// Number of records by outcome: `received = stored + duplicate + quarantined + expired`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// Records received.
    pub received: u64,
    /// Events stored in the lake.
    pub stored: u64,
    /// Events or rejects that the lake held already.
    pub duplicate: u64,
    /// Records quarantined.
    pub quarantined: u64,
    /// Events not stored because they are older than the retention.
    pub expired: u64,
}

/// Outcome of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordOutcome {
    Stored,
    Duplicate,
    Quarantined,
    Expired,
}

impl Ledger {
    /// Counts one received record.
    pub(crate) fn count(&mut self, outcome: RecordOutcome) {
        self.received += 1;
        match outcome {
            RecordOutcome::Stored => self.stored += 1,
            RecordOutcome::Duplicate => self.duplicate += 1,
            RecordOutcome::Quarantined => self.quarantined += 1,
            RecordOutcome::Expired => self.expired += 1,
        }
    }

    /// True where the outcomes add up to the records received.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.received == self.stored + self.duplicate + self.quarantined + self.expired
    }

    /// True where no record was counted.
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
