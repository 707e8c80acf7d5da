//! The columns of the lake's tables. [`COLUMNS`] lists those of `events` with name, type, origin, storage and meaning; the
//! Arrow schema, the catalog's column list, the Parquet settings and `docs/events.md` are derived from that one list.
//!
//! To add a column, add one line to [`COLUMNS`] and fill it in the ingest's batch. For example, the line
//!
//! ```text
//! EventAction => ranged(derived("event_action", Text, Repeating, "`event_name` in lower case ..."));
//! ```
//!
//! declares the text column `event_action`: computed from the event rather than sent, dictionary-encoded because values
//! repeat, with minimum and maximum per page so that queries can skip pages.
//!
//! ```
//! use trailhound_datasets::columns::{COLUMNS, ColumnId, ColumnType, EVENTS, Origin};
//!
//! let column = COLUMNS[ColumnId::EventAction as usize];
//! assert_eq!((column.name, column.data_type), ("event_action", ColumnType::Text));
//! assert!(column.origin == Origin::Derived && column.ranged);
//! // The Arrow schema has the same columns in the same order; each carries its Parquet field id.
//! let field = EVENTS.arrow.field(ColumnId::EventAction as usize);
//! assert_eq!(field.name(), "event_action");
//! assert!(field.metadata().contains_key("PARQUET:field_id"));
//! ```

use crate::event::Field;
use crate::fact::Fact;
use arrow::datatypes::{DataType, Field as ArrowField, Fields, Schema, SchemaRef, TimeUnit};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// Binary.
    Bytes,
    /// Boolean.
    Bool,
    /// 64-bit signed integer.
    Int,
    /// Timestamp, microseconds since 1970 UTC.
    Time,
    /// List of UTF-8 text.
    TextList,
    /// List of structs `{type, id}`, both UTF-8 text.
    ResourceList,
}

/// How the values of a column are distributed, which decides their Parquet encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// A handful of distinct values: dictionary without compression, whose state would take more memory than the column.
    LowCardinality,
    /// Values repeat: dictionary.
    Repeating,
    /// Nearly every value is distinct: no dictionary; lengths are stored apart from bytes (`DELTA_LENGTH_BYTE_ARRAY`).
    Unique,
    /// Each number is close to the one before: differences (`DELTA_BINARY_PACKED`).
    Sequential,
}

/// Where the value of a column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A field of the event, as it was sent.
    Sent(Field),
    /// Computed from the event.
    Derived,
    /// The ingest: source, position and time of ingest.
    Provenance,
}

/// One column of `events`.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Name in SQL.
    pub name: &'static str,
    /// Type.
    pub data_type: ColumnType,
    /// Origin of the value.
    pub origin: Origin,
    /// Distribution of the values.
    pub storage: Storage,
    /// The Parquet files hold a Bloom filter of this column, for lookups by value.
    pub bloom: bool,
    /// The Parquet files hold minimum and maximum per page, so that queries can skip pages by this column.
    pub ranged: bool,
    /// Description for the documentation.
    pub meaning: &'static str,
}

const fn sent(name: &'static str, field: Field, storage: Storage, meaning: &'static str) -> Column {
    Column {
        name,
        data_type: ColumnType::Text,
        origin: Origin::Sent(field),
        storage,
        bloom: false,
        ranged: false,
        meaning,
    }
}

const fn derived(
    name: &'static str,
    data_type: ColumnType,
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

const fn provenance(name: &'static str, data_type: ColumnType, meaning: &'static str) -> Column {
    Column {
        name,
        data_type,
        origin: Origin::Provenance,
        storage: Storage::LowCardinality,
        bloom: false,
        ranged: false,
        meaning,
    }
}

const fn with_type(column: Column, data_type: ColumnType) -> Column {
    Column { data_type, ..column }
}

const fn with_storage(column: Column, storage: Storage) -> Column {
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
        /// Position of each column in [`COLUMNS`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        #[allow(missing_docs, reason = "`COLUMNS` documents each column")]
        pub enum ColumnId { $($id),* }

        /// The columns of the table `events`, in order.
        pub const COLUMNS: &[Column] = &[$($column),*];
    };
}

