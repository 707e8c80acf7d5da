//! Where reading a partition goes on, and what was lost before it.

use crate::lake::{Gap, Position};
use crate::source::kafka::{TopicPartition, Watermarks};

/// A partition that is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tracked {
    pub(super) partition: TopicPartition,
    /// What stood under this name when the lake's position was written; another number after the offsets went back.
    pub(super) incarnation: String,
    /// The lake's position, which the next commit must replace.
    pub(super) base: Option<u64>,
    /// Offset of the next message to take; `None` until one was seen or the lake knows.
    pub(super) next: Option<u64>,
    /// Records that can no longer be read, to be noted by the next commit.
    pub(super) gap: Option<Gap>,
    pub(super) trust: Trust,
}

/// Whether the next message may be another than the very next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Trust {
    /// Offsets jump where the broker has compacted or somebody has taken a transaction back.
    #[default]
    Jumps,
    /// The client has passed over messages of some partition that it could not read: if it was this one, a jump shows it.
    OnlyNext,
    /// It was this one. Nothing more is taken until it is read again from the lake's position.
    Stopped,
}

impl Tracked {
    /// Where to go on, by what the lake and the broker (if it answers) say.
    pub(super) fn begin(
        partition: TopicPartition,
        position: Option<Position>,
        broker: Option<Watermarks>,
    ) -> Self {
        let object = partition.object();
        let Some(position) = position else {
            return Self {
                partition,
                incarnation: "1".to_owned(),
                base: None,
                next: None,
                gap: None,
                trust: Trust::Jumps,
            };
        };
        let mut tracked = Self {
            partition,
            incarnation: position.incarnation.clone(),
            base: Some(position.records),
            next: Some(position.records),
            gap: None,
            trust: Trust::Jumps,
        };
        let Some(Watermarks { low, high }) = broker else { return tracked };
        if position.records > high {
            let next = position.incarnation.parse::<u64>().unwrap_or(0) + 1;
            tracked.incarnation = next.to_string();
            (tracked.base, tracked.next) = (None, Some(low));
            tracked.gap = Some(Gap {
                object,
                from: position.records,
                to: position.records,
                reason: "source_reset",
            });
        } else if position.records < low {
            tracked.next = Some(low);
            tracked.gap =
                Some(Gap { object, from: position.records, to: low, reason: "ingest_gap" });
        }
        tracked
    }

    /// True where the message at `offset` is to be taken: it is not known yet, and nothing before it is missing.
    pub(super) fn takes(&mut self, offset: u64) -> bool {
        match self.trust {
            Trust::Stopped => return false,
            Trust::OnlyNext
                if self.next != Some(offset) && self.next.is_none_or(|next| offset > next) =>
            {
                self.trust = Trust::Stopped;
                return false;
            }
            Trust::Jumps | Trust::OnlyNext => {}
        }
        self.next.is_none_or(|next| offset >= next)
    }

    /// The client has passed over messages of some partition.
    pub(super) fn doubt(&mut self) {
        if self.trust == Trust::Jumps {
            self.trust = Trust::OnlyNext;
        }
    }

    /// The position to commit, with the one it replaces; `None` where nothing moved.
    pub(super) fn moved(&self) -> Option<(Position, Option<u64>)> {
        let next = self.next.filter(|next| Some(*next) != self.base)?;
        let position = Position {
            object: self.partition.object(),
            incarnation: self.incarnation.clone(),
            records: next,
            done: false,
            notes: String::new(),
        };
        Some((position, self.base))
    }

    /// After what was taken since the last commit was thrown away: no commit may move the position past it.
    pub(super) fn roll_back(&mut self) {
        self.next = self.base;
        self.gap = None;
    }

    /// After the commit.
    pub(super) fn committed(&mut self) {
        self.base = self.next.or(self.base);
        self.gap = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(stored: Option<u64>, broker: Option<(u64, u64)>) -> Tracked {
        let partition = TopicPartition { topic: "trail".to_owned(), partition: 3 };
        let position = stored.map(|records| Position {
            object: partition.object(),
            incarnation: "4".to_owned(),
            records,
            done: false,
            notes: String::new(),
        });
        Tracked::begin(partition, position, broker.map(|(low, high)| Watermarks { low, high }))
    }

    #[test]
    fn the_lake_says_where_to_go_on() {
        assert_eq!(
            begin(None, Some((5, 9))).next,
            None,
            "a partition the lake does not know is read from its start"
        );
        for broker in [None, Some((0, 100)), Some((70, 70)), Some((0, 70))] {
            let tracked = begin(Some(70), broker);
            assert_eq!(
                (tracked.base, tracked.next, tracked.gap.is_some()),
                (Some(70), Some(70), false),
                "{broker:?}"
            );
            assert!(tracked.moved().is_none());
        }
    }

    #[test]
    fn in_doubt_only_the_very_next_message_is_taken() {
        let mut tracked = begin(Some(70), Some((0, 100)));
        assert!(
            tracked.takes(75) && !tracked.takes(69),
            "jumps are ordinary, repetitions are known"
        );
        tracked.doubt();
        assert!(tracked.takes(70) && !tracked.takes(69));
        assert!(!tracked.takes(72) && !tracked.takes(70), "a jump stops it");
        let mut unseen = begin(None, None);
        unseen.doubt();
        assert!(!unseen.takes(0), "nobody knows where it begins");
    }

    #[test]
    fn nothing_moves_for_what_was_thrown_away() {
        for stored in [None, Some(70)] {
            let mut tracked = begin(stored, Some((0, 100)));
            tracked.next = Some(95);
            assert!(tracked.moved().is_some());
            tracked.roll_back();
            assert!(tracked.moved().is_none());
        }
    }

    #[test]
    fn what_the_broker_has_dropped_is_a_gap() {
        let tracked = begin(Some(70), Some((90, 200)));
        let gap = tracked.gap.clone().expect("a gap");
        assert_eq!((gap.from, gap.to, gap.reason), (70, 90, "ingest_gap"));
        assert_eq!(
            tracked.moved().map(|(position, base)| (position.records, base)),
            Some((90, Some(70)))
        );
    }

    #[test]
    fn offsets_that_went_back_begin_a_new_incarnation() {
        let tracked = begin(Some(70), Some((0, 12)));
        assert_eq!(
            (tracked.incarnation.as_str(), tracked.base, tracked.next),
            ("5", None, Some(0))
        );
        assert_eq!(tracked.gap.map(|gap| gap.reason), Some("source_reset"));
    }
}
