//! The records that were read since the last commit: staging area, age and count.

use super::options::LiveOptions;
use super::staging_sink::StagingSink;
use crate::batch::Provenance;
use crate::decode::{self, Completeness, DecodeStopped, MessageDecoder, RecordSink};
use crate::dedup::DedupIndex;
use crate::lake::{CatalogError, Lake};
use crate::ledger::Ledger;
use crate::source::kafka::TopicPartition;
use crate::source::oss::{FetchedObject, ObjectContent};
use crate::staging::{StagedFiles, Staging};
use md5::{Digest, Md5};
use rdkafka::message::{BorrowedMessage, Message};
use std::time::{Duration, Instant};
use trailhound_datasets::layout::DAY_MICROS;

/// After this time without a record the sources are idle, and what is staged is committed at once.
const IDLE_AFTER: Duration = Duration::from_millis(100);

/// Everything that was read and is not committed.
pub(super) struct Uncommitted<'s> {
    options: &'s LiveOptions,
    staging: Staging<'s>,
    decoder: MessageDecoder,
    /// When the first uncommitted record was read, or the first gap was found.
    since: Option<Instant>,
    last_record: Instant,
    /// Records read since the last commit.
    records: u64,
}

impl<'s> Uncommitted<'s> {
    pub(super) fn new(lake: &'s Lake, dedup: &'s DedupIndex, options: &'s LiveOptions) -> Self {
        Self {
            options,
            staging: Staging::new(lake, dedup),
            decoder: MessageDecoder::new(options.limits.clone()),
            since: None,
            last_record: Instant::now(),
            records: 0,
        }
    }

    /// True where there is nothing to commit.
    pub(super) fn is_empty(&self) -> bool {
        self.since.is_none()
    }

    /// Time since the first uncommitted record was read.
    pub(super) fn waited(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// True where no more records should be read before a commit.
    pub(super) fn is_full(&self) -> bool {
        self.records >= self.options.flush_rows_max || self.staging.is_full()
    }

    /// True where a commit is due: by age, number of records or memory, or because the sources are idle.
    pub(super) fn is_due(&self) -> bool {
        self.since.is_some_and(|since| {
            self.is_full()
                || since.elapsed() >= self.options.flush_age_max
                || self.last_record.elapsed() >= IDLE_AFTER
        })
    }

    /// Makes a commit due for a gap, even if no record follows.
    pub(super) fn add_gap(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// Decodes and stages a message of `partition`. Returns its records by outcome.
    pub(super) fn add_message(
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
        let oldest = self.oldest();
        let mut sink = StagingSink::message(&mut self.staging, from, oldest);
        let end = self.decoder.decode(message.payload(), &mut sink);
        let (ledger, failed) = (sink.ledger, sink.failed);
        self.count(ledger.received);
        if let Some(error) = failed.or(end.err().and_then(fault_of)) {
            return Err(error);
        }
        Ok(ledger)
    }

    /// Decodes and stages an object. Returns its records by outcome, and notes about it.
    pub(super) fn add_object(
        &mut self,
        source: &str,
        object: &FetchedObject,
    ) -> Result<(Ledger, Vec<String>), CatalogError> {
        let now = (self.options.clock)();
        let oldest = self.oldest();
        let from = Provenance {
            source,
            object: &object.key,
            partition: None,
            record: 0,
            ingested_at: now,
        };
        let mut sink = StagingSink::object(&mut self.staging, from, oldest);
        let account = object.name.as_ref().and_then(|name| name.account_id.as_deref());
        let end = match &object.content {
            ObjectContent::Whole(content) => {
                decode::object(content.as_ref(), account, &self.options.limits, &mut sink)
            }
            ObjectContent::TooLarge(reject) => sink
                .reject(reject.clone())
                .map(|()| Completeness::Complete)
                .map_err(DecodeStopped::from),
        };
        let (ledger, failed, mut notes) = (sink.ledger, sink.failed, sink.notes);
        if let Some(error) = failed {
            return Err(error);
        }
        match end {
            Ok(Completeness::Complete) => {}
            Ok(Completeness::Partial) => notes.push(decode::PARTIAL_NOTE.to_owned()),
            Err(stopped) => fault_of(stopped).map_or(Ok(()), Err)?,
        }
        if let (Some(name), ObjectContent::Whole(content)) = (&object.name, &object.content) {
            let md5 = format!("{:x}", Md5::digest(content));
            notes.extend(name.mismatches(ledger.received, Some(content.len() as u64), Some(&md5)));
        }
        self.count(ledger.received);
        Ok((ledger, notes))
    }

    /// Finishes the files of the next commit. `now` is in microseconds since 1970 UTC.
    pub(super) fn finish_files(&mut self, now: i64) -> Result<StagedFiles, CatalogError> {
        self.staging.finish(now)
    }

    /// Starts over after a commit.
    pub(super) fn committed(&mut self) {
        (self.since, self.records) = (None, 0);
    }

    /// Discards everything, files included.
    pub(super) fn discard(&mut self) {
        self.staging.discard();
        (self.since, self.records) = (None, 0);
    }

    fn count(&mut self, records: u64) {
        self.records += records;
        self.last_record = Instant::now();
        self.since.get_or_insert(self.last_record);
    }

    /// Events with a time before this have expired; microseconds since 1970 UTC. While the time is not confirmed none has: what is
    /// stored can be dropped later, and what is left out is lost.
    fn oldest(&self) -> Option<i64> {
        let days = self.options.retention_days?;
        let now = self.options.checked_clock.confirmed_now()?;
        Some(now.saturating_sub(i64::from(days) * DAY_MICROS))
    }
}

/// The fault of this machine that stopped the decoder. Nothing of the object or message may be committed then: it is read
/// again. `None` where the sink stopped it, which keeps the reason itself.
fn fault_of(stopped: DecodeStopped) -> Option<CatalogError> {
    match stopped {
        DecodeStopped::Sink(_) => None,
        DecodeStopped::Fault(fault) => {
            Some(CatalogError::File { path: std::env::temp_dir(), source: fault.error })
        }
    }
}
