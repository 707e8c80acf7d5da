//! The tables and functions that a statement may use.

use std::collections::BTreeSet;

/// The tables and functions that a statement may use.
pub struct AllowedNames<'a> {
    /// Tables and views.
    pub tables: &'a BTreeSet<String>,
    /// Schemas whose tables are all allowed, in addition to `tables`.
    pub schemas: &'a [&'a str],
    /// Functions, in lower case.
    pub functions: &'a BTreeSet<String>,
}
