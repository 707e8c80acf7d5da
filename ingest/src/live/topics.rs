//! Topics as the engine sees them: takes messages, answers changes of the group, reads on where the lake is.

use super::engine::{Engine, POLL};
use super::intake::Intake;
use super::objects::Objects;
use super::partition::Tracked;
use crate::batch::Provenance;
use crate::lake::{CatalogError, Position, SourceCommit};
use crate::ledger::Ledger;
use crate::source::kafka::{
    Change, KafkaSource, TopicPartition, Watermarks, is_connection_trouble, passes_over_messages,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use std::time::{Duration, Instant};

/// Messages taken from one source before the next has its turn.
const MESSAGES_A_TURN: usize = 1024;

/// After messages that cannot be read, their partition is read again: the first and the longest pause before it. What was damaged
/// on its way is whole then, what is damaged at the broker is told until somebody mends it.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Whatever the pause, messages read again are given this time to turn out damaged again.
const AGAIN_TOLD_WITHIN: Duration = Duration::from_secs(5);

/// A member of a group with what it is reading.
pub(super) struct Member {
    pub(super) source: KafkaSource,
    tracked: Vec<Tracked>,
    /// Records taken since the last commit.
    ledger: Ledger,
    trouble: Option<Trouble>,
    damage: Option<Damage>,
    /// When the newest message taken was sent, microseconds UTC, where the broker says so.
    newest: Option<i64>,
    /// The partitions must be taken up again from the lake's positions.
    pub(super) reread: bool,
}

/// Messages that the client could not read and passed over.
struct Damage {
    /// When they are read again.
    again_at: Instant,
    /// Doubled each time they cannot be read again.
    pause: Duration,
    /// They are being read again, and nothing was said of them yet.
    is_tried: bool,
}

struct Trouble {
    text: String,
    since: Instant,
    /// Over as soon as a broker is reached again; other troubles end with the next message or assignment.
    is_connection: bool,
}

impl Member {
    pub(super) fn new(source: KafkaSource) -> Self {
        Self {
            source,
            tracked: Vec::new(),
            ledger: Ledger::default(),
            trouble: None,
            damage: None,
            newest: None,
            reread: false,
        }
    }

    /// Messages the broker holds beyond what is stored, as far as it has told.
    pub(super) fn lag(&self) -> u64 {
        let behind = |tracked: &Tracked| {
            let high = self.source.last_high(&tracked.partition)?;
            Some(high.saturating_sub(tracked.base?))
        };
        self.tracked.iter().filter_map(behind).sum()
    }

    /// How old the newest message taken is at `now`.
    pub(super) fn behind(&self, now: i64) -> Duration {
        self.newest.map_or(Duration::ZERO, |sent| {
            Duration::from_micros(now.saturating_sub(sent).max(0).unsigned_abs())
        })
    }

    /// What the next commit says of this source.
    pub(super) fn part(&self) -> SourceCommit {
        SourceCommit {
            source: self.source.name.clone(),
            positions: self.tracked.iter().filter_map(Tracked::moved).collect(),
            gaps: self.tracked.iter().filter_map(|tracked| tracked.gap.clone()).collect(),
            ledger: self.ledger,
        }
    }

    /// After a commit.
    pub(super) fn committed(&mut self) {
        self.ledger = Ledger::default();
        let mut told = Vec::new();
        for tracked in &mut self.tracked {
            tracked.committed();
            told.extend(tracked.base.map(|base| (tracked.partition.clone(), base)));
        }
        self.source.tell_lag(&told);
    }

    /// After everything staged was thrown away.
    pub(super) fn roll_back(&mut self) {
        self.ledger = Ledger::default();
        self.tracked.iter_mut().for_each(Tracked::roll_back);
        self.reread = true;
    }

    /// The client has passed over messages of some partition: it does not tell of which.
    fn damaged(&mut self) {
        self.tracked.iter_mut().for_each(Tracked::doubt);
        let pause = match &self.damage {
            Some(damage) if damage.is_tried => (damage.pause * 2).min(AGAIN.1),
            Some(_) => return,
            None => AGAIN.0,
        };
        self.damage = Some(Damage { again_at: Instant::now() + pause, pause, is_tried: false });
    }

    /// Reads damaged messages again when it is time; true where nothing has been said of them for as long since.
    fn is_mended(&mut self) -> bool {
        let Some(damage) = self.damage.as_mut().filter(|damage| damage.again_at <= Instant::now())
        else {
            return false;
        };
        if damage.is_tried {
            self.damage = None;
            return true;
        }
        damage.is_tried = true;
        damage.again_at = Instant::now() + damage.pause.max(AGAIN_TOLD_WITHIN);
        self.reread = true;
        false
    }
}

/// The partition `message` is of, unless it was given away since or the message is not to be taken.
fn taking<'t>(
    tracked: &'t mut [Tracked],
    message: &BorrowedMessage<'_>,
) -> Option<&'t mut Tracked> {
    let is_its = |t: &&mut Tracked| {
        t.partition.partition == message.partition() && t.partition.topic == message.topic()
    };
    let tracked = tracked.iter_mut().find(is_its)?;
    tracked.takes(offset(message)).then_some(tracked)
}

fn offset(message: &BorrowedMessage<'_>) -> u64 {
    message.offset().max(0).unsigned_abs()
}

