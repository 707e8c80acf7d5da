//! The pipeline of a file ingest: source -> decode -> batch -> lake, with several worker threads.
//!
//! Each worker takes one object at a time and decodes it into column builders and open Parquet files of its own. From time
//! to time (after `flush_rows_max` events, and at the end) all workers stop at a record boundary and close their files. The
//! last worker to stop commits: files, positions and ledger in one transaction. So a position never covers a row that is
//! not stored, and a run that is killed continues where its last commit ended.

use crate::batch::Provenance;
use crate::decode::{
    self, Completeness, DecodeStopped, FaultPlace, ReadFault, RecordSink, SinkStopped,
};
use crate::dedup::DedupIndex;
use crate::lake::{CatalogError, Commit, Lake, NewFile, Position, SourceCommit};
use crate::ledger::{Ledger, RecordOutcome};
use crate::lock::lock;
use crate::options::IngestOptions;
use crate::progress::Progress;
use crate::queue::InputQueue;
use crate::report::{IngestError, IngestReport};
use crate::source::files::{self, Input, OpenedObject};
use crate::staging::Staging;
use md5::Digest;
use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use tokio::runtime::Handle;
use trailhound_datasets::event::Event;
use trailhound_datasets::reject::Reject;

/// Stored events after which a worker adds its count to the shared one.
const ROWS_PER_COUNT: u64 = 1024;

/// State that the workers share.
struct SharedState<'s> {
    lake: &'s Lake,
    runtime: Handle,
    options: &'s IngestOptions,
    progress: &'s Progress,
    queue: Mutex<InputQueue>,
    dedup: DedupIndex,
    flush: Mutex<FlushState>,
    /// Signaled when a flush is complete.
    flushed: Condvar,
    flush_requested: AtomicBool,
}

/// The flush that the workers take part in, and the result of the run so far.
#[derive(Default)]
struct FlushState {
    /// Workers that are still running.
    workers: usize,
    /// Workers that wait in the current flush.
    arrived: usize,
    /// Number of completed flushes.
    generation: u64,
    files: Vec<NewFile>,
    source: SourceCommit,
    /// Events stored since the last commit.
    rows: u64,
    report: IngestReport,
    failed: Option<IngestError>,
}

/// Runs `inputs` through the pipeline into `lake`. Blocks; must not be called on an async thread. `swept_files` and
/// `snapshot` of the report are left to the caller.
///
/// # Errors
/// [`IngestError::Catalog`] where the lake fails, [`IngestError::Internal`] where a worker panics.
pub(crate) fn run(
    lake: &Lake,
    runtime: &Handle,
    inputs: Vec<Input>,
    options: &IngestOptions,
    progress: &Progress,
) -> Result<IngestReport, IngestError> {
    let workers = options.workers.max(1).min(inputs.len().max(1));
    let shared = SharedState {
        lake,
        runtime: runtime.clone(),
        options,
        progress,
        queue: Mutex::new(InputQueue::new(inputs)),
        dedup: DedupIndex::new(runtime.clone(), lake, options.keys_max)?,
        flush: Mutex::new(FlushState { workers, ..FlushState::default() }),
        flushed: Condvar::new(),
        flush_requested: AtomicBool::new(false),
    };
    let panicked = std::thread::scope(|scope| {
        let run_worker = || {
            let _registration = WorkerRegistration(&shared);
            Worker::new(&shared).run();
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(run_worker)).collect();
        threads.into_iter().filter_map(|thread| thread.join().err()).next()
    });
    if let Some(panic) = panicked {
        return Err(worker_panicked(Some(panic.as_ref())));
    }
    let mut flush = lock(&shared.flush);
    shared.commit(&mut flush);
    match flush.failed.take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut flush.report)),
    }
}

/// The error of a worker that panicked, with the panic's message where it is known.
fn worker_panicked(panic: Option<&(dyn Any + Send)>) -> IngestError {
    let message = panic.and_then(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
    });
    IngestError::Internal(match message {
        Some(message) => format!("a worker thread panicked: {message}"),
        None => "a worker thread panicked".to_owned(),
    })
}

