//! The cursor of a topic partition: the offset at which reading continues, and the gap of lost
//! records before it.

use crate::lake::{Gap, Position};
use crate::source::kafka::{TopicPartition, Watermarks};

/// The cursor of a partition that is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionCursor {
    pub(super) partition: TopicPartition,
    /// Number of the sequence of offsets. It increases when the offsets start again from a lower
    /// value, for instance because the topic was recreated. Offsets of different epochs cannot be
    /// compared.
    pub(super) epoch: String,
    /// Offset in the lake's position, which the next commit replaces.
    pub(super) committed: Option<u64>,
    /// Offset of the next message to accept; `None` until the lake has a position or a message was
    /// received.
    pub(super) next: Option<u64>,
    /// Records that can no longer be read, to be committed as a gap.
    pub(super) gap: Option<Gap>,
    pub(super) offset_check: OffsetCheck,
}

/// Whether the offset of the next message may be larger than expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum OffsetCheck {
    /// Gaps are allowed: offsets have gaps if the broker compacted the topic or a transaction was
    /// aborted.
    #[default]
    AllowGaps,
    /// Gaps are not allowed: the client has skipped unreadable messages of an unknown partition. A
    /// gap in the offsets shows that it was this partition.
    Contiguous,
    /// The client has skipped messages of this partition. The cursor accepts no message until
    /// reading restarts from the lake's position.
    Suspended,
}

impl PartitionCursor {
    /// Creates a cursor at the lake's `position`. `broker` is the range of offsets that the broker
    /// still holds; `None` if the broker cannot be reached. A position outside that range leads to
    /// a gap.
    pub(super) fn resume(
        partition: TopicPartition,
        position: Option<Position>,
        broker: Option<Watermarks>,
    ) -> Self {
        let object = partition.object();
        let Some(position) = position else {
            return Self {
                partition,
                epoch: "1".to_owned(),
                committed: None,
                next: None,
                gap: None,
                offset_check: OffsetCheck::AllowGaps,
            };
        };
        let mut cursor = Self {
            partition,
            epoch: position.source_version.clone(),
            committed: Some(position.records),
            next: Some(position.records),
            gap: None,
            offset_check: OffsetCheck::AllowGaps,
        };
        let Some(Watermarks { low, high }) = broker else { return cursor };
        if position.records > high {
            let epoch = position.source_version.parse::<u64>().unwrap_or(0) + 1;
            cursor.epoch = epoch.to_string();
            (cursor.committed, cursor.next) = (None, Some(low));
            cursor.gap = Some(Gap {
                object,
                from: position.records,
                to: position.records,
                reason: "source_reset",
            });
        } else if position.records < low {
            cursor.next = Some(low);
            cursor.gap =
                Some(Gap { object, from: position.records, to: low, reason: "ingest_gap" });
        }
        cursor
    }

    /// Returns true if the message at `offset` must be read: it was not read before, and no message
    /// before it is missing.
    pub(super) fn accepts(&mut self, offset: u64) -> bool {
        match self.offset_check {
            OffsetCheck::Suspended => return false,
            OffsetCheck::Contiguous
                if self.next != Some(offset) && self.next.is_none_or(|next| offset > next) =>
            {
                self.offset_check = OffsetCheck::Suspended;
                return false;
            }
            OffsetCheck::AllowGaps | OffsetCheck::Contiguous => {}
        }
        self.next.is_none_or(|next| offset >= next)
    }

    /// Requires contiguous offsets, after the client has skipped messages of some partition.
    pub(super) fn require_contiguous(&mut self) {
        if self.offset_check == OffsetCheck::AllowGaps {
            self.offset_check = OffsetCheck::Contiguous;
        }
    }

    /// Returns the position to commit and the offset that it replaces; `None` if the position has
    /// not changed.
    pub(super) fn moved_position(&self) -> Option<(Position, Option<u64>)> {
        let next = self.next.filter(|next| Some(*next) != self.committed)?;
        let position = Position {
            object: self.partition.object(),
            source_version: self.epoch.clone(),
            records: next,
            done: false,
            notes: String::new(),
        };
        Some((position, self.committed))
    }

    /// Resets the cursor to the committed position, after the uncommitted records were discarded.
    pub(super) fn roll_back(&mut self) {
        self.next = self.committed;
        self.gap = None;
    }

    /// Records the current offset as committed, and clears the gap.
    pub(super) fn committed(&mut self) {
        self.committed = self.next.or(self.committed);
        self.gap = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resume(stored: Option<u64>, broker: Option<(u64, u64)>) -> PartitionCursor {
        let partition = TopicPartition { topic: "trail".to_owned(), partition: 3 };
        let position = stored.map(|records| Position {
            object: partition.object(),
            source_version: "4".to_owned(),
            records,
            done: false,
            notes: String::new(),
        });
        let broker = broker.map(|(low, high)| Watermarks { low, high });
        PartitionCursor::resume(partition, position, broker)
    }

    #[test]
    fn reading_continues_at_the_lakes_position() {
        assert_eq!(
            resume(None, Some((5, 9))).next,
            None,
            "a partition without position is read from its start"
        );
        for broker in [None, Some((0, 100)), Some((70, 70)), Some((0, 70))] {
            let cursor = resume(Some(70), broker);
            assert_eq!(
                (cursor.committed, cursor.next, cursor.gap.is_some()),
                (Some(70), Some(70), false),
                "{broker:?}"
            );
            assert!(cursor.moved_position().is_none());
        }
    }

    #[test]
    fn after_skipped_messages_offsets_must_be_contiguous() {
        let mut cursor = resume(Some(70), Some((0, 100)));
        assert!(
            cursor.accepts(75) && !cursor.accepts(69),
            "gaps are ordinary, repeated messages are left out"
        );
        cursor.require_contiguous();
        assert!(cursor.accepts(70) && !cursor.accepts(69));
        assert!(!cursor.accepts(72) && !cursor.accepts(70), "a gap suspends the partition");
        let mut unseen = resume(None, None);
        unseen.require_contiguous();
        assert!(!unseen.accepts(0), "its first offset is unknown");
    }

    #[test]
    fn nothing_moves_for_what_was_discarded() {
        for stored in [None, Some(70)] {
            let mut cursor = resume(stored, Some((0, 100)));
            cursor.next = Some(95);
            assert!(cursor.moved_position().is_some());
            cursor.roll_back();
            assert!(cursor.moved_position().is_none());
        }
    }

    #[test]
    fn messages_that_the_broker_dropped_are_a_gap() {
        let cursor = resume(Some(70), Some((90, 200)));
        let gap = cursor.gap.clone().expect("a gap");
        assert_eq!((gap.from, gap.to, gap.reason), (70, 90, "ingest_gap"));
        assert_eq!(
            cursor.moved_position().map(|(position, replaces)| (position.records, replaces)),
            Some((90, Some(70)))
        );
    }

    #[test]
    fn offsets_that_started_over_begin_a_new_epoch() {
        let cursor = resume(Some(70), Some((0, 12)));
        assert_eq!((cursor.epoch.as_str(), cursor.committed, cursor.next), ("5", None, Some(0)));
        assert_eq!(cursor.gap.map(|gap| gap.reason), Some("source_reset"));
    }
}
