//! How many values the columns of `events` hold. What is wrong here costs time and nothing else.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use trailhound_datasets::columns::{COLUMNS, Column, ColumnType, Storage};

/// Columns of `events` that hold few values, however much comes, beside those stored as such.
const ALSO_FEW: [&str; 5] = ["event_action", "event_name", "error_code", "role_name", "user_agent"];

/// Texts that are few.
pub static FEW: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let is_few = |column: &&Column| {
        column.data_type == ColumnType::Text && column.storage == Storage::LowCardinality
    };
    COLUMNS.iter().filter(is_few).map(|column| column.name).chain(ALSO_FEW).collect()
});

/// Values that are long and mostly their own: to decode them for every row would cost more than all others together.
pub static LONG: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    COLUMNS
        .iter()
        .filter(|column| column.storage == Storage::Unique)
        .map(|column| column.name)
        .collect()
});
