//! The lake: Parquet files under a DuckLake catalog. No other module writes them.
//!
//! Data files are written under a temporary name, synced and renamed. Then one SQL transaction makes the files, the positions
//! of their sources and the ledger row visible together (`commit.rs`). A crash before that transaction leaves files that no
//! commit refers to; the next writer moves them aside (`sweep.rs`). Crates that keep tables of their own in the catalog describe them
//! as table sets (`schema.rs`).

mod aside;
mod backup;
mod catalog;
mod checks;
mod commit;
mod compaction;
mod confirmed_time;
mod damage;
mod ducklake;
mod error;
mod files;
mod head;
mod info;
mod instant;
mod lease;
mod location;
mod lock;
mod move_to_postgresql;
mod private;
mod query_log;
mod replacement;
mod retention;
mod schema;
mod snapshot_files;
mod stored_keys;
mod surveys;
mod sweep;
mod table;
mod verify;
mod verify_books;
mod verify_content;

pub use aside::{AsideInfo, KEPT_DAYS};
pub use backup::{BackupMode, BackupSummary, restore};
pub use catalog::Lake;
pub use checks::RecordedFile;
pub(crate) use commit::{Commit, SourceCommit};
pub use commit::{Gap, Position};
pub use compaction::CompactionSummary;
pub use damage::DamagedFile;
pub use error::CatalogError;
pub use files::encoded;
pub(crate) use files::{LakeFile, NewFile};
pub use info::{DayInfo, GapInfo, LakeInfo, SourceInfo};
pub use lease::Lease;
pub use location::find_catalog;
pub use lock::WriterLock;
pub use query_log::QueryLogEntry;
pub(crate) use replacement::{LedgerShift, Replacement};
pub(crate) use retention::LiveFile;
pub use retention::RetentionSummary;
pub(crate) use stored_keys::{KeyFile, read_keys};
pub use surveys::StoredSurvey;
pub(crate) use table::Table;
pub use verify::{LakeProblem, LakeVerification};