use ColumnType::{Bool, Bytes, Int, ResourceList, Text, TextList, Time};
use Storage::{LowCardinality, Repeating, Sequential, Unique};

columns! {
    EventId => bloom(sent("event_id", Field::EventId, Unique, "The event's id. Opaque: UUIDs, hex digits and dotted forms occur."));
    EventKey => derived("event_key", Bytes, Unique, "128 bits that identify the event: the first 8 bytes hash its account and id, the last 8 bytes its facts. All deliveries of an event have the same key; the lake holds each key once.");
    SchemaVersion => sent("schema_version", Field::EventVersion, LowCardinality, "Version of the event format. It is sent as text or as a number; a number is kept in `extra`.");
    EventTime => ranged(with_type(sent("event_time", Field::EventTime, Sequential, "Time of the call, UTC. NULL where the event has no readable time (flag `bad_time`)."), Time));
    AcsRegion => ranged(sent("acs_region", Field::AcsRegion, LowCardinality, "The region. Global services write their home region."));
    IsGlobal => with_type(sent("is_global", Field::IsGlobal, LowCardinality, "True for events of global services; NULL where the event does not tell."), Bool);
    RecipientAccountId => sent("recipient_account_id", Field::RecipientAccountId, LowCardinality, "The account for which the event was delivered.");
    AccountId => ranged(derived("account_id", Text, LowCardinality, "The account: the identity's, else the recipient's, else that of the object's path, else the log service's `owner_id`. A flag marks every account that is not the identity's."));
    VpcId => sent("vpc_id", Field::VpcId, LowCardinality, "The VPC from which the call was made.");
    EventName => sent("event_name", Field::EventName, Repeating, "Name of the API action or event, as sent. Its case varies.");
    EventAction => ranged(derived("event_action", Text, Repeating, "`event_name` in lower case, without surrounding space. Rules compare this column, by which files and pages can be skipped."));
    EventType => sent("event_type", Field::EventType, LowCardinality, "Kind of the event, for instance `ApiCall`, `ConsoleOperation`, `ConsoleSignin`, `AliyunServiceEvent`.");
    EventCategory => ranged(sent("event_category", Field::EventCategory, LowCardinality, "`Management`, `Data` or `Insight`; NULL in older events, which are management events."));
    EventRw => ranged(sent("event_rw", Field::EventRw, LowCardinality, "`Read` or `Write`; NULL where the event does not tell. Treat everything other than `Read` as a write."));
    EventSource => sent("event_source", Field::EventSource, Repeating, "Endpoint that received the call. Its spelling varies; identify the service by `service_name`.");
    ServiceName => ranged(sent("service_name", Field::ServiceName, LowCardinality, "The cloud service. Its case varies."));
    ApiVersion => sent("api_version", Field::ApiVersion, LowCardinality, "Version of the service's API.");
    RequestId => sent("request_id", Field::RequestId, Unique, "Id of the API request, often equal to `event_id`.");
    UserType => ranged(sent("user_type", Field::UserType, LowCardinality, "Kind of identity: `root-account`, `ram-user`, `assumed-role`, `system`, `saml-user`, `oidc-user`, `cloudsso-user`, ...; an open set."));
    PrincipalId => sent("principal_id", Field::PrincipalId, Repeating, "Id of the identity; `<role id>:<session>` for a role.");
    UserName => bloom(sent("user_name", Field::UserName, Repeating, "Name of the identity as sent; `<role>:<session>` for a role, a service host for `system`."));
    RoleName => derived("role_name", Text, Repeating, "For an assumed role, `user_name` before the first `:`.");
    SessionName => derived("session_name", Text, Repeating, "For an assumed role, `user_name` after the first `:`.");
    AccessKeyId => bloom(sent("access_key_id", Field::AccessKeyId, Repeating, "The AccessKey that signed the call, as sent."));
    CredentialKind => ranged(derived("credential_kind", Text, LowCardinality, "`long_term`, `temporary` (`STS.` and `TMP.` keys), `console_session` (no key but a session) or `none`."));
    SessionCreatedAt => with_type(sent("session_created_at", Field::CreationDate, Sequential, "Start of the session, from the session context. Often the time of the call itself."), Time);
    SessionMfa => derived("session_mfa", Text, LowCardinality, "Whether the session used MFA, from the session context: `yes`, `no` or `unknown`. Role sessions normally have `no`.");
    SourceIpAddress => bloom(sent("source_ip_address", Field::SourceIpAddress, Repeating, "Source of the call, as sent: an address, `Internal`, the host name of a service, or any other text."));
    SourceClass => ranged(derived("source_class", Text, LowCardinality, "`ip`, `internal`, `service`, `missing` or `garbage`."));
    SourceIp => ranged(derived("source_ip", Bytes, Repeating, "The address as 16 bytes, IPv4 mapped into IPv6; NULL unless `source_class` is `ip`."));
    ClientIp => derived("client_ip", Text, Repeating, "Best known address of the client, as canonical text. Check `client_ip_provenance` before you rely on it.");
    ClientIpProvenance => derived("client_ip_provenance", Text, LowCardinality, "Field from which `client_ip` was read: `source_ip_address`, or `request_parameter`, which the caller can choose.");
    UserAgent => sent("user_agent", Field::UserAgent, Repeating, "The client program, as the client reports it.");
    ErrorCode => sent("error_code", Field::ErrorCode, Repeating, "Error code as sent; empty or absent on success.");
    ErrorMessage => sent("error_message", Field::ErrorMessage, Repeating, "Error message as sent. A successful sign-in can have the message `success`.");
    Outcome => ranged(derived("outcome", Text, LowCardinality, "`success`, `failure` or `dry_run`, which the error code alone says."));
    Mfa => ranged(derived("mfa", Text, LowCardinality, "Whether MFA was used: `yes`, `no` or `unknown`. Read from the sign-in for sign-ins, from the session for other events."));
    LoginAccount => derived("login_account", Text, Repeating, "`loginAccount` of a sign-in.");
    ResourceType => sent("resource_type", Field::ResourceType, Repeating, "Types of the resources, separated by `;`.");
    ResourceName => bloom(sent("resource_name", Field::ResourceName, Unique, "Ids of the resources: `,` within a type, `;` between types, in the order of `resource_type`."));
    Resources => derived("resources", ResourceList, Repeating, "All resources that the event names in any field, without duplicates.");
    InstanceIds => bloom(derived("instance_ids", TextList, Repeating, "Ids of the ECS instances among them, also from request parameters."));
    RequestParameters => sent("request_parameters", Field::RequestParameters, Unique, "Parameters of the call, as the exact JSON text. Read them with `param(request_parameters, 'Name')`.");
    RequestParameterJson => sent("request_parameter_json", Field::RequestParameterJson, Unique, "`requestParameterJson` where it differs from `request_parameters` (flag `request_parameter_json_repeats` where it does not).");
    ResponseElements => sent("response_elements", Field::ResponseElements, Unique, "Response of the call, as the exact JSON text.");
    AdditionalEventData => sent("additional_event_data", Field::AdditionalEventData, Repeating, "More data about the event, as the exact JSON text.");
    ReferencedResources => sent("referenced_resources", Field::ReferencedResources, Unique, "Resources by type, as the exact JSON text.");
    Extra => derived("extra", Text, Repeating, "All fields that no column holds, as one JSON object.");
    Raw => derived("raw", Text, Unique, "The event as received, where the other columns cannot rebuild it; NULL otherwise.");
    Source => provenance("source", Text, "Name of the source that delivered the event.");
    SourceObject => provenance("source_object", Text, "File, object key or topic.");
    SourcePartition => provenance("source_partition", Int, "Partition of the topic; NULL for files.");
    SourcePosition => with_storage(provenance("source_position", Int, "Number of the record within the object, from 0; offset within a partition."), Sequential);
    IngestedAt => ranged(provenance("ingested_at", Time, "Time at which the ingest stored the event, UTC."));
    FlagList => derived("flags", TextList, LowCardinality, "Oddities of the event: see the flags below.");
    Day => derived("day", Text, LowCardinality, "Partition of the lake: the day of `event_time` (UTC), or `out_of_range_<ingest day>`.");
}

