//! Source -> decode -> batch -> lake, on every core.
//!
//! Each worker takes one object at a time and decodes it straight into column builders and open Parquet files of its own.
//! Now and then (`flush_rows_max`, or at the end) all workers stop at a record boundary, close their files, and the last
//! to arrive commits: files, positions and ledger in one transaction. So a position never stands for a row that is not
//! there, and a run that is killed goes on where its last commit left it.

use crate::batch::{EventBatch, Provenance, QuarantineBatch};
use crate::decode::{self, End, Sink, Stop};
use crate::dedup::{Group, KeyIndex, Seen};
use crate::lake::{CatalogError, Commit, Lake, LakeFile, NewFile, Position};
use crate::ledger::Ledger;
use crate::source::files::{self, Input};
use crate::{IngestOptions, Progress};
use md5::Digest;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use trailhound_datasets::derive::Derived;
use trailhound_datasets::event::{Event, Flag};
use trailhound_datasets::key;
use trailhound_datasets::layout::{self, Partition};
use trailhound_datasets::reject::Reject;
use xxhash_rust::xxh3::xxh3_128;

/// Rows gathered before they are encoded: some 2 MB of text, which stays in the cache from builder to encoder. Four times
/// as many cost a fifth more time, all of it in fresh pages.
const BATCH_ROWS: usize = 2048;
/// Text gathered by one worker over all its partitions before the fullest is encoded, in bytes.
const GATHERED_BYTES_MAX: usize = 24 << 20;
/// Files one worker keeps open: each holds the compression state of some forty columns.
const OPEN_FILES_MAX: usize = 4;
/// Memory of one worker's unfinished row groups before the largest file is closed, in bytes.
const ENCODING_BYTES_MAX: usize = 48 << 20;
/// Bytes of rejects gathered before a commit is asked for.
const REJECT_BYTES_MAX: usize = 16 << 20;

/// What the workers share.
pub(crate) struct Shared<'s> {
    lake: &'s Lake,
    runtime: Handle,
    options: &'s IngestOptions,
    progress: &'s Progress,
    queue: Mutex<VecDeque<Input>>,
    keys: Mutex<KeyIndex>,
    reject_keys: Mutex<Option<std::collections::HashSet<[u8; 16]>>>,
    flush: Mutex<Flush>,
    flushed: Condvar,
    flush_asked: AtomicBool,
}

#[derive(Default)]
struct Flush {
    workers: usize,
    arrived: usize,
    round: u64,
    commit: Commit,
    rows: u64,
    report: Report,
    failed: Option<CatalogError>,
}

/// What a run did.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) ledger: Ledger,
    pub(crate) objects: u64,
    pub(crate) unchanged: u64,
    pub(crate) partial: u64,
    pub(crate) unreadable: Vec<(String, String)>,
    pub(crate) notes: Vec<(String, String)>,
    pub(crate) reasons: HashMap<&'static str, u64>,
    pub(crate) commits: u64,
}

/// Runs `inputs` through the pipeline into `lake`. Blocks; must be called off the async threads.
pub(crate) fn run(
    lake: &Lake,
    runtime: &Handle,
    inputs: Vec<Input>,
    options: &IngestOptions,
    progress: &Progress,
) -> Result<Report, CatalogError> {
    let workers = options.workers.max(1).min(inputs.len().max(1));
    let shared = Shared {
        lake,
        runtime: runtime.clone(),
        options,
        progress,
        queue: Mutex::new(inputs.into()),
        keys: Mutex::new(KeyIndex::new(options.keys_max)),
        reject_keys: Mutex::new(None),
        flush: Mutex::new(Flush { workers, commit: new_commit(), ..Flush::default() }),
        flushed: Condvar::new(),
        flush_asked: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let _seat = Seat(&shared);
                Worker::new(&shared).work();
            });
        }
    });
    let mut flush = lock(&shared.flush);
    if flush.failed.is_none() {
        shared.commit(&mut flush);
    }
    match flush.failed.take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut flush.report)),
    }
}

