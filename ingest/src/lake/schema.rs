//! Makes the catalog's tables in an empty database, and migrates those of older lakes.
//!
//! [`trailhound_datasets::catalog_schema`] says how each crate describes its tables. Here all table sets of a lake are
//! created together and migrated together, each in one transaction: a process that is killed in between leaves the catalog as
//! it was, and of two processes that open an old lake at once the second finds it migrated.

use super::ducklake;
use super::error::CatalogError;
use super::instant::time_text;
use super::location;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Executor};
use std::collections::BTreeMap;
use std::path::Path;
use trailhound_datasets::catalog_schema::{Migration, TableSet, VERSION_QUERY, VERSIONS_TABLE};
use trailhound_datasets::layout::CatalogLocation;

/// DuckLake's tables and those of ingest.
pub(super) const LAKE_TABLES: TableSet = TableSet {
    component: "lake",
    version: 9,
    create: include_str!("schema.sql"),
    migrations: &[Migration {
        to: 9,
        locks: &[
            "trailhound_lease",
            "trailhound_position",
            "trailhound_ledger",
            "trailhound_file",
            "ducklake_table",
        ],
        statements: include_str!("migrations/lake_9.sql"),
    }],
};

/// The log of queries.
pub(super) const QUERY_LOG_TABLES: TableSet = TableSet {
    component: "query_log",
    version: 9,
    create: include_str!("query_log.sql"),
    migrations: &[Migration {
        to: 9,
        locks: &["trailhound_query"],
        statements: include_str!("migrations/query_log_9.sql"),
    }],
};

/// What the service saw at the last look at each source.
pub(super) const SURVEY_TABLES: TableSet = TableSet {
    component: "surveys",
    version: 1,
    create: include_str!("surveys.sql"),
    migrations: &[],
};

/// 0.1.0 recorded one version for all tables, under [`VERSION_KEY`] alone.
const VERSION_OF_0_1_0: i64 = 8;
/// The table sets whose tables 0.1.0 made.
const COMPONENTS_OF_0_1_0: [&str; 3] = ["lake", "query_log", "findings"];
/// Key in `ducklake_metadata` by which a trailhound lake is recognized, and by which 0.1.0 refuses it.
const VERSION_KEY: &str = "trailhound_version";
/// Its value since 0.2.0: the versions stand in [`VERSIONS_TABLE`].
const VERSION_VALUE: &str = "9";

/// The table sets of a lake: those of this crate, then `others`.
pub(super) fn table_sets(others: &[TableSet]) -> Vec<TableSet> {
    [LAKE_TABLES, QUERY_LOG_TABLES, SURVEY_TABLES]
        .into_iter()
        .chain(others.iter().copied())
        .collect()
}