/// The columns of `events` that each fact feeds. A rule that reads one of them cannot judge an event whose flags say that
/// the fact was not understood. A column that no fact feeds (`user_agent`, `vpc_id`, ids, provenance) decides no rule alone.
pub const FACT_COLUMNS: [(Fact, &[ColumnId]); Fact::COUNT] = {
    use ColumnId as C;
    [
        (
            Fact::Identity,
            &[
                C::UserType,
                C::PrincipalId,
                C::UserName,
                C::RoleName,
                C::SessionName,
                C::AccessKeyId,
                C::CredentialKind,
                C::SessionCreatedAt,
            ],
        ),
        (Fact::Time, &[C::EventTime, C::Day]),
        (Fact::Action, &[C::EventName, C::EventAction, C::EventType, C::EventCategory, C::EventRw]),
        (Fact::Service, &[C::ServiceName, C::EventSource, C::ApiVersion]),
        (Fact::Account, &[C::AccountId, C::RecipientAccountId]),
        (
            Fact::SourceAddress,
            &[C::SourceIpAddress, C::SourceClass, C::SourceIp, C::ClientIp, C::ClientIpProvenance],
        ),
        (Fact::Outcome, &[C::ErrorCode, C::ErrorMessage, C::Outcome]),
        (Fact::RequestParameters, &[C::RequestParameters, C::RequestParameterJson]),
        (Fact::Mfa, &[C::SessionMfa, C::Mfa, C::LoginAccount, C::AdditionalEventData]),
        (
            Fact::Resources,
            &[
                C::ResourceType,
                C::ResourceName,
                C::Resources,
                C::InstanceIds,
                C::ReferencedResources,
                C::ResponseElements,
            ],
        ),
    ]
};

