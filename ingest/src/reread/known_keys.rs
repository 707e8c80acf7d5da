//! The keys of the stored events, and the rows of `event_copies` whose event has got a new key.

use super::new_files::NewFiles;
use super::read::{read, unreadable};
use super::stored_row::NewRow;
use crate::lake::{CatalogError, Lake, LiveFile, Table, read_keys};
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Handle;
use trailhound_datasets::layout::day_of;

/// The new key of each event whose key has changed, by its old key; `None` if the stored row turned
/// out to be no event.
pub(super) type ChangedKeys = HashMap<[u8; 16], Option<[u8; 16]>>;

/// The keys of stored events, each with the sources that delivered the event. The keys of a day are
/// read when the first event of the day is looked up.
pub(super) struct KnownKeys<'l> {
    lake: &'l Lake,
    runtime: &'l Handle,
    days: HashMap<Option<i32>, HashMap<[u8; 16], Vec<String>>>,
}

impl<'l> KnownKeys<'l> {
    pub(super) fn new(lake: &'l Lake, runtime: &'l Handle) -> Self {
        Self { lake, runtime, days: HashMap::new() }
    }

    /// The sources that have delivered the stored event with the key of `new`; empty if there is
    /// none.
    ///
    /// # Errors
    /// [`CatalogError`] where the keys cannot be read.
    pub(super) fn sources(&mut self, new: &NewRow) -> Result<&mut Vec<String>, CatalogError> {
        let day = new.event_time.map(day_of);
        if !self.days.contains_key(&day) {
            let mut keys: HashMap<[u8; 16], Vec<String>> = HashMap::new();
            for file in self.runtime.block_on(self.lake.key_files(day))? {
                read_keys(&file.path, file.table, None, |row| {
                    keys.entry(row.key).or_default().push(row.source.to_owned());
                })?;
            }
            self.days.insert(day, keys);
        }
        Ok(self.days.entry(day).or_default().entry(new.key).or_default())
    }
}

/// Rewrites each file of `event_copies` that holds one of the changed `keys`: writes its rows to
/// `files` with the new keys, without the rows of what is no event. Returns the files that are
/// replaced.
///
/// # Errors
/// [`CatalogError`] where a file cannot be read or written.
pub(super) fn copies_with_new_keys(
    lake: &Lake,
    runtime: &Handle,
    keys: &ChangedKeys,
    files: &mut NewFiles<'_>,
) -> Result<Vec<LiveFile>, CatalogError> {
    let mut ended = Vec::new();
    for file in runtime.block_on(lake.live_files(Table::EventCopies))? {
        let path = file.checked_path(lake)?;
        let mut has_changed = false;
        read_keys(&path, Table::EventCopies, None, |row| {
            has_changed |= keys.contains_key(&row.key)
        })?;
        if has_changed {
            for batch in read(&path)? {
                let batch = batch.map_err(|error| unreadable(&path, error.into()))?;
                files.copies(&with_new_keys(&batch, keys, &path)?)?;
            }
            ended.push(file);
        }
    }
    Ok(ended)
}

fn with_new_keys(
    batch: &RecordBatch,
    keys: &ChangedKeys,
    path: &Path,
) -> Result<RecordBatch, CatalogError> {
    let failed = |error: arrow::error::ArrowError| unreadable(path, error.into());
    let column = batch.schema().index_of("event_key").map_err(failed)?;
    let old = batch.column(column).as_binary::<i32>();
    let change = |key: &[u8]| -> Option<Option<[u8; 16]>> {
        keys.get(&<[u8; 16]>::try_from(key).ok()?).copied()
    };
    let new: BinaryArray = (0..old.len())
        .map(|row| match change(old.value(row)) {
            Some(Some(key)) => Some(key.to_vec()),
            _ => Some(old.value(row).to_vec()),
        })
        .collect();
    // What is no event has no row in `event_copies`.
    let stays: BooleanArray =
        (0..old.len()).map(|row| Some(change(old.value(row)) != Some(None))).collect();
    let mut columns = batch.columns().to_vec();
    columns[column] = Arc::new(new) as ArrayRef;
    let batch = RecordBatch::try_new(batch.schema(), columns).map_err(failed)?;
    filter_record_batch(&batch, &stays).map_err(failed)
}