fn new_commit() -> Commit {
    Commit { source: files::SOURCE.to_owned(), ..Commit::default() }
}

/// A worker that panicked has left nothing half done behind a lock: every commit is made from finished parts.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared<'_> {
    fn commit(&self, flush: &mut Flush) {
        let commit = std::mem::replace(&mut flush.commit, new_commit());
        flush.rows = 0;
        if commit.is_empty() || flush.failed.is_some() {
            return;
        }
        match self.runtime.block_on(self.lake.commit(&commit, self.options.now_micros)) {
            Ok(_) => {
                flush.report.ledger += commit.ledger;
                flush.report.commits += 1;
                lock(&self.keys).committed();
            }
            Err(error) => flush.failed = Some(error),
        }
    }

    fn fail(&self, error: CatalogError) -> Stop {
        let mut flush = lock(&self.flush);
        flush.failed.get_or_insert(error);
        self.flush_asked.store(true, Ordering::Relaxed);
        Stop
    }
}

/// A worker's place in the rounds. Given up however the worker ends, so that nobody waits for one that is gone; one that
/// panicked takes the run with it, for its part of the round is missing.
struct Seat<'s>(&'s Shared<'s>);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut flush = lock(&self.0.flush);
        if std::thread::panicking() {
            flush.failed.get_or_insert(CatalogError::Conflict { what: "a worker broke off inside".to_owned() });
        }
        flush.workers -= 1;
        if flush.workers > 0 && flush.arrived == flush.workers {
            self.0.complete_round(&mut flush);
        }
    }
}

/// The object being read.
struct Current {
    object: String,
    incarnation: String,
    /// Records the lake's position covers already.
    covered: u64,
    /// The position to replace.
    replaces: Option<u64>,
    records: u64,
    notes: Vec<String>,
}

struct Worker<'s> {
    shared: &'s Shared<'s>,
    batches: HashMap<Partition, EventBatch>,
    gathered_bytes: usize,
    files: HashMap<Partition, LakeFile>,
    /// The partitions of `files`, the one written longest ago first.
    written: VecDeque<Partition>,
    closed: Vec<NewFile>,
    rejects: QuarantineBatch,
    positions: Vec<(Position, Option<u64>)>,
    ledger: Ledger,
    reasons: HashMap<&'static str, u64>,
    rows: u64,
    current: Option<Current>,
}

impl<'s> Worker<'s> {
    fn new(shared: &'s Shared<'s>) -> Self {
        Self {
            shared,
            batches: HashMap::new(),
            gathered_bytes: 0,
            files: HashMap::new(),
            written: VecDeque::new(),
            closed: Vec::new(),
            rejects: QuarantineBatch::new(),
            positions: Vec::new(),
            ledger: Ledger::default(),
            reasons: HashMap::new(),
            rows: 0,
            current: None,
        }
    }

    fn work(mut self) {
        loop {
            let Some(input) = lock(&self.shared.queue).pop_front() else { break };
            if self.object(&input).is_err() {
                break;
            }
        }
        self.leave();
    }