/// The facts that feed the column `name` of `events`; empty for columns that no fact feeds and for unknown names.
pub fn facts_of(name: &str) -> impl Iterator<Item = Fact> {
    FACT_COLUMNS
        .into_iter()
        .filter(move |(_, columns)| columns.iter().any(|&id| COLUMNS[id as usize].name == name))
        .map(|(fact, _)| fact)
}

/// Name of the list element field, as DuckLake expects it.
const LIST_CHILD: &str = "element";

/// Fields of one struct in the column `resources`.
#[must_use]
pub fn resource_fields() -> Fields {
    Fields::from(vec![
        Arc::new(ArrowField::new("type", DataType::Utf8, true)),
        Arc::new(ArrowField::new("id", DataType::Utf8, true)),
    ])
}

/// The list element field of the column `resources`.
#[must_use]
pub fn resource_item() -> Arc<ArrowField> {
    Arc::new(ArrowField::new(LIST_CHILD, DataType::Struct(resource_fields()), true))
}

/// The list element field of columns that list text.
#[must_use]
pub fn text_item() -> Arc<ArrowField> {
    Arc::new(ArrowField::new(LIST_CHILD, DataType::Utf8, true))
}

/// The Arrow type of `data_type`.
#[must_use]
pub fn arrow_type(data_type: ColumnType) -> DataType {
    match data_type {
        ColumnType::Text => DataType::Utf8,
        ColumnType::Bytes => DataType::Binary,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Int => DataType::Int64,
        ColumnType::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::TextList => DataType::List(text_item()),
        ColumnType::ResourceList => DataType::List(resource_item()),
    }
}

/// A column as the catalog lists it. Ids count depth first from 1, nested columns included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogColumn {
    /// Field id, the same in catalog and Parquet files.
    pub id: i64,
    /// Id of the column that contains this one.
    pub parent: Option<i64>,
    /// Name.
    pub name: String,
    /// DuckLake type name.
    pub lake_type: &'static str,
}

