//! The event model: the named places of an ActionTrail event that some column or derivation reads, and one event as the
//! decoder found it, borrowing from the bytes it came in.

use std::borrow::Cow;

/// A place in the event's JSON that the contract knows. The JSON path is [`Field::path`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "each variant is the JSON path that `path` gives")]
pub enum Field {
    EventId,
    EventVersion,
    EventName,
    EventTime,
    EventType,
    EventCategory,
    EventRw,
    EventSource,
    ServiceName,
    ApiVersion,
    AcsRegion,
    IsGlobal,
    RequestId,
    ResourceType,
    ResourceName,
    SourceIpAddress,
    UserAgent,
    ErrorCode,
    ErrorMessage,
    RecipientAccountId,
    VpcId,
    RequestParameterJson,
    RequestParameters,
    ResponseElements,
    ReferencedResources,
    AdditionalEventData,
    UserType,
    AccountId,
    PrincipalId,
    UserName,
    AccessKeyId,
    MfaAuthenticated,
    CreationDate,
}

/// Where a field's object sits in the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A top-level key.
    Top,
    /// A key of `userIdentity`.
    Identity,
    /// A key of `userIdentity.sessionContext.attributes`.
    Session,
}

/// What the decoder keeps of a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// A string, unescaped.
    Text,
    /// A string of digits that some producers send as a number; the number's text is as good.
    Id,
    /// A boolean.
    Bool,
    /// An object, as the exact slice of JSON text.
    Object,
}

impl Field {
    /// Number of fields; the length of [`Event::values`].
    pub const COUNT: usize = Self::CreationDate as usize + 1;

    /// All fields in declaration order.
    pub const ALL: [(Self, Place, &'static str, Keep); Self::COUNT] = {
        use Field as F;
        use Keep::{Bool, Id, Object, Text};
        use Place::{Identity, Session, Top};
        [
            (F::EventId, Top, "eventId", Text),
            (F::EventVersion, Top, "eventVersion", Id),
            (F::EventName, Top, "eventName", Text),
            (F::EventTime, Top, "eventTime", Text),
            (F::EventType, Top, "eventType", Text),
            (F::EventCategory, Top, "eventCategory", Text),
            (F::EventRw, Top, "eventRW", Text),
            (F::EventSource, Top, "eventSource", Text),
            (F::ServiceName, Top, "serviceName", Text),
            (F::ApiVersion, Top, "apiVersion", Text),
            (F::AcsRegion, Top, "acsRegion", Text),
            (F::IsGlobal, Top, "isGlobal", Bool),
            (F::RequestId, Top, "requestId", Text),
            (F::ResourceType, Top, "resourceType", Text),
            (F::ResourceName, Top, "resourceName", Text),
            (F::SourceIpAddress, Top, "sourceIpAddress", Text),
            (F::UserAgent, Top, "userAgent", Text),
            (F::ErrorCode, Top, "errorCode", Text),
            (F::ErrorMessage, Top, "errorMessage", Text),
            (F::RecipientAccountId, Top, "recipientAccountId", Id),
            (F::VpcId, Top, "vpcId", Text),
            (F::RequestParameterJson, Top, "requestParameterJson", Text),
            (F::RequestParameters, Top, "requestParameters", Object),
            (F::ResponseElements, Top, "responseElements", Object),
            (F::ReferencedResources, Top, "referencedResources", Object),
            (F::AdditionalEventData, Top, "additionalEventData", Object),
            (F::UserType, Identity, "type", Text),
            (F::AccountId, Identity, "accountId", Id),
            (F::PrincipalId, Identity, "principalId", Id),
            (F::UserName, Identity, "userName", Text),
            (F::AccessKeyId, Identity, "accessKeyId", Text),
            (F::MfaAuthenticated, Session, "mfaAuthenticated", Text),
            (F::CreationDate, Session, "creationDate", Text),
        ]
    };

    /// Other spellings that real events use for a top-level key. An event that uses one keeps its `raw` text.
    pub const ALIASES: [(&'static str, Self); 2] = [
        ("addionalEventData", Self::AdditionalEventData),
        ("referenceResources", Self::ReferencedResources),
    ];

    /// The field's JSON path, as the vendor's documentation writes it.
    #[must_use]
    pub fn path(self) -> String {
        let (_, place, key, _) = Self::ALL[self as usize];
        match place {
            Place::Top => key.to_owned(),
            Place::Identity => format!("userIdentity.{key}"),
            Place::Session => format!("userIdentity.sessionContext.attributes.{key}"),
        }
    }
}

/// Key of the object that holds the identity.
pub const USER_IDENTITY: &str = "userIdentity";
/// Key of the identity's session.
pub const SESSION_CONTEXT: &str = "sessionContext";
/// Key of the session's attributes.
pub const ATTRIBUTES: &str = "attributes";
/// What events of 2015 call [`ATTRIBUTES`].
pub const SESSION_ATTRIBUTES: &str = "sessionAttributes";

/// Something about an event that the columns alone do not tell; stored in the `flags` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Flag {
    /// Some object of the event names a key twice; columns hold the last value, `raw` both.
    DuplicateKey,
    /// A known field holds a value of another type; its column is NULL, `raw` has it.
    TypeMismatch,
    /// `eventTime` is missing or no time; the row is placed by ingest day.
    BadTime,
    /// The time is further than 400 days back or 2 days ahead of the ingest.
    OutOfRange,
    /// `eventId` is missing, empty or no string; the row is keyed by its content.
    NoEventId,
    /// Another event with this id and account but other facts is stored too.
    IdConflict,
    /// A string names half a surrogate pair; its column is NULL, `raw` has it.
    LoneSurrogate,
    /// A key is spelt in another case or another way than the vendor documents.
    AliasKey,
    /// `requestParameterJson` was the exact text of `requestParameters` and is not stored twice.
    RequestParameterJsonRepeats,
    /// `account_id` is the recipient's: the identity named none.
    AccountFromRecipient,
    /// `account_id` is taken from the path of the object: the event named none.
    AccountFromPath,
    /// `account_id` is the log service's `owner_id`: the event named none.
    AccountFromOwnerId,
}

impl Flag {
    /// Every flag with its name in the `flags` column.
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::DuplicateKey, "duplicate_key"),
        (Self::TypeMismatch, "type_mismatch"),
        (Self::BadTime, "bad_time"),
        (Self::OutOfRange, "out_of_range"),
        (Self::NoEventId, "no_event_id"),
        (Self::IdConflict, "id_conflict"),
        (Self::LoneSurrogate, "lone_surrogate"),
        (Self::AliasKey, "alias_key"),
        (Self::RequestParameterJsonRepeats, "request_parameter_json_repeats"),
        (Self::AccountFromRecipient, "account_from_recipient"),
        (Self::AccountFromPath, "account_from_path"),
        (Self::AccountFromOwnerId, "account_from_owner_id"),
    ];

    /// The flag's name in the `flags` column.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// A set of [`Flag`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// Adds `flag`.
    pub fn insert(&mut self, flag: Flag) {
        self.0 |= 1 << flag as u8;
    }

    /// True where `flag` is set.
    #[must_use]
    pub fn contains(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u8) != 0
    }

    /// The set flags in declaration order.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().map(|(flag, _)| flag).filter(move |&flag| self.contains(flag))
    }
}

