//! Reads the objects of a bucket that its follower has fetched.

use super::follow::{BucketFeed, ReleasedObject};
use super::uncommitted::Uncommitted;
use crate::lake::{CatalogError, Position, SourceCommit};
use crate::ledger::Ledger;
use crate::source::oss::FetchedObject;

/// The reader of one bucket, with the positions and the ledger since the last commit.
pub(super) struct BucketReader {
    feed: BucketFeed,
    positions: Vec<(Position, Option<u64>)>,
    ledger: Ledger,
}

impl BucketReader {
    pub(super) fn new(feed: BucketFeed) -> Self {
        Self { feed, positions: Vec::new(), ledger: Ledger::default() }
    }

    /// Reads one object into `uncommitted`, if one has been fetched and there is room.
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

    /// This bucket's part of the next commit.
    pub(super) fn commit_part(&self) -> SourceCommit {
        SourceCommit {
            source: self.feed.name.clone(),
            positions: self.positions.clone(),
            gaps: Vec::new(),
            ledger: self.ledger,
        }
    }

    /// Starts over after a commit.
    pub(super) fn committed(&mut self) {
        self.release_objects(true);
    }

    /// Starts over after everything uncommitted was discarded. The follower fetches the objects again.
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
