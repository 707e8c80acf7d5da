//! The tables of a lake, as the catalogue and the disk know them.

use trailhound_datasets::columns::{COPIES, EVENTS, QUARANTINE, TableSchema};
use trailhound_datasets::layout::{COPIES_TABLE, EVENTS_TABLE, QUARANTINE_TABLE};

/// A table of the lake. Each is partitioned by its column `day`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Table {
    /// Events, each once.
    Events,
    /// Input that is no event.
    Quarantine,
    /// Events that came by another source too.
    Copies,
}

impl Table {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Events, Self::Quarantine, Self::Copies];

    /// Its id in the catalogue. Tables and partitionings count together.
    pub(crate) fn id(self) -> i64 {
        match self {
            Self::Events => 1,
            Self::Quarantine => 2,
            Self::Copies => 5,
        }
    }

    /// Id of its partitioning.
    pub(crate) fn partition_id(self) -> i64 {
        match self {
            Self::Events => 3,
            Self::Quarantine => 4,
            Self::Copies => 6,
        }
    }

    /// The first id that nothing has.
    pub(crate) const NEXT_ID: i64 = 7;

    /// The table with this id; `None` for those that other programs have made in the lake.
    pub(crate) fn of(id: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.id() == id)
    }

    /// Its name, also of its folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Events => EVENTS_TABLE,
            Self::Quarantine => QUARANTINE_TABLE,
            Self::Copies => COPIES_TABLE,
        }
    }

    /// Its columns.
    pub(crate) fn schema(self) -> &'static TableSchema {
        match self {
            Self::Events => &EVENTS,
            Self::Quarantine => &QUARANTINE,
            Self::Copies => &COPIES,
        }
    }

    /// The column that tells its rows apart; of copies only those of one source.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Events | Self::Copies => "event_key",
            Self::Quarantine => "quarantine_key",
        }
    }

    /// Columns whose smallest and largest value of each file the catalogue keeps, so that whole files are skipped.
    pub(crate) fn ranged(self) -> &'static [&'static str] {
        match self {
            Self::Events => &["event_time", "event_action", "account_id", "ingested_at"],
            Self::Quarantine => &["ingested_at"],
            Self::Copies => &["event_time"],
        }
    }

    /// The catalogue's id of its column `event_time`, if it has one.
    pub(crate) fn event_time_id(self) -> Option<i64> {
        self.schema()
            .catalog_columns
            .iter()
            .find(|column| column.parent.is_none() && column.name == "event_time")
            .map(|column| column.id)
    }
}
