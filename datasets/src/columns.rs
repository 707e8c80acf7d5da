//! The column table of `events`: name, type, origin, meaning and storage of each column, in one place. The Arrow schema,
//! the DuckLake column list, the Parquet settings and `docs/events.md` follow from it.

use crate::event::Field;
use arrow::datatypes::{DataType, Field as ArrowField, Fields, Schema, SchemaRef, TimeUnit};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Bytes,
    /// True, false or NULL.
    Bool,
    /// Whole number, 64 bit.
    Int,
    /// Instant, microseconds since 1970 in UTC.
    Time,
    /// List of text.
    TextList,
    /// List of `{type, id}` pairs.
    ResourceList,
}

/// How a column is laid out in Parquet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// A handful of distinct values: dictionary, and no compression on top, whose state would outweigh the column.
    Few,
    /// Few distinct values: dictionary.
    Repeats,
    /// Nearly every value is its own: no dictionary, lengths apart from bytes.
    Unique,
    /// Numbers close to the one before: differences instead of a dictionary.
    Steps,
}

/// Where a column's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The event's field, as sent.
    Sent(Field),
    /// Worked out from several fields or from inside one.
    Derived,
    /// What the ingest knows about how the event came.
    Provenance,
}

/// One column of `events`.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Name in SQL.
    pub name: &'static str,
    /// Type.
    pub data_type: Type,
    /// Origin of the value.
    pub origin: Origin,
    /// Parquet layout.
    pub storage: Storage,
    /// A Bloom filter serves look-ups by this column.
    pub bloom: bool,
    /// Pages keep their smallest and largest value, because queries skip pages by this column.
    pub ranged: bool,
    /// One sentence for the documentation.
    pub meaning: &'static str,
}

const fn sent(name: &'static str, field: Field, storage: Storage, meaning: &'static str) -> Column {
    Column {
        name,
        data_type: Type::Text,
        origin: Origin::Sent(field),
        storage,
        bloom: false,
        ranged: false,
        meaning,
    }
}

const fn derived(
    name: &'static str,
    data_type: Type,
    storage: Storage,
    meaning: &'static str,
) -> Column {
    Column {
        name,
        data_type,
        origin: Origin::Derived,
        storage,
        bloom: false,
        ranged: false,
        meaning,
    }
}

const fn provenance(name: &'static str, data_type: Type, meaning: &'static str) -> Column {
    Column {
        name,
        data_type,
        origin: Origin::Provenance,
        storage: Storage::Few,
        bloom: false,
        ranged: false,
        meaning,
    }
}

const fn typed(column: Column, data_type: Type) -> Column {
    Column { data_type, ..column }
}

const fn stored(column: Column, storage: Storage) -> Column {
    Column { storage, ..column }
}

const fn ranged(column: Column) -> Column {
    Column { ranged: true, ..column }
}

const fn bloom(column: Column) -> Column {
    Column { bloom: true, ..column }
}

macro_rules! columns {
    ($($id:ident => $column:expr;)*) => {
        /// Names the columns of [`COLUMNS`] by position.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        #[allow(missing_docs, reason = "the table beside it documents each column")]
        pub enum Col { $($id),* }

        /// The columns of `events`, in order.
        pub const COLUMNS: &[Column] = &[$($column),*];
    };
}

use Storage::{Few, Repeats, Steps, Unique};
use Type::{Bool, Bytes, Int, ResourceList, Text, TextList, Time};

