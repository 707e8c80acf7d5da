//! The one thread of a live ingest.

use super::follow::Followed;
use super::objects::Objects;
use super::topics::Member;
use super::{Committed, LiveError, LiveOptions, Observer};
use crate::decode::Messages;
use crate::dedup::DedupIndex;
use crate::lake::{CatalogError, Commit, Lake};
use crate::ledger::Ledger;
use crate::source::kafka::KafkaSource;
use crate::staging::Staging;
use rdkafka::error::KafkaError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use trailhound_datasets::layout::DAY_MICROS;

/// How long a poll waits for a first message.
pub(super) const POLL: Duration = Duration::from_millis(20);
/// With nothing new for this long the source is idle, and what is staged is committed at once.
const IDLE_AFTER: Duration = Duration::from_millis(100);
/// First and longest pause after a commit that failed.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// What must be free on the disk before reading goes on after a failed commit.
const PROBE_BYTES: usize = 8 << 20;

pub(super) fn run(
    lake: &Lake,
    runtime: &Handle,
    options: &LiveOptions,
    buckets: Vec<Followed>,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<(), LiveError> {
    let mut buckets: Vec<Objects> = buckets.into_iter().map(Objects::new).collect();
    let known = DedupIndex::new(runtime.clone(), lake, options.keys_max)?;
    let mut members = Vec::new();
    for kafka in &options.kafka {
        let wrong = |e: KafkaError| LiveError::Settings {
            source_name: kafka.name.clone(),
            reason: e.to_string(),
        };
        members.push(Member::new(KafkaSource::connect(kafka).map_err(wrong)?));
    }
    let mut engine = Engine {
        lake,
        runtime,
        options,
        observer,
        known: &known,
        stop,
        staging: Staging::new(lake, &known),
        messages: Messages::new(options.limits.clone()),
        staged_since: None,
        last_record: Instant::now(),
        rows: 0,
        retry_after: RETRY.0,
        unreadable: false,
    };
    while !stop.load(Ordering::Relaxed) {
        engine.round(&mut members, &mut buckets);
    }
    if engine.staged_since.is_some() {
        engine.flush(&mut members, &mut buckets);
    }
    Ok(())
}

pub(super) struct Engine<'s> {
    pub(super) lake: &'s Lake,
    pub(super) runtime: &'s Handle,
    pub(super) options: &'s LiveOptions,
    pub(super) observer: &'s dyn Observer,
    known: &'s DedupIndex,
    stop: &'s AtomicBool,
    pub(super) staging: Staging<'s>,
    pub(super) messages: Messages,
    /// When the first record not yet committed was taken.
    pub(super) staged_since: Option<Instant>,
    last_record: Instant,
    /// Records taken since the last commit.
    pub(super) rows: u64,
    /// Longer after each commit that failed.
    retry_after: Duration,
    /// The lake's positions could not be read.
    unreadable: bool,
}

