//! Meanings of a table's columns, one sentence each.

use std::collections::BTreeMap;

/// Meanings by column name.
pub(crate) type ColumnMeanings = BTreeMap<String, String>;