columns! {
    EventId => bloom(sent("event_id", Field::EventId, Unique, "The event's id. Opaque: UUIDs, hex digits and dotted forms occur."));
    EventKey => derived("event_key", Bytes, Unique, "128 bits that identify the event: the first 8 bytes hash its account and id, the last 8 its core facts. Two deliveries of one event have one key; the lake holds each key once.");
    SchemaVersion => sent("schema_version", Field::EventVersion, Few, "The event format's version. Sent as text or as number; a number is noted in `extra`.");
    EventTime => ranged(typed(sent("event_time", Field::EventTime, Steps, "When the call was made, UTC. NULL where the event gave no readable time (flag `bad_time`)."), Time));
    AcsRegion => ranged(sent("acs_region", Field::AcsRegion, Few, "The region. Global services log one home region."));
    IsGlobal => typed(sent("is_global", Field::IsGlobal, Few, "True for events of global services; NULL where not said."), Bool);
    RecipientAccountId => sent("recipient_account_id", Field::RecipientAccountId, Few, "The account the event was delivered for.");
    AccountId => ranged(derived("account_id", Text, Few, "The account: of the identity, else the recipient's, else from the object's path, else the log service's `owner_id`. A flag tells when it is not the identity's."));
    VpcId => sent("vpc_id", Field::VpcId, Few, "The VPC the call came through.");
    EventName => sent("event_name", Field::EventName, Repeats, "The API action or event, as sent; its case varies.");
    EventAction => ranged(derived("event_action", Text, Repeats, "`event_name` in lower case without surrounding space: what detections compare, so that files and pages can be skipped."));
    EventType => sent("event_type", Field::EventType, Few, "How the event arose, for instance `ApiCall`, `ConsoleOperation`, `ConsoleSignin`, `AliyunServiceEvent`.");
    EventCategory => ranged(sent("event_category", Field::EventCategory, Few, "`Management`, `Data` or `Insight`; NULL in older events, which are management events."));
    EventRw => ranged(sent("event_rw", Field::EventRw, Few, "`Read` or `Write`; NULL where not said. Treat what is not `Read` as a write."));
    EventSource => sent("event_source", Field::EventSource, Repeats, "Endpoint that took the call. Many spellings: identify the service by `service_name`.");
    ServiceName => ranged(sent("service_name", Field::ServiceName, Few, "The cloud service; its case varies."));
    ApiVersion => sent("api_version", Field::ApiVersion, Few, "Version of the service's API.");
    RequestId => sent("request_id", Field::RequestId, Unique, "The API request's id, often equal to `event_id`.");
    UserType => ranged(sent("user_type", Field::UserType, Few, "Kind of identity: `root-account`, `ram-user`, `assumed-role`, `system`, `saml-user`, `oidc-user`, `cloudsso-user`, ...; an open set."));
    PrincipalId => sent("principal_id", Field::PrincipalId, Repeats, "Id of the identity; `<role id>:<session>` for a role.");
    UserName => bloom(sent("user_name", Field::UserName, Repeats, "Name of the identity as sent; `<role>:<session>` for a role, a service host for `system`."));
    RoleName => derived("role_name", Text, Repeats, "For an assumed role, `user_name` before the first `:`.");
    SessionName => derived("session_name", Text, Repeats, "For an assumed role, `user_name` after the first `:`.");
    AccessKeyId => bloom(sent("access_key_id", Field::AccessKeyId, Repeats, "The AccessKey that signed the call, as sent."));
    CredentialKind => ranged(derived("credential_kind", Text, Few, "`long_term`, `temporary` (`STS.` and `TMP.` keys), `console_session` (no key but a session) or `none`."));
    SessionCreatedAt => typed(sent("session_created_at", Field::CreationDate, Steps, "When the session began, as the session context says. Often the time of the call itself."), Time);
    SessionMfa => derived("session_mfa", Text, Few, "MFA as the session context says: `yes`, `no` or `unknown`. `no` is the normal value of role sessions.");
    SourceIpAddress => bloom(sent("source_ip_address", Field::SourceIpAddress, Repeats, "Where the call came from, as sent: an address, `Internal`, a service's host name, or anything."));
    SourceClass => ranged(derived("source_class", Text, Few, "`ip`, `internal`, `service`, `missing` or `garbage`."));
    SourceIp => ranged(derived("source_ip", Bytes, Repeats, "The address as 16 bytes, IPv4 mapped into IPv6; NULL unless `source_class` is `ip`."));
    ClientIp => derived("client_ip", Text, Repeats, "Best known address of the client, in canonical text. See `client_ip_provenance` before trusting it.");
    ClientIpProvenance => derived("client_ip_provenance", Text, Few, "`source_ip_address`, or `request_parameter` where the caller could have chosen it.");
    UserAgent => sent("user_agent", Field::UserAgent, Repeats, "The client program, as it named itself.");
    ErrorCode => sent("error_code", Field::ErrorCode, Repeats, "Error code as sent; empty or absent on success.");
    ErrorMessage => sent("error_message", Field::ErrorMessage, Repeats, "Error message as sent. A successful sign-in can say `success` here.");
    Outcome => ranged(derived("outcome", Text, Few, "`success`, `failure` or `dry_run`."));
    Mfa => ranged(derived("mfa", Text, Few, "Whether MFA was used: `yes`, `no` or `unknown`. For sign-ins what the sign-in says, else what the session says."));
    LoginAccount => derived("login_account", Text, Repeats, "`loginAccount` of a sign-in.");
    ResourceType => sent("resource_type", Field::ResourceType, Repeats, "Types of the resources, separated by `;`.");
    ResourceName => bloom(sent("resource_name", Field::ResourceName, Unique, "Ids of the resources: `,` within a type, `;` between types, in the order of `resource_type`."));
    Resources => derived("resources", ResourceList, Repeats, "Every resource the event names, wherever it names it, once each.");
    InstanceIds => bloom(derived("instance_ids", TextList, Repeats, "Ids of the ECS instances among them, also from request parameters."));
    RequestParameters => sent("request_parameters", Field::RequestParameters, Unique, "The call's parameters, the exact JSON text. Read them with `param(request_parameters, 'Name')`.");
    RequestParameterJson => sent("request_parameter_json", Field::RequestParameterJson, Unique, "`requestParameterJson` where it differs from `request_parameters` (flag `request_parameter_json_repeats` where it does not).");
    ResponseElements => sent("response_elements", Field::ResponseElements, Unique, "The call's answer, the exact JSON text.");
    AdditionalEventData => sent("additional_event_data", Field::AdditionalEventData, Repeats, "More about the event, the exact JSON text.");
    ReferencedResources => sent("referenced_resources", Field::ReferencedResources, Unique, "Resources by type, the exact JSON text.");
    Extra => derived("extra", Text, Repeats, "Every field that no column holds, as one JSON object.");
    Raw => derived("raw", Text, Unique, "The event as received, only where the other columns could not rebuild it; else NULL.");
    Source => provenance("source", Text, "Name of the source that brought the event.");
    SourceObject => provenance("source_object", Text, "File, object key or topic.");
    SourcePartition => provenance("source_partition", Int, "Partition of the topic; NULL for files.");
    SourcePosition => stored(provenance("source_position", Int, "Number of the record within the object, from 0; offset within a partition."), Steps);
    IngestedAt => ranged(provenance("ingested_at", Time, "When the ingest stored the event, UTC."));
    FlagList => derived("flags", TextList, Few, "What was odd about the event: see the list below.");
    Day => derived("day", Text, Few, "The lake's partition: day of `event_time` (UTC), or `out_of_range_<ingest day>`.");
}

