//! A stored row of `events`, and what this version makes of the event that it holds.

use crate::batch::{EventBatch, Provenance};
use crate::decode::{self, DecodeLimits, RecordSink, SinkStopped};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::io::Cursor;
use trailhound_datasets::columns::{COLUMNS, ColumnId, ColumnType, FACT_COLUMNS, Origin};
use trailhound_datasets::derive::DerivedFacts;
use trailhound_datasets::event::{Event, Field, Flag};
use trailhound_datasets::key;
use trailhound_datasets::layout::Partition;
use trailhound_datasets::rebuild::{StoredColumns, rebuild_text};
use trailhound_datasets::reject::Reject;

/// What this version makes of a stored event.
pub(super) enum Decoded {
    /// What is stored.
    Same,
    /// Another row.
    Other(NewRow),
    /// No event.
    Reject(Reject),
}

/// The row of an event as it is decoded now.
pub(super) struct NewRow {
    /// One row of `events`.
    pub(super) row: RecordBatch,
    pub(super) key: [u8; 16],
    /// Time of the event, microseconds since 1970 UTC.
    pub(super) event_time: Option<i64>,
    /// The partition of the lake.
    pub(super) day: String,
}

/// A row of a batch that has all columns of `events`.
#[derive(Clone, Copy)]
pub(super) struct StoredRow<'b> {
    batch: &'b RecordBatch,
    row: usize,
}

impl<'b> StoredRow<'b> {
    pub(super) fn new(batch: &'b RecordBatch, row: usize) -> Self {
        Self { batch, row }
    }

    /// Decodes the event again, where the row may hold more than was understood. Rows of plain
    /// events are not decoded: their columns hold all there is.
    pub(super) fn decode(self) -> Decoded {
        if !self.may_hold_more() {
            return Decoded::Same;
        }
        // A row whose columns hold no valid JSON is not of this program; it stays as it is.
        let Ok(text) = self.event_text() else { return Decoded::Same };
        let mut sink = RereadSink { stored: self, events: 0, row: None, reject: None };
        let account = self.fallback_account().map(|(account, _)| account);
        // The sink never stops the decoder.
        let _ = decode::object(
            Cursor::new(text.into_bytes()),
            account,
            &DecodeLimits::default(),
            &mut sink,
        );
        match (sink.events, sink.row, sink.reject) {
            (0, _, Some(reject)) => Decoded::Reject(reject),
            (1, Some(new), None) if self.differs_from(&new.row) => Decoded::Other(new),
            _ => Decoded::Same,
        }
    }

    /// Source object and position of the row.
    pub(super) fn place(self) -> String {
        format!(
            "{} {}",
            self.text(ColumnId::SourceObject).unwrap_or_default(),
            self.int(ColumnId::SourcePosition).unwrap_or_default()
        )
    }

