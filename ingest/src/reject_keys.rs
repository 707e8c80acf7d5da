//! The keys of quarantined records: which rejects the lake holds already, and how many a source has had on this day.
//!
//! Keys are read back by day, newest first, and only so many of them: a lake whose quarantine was flooded opens as fast as
//! another. A reject that comes again after its key is forgotten gets a second row; events are compared with all of the lake.

use crate::lake::{CatalogError, Lake};
use std::collections::{HashMap, HashSet};
use tokio::runtime::Handle;
use trailhound_datasets::layout;

/// Keys that are read back, and kept between commits. A key takes about 32 bytes.
const KEYS_MAX: usize = 1 << 20;
/// Rejects of one source on one day that are kept one by one.
const OF_SOURCE_AND_DAY_MAX: u64 = 250_000;

/// What becomes of a reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RejectOutcome {
    /// It is new.
    New,
    /// The lake or the staging area holds it.
    Known,
    /// It is new, and its source has had too many on this day. Its key was not added.
    BeyondLimit,
}

/// Keys of quarantined records.
pub(crate) struct RejectKeys {
    known: HashSet<[u8; 16]>,
    /// The day whose rejects are counted, in days since 1970.
    day: i32,
    /// Rejects of the day by source.
    of_source: HashMap<String, u64>,
    of_source_max: u64,
}

impl RejectKeys {
    fn new(day: i32, of_source_max: u64) -> Self {
        Self { known: HashSet::new(), day, of_source: HashMap::new(), of_source_max }
    }

    /// Reads the newest keys of `lake`. `day` (days since 1970) is the present day. Blocks.
    pub(crate) fn load(runtime: &Handle, lake: &Lake, day: i32) -> Result<Self, CatalogError> {
        let mut keys = Self::new(day, OF_SOURCE_AND_DAY_MAX);
        let today = layout::day_text(day);
        runtime.block_on(lake.newest_quarantine_keys(KEYS_MAX, |stored_day, row| {
            keys.known.insert(row.key);
            if stored_day == today {
                keys.count(row.source);
            }
        }))?;
        Ok(keys)
    }

    fn count(&mut self, source: &str) {
        match self.of_source.get_mut(source) {
            Some(count) => *count += 1,
            None => {
                self.of_source.insert(source.to_owned(), 1);
            }
        }
    }

    /// Adds the key of a reject that came from `source` on `day`.
    pub(crate) fn add(&mut self, key: [u8; 16], source: &str, day: i32) -> RejectOutcome {
        if day != self.day {
            self.day = day;
            self.of_source.clear();
        }
        if self.known.contains(&key) {
            return RejectOutcome::Known;
        }
        if self.of_source.get(source).is_some_and(|count| *count >= self.of_source_max) {
            return RejectOutcome::BeyondLimit;
        }
        self.known.insert(key);
        self.count(source);
        RejectOutcome::New
    }

    /// Adds a key without counting it: of a row that sums up others, or of another process. True where it is new.
    pub(crate) fn add_uncounted(&mut self, key: [u8; 16]) -> bool {
        self.known.insert(key)
    }

    /// True where so many keys were added that they should be forgotten after the next commit.
    pub(crate) fn is_large(&self) -> bool {
        self.known.len() > 2 * KEYS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_of_a_source_and_day_are_bounded_and_known_ones_stay_known() {
        let mut keys = RejectKeys::new(7, 2);
        let mut add = |number: u8, source, day| keys.add([number; 16], source, day);
        assert_eq!(add(1, "a", 7), RejectOutcome::New);
        assert_eq!(add(2, "a", 7), RejectOutcome::New);
        assert_eq!(add(3, "a", 7), RejectOutcome::BeyondLimit);
        assert_eq!(add(1, "a", 7), RejectOutcome::Known);
        assert_eq!(add(3, "b", 7), RejectOutcome::New);
        assert_eq!(add(4, "a", 8), RejectOutcome::New, "the next day");
        assert!(keys.add_uncounted([9; 16]) && !keys.add_uncounted([9; 16]));
    }
}
