//! The lake: Parquet files under a DuckLake catalogue. The only module that writes it.
//!
//! Files are written aside, synced and renamed; then one SQL transaction makes them, the positions they stand for and the
//! ledger row visible together (`commit.rs`). A crash before it leaves files nobody refers to, swept by the next writer.

mod audit;
mod catalog;
mod commit;
mod compact;
mod files;
mod history;
mod info;
mod keys;
mod lease;
mod lock;
mod migrate;
mod place;
mod retain;
mod table;
mod verify;

pub use audit::Asked;
pub use catalog::{CatalogError, Lake};
pub(crate) use commit::{Commit, SourceCommit};
pub use commit::{Gap, Position};
pub use compact::Compacted;
pub use files::encoded;
pub(crate) use files::{LakeFile, NewFile};
pub use info::{DayInfo, GapInfo, LakeInfo, SourceInfo};
pub(crate) use keys::{KeyFile, read_keys};
pub use lease::Lease;
pub use lock::WriterLock;
pub use place::find as find_catalogue;
pub use retain::Dropped;
pub(crate) use table::Table;
pub use verify::{Problem, Verified};
