//! Buckets as the engine sees them: takes the objects that a follower has fetched.

use super::engine::Engine;
use super::follow::{Followed, Released};
use super::intake::Intake;
use crate::batch::Provenance;
use crate::decode::{self, End, Sink};
use crate::lake::{CatalogError, Position, SourceCommit};
use crate::ledger::Ledger;
use crate::source::oss::{Content, Fetched};
use md5::{Digest, Md5};

/// A bucket with what was read of it since the last commit.
pub(super) struct Objects {
    followed: Followed,
    positions: Vec<(Position, Option<u64>)>,
    ledger: Ledger,
}

impl Objects {
    pub(super) fn new(followed: Followed) -> Self {
        Self { followed, positions: Vec::new(), ledger: Ledger::default() }
    }

    /// After a commit, or after everything staged was thrown away: the follower learns which.
    pub(super) fn let_go(&mut self, committed: bool) {
        self.ledger = Ledger::default();
        for (position, _) in self.positions.drain(..) {
            self.followed.release(Released { key: position.object, committed });
        }
    }

    /// What the next commit says of this bucket.
    pub(super) fn part(&self) -> SourceCommit {
        SourceCommit {
            source: self.followed.name.clone(),
            positions: self.positions.clone(),
            gaps: Vec::new(),
            ledger: self.ledger,
        }
    }
}

impl Engine<'_> {
    /// Takes one object of a bucket, if one has been fetched.
    pub(super) fn object(&mut self, bucket: &mut Objects) -> Result<(), CatalogError> {
        if self.rows >= self.options.flush_rows_max {
            return Ok(());
        }
        let Some(object) = bucket.followed.next() else { return Ok(()) };
        match self.decode(&bucket.followed.name, &object) {
            Ok((ledger, notes)) => {
                bucket.ledger += ledger;
                let Fetched { key, incarnation, .. } = object;
                let position = Position {
                    object: key,
                    incarnation,
                    records: ledger.received,
                    done: true,
                    notes: notes.join("; "),
                };
                bucket.positions.push((position, None));
                self.taken(ledger.received);
                Ok(())
            }
            Err(error) => {
                bucket.followed.release(Released { key: object.key, committed: false });
                Err(error)
            }
        }
    }

    fn decode(
        &mut self,
        source: &str,
        object: &Fetched,
    ) -> Result<(Ledger, Vec<String>), CatalogError> {
        let now = (self.options.clock)();
        let oldest = self.oldest(now);
        let from = Provenance {
            source,
            object: &object.key,
            partition: None,
            record: 0,
            ingested_at: now,
        };
        let mut intake = Intake::object(&mut self.staging, from, oldest);
        let content = match &object.content {
            Content::Whole(content) => content,
            Content::TooLarge(reject) => {
                // The intake itself says in `failed` why it stopped.
                let _ = intake.reject(reject.clone());
                return intake.failed.map_or(Ok((intake.ledger, intake.notes)), Err);
            }
        };
        let account = object.name.as_ref().and_then(|name| name.account_id.as_deref());
        let end = decode::object(content.as_ref(), account, &self.options.limits, &mut intake);
        if let Some(error) = intake.failed {
            return Err(error);
        }
        let (ledger, mut notes) = (intake.ledger, intake.notes);
        if end == Ok(End::Partial) {
            notes.push("partial: the content broke off".to_owned());
        }
        if let Some(name) = &object.name {
            let md5 = format!("{:x}", Md5::digest(content));
            notes.extend(name.mismatches(ledger.received, Some(content.len() as u64), Some(&md5)));
        }
        Ok((ledger, notes))
    }
}
