//! Opens lakes with the catalog tables of every crate.

use crate::config::Config;
use clap::ValueEnum;
use std::path::Path;
use std::sync::OnceLock;
use trailhound_datasets::catalog_schema::{self, TableSet};
use trailhound_ingest::lake::{BackupSummary, CatalogError, Lake};

/// Opens the lake in `folder`; an older one is migrated.
///
/// # Errors
/// [`CatalogError`].
pub(crate) async fn open(folder: &Path, config: &Config) -> Result<Lake, CatalogError> {
    Lake::open(folder, &tables(), config.now().timestamp_micros()).await
}

/// Opens the lake in `folder` and makes folder and lake where there is none; an older one is migrated.
///
/// # Errors
/// [`CatalogError`].
pub(crate) async fn create_or_open(folder: &Path, config: &Config) -> Result<Lake, CatalogError> {
    Lake::create_or_open(folder, &tables(), config.now().timestamp_micros()).await
}

/// Makes the lake in `folder` of the backup in the folder `backup`.
///
/// # Errors
/// [`CatalogError`].
pub(crate) async fn restore(
    backup: &Path,
    folder: &Path,
    config: &Config,
) -> Result<BackupSummary, CatalogError> {
    let now = config.now().timestamp_micros();
    trailhound_ingest::lake::restore(backup, folder, &tables(), now).await
}

/// True where the time is confirmed, so that something may be removed because of its age: a person has told it, the database of the
/// catalog agrees, or a service has recorded a confirmed time within the last day.
///
/// # Errors
/// [`CatalogError`].
pub(crate) async fn is_time_confirmed(lake: &Lake, config: &Config) -> Result<bool, CatalogError> {
    let clock = config.checked_clock(None);
    if let Some(then) = lake.confirmed_time().await? {
        clock.confirmed_at(then);
    }
    if let Some(theirs) = lake.database_time().await? {
        clock.compare("the catalog's database", theirs);
    }
    Ok(clock.confirmed_now().is_some())
}

/// The recorded and the needed version of the lake in `folder`, if it is older than this program needs. Changes nothing.
///
/// # Errors
/// [`CatalogError`].
pub(crate) async fn outdated(folder: &Path) -> Result<Option<(i64, i64)>, CatalogError> {
    Lake::outdated(folder, &tables()).await
}

/// The catalog tables of the crates above ingest.
fn tables() -> Vec<TableSet> {
    let slow = (TEST_SCHEMA.get() == Some(&TestSchema::SlowMigration)).then_some(SLOW_TABLES);
    [trailhound_detect::store::TABLES].into_iter().chain(slow).collect()
}

/// For tests only: which version this process takes itself for when it opens a lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestSchema {
    /// One that is newer by one.
    Newer,
    /// This one, with a migration that takes minutes.
    SlowMigration,
}

static TEST_SCHEMA: OnceLock<TestSchema> = OnceLock::new();

/// For tests only: tables that take a long time to make, so that a migration can be interrupted.
const SLOW_TABLES: TableSet = TableSet {
    component: "slow",
    version: 1,
    create: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) SELECT max(i) FROM n",
    migrations: &[],
};

/// For tests only: makes this process take itself for another version.
pub(crate) fn pretend(schema: TestSchema) {
    if schema == TestSchema::Newer {
        catalog_schema::pretend_newer();
    }
    TEST_SCHEMA.get_or_init(|| schema);
}