/// Name of the list child in list columns, as DuckLake wants it.
const LIST_CHILD: &str = "element";

/// Fields of one element of `resources`.
#[must_use]
pub fn resource_fields() -> Fields {
    Fields::from(vec![
        Arc::new(ArrowField::new("type", DataType::Utf8, true)),
        Arc::new(ArrowField::new("id", DataType::Utf8, true)),
    ])
}

/// The list child of `resources`.
#[must_use]
pub fn resource_item() -> Arc<ArrowField> {
    Arc::new(ArrowField::new(LIST_CHILD, DataType::Struct(resource_fields()), true))
}

/// The list child of text lists.
#[must_use]
pub fn text_item() -> Arc<ArrowField> {
    Arc::new(ArrowField::new(LIST_CHILD, DataType::Utf8, true))
}

/// The Arrow type of a column type.
#[must_use]
pub fn arrow_type(data_type: Type) -> DataType {
    match data_type {
        Type::Text => DataType::Utf8,
        Type::Bytes => DataType::Binary,
        Type::Bool => DataType::Boolean,
        Type::Int => DataType::Int64,
        Type::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::TextList => DataType::List(text_item()),
        Type::ResourceList => DataType::List(resource_item()),
    }
}

/// A column of a lake table as its catalogue lists it; ids count depth first from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeColumn {
    /// Field id, the same in catalogue and Parquet.
    pub id: i64,
    /// Id of the column this one lies in.
    pub parent: Option<i64>,
    /// Name.
    pub name: String,
    /// DuckLake type name.
    pub lake_type: &'static str,
}

