//! The DuckLake tables of a lake: their ids and columns in the catalog, their folders on disk.

use trailhound_datasets::columns::{COPIES, EVENTS, QUARANTINE, TableSchema};
use trailhound_datasets::layout::{
    EVENT_COPIES_FOLDER, EVENT_COPIES_TABLE, EVENTS_TABLE, QUARANTINE_TABLE,
};

/// A table of the lake. Each is partitioned by its column `day`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Table {
    /// Events, each once.
    Events,
    /// Records that could not be decoded as events.
    Quarantine,
    /// One row per further source that has delivered a stored event.
    EventCopies,
}

impl Table {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Events, Self::Quarantine, Self::EventCopies];

    /// Its id in the catalog. Tables and partitionings share one sequence of ids.
    pub(crate) fn id(self) -> i64 {
        match self {
            Self::Events => 1,
            Self::Quarantine => 2,
            Self::EventCopies => 5,
        }
    }

    /// Id of its partitioning.
    pub(crate) fn partition_id(self) -> i64 {
        match self {
            Self::Events => 3,
            Self::Quarantine => 4,
            Self::EventCopies => 6,
        }
    }

    /// The first unused id.
    pub(crate) const NEXT_ID: i64 = 7;

    /// The table with this id; `None` for a table that another program has made in the lake.
    pub(crate) fn of(id: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.id() == id)
    }

    /// Its name in SQL.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Events => EVENTS_TABLE,
            Self::Quarantine => QUARANTINE_TABLE,
            Self::EventCopies => EVENT_COPIES_TABLE,
        }
    }

    /// Name of the folder of its files.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Events => EVENTS_TABLE,
            Self::Quarantine => QUARANTINE_TABLE,
            Self::EventCopies => EVENT_COPIES_FOLDER,
        }
    }

    /// Its columns.
    pub(crate) fn schema(self) -> &'static TableSchema {
        match self {
            Self::Events => &EVENTS,
            Self::Quarantine => &QUARANTINE,
            Self::EventCopies => &COPIES,
        }
    }

    /// The column that identifies its rows; of `event_copies`, the rows of one source.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Events | Self::EventCopies => "event_key",
            Self::Quarantine => "quarantine_key",
        }
    }

    /// Columns of which the catalog keeps the smallest and largest value per file, so that readers skip files.
    pub(crate) fn ranged(self) -> &'static [&'static str] {
        match self {
            Self::Events => &["event_time", "event_action", "account_id", "ingested_at"],
            Self::Quarantine => &["ingested_at"],
            Self::EventCopies => &["event_time"],
        }
    }

    /// The catalog's id of its column `event_time`; `None` where it has none.
    pub(crate) fn event_time_id(self) -> Option<i64> {
        self.schema()
            .catalog_columns
            .iter()
            .find(|column| column.parent.is_none() && column.name == "event_time")
            .map(|column| column.id)
    }
}
