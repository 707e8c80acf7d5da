//! Where a lake's catalog is, connections to it, and transactions on it.

use super::error::CatalogError;
use super::private;
use crate::secret::SecretRef;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyConnection, AnyPool, Connection, Executor, Transaction};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use trailhound_datasets::layout::{
    CATALOG_FILE, CATALOG_REFERENCE_FILE, CatalogLocation, FILES_FOLDER,
};

/// Name of the head record in the lake's folder.
pub(super) const HEAD_FILE: &str = "head.json";
/// Maximum number of connections, without the connection of [`writer_pool`].
const CONNECTIONS: u32 = 4;

/// The location of the catalog of the lake in `folder`; `None` where there is no lake.
///
/// # Errors
/// [`CatalogError`] where the folder says that its catalog is in PostgreSQL but not how to reach it.
pub fn find_catalog(folder: &Path) -> Result<Option<CatalogLocation>, CatalogError> {
    let reference = folder.join(CATALOG_REFERENCE_FILE);
    if reference.is_file() {
        let text = std::fs::read_to_string(&reference)
            .map_err(|source| CatalogError::File { path: reference.clone(), source })?;
        let url = SecretRef::new(text.trim())
            .read(folder)
            .map_err(|reason| CatalogError::Reference { path: reference, reason })?;
        return Ok(Some(CatalogLocation::Postgresql(url)));
    }
    let file = folder.join(CATALOG_FILE);
    Ok(file.is_file().then_some(CatalogLocation::Sqlite(file)))
}

/// Refuses to make a catalog in a folder that holds the data of a lake.
///
/// # Errors
/// [`CatalogError::CatalogMissing`].
pub(super) fn refuse_if_data_exists(folder: &Path) -> Result<(), CatalogError> {
    let data = folder.join(FILES_FOLDER);
    let mut files = 0;
    for entry in walkdir::WalkDir::new(&data) {
        let entry = match entry {
            Err(error) if error.io_error().is_some_and(|e| e.kind() == ErrorKind::NotFound) => {
                continue;
            }
            entry => entry.map_err(|error| CatalogError::File {
                path: error.path().unwrap_or(&data).to_owned(),
                source: error.into(),
            })?,
        };
        let is_data = entry.path().extension().is_some_and(|e| e == "parquet");
        files += usize::from(is_data && entry.file_type().is_file());
    }
    if files > 0 || folder.join(HEAD_FILE).exists() {
        return Err(CatalogError::CatalogMissing { folder: folder.to_owned(), files });
    }
    Ok(())
}

/// Connects to the catalog. If `create` is true, creates a missing SQLite file.
pub(super) async fn connect(
    location: &CatalogLocation,
    create: bool,
) -> Result<AnyPool, CatalogError> {
    if let (CatalogLocation::Sqlite(path), true) = (location, create) {
        // SQLite would make it readable for everybody. Its logs get the permissions of the file.
        match private::create_new(path) {
            // A file that is there is not opened here: closing it would release SQLite's locks of this process.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => {
                made.map_err(|source| CatalogError::File { path: path.clone(), source })?;
            }
        }
    }
    Ok(pool(CONNECTIONS, settings(location)).connect_with(options(location, "")?).await?)
}

/// Connects to a catalog so that nothing can be written to it.
pub(super) fn connect_to_read(location: &CatalogLocation) -> Result<AnyPool, CatalogError> {
    Ok(pool(CONNECTIONS, &[BUSY_TIMEOUT]).connect_lazy_with(options(location, "?mode=ro")?))
}

/// Connects to an SQLite catalog that nobody else uses, with the journal that it has.
pub(super) fn connect_plainly(location: &CatalogLocation) -> Result<AnyPool, CatalogError> {
    Ok(pool(1, &[BUSY_TIMEOUT]).connect_lazy_with(options(location, "")?))
}

/// True where the SQLite catalog exists and cannot be written: the file, or the folder, in which SQLite keeps its log.
pub(super) fn is_read_only(location: &CatalogLocation, folder: &Path) -> bool {
    use rustix::fs::{Access, access};
    let CatalogLocation::Sqlite(path) = location else { return false };
    path.exists()
        && [path.as_path(), folder].into_iter().any(|path| access(path, Access::WRITE_OK).is_err())
}

/// A copy of a SQLite catalog in a folder of its own, which is removed with this value.
#[derive(Debug)]
pub(super) struct CatalogCopy {
    /// Where the copy is.
    pub(super) location: CatalogLocation,
    _folder: tempfile::TempDir,
}

/// Copies the SQLite catalog at `location` of the lake in `folder` with what stands in its write-ahead log.
///
/// # Errors
/// [`CatalogError::File`]; [`CatalogError::Conflict`] where somebody else writes the catalog meanwhile.
pub(super) fn copy_catalog(
    location: &CatalogLocation,
    folder: &Path,
) -> Result<CatalogCopy, CatalogError> {
    let CatalogLocation::Sqlite(path) = location else {
        return Err(CatalogError::ReadOnly { folder: folder.to_owned() });
    };
    let failed = |source| CatalogError::File { path: path.clone(), source };
    let aside = tempfile::Builder::new().prefix("trailhound-catalog-").tempdir().map_err(failed)?;
    let target = aside.path().join(CATALOG_FILE);
    let pairs = [(path.clone(), target.clone()), (write_ahead_log(path), write_ahead_log(&target))];
    let state = || {
        pairs.each_ref().map(|(from, _)| {
            from.metadata().ok().map(|metadata| (metadata.len(), metadata.modified().ok()))
        })
    };
    let before = state();
    for (from, to) in &pairs {
        if from.exists() {
            let mut copy = std::fs::File::create(to).map_err(failed)?;
            let mut original = std::fs::File::open(from).map_err(failed)?;
            std::io::copy(&mut original, &mut copy).map_err(failed)?;
        }
    }
    if state() != before {
        return Err(CatalogError::Conflict {
            what: format!("`{}` was written while it was copied", path.display()),
        });
    }
    Ok(CatalogCopy { location: CatalogLocation::Sqlite(target), _folder: aside })
}