impl Engine<'_> {
    /// Takes some messages of one source.
    pub(super) fn turn(&mut self, member: &mut Member) -> Result<(), CatalogError> {
        // Until its partitions are taken up again, the client still gives what comes after messages that were thrown away.
        if member.reread {
            return Ok(());
        }
        if member.is_mended() {
            self.well(member);
        }
        for taken in 0..MESSAGES_A_TURN {
            let wait = if taken == 0 { POLL } else { Duration::ZERO };
            match member.source.poll(wait) {
                None => {
                    self.reached_again(member);
                    return Ok(());
                }
                Some(Ok(message)) => {
                    let Some(tracked) = taking(&mut member.tracked, &message) else { continue };
                    let ledger = self.take(&member.source.name, &tracked.partition, &message)?;
                    tracked.next = Some(offset(&message) + 1);
                    member.newest = message
                        .timestamp()
                        .to_millis()
                        .map(|millis| millis.saturating_mul(1000))
                        .max(member.newest);
                    member.ledger += ledger;
                    self.well(member);
                    if self.rows >= self.options.flush_rows_max || self.staging.is_full() {
                        return Ok(());
                    }
                }
                Some(Err(error)) => {
                    self.trouble(member, &error);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        source: &str,
        partition: &TopicPartition,
        message: &BorrowedMessage<'_>,
    ) -> Result<Ledger, CatalogError> {
        let now = (self.options.clock)();
        let from = Provenance {
            source,
            object: &partition.topic,
            partition: Some(i64::from(partition.partition)),
            record: message.offset(),
            ingested_at: now,
        };
        let oldest = self.oldest(now);
        let mut intake = Intake::message(&mut self.staging, from, oldest);
        let _ = self.messages.message(message.payload(), &mut intake);
        let (ledger, failed) = (intake.ledger, intake.failed);
        self.taken(ledger.received);
        failed.map_or(Ok(ledger), Err)
    }

    fn trouble(&mut self, member: &mut Member, error: &KafkaError) {
        let code = error.rdkafka_error_code();
        if matches!(
            code,
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
        ) {
            member.reread = true;
        }
        if code.is_some_and(passes_over_messages) {
            member.damaged();
        }
        let text = error.to_string();
        if member.trouble.as_ref().is_none_or(|trouble| trouble.text != text) {
            self.observer.source(&member.source.name, Some(&text));
        }
        member.trouble = Some(Trouble {
            text,
            since: Instant::now(),
            is_connection: code.is_some_and(is_connection_trouble),
        });
    }

    /// The source gives messages. Those of other partitions do not make up for some that cannot be read.
    fn well(&self, member: &mut Member) {
        if member.damage.is_none() && member.trouble.take().is_some() {
            self.observer.source(&member.source.name, None);
        }
    }

    /// A topic without new messages is well as soon as its broker is there again.
    fn reached_again(&mut self, member: &mut Member) {
        let over =
            |trouble: &Trouble| trouble.is_connection && member.source.reached_after(trouble.since);
        if member.trouble.as_ref().is_some_and(over) {
            member.trouble = None;
            self.observer.source(&member.source.name, None);
        }
    }

    /// Answers changes of the group. What is staged of revoked partitions is committed before they are given away.
    pub(super) fn changes(&mut self, members: &mut [Member], buckets: &mut [Objects], at: usize) {
        while let Some(change) = members[at].source.change() {
            match change {
                Change::Assigned(partitions) => {
                    members[at].tracked = partitions
                        .into_iter()
                        .map(|partition| Tracked::begin(partition, None, None))
                        .collect();
                    self.read_on(&mut members[at]);
                }
                Change::Revoked(partitions) => {
                    tracing::info!(
                        source = members[at].source.name,
                        count = partitions.len(),
                        "partitions given away"
                    );
                    if self.staged_since.is_some() {
                        self.flush(members, buckets);
                    }
                    let member = &mut members[at];
                    member.tracked.clear();
                    (member.reread, member.damage) = (false, None);
                    if let Err(error) = member.source.unassign() {
                        self.trouble(&mut members[at], &error);
                    }
                }
            }
        }
    }

    /// Takes up the member's partitions where the lake is.
    pub(super) fn read_on(&mut self, member: &mut Member) {
        member.reread = false;
        let mut tracked = Vec::with_capacity(member.tracked.len());
        for partition in member.tracked.iter().map(|tracked| tracked.partition.clone()) {
            let Some(position) = self.position(&member.source.name, &partition) else {
                member.reread = true;
                return;
            };
            let broker = position.as_ref().and_then(|_| watermarks(member, &partition));
            let begun = Tracked::begin(partition, position, broker);
            if let Some(gap) = &begun.gap {
                self.observer.gap(&member.source.name, &gap.object, gap.from, gap.to, gap.reason);
                // The gap is committed even if no message ever follows.
                self.staged_since.get_or_insert_with(Instant::now);
            }
            tracked.push(begun);
        }
        member.tracked = tracked;
        let from: Vec<_> = member
            .tracked
            .iter()
            .map(|tracked| (tracked.partition.clone(), tracked.next))
            .collect();
        tracing::info!(
            source = member.source.name,
            partitions = from.len(),
            "reading on where the lake is"
        );
        match member.source.assign(&from) {
            Ok(()) if member.damage.is_none() => {
                member.trouble = None;
                self.observer.source(&member.source.name, None);
            }
            Ok(()) => {}
            Err(error) => self.trouble(member, &error),
        }
    }

    /// The lake's position of `partition`; the outer `None` where the lake could not be asked.
    fn position(&mut self, source: &str, partition: &TopicPartition) -> Option<Option<Position>> {
        match self.runtime.block_on(self.lake.position(source, &partition.object())) {
            Ok(position) => {
                self.readable();
                Some(position)
            }
            Err(error) => {
                self.unreadable(&error);
                None
            }
        }
    }
}

fn watermarks(member: &Member, partition: &TopicPartition) -> Option<Watermarks> {
    match member.source.watermarks(partition) {
        Ok(watermarks) => Some(watermarks),
        Err(error) => {
            tracing::warn!(%error, source = member.source.name, "the broker does not say what it has; reading on all the same");
            None
        }
    }
}
