//! Reads the messages of a topic's partitions, as a member of a consumer group.

use super::options::Observer;
use super::partition::PartitionCursor;
use super::uncommitted::Uncommitted;
use crate::lake::{CatalogError, Position, SourceCommit};
use crate::ledger::Ledger;
use crate::source::kafka::{
    AssignmentChange, KafkaSource, TopicPartition, Watermarks, is_connection_error, skips_messages,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use std::time::{Duration, Instant};

/// Longest wait of a poll for its first message.
pub(super) const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// Messages read from one source before the next source is read.
const MESSAGES_PER_READ: usize = 1024;

/// First and longest pause before unreadable messages are read again. Messages damaged in transit
/// are intact at the second read. For messages damaged at the broker, the error is reported until
/// an operator repairs them.
const REREAD_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Shortest time without another error after which messages that were read again count as intact.
const REREAD_CONFIRMED_AFTER: Duration = Duration::from_secs(5);

/// The reader of one Kafka source.
pub(super) struct TopicReader {
    source: KafkaSource,
    cursors: Vec<PartitionCursor>,
    /// Records read since the last commit, by outcome.
    ledger: Ledger,
    error: Option<ReportedError>,
    unreadable: Option<UnreadableMessages>,
    /// Send time of the newest message read, in microseconds since 1970 UTC; `None` if the broker
    /// does not report it.
    newest: Option<i64>,
    /// The partitions must be resumed from the lake's positions before anything is read.
    needs_resume: bool,
}

/// An error of the source that was reported to the observer.
struct ReportedError {
    text: String,
    since: Instant,
    /// The error ends when a broker is reached again. Other errors end with the next message or assignment.
    is_connection: bool,
}

/// Messages that the client could not read and has skipped.
struct UnreadableMessages {
    /// When they are read again; then, when they count as intact.
    next_step_at: Instant,
    /// Doubles each time they cannot be read again.
    pause: Duration,
    /// They are being read again, and no error was reported since.
    being_reread: bool,
}

impl TopicReader {
    pub(super) fn new(source: KafkaSource) -> Self {
        Self {
            source,
            cursors: Vec::new(),
            ledger: Ledger::default(),
            error: None,
            unreadable: None,
            newest: None,
            needs_resume: false,
        }
    }

    /// Name of the source.
    pub(super) fn name(&self) -> &str {
        &self.source.name
    }

    pub(super) fn needs_resume(&self) -> bool {
        self.needs_resume
    }

    /// The partitions assigned to this reader.
    pub(super) fn partitions(&self) -> Vec<TopicPartition> {
        self.cursors.iter().map(|cursor| cursor.partition.clone()).collect()
    }

    /// Messages that the broker holds beyond the committed ones, as far as it reports them.
    pub(super) fn lag(&self) -> u64 {
        let behind = |cursor: &PartitionCursor| {
            let high = self.source.last_high(&cursor.partition)?;
            Some(high.saturating_sub(cursor.committed?))
        };
        self.cursors.iter().filter_map(behind).sum()
    }

    /// Age of the newest message read. `now` is in microseconds since 1970 UTC.
    pub(super) fn behind(&self, now: i64) -> Duration {
        self.newest.map_or(Duration::ZERO, |sent| {
            Duration::from_micros(now.saturating_sub(sent).max(0).unsigned_abs())
        })
    }

    /// This source's part of the next commit.
    pub(super) fn commit_part(&self) -> SourceCommit {
        SourceCommit {
            source: self.source.name.clone(),
            positions: self.cursors.iter().filter_map(PartitionCursor::moved_position).collect(),
            gaps: self.cursors.iter().filter_map(|cursor| cursor.gap.clone()).collect(),
            ledger: self.ledger,
        }
    }

    /// Clears the record counts and gaps after a commit, and sends the committed offsets to the
    /// broker.
    pub(super) fn committed(&mut self) {
        self.ledger = Ledger::default();
        let mut offsets = Vec::new();
        for cursor in &mut self.cursors {
            cursor.committed();
            offsets.extend(cursor.committed.map(|offset| (cursor.partition.clone(), offset)));
        }
        self.source.publish_offsets(&offsets);
    }

    /// Resets the cursors to the lake's positions, after the uncommitted records were discarded.
    pub(super) fn roll_back(&mut self) {
        self.ledger = Ledger::default();
        self.cursors.iter_mut().for_each(PartitionCursor::roll_back);
        self.needs_resume = true;
    }

    /// Stops or resumes fetching without leaving the group.
    pub(super) fn pause(&self, pause: bool) {
        self.source.pause(pause);
    }

    /// Keeps the membership in the group alive while fetching is paused.
    pub(super) fn keep_membership(&self) {
        // A message that was fetched before the pause is read again after it.
        let _ = self.source.poll(Duration::ZERO);
    }

    /// The next assignment change that the group has announced.
    pub(super) fn next_assignment_change(&self) -> Option<AssignmentChange> {
        self.source.next_assignment_change()
    }

    /// Reads some messages into `uncommitted`.
    pub(super) fn read(
        &mut self,
        uncommitted: &mut Uncommitted<'_>,
        observer: &dyn Observer,
    ) -> Result<(), CatalogError> {
        // Until the partitions are resumed, the client still returns messages that follow discarded ones.
        if self.needs_resume {
            return Ok(());
        }
        if self.unreadable_messages_are_intact() {
            self.clear_error(observer);
        }
        for taken in 0..MESSAGES_PER_READ {
            let wait = if taken == 0 { POLL_TIMEOUT } else { Duration::ZERO };
            match self.source.poll(wait) {
                None => {
                    self.clear_connection_error(observer);
                    return Ok(());
                }
                Some(Ok(message)) => {
                    let Some(cursor) = accepting(&mut self.cursors, &message) else { continue };
                    self.ledger +=
                        uncommitted.add_message(&self.source.name, &cursor.partition, &message)?;
                    cursor.next = Some(offset(&message) + 1);
                    self.newest = self.newest.max(sent_at(&message));
                    drop(message);
                    self.clear_error(observer);
                    if uncommitted.is_full() {
                        return Ok(());
                    }
                }
                Some(Err(error)) => {
                    self.handle_error(&error, observer);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes over `partitions`; they must be resumed before they are read.
    pub(super) fn assigned(&mut self, partitions: Vec<TopicPartition>) {
        self.cursors = partitions
            .into_iter()
            .map(|partition| PartitionCursor::resume(partition, None, None))
            .collect();
        self.needs_resume = true;
    }

    /// Gives all partitions up. What was read of them must be committed or discarded before.
    pub(super) fn revoked(&mut self, observer: &dyn Observer) {
        self.cursors.clear();
        (self.needs_resume, self.unreadable) = (false, None);
        if let Err(error) = self.source.unassign() {
            self.handle_error(&error, observer);
        }
    }

    /// Resumes the partitions from the lake's `positions`.
    pub(super) fn resume(
        &mut self,
        positions: Vec<(TopicPartition, Option<Position>)>,
        uncommitted: &mut Uncommitted<'_>,
        observer: &dyn Observer,
    ) {
        self.needs_resume = false;
        let mut cursors = Vec::with_capacity(positions.len());
        for (partition, position) in positions {
            let broker = position.as_ref().and_then(|_| self.watermarks(&partition));
            let cursor = PartitionCursor::resume(partition, position, broker);
            if let Some(gap) = &cursor.gap {
                observer.gap(&self.source.name, &gap.object, gap.from, gap.to, gap.reason);
                uncommitted.add_gap();
            }
            cursors.push(cursor);
        }
        let offsets: Vec<_> =
            cursors.iter().map(|cursor| (cursor.partition.clone(), cursor.next)).collect();
        self.cursors = cursors;
        tracing::info!(
            source = self.source.name,
            partitions = offsets.len(),
            "reading continues from the lake's positions"
        );
        match self.source.assign(&offsets) {
            Ok(()) if self.unreadable.is_none() => {
                self.error = None;
                observer.source(&self.source.name, None);
            }
            Ok(()) => {}
            Err(error) => self.handle_error(&error, observer),
        }
    }

    fn watermarks(&self, partition: &TopicPartition) -> Option<Watermarks> {
        match self.source.watermarks(partition) {
            Ok(watermarks) => Some(watermarks),
            Err(error) => {
                tracing::warn!(%error, source = self.source.name, "the broker did not report its first and last offset; reading continues without them");
                None
            }
        }
    }

    /// Reports an error of the client, and decides what has to be read again.
    fn handle_error(&mut self, error: &KafkaError, observer: &dyn Observer) {
        let code = error.rdkafka_error_code();
        if matches!(
            code,
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
        ) {
            self.needs_resume = true;
        }
        if code.is_some_and(skips_messages) {
            self.messages_were_skipped();
        }
        let text = error.to_string();
        if self.error.as_ref().is_none_or(|reported| reported.text != text) {
            observer.source(&self.source.name, Some(&text));
        }
        self.error = Some(ReportedError {
            text,
            since: Instant::now(),
            is_connection: code.is_some_and(is_connection_error),
        });
    }

    /// Ends the reported error after a message was read. It stays while messages are unreadable: messages of other
    /// partitions do not make up for them.
    fn clear_error(&mut self, observer: &dyn Observer) {
        if self.unreadable.is_none() && self.error.take().is_some() {
            observer.source(&self.source.name, None);
        }
    }

    /// Ends a reported connection error when a broker is reached again, even if the topic has no new messages.
    fn clear_connection_error(&mut self, observer: &dyn Observer) {
        let is_over =
            |error: &ReportedError| error.is_connection && self.source.connected_since(error.since);
        if self.error.as_ref().is_some_and(is_over) {
            self.error = None;
            observer.source(&self.source.name, None);
        }
    }

    /// Handles unreadable messages that the client has skipped. The client does not report the
    /// partition, so every partition checks its offsets. The messages are read again after a pause.
    fn messages_were_skipped(&mut self) {
        self.cursors.iter_mut().for_each(PartitionCursor::require_contiguous);
        let pause = match &self.unreadable {
            Some(unreadable) if unreadable.being_reread => {
                (unreadable.pause * 2).min(REREAD_PAUSE.1)
            }
            Some(_) => return,
            None => REREAD_PAUSE.0,
        };
        self.unreadable = Some(UnreadableMessages {
            next_step_at: Instant::now() + pause,
            pause,
            being_reread: false,
        });
    }

    /// Starts to read unreadable messages again after their pause. True where they were read again without an error.
    fn unreadable_messages_are_intact(&mut self) -> bool {
        let now = Instant::now();
        let Some(unreadable) = self.unreadable.as_mut().filter(|it| it.next_step_at <= now) else {
            return false;
        };
        if unreadable.being_reread {
            self.unreadable = None;
            return true;
        }
        unreadable.being_reread = true;
        unreadable.next_step_at = now + unreadable.pause.max(REREAD_CONFIRMED_AFTER);
        self.needs_resume = true;
        false
    }
}

/// The cursor of the message's partition. `None` where the partition was revoked or the message is not to be taken.
fn accepting<'c>(
    cursors: &'c mut [PartitionCursor],
    message: &BorrowedMessage<'_>,
) -> Option<&'c mut PartitionCursor> {
    let is_its = |cursor: &&mut PartitionCursor| {
        cursor.partition.partition == message.partition()
            && cursor.partition.topic == message.topic()
    };
    let cursor = cursors.iter_mut().find(is_its)?;
    cursor.accepts(offset(message)).then_some(cursor)
}

fn offset(message: &BorrowedMessage<'_>) -> u64 {
    message.offset().max(0).unsigned_abs()
}

/// When the message was sent, microseconds since 1970 UTC.
fn sent_at(message: &BorrowedMessage<'_>) -> Option<i64> {
    message.timestamp().to_millis().map(|millis| millis.saturating_mul(1000))
}
