//! Builds Arrow record batches for the tables `events`, `quarantine` and `event_copies`.

use crate::decode::{RecordSink, SinkStopped};
use arrow::array::{
    Array, ArrayRef, BinaryBuilder, BooleanBuilder, Int64Builder, ListBuilder, RecordBatch,
    StringBuilder, StructBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::SchemaRef;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use trailhound_datasets::columns::{
    COLUMNS, COPIES, COPIES_COLUMNS, ColumnId, ColumnType, EVENTS, Origin, QUARANTINE,
    QUARANTINE_COLUMNS, resource_fields,
};
use trailhound_datasets::derive::DerivedFacts;
use trailhound_datasets::derive::resources::Resource;
use trailhound_datasets::event::{Event, Field};
use trailhound_datasets::key;
use trailhound_datasets::layout::Partition;
use trailhound_datasets::reject::Reject;

/// Source and position of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Provenance<'p> {
    pub(crate) source: &'p str,
    pub(crate) object: &'p str,
    /// Partition of the topic; `None` for objects.
    pub(crate) partition: Option<i64>,
    /// Number of the record within the object, or offset within the partition.
    pub(crate) record: i64,
    /// Time of ingest, microseconds since 1970 UTC.
    pub(crate) ingested_at: i64,
}

/// Builder of one column, by column type.
enum ColumnBuilder {
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Time(TimestampMicrosecondBuilder),
    TextList(ListBuilder<StringBuilder>),
    Resources(ListBuilder<StructBuilder>),
}

impl ColumnBuilder {
    fn new(data_type: ColumnType, field: &arrow::datatypes::Field) -> Self {
        let item = || match field.data_type() {
            arrow::datatypes::DataType::List(item) => Arc::clone(item),
            other => unreachable!("a list column has type {other}"),
        };
        match data_type {
            ColumnType::Text => Self::Text(StringBuilder::new()),
            ColumnType::Bytes => Self::Bytes(BinaryBuilder::new()),
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::Int => Self::Int(Int64Builder::new()),
            ColumnType::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            ColumnType::TextList => {
                Self::TextList(ListBuilder::new(StringBuilder::new()).with_field(item()))
            }
            ColumnType::ResourceList => {
                let fields = match item().data_type() {
                    arrow::datatypes::DataType::Struct(fields) => fields.clone(),
                    _ => resource_fields(),
                };
                Self::Resources(
                    ListBuilder::new(StructBuilder::from_fields(fields, 0)).with_field(item()),
                )
            }
        }
    }

    /// Returns the values, and replaces the builder with a new one that has capacity for as many
    /// bytes. Growth by doubling would copy the bytes several times per batch.
    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(b) => {
                let done = b.finish();
                *b = StringBuilder::with_capacity(done.len(), reserve_for(done.values().len()));
                Arc::new(done)
            }
            Self::Bytes(b) => {
                let done = b.finish();
                *b = BinaryBuilder::with_capacity(done.len(), reserve_for(done.values().len()));
                Arc::new(done)
            }
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Int(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::TextList(b) => Arc::new(b.finish()),
            Self::Resources(b) => Arc::new(b.finish()),
        }
    }

    fn text(&mut self, value: Option<&str>) {
        match self {
            Self::Text(b) => b.append_option(value),
            _ => unreachable!("a text value for a column of another type"),
        }
    }

    fn bytes(&mut self, value: Option<&[u8]>) {
        match self {
            Self::Bytes(b) => b.append_option(value),
            _ => unreachable!("bytes for a column of another type"),
        }
    }

    fn int(&mut self, value: Option<i64>) {
        match self {
            Self::Int(b) => b.append_option(value),
            Self::Time(b) => b.append_option(value),
            _ => unreachable!("a number for a column of another type"),
        }
    }

    fn texts<'t>(&mut self, values: impl Iterator<Item = &'t str>) {
        match self {
            Self::TextList(b) => {
                for value in values {
                    b.values().append_value(value);
                }
                b.append(true);
            }
            _ => unreachable!("a list for a column of another type"),
        }
    }

    fn resources(&mut self, values: &[Resource<'_>]) {
        match self {
            Self::Resources(b) => {
                for value in values {
                    let pair = b.values();
                    pair.field_builder::<StringBuilder>(0)
                        .expect("type")
                        .append_option(value.kind.as_deref());
                    pair.field_builder::<StringBuilder>(1).expect("id").append_value(&value.id);
                    pair.append(true);
                }
                b.append(true);
            }
            _ => unreachable!("a list for a column of another type"),
        }
    }
}

/// Bytes to reserve for a column whose last batch took `bytes`.
fn reserve_for(bytes: usize) -> usize {
    bytes + bytes / 8
}