impl SharedState<'_> {
    /// Commits the files and positions that the workers have handed over. An error is stored in
    /// `flush.failed`.
    fn commit(&self, flush: &mut FlushState) {
        let source =
            SourceCommit { source: files::SOURCE.to_owned(), ..std::mem::take(&mut flush.source) };
        let ledger = source.ledger;
        let commit = Commit { files: std::mem::take(&mut flush.files), sources: vec![source] };
        flush.rows = 0;
        if flush.failed.is_some() {
            commit.files.iter().for_each(|file| file.discard(self.lake));
            return;
        }
        if commit.is_empty() {
            return;
        }
        match self.dedup.commit(self.lake, &commit, self.options.now_micros) {
            Ok(_) => {
                flush.report.ledger += ledger;
                flush.report.commits += 1;
            }
            Err(error) => flush.failed = Some(error.into()),
        }
    }

    /// Commits, and wakes the workers that wait in the flush.
    fn complete_flush(&self, flush: &mut FlushState) {
        self.commit(flush);
        flush.arrived = 0;
        flush.generation += 1;
        self.flush_requested.store(flush.failed.is_some(), Ordering::Relaxed);
        self.flushed.notify_all();
    }

    /// Records the first error of the run and makes every worker stop.
    fn fail(&self, error: impl Into<IngestError>) -> SinkStopped {
        lock(&self.flush).failed.get_or_insert(error.into());
        self.flush_requested.store(true, Ordering::Relaxed);
        SinkStopped
    }
}

/// Guard that counts a worker as running. It is dropped when the worker ends for any reason, so
/// that no flush waits for a worker that has ended. If a worker has panicked, the run fails,
/// because the worker's part of the flush is missing.
struct WorkerRegistration<'s>(&'s SharedState<'s>);

impl Drop for WorkerRegistration<'_> {
    fn drop(&mut self) {
        let mut flush = lock(&self.0.flush);
        if std::thread::panicking() {
            flush.failed.get_or_insert_with(|| worker_panicked(None));
        }
        flush.workers -= 1;
        if flush.workers > 0 && flush.arrived == flush.workers {
            self.0.complete_flush(&mut flush);
        }
    }
}

/// The object that a worker is reading.
struct CurrentObject {
    object: String,
    content_version: String,
    /// Records that the lake's position covers already.
    covered: u64,
    /// The position that the next commit replaces.
    replaces: Option<u64>,
    /// Records decoded.
    records: u64,
    notes: Vec<String>,
}

impl CurrentObject {
    /// Returns the position to commit and the record count of the position that it replaces. `done`
    /// is true if the object was read to its end.
    fn position(&self, done: bool) -> (Position, Option<u64>) {
        let position = Position {
            object: self.object.clone(),
            source_version: self.content_version.clone(),
            records: self.records,
            done,
            notes: self.notes.join("; "),
        };
        (position, self.replaces)
    }
}

struct Worker<'s> {
    shared: &'s SharedState<'s>,
    staging: Staging<'s>,
    positions: Vec<(Position, Option<u64>)>,
    ledger: Ledger,
    /// Events stored and not yet added to the shared count.
    rows: u64,
    current: Option<CurrentObject>,
}

impl<'s> Worker<'s> {
    fn new(shared: &'s SharedState<'s>) -> Self {
        Self {
            shared,
            staging: Staging::new(shared.lake, &shared.dedup),
            positions: Vec::new(),
            ledger: Ledger::default(),
            rows: 0,
            current: None,
        }
    }

    /// Reads objects until the queue is empty or the run fails.
    fn run(mut self) {
        let mut day = None;
        loop {
            let Some(next) = lock(&self.shared.queue).next(day.take()) else { break };
            day = next.day;
            if self.read_input(&next.input).is_err() {
                break;
            }
        }
        // What is left goes into the next commit.
        if let Err(error) = self.hand_over() {
            self.shared.fail(error);
        }
    }