/// The write-ahead log of the SQLite file `path`.
fn write_ahead_log(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Connections for writing. SQLite lets one connection write at a time, the others wait and poll, and each write invalidates
/// the page caches of the other connections. So all writers of this process share one connection.
pub(super) fn writer_pool(
    location: &CatalogLocation,
    others: &AnyPool,
) -> Result<AnyPool, CatalogError> {
    match location {
        CatalogLocation::Sqlite(_) => {
            let settings = &[BUSY_TIMEOUT, WAL, FULL_SYNC, LARGE_CACHE, RARE_CHECKPOINTS];
            Ok(pool(1, settings).connect_lazy_with(options(location, "")?))
        }
        CatalogLocation::Postgresql(_) => Ok(others.clone()),
    }
}

fn options(location: &CatalogLocation, mode: &str) -> Result<AnyConnectOptions, CatalogError> {
    sqlx::any::install_default_drivers();
    Ok(AnyConnectOptions::from_str(&format!("{}{mode}", location.url()))?)
}

fn pool(connections: u32, settings: &'static [&'static str]) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                for setting in settings {
                    connection.execute(*setting).await?;
                }
                Ok(())
            })
        })
        .before_acquire(|connection, _| {
            // On a full disk SQLite rolls a transaction back by itself. The library's own rollback
            // then fails, and it takes the connection for one inside a transaction for good. Such
            // a connection is closed, and a new one opened.
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        })
}

const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout = 30000";
const WAL: &str = "PRAGMA journal_mode = WAL";
/// A commit must survive a power cut. Otherwise a stored position could refer to lost data.
const FULL_SYNC: &str = "PRAGMA synchronous = FULL";
/// Findings are stored by their ids, so that an update of many touches pages everywhere: 64 MiB of pages are cached.
const LARGE_CACHE: &str = "PRAGMA cache_size = -65536";
/// Storing many findings changes the same pages again and again. So the write-ahead log is
/// checkpointed at 64 MiB instead of 4 MiB.
const RARE_CHECKPOINTS: &str = "PRAGMA wal_autocheckpoint = 16384";

fn settings(location: &CatalogLocation) -> &'static [&'static str] {
    match location {
        CatalogLocation::Sqlite(_) => &[BUSY_TIMEOUT, WAL, FULL_SYNC],
        CatalogLocation::Postgresql(_) => &["SET TIME ZONE 'UTC'", "SET synchronous_commit = on"],
    }
}

/// True where the catalog has no tables yet.
pub(super) async fn is_empty(
    db: &mut AnyConnection,
    location: &CatalogLocation,
) -> Result<bool, CatalogError> {
    let tables = match location {
        CatalogLocation::Sqlite(_) => "SELECT count(*) FROM sqlite_master WHERE type = 'table'",
        CatalogLocation::Postgresql(_) => {
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = 'ducklake_snapshot'"
        }
    };
    Ok(sqlx::query_scalar::<_, i64>(tables).fetch_one(db).await? == 0)
}

/// A transaction that may make the tables of an empty catalog; one process at a time has it.
pub(super) async fn begin_empty<'c>(
    connection: &'c mut AnyConnection,
    location: &CatalogLocation,
) -> Result<Transaction<'c, Any>, CatalogError> {
    let mut transaction = begin_write(connection, location).await?;
    if let CatalogLocation::Postgresql(_) = location {
        // There is no table to lock yet. Every process uses this number.
        transaction.execute("SELECT pg_advisory_xact_lock(7261696)").await?;
    }
    Ok(transaction)
}

/// A transaction that adds a snapshot: no other process adds one meanwhile; readers continue.
pub(super) async fn begin_exclusive<'c>(
    connection: &'c mut AnyConnection,
    location: &CatalogLocation,
) -> Result<Transaction<'c, Any>, CatalogError> {
    let mut transaction = begin_write(connection, location).await?;
    if let CatalogLocation::Postgresql(_) = location {
        transaction.execute("LOCK TABLE ducklake_snapshot IN EXCLUSIVE MODE").await?;
    }
    Ok(transaction)
}

/// A transaction that writes. On SQLite it is the only writer from its start, so that nothing it reads changes before it
/// writes.
pub(super) async fn begin_write<'c>(
    connection: &'c mut AnyConnection,
    location: &CatalogLocation,
) -> Result<Transaction<'c, Any>, CatalogError> {
    match location {
        CatalogLocation::Sqlite(_) => Ok(connection.begin_with("BEGIN IMMEDIATE").await?),
        CatalogLocation::Postgresql(_) => Ok(connection.begin().await?),
    }
}
