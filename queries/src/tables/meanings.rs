//! What the columns of a table mean, in a sentence each.

use std::collections::BTreeMap;

/// What columns mean, by their names.
pub(crate) type Meanings = BTreeMap<String, String>;