/// Schema of a lake table: for Arrow, with Parquet field ids as metadata, and for the catalog.
#[derive(Debug, Clone)]
pub struct TableSchema {
    /// Arrow schema of the table's Parquet files.
    pub arrow: SchemaRef,
    /// Columns as the catalog lists them, nested ones included.
    pub catalog_columns: Vec<CatalogColumn>,
}

impl TableSchema {
    /// Assigns field ids to `columns` (name and type) and builds both schemas.
    #[must_use]
    pub fn new(columns: &[(&str, ColumnType)]) -> Self {
        let mut catalog_columns = Vec::new();
        let fields: Vec<_> = columns
            .iter()
            .map(|&(name, data_type)| {
                with_field_ids(
                    &ArrowField::new(name, arrow_type(data_type), true),
                    None,
                    &mut catalog_columns,
                )
            })
            .collect();
        Self { arrow: Arc::new(Schema::new(fields)), catalog_columns }
    }
}

/// `field` with its id and those of its nested fields as metadata; appends their catalog columns.
fn with_field_ids(
    field: &ArrowField,
    parent: Option<i64>,
    catalog_columns: &mut Vec<CatalogColumn>,
) -> ArrowField {
    let id = catalog_columns.len() as i64 + 1;
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
    catalog_columns.push(CatalogColumn { id, parent, name: field.name().clone(), lake_type });
    let data_type = match field.data_type() {
        DataType::List(child) => {
            DataType::List(Arc::new(with_field_ids(child, Some(id), catalog_columns)))
        }
        DataType::Struct(children) => DataType::Struct(
            children
                .iter()
                .map(|child| Arc::new(with_field_ids(child, Some(id), catalog_columns)))
                .collect(),
        ),
        other => other.clone(),
    };
    let metadata = HashMap::from([("PARQUET:field_id".to_owned(), id.to_string())]);
    ArrowField::new(field.name(), data_type, true).with_metadata(metadata)
}

/// Schema of the table `events`.
pub static EVENTS: LazyLock<TableSchema> = LazyLock::new(|| {
    TableSchema::new(&COLUMNS.iter().map(|c| (c.name, c.data_type)).collect::<Vec<_>>())
});

/// Columns of the table `quarantine`: input that is no event, with its bytes and the reason. Name, type, description.
pub const QUARANTINE_COLUMNS: &[(&str, ColumnType, &str)] = &[
    (
        "quarantine_key",
        ColumnType::Bytes,
        "128 bits that identify the row: a hash of code, place and bytes.",
    ),
    ("code", ColumnType::Text, "Why the input was rejected: see the codes below."),
    ("source", ColumnType::Text, "Name of the source."),
    ("source_object", ColumnType::Text, "File, object key or topic."),
    ("record", ColumnType::Int, "Number of the record within the object, from 0."),
    ("byte_offset", ColumnType::Int, "Offset of the error in the decompressed content, in bytes."),
    ("expected", ColumnType::Text, "What would have been valid."),
    (
        "found",
        ColumnType::Text,
        "What was found instead: at most 200 bytes, control characters escaped.",
    ),
    ("hint", ColumnType::Text, "What the operator can do."),
    ("raw", ColumnType::Bytes, "The bytes as received, cut to the configured size."),
    ("raw_length", ColumnType::Int, "Full length of the bytes; NULL where the rest was not read."),
    ("ingested_at", ColumnType::Time, "Time of the ingest, UTC."),
    ("day", ColumnType::Text, "Partition of the lake: the day of the ingest (UTC)."),
];

/// Schema of the table `quarantine`.
pub static QUARANTINE: LazyLock<TableSchema> = LazyLock::new(|| {
    TableSchema::new(&QUARANTINE_COLUMNS.iter().map(|c| (c.0, c.1)).collect::<Vec<_>>())
});

