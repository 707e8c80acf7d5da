//! The engine: the one thread of a live ingest, which owns everything that is not committed.
//!
//! It repeats one cycle: read a little from every source, answer changes of the consumer groups, commit when a commit is
//! due. A commit replaces the positions of the sources in the same transaction that adds the records. For example, with a
//! topic whose lake position is 70:
//!
//! ```text
//! read     messages 70 to 94       staged, not visible to anybody
//! commit   position 70 -> 95       records and position become visible together
//! read     messages 95 to 99       staged
//! commit   fails (disk full)       staged records are discarded, reading continues at 95
//! ```
//!
//! Every failure is handled like the last line, whether the disk is full, the lock was lost or another writer has moved a
//! position. A start after a crash is the same case. So no record is lost, and none is stored twice.

use super::follow::BucketFeed;
use super::objects::BucketReader;
use super::options::{CommitSummary, LiveError, LiveOptions, Observer};
use super::topics::{POLL_TIMEOUT, TopicReader};
use super::uncommitted::Uncommitted;
use crate::dedup::DedupIndex;
use crate::fact_counts::SourceFacts;
use crate::lake::{CatalogError, Commit, Lake};
use crate::ledger::Ledger;
use crate::source::kafka::{AssignmentChange, KafkaSource};
use crate::supervisor::Pulse;
use rdkafka::error::KafkaError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// First and longest pause after a commit that failed.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// Free disk space, in bytes, that is required before reading continues after a failed commit.
const PROBE_BYTES: usize = 8 << 20;

/// Runs the engine until `stop` is set, then commits what was read.
pub(super) fn run(
    lake: &Lake,
    runtime: &Handle,
    options: &LiveOptions,
    buckets: Vec<BucketFeed>,
    observer: &dyn Observer,
    stop: &AtomicBool,
    pulse: &Pulse,
) -> Result<(), LiveError> {
    let dedup = DedupIndex::new(runtime.clone(), lake, options.keys_max)?;
    let mut topics = Vec::new();
    for kafka in &options.kafka {
        let wrong = |e: KafkaError| LiveError::Settings {
            source_name: kafka.name.clone(),
            reason: e.to_string(),
        };
        topics.push(TopicReader::new(KafkaSource::connect(kafka).map_err(wrong)?));
    }
    let mut engine = Engine {
        lake,
        runtime,
        options,
        observer,
        dedup: &dedup,
        stop,
        pulse,
        topics,
        buckets: buckets.into_iter().map(BucketReader::new).collect(),
        uncommitted: Uncommitted::new(lake, &dedup, options),
        retry_pause: RETRY_PAUSE.0,
        positions_unreadable: false,
    };
    while !stop.load(Ordering::Relaxed) {
        engine.run_cycle();
    }
    if !engine.uncommitted.is_empty() {
        engine.flush();
    }
    Ok(())
}

struct Engine<'s> {
    lake: &'s Lake,
    runtime: &'s Handle,
    options: &'s LiveOptions,
    observer: &'s dyn Observer,
    dedup: &'s DedupIndex,
    stop: &'s AtomicBool,
    pulse: &'s Pulse,
    topics: Vec<TopicReader>,
    buckets: Vec<BucketReader>,
    uncommitted: Uncommitted<'s>,
    /// Pause after the next commit that fails; longer after each.
    retry_pause: Duration,
    /// The lake's positions could not be read.
    positions_unreadable: bool,
}

