//! Decodes stored events again, from the bytes that the lake has kept, where an older version
//! understood them only in part. Source positions do not change, and the ledger's counts stay
//! exact.
//!
//! Example: a version stored an event whose `userIdentity` is JSON text, without an identity. Its
//! row holds the event in `raw`. Decoded again, the row has the identity and another event key. A
//! row that turns out to be no event moves to the quarantine. One whose event turns out to be stored
//! already is dropped, and counted as a duplicate.

mod known_keys;
mod new_files;
mod read;
mod stored_row;
#[cfg(test)]
mod tests;

use crate::lake::{CatalogError, Lake, LiveFile, Replacement, Table, WriterLock};
use crate::supervisor::run_blocking;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use known_keys::{ChangedKeys, KnownKeys, copies_with_new_keys};
use new_files::NewFiles;
pub use new_files::RereadSummary;
use read::{read, unreadable};
use serde::Serialize;
use std::panic::catch_unwind;
use std::path::Path;
use stored_row::{Decoded, NewRow, StoredRow};
use tokio::runtime::Handle;

/// Rows that are named at most.
const EXAMPLES_MAX: usize = 5;

/// Stored events that this version decodes otherwise than they are stored.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HalfUnderstood {
    /// Their number.
    pub rows: u64,
    /// Source object and position of some of them.
    pub examples: Vec<String>,
}

/// Finds the stored events of `lake` that this version decodes otherwise than they are stored.
///
/// # Errors
/// [`CatalogError`] where the lake cannot be read.
pub async fn half_understood(lake: &Lake) -> Result<HalfUnderstood, CatalogError> {
    let files = lake.live_files(Table::Events).await?;
    let lake = lake.clone();
    in_background(move || {
        let mut found = HalfUnderstood::default();
        for file in files {
            // A file that is damaged or cannot be decoded is a problem of its own.
            let Ok(path) = file.checked_path(&lake) else { continue };
            if let Ok(Ok(of_file)) = catch_unwind(|| half_understood_in(&path)) {
                found.rows += of_file.rows;
                found.examples.extend(of_file.examples);
                found.examples.truncate(EXAMPLES_MAX);
            }
        }
        Ok(found)
    })
    .await
}

/// As [`half_understood`], of the file `path`.
fn half_understood_in(path: &Path) -> Result<HalfUnderstood, CatalogError> {
    let mut found = HalfUnderstood::default();
    for batch in read(path)? {
        let batch = batch.map_err(|error| unreadable(path, error.into()))?;
        for row in (0..batch.num_rows()).map(|row| StoredRow::new(&batch, row)) {
            if matches!(row.decode(), Decoded::Same) {
                continue;
            }
            found.rows += 1;
            if found.examples.len() < EXAMPLES_MAX {
                found.examples.push(row.place());
            }
        }
    }
    Ok(found)
}

/// Reads the stored events of `lake` anew, one file in one transaction. The caller holds the writer
/// lock and runs the rules over the lake afterwards. `now` is in microseconds since 1970 UTC.
///
/// # Errors
/// [`CatalogError`]; the files that were replaced before stay replaced.
pub async fn reread(lake: &Lake, _: &WriterLock, now: i64) -> Result<RereadSummary, CatalogError> {
    let mut summary = RereadSummary::default();
    for file in lake.live_files(Table::Events).await? {
        let (background_lake, runtime) = (lake.clone(), Handle::current());
        let replaced =
            in_background(move || replacement(&background_lake, &runtime, &file, now)).await?;
        let Some((replacement, changes)) = replaced else { continue };
        if let Err(error) = lake.replace_rows(&replacement, now).await {
            // After an error of the database the transaction may stand: then the files are part of the lake.
            if !matches!(error, CatalogError::Sql(_)) {
                replacement.files.iter().for_each(|file| file.discard(lake));
            }
            return Err(error);
        }
        summary.mended += changes.mended;
        summary.quarantined += changes.quarantined;
        summary.duplicate += changes.duplicate;
        summary.files += 1;
    }
    Ok(summary)
}

/// The files that replace `file` and the rows of its events in `event_copies`, and what has
/// changed; `None` where `file` can stay.
fn replacement(
    lake: &Lake,
    runtime: &Handle,
    file: &LiveFile,
    now: i64,
) -> Result<Option<(Replacement, RereadSummary)>, CatalogError> {
    let path = file.checked_path(lake)?;
    let mut can_stay = true;
    for batch in read(&path)? {
        let batch = batch.map_err(|error| unreadable(&path, error.into()))?;
        let mut rows = (0..batch.num_rows()).map(|row| StoredRow::new(&batch, row));
        can_stay &= rows.all(|row| matches!(row.decode(), Decoded::Same));
        if !can_stay {
            break;
        }
    }
    if can_stay {
        return Ok(None);
    }
    let mut files = NewFiles::new(lake, now);
    let changed = rewrite(lake, runtime, &path, &mut files)
        .and_then(|keys| copies_with_new_keys(lake, runtime, &keys, &mut files));
    let mut ended = match changed {
        Ok(ended) => ended,
        Err(error) => {
            files.discard();
            return Err(error);
        }
    };
    ended.push(file.clone());
    let (files, ledger, summary) = files.finish()?;
    Ok(Some((Replacement { ended, files, ledger }, summary)))
}

/// Writes the rows of the file `path`, as they are decoded now, to `files`.
fn rewrite(
    lake: &Lake,
    runtime: &Handle,
    path: &Path,
    files: &mut NewFiles<'_>,
) -> Result<ChangedKeys, CatalogError> {
    let mut keys = ChangedKeys::new();
    let mut known = KnownKeys::new(lake, runtime);
    for batch in read(path)? {
        let batch = batch.map_err(|error| unreadable(path, error.into()))?;
        let mut stays = Vec::with_capacity(batch.num_rows());
        for row in (0..batch.num_rows()).map(|row| StoredRow::new(&batch, row)) {
            let decoded = row.decode();
            stays.push(matches!(decoded, Decoded::Same));
            match decoded {
                Decoded::Same => {}
                Decoded::Reject(reject) => {
                    keys.extend(row.key().map(|key| (key, None)));
                    files.quarantine(&reject, &row.provenance())?;
                }
                Decoded::Other(new) => {
                    add(row, &new, &mut known, &mut keys, files)?;
                }
            }
        }
        files.keep(&filtered(&batch, stays, path)?)?;
    }
    Ok(keys)
}

/// Writes the new row of `stored`, or drops it where its event is stored already.
fn add(
    stored: StoredRow<'_>,
    new: &NewRow,
    known: &mut KnownKeys<'_>,
    keys: &mut ChangedKeys,
    files: &mut NewFiles<'_>,
) -> Result<(), CatalogError> {
    let source = stored.provenance().source;
    if stored.key() != Some(new.key) {
        keys.extend(stored.key().map(|key| (key, Some(new.key))));
        let sources = known.sources(new)?;
        let is_known = !sources.is_empty();
        let is_noted = sources.iter().any(|known| known == source);
        sources.push(source.to_owned());
        if is_known {
            return files.drop_duplicate(new, source, !is_noted);
        }
    }
    files.mend(new)
}

fn filtered(
    batch: &RecordBatch,
    stays: Vec<bool>,
    path: &Path,
) -> Result<RecordBatch, CatalogError> {
    filter_record_batch(batch, &BooleanArray::from(stays))
        .map_err(|error| unreadable(path, error.into()))
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CatalogError> + Send + 'static,
) -> Result<T, CatalogError> {
    run_blocking(work)
        .await
        .map_err(|e| CatalogError::Conflict { what: format!("reading anew broke off: {e}") })?
}