/// Columns of the table `event_copies`: one row for each further source that delivered a stored event. Name, type,
/// description.
pub const COPIES_COLUMNS: &[(&str, ColumnType, &str)] = &[
    ("event_key", ColumnType::Bytes, "`event_key` of the stored event."),
    ("source", ColumnType::Text, "Name of the further source that delivered it."),
    ("account_id", ColumnType::Text, "As in the event."),
    ("acs_region", ColumnType::Text, "As in the event."),
    ("event_time", ColumnType::Time, "As in the event."),
    ("source_object", ColumnType::Text, "File, object key or topic of the copy."),
    ("source_partition", ColumnType::Int, "Partition of the topic; NULL for files."),
    (
        "source_position",
        ColumnType::Int,
        "Number of the record within the object, from 0; offset within a partition.",
    ),
    ("ingested_at", ColumnType::Time, "Time at which the copy was received, UTC."),
    ("day", ColumnType::Text, "Partition of the lake, as for the event."),
];

/// Schema of the table `event_copies`.
pub static COPIES: LazyLock<TableSchema> = LazyLock::new(|| {
    TableSchema::new(&COPIES_COLUMNS.iter().map(|c| (c.0, c.1)).collect::<Vec<_>>())
});

/// What the decoder reads, for `docs/events.md`.
const READING: &str = r#"
## What is read

A record is an event where it has an action (`eventName`), an identity (`userIdentity` with a member that can be read) and a member that only ActionTrail writes (`acsRegion`, `eventRW`, a documented `eventType` or identity type, an `eventSource` of Alibaba Cloud, `requestParameterJson`). An event of the platform may lack the identity; it then needs two such members. A record with `eventId`, `eventName` and a readable `eventTime` is also an event where it has no member that ActionTrail does not know. Insight events need `insightDetails`, or id, time and region.

| what comes | what happens |
| --- | --- |
| members as the vendor writes them | read |
| an object as JSON text, also encoded twice or three times; in a list of one; as a list of `{key, value}` | read; flag `reencoded` |
| members flattened with `.`, `_`, `__`, `/`, `:` or brackets, all or some of an object, with or without a prefix that several members share (`event.`, `contents_event_`, any other); lists numbered from 0 | read; flag `reencoded`. An empty text is an empty parameter |
| keys in another case or with separators (`EVENTNAME`, `event_name`) | read; flag `reencoded`. Keys that differ in the first letter: flag `alias_key` |
| a number for text, text for a number or boolean, a list of one for text | read; flag `reencoded`. Not for `eventId` and `eventName` |
| text with white space around it | read without it, but for `userAgent`, `errorMessage` and ids that no rule reads; flag `reencoded` |
| characters in an object that need no escape (`\/`, `\u0041`) | read; `raw` holds them as they came |
| `type`, `principalId`, `userName`, `accessKeyId`, `accountId`, `sessionContext` or `mfaAuthenticated` in the event itself, where the identity lacks it | read as the identity's; flag `reencoded` |
| `mfaChecked` or `isMFAChecked` in the event itself; keys of the additional data in snake case (`mfa_checked`) | read as the additional data's `mfaChecked`; flag `reencoded` |
| `accessKey` or `ak` in the identity, `additionalData`; the type behind each name, as Log Analytics writes it (`eventName_s`) | read; flag `reencoded` |
| the service before the action (`Ecs:StopInstance`), the endpoint or source of a service (`ecs.aliyuncs.com`, `acs.ecs`), a kind of identity with other separators (`RootAccount`), characters that nobody sees in these names | read as the vendor writes it; flag `reencoded` |
| letters beyond ASCII in a service's name or a kind of identity; in an action: quarantine, `not_understood` | NULL, flag `<fact>_not_understood` |
| `eventTime` as number of seconds, milliseconds, microseconds or nanoseconds; with an offset; with fractions | read |
| `null`, `""`, `"-"`, `"null"`, `[]`, `{}` for a member; except for `eventId` also `None`, `nil`, `N/A`, `NaN`, `<NA>`, `undefined`, `<null>`, `--`, but for `userAgent`, and for `userName` where it is a word | absent |
| an `errorCode` that says success: `0`, `200`, `OK`, `Success` | NULL, flag `outcome_not_understood` |
| a member twice with one value | read |
| a member twice with different values, in one spelling or two | the last value, flags `duplicate_key` and `<fact>_not_understood` |
| a member in any other form, such as an object for text, also flattened (`serviceName.value`) | NULL, flags `type_mismatch` and `<fact>_not_understood` |
| a key that differs from a missing member's in one or two letters | kept in `extra`, flag `<fact>_not_understood` |
| an object that holds nothing but an object or a list under `value`, `map`, `string`, `json`, `M`, `entry`, `item`, `data`, `params`, `parameters` or `query`, or under `body` with keys in Pascal case; a list of keys beside one of values; parameters or additional data of which each is in an object of its type (`{"S": ...}`) or, of two or more, in a list of one | kept, flag `<fact>_not_understood` |
| parameters under another name (`parameters`, `params`, `request`), where the event has none | kept in `extra`, flag `request_parameters_not_understood` |
| parameters that were not understood | also the flag of the second factor of a sign-in, of the instances of an ECS call and of the address of a call from inside the cloud, where nothing else says it |
| an identity or `eventName` in any other form, an identity under an unknown key | quarantine, `not_understood` |
| a record of another cloud or program: by its keys, by its endpoint or names of resources (`arn:aws`, `trn:`) without `acsRegion`, by a `region` without anything that only ActionTrail writes | quarantine, `foreign_record` or `unknown_layout` |

