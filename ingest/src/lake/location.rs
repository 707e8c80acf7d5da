//! Where a lake's catalog is, connections to it, and transactions on it.

use super::error::CatalogError;
use super::private;
use crate::secret::SecretRef;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyConnection, AnyPool, Connection, Executor, Transaction};
use std::path::Path;
use std::str::FromStr;
use trailhound_datasets::layout::{CATALOG_FILE, CATALOG_REFERENCE_FILE, CatalogLocation};

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
    Ok(pool(CONNECTIONS, settings(location)).connect_with(options(location)?).await?)
}

/// Connects to the SQLite catalog of a read-only folder, with the option `immutable`: SQLite
/// assumes that no process changes the file.
pub(super) async fn connect_read_only(
    location: &CatalogLocation,
) -> Result<AnyConnection, CatalogError> {
    sqlx::any::install_default_drivers();
    Ok(AnyConnection::connect(&format!("{}?mode=ro&immutable=true", location.url())).await?)
}

/// True if the SQLite catalog has commits in its write-ahead log that are not in its file yet.
pub(super) fn has_write_ahead_log(location: &CatalogLocation) -> bool {
    let CatalogLocation::Sqlite(path) = location else { return false };
    let mut log = path.clone().into_os_string();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > 0)
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
            Ok(pool(1, settings).connect_lazy_with(options(location)?))
        }
        CatalogLocation::Postgresql(_) => Ok(others.clone()),
    }
}

fn options(location: &CatalogLocation) -> Result<AnyConnectOptions, CatalogError> {
    sqlx::any::install_default_drivers();
    Ok(AnyConnectOptions::from_str(&location.url())?)
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
