//! Compares data files with the size and the checksum that the catalog records before their rows are used: each file in full,
//! when this process opens it for the first time. A damaged file then fails the query that needs it.

use datafusion::error::DataFusionError;
use sqlx::{AnyConnection, Connection};
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use trailhound_datasets::checksum::FileDigest;
use trailhound_datasets::layout::CatalogLocation;

/// A data file as the catalog records it.
#[derive(Debug)]
struct Recorded {
    bytes: u64,
    xxh3: Option<String>,
    /// Its content was found as it was committed. Damage is not kept: the file may be put back.
    is_sound: AtomicBool,
    /// Held while the content is read, so that threads that need the file together read it once.
    reading: Mutex<()>,
}

/// The files of the lakes that this process has opened.
#[derive(Debug, Default)]
struct Files {
    recorded: HashMap<PathBuf, Arc<Recorded>>,
    /// The greatest id of a recorded file, by the folder of the data.
    known: HashMap<PathBuf, i64>,
}

static FILES: LazyLock<Mutex<Files>> = LazyLock::new(Mutex::default);

fn files() -> MutexGuard<'static, Files> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads from the catalog at `location` what it records of the files below `data_path` that this process does not know yet.
///
/// # Errors
/// The database's error.
pub(crate) async fn load(
    location: &CatalogLocation,
    data_path: &str,
) -> Result<(), DataFusionError> {
    let external = |e: sqlx::Error| DataFusionError::External(Box::new(e));
    let folder = PathBuf::from(data_path);
    sqlx::any::install_default_drivers();
    let mut catalog = AnyConnection::connect(&location.url()).await.map_err(external)?;
    let newest: Option<i64> =
        sqlx::query_scalar("SELECT max(data_file_id) FROM ducklake_data_file")
            .fetch_one(&mut catalog)
            .await
            .map_err(external)?;
    let known = files().known.get(&folder).copied().unwrap_or(-1);
    // Another catalog stands where the known one was, if its files have smaller ids.
    let after = if newest.unwrap_or(-1) < known { -1 } else { known };
    if newest == Some(after) || newest.is_none() {
        return Ok(());
    }
    let rows: Vec<(i64, String, String, i64, Option<String>)> = sqlx::query_as(
        "SELECT f.data_file_id, t.path, f.path, f.file_size_bytes, c.xxh3 FROM ducklake_data_file f \
         JOIN (SELECT DISTINCT table_id, path FROM ducklake_table) t ON t.table_id = f.table_id \
         LEFT JOIN trailhound_file_checksum c ON c.data_file_id = f.data_file_id WHERE f.data_file_id > $1",
    )
    .bind(after)
    .fetch_all(&mut catalog)
    .await
    .map_err(external)?;
    catalog.close().await.map_err(external)?;
    let mut files = files();
    let mut last = after;
    for (id, table, path, bytes, xxh3) in rows {
        last = last.max(id);
        let (path, bytes) = (folder.join("main").join(table).join(path), bytes.unsigned_abs());
        let is_same =
            |known: &Arc<Recorded>| (known.bytes, known.xxh3.as_ref()) == (bytes, xxh3.as_ref());
        if !files.recorded.get(&path).is_some_and(is_same) {
            let (is_sound, reading) = (AtomicBool::new(false), Mutex::new(()));
            let recorded = Recorded { bytes, xxh3, is_sound, reading };
            files.recorded.insert(path, Arc::new(recorded));
        }
    }
    files.known.insert(folder, last);
    Ok(())
}

/// True where [`check`] would read the file at `path`.
pub(crate) fn is_unread(path: &Path) -> bool {
    files().recorded.get(path).is_some_and(|recorded| !recorded.is_sound.load(Ordering::Acquire))
}

/// Compares the file at `path` with what its catalog records, if this process has not yet. Blocks. A file of no lake passes,
/// and one that is missing: its reader reports that.
///
/// # Errors
/// What is wrong with the file.
pub fn check(path: &Path) -> Result<(), DataFusionError> {
    let Some(recorded) = files().recorded.get(path).cloned() else { return Ok(()) };
    let _reading = recorded.reading.lock().unwrap_or_else(PoisonError::into_inner);
    if recorded.is_sound.load(Ordering::Acquire) {
        return Ok(());
    }
    let found = match File::open(path).and_then(FileDigest::of) {
        Ok(digest) => digest.difference(recorded.bytes, recorded.xxh3.as_deref()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Some(format!("it cannot be read: {error}")),
    };
    let Some(found) = found else {
        recorded.is_sound.store(true, Ordering::Release);
        return Ok(());
    };
    Err(DataFusionError::Execution(format!(
        "the data file `{}` is damaged: {found}. Nothing of it was used. Put the file back from a backup; \
         `trailhound lake verify` names every damaged file",
        path.display()
    )))
}