fn builders(schema: &SchemaRef, types: impl Iterator<Item = ColumnType>) -> Vec<ColumnBuilder> {
    schema
        .fields()
        .iter()
        .zip(types)
        .map(|(field, data_type)| ColumnBuilder::new(data_type, field))
        .collect()
}

/// `ip` as canonical text. Borrows `sent` where that is a plain IPv4 address, which has one spelling only.
fn canonical_text(ip: IpAddr, sent: Option<&str>) -> Cow<'_, str> {
    match sent {
        Some(sent) if ip.is_ipv4() && sent.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            Cow::Borrowed(sent)
        }
        _ => Cow::Owned(ip.to_string()),
    }
}

/// A record batch of `events` under construction, for one partition.
pub(crate) struct EventBatch {
    builders: Vec<ColumnBuilder>,
    day: String,
    rows: usize,
    bytes: usize,
}

impl EventBatch {
    /// An empty batch for the partition `day`.
    pub(crate) fn new(day: String) -> Self {
        Self {
            builders: builders(&EVENTS.arrow, COLUMNS.iter().map(|c| c.data_type)),
            day,
            rows: 0,
            bytes: 0,
        }
    }

    /// Sets the partition of the rows that follow.
    fn set_day(&mut self, day: String) {
        self.day = day;
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Approximate memory of the rows, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(
        &mut self,
        event: &Event<'_>,
        derived: &DerivedFacts<'_>,
        key: &[u8; 16],
        from: &Provenance<'_>,
    ) {
        for (column, builder) in COLUMNS.iter().zip(&mut self.builders) {
            if let (Origin::Sent(field), ColumnType::Text) = (column.origin, column.data_type) {
                builder.text(event.get(field));
            }
        }
        self.push_derived(event, derived, key);
        self.at(ColumnId::Raw).text(derived.needs_raw.then_some(event.text));
        self.at(ColumnId::Source).text(Some(from.source));
        self.at(ColumnId::SourceObject).text(Some(from.object));
        self.at(ColumnId::SourcePartition).int(from.partition);
        self.at(ColumnId::SourcePosition).int(Some(from.record));
        self.at(ColumnId::IngestedAt).int(Some(from.ingested_at));
        let day = std::mem::take(&mut self.day);
        self.at(ColumnId::Day).text(Some(&day));
        self.day = day;
        self.rows += 1;
        self.bytes += event.text.len() + 256;
    }

    fn push_derived(&mut self, event: &Event<'_>, derived: &DerivedFacts<'_>, key: &[u8; 16]) {
        self.at(ColumnId::EventKey).bytes(Some(key));
        self.at(ColumnId::EventTime).int(derived.event_time);
        self.at(ColumnId::SessionCreatedAt).int(derived.session_created_at);
        match self.at(ColumnId::IsGlobal) {
            ColumnBuilder::Bool(b) => b.append_option(derived.is_global),
            _ => unreachable!("is_global is a boolean"),
        }
        self.at(ColumnId::AccountId).text(derived.account_id);
        self.at(ColumnId::EventAction).text(derived.event_action.as_deref());
        self.at(ColumnId::RoleName).text(derived.role.map(|(role, _)| role));
        self.at(ColumnId::SessionName).text(derived.role.and_then(|(_, session)| session));
        self.at(ColumnId::CredentialKind).text(Some(derived.credential.name()));
        self.at(ColumnId::SessionMfa).text(Some(derived.session_mfa.name()));
        self.at(ColumnId::SourceClass).text(Some(derived.source.name()));
        self.at(ColumnId::SourceIp)
            .bytes(derived.source.bytes().as_ref().map(<[u8; 16]>::as_slice));
        let client_ip =
            derived.client.map(|(ip, _)| canonical_text(ip, event.get(Field::SourceIpAddress)));
        self.at(ColumnId::ClientIp).text(client_ip.as_deref());
        self.at(ColumnId::ClientIpProvenance)
            .text(derived.client.map(|(_, provenance)| provenance.name()));
        self.at(ColumnId::Outcome).text(Some(derived.outcome.name()));
        self.at(ColumnId::Mfa).text(Some(derived.mfa.name()));
        self.at(ColumnId::LoginAccount).text(derived.login_account.as_deref());
        self.at(ColumnId::Resources).resources(&derived.resources);
        self.at(ColumnId::InstanceIds).texts(derived.instance_ids.iter().map(AsRef::as_ref));
        self.at(ColumnId::Extra).text(event.extra.as_deref());
        self.at(ColumnId::FlagList).texts(derived.flags.iter().map(|flag| flag.name()));
    }

    fn at(&mut self, column: ColumnId) -> &mut ColumnBuilder {
        &mut self.builders[column as usize]
    }

    /// Returns the rows and leaves the batch empty.
    pub(crate) fn take(&mut self) -> RecordBatch {
        let columns = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        self.rows = 0;
        self.bytes = 0;
        RecordBatch::try_new(Arc::clone(&EVENTS.arrow), columns)
            .expect("builders follow the schema")
    }
}

/// A record batch of `quarantine` under construction.
pub(crate) struct QuarantineBatch {
    builders: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
}

impl QuarantineBatch {
    pub(crate) fn new() -> Self {
        Self {
            builders: builders(&QUARANTINE.arrow, QUARANTINE_COLUMNS.iter().map(|c| c.1)),
            rows: 0,
            bytes: 0,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(
        &mut self,
        reject: &Reject,
        key: &[u8; 16],
        from: &Provenance<'_>,
        day: &str,
    ) {
        let [
            b_key,
            code,
            source,
            object,
            record,
            offset,
            expected,
            found,
            hint,
            raw,
            raw_length,
            ingested_at,
            b_day,
        ] = &mut self.builders[..]
        else {
            unreachable!("quarantine has thirteen columns");
        };
        b_key.bytes(Some(key));
        code.text(Some(reject.code.name()));
        source.text(Some(from.source));
        object.text(Some(from.object));
        record.int(Some(from.record));
        offset.int(i64::try_from(reject.byte_offset).ok());
        expected.text(Some(&reject.expected));
        found.text(Some(&reject.found));
        hint.text(Some(reject.hint));
        raw.bytes(Some(&reject.raw));
        raw_length.int(reject.raw_length.and_then(|length| i64::try_from(length).ok()));
        ingested_at.int(Some(from.ingested_at));
        b_day.text(Some(day));
        self.rows += 1;
        self.bytes += reject.raw.len() + 512;
    }

    pub(crate) fn take(&mut self) -> RecordBatch {
        let columns = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        self.rows = 0;
        self.bytes = 0;
        RecordBatch::try_new(Arc::clone(&QUARANTINE.arrow), columns)
            .expect("builders follow the schema")
    }
}

/// A record batch of `event_copies` under construction, for one partition.
pub(crate) struct CopyBatch {
    builders: Vec<ColumnBuilder>,
    day: String,
    rows: usize,
}

impl CopyBatch {
    /// An empty batch for the partition `day`.
    pub(crate) fn new(day: String) -> Self {
        Self { builders: builders(&COPIES.arrow, COPIES_COLUMNS.iter().map(|c| c.1)), day, rows: 0 }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn push(
        &mut self,
        event: &Event<'_>,
        derived: &DerivedFacts<'_>,
        key: &[u8; 16],
        from: &Provenance<'_>,
    ) {
        let [b_key, source, account, region, time, object, partition, position, ingested_at, day] =
            &mut self.builders[..]
        else {
            unreachable!("copies has ten columns");
        };
        b_key.bytes(Some(key));
        source.text(Some(from.source));
        account.text(derived.account_id);
        region.text(event.get(Field::AcsRegion));
        time.int(derived.event_time);
        object.text(Some(from.object));
        partition.int(from.partition);
        position.int(Some(from.record));
        ingested_at.int(Some(from.ingested_at));
        day.text(Some(&self.day));
        self.rows += 1;
    }

    pub(crate) fn take(&mut self) -> RecordBatch {
        let columns = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        self.rows = 0;
        RecordBatch::try_new(Arc::clone(&COPIES.arrow), columns)
            .expect("builders follow the schema")
    }
}

/// Collects decoded events into one batch, for [`crate::decode_with_rejects`].
pub(crate) struct BatchSink {
    batch: EventBatch,
    record: i64,
    now_micros: i64,
    rejected: Vec<String>,
}

impl BatchSink {
    pub(crate) fn new(now_micros: i64) -> Self {
        Self { batch: EventBatch::new(String::new()), record: 0, now_micros, rejected: Vec::new() }
    }

    /// The events, and a description of each reject.
    pub(crate) fn finish(mut self) -> (RecordBatch, Vec<String>) {
        (self.batch.take(), self.rejected)
    }
}

impl RecordSink for BatchSink {
    fn event(&mut self, event: &Event<'_>) -> Result<(), SinkStopped> {
        let derived = DerivedFacts::of(event);
        let key = key::event_key(event, derived.event_time);
        let from = Provenance {
            source: "memory",
            object: "",
            partition: None,
            record: self.record,
            ingested_at: self.now_micros,
        };
        self.batch.set_day(Partition::of(derived.event_time, self.now_micros).name());
        self.batch.push(event, &derived, &key, &from);
        self.record += 1;
        Ok(())
    }

    fn reject(&mut self, reject: Reject) -> Result<(), SinkStopped> {
        self.record += 1;
        self.rejected.push(format!(
            "{} at byte {}: expected {}, found {}",
            reject.code.name(),
            reject.byte_offset,
            reject.expected,
            reject.found
        ));
        Ok(())
    }

    fn notice(&mut self, _: &'static str) {}
}