impl Engine<'_> {
    fn round(&mut self, members: &mut [Member], buckets: &mut [Objects]) {
        self.observer.alive();
        if members.is_empty() {
            // A bucket has no poll of its own to wait in.
            std::thread::sleep(POLL);
        }
        for at in 0..members.len() {
            if let Err(error) = self.turn(&mut members[at]) {
                self.start_over(&error, members, buckets);
            }
        }
        for at in 0..buckets.len() {
            if let Err(error) = self.object(&mut buckets[at]) {
                self.start_over(&error, members, buckets);
            }
        }
        for at in 0..members.len() {
            self.changes(members, buckets, at);
        }
        // What is staged must be committed before positions are read again: they would be those before it.
        let reread = members.iter().any(|member| member.reread) && self.staged_since.is_some();
        if reread || self.is_due() {
            self.flush(members, buckets);
        }
        for member in members.iter_mut().filter(|member| member.reread) {
            self.read_on(member);
        }
    }

    /// Counts records that were staged.
    pub(super) fn taken(&mut self, records: u64) {
        self.rows += records;
        self.last_record = Instant::now();
        self.staged_since.get_or_insert(self.last_record);
    }

    /// Events from before this instant have expired.
    pub(super) fn oldest(&self, now: i64) -> Option<i64> {
        self.options.retention_days.map(|days| now - i64::from(days) * DAY_MICROS)
    }

    fn is_due(&self) -> bool {
        self.staged_since.is_some_and(|since| {
            self.rows >= self.options.flush_rows_max
                || self.staging.is_full()
                || since.elapsed() >= self.options.flush_age_max
                || self.last_record.elapsed() >= IDLE_AFTER
        })
    }

    /// Commits everything staged, or starts over from the lake's positions.
    pub(super) fn flush(&mut self, members: &mut [Member], buckets: &mut [Objects]) {
        let begun = Instant::now();
        let waited = self.staged_since.map_or(Duration::ZERO, |since| since.elapsed());
        match self.commit(members, buckets) {
            Ok((snapshot, ledger)) => {
                members.iter_mut().for_each(Member::committed);
                buckets.iter_mut().for_each(|bucket| bucket.let_go(true));
                (self.staged_since, self.rows) = (None, 0);
                if std::mem::replace(&mut self.retry_after, RETRY.0) != RETRY.0 {
                    self.observer.stalled(None);
                }
                let lag = members.iter().map(Member::lag).sum();
                let now = (self.options.clock)();
                let behind = members
                    .iter()
                    .filter(|member| member.lag() > 0)
                    .map(|member| member.behind(now))
                    .max()
                    .unwrap_or_default();
                self.observer.committed(&Committed {
                    snapshot,
                    ledger,
                    took: begun.elapsed(),
                    waited,
                    lag,
                    behind,
                });
            }
            Err(error) => self.start_over(&error, members, buckets),
        }
    }

    fn commit(
        &mut self,
        members: &[Member],
        buckets: &[Objects],
    ) -> Result<(i64, Ledger), CatalogError> {
        let now = (self.options.clock)();
        let files = self.staging.finish(now)?.files;
        let parts = members.iter().map(Member::part).chain(buckets.iter().map(Objects::part));
        let sources: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        let mut ledger = Ledger::default();
        sources.iter().for_each(|part| ledger += part.ledger);
        let snapshot = self.known.commit(self.lake, &Commit { files, sources }, now)?;
        Ok((snapshot, ledger))
    }

    /// Throws away what is not committed, waits until the lake can be written, and reads on where it is.
    fn start_over(
        &mut self,
        error: &CatalogError,
        members: &mut [Member],
        buckets: &mut [Objects],
    ) {
        self.staging.abandon();
        self.known.forget();
        (self.staged_since, self.rows) = (None, 0);
        members.iter_mut().for_each(Member::roll_back);
        buckets.iter_mut().for_each(|bucket| bucket.let_go(false));
        match error {
            CatalogError::Conflict { what } => self.observer.refused(what),
            _ => {
                self.observer.stalled(Some(&error.to_string()));
                self.wait_for_room(members);
            }
        }
    }

    /// Keeps its place in the groups until the lake's disk takes files again.
    fn wait_for_room(&mut self, members: &[Member]) {
        members.iter().for_each(|member| member.source.pause(true));
        loop {
            let until = Instant::now() + self.retry_after;
            self.retry_after = (self.retry_after * 2).min(RETRY.1);
            while Instant::now() < until && !self.stop.load(Ordering::Relaxed) {
                self.observer.alive();
                std::thread::sleep(POLL);
                for member in members {
                    // Whatever was fetched before the pause is read again later.
                    let _ = member.source.poll(Duration::ZERO);
                }
            }
            match self.lake.probe(PROBE_BYTES) {
                Err(error) if !self.stop.load(Ordering::Relaxed) => {
                    self.observer.stalled(Some(&error.to_string()))
                }
                _ => break,
            }
        }
        members.iter().for_each(|member| member.source.pause(false));
    }

    /// The lake could not be asked for positions; they are asked for again after a pause.
    pub(super) fn unreadable(&mut self, error: &CatalogError) {
        self.unreadable = true;
        self.observer.stalled(Some(&error.to_string()));
        std::thread::sleep(RETRY.0);
    }

    /// The lake answers. What else it may be stalled for is told by the next commit.
    pub(super) fn readable(&mut self) {
        if std::mem::take(&mut self.unreadable) && self.retry_after == RETRY.0 {
            self.observer.stalled(None);
        }
    }
}