/// A lake table: an Arrow schema whose fields carry their Parquet field ids, and the same as catalogue rows.
#[derive(Debug, Clone)]
pub struct TableSchema {
    /// Arrow schema of the table's files.
    pub arrow: SchemaRef,
    /// Catalogue columns, nested ones included.
    pub lake: Vec<LakeColumn>,
}

impl TableSchema {
    /// Numbers `columns` and builds both forms.
    #[must_use]
    pub fn new(columns: &[(&str, Type)]) -> Self {
        let mut lake = Vec::new();
        let fields: Vec<_> = columns
            .iter()
            .map(|&(name, data_type)| {
                numbered(&ArrowField::new(name, arrow_type(data_type), true), None, &mut lake)
            })
            .collect();
        Self { arrow: Arc::new(Schema::new(fields)), lake }
    }
}

fn numbered(field: &ArrowField, parent: Option<i64>, lake: &mut Vec<LakeColumn>) -> ArrowField {
    let id = lake.len() as i64 + 1;
    let lake_type = match field.data_type() {
        DataType::Utf8 => "varchar",
        DataType::Binary => "blob",
        DataType::Boolean => "boolean",
        DataType::Int64 => "int64",
        DataType::Timestamp(..) => "timestamptz",
        DataType::List(_) => "list",
        DataType::Struct(_) => "struct",
        other => unreachable!("no column has type {other}"),
    };
    lake.push(LakeColumn { id, parent, name: field.name().clone(), lake_type });
    let data_type = match field.data_type() {
        DataType::List(child) => DataType::List(Arc::new(numbered(child, Some(id), lake))),
        DataType::Struct(children) => DataType::Struct(
            children.iter().map(|child| Arc::new(numbered(child, Some(id), lake))).collect(),
        ),
        other => other.clone(),
    };
    let metadata = HashMap::from([("PARQUET:field_id".to_owned(), id.to_string())]);
    ArrowField::new(field.name(), data_type, true).with_metadata(metadata)
}

/// The `events` table.
pub static EVENTS: LazyLock<TableSchema> = LazyLock::new(|| {
    TableSchema::new(&COLUMNS.iter().map(|c| (c.name, c.data_type)).collect::<Vec<_>>())
});

/// Columns of `quarantine`: input that is no event, kept with its bytes and the reason.
pub const QUARANTINE_COLUMNS: &[(&str, Type, &str)] = &[
    (
        "quarantine_key",
        Type::Bytes,
        "128 bits that identify the row: hash of place, reason and bytes.",
    ),
    ("code", Type::Text, "Why, out of a closed list."),
    ("source", Type::Text, "Name of the source."),
    ("source_object", Type::Text, "File, object key or topic."),
    ("record", Type::Int, "Number of the record within the object, from 0."),
    (
        "byte_offset",
        Type::Int,
        "Where the trouble is, in bytes from the start of the decompressed content.",
    ),
    ("expected", Type::Text, "What would have been valid."),
    ("found", Type::Text, "What stood there, cut at 200 bytes, control characters escaped."),
    ("hint", Type::Text, "What to do."),
    (
        "raw",
        Type::Bytes,
        "The bytes as received; cut at the configured size, then `raw_length` is larger.",
    ),
    ("raw_length", Type::Int, "Length of the bytes in full; NULL where the rest was not read."),
    ("ingested_at", Type::Time, "When, UTC."),
    ("day", Type::Text, "The lake's partition: day of the ingest (UTC)."),
];

/// The `quarantine` table.
pub static QUARANTINE: LazyLock<TableSchema> = LazyLock::new(|| {
    TableSchema::new(&QUARANTINE_COLUMNS.iter().map(|c| (c.0, c.1)).collect::<Vec<_>>())
});

