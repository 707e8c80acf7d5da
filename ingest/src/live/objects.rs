//! Decodes the objects of a bucket, which the bucket's follower has fetched, and tracks which of
//! them are not committed yet.

use super::follow::{BucketFeed, ReleasedObject};
use super::uncommitted::Uncommitted;
use crate::lake::{CatalogError, Position, SourceCommit};
use crate::ledger::Ledger;
use crate::source::oss::FetchedObject;

/// Reader of one bucket. Holds the positions and record counts since the last commit.
pub(super) struct BucketReader {
    feed: BucketFeed,
    positions: Vec<(Position, Option<u64>)>,
    ledger: Ledger,
}

impl BucketReader {
    pub(super) fn new(feed: BucketFeed) -> Self {
        Self { feed, positions: Vec::new(), ledger: Ledger::default() }
    }

    /// Reads one object into `uncommitted`, if an object has been fetched and `uncommitted` is not
    /// full.
    pub(super) fn read(&mut self, uncommitted: &mut Uncommitted<'_>) -> Result<(), CatalogError> {
        if uncommitted.is_full() {
            return Ok(());
        }
        let Some(object) = self.feed.next() else { return Ok(()) };
        match uncommitted.add_object(&self.feed.name, &object) {
            Ok((ledger, notes)) => {
                self.ledger += ledger;
                let FetchedObject { key, content_version, .. } = object;
                let position = Position {
                    object: key,
                    source_version: content_version,
                    records: ledger.received,
                    done: true,
                    notes: notes.join("; "),
                };
                self.positions.push((position, None));
                Ok(())
            }
            Err(error) => {
                self.feed.release(ReleasedObject { key: object.key, committed: false });
                Err(error)
            }
        }
    }

    /// Returns the positions and record counts of this bucket for the next commit.
    pub(super) fn commit_part(&self) -> SourceCommit {
        SourceCommit {
            source: self.feed.name.clone(),
            positions: self.positions.clone(),
            gaps: Vec::new(),
            ledger: self.ledger,
        }
    }

    /// Clears the positions and counts after a commit, and reports the objects to the follower as
    /// committed.
    pub(super) fn committed(&mut self) {
        self.release_objects(true);
    }

    /// Clears the positions and counts after uncommitted records were discarded. The follower then
    /// fetches the objects again.
    pub(super) fn roll_back(&mut self) {
        self.release_objects(false);
    }

    fn release_objects(&mut self, committed: bool) {
        self.ledger = Ledger::default();
        for (position, _) in self.positions.drain(..) {
            self.feed.release(ReleasedObject { key: position.object, committed });
        }
    }
}