    fn object(&mut self, input: &Input) -> Result<(), Stop> {
        let opened = match files::open(input) {
            Ok(opened) => opened,
            Err(error) => {
                let path = match input {
                    Input::File(path) => path.display().to_string(),
                    Input::Stdin => files::STDIN.to_owned(),
                };
                lock(&self.shared.flush).report.unreadable.push((path, error.to_string()));
                return Ok(());
            }
        };
        let known = match self.shared.runtime.block_on(self.shared.lake.position(files::SOURCE, &opened.object)) {
            Ok(known) => known.filter(|position| position.incarnation == opened.incarnation && !opened.incarnation.is_empty()),
            Err(error) => return Err(self.shared.fail(error)),
        };
        if known.as_ref().is_some_and(|position| position.done) {
            lock(&self.shared.flush).report.unchanged += 1;
            self.shared.progress.object_skipped(opened.bytes);
            return Ok(());
        }
        let covered = known.as_ref().map_or(0, |position| position.records);
        self.current = Some(Current {
            object: opened.object,
            incarnation: opened.incarnation,
            covered,
            replaces: known.map(|position| position.records),
            records: 0,
            notes: Vec::new(),
        });
        let account = opened.name.as_ref().and_then(|name| name.account_id.clone());
        let reader = Metered { inner: opened.reader, progress: self.shared.progress };
        let end = decode::object(reader, account.as_deref(), &self.shared.options.limits, self)?;
        if let Some(name) = opened.name {
            let md5 = opened.md5.map(|md5| format!("{:x}", lock(&md5).clone().finalize()));
            self.check_name(&name, opened.bytes, md5.as_deref());
        }
        self.finish(end);
        self.shared.progress.object_finished();
        if self.shared.flush_asked.load(Ordering::Relaxed) { self.arrive() } else { Ok(()) }
    }

    /// Holds what the object's name claims against what was read.
    fn check_name(&mut self, name: &crate::source::object_name::ObjectName, bytes: Option<u64>, md5: Option<&str>) {
        let Some(current) = &mut self.current else { return };
        if name.events != current.records {
            current.notes.push(format!("mismatch: the name says {} events, the object holds {}", name.events, current.records));
        }
        if bytes.is_some_and(|bytes| bytes != name.bytes) {
            current.notes.push(format!("mismatch: the name says {} bytes, the object has {}", name.bytes, bytes.unwrap_or(0)));
        }
        if md5.is_some_and(|md5| md5 != name.md5) {
            current.notes.push(format!("mismatch: the name says MD5 {}, the object has {}", name.md5, md5.unwrap_or("")));
        }
    }

    fn finish(&mut self, end: End) {
        let Some(mut current) = self.current.take() else { return };
        if end == End::Partial {
            current.notes.push("partial: the content broke off".to_owned());
        }
        {
            let mut flush = lock(&self.shared.flush);
            flush.report.objects += 1;
            flush.report.partial += u64::from(end == End::Partial);
            flush.report.notes.extend(current.notes.iter().map(|note| (current.object.clone(), note.clone())));
        }
        if !current.incarnation.is_empty() {
            self.positions.push(position(&current, true));
        }
    }

    /// Closes everything open and gives it to the commit in the making.
    fn hand_over(&mut self) -> Result<(), CatalogError> {
        self.encode_all()?;
        let open: Vec<_> = self.files.drain().collect();
        self.written.clear();
        for (_, file) in open {
            self.closed.push(file.close()?);
        }
        if self.rejects.rows() > 0 {
            let day = layout::day_text(layout::day_of(self.shared.options.now_micros));
            let mut file = LakeFile::create(self.shared.lake, crate::lake::QUARANTINE_ID, &day)?;
            file.write(&self.rejects.take())?;
            self.closed.push(file.close()?);
        }
        if let Some(current) = &mut self.current
            && !current.incarnation.is_empty()
            && current.records > current.covered
        {
            self.positions.push(position(current, false));
            current.replaces = Some(current.records);
            current.covered = current.records;
        }
        let mut flush = lock(&self.shared.flush);
        flush.commit.files.append(&mut self.closed);
        flush.commit.positions.append(&mut self.positions);
        flush.commit.ledger += std::mem::take(&mut self.ledger);
        for (code, count) in self.reasons.drain() {
            *flush.report.reasons.entry(code).or_default() += count;
        }
        Ok(())
    }

