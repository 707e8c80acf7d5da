//! The files that rows are written to when they are read anew.

use super::stored_row::NewRow;
use crate::batch::{Provenance, QuarantineBatch};
use crate::lake::{CatalogError, Lake, LakeFile, LedgerShift, NewFile, Table};
use crate::staging::reject_key;
use arrow::array::{AsArray, RecordBatch};
use serde::Serialize;
use std::collections::BTreeMap;
use trailhound_datasets::columns::{COPIES, ColumnId};
use trailhound_datasets::layout;
use trailhound_datasets::reject::Reject;

/// What reading anew has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RereadSummary {
    /// Rows that are stored now as this version decodes them.
    pub mended: u64,
    /// Rows that moved to the quarantine, because they are no events.
    pub quarantined: u64,
    /// Rows that were dropped, because their event is stored already.
    pub duplicate: u64,
    /// Files of events that were replaced.
    pub files: u64,
}

/// The finished files, what they change in the ledger by source, and the counts.
pub(super) type FinishedFiles = (Vec<NewFile>, BTreeMap<String, LedgerShift>, RereadSummary);

/// New files by table and partition, and what has changed.
pub(super) struct NewFiles<'l> {
    lake: &'l Lake,
    now: i64,
    files: BTreeMap<(Table, String), LakeFile>,
    ledger: BTreeMap<String, LedgerShift>,
    summary: RereadSummary,
}

impl<'l> NewFiles<'l> {
    /// No files yet. `now` (microseconds since 1970 UTC) dates the rows of the quarantine.
    pub(super) fn new(lake: &'l Lake, now: i64) -> Self {
        Self {
            lake,
            now,
            files: BTreeMap::new(),
            ledger: BTreeMap::new(),
            summary: RereadSummary::default(),
        }
    }

    /// Writes rows of events that stay as they are, all of one partition.
    pub(super) fn keep(&mut self, rows: &RecordBatch) -> Result<(), CatalogError> {
        self.write_partition(Table::Events, ColumnId::Day as usize, rows)
    }

    /// Writes the new row of an event.
    pub(super) fn mend(&mut self, new: &NewRow) -> Result<(), CatalogError> {
        self.summary.mended += 1;
        self.write(Table::Events, new.day.clone(), &new.row)
    }

    /// Counts an event of `source` that is stored already. If `is_new`, `source` delivers it for
    /// the first time, and a row of `event_copies` is written.
    pub(super) fn drop_duplicate(
        &mut self,
        new: &NewRow,
        source: &str,
        is_new: bool,
    ) -> Result<(), CatalogError> {
        self.summary.duplicate += 1;
        self.ledger.entry(source.to_owned()).or_default().duplicate += 1;
        if !is_new {
            return Ok(());
        }
        // Each column of a copy is a column of the event.
        let columns = COPIES.arrow.fields().iter().filter_map(|field| {
            Some(new.row.column(new.row.schema().index_of(field.name()).ok()?).clone())
        });
        let copy = RecordBatch::try_new(COPIES.arrow.clone(), columns.collect())
            .map_err(|error| self.failed(error))?;
        self.write(Table::EventCopies, new.day.clone(), &copy)
    }

    /// Writes rows of `event_copies`, all of one partition.
    pub(super) fn copies(&mut self, rows: &RecordBatch) -> Result<(), CatalogError> {
        let day = rows.schema().index_of("day").map_err(|error| self.failed(error))?;
        self.write_partition(Table::EventCopies, day, rows)
    }

    /// Writes what is no event to the quarantine.
    pub(super) fn quarantine(
        &mut self,
        reject: &Reject,
        from: &Provenance<'_>,
    ) -> Result<(), CatalogError> {
        self.summary.quarantined += 1;
        self.ledger.entry(from.source.to_owned()).or_default().quarantined += 1;
        let day = layout::day_text(layout::day_of(self.now));
        let mut batch = QuarantineBatch::new();
        let from = Provenance { ingested_at: self.now, ..*from };
        batch.push(reject, &reject_key(reject, &from), &from, &day);
        self.write(Table::Quarantine, day, &batch.take())
    }

    fn write_partition(
        &mut self,
        table: Table,
        day: usize,
        rows: &RecordBatch,
    ) -> Result<(), CatalogError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let day = rows.column(day).as_string::<i32>().value(0).to_owned();
        self.write(table, day, rows)
    }

    fn write(&mut self, table: Table, day: String, rows: &RecordBatch) -> Result<(), CatalogError> {
        let key = (table, day);
        if let Some(file) = self.files.get_mut(&key) {
            return file.write(rows);
        }
        let mut file = LakeFile::create(self.lake, table, &key.1)?;
        let written = file.write(rows);
        self.files.insert(key, file);
        written
    }

    fn failed(&self, source: arrow::error::ArrowError) -> CatalogError {
        CatalogError::Parquet { path: self.lake.folder().to_owned(), source: source.into() }
    }

    /// Removes the unfinished files.
    pub(super) fn discard(self) {
        self.files.into_values().for_each(LakeFile::discard);
    }

    /// Finishes the files.
    ///
    /// # Errors
    /// [`CatalogError`] where a file cannot be finished; none is left then.
    pub(super) fn finish(self) -> Result<FinishedFiles, CatalogError> {
        let mut finished: Vec<NewFile> = Vec::new();
        let mut files = self.files.into_values();
        while let Some(file) = files.next() {
            match file.close() {
                Ok(file) => finished.push(file),
                Err(error) => {
                    files.for_each(LakeFile::discard);
                    finished.iter().for_each(|file| file.discard(self.lake));
                    return Err(error);
                }
            }
        }
        Ok((finished, self.ledger, self.summary))
    }
}
