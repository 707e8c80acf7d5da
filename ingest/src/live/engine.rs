//! The one thread of a live ingest.

use super::follow::Followed;
use super::partition::Tracked;
use super::{Committed, LiveError, LiveOptions, Observer};
use crate::batch::Provenance;
use crate::decode::{self, End, Messages, Sink, Stop};
use crate::dedup::Known;
use crate::lake::{CatalogError, Commit, Lake, Position, SourceCommit};
use crate::ledger::{Fate, Ledger};
use crate::source::kafka::{Change, KafkaSource, TopicPartition};
use crate::staging::Staging;
use md5::{Digest, Md5};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use trailhound_datasets::event::Event;
use trailhound_datasets::layout::DAY_MICROS;
use trailhound_datasets::reject::Reject;

/// Messages taken from one source before the next has its turn.
const MESSAGES_A_TURN: usize = 1024;
/// How long a poll waits for a first message.
const POLL: Duration = Duration::from_millis(20);
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
    let known = Known::new(runtime.clone(), options.ingest.keys_max);
    let mut members = Vec::new();
    for kafka in &options.kafka {
        let wrong = |e: KafkaError| LiveError::Settings { source_name: kafka.name.clone(), reason: e.to_string() };
        members.push(Member {
            source: KafkaSource::connect(kafka).map_err(wrong)?,
            tracked: Vec::new(),
            ledger: Ledger::default(),
            trouble: None,
            reread: false,
        });
    }
    let mut engine = Engine {
        lake,
        runtime,
        options,
        observer,
        known: &known,
        staging: Staging::new(lake, &known),
        messages: Messages::new(options.ingest.limits.clone()),
        staged_since: None,
        last_message: Instant::now(),
        rows: 0,
        retry_after: RETRY.0,
    };
    while !stop.load(Ordering::Relaxed) {
        observer.alive();
        if members.is_empty() {
            // A bucket has no poll of its own to wait in.
            std::thread::sleep(POLL);
        }
        for at in 0..members.len() {
            if let Err(error) = engine.turn(&mut members[at]) {
                engine.start_over(&error, &mut members, &mut buckets);
            }
        }
        for at in 0..buckets.len() {
            if let Err(error) = engine.object(&mut buckets[at]) {
                engine.start_over(&error, &mut members, &mut buckets);
            }
        }
        for at in 0..members.len() {
            engine.changes(&mut members, &mut buckets, at);
        }
        // What is staged must be committed before positions are read again: they would be those before it.
        let reread = members.iter().any(|member| member.reread) && engine.staged_since.is_some();
        if reread || engine.is_due() {
            engine.flush(&mut members, &mut buckets);
        }
        for member in members.iter_mut().filter(|member| member.reread) {
            engine.read_on(member);
        }
    }
    if engine.staged_since.is_some() {
        engine.flush(&mut members, &mut buckets);
    }
    Ok(())
}

/// A bucket with what was read of it since the last commit.
struct Objects {
    followed: Followed,
    positions: Vec<(Position, Option<u64>)>,
    ledger: Ledger,
}

impl Objects {
    fn new(followed: Followed) -> Self {
        Self { followed, positions: Vec::new(), ledger: Ledger::default() }
    }

    /// After a commit, or after everything staged was thrown away: the follower may look at these keys again.
    fn let_go(&mut self) {
        self.ledger = Ledger::default();
        for (position, _) in self.positions.drain(..) {
            let _ = self.followed.done.send(position.object);
        }
    }
}

/// A source with what it is reading.
struct Member {
    source: KafkaSource,
    tracked: Vec<Tracked>,
    /// Records taken since the last commit.
    ledger: Ledger,
    trouble: Option<String>,
    /// The partitions must be taken up again from the lake's positions.
    reread: bool,
}

impl Member {
    /// Messages the broker holds beyond what is stored, as far as it has told.
    fn lag(&self) -> u64 {
        let behind = |tracked: &Tracked| {
            let high = self.source.last_high(&tracked.partition)?;
            Some(high.saturating_sub(tracked.base?))
        };
        self.tracked.iter().filter_map(behind).sum()
    }
}