    /// Reads one object, unless it cannot be opened or the lake holds it already.
    fn read_input(&mut self, input: &Input) -> Result<(), SinkStopped> {
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
        let stored = match self.stored_position(&opened) {
            Ok(stored) => stored,
            Err(error) => return Err(self.shared.fail(error)),
        };
        if stored.as_ref().is_some_and(|position| position.done) {
            lock(&self.shared.flush).report.objects_unchanged += 1;
            self.shared.progress.object_skipped(opened.bytes);
            return Ok(());
        }
        self.read_object(opened, stored.map(|position| position.records))?;
        self.shared.progress.object_finished();
        self.flush_if_requested()
    }

    /// The lake's position of the object, if it is about the content that was opened.
    fn stored_position(&self, opened: &OpenedObject) -> Result<Option<Position>, CatalogError> {
        let position = self.shared.lake.position(files::SOURCE, &opened.object);
        Ok(self.shared.runtime.block_on(position)?.filter(|position| {
            position.source_version == opened.content_version && !opened.content_version.is_empty()
        }))
    }

    /// Decodes an opened object. `stored` is the number of its records that the lake holds, `None` where it holds no position.
    fn read_object(
        &mut self,
        opened: OpenedObject,
        stored: Option<u64>,
    ) -> Result<(), SinkStopped> {
        self.current = Some(CurrentObject {
            object: opened.object,
            content_version: opened.content_version,
            covered: stored.unwrap_or(0),
            replaces: stored,
            records: 0,
            notes: Vec::new(),
        });
        let account = opened.name.as_ref().and_then(|name| name.account_id.clone());
        let reader = CountedReader { inner: opened.reader, progress: self.shared.progress };
        let limits = &self.shared.options.limits;
        let end = match decode::object(reader, account.as_deref(), limits, self) {
            Ok(end) => end,
            Err(DecodeStopped::Sink(stopped)) => return Err(stopped),
            Err(DecodeStopped::Fault(fault)) => return self.leave_object(fault),
        };
        if let (Some(name), Some(current)) = (opened.name, &mut self.current) {
            let md5 = opened.md5.map(|md5| format!("{:x}", lock(&md5).clone().finalize()));
            let mismatches = name.mismatches(current.records, opened.bytes, md5.as_deref());
            current.notes.extend(mismatches);
        }
        self.finish_object(end);
        Ok(())
    }

