//! Where a lake's catalogue is, and connections to it.

use super::catalog::CatalogError;
use crate::secret::SecretRef;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, Connection, Executor};
use std::path::Path;
use std::str::FromStr;
use trailhound_datasets::layout::{CATALOG_FILE, CATALOG_REFERENCE_FILE, CatalogLocation};

/// The catalogue's tables.
pub(super) const SCHEMA: &str = include_str!("schema.sql");
/// Connections held at most, but for the one of [`writer_pool`].
const CONNECTIONS: u32 = 4;

/// The catalogue of the lake in `folder`; `None` where there is no lake.
///
/// # Errors
/// [`CatalogError`] where the folder says that its catalogue is in PostgreSQL but not how to reach it.
pub fn find(folder: &Path) -> Result<Option<CatalogLocation>, CatalogError> {
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

/// Connects to the catalogue; an SQLite file is made where `create` says so.
pub(super) async fn connect(
    place: &CatalogLocation,
    create: bool,
) -> Result<AnyPool, CatalogError> {
    let mode = match place {
        CatalogLocation::Sqlite(_) if create => "?mode=rwc",
        _ => "",
    };
    Ok(pool(CONNECTIONS, settings(place)).connect_with(options(place, mode)?).await?)
}

/// The way to the catalogue for all who write. SQLite lets one write at a time; whoever finds it busy tries again after a while, and what
/// one connection has read another's write makes it forget. So they take one connection in turn.
pub(super) fn writer_pool(
    place: &CatalogLocation,
    others: &AnyPool,
) -> Result<AnyPool, CatalogError> {
    match place {
        CatalogLocation::Sqlite(_) => {
            Ok(pool(1, &[BUSY, WAL, FULL, LARGE, SELDOM]).connect_lazy_with(options(place, "")?))
        }
        CatalogLocation::Postgresql(_) => Ok(others.clone()),
    }
}

fn options(place: &CatalogLocation, mode: &str) -> Result<AnyConnectOptions, CatalogError> {
    sqlx::any::install_default_drivers();
    Ok(AnyConnectOptions::from_str(&format!("{}{mode}", place.url()))?)
}

fn pool(connections: u32, settings: &'static [&'static str]) -> AnyPoolOptions {
    AnyPoolOptions::new().max_connections(connections).after_connect(move |connection, _| {
        Box::pin(async move {
            for setting in settings {
                connection.execute(*setting).await?;
            }
            Ok(())
        })
    })
}

const BUSY: &str = "PRAGMA busy_timeout = 30000";
const WAL: &str = "PRAGMA journal_mode = WAL";
/// A commit must survive a power cut, or a position could come back without its data.
const FULL: &str = "PRAGMA synchronous = FULL";
/// Findings lie by their ids, so that many of them lie all over: 64 MiB of what was read are held.
const LARGE: &str = "PRAGMA cache_size = -65536";
/// In a flood the same pages change again and again: they are copied from the log once it has 64 MiB, not 4.
const SELDOM: &str = "PRAGMA wal_autocheckpoint = 16384";

fn settings(place: &CatalogLocation) -> &'static [&'static str] {
    match place {
        CatalogLocation::Sqlite(_) => &[BUSY, WAL, FULL],
        CatalogLocation::Postgresql(_) => &["SET TIME ZONE 'UTC'", "SET synchronous_commit = on"],
    }
}

/// The statements that make the tables of an empty catalogue.
pub(super) fn schema(place: &CatalogLocation) -> sqlx::AssertSqlSafe<String> {
    let types = match place {
        CatalogLocation::Sqlite(_) => [
            ("{boolean}", "BIGINT"),
            ("{instant}", "VARCHAR"),
            ("{uuid}", "VARCHAR"),
            ("{without_rowid}", " WITHOUT ROWID"),
            ("{bytewise}", ""),
        ],
        CatalogLocation::Postgresql(_) => [
            ("{boolean}", "BOOLEAN"),
            ("{instant}", "TIMESTAMPTZ"),
            ("{uuid}", "UUID"),
            ("{without_rowid}", ""),
            ("{bytewise}", "COLLATE \"C\""),
        ],
    };
    let schema =
        types.into_iter().fold(SCHEMA.to_owned(), |text, (name, here)| text.replace(name, here));
    sqlx::AssertSqlSafe(schema)
}

/// True where the catalogue has no tables yet.
pub(super) async fn is_empty(
    db: &mut AnyConnection,
    place: &CatalogLocation,
) -> Result<bool, CatalogError> {
    let tables = match place {
        CatalogLocation::Sqlite(_) => "SELECT count(*) FROM sqlite_master WHERE type = 'table'",
        CatalogLocation::Postgresql(_) => {
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = 'ducklake_snapshot'"
        }
    };
    Ok(sqlx::query_scalar::<_, i64>(tables).fetch_one(db).await? == 0)
}

/// A transaction in which tables can be made, by one at a time.
pub(super) async fn begin_empty<'c>(
    connection: &'c mut AnyConnection,
    place: &CatalogLocation,
) -> Result<sqlx::Transaction<'c, sqlx::Any>, CatalogError> {
    match place {
        CatalogLocation::Sqlite(_) => begin(connection, place).await,
        CatalogLocation::Postgresql(_) => {
            let mut transaction = connection.begin().await?;
            // Any number that all of us agree on: there is no table to lock yet.
            transaction.execute("SELECT pg_advisory_xact_lock(7261696)").await?;
            Ok(transaction)
        }
    }
}

/// A transaction that holds the right to write from its start.
pub(super) async fn begin<'c>(
    connection: &'c mut AnyConnection,
    place: &CatalogLocation,
) -> Result<sqlx::Transaction<'c, sqlx::Any>, CatalogError> {
    match place {
        CatalogLocation::Sqlite(_) => Ok(connection.begin_with("BEGIN IMMEDIATE").await?),
        CatalogLocation::Postgresql(_) => {
            let mut transaction = connection.begin().await?;
            // One writer at a time, whoever it is; readers go on.
            transaction.execute("LOCK TABLE ducklake_snapshot IN EXCLUSIVE MODE").await?;
            Ok(transaction)
        }
    }
}