struct Engine<'s> {
    lake: &'s Lake,
    runtime: &'s Handle,
    options: &'s LiveOptions,
    observer: &'s dyn Observer,
    known: &'s Known,
    staging: Staging<'s>,
    messages: Messages,
    /// When the first record not yet committed was taken.
    staged_since: Option<Instant>,
    last_message: Instant,
    rows: u64,
    retry_after: Duration,
}

impl Engine<'_> {
    /// Takes some messages of one source.
    fn turn(&mut self, member: &mut Member) -> Result<(), CatalogError> {
        // Until its partitions are taken up again, the client still gives what comes after messages that were thrown away.
        if member.reread {
            return Ok(());
        }
        for taken in 0..MESSAGES_A_TURN {
            let wait = if taken == 0 { POLL } else { Duration::ZERO };
            match member.source.poll(wait) {
                None => return Ok(()),
                Some(Ok(message)) => {
                    let Some(at) = member
                        .tracked
                        .iter()
                        .position(|t| t.partition.partition == message.partition() && t.partition.topic == message.topic())
                    else {
                        // Fetched before the partition was given away.
                        continue;
                    };
                    let offset = message.offset().max(0).unsigned_abs();
                    if member.tracked[at].next.is_some_and(|next| offset < next) {
                        continue;
                    }
                    let from = From { source: &member.source.name, tracked: &member.tracked[at], offset };
                    member.ledger += self.take(message.payload(), &from)?;
                    member.tracked[at].next = Some(offset + 1);
                    if member.trouble.take().is_some() {
                        self.observer.source(&member.source.name, None);
                    }
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

    fn take(&mut self, value: Option<&[u8]>, from: &From<'_>) -> Result<Ledger, CatalogError> {
        let now = (self.options.clock)();
        let from = Provenance {
            source: from.source,
            object: &from.tracked.partition.topic,
            partition: Some(i64::from(from.tracked.partition.partition)),
            record: i64::try_from(from.offset).unwrap_or(i64::MAX),
            ingested_at: now,
        };
        let oldest = self.oldest(now);
        let mut intake = Intake {
            staging: &mut self.staging,
            from,
            oldest,
            ledger: Ledger::default(),
            failed: None,
            numbered: false,
            notes: Vec::new(),
        };
        let _ = self.messages.message(value, &mut intake);
        let (ledger, failed) = (intake.ledger, intake.failed);
        self.rows += ledger.received;
        self.last_message = Instant::now();
        self.staged_since.get_or_insert(self.last_message);
        failed.map_or(Ok(ledger), Err)
    }

    /// Takes one object of a bucket, if one has been fetched.
    fn object(&mut self, bucket: &mut Objects) -> Result<(), CatalogError> {
        if self.rows >= self.options.flush_rows_max {
            return Ok(());
        }
        let Ok(object) = bucket.followed.objects.try_recv() else { return Ok(()) };
        let now = (self.options.clock)();
        let oldest = self.oldest(now);
        let from = Provenance { source: &bucket.followed.name, object: &object.key, partition: None, record: 0, ingested_at: now };
        let mut intake =
            Intake { staging: &mut self.staging, from, oldest, ledger: Ledger::default(), failed: None, numbered: true, notes: Vec::new() };
        let account = object.name.as_ref().and_then(|name| name.account_id.as_deref());
        let end = decode::object(object.content.as_ref(), account, &self.options.ingest.limits, &mut intake);
        if let Some(error) = intake.failed {
            let _ = bucket.followed.done.send(object.key);
            return Err(error);
        }
        let (ledger, mut notes) = (intake.ledger, intake.notes);
        if end == Ok(End::Partial) {
            notes.push("partial: the content broke off".to_owned());
        }
        if let Some(name) = &object.name {
            notes.extend(name.mismatches(
                ledger.received,
                Some(object.content.len() as u64),
                Some(&format!("{:x}", Md5::digest(&object.content))),
            ));
        }
        bucket.ledger += ledger;
        let position =
            Position { object: object.key, incarnation: object.incarnation, records: ledger.received, done: true, notes: notes.join("; ") };
        bucket.positions.push((position, None));
        self.rows += ledger.received;
        self.last_message = Instant::now();
        self.staged_since.get_or_insert(self.last_message);
        Ok(())
    }

    fn oldest(&self, now: i64) -> Option<i64> {
        self.options.retention_days.map(|days| now - i64::from(days) * DAY_MICROS)
    }

    fn trouble(&mut self, member: &mut Member, error: &KafkaError) {
        let code = error.rdkafka_error_code();
        if matches!(code, Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)) {
            member.reread = true;
        }
        let text = error.to_string();
        if member.trouble.as_ref() != Some(&text) {
            self.observer.source(&member.source.name, Some(&text));
            member.trouble = Some(text);
        }
    }

    /// Answers changes of the group. What is staged of revoked partitions is committed before they are given away.
    fn changes(&mut self, members: &mut [Member], buckets: &mut [Objects], at: usize) {
        while let Some(change) = members[at].source.change() {
            match change {
                Change::Assigned(partitions) => {
                    members[at].tracked = partitions.into_iter().map(|partition| Tracked::begin(partition, None, None)).collect();
                    self.read_on(&mut members[at]);
                }
                Change::Revoked(partitions) => {
                    tracing::info!(source = members[at].source.name, count = partitions.len(), "partitions given away");
                    if self.staged_since.is_some() {
                        self.flush(members, buckets);
                    }
                    let member = &mut members[at];
                    member.tracked.clear();
                    member.reread = false;
                    if let Err(error) = member.source.unassign() {
                        self.trouble(&mut members[at], &error);
                    }
                }
            }
        }
    }

    /// Takes up the member's partitions where the lake is.
    fn read_on(&mut self, member: &mut Member) {
        member.reread = false;
        let mut tracked = Vec::with_capacity(member.tracked.len());
        for partition in member.tracked.iter().map(|tracked| tracked.partition.clone()) {
            let position = match self.runtime.block_on(self.lake.position(&member.source.name, &partition.object())) {
                Ok(position) => position,
                Err(error) => {
                    self.observer.stalled(Some(&error.to_string()));
                    std::thread::sleep(self.retry_after);
                    member.reread = true;
                    return;
                }
            };
            let broker = position.as_ref().and_then(|_| self.watermarks(member, &partition));
            let begun = Tracked::begin(partition, position, broker);
            if let Some(gap) = &begun.gap {
                self.observer.gap(&member.source.name, &gap.object, gap.from, gap.to, gap.reason);
                // The gap is committed even if no message ever follows.
                self.staged_since.get_or_insert_with(Instant::now);
            }
            tracked.push(begun);
        }
        member.tracked = tracked;
        let from: Vec<_> = member.tracked.iter().map(|tracked| (tracked.partition.clone(), tracked.next)).collect();
        tracing::info!(source = member.source.name, partitions = from.len(), "reading on where the lake is");
        match member.source.assign(&from) {
            Ok(()) => {
                member.trouble = None;
                self.observer.source(&member.source.name, None);
            }
            Err(error) => self.trouble(member, &error),
        }
    }

    fn watermarks(&mut self, member: &Member, partition: &TopicPartition) -> Option<crate::source::kafka::Watermarks> {
        match member.source.watermarks(partition) {
            Ok(watermarks) => Some(watermarks),
            Err(error) => {
                tracing::warn!(%error, source = member.source.name, "the broker does not say what it has; reading on all the same");
                None
            }
        }
    }

    fn is_due(&self) -> bool {
        self.staged_since.is_some_and(|since| {
            self.rows >= self.options.flush_rows_max
                || self.staging.is_full()
                || since.elapsed() >= self.options.flush_age_max
                || self.last_message.elapsed() >= IDLE_AFTER
        })
    }

    /// Commits everything staged, or starts over from the lake's positions.
    fn flush(&mut self, members: &mut [Member], buckets: &mut [Objects]) {
        let begun = Instant::now();
        let waited = self.staged_since.map_or(Duration::ZERO, |since| since.elapsed());
        match self.commit(members, buckets) {
            Ok((snapshot, ledger)) => {
                self.known.committed();
                for member in members.iter_mut() {
                    member.ledger = Ledger::default();
                    let mut told = Vec::new();
                    for tracked in &mut member.tracked {
                        tracked.committed();
                        told.extend(tracked.base.map(|base| (tracked.partition.clone(), base)));
                    }
                    member.source.tell_lag(&told);
                }
                buckets.iter_mut().for_each(Objects::let_go);
                (self.staged_since, self.rows) = (None, 0);
                if std::mem::replace(&mut self.retry_after, RETRY.0) != RETRY.0 {
                    self.observer.stalled(None);
                }
                let lag = members.iter().map(Member::lag).sum();
                self.observer.committed(&Committed { snapshot, ledger, took: begun.elapsed(), waited, lag });
            }
            Err(error) => {
                self.start_over(&error, members, buckets);
            }
        }
    }

    fn commit(&mut self, members: &[Member], buckets: &[Objects]) -> Result<(i64, Ledger), CatalogError> {
        let now = (self.options.clock)();
        let files = self.staging.finish(now)?.files;
        let part = |member: &Member| SourceCommit {
            source: member.source.name.clone(),
            positions: member.tracked.iter().filter_map(Tracked::moved).collect(),
            gaps: member.tracked.iter().filter_map(|tracked| tracked.gap.clone()).collect(),
            ledger: member.ledger,
        };
        let bucket = |bucket: &Objects| SourceCommit {
            source: bucket.followed.name.clone(),
            positions: bucket.positions.clone(),
            gaps: Vec::new(),
            ledger: bucket.ledger,
        };
        let parts = members.iter().map(part).chain(buckets.iter().map(bucket));
        let sources: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        let mut ledger = Ledger::default();
        sources.iter().for_each(|part| ledger += part.ledger);
        let snapshot = self.runtime.block_on(self.lake.commit(&Commit { files, sources }, now))?;
        Ok((snapshot, ledger))
    }

    /// Throws away what is not committed, waits until the lake can be written, and reads on where it is.
    fn start_over(&mut self, error: &CatalogError, members: &mut [Member], buckets: &mut [Objects]) {
        match error {
            CatalogError::Conflict { what } => self.observer.refused(what),
            _ => self.observer.stalled(Some(&error.to_string())),
        }
        self.staging.abandon();
        self.known.forget();
        (self.staged_since, self.rows) = (None, 0);
        for member in members.iter_mut() {
            member.ledger = Ledger::default();
            member.tracked.iter_mut().for_each(Tracked::roll_back);
            member.reread = true;
        }
        buckets.iter_mut().for_each(Objects::let_go);
        if !matches!(error, CatalogError::Conflict { .. }) {
            self.wait_for_room(members);
        }
    }

    /// Keeps its place in the groups while nothing can be written.
    fn wait_for_room(&mut self, members: &[Member]) {
        for member in members.iter() {
            member.source.pause(true);
        }
        let until = Instant::now() + self.retry_after;
        self.retry_after = (self.retry_after * 2).min(RETRY.1);
        while Instant::now() < until {
            self.observer.alive();
            for member in members.iter() {
                // Whatever was fetched before the pause is read again later.
                let _ = member.source.poll(POLL);
            }
        }
        if let Err(error) = self.lake.probe(PROBE_BYTES) {
            self.observer.stalled(Some(&error.to_string()));
        }
        for member in members.iter() {
            member.source.pause(false);
        }
    }
}

struct From<'f> {
    source: &'f str,
    tracked: &'f Tracked,
    offset: u64,
}

/// Takes what one message or object decodes to.
struct Intake<'i, 's> {
    staging: &'i mut Staging<'s>,
    from: Provenance<'i>,
    oldest: Option<i64>,
    ledger: Ledger,
    failed: Option<CatalogError>,
    /// Each record has a number of its own within the object; those of a message share its offset.
    numbered: bool,
    notes: Vec<String>,
}

impl Intake<'_, '_> {
    fn taken(&mut self, fate: Result<Fate, CatalogError>) -> Result<(), Stop> {
        match fate {
            Ok(fate) => {
                self.ledger.count(fate);
                self.from.record += i64::from(self.numbered);
                Ok(())
            }
            Err(error) => {
                self.failed = Some(error);
                Err(Stop)
            }
        }
    }
}

impl Sink for Intake<'_, '_> {
    fn event(&mut self, event: &Event<'_>) -> Result<(), Stop> {
        let fate = self.staging.event(event, &self.from, self.oldest);
        self.taken(fate)
    }

    fn reject(&mut self, reject: Reject) -> Result<(), Stop> {
        let fate = self.staging.reject(&reject, &self.from);
        self.taken(fate)
    }

    fn notice(&mut self, notice: &'static str) {
        self.notes.push(notice.to_owned());
    }
}
