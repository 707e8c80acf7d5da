//! The staging area: decoded records between decoder and commit. Staging deduplicates records, collects them into batches,
//! and encodes the batches into Parquet files. Readers of the lake see none of it until a commit refers to the files.

use crate::batch::{CopyBatch, EventBatch, Provenance, QuarantineBatch};
use crate::dedup::{DedupIndex, DedupOutcome, SourceBit};
use crate::fact_counts::SourceFacts;
use crate::lake::{CatalogError, Lake, LakeFile, NewFile, Table};
use crate::ledger::RecordOutcome;
use crate::reject_keys::RejectOutcome;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use trailhound_datasets::derive::DerivedFacts;
use trailhound_datasets::event::{Event, Flag};
use trailhound_datasets::key;
use trailhound_datasets::layout::{self, Partition};
use trailhound_datasets::reject::{Reject, RejectCode};
use xxhash_rust::xxh3::xxh3_128;

/// Rows of a batch: about 2 MB of text, which stays in the cache between builder and encoder. Four times as many rows take a
/// fifth more time, all of it for fresh pages.
const BATCH_ROWS: usize = 2048;
/// Bytes in the batches of all partitions before the largest batch is encoded.
const BATCH_BYTES_MAX: usize = 24 << 20;
/// Files open at a time: each holds the compression state of some forty columns.
const OPEN_FILES_MAX: usize = 4;
/// Memory of all unfinished row groups, in bytes, before a file is closed.
const ENCODING_BYTES_MAX: usize = 48 << 20;
/// Bytes of rejects before a commit is requested.
const REJECT_BYTES_MAX: usize = 16 << 20;
/// Copies before a commit is requested: about 16 MB.
const COPIES_MAX: usize = 128 * 1024;

/// Records staged for the next commit.
pub(crate) struct Staging<'s> {
    lake: &'s Lake,
    dedup: &'s DedupIndex,
    batches: HashMap<Partition, EventBatch>,
    /// Bytes in `batches`.
    batch_bytes: usize,
    files: HashMap<Partition, LakeFile>,
    /// The partitions of `files`, least recently written first.
    written: VecDeque<Partition>,
    closed: Vec<NewFile>,
    rejects: QuarantineBatch,
    copies: HashMap<Partition, CopyBatch>,
    /// Name and bit of the previous record's source.
    source: Option<(String, SourceBit)>,
    /// Number of rejects by code.
    reasons: HashMap<&'static str, u64>,
    facts: SourceFacts,
}

/// The staged records as finished files.
#[derive(Default)]
pub(crate) struct StagedFiles {
    pub(crate) files: Vec<NewFile>,
    /// Number of quarantined records by reject code.
    pub(crate) reasons: HashMap<&'static str, u64>,
    /// The facts of the staged events.
    pub(crate) facts: SourceFacts,
}

impl<'s> Staging<'s> {
    /// An empty staging area.
    pub(crate) fn new(lake: &'s Lake, dedup: &'s DedupIndex) -> Self {
        Self {
            lake,
            dedup,
            batches: HashMap::new(),
            batch_bytes: 0,
            files: HashMap::new(),
            written: VecDeque::new(),
            closed: Vec::new(),
            rejects: QuarantineBatch::new(),
            copies: HashMap::new(),
            source: None,
            reasons: HashMap::new(),
            facts: SourceFacts::new(),
        }
    }

    /// Stages an event. Events with a time before `oldest` (microseconds since 1970 UTC) have expired and are not stored.
    pub(crate) fn event(
        &mut self,
        event: &Event<'_>,
        from: &Provenance<'_>,
        oldest: Option<i64>,
    ) -> Result<RecordOutcome, CatalogError> {
        let mut derived = DerivedFacts::of(event);
        if oldest.is_some_and(|oldest| derived.event_time.is_some_and(|time| time < oldest)) {
            return Ok(RecordOutcome::Expired);
        }
        let key = key::event_key(event, derived.event_time);
        let source = self.source(from.source);
        let partition = Partition::of(derived.event_time, from.ingested_at);
        match self.dedup.event(self.lake, derived.event_time, key, source)? {
            DedupOutcome::Duplicate => return Ok(RecordOutcome::Duplicate),
            DedupOutcome::Copy => {
                let copies = self
                    .copies
                    .entry(partition)
                    .or_insert_with(|| CopyBatch::new(partition.name()));
                copies.push(event, &derived, &key, from);
                return Ok(RecordOutcome::Duplicate);
            }
            DedupOutcome::Conflict => derived.flags.insert(Flag::IdConflict),
            DedupOutcome::New => {}
        }
        if derived.event_time.is_some() && matches!(partition, Partition::OutOfRange(_)) {
            derived.flags.insert(Flag::OutOfRange);
        }
        let batch =
            self.batches.entry(partition).or_insert_with(|| EventBatch::new(partition.name()));
        let before = batch.bytes();
        batch.push(event, &derived, &key, from);
        match self.facts.get_mut(from.source) {
            Some(facts) => facts.count(event, &derived),
            None => self.facts.entry(from.source.to_owned()).or_default().count(event, &derived),
        }
        self.batch_bytes += batch.bytes() - before;
        if batch.rows() >= BATCH_ROWS {
            self.encode(partition)?;
        } else if self.batch_bytes > BATCH_BYTES_MAX {
            let fullest = self
                .batches
                .iter()
                .max_by_key(|(_, batch)| batch.bytes())
                .map(|(&partition, _)| partition);
            if let Some(fullest) = fullest {
                self.encode(fullest)?;
            }
        }
        Ok(RecordOutcome::Stored)
    }

