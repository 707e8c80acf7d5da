//! Which columns of `events` have few distinct values and which have many. These are hints for the
//! optimizer: a wrong hint costs time and changes no result.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use trailhound_datasets::columns::{COLUMNS, Column, ColumnType, Storage};

/// Columns with few distinct values whose storage is not [`Storage::LowCardinality`].
const ALSO_LOW_CARDINALITY: [&str; 5] =
    ["event_action", "event_name", "error_code", "role_name", "user_agent"];

/// Text columns with few distinct values, however many events the lake holds.
pub static LOW_CARDINALITY: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let is_low = |column: &&Column| {
        column.data_type == ColumnType::Text && column.storage == Storage::LowCardinality
    };
    COLUMNS.iter().filter(is_low).map(|column| column.name).chain(ALSO_LOW_CARDINALITY).collect()
});

/// Columns whose values are long and mostly unique. Decoding them costs more than decoding all
/// other columns together.
pub static HIGH_CARDINALITY: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    COLUMNS
        .iter()
        .filter(|column| column.storage == Storage::Unique)
        .map(|column| column.name)
        .collect()
});