/// Makes all tables where the catalog has none. `data_path` is the folder of the data files, `now` the time of the first
/// snapshot (microseconds UTC).
pub(super) async fn create_if_empty(
    pool: &AnyPool,
    location: &CatalogLocation,
    sets: &[TableSet],
    data_path: &str,
    now: i64,
) -> Result<(), CatalogError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = location::begin_empty(&mut connection, location).await?;
    if location::is_empty(&mut transaction, location).await? {
        create_tables(&mut transaction, location, sets).await?;
        for (key, value) in [
            ("version", "1.0"),
            ("created_by", concat!("trailhound ", env!("CARGO_PKG_VERSION"))),
            ("data_path", data_path),
            ("encrypted", "false"),
            (VERSION_KEY, VERSION_VALUE),
        ] {
            sqlx::query("INSERT INTO ducklake_metadata(key, value) VALUES ($1, $2)")
                .bind(key)
                .bind(value)
                .execute(&mut *transaction)
                .await?;
        }
        for set in sets {
            record(&mut transaction, set).await?;
        }
        ducklake::create(&mut transaction, now).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Makes the tables of `sets`, empty.
pub(super) async fn create_tables(
    db: &mut AnyConnection,
    location: &CatalogLocation,
    sets: &[TableSet],
) -> Result<(), CatalogError> {
    for set in sets {
        execute_template(db, location, set.create, 0).await?;
    }
    Ok(())
}

/// Migrates the tables of an older lake to the versions of `sets`, in one transaction at `now` (microseconds UTC).
///
/// # Errors
/// [`CatalogError::Version`] where this is no lake, [`CatalogError::Newer`] where a newer program has migrated it,
/// [`CatalogError::Migration`] where the migration fails; nothing was changed then.
pub(super) async fn migrate_if_older(
    pool: &AnyPool,
    location: &CatalogLocation,
    folder: &Path,
    sets: &[TableSet],
    now: i64,
) -> Result<(), CatalogError> {
    let mut connection = pool.acquire().await?;
    let recorded = recorded_versions(&mut connection, folder).await?;
    let Some((found, needed)) = outdated(&recorded, sets, folder)? else { return Ok(()) };
    tracing::info!(found, needed, "migrating the lake's catalog");
    migrate(&mut connection, location, folder, sets, now).await.map_err(|error| match error {
        CatalogError::Sql(error) => CatalogError::Migration {
            folder: folder.to_owned(),
            found,
            needed,
            reason: error.to_string(),
        },
        error => error,
    })
}

/// As [`outdated`], for a catalog that is not migrated.
pub(super) async fn find_outdated(
    pool: &AnyPool,
    folder: &Path,
    sets: &[TableSet],
) -> Result<Option<(i64, i64)>, CatalogError> {
    let mut connection = pool.acquire().await?;
    let recorded = recorded_versions(&mut connection, folder).await?;
    outdated(&recorded, sets, folder)
}

async fn migrate(
    connection: &mut AnyConnection,
    location: &CatalogLocation,
    folder: &Path,
    sets: &[TableSet],
    now: i64,
) -> Result<(), CatalogError> {
    let mut transaction = location::begin_exclusive(connection, location).await?;
    // Another process may have migrated the lake since.
    let recorded = recorded_versions(&mut transaction, folder).await?;
    if outdated(&recorded, sets, folder)?.is_none() {
        return Ok(());
    }
    if matches!(location, CatalogLocation::Postgresql(_)) {
        lock_tables(&mut transaction, &recorded, sets).await?;
    }
    for set in sets {
        match recorded.get(set.component) {
            Some(&from) => {
                for step in set.migrations.iter().filter(|step| step.to > from) {
                    execute_template(&mut transaction, location, step.statements, now).await?;
                }
            }
            None => execute_template(&mut transaction, location, set.create, now).await?,
        }
    }
    for set in sets {
        record(&mut transaction, set).await?;
    }
    sqlx::query("UPDATE ducklake_metadata SET value = $1 WHERE key = $2")
        .bind(VERSION_VALUE)
        .bind(VERSION_KEY)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Locks the tables that the migrations change, and so waits for running writers to end. For
/// PostgreSQL only.
async fn lock_tables(
    db: &mut AnyConnection,
    recorded: &BTreeMap<String, i64>,
    sets: &[TableSet],
) -> Result<(), CatalogError> {
    if !recorded.values().all(|&version| version == VERSION_OF_0_1_0) {
        // Every transaction of these versions reads the table of versions first.
        let lock = format!("LOCK TABLE {VERSIONS_TABLE} IN ACCESS EXCLUSIVE MODE");
        db.execute(AssertSqlSafe(lock)).await?;
    }
    for set in sets {
        let from = recorded.get(set.component).copied().unwrap_or(i64::MAX);
        for step in set.migrations.iter().filter(|step| step.to > from) {
            for table in step.locks {
                let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
                db.execute(AssertSqlSafe(lock)).await?;
            }
        }
    }
    Ok(())
}

/// The versions that the catalog records, by component.
async fn recorded_versions(
    db: &mut AnyConnection,
    folder: &Path,
) -> Result<BTreeMap<String, i64>, CatalogError> {
    let no_lake =
        |found: &str| CatalogError::Version { folder: folder.to_owned(), found: found.to_owned() };
    let query = "SELECT value FROM ducklake_metadata WHERE key = $1";
    let value: Option<String> =
        match sqlx::query_scalar(query).bind(VERSION_KEY).fetch_optional(&mut *db).await {
            Err(sqlx::Error::Database(error)) => return Err(no_lake(error.message())),
            value => value?,
        };
    let value = value.ok_or_else(|| no_lake("none"))?;
    match value.parse() {
        Ok(VERSION_OF_0_1_0) => Ok(COMPONENTS_OF_0_1_0
            .map(|component| (component.to_owned(), VERSION_OF_0_1_0))
            .into_iter()
            .collect()),
        Ok(version) if version > VERSION_OF_0_1_0 => {
            let query = format!("SELECT component, version FROM {VERSIONS_TABLE}");
            let rows: Vec<(String, i64)> =
                sqlx::query_as(AssertSqlSafe(query)).fetch_all(db).await?;
            Ok(rows.into_iter().collect())
        }
        _ => Err(no_lake(&value)),
    }
}

/// The recorded and the needed version of the first of `sets` that is older than needed or missing (0); `None` where all are
/// as needed.
fn outdated(
    recorded: &BTreeMap<String, i64>,
    sets: &[TableSet],
    folder: &Path,
) -> Result<Option<(i64, i64)>, CatalogError> {
    let versions: Vec<(i64, i64)> = sets
        .iter()
        .map(|set| (recorded.get(set.component).copied().unwrap_or(0), set.version()))
        .collect();
    if let Some(&(found, known)) = versions.iter().find(|(found, known)| found > known) {
        return Err(CatalogError::Newer { folder: folder.to_owned(), found, known });
    }
    Ok(versions.into_iter().find(|(found, needed)| found < needed))
}

async fn record(db: &mut AnyConnection, set: &TableSet) -> Result<(), CatalogError> {
    let upsert = format!(
        "INSERT INTO {VERSIONS_TABLE} VALUES ($1, $2) ON CONFLICT (component) DO UPDATE SET version = excluded.version"
    );
    sqlx::query(AssertSqlSafe(upsert)).bind(set.component).bind(set.version()).execute(db).await?;
    Ok(())
}

/// Checks inside of a transaction that the tables of `set` still have the version of this process.
///
/// # Errors
/// [`CatalogError::VersionMismatch`]; the transaction must not be committed then.
pub(super) async fn check(db: &mut AnyConnection, set: &TableSet) -> Result<(), CatalogError> {
    let found = sqlx::query_scalar(VERSION_QUERY).bind(set.component).fetch_optional(db).await?;
    Ok(set.check(found)?)
}

/// Runs the statements of an SQL template, with the placeholders in braces replaced by the syntax
/// of the database.
async fn execute_template(
    db: &mut AnyConnection,
    location: &CatalogLocation,
    template: &str,
    now: i64,
) -> Result<(), CatalogError> {
    let spelled = match location {
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
    let now = format!("'{}'", time_text(now));
    let statements = spelled
        .into_iter()
        .chain([("{now}", now.as_str())])
        .fold(template.to_owned(), |text, (word, here)| text.replace(word, here));
    db.execute(AssertSqlSafe(statements)).await?;
    Ok(())
}