    /// The bit of the source `name`.
    fn source(&mut self, name: &str) -> SourceBit {
        match &self.source {
            Some((known, source)) if known == name => *source,
            _ => self.source.insert((name.to_owned(), self.dedup.source(name))).1,
        }
    }

    /// Stages a reject for the quarantine.
    pub(crate) fn reject(
        &mut self,
        reject: &Reject,
        from: &Provenance<'_>,
    ) -> Result<RecordOutcome, CatalogError> {
        let (key, day) = (reject_key(reject, from), layout::day_of(from.ingested_at));
        match self.dedup.reject(self.lake, key, from.source, day)? {
            RejectOutcome::Known => return Ok(RecordOutcome::Duplicate),
            RejectOutcome::New => self.quarantine(reject, &key, from),
            RejectOutcome::BeyondLimit => {
                let summing = summing_reject();
                let key = summing_key(from, day);
                if !self.dedup.summing_reject(key) {
                    // The row that sums up the rejects of the object and day stands for it.
                    return Ok(RecordOutcome::Duplicate);
                }
                self.quarantine(&summing, &key, from);
            }
        }
        Ok(RecordOutcome::Quarantined)
    }

    fn quarantine(&mut self, reject: &Reject, key: &[u8; 16], from: &Provenance<'_>) {
        self.rejects.push(reject, key, from, &layout::day_text(layout::day_of(from.ingested_at)));
        *self.reasons.entry(reject.code.name()).or_default() += 1;
    }

    /// True where memory is so full that a commit is due.
    pub(crate) fn is_full(&self) -> bool {
        self.rejects.bytes() > REJECT_BYTES_MAX
            || self.copies.values().map(CopyBatch::rows).sum::<usize>() > COPIES_MAX
    }

    /// Finishes all files and returns them; the staging area is empty afterwards. `now` (microseconds since 1970 UTC) dates
    /// the quarantine file.
    pub(crate) fn finish(&mut self, now: i64) -> Result<StagedFiles, CatalogError> {
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
            let mut file = LakeFile::create(self.lake, Table::EventCopies, &partition.name())?;
            file.write(&copies.take())?;
            self.closed.push(file.close()?);
        }
        Ok(StagedFiles {
            files: std::mem::take(&mut self.closed),
            reasons: std::mem::take(&mut self.reasons),
            facts: std::mem::take(&mut self.facts),
        })
    }

    /// Discards everything staged and removes its files.
    pub(crate) fn discard(&mut self) {
        self.batches.clear();
        self.batch_bytes = 0;
        self.written.clear();
        self.rejects = QuarantineBatch::new();
        self.copies.clear();
        self.reasons.clear();
        self.facts.clear();
        for (_, file) in self.files.drain() {
            file.discard();
        }
        for file in self.closed.drain(..) {
            file.discard(self.lake);
        }
    }

    /// Writes the batch of `partition` to its file, and closes files where the limits are exceeded.
    fn encode(&mut self, partition: Partition) -> Result<(), CatalogError> {
        let Some(batch) = self.batches.get_mut(&partition).filter(|batch| batch.rows() > 0) else {
            return Ok(());
        };
        self.batch_bytes -= batch.bytes();
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
            // Input mostly arrives in order of time, so the day written least recently is most likely complete.
            let Some(oldest) = self.written.pop_front() else { break };
            self.close(oldest)?;
        }
        Ok(())
    }

    /// Closes the file of `partition`. The rows still in its batch are written first; they would otherwise become a small file
    /// of their own.
    fn close(&mut self, partition: Partition) -> Result<(), CatalogError> {
        let Some(mut file) = self.files.remove(&partition) else { return Ok(()) };
        if let Some(mut batch) = self.batches.remove(&partition).filter(|batch| batch.rows() > 0) {
            self.batch_bytes -= batch.bytes();
            file.write(&batch.take())?;
        }
        self.closed.push(file.close()?);
        Ok(())
    }
}

/// Key of a reject: hash of its code, place and bytes.
pub(crate) fn reject_key(reject: &Reject, from: &Provenance<'_>) -> [u8; 16] {
    let partition = from.partition.map_or_else(String::new, |partition| format!("\n{partition}"));
    let mut text = format!("{}\n{}{partition}\n{}\n", reject.code.name(), from.object, from.record)
        .into_bytes();
    text.extend_from_slice(&reject.raw);
    xxh3_128(&text).to_be_bytes()
}

/// Key of the reject that sums up those of one object, or partition, on one day.
fn summing_key(from: &Provenance<'_>, day: i32) -> [u8; 16] {
    let partition = from.partition.map_or_else(String::new, |partition| format!("\n{partition}"));
    let code = RejectCode::TooManyRejects.name();
    let text = format!("{code}\n{}\n{}{partition}\n{day}", from.source, from.object);
    xxh3_128(text.as_bytes()).to_be_bytes()
}

/// The reject that stands for those of an object whose source has had too many on one day.
fn summing_reject() -> Reject {
    Reject {
        code: RejectCode::TooManyRejects,
        byte_offset: 0,
        expected: "fewer records of one source on one day that are no events".to_owned(),
        found:
            "more of them: those of this object from here on have no rows of their own on this day"
                .to_owned(),
        hint: "the object or topic is whole at its source: find out who writes it, and ingest it again when the cause is mended",
        raw: Vec::new(),
        raw_length: None,
    }
}