Events are read inside these wrappers, up to six of them inside each other, as objects or as JSON text, also encoded twice: rows of the log service (`event`, `contents`, `Contents`, `mContents`, `content`, `contents.event`, `contents_event_s`), PullLogs answers (`logGroupList`, `LogGroupList`, `LogGroups`, `logs`, `Logs`), LookupEvents answers (`Events`), AccessKey audit answers (`Detail`), SDK answers (`body`), CloudEvents (`data`; `aliyunaccountid` is the account), Elasticsearch (`_source`, `hits`), Splunk (`_raw`, `result`, `results`, `event`), Filebeat and Logstash (`message`, `Message`, `msg`, `event.original`, `original`), Graylog (`full_message`, `short_message`), container logs (`log`), topics (`value`, `payload`), lists (`events`, `records`, `Records`, `record`). A record with a wrapper that holds no event is quarantined; `expected` or `found` names the wrapper. In a list inside a wrapper, or in JSON lines, each element that is no event is quarantined alone. The keys of wrappers are known in any case, with a prefix and at the end of a path (`result._raw`), but never inside members whose text the caller chooses. A record with events in several members gives all of them; one with the id (without id: the name and time) of another is the same event.

The same encodings are read in JSON, JSON lines, CSV and Parquet (text, binary, numbers, timestamps, structs, lists, maps). One file may mix them.

An event has one `event_key` in all encodings that keep its values. It has another key where an encoding loses the type of a request parameter, a response or additional data: CSV knows text alone, so `"Force": true` that was flattened into a CSV column of its own comes back as `"Force": "true"`. A copy in such an encoding is stored as a further event with the flag `id_conflict`.
"#;

/// The page `docs/events.md`, generated from the tables of this module.
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
        // Writing to a string cannot fail, here and below.
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
    push_fact_table(&mut out);
    out.push_str(READING);
    out.push_str("\n## `quarantine`\n\n");
    push_column_table(&mut out, QUARANTINE_COLUMNS);
    out.push_str("\nQuarantine codes:\n\n");
    for (code, meaning) in crate::reject::RejectCode::ALL {
        let _ = writeln!(out, "- `{}`: {meaning}", code.name());
    }
    out.push_str(
        "\n## `event_copies`\n\nAn event that a further source delivers is not stored again. A row of this table records that the source delivered it.\n\n",
    );
    push_column_table(&mut out, COPIES_COLUMNS);
    out
}

