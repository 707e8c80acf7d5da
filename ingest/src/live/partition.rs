//! The cursor of a topic partition: where reading continues, and which records were lost before that.

use crate::lake::{Gap, Position};
use crate::source::kafka::{TopicPartition, Watermarks};

/// The cursor of a partition that is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionCursor {
    pub(super) partition: TopicPartition,
    /// Counts how often the partition's offsets started over, for instance because the topic was recreated. Offsets of
    /// different epochs cannot be compared.
    pub(super) epoch: String,
    /// The lake's position, which the next commit replaces.
    pub(super) committed: Option<u64>,
    /// Offset of the next message to take; `None` until the lake has a position or a message was seen.
    pub(super) next: Option<u64>,
    /// Records that can no longer be read, to be committed as a gap.
    pub(super) gap: Option<Gap>,
    pub(super) offset_check: OffsetCheck,
}

/// Whether the offset of the next message may be larger than expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum OffsetCheck {
    /// It may: offsets have gaps where the broker compacted the topic or a transaction was aborted.
    #[default]
    AllowGaps,
    /// It may not: the client has skipped unreadable messages of some partition. If it was this one, a gap shows it.
    Contiguous,
    /// It was this partition. No message is taken until reading starts again from the lake's position.
    Suspended,
}

impl PartitionCursor {
    /// A cursor at the lake's `position`. `broker` gives the offsets that the broker still holds, if it is reachable. A
    /// position outside of them leads to a gap.
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

    /// True where the message at `offset` is to be taken: it was not taken before, and no message before it is missing.
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

    /// The position to commit, with the one it replaces; `None` where it has not moved.
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

    /// Goes back to the committed position, after everything uncommitted was discarded.
    pub(super) fn roll_back(&mut self) {
        self.next = self.committed;
        self.gap = None;
    }

    /// Starts over after a commit.
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
