//! Decoded records on their way into the lake: judged against what the lake holds, gathered into batches, encoded into
//! files. Nothing here is visible to readers until a commit refers to the files.

use crate::batch::{CopyBatch, EventBatch, Provenance, QuarantineBatch};
use crate::dedup::{DedupIndex, Seen, Source};
use crate::lake::{CatalogError, Lake, LakeFile, NewFile, Table};
use crate::ledger::Fate;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use trailhound_datasets::derive::Derived;
use trailhound_datasets::event::{Event, Flag};
use trailhound_datasets::key;
use trailhound_datasets::layout::{self, Partition};
use trailhound_datasets::reject::Reject;
use xxhash_rust::xxh3::xxh3_128;

/// Rows gathered before they are encoded: some 2 MB of text, which stays in the cache from builder to encoder. Four times
/// as many cost a fifth more time, all of it in fresh pages.
const BATCH_ROWS: usize = 2048;
/// Text gathered over all partitions before the fullest is encoded, in bytes.
const GATHERED_BYTES_MAX: usize = 24 << 20;
/// Files kept open: each holds the compression state of some forty columns.
const OPEN_FILES_MAX: usize = 4;
/// Memory of the unfinished row groups before the largest file is closed, in bytes.
const ENCODING_BYTES_MAX: usize = 48 << 20;
/// Bytes of rejects gathered before a commit is asked for.
const REJECT_BYTES_MAX: usize = 16 << 20;
/// Copies gathered before a commit is asked for: some 16 MB.
const COPIES_MAX: usize = 128 * 1024;

/// Records gathered for the next commit.
pub(crate) struct Staging<'s> {
    lake: &'s Lake,
    known: &'s DedupIndex,
    batches: HashMap<Partition, EventBatch>,
    gathered_bytes: usize,
    files: HashMap<Partition, LakeFile>,
    /// The partitions of `files`, the one written longest ago first.
    written: VecDeque<Partition>,
    closed: Vec<NewFile>,
    rejects: QuarantineBatch,
    copies: HashMap<Partition, CopyBatch>,
    /// Name of the source of the record before, as the index knows it.
    source: Option<(String, Source)>,
    reasons: HashMap<&'static str, u64>,
}

/// What a commit is made of.
#[derive(Default)]
pub(crate) struct Staged {
    pub(crate) files: Vec<NewFile>,
    pub(crate) reasons: HashMap<&'static str, u64>,
}

impl<'s> Staging<'s> {
    /// Nothing gathered yet.
    pub(crate) fn new(lake: &'s Lake, known: &'s DedupIndex) -> Self {
        Self {
            lake,
            known,
            batches: HashMap::new(),
            gathered_bytes: 0,
            files: HashMap::new(),
            written: VecDeque::new(),
            closed: Vec::new(),
            rejects: QuarantineBatch::new(),
            copies: HashMap::new(),
            source: None,
            reasons: HashMap::new(),
        }
    }

    /// Takes an event. Those with a time before `oldest` (microseconds UTC) are not stored.
    pub(crate) fn event(
        &mut self,
        event: &Event<'_>,
        from: &Provenance<'_>,
        oldest: Option<i64>,
    ) -> Result<Fate, CatalogError> {
        let mut derived = Derived::of(event);
        if oldest.is_some_and(|oldest| derived.event_time.is_some_and(|time| time < oldest)) {
            return Ok(Fate::Expired);
        }
        let key = key::event_key(event, derived.event_time);
        let source = self.source(from.source);
        let partition = Partition::of(derived.event_time, from.ingested_at);
        match self.known.event(self.lake, derived.event_time, key, source)? {
            Seen::Duplicate => return Ok(Fate::Duplicate),
            Seen::Copy => {
                let copies = self
                    .copies
                    .entry(partition)
                    .or_insert_with(|| CopyBatch::new(partition.name()));
                copies.push(event, &derived, &key, from);
                return Ok(Fate::Duplicate);
            }
            Seen::Conflict => derived.flags.insert(Flag::IdConflict),
            Seen::New => {}
        }
        if derived.event_time.is_some() && matches!(partition, Partition::OutOfRange(_)) {
            derived.flags.insert(Flag::OutOfRange);
        }
        let batch =
            self.batches.entry(partition).or_insert_with(|| EventBatch::new(partition.name()));
        let before = batch.bytes();
        batch.push(event, &derived, &key, from);
        self.gathered_bytes += batch.bytes() - before;
        if batch.rows() >= BATCH_ROWS {
            self.encode(partition)?;
        } else if self.gathered_bytes > GATHERED_BYTES_MAX {
            let fullest = self
                .batches
                .iter()
                .max_by_key(|(_, batch)| batch.bytes())
                .map(|(&partition, _)| partition);
            if let Some(fullest) = fullest {
                self.encode(fullest)?;
            }
        }
        Ok(Fate::Stored)
    }

