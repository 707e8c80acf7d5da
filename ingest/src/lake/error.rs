//! Why a lake could not be opened, read or written.

use super::damage::DamagedFile;
use std::path::PathBuf;
use thiserror::Error;
use trailhound_datasets::catalog_schema::VersionMismatch;

/// Why the lake could not be opened, read or written.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// The catalog database refused a statement or could not be reached.
    #[error("the lake's catalog could not be used: {0}")]
    Sql(#[from] sqlx::Error),
    /// A file of the lake could not be used.
    #[error("`{path}` could not be used")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A Parquet file of the lake could not be written or read.
    #[error("`{path}` is no readable Parquet file of this lake")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The Parquet library's error.
        source: parquet::errors::ParquetError,
    },
    /// The folder holds no lake.
    #[error(
        "there is no lake in `{folder}`; `trailhound ingest --lake {folder} PATH...` makes one"
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// Another process holds the writer lock.
    #[error(
        "another process is writing the lake in `{folder}`; a lake on SQLite has one writer at a time. Wait for it, or give this run another `--lake`; several services share a lake whose catalog is in PostgreSQL"
    )]
    Locked {
        /// The lake's folder.
        folder: PathBuf,
    },
    /// The catalog is in PostgreSQL, but the reference to the connection string cannot be resolved.
    #[error("`{path}` does not say how to reach the lake's catalog: {reason}")]
    Reference {
        /// The file with the reference.
        path: PathBuf,
        /// What is wrong with the reference.
        reason: String,
    },
    /// The catalog was not moved to PostgreSQL.
    #[error("the catalog of the lake in `{folder}` was not moved: {reason}")]
    Move {
        /// The lake's folder.
        folder: PathBuf,
        /// Why.
        reason: String,
    },
    /// The database is no lake's catalog, or of a version before 0.1.0.
    #[error(
        "`{folder}` holds no lake that this version can read or migrate (found {found}); take a fresh folder with `--lake`"
    )]
    Version {
        /// The lake's folder.
        folder: PathBuf,
        /// The version found, or the database's error.
        found: String,
    },
    /// The lake's tables are older than this program needs, and they could not be migrated. Nothing was changed.
    #[error(
        "the lake in `{folder}` has version {found} and could not be migrated to version {needed}: {reason}. Nothing was changed. Run `trailhound lake info --lake {folder}` once as a user who may write the lake: that migrates it"
    )]
    Migration {
        /// The lake's folder.
        folder: PathBuf,
        /// Version of the lake's tables.
        found: i64,
        /// Version that this program needs.
        needed: i64,
        /// Why the migration failed.
        reason: String,
    },
    /// A newer program has migrated the lake.
    #[error(
        "the lake in `{folder}` has version {found}, and this trailhound knows versions up to {known}: a newer trailhound has migrated it. Use that version"
    )]
    Newer {
        /// The lake's folder.
        folder: PathBuf,
        /// Version of the lake's tables.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The lake cannot be written, and something was to be written.
    #[error(
        "the lake in `{folder}` is read-only: it can be read, and nothing can be stored in it; run as a user who may write the folder, or copy it"
    )]
    ReadOnly {
        /// The lake's folder.
        folder: PathBuf,
    },
    /// The folder holds a lake's data and no catalog. Nothing was made.
    #[error(
        "`{folder}` holds the data of a lake ({files} files) and no catalog: it was lost, or is elsewhere. Nothing was changed. Put `catalog.sqlite` or `catalog.postgresql` back from a backup (`trailhound lake restore`), or take a fresh folder with `--lake` and ingest again"
    )]
    CatalogMissing {
        /// The lake's folder.
        folder: PathBuf,
        /// The number of its data files.
        files: usize,
    },
    /// The catalog is older than the data, or that of another lake. Nothing was changed.
    #[error(
        "the catalog of the lake in `{folder}` is not the one that was last written: {found}. Nothing was changed. Put the newer catalog back; or, if this one is right, run `trailhound lake sweep --accept-catalog --lake {folder}`, which moves the files that it does not know aside: the sources are then read on from its positions"
    )]
    OlderCatalog {
        /// The lake's folder.
        folder: PathBuf,
        /// How catalog and data differ.
        found: String,
    },
    /// A backup was not made or not restored.
    #[error("the backup in `{folder}` cannot be used: {reason}")]
    Backup {
        /// The folder of the backup, or the one that was to be filled.
        folder: PathBuf,
        /// Why.
        reason: String,
    },
    /// A data file is not what was committed. Nothing of it was used.
    #[error(
        "{0}. Nothing of it was used. Put the file back from a backup; `trailhound lake verify` names every damaged file"
    )]
    Damaged(DamagedFile),
    /// Tables of the lake have another version than this program writes. Nothing was written.
    #[error(transparent)]
    VersionMismatch(#[from] VersionMismatch),
    /// Another writer has added rows after the snapshot that a commit was compared with. Nothing was stored.
    #[error("another writer has committed up to snapshot {snapshot}")]
    Behind {
        /// The newest snapshot.
        snapshot: i64,
    },
    /// Positions or files changed since they were read. Nothing was stored.
    #[error(
        "the lake changed while this batch was being written: {what}. Nothing of the batch was stored; run again"
    )]
    Conflict {
        /// What changed.
        what: String,
    },
}

impl CatalogError {
    /// True where a commit that failed with this error is certainly not stored. Of others the database may have written all,
    /// and only the confirmation was lost.
    pub(crate) fn proves_no_commit(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::Behind { .. } | Self::VersionMismatch(_) => true,
            Self::Sql(sqlx::Error::PoolTimedOut) => true,
            // SQLITE_BUSY and SQLITE_FULL: no lock, and no room for the log's last page.
            Self::Sql(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| ["5", "13"].contains(&&*code))
            }
            _ => false,
        }
    }
}