    pub(super) fn provenance(self) -> Provenance<'b> {
        Provenance {
            source: self.text(ColumnId::Source).unwrap_or_default(),
            object: self.text(ColumnId::SourceObject).unwrap_or_default(),
            partition: self.int(ColumnId::SourcePartition),
            record: self.int(ColumnId::SourcePosition).unwrap_or_default(),
            ingested_at: self.time(ColumnId::IngestedAt).unwrap_or_default(),
        }
    }

    pub(super) fn key(self) -> Option<[u8; 16]> {
        let keys = self.batch.column(ColumnId::EventKey as usize).as_binary_opt::<i32>()?;
        keys.value(self.row).try_into().ok()
    }

    /// True where the row holds more than its columns, or names no identity.
    fn may_hold_more(self) -> bool {
        let identity =
            [ColumnId::UserType, ColumnId::PrincipalId, ColumnId::UserName, ColumnId::AccessKeyId];
        self.text(ColumnId::Raw).is_some()
            || self.text(ColumnId::Extra).is_some()
            || identity.into_iter().all(|column| self.text(column).is_none())
            || self.flags().any(|name| is_mark(&name))
    }

    /// The event as JSON text: as received, or made from the columns.
    fn event_text(self) -> Result<String, String> {
        let mut stored = StoredColumns {
            extra: self.text(ColumnId::Extra),
            raw: self.text(ColumnId::Raw),
            ..StoredColumns::default()
        };
        for (number, column) in COLUMNS.iter().enumerate() {
            let Origin::Sent(field) = column.origin else { continue };
            let value = self.batch.column(number);
            if value.is_null(self.row) {
                continue;
            }
            stored.values[field as usize] = match column.data_type {
                ColumnType::Text => value.as_string_opt::<i32>().map(|texts| texts.value(self.row)),
                ColumnType::Bool => value
                    .as_boolean_opt()
                    .map(|values| if values.value(self.row) { "true" } else { "false" }),
                _ => None,
            };
        }
        let times: Vec<(usize, String)> = self.sent_times();
        for (field, text) in &times {
            stored.values[*field] = Some(text);
        }
        // Two members are stored in derived columns alone.
        if !self.flags().any(|name| is_borrowed_account(&name)) {
            stored.values[Field::AccountId as usize] = self.text(ColumnId::AccountId);
        }
        stored.values[Field::MfaAuthenticated as usize] = match self.text(ColumnId::SessionMfa) {
            Some("yes") => Some("true"),
            Some("no") => Some("false"),
            _ => None,
        };
        stored.parameters_repeat =
            self.flags().any(|name| name == Flag::RequestParameterJsonRepeats.name());
        Ok(rebuild_text(&stored)?.into_owned())
    }

    /// The times that the event sends, by field, in their JSON spelling.
    fn sent_times(self) -> Vec<(usize, String)> {
        let mut times = Vec::new();
        for (number, column) in COLUMNS.iter().enumerate() {
            if let (Origin::Sent(field), ColumnType::Time) = (column.origin, column.data_type)
                && let Some(text) =
                    self.time_at(number).and_then(trailhound_datasets::derive::time::canonical)
            {
                times.push((field as usize, text));
            }
        }
        times
    }

    /// The account that the event itself does not name, with the flag that says where it is from.
    fn fallback_account(self) -> Option<(&'b str, Flag)> {
        let flag = [Flag::AccountFromPath, Flag::AccountFromOwnerId]
            .into_iter()
            .find(|flag| self.flags().any(|name| name == flag.name()))?;
        Some((self.text(ColumnId::AccountId)?, flag))
    }

    /// True where `new`, one row, has another key, another fact or another mark.
    fn differs_from(self, new: &RecordBatch) -> bool {
        let facts = FACT_COLUMNS.into_iter().flat_map(|(_, columns)| columns.iter().copied());
        let is_other = |column: ColumnId| {
            let number = column as usize;
            let stored = self.batch.column(number).slice(self.row, 1);
            let new = new.column(number);
            // A file's lists have other field names than new lists, so unequal arrays may hold the same.
            stored.as_ref() != new.as_ref()
                && match (rendered(&stored), rendered(new)) {
                    (Ok(stored), Ok(new)) => stored != new,
                    // What cannot be compared is decoded again.
                    _ => true,
                }
        };
        let new_row = StoredRow { batch: new, row: 0 };
        let marks =
            |row: StoredRow<'_>| row.flags().filter(|name| is_mark(name)).collect::<Vec<_>>();
        facts.chain([ColumnId::EventKey]).any(is_other) || marks(self) != marks(new_row)
    }

    fn text(self, column: ColumnId) -> Option<&'b str> {
        let texts = self.batch.column(column as usize).as_string_opt::<i32>()?;
        texts.is_valid(self.row).then(|| texts.value(self.row))
    }

    fn int(self, column: ColumnId) -> Option<i64> {
        let ints = self.batch.column(column as usize).as_primitive_opt::<Int64Type>()?;
        ints.is_valid(self.row).then(|| ints.value(self.row))
    }

    fn time(self, column: ColumnId) -> Option<i64> {
        self.time_at(column as usize)
    }

    fn time_at(self, number: usize) -> Option<i64> {
        let times = self.batch.column(number).as_primitive_opt::<TimestampMicrosecondType>()?;
        times.is_valid(self.row).then(|| times.value(self.row))
    }

    fn flags(self) -> impl Iterator<Item = String> {
        let flags = self.batch.column(ColumnId::FlagList as usize).as_list_opt::<i32>();
        let of_row =
            flags.filter(|flags| flags.is_valid(self.row)).map(|flags| flags.value(self.row));
        let names = of_row.as_ref().and_then(|names| names.as_string_opt::<i32>());
        let names: Vec<String> = names.into_iter().flatten().flatten().map(str::to_owned).collect();
        names.into_iter()
    }
}

/// The first value of `column` as text; `None` for NULL.
fn rendered(column: &dyn Array) -> Result<Option<String>, ArrowError> {
    if column.is_null(0) {
        return Ok(None);
    }
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::default())?;
    Ok(Some(formatter.value(0).to_string()))
}

/// True for the flag of an account that the identity does not name.
fn is_borrowed_account(name: &str) -> bool {
    [Flag::AccountFromRecipient, Flag::AccountFromPath, Flag::AccountFromOwnerId]
        .iter()
        .any(|flag| flag.name() == name)
}

/// True for the flag of a fact that was not understood.
fn is_mark(name: &str) -> bool {
    Flag::ALL.into_iter().any(|(flag, known)| known == name && flag.fact().is_some())
}

/// Receives what the text of a stored event decodes to.
struct RereadSink<'b> {
    stored: StoredRow<'b>,
    events: usize,
    row: Option<NewRow>,
    reject: Option<Reject>,
}

impl RecordSink for RereadSink<'_> {
    fn event(&mut self, event: &Event<'_>) -> Result<(), SinkStopped> {
        self.events += 1;
        let mut event = event.clone();
        if let (Some((_, flag)), Some(known)) =
            (&mut event.fallback_account, self.stored.fallback_account())
        {
            *flag = known.1;
        }
        let mut derived = DerivedFacts::of(&event);
        let from = self.stored.provenance();
        let partition = Partition::of(derived.event_time, from.ingested_at);
        if derived.event_time.is_some() && matches!(partition, Partition::OutOfRange(_)) {
            derived.flags.insert(Flag::OutOfRange);
        }
        if self.stored.flags().any(|name| name == Flag::IdConflict.name()) {
            derived.flags.insert(Flag::IdConflict);
        }
        let key = key::event_key(&event, derived.event_time);
        let mut batch = EventBatch::new(partition.name());
        batch.push(&event, &derived, &key, &from);
        let (event_time, day) = (derived.event_time, partition.name());
        self.row = Some(NewRow { row: batch.take(), key, event_time, day });
        Ok(())
    }

    fn reject(&mut self, reject: Reject) -> Result<(), SinkStopped> {
        self.reject.get_or_insert(reject);
        Ok(())
    }

    fn notice(&mut self, _: &'static str) {}
}