    /// Leaves the object at the last record that was read; the next run reads on from there. An object that cannot be read
    /// does not hold up the others, but on a machine that cannot hold temporary files none of them would fare better.
    fn leave_object(&mut self, fault: ReadFault) -> Result<(), SinkStopped> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        if fault.place == FaultPlace::Machine {
            let object = current.object;
            return Err(self.shared.fail(IngestError::Fault { object, fault }));
        }
        self.read_so_far(&mut current);
        lock(&self.shared.flush).report.unreadable.push((current.object, fault.to_string()));
        Ok(())
    }

    /// Adds the position of an object that is not read to its end, if records of it were read since the last position.
    fn read_so_far(&mut self, current: &mut CurrentObject) {
        if !current.content_version.is_empty() && current.records > current.covered {
            self.positions.push(current.position(false));
            current.replaces = Some(current.records);
            current.covered = current.records;
        }
    }

    /// Notes the result of the object that was read.
    fn finish_object(&mut self, end: Completeness) {
        let Some(mut current) = self.current.take() else { return };
        if end == Completeness::Partial {
            current.notes.push(decode::PARTIAL_NOTE.to_owned());
        }
        let mut flush = lock(&self.shared.flush);
        flush.report.objects += 1;
        flush.report.objects_partial += u64::from(end == Completeness::Partial);
        let notes = current.notes.iter().map(|note| (current.object.clone(), note.clone()));
        flush.report.notes.extend(notes);
        drop(flush);
        if !current.content_version.is_empty() {
            self.positions.push(current.position(true));
        }
    }

    /// Closes the worker's files and hands everything it has to the next commit.
    fn hand_over(&mut self) -> Result<(), CatalogError> {
        let mut staged = self.staging.finish(self.shared.options.now_micros)?;
        if let Some(mut current) = self.current.take() {
            self.read_so_far(&mut current);
            self.current = Some(current);
        }
        let mut flush = lock(&self.shared.flush);
        flush.files.append(&mut staged.files);
        flush.source.positions.append(&mut self.positions);
        flush.source.ledger += std::mem::take(&mut self.ledger);
        flush.report.add_facts(&staged.facts);
        for (code, count) in staged.reasons {
            *flush.report.quarantine_reasons.entry(code.to_owned()).or_default() += count;
        }
        Ok(())
    }

    /// Takes part in a flush: adds the files and positions of this worker, then waits for the
    /// commit. The last worker to arrive commits.
    fn join_flush(&mut self) -> Result<(), SinkStopped> {
        if let Err(error) = self.hand_over() {
            return Err(self.shared.fail(error));
        }
        let mut flush = lock(&self.shared.flush);
        flush.arrived += 1;
        if flush.arrived == flush.workers {
            self.shared.complete_flush(&mut flush);
        } else {
            let generation = flush.generation;
            while flush.generation == generation {
                flush = self.shared.flushed.wait(flush).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if flush.failed.is_some() { Err(SinkStopped) } else { Ok(()) }
    }

    fn flush_if_requested(&mut self) -> Result<(), SinkStopped> {
        if self.shared.flush_requested.load(Ordering::Relaxed) { self.join_flush() } else { Ok(()) }
    }

    /// Counts a record and returns its number; `None` where the lake's position covers it already.
    fn next_record(&mut self) -> Option<i64> {
        let current = self.current.as_mut()?;
        let record = current.records;
        current.records += 1;
        (record >= current.covered).then(|| i64::try_from(record).unwrap_or(i64::MAX))
    }

    /// After each record: requests a flush where one is due, and takes part in a flush that was requested.
    fn after_record(&mut self) -> Result<(), SinkStopped> {
        if self.rows >= ROWS_PER_COUNT {
            let mut flush = lock(&self.shared.flush);
            flush.rows += std::mem::take(&mut self.rows);
            if flush.rows >= self.shared.options.flush_rows_max || flush.failed.is_some() {
                self.shared.flush_requested.store(true, Ordering::Relaxed);
            }
        }
        if self.staging.is_full() {
            self.shared.flush_requested.store(true, Ordering::Relaxed);
        }
        self.flush_if_requested()
    }
}

impl RecordSink for Worker<'_> {
    fn event(&mut self, event: &Event<'_>) -> Result<(), SinkStopped> {
        let Some(record) = self.next_record() else { return Ok(()) };
        self.shared.progress.event();
        let from = provenance(self.current.as_ref(), record, self.shared.options);
        match self.staging.event(event, &from, self.shared.options.oldest_micros) {
            Ok(outcome) => {
                self.ledger.count(outcome);
                self.rows += u64::from(outcome == RecordOutcome::Stored);
            }
            Err(error) => return Err(self.shared.fail(error)),
        }
        self.after_record()
    }

    fn reject(&mut self, reject: Reject) -> Result<(), SinkStopped> {
        let Some(record) = self.next_record() else { return Ok(()) };
        let from = provenance(self.current.as_ref(), record, self.shared.options);
        match self.staging.reject(&reject, &from) {
            Ok(outcome) => {
                self.ledger.count(outcome);
                if outcome == RecordOutcome::Quarantined {
                    self.shared.progress.quarantined();
                }
            }
            Err(error) => return Err(self.shared.fail(error)),
        }
        self.after_record()
    }

    fn reject_left_out(&mut self) -> Result<(), SinkStopped> {
        if self.next_record().is_some() {
            // The row that sums up the rejects of the object stands for it.
            self.ledger.count(RecordOutcome::Duplicate);
        }
        self.after_record()
    }

    fn notice(&mut self, notice: &'static str) {
        if let Some(current) = &mut self.current {
            current.notes.push(notice.to_owned());
        }
    }
}

fn provenance<'p>(
    current: Option<&'p CurrentObject>,
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

/// Counts the bytes read, for the progress display.
struct CountedReader<'p, R> {
    inner: R,
    progress: &'p Progress,
}

impl<R: std::io::Read> std::io::Read for CountedReader<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(out)?;
        self.progress.bytes(count as u64);
        Ok(count)
    }
}
