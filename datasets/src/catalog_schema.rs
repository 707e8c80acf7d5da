//! Versions of the tables in a lake's catalog database, and the steps from one version to the next.
//!
//! Several crates keep tables in the catalog. Each of them owns its tables: it describes them as a [`TableSet`], and the
//! program hands all sets to whoever opens the lake. The catalog's table [`VERSIONS_TABLE`] records the version of each set.
//!
//! Example: detection renames a column in version 10. Its set then has `version: 10`, the new name in `create`, and a last
//! [`Migration`] `{ to: 10, statements: "ALTER TABLE ... RENAME COLUMN ..." }`. A new lake runs `create`. A lake that records
//! version 8 runs the migrations to 9 and 10 when it is opened, in one transaction with those of all other sets. A process of
//! the older version that still runs finds version 10 inside of its next transaction, and [`TableSet::check`] refuses it.
//!
//! Each SQL text is a template for SQLite and PostgreSQL. Placeholders in braces stand for syntax
//! that differs between the two: `{boolean}`, `{instant}`, `{uuid}`, `{without_rowid}`,
//! `{bytewise}`, and `{now}` for the current time as a literal.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

/// Table of the catalog with a row for each table set: `component`, `version`.
pub const VERSIONS_TABLE: &str = "trailhound_schema";

/// Selects the version of the table set whose component is `$1`.
pub const VERSION_QUERY: &str = "SELECT version FROM trailhound_schema WHERE component = $1";

/// The tables of one crate in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSet {
    /// Name of the set in [`VERSIONS_TABLE`].
    pub component: &'static str,
    /// Version of the tables that `create` makes.
    pub version: i64,
    /// Statements that make the tables in an empty catalog.
    pub create: &'static str,
    /// Steps from earlier versions, oldest first; the last leads to `version`.
    pub migrations: &'static [Migration],
}

/// A step from one version of a table set to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// The version that the step leads to; it starts from the one before.
    pub to: i64,
    /// Tables that are locked on PostgreSQL before anything changes, in the order in which older versions lock them.
    /// Needed only where older versions write without reading [`VERSIONS_TABLE`].
    pub locks: &'static [&'static str],
    /// The statements.
    pub statements: &'static str,
}

/// Added to the version of every table set; see [`pretend_newer`].
static VERSIONS_AHEAD: AtomicI64 = AtomicI64::new(0);

/// For tests only: makes this process behave like a build with schema version plus one and the same
/// tables.
pub fn pretend_newer() {
    VERSIONS_AHEAD.store(1, Ordering::Relaxed);
}

impl TableSet {
    /// The version that this process reads and writes.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.version + VERSIONS_AHEAD.load(Ordering::Relaxed)
    }

    /// Checks the version that the catalog records for this set.
    ///
    /// # Errors
    /// [`VersionMismatch`] where it is not the version of this process.
    pub fn check(&self, found: Option<i64>) -> Result<(), VersionMismatch> {
        let needed = self.version();
        match found {
            Some(found) if found == needed => Ok(()),
            found => Err(VersionMismatch { component: self.component, found, needed }),
        }
    }
}

/// Tables of the lake have another version than this process reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionMismatch {
    /// Which tables.
    pub component: &'static str,
    /// Their version; `None` where the lake does not have them.
    pub found: Option<i64>,
    /// The version of this process.
    pub needed: i64,
}

impl fmt::Display for VersionMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { component, found, needed } = self;
        match found {
            Some(found) if found > needed => write!(
                f,
                "the tables of `{component}` in the lake have version {found}, and this trailhound knows version {needed}: a newer trailhound has migrated the lake. Nothing was written; stop this process and start the newer version, which goes on where this one was"
            ),
            Some(found) => write!(
                f,
                "the tables of `{component}` in the lake have version {found}, and this trailhound needs version {needed}. Nothing was written; run `trailhound lake info`, which migrates the lake, and start again"
            ),
            None => write!(
                f,
                "the lake has no tables of `{component}`. Nothing was written; run `trailhound lake info`, which adds them, and start again"
            ),
        }
    }
}

impl std::error::Error for VersionMismatch {}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: TableSet =
        TableSet { component: "test", version: 9, create: "", migrations: &[] };

    #[test]
    fn only_its_own_version_is_taken() {
        assert_eq!(TABLES.check(Some(9)), Ok(()));
        for (found, text) in [
            (Some(10), "have version 10, and this trailhound knows version 9"),
            (Some(8), "have version 8, and this trailhound needs version 9"),
            (None, "no tables of `test`"),
        ] {
            let error = TABLES.check(found).expect_err("another version");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