fn push_fact_table(out: &mut String) {
    out.push_str(
        "\n## Facts\n\nEach fact of an event is read, absent (missing, null or empty), or present and not understood. In the last case the \
         event has the flag `<fact>_not_understood`, and its columns hold NULL or what could be read.\n\n\
         | fact | columns |\n| --- | --- |\n",
    );
    for (fact, columns) in FACT_COLUMNS {
        let names: Vec<String> =
            columns.iter().map(|&id| format!("`{}`", COLUMNS[id as usize].name)).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| `{}` | {} |", fact.name(), names.join(", "));
    }
}

fn push_column_table(out: &mut String, columns: &[(&str, ColumnType, &str)]) {
    out.push_str("| column | type | meaning |\n| --- | --- | --- |\n");
    for (name, data_type, meaning) in columns {
        let _ = writeln!(out, "| `{name}` | {} | {meaning} |", type_name(*data_type));
    }
}

fn type_name(data_type: ColumnType) -> &'static str {
    match data_type {
        ColumnType::Text => "text",
        ColumnType::Bytes => "bytes",
        ColumnType::Bool => "boolean",
        ColumnType::Int => "int64",
        ColumnType::Time => "timestamp (µs, UTC)",
        ColumnType::TextList => "list of text",
        ColumnType::ResourceList => "list of {type, id}",
    }
}

fn flag_meaning(flag: crate::event::Flag) -> &'static str {
    use crate::event::Flag as F;
    match flag {
        F::DuplicateKey => {
            "some object has two members of one name. The columns hold the last value, `raw` holds both."
        }
        F::TypeMismatch => {
            "a field holds a value of another JSON type. Its column is NULL, `raw` holds the value."
        }
        F::BadTime => {
            "`eventTime` is missing or unreadable. The row is stored in the partition of the ingest day."
        }
        F::OutOfRange => "the time is more than 400 days before or 2 days after the ingest.",
        F::NoEventId => {
            "`eventId` is missing, empty or no string. The event key hashes the content instead."
        }
        F::IdConflict => {
            "another event with the same id and account but other facts is stored too."
        }
        F::LoneSurrogate => {
            "a string holds half a surrogate pair. Its column is NULL, `raw` holds the string."
        }
        F::AliasKey => {
            "a key is spelled differently from the vendor's documentation. `raw` holds the event."
        }
        F::RequestParameterJsonRepeats => {
            "`requestParameterJson` repeats the text of `requestParameters` and is not stored again."
        }
        F::AccountFromRecipient => "`account_id` is the recipient's.",
        F::AccountFromPath => "`account_id` comes from the object's path.",
        F::AccountFromOwnerId => {
            "`account_id` is the log service's `owner_id` or the CloudEvent's `aliyunaccountid`."
        }
        F::Reencoded => {
            "members came as JSON text, flattened, as key and value, or as another JSON type. The columns hold what they mean, `raw` holds the record."
        }
        F::IdentityNotUnderstood => {
            "`userIdentity` or a member of it has a form that was not understood. Its column or `raw` holds what was sent, here and below."
        }
        F::TimeNotUnderstood => "`eventTime` is present and could not be read.",
        F::ActionNotUnderstood => {
            "`eventName`, `eventType`, `eventCategory` or `eventRW` has a form that was not understood."
        }
        F::ServiceNotUnderstood => {
            "`serviceName`, `eventSource` or `apiVersion` has a form that was not understood."
        }
        F::AccountNotUnderstood => "an account id has a form that was not understood.",
        F::SourceAddressNotUnderstood => "`sourceIpAddress` has a form that was not understood.",
        F::OutcomeNotUnderstood => {
            "`errorCode` or `errorMessage` has a form that was not understood."
        }
        F::RequestParametersNotUnderstood => {
            "`requestParameters` or `requestParameterJson` has a form that was not understood."
        }
        F::MfaNotUnderstood => {
            "`mfaAuthenticated` or `additionalEventData` has a form that was not understood."
        }
        F::ResourcesNotUnderstood => {
            "`resourceType`, `resourceName`, `referencedResources` or `responseElements` has a form that was not understood."
        }
    }
}