    fn source(&mut self, name: &str) -> Source {
        match &self.source {
            Some((known, source)) if known == name => *source,
            _ => self.source.insert((name.to_owned(), self.known.source(name))).1,
        }
    }

    /// Sets a reject aside.
    pub(crate) fn reject(
        &mut self,
        reject: &Reject,
        from: &Provenance<'_>,
    ) -> Result<Fate, CatalogError> {
        let key = reject_key(reject, from);
        if !self.known.reject(self.lake, key)? {
            return Ok(Fate::Duplicate);
        }
        self.rejects.push(reject, &key, from, &layout::day_text(layout::day_of(from.ingested_at)));
        *self.reasons.entry(reject.code.name()).or_default() += 1;
        Ok(Fate::Quarantined)
    }

    /// True where so much lies in memory that a commit should come soon.
    pub(crate) fn is_full(&self) -> bool {
        self.rejects.bytes() > REJECT_BYTES_MAX
            || self.copies.values().map(CopyBatch::rows).sum::<usize>() > COPIES_MAX
    }

    /// Closes everything open and gives it away. `now` dates the quarantine file.
    pub(crate) fn finish(&mut self, now: i64) -> Result<Staged, CatalogError> {
        let partitions: Vec<Partition> = self.batches.keys().copied().collect();
        for partition in partitions {
            self.encode(partition)?;
        }
        while let Some(partition) = self.written.pop_front() {
            self.close(partition)?;
        }
        self.batches.clear();
        if self.rejects.rows() > 0 {
            let day = layout::day_text(layout::day_of(now));
            let mut file = LakeFile::create(self.lake, Table::Quarantine, &day)?;
            file.write(&self.rejects.take())?;
            self.closed.push(file.close()?);
        }
        for (partition, mut copies) in self.copies.drain() {
            let mut file = LakeFile::create(self.lake, Table::Copies, &partition.name())?;
            file.write(&copies.take())?;
            self.closed.push(file.close()?);
        }
        Ok(Staged {
            files: std::mem::take(&mut self.closed),
            reasons: std::mem::take(&mut self.reasons),
        })
    }

    /// Throws away everything staged, files included.
    pub(crate) fn abandon(&mut self) {
        self.batches.clear();
        self.gathered_bytes = 0;
        self.written.clear();
        self.rejects = QuarantineBatch::new();
        self.copies.clear();
        self.reasons.clear();
        for (_, file) in self.files.drain() {
            file.discard();
        }
        for file in self.closed.drain(..) {
            file.discard(self.lake);
        }
    }

    /// Moves the gathered rows of `partition` into its file, and closes files where too much is open.
    fn encode(&mut self, partition: Partition) -> Result<(), CatalogError> {
        let Some(batch) = self.batches.get_mut(&partition).filter(|batch| batch.rows() > 0) else {
            return Ok(());
        };
        self.gathered_bytes -= batch.bytes();
        let batch = batch.take();
        let file = match self.files.entry(partition) {
            Entry::Occupied(slot) => slot.into_mut(),
            Entry::Vacant(slot) => {
                slot.insert(LakeFile::create(self.lake, Table::Events, &partition.name())?)
            }
        };
        file.write(&batch)?;
        self.written.retain(|&other| other != partition);
        self.written.push_back(partition);
        while self.files.len() > OPEN_FILES_MAX
            || self.files.values().map(LakeFile::memory).sum::<usize>() > ENCODING_BYTES_MAX
        {
            // Input mostly comes in order of time: the day written longest ago is the one that is over.
            let Some(oldest) = self.written.pop_front() else { break };
            self.close(oldest)?;
        }
        Ok(())
    }

    /// Closes the file of `partition` with the rows still gathered for it, which would else become a small file of their own.
    fn close(&mut self, partition: Partition) -> Result<(), CatalogError> {
        let Some(mut file) = self.files.remove(&partition) else { return Ok(()) };
        if let Some(mut batch) = self.batches.remove(&partition).filter(|batch| batch.rows() > 0) {
            self.gathered_bytes -= batch.bytes();
            file.write(&batch.take())?;
        }
        self.closed.push(file.close()?);
        Ok(())
    }
}

fn reject_key(reject: &Reject, from: &Provenance<'_>) -> [u8; 16] {
    let partition = from.partition.map_or_else(String::new, |partition| format!("\n{partition}"));
    let mut text = format!("{}\n{}{partition}\n{}\n", reject.code.name(), from.object, from.record)
        .into_bytes();
    text.extend_from_slice(&reject.raw);
    xxh3_128(&text).to_be_bytes()
}