/// Columns of `copies`: one row for each further source that has brought a stored event.
pub const COPIES_COLUMNS: &[(&str, Type, &str)] = &[
    ("event_key", Type::Bytes, "`event_key` of the stored event."),
    ("source", Type::Text, "Name of the source that has brought it too."),
    ("account_id", Type::Text, "As in the event."),
    ("acs_region", Type::Text, "As in the event."),
    ("event_time", Type::Time, "As in the event."),
    ("source_object", Type::Text, "File, object key or topic of the copy."),
    ("source_partition", Type::Int, "Partition of the topic; NULL for files."),
    (
        "source_position",
        Type::Int,
        "Number of the record within the object, from 0; offset within a partition.",
    ),
    ("ingested_at", Type::Time, "When the copy was received, UTC."),
    ("day", Type::Text, "The lake's partition, as that of the event."),
];

/// The `copies` table.
pub static COPIES: LazyLock<TableSchema> = LazyLock::new(|| {
    TableSchema::new(&COPIES_COLUMNS.iter().map(|c| (c.0, c.1)).collect::<Vec<_>>())
});

/// The text of `docs/events.md`.
#[must_use]
pub fn documentation() -> String {
    let mut out = String::from(
        "# The event table\n\n\
         Generated from `datasets/src/columns.rs`; a test compares. NULL means \"not known\", never \"no\".\n\n\
         ## `events`\n\n| column | type | from | meaning |\n| --- | --- | --- | --- |\n",
    );
    for column in COLUMNS {
        let from = match column.origin {
            Origin::Sent(field) => format!("`{}`", field.path()),
            Origin::Derived => "derived".to_owned(),
            Origin::Provenance => "ingest".to_owned(),
        };
        let _ = writeln!(
            out,
            "| `{}` | {} | {from} | {} |",
            column.name,
            type_name(column.data_type),
            column.meaning
        );
    }
    out.push_str("\n## Flags\n\n");
    for (flag, name) in crate::event::Flag::ALL {
        let _ = writeln!(out, "- `{name}`: {}", flag_meaning(flag));
    }
    out.push_str("\n## `quarantine`\n\n");
    document(&mut out, QUARANTINE_COLUMNS);
    out.push_str("\nQuarantine codes:\n\n");
    for (code, meaning) in crate::reject::Code::ALL {
        let _ = writeln!(out, "- `{}`: {meaning}", code.name());
    }
    out.push_str(
        "\n## `copies`\n\nAn event that comes by a second source is not stored again; a row here notes that the source has it.\n\n",
    );
    document(&mut out, COPIES_COLUMNS);
    out
}

fn document(out: &mut String, columns: &[(&str, Type, &str)]) {
    out.push_str("| column | type | meaning |\n| --- | --- | --- |\n");
    for (name, data_type, meaning) in columns {
        let _ = writeln!(out, "| `{name}` | {} | {meaning} |", type_name(*data_type));
    }
}

fn type_name(data_type: Type) -> &'static str {
    match data_type {
        Type::Text => "text",
        Type::Bytes => "bytes",
        Type::Bool => "boolean",
        Type::Int => "int64",
        Type::Time => "timestamp (µs, UTC)",
        Type::TextList => "list of text",
        Type::ResourceList => "list of {type, id}",
    }
}

fn flag_meaning(flag: crate::event::Flag) -> &'static str {
    use crate::event::Flag as F;
    match flag {
        F::DuplicateKey => {
            "some object names a key twice; columns hold the last value, `raw` has both."
        }
        F::TypeMismatch => {
            "a known field holds a value of another type; its column is NULL, `raw` has it."
        }
        F::BadTime => "`eventTime` is missing or unreadable; the row is placed by ingest day.",
        F::OutOfRange => "the time is more than 400 days before or 2 days after the ingest.",
        F::NoEventId => "no usable `eventId`; the row is keyed by its content.",
        F::IdConflict => "another event with this id and account but other facts is stored too.",
        F::LoneSurrogate => {
            "a string names half a surrogate pair; its column is NULL, `raw` has it."
        }
        F::AliasKey => "a key is spelt in another case or way than documented; `raw` has it.",
        F::RequestParameterJsonRepeats => {
            "`requestParameterJson` repeated `requestParameters` exactly and is not stored."
        }
        F::AccountFromRecipient => "`account_id` is the recipient's.",
        F::AccountFromPath => "`account_id` comes from the object's path.",
        F::AccountFromOwnerId => "`account_id` is the log service's `owner_id`.",
    }
}