impl Engine<'_> {
    /// Reads from every source, answers assignment changes, and commits if a commit is due.
    #[expect(
        clippy::disallowed_methods,
        reason = "the engine has a thread of its own and polls a stop flag"
    )]
    fn run_cycle(&mut self) {
        self.observer.alive();
        self.pulse.worked();
        if self.topics.is_empty() {
            // Topics wait for messages; buckets do not wait.
            std::thread::sleep(POLL_TIMEOUT);
        }
        for at in 0..self.topics.len() {
            if let Err(error) = self.topics[at].read(&mut self.uncommitted, self.observer) {
                self.start_over(&error);
            }
        }
        for at in 0..self.buckets.len() {
            if let Err(error) = self.buckets[at].read(&mut self.uncommitted) {
                self.start_over(&error);
            }
        }
        for at in 0..self.topics.len() {
            self.answer_assignment_changes(at);
        }
        // Positions are read from the lake, so what is staged must be committed before.
        let resume = self.topics.iter().any(TopicReader::needs_resume);
        if (resume && !self.uncommitted.is_empty()) || self.uncommitted.is_due() {
            self.flush();
        }
        for at in 0..self.topics.len() {
            if self.topics[at].needs_resume() {
                self.resume(at);
            }
        }
    }

    /// Answers the group's changes for a topic. What was read of revoked partitions is committed before they are given up.
    fn answer_assignment_changes(&mut self, at: usize) {
        while let Some(change) = self.topics[at].next_assignment_change() {
            match change {
                AssignmentChange::Assigned(partitions) => {
                    self.topics[at].assigned(partitions);
                    self.resume(at);
                }
                AssignmentChange::Revoked(partitions) => {
                    let (source, count) = (self.topics[at].name(), partitions.len());
                    tracing::info!(source, count, "partitions revoked");
                    if !self.uncommitted.is_empty() {
                        self.flush();
                    }
                    self.topics[at].revoked(self.observer);
                }
            }
        }
    }

    /// Resumes a topic from the lake's positions. Where they cannot be read, the next cycle tries again.
    #[expect(
        clippy::disallowed_methods,
        reason = "the engine has a thread of its own, and a retry is paced"
    )]
    fn resume(&mut self, at: usize) {
        let mut positions = Vec::new();
        for partition in self.topics[at].partitions() {
            let object = partition.object();
            let position = self.lake.position(self.topics[at].name(), &object);
            match self.runtime.block_on(position) {
                Ok(position) => {
                    self.positions_read();
                    positions.push((partition, position));
                }
                Err(error) => {
                    self.positions_unreadable = true;
                    self.observer.stalled(Some(&error.to_string()));
                    std::thread::sleep(RETRY_PAUSE.0);
                    return;
                }
            }
        }
        self.topics[at].resume(positions, &mut self.uncommitted, self.observer);
    }

    /// The lake's positions could be read. A stall for another reason ends with the next commit.
    fn positions_read(&mut self) {
        if std::mem::take(&mut self.positions_unreadable) && self.retry_pause == RETRY_PAUSE.0 {
            self.observer.stalled(None);
        }
    }

    /// Commits all staged records. If the commit fails, discards them and resumes from the lake's
    /// positions.
    fn flush(&mut self) {
        let begun = Instant::now();
        let waited = self.uncommitted.waited();
        match self.commit() {
            Ok((snapshot, ledger, facts)) => {
                self.topics.iter_mut().for_each(TopicReader::committed);
                self.buckets.iter_mut().for_each(BucketReader::committed);
                self.uncommitted.committed();
                if std::mem::replace(&mut self.retry_pause, RETRY_PAUSE.0) != RETRY_PAUSE.0 {
                    self.observer.stalled(None);
                }
                let now = (self.options.clock)();
                let lagging = self.topics.iter().filter(|topic| topic.lag() > 0);
                self.observer.committed(&CommitSummary {
                    snapshot,
                    ledger,
                    facts,
                    took: begun.elapsed(),
                    waited,
                    lag: self.topics.iter().map(TopicReader::lag).sum(),
                    behind: lagging.map(|topic| topic.behind(now)).max().unwrap_or_default(),
                });
            }
            Err(error) => self.start_over(&error),
        }
    }

    fn commit(&mut self) -> Result<(i64, Ledger, SourceFacts), CatalogError> {
        let now = (self.options.clock)();
        let staged = self.uncommitted.finish_files(now)?;
        let topics = self.topics.iter().map(TopicReader::commit_part);
        let parts = topics.chain(self.buckets.iter().map(BucketReader::commit_part));
        let sources: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        let mut ledger = Ledger::default();
        sources.iter().for_each(|part| ledger += part.ledger);
        let snapshot =
            self.dedup.commit(self.lake, &Commit { files: staged.files, sources }, now)?;
        Ok((snapshot, ledger, staged.facts))
    }

    /// Discards everything uncommitted, waits until the lake can be written, and continues from its positions.
    fn start_over(&mut self, error: &CatalogError) {
        self.uncommitted.discard();
        self.dedup.clear();
        self.topics.iter_mut().for_each(TopicReader::roll_back);
        self.buckets.iter_mut().for_each(BucketReader::roll_back);
        match error {
            CatalogError::Conflict { what } => self.observer.refused(what),
            _ => {
                self.observer.stalled(Some(&error.to_string()));
                self.wait_until_writable();
            }
        }
    }

    /// Waits until the lake's disk accepts files again, without leaving the consumer groups.
    #[expect(
        clippy::disallowed_methods,
        reason = "the engine has a thread of its own and polls a stop flag"
    )]
    fn wait_until_writable(&mut self) {
        self.topics.iter().for_each(|topic| topic.pause(true));
        loop {
            let until = Instant::now() + self.retry_pause;
            self.retry_pause = (self.retry_pause * 2).min(RETRY_PAUSE.1);
            while Instant::now() < until && !self.stop.load(Ordering::Relaxed) {
                self.observer.alive();
                self.pulse.alive();
                std::thread::sleep(POLL_TIMEOUT);
                self.topics.iter().for_each(TopicReader::keep_membership);
            }
            match self.lake.probe(PROBE_BYTES) {
                Err(error) if !self.stop.load(Ordering::Relaxed) => {
                    self.observer.stalled(Some(&error.to_string()))
                }
                _ => break,
            }
        }
        self.topics.iter().for_each(|topic| topic.pause(false));
    }
}
