//! Source -> decode -> batch -> lake, on every core.
//!
//! Each worker takes one object at a time and decodes it straight into column builders and open Parquet files of its own.
//! Now and then (`flush_rows_max`, or at the end) all workers stop at a record boundary, close their files, and the last
//! to arrive commits: files, positions and ledger in one transaction. So a position never stands for a row that is not
//! there, and a run that is killed goes on where its last commit left it.

use crate::batch::Provenance;
use crate::decode::{self, End, Sink, Stop};
use crate::dedup::DedupIndex;
use crate::lake::{CatalogError, Commit, Lake, NewFile, Position, SourceCommit};
use crate::ledger::{Fate, Ledger};
use crate::lock::lock;
use crate::queue::Queue;
use crate::source::files::{self, Input};
use crate::staging::Staging;
use crate::{IngestOptions, Progress};
use md5::Digest;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use tokio::runtime::Handle;
use trailhound_datasets::event::Event;
use trailhound_datasets::reject::Reject;

/// What the workers share.
pub(crate) struct Shared<'s> {
    lake: &'s Lake,
    runtime: Handle,
    options: &'s IngestOptions,
    progress: &'s Progress,
    queue: Mutex<Queue>,
    known: DedupIndex,
    flush: Mutex<Flush>,
    flushed: Condvar,
    flush_asked: AtomicBool,
}

#[derive(Default)]
struct Flush {
    workers: usize,
    arrived: usize,
    round: u64,
    files: Vec<NewFile>,
    part: SourceCommit,
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
        queue: Mutex::new(Queue::new(inputs)),
        known: DedupIndex::new(runtime.clone(), lake, options.keys_max)?,
        flush: Mutex::new(Flush { workers, ..Flush::default() }),
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

impl Shared<'_> {
    fn commit(&self, flush: &mut Flush) {
        let part =
            SourceCommit { source: files::SOURCE.to_owned(), ..std::mem::take(&mut flush.part) };
        let ledger = part.ledger;
        let commit = Commit { files: std::mem::take(&mut flush.files), sources: vec![part] };
        flush.rows = 0;
        if commit.is_empty() || flush.failed.is_some() {
            return;
        }
        match self.known.commit(self.lake, &commit, self.options.now_micros) {
            Ok(_) => {
                flush.report.ledger += ledger;
                flush.report.commits += 1;
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
            flush.failed.get_or_insert(CatalogError::Conflict {
                what: "a worker broke off inside".to_owned(),
            });
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
    staging: Staging<'s>,
    positions: Vec<(Position, Option<u64>)>,
    ledger: Ledger,
    rows: u64,
    current: Option<Current>,
}

impl<'s> Worker<'s> {
    fn new(shared: &'s Shared<'s>) -> Self {
        Self {
            shared,
            staging: Staging::new(shared.lake, &shared.known),
            positions: Vec::new(),
            ledger: Ledger::default(),
            rows: 0,
            current: None,
        }
    }

    fn work(mut self) {
        let mut day = None;
        loop {
            let Some(next) = lock(&self.shared.queue).next(day.take()) else { break };
            day = next.day;
            if self.object(&next.input).is_err() {
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
        let known = match self
            .shared
            .runtime
            .block_on(self.shared.lake.position(files::SOURCE, &opened.object))
        {
            Ok(known) => known.filter(|position| {
                position.incarnation == opened.incarnation && !opened.incarnation.is_empty()
            }),
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
            if let Some(current) = &mut self.current {
                current.notes.extend(name.mismatches(
                    current.records,
                    opened.bytes,
                    md5.as_deref(),
                ));
            }
        }
        self.finish(end);
        self.shared.progress.object_finished();
        if self.shared.flush_asked.load(Ordering::Relaxed) { self.arrive() } else { Ok(()) }
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
            flush
                .report
                .notes
                .extend(current.notes.iter().map(|note| (current.object.clone(), note.clone())));
        }
        if !current.incarnation.is_empty() {
            self.positions.push(position(&current, true));
        }
    }

    /// Closes everything open and gives it to the commit in the making.
    fn hand_over(&mut self) -> Result<(), CatalogError> {
        let mut staged = self.staging.finish(self.shared.options.now_micros)?;
        if let Some(current) = &mut self.current
            && !current.incarnation.is_empty()
            && current.records > current.covered
        {
            self.positions.push(position(current, false));
            current.replaces = Some(current.records);
            current.covered = current.records;
        }
        let mut flush = lock(&self.shared.flush);
        flush.files.append(&mut staged.files);
        flush.part.positions.append(&mut self.positions);
        flush.part.ledger += std::mem::take(&mut self.ledger);
        for (code, count) in staged.reasons {
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
        if self.staging.is_full() {
            self.shared.flush_asked.store(true, Ordering::Relaxed);
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
        self.shared.progress.event();
        let from = provenance(self.current.as_ref(), record, self.shared.options);
        match self.staging.event(event, &from, self.shared.options.oldest_micros) {
            Ok(fate) => {
                self.ledger.count(fate);
                self.rows += u64::from(fate == Fate::Stored);
            }
            Err(error) => return Err(self.shared.fail(error)),
        }
        self.after_record()
    }

    fn reject(&mut self, reject: Reject) -> Result<(), Stop> {
        let Some(record) = self.next_record() else { return Ok(()) };
        let from = provenance(self.current.as_ref(), record, self.shared.options);
        match self.staging.reject(&reject, &from) {
            Ok(fate) => {
                self.ledger.count(fate);
                if fate == Fate::Quarantined {
                    self.shared.progress.quarantined();
                }
            }
            Err(error) => return Err(self.shared.fail(error)),
        }
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

fn provenance<'p>(
    current: Option<&'p Current>,
    record: i64,
    options: &IngestOptions,
) -> Provenance<'p> {
    let object = current.map_or("", |current| current.object.as_str());
    Provenance {
        source: files::SOURCE,
        object,
        partition: None,
        record,
        ingested_at: options.now_micros,
    }
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