    /// Takes part in a commit: hands over, and waits until it is done. The last to arrive does it.
    fn arrive(&mut self) -> Result<(), Stop> {
        if let Err(error) = self.hand_over() {
            return Err(self.shared.fail(error));
        }
        let mut flush = lock(&self.shared.flush);
        flush.arrived += 1;
        if flush.arrived == flush.workers {
            self.shared.complete_round(&mut flush);
        } else {
            let round = flush.round;
            while flush.round == round {
                flush = self.shared.flushed.wait(flush).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if flush.failed.is_some() { Err(Stop) } else { Ok(()) }
    }

    /// Ends this worker: its parts go into the next commit.
    fn leave(mut self) {
        if let Err(error) = self.hand_over() {
            self.shared.fail(error);
        }
    }

    fn encode_all(&mut self) -> Result<(), CatalogError> {
        let partitions: Vec<Partition> = self.batches.keys().copied().collect();
        for partition in partitions {
            self.encode(partition)?;
        }
        self.batches.clear();
        Ok(())
    }

    /// Moves the gathered rows of `partition` into its file.
    fn encode(&mut self, partition: Partition) -> Result<(), CatalogError> {
        let Some(batch) = self.batches.get_mut(&partition).filter(|batch| batch.rows() > 0) else { return Ok(()) };
        self.gathered_bytes -= batch.bytes();
        let batch = batch.take();
        let file = match self.files.entry(partition) {
            std::collections::hash_map::Entry::Occupied(slot) => slot.into_mut(),
            std::collections::hash_map::Entry::Vacant(slot) => {
                slot.insert(LakeFile::create(self.shared.lake, crate::lake::EVENTS_ID, &partition.name())?)
            }
        };
        file.write(&batch)?;
        self.written.retain(|&other| other != partition);
        self.written.push_back(partition);
        while self.files.len() > OPEN_FILES_MAX || self.files.values().map(LakeFile::memory).sum::<usize>() > ENCODING_BYTES_MAX {
            // Input mostly comes in order of time: the day written longest ago is the one that is over.
            let Some(file) = self.written.pop_front().and_then(|oldest| self.files.remove(&oldest)) else { break };
            self.closed.push(file.close()?);
        }
        Ok(())
    }

    fn store(&mut self, event: &Event<'_>, record: i64) -> Result<(), CatalogError> {
        let options = self.shared.options;
        let mut derived = Derived::of(event);
        if options.oldest_micros.is_some_and(|oldest| derived.event_time.is_some_and(|time| time < oldest)) {
            self.ledger.expired += 1;
            return Ok(());
        }
        let key = key::event_key(event, derived.event_time);
        let seen = lock(&self.shared.keys)
            .insert(Group::of(derived.event_time), key, |group| self.shared.runtime.block_on(self.shared.lake.event_keys(group.day())))?;
        match seen {
            Seen::Duplicate => {
                self.ledger.duplicate += 1;
                return Ok(());
            }
            Seen::Conflict => derived.flags.insert(Flag::IdConflict),
            Seen::New => {}
        }
        let partition = Partition::of(derived.event_time, options.now_micros);
        if derived.event_time.is_some() && matches!(partition, Partition::OutOfRange(_)) {
            derived.flags.insert(Flag::OutOfRange);
        }
        let object = self.current.as_ref().map_or("", |current| current.object.as_str());
        let from = Provenance { source: files::SOURCE, object, record, ingested_at: options.now_micros };
        let batch = self.batches.entry(partition).or_insert_with(|| EventBatch::new(partition.name()));
        let before = batch.bytes();
        batch.push(event, &derived, &key, &from);
        self.gathered_bytes += batch.bytes() - before;
        self.ledger.stored += 1;
        self.rows += 1;
        if batch.rows() >= BATCH_ROWS {
            self.encode(partition)?;
        } else if self.gathered_bytes > GATHERED_BYTES_MAX {
            let fullest = self.batches.iter().max_by_key(|(_, batch)| batch.bytes()).map(|(&partition, _)| partition);
            if let Some(fullest) = fullest {
                self.encode(fullest)?;
            }
        }
        Ok(())
    }

    fn set_aside(&mut self, reject: &Reject, record: i64) -> Result<(), CatalogError> {
        let object = self.current.as_ref().map_or("", |current| current.object.as_str());
        let key = reject_key(reject, object, record);
        let is_new = {
            let mut known = lock(&self.shared.reject_keys);
            let known = match &mut *known {
                Some(known) => known,
                None => known.insert(self.shared.runtime.block_on(self.shared.lake.quarantine_keys())?.into_iter().collect()),
            };
            known.insert(key)
        };
        if !is_new {
            self.ledger.duplicate += 1;
            return Ok(());
        }
        let options = self.shared.options;
        let from = Provenance { source: files::SOURCE, object, record, ingested_at: options.now_micros };
        self.rejects.push(reject, &key, &from, &layout::day_text(layout::day_of(options.now_micros)));
        self.ledger.quarantined += 1;
        *self.reasons.entry(reject.code.name()).or_default() += 1;
        self.shared.progress.quarantined();
        if self.rejects.bytes() > REJECT_BYTES_MAX {
            self.shared.flush_asked.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Counts a record; `None` where an earlier run's position covers it already.
    fn next_record(&mut self) -> Option<i64> {
        let current = self.current.as_mut()?;
        let record = current.records;
        current.records += 1;
        (record >= current.covered).then(|| i64::try_from(record).unwrap_or(i64::MAX))
    }

    /// After each record: joins a commit that somebody asked for, or asks for one.
    fn after_record(&mut self) -> Result<(), Stop> {
        if self.rows >= 1024 {
            let mut flush = lock(&self.shared.flush);
            flush.rows += std::mem::take(&mut self.rows);
            if flush.rows >= self.shared.options.flush_rows_max || flush.failed.is_some() {
                self.shared.flush_asked.store(true, Ordering::Relaxed);
            }
        }
        if self.shared.flush_asked.load(Ordering::Relaxed) { self.arrive() } else { Ok(()) }
    }
}

impl Shared<'_> {
    fn complete_round(&self, flush: &mut Flush) {
        self.commit(flush);
        flush.arrived = 0;
        flush.round += 1;
        self.flush_asked.store(flush.failed.is_some(), Ordering::Relaxed);
        self.flushed.notify_all();
    }
}

impl Sink for Worker<'_> {
    fn event(&mut self, event: &Event<'_>) -> Result<(), Stop> {
        let Some(record) = self.next_record() else { return Ok(()) };
        self.ledger.received += 1;
        self.shared.progress.event();
        self.store(event, record).map_err(|error| self.shared.fail(error))?;
        self.after_record()
    }

    fn reject(&mut self, reject: Reject) -> Result<(), Stop> {
        let Some(record) = self.next_record() else { return Ok(()) };
        self.ledger.received += 1;
        self.set_aside(&reject, record).map_err(|error| self.shared.fail(error))?;
        self.after_record()
    }

    fn notice(&mut self, notice: &'static str) {
        if let Some(current) = &mut self.current {
            current.notes.push(notice.to_owned());
        }
    }
}

fn position(current: &Current, done: bool) -> (Position, Option<u64>) {
    let position = Position {
        object: current.object.clone(),
        incarnation: current.incarnation.clone(),
        records: current.records,
        done,
        notes: current.notes.join("; "),
    };
    (position, current.replaces)
}

fn reject_key(reject: &Reject, object: &str, record: i64) -> [u8; 16] {
    let mut text = format!("{}\n{object}\n{record}\n", reject.code.name()).into_bytes();
    text.extend_from_slice(&reject.raw);
    xxh3_128(&text).to_be_bytes()
}

/// Counts bytes read for the progress display.
struct Metered<'p, R> {
    inner: R,
    progress: &'p Progress,
}

impl<R: std::io::Read> std::io::Read for Metered<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(out)?;
        self.progress.bytes(count as u64);
        Ok(count)
    }
}