/// One event as decoded: values still borrowed from the input, nothing derived yet.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// The value of each [`Field`], `None` where absent or not of the kept type.
    pub values: [Option<Cow<'a, str>>; Field::COUNT],
    /// Hash of each object field's meaning (0 where absent), by the order of [`Event::OBJECTS`].
    pub object_hashes: [u64; 4],
    /// `userIdentity.sessionContext` is there.
    pub has_session: bool,
    /// Everything no field holds, as the text of one JSON object; `None` where nothing is left over.
    pub extra: Option<String>,
    /// The columns and `extra` cannot rebuild this event: keep `raw`.
    pub needs_raw: bool,
    /// The event's own text.
    pub text: &'a str,
    /// Account id of the envelope (`owner_id`) or of the object's path, with the flag that says which.
    pub outer_account: Option<(Cow<'a, str>, Flag)>,
    /// What the decoder noticed.
    pub flags: Flags,
}

impl<'a> Event<'a> {
    /// The object fields, in the order of [`Event::object_hashes`].
    pub const OBJECTS: [Field; 4] = [
        Field::RequestParameters,
        Field::ResponseElements,
        Field::ReferencedResources,
        Field::AdditionalEventData,
    ];

    /// An event with nothing in it yet.
    #[must_use]
    pub fn empty(text: &'a str) -> Self {
        Self {
            values: [const { None }; Field::COUNT],
            object_hashes: [0; 4],
            has_session: false,
            extra: None,
            needs_raw: false,
            text,
            outer_account: None,
            flags: Flags::default(),
        }
    }

    /// The value of `field`.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&str> {
        self.values[field as usize].as_deref()
    }

    /// The value of `field` where it is there and not empty.
    #[must_use]
    pub fn non_empty(&self, field: Field) -> Option<&str> {
        self.get(field).filter(|text| !text.is_empty())
    }
}
