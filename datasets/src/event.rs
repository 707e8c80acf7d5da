//! The event model: the fields of an ActionTrail event that the columns and the derived facts read, and one decoded event.
//!
//! An event is a JSON object. Its fields are members of the event itself, of the identity, and of
//! the attributes of the identity's session:
//!
//! ```json
//! {
//!   "eventId": "E-1", "eventName": "StopInstance", "requestParameters": {"InstanceId": "i-1"},
//!   "userIdentity": {
//!     "type": "ram-user", "userName": "li.wei",
//!     "sessionContext": {"attributes": {"mfaAuthenticated": "true"}}
//!   },
//!   "somethingNew": 1
//! }
//! ```
//!
//! [`Field`] names each known member. [`Event::values`] holds one value per field, borrowed from the decoded bytes: text
//! without its quotes and escapes, objects as their exact JSON text. A member that no field names, such as
//! `somethingNew`, is kept in [`Event::extra`].
//!
//! ```
//! use std::borrow::Cow;
//! use trailhound_datasets::event::{Event, Field};
//!
//! assert_eq!(Field::EventName.path(), "eventName");
//! assert_eq!(Field::UserName.path(), "userIdentity.userName");
//! assert_eq!(
//!     Field::MfaAuthenticated.path(),
//!     "userIdentity.sessionContext.attributes.mfaAuthenticated"
//! );
//!
//! let mut event = Event::empty("{}");
//! event.values[Field::EventName as usize] = Some(Cow::Borrowed("StopInstance"));
//! assert_eq!(event.get(Field::EventName), Some("StopInstance"));
//! assert_eq!(event.get(Field::UserName), None);
//! ```

use crate::fact::{Fact, FactSet};
use std::borrow::Cow;

/// A known field of an event. [`Field::path`] gives its JSON path.
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

/// The object whose member a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentObject {
    /// The event itself.
    Root,
    /// `userIdentity`.
    UserIdentity,
    /// `userIdentity.sessionContext.attributes`.
    SessionAttributes,
}

/// The JSON type of a field, which decides how the decoder keeps its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// A string, kept without quotes and escapes.
    Text,
    /// An id of digits: a string, or a number that is kept as its text.
    Id,
    /// A boolean.
    Bool,
    /// An object, kept as its exact JSON text.
    Object,
}

impl Field {
    /// Number of fields; the length of [`Event::values`].
    pub const COUNT: usize = Self::CreationDate as usize + 1;

    /// All fields in declaration order: the field, its parent object, its key there and its type.
    pub const ALL: [(Self, ParentObject, &'static str, FieldType); Self::COUNT] = {
        use Field as F;
        use FieldType::{Bool, Id, Object, Text};
        use ParentObject::{Root, SessionAttributes, UserIdentity};
        [
            (F::EventId, Root, "eventId", Text),
            (F::EventVersion, Root, "eventVersion", Id),
            (F::EventName, Root, "eventName", Text),
            (F::EventTime, Root, "eventTime", Text),
            (F::EventType, Root, "eventType", Text),
            (F::EventCategory, Root, "eventCategory", Text),
            (F::EventRw, Root, "eventRW", Text),
            (F::EventSource, Root, "eventSource", Text),
            (F::ServiceName, Root, "serviceName", Text),
            (F::ApiVersion, Root, "apiVersion", Text),
            (F::AcsRegion, Root, "acsRegion", Text),
            (F::IsGlobal, Root, "isGlobal", Bool),
            (F::RequestId, Root, "requestId", Text),
            (F::ResourceType, Root, "resourceType", Text),
            (F::ResourceName, Root, "resourceName", Text),
            (F::SourceIpAddress, Root, "sourceIpAddress", Text),
            (F::UserAgent, Root, "userAgent", Text),
            (F::ErrorCode, Root, "errorCode", Text),
            (F::ErrorMessage, Root, "errorMessage", Text),
            (F::RecipientAccountId, Root, "recipientAccountId", Id),
            (F::VpcId, Root, "vpcId", Text),
            (F::RequestParameterJson, Root, "requestParameterJson", Text),
            (F::RequestParameters, Root, "requestParameters", Object),
            (F::ResponseElements, Root, "responseElements", Object),
            (F::ReferencedResources, Root, "referencedResources", Object),
            (F::AdditionalEventData, Root, "additionalEventData", Object),
            (F::UserType, UserIdentity, "type", Text),
            (F::AccountId, UserIdentity, "accountId", Id),
            (F::PrincipalId, UserIdentity, "principalId", Id),
            (F::UserName, UserIdentity, "userName", Text),
            (F::AccessKeyId, UserIdentity, "accessKeyId", Text),
            (F::MfaAuthenticated, SessionAttributes, "mfaAuthenticated", Text),
            (F::CreationDate, SessionAttributes, "creationDate", Text),
        ]
    };

    /// Misspelled keys that real events use in the event object, with the field they stand for. The text of such an event
    /// is kept in `raw`.
    pub const ALIASES: [(&'static str, Self); 2] = [
        ("addionalEventData", Self::AdditionalEventData),
        ("referenceResources", Self::ReferencedResources),
    ];

    /// The fact that the field is part of. `None` for fields that identify or describe an event,
    /// such as `eventId` and `userAgent`: no fact is marked as not understood because of them.
    #[must_use]
    pub fn fact(self) -> Option<Fact> {
        Some(match self {
            Self::UserType
            | Self::PrincipalId
            | Self::UserName
            | Self::AccessKeyId
            | Self::CreationDate => Fact::Identity,
            Self::EventTime => Fact::Time,
            Self::EventName | Self::EventType | Self::EventCategory | Self::EventRw => Fact::Action,
            Self::EventSource | Self::ServiceName | Self::ApiVersion => Fact::Service,
            Self::AccountId | Self::RecipientAccountId => Fact::Account,
            Self::SourceIpAddress => Fact::SourceAddress,
            Self::ErrorCode | Self::ErrorMessage => Fact::Outcome,
            Self::RequestParameters | Self::RequestParameterJson => Fact::RequestParameters,
            Self::MfaAuthenticated | Self::AdditionalEventData => Fact::Mfa,
            Self::ResourceType
            | Self::ResourceName
            | Self::ReferencedResources
            | Self::ResponseElements => Fact::Resources,
            Self::EventId
            | Self::EventVersion
            | Self::AcsRegion
            | Self::IsGlobal
            | Self::RequestId
            | Self::UserAgent
            | Self::VpcId => return None,
        })
    }

    /// The field's JSON path, as the vendor's documentation writes it.
    #[must_use]
    pub fn path(self) -> String {
        let (_, parent, key, _) = Self::ALL[self as usize];
        match parent {
            ParentObject::Root => key.to_owned(),
            ParentObject::UserIdentity => format!("userIdentity.{key}"),
            ParentObject::SessionAttributes => {
                format!("userIdentity.sessionContext.attributes.{key}")
            }
        }
    }
}

/// Key of the identity in the event.
pub const USER_IDENTITY: &str = "userIdentity";
/// Key of the session in the identity.
pub const SESSION_CONTEXT: &str = "sessionContext";
/// Key of the attributes in the session.
pub const ATTRIBUTES: &str = "attributes";
/// The key that events of 2015 use in place of [`ATTRIBUTES`].
pub const SESSION_ATTRIBUTES: &str = "sessionAttributes";

/// An oddity of an event, stored in the column `flags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Flag {
    /// Some object of the event has two members of one name. The columns hold the last value, `raw` holds both.
    DuplicateKey,
    /// A field holds a value of another JSON type. Its column is NULL, `raw` holds the value.
    TypeMismatch,
    /// `eventTime` is missing or unreadable. The row is stored in the partition of the ingest day.
    BadTime,
    /// The time is more than 400 days before or 2 days after the ingest.
    OutOfRange,
    /// `eventId` is missing, empty or no string. The event key hashes the content instead.
    NoEventId,
    /// Another event with the same id and account but other facts is stored too.
    IdConflict,
    /// A string holds half a surrogate pair. Its column is NULL, `raw` holds the string.
    LoneSurrogate,
    /// A key is spelled differently from the vendor's documentation.
    AliasKey,
    /// `requestParameterJson` repeats the text of `requestParameters` and is not stored again.
    RequestParameterJsonRepeats,
    /// `account_id` is the recipient's, because the identity names none.
    AccountFromRecipient,
    /// `account_id` comes from the path of the object in the bucket, because the event names none.
    AccountFromPath,
    /// `account_id` is the log service's `owner_id` or the CloudEvent's `aliyunaccountid`, because the event names none.
    AccountFromOwnerId,
    /// Members came in another encoding than the vendor's: as JSON text, flattened, as key and value. The columns hold what
    /// they mean, `raw` holds the record.
    Reencoded,
    /// The fact [`Fact::Identity`] is present in a form that was not understood.
    IdentityNotUnderstood,
    /// The fact [`Fact::Time`] is present in a form that was not understood.
    TimeNotUnderstood,
    /// The fact [`Fact::Action`] is present in a form that was not understood.
    ActionNotUnderstood,
    /// The fact [`Fact::Service`] is present in a form that was not understood.
    ServiceNotUnderstood,
    /// The fact [`Fact::Account`] is present in a form that was not understood.
    AccountNotUnderstood,
    /// The fact [`Fact::SourceAddress`] is present in a form that was not understood.
    SourceAddressNotUnderstood,
    /// The fact [`Fact::Outcome`] is present in a form that was not understood.
    OutcomeNotUnderstood,
    /// The fact [`Fact::RequestParameters`] is present in a form that was not understood.
    RequestParametersNotUnderstood,
    /// The fact [`Fact::Mfa`] is present in a form that was not understood.
    MfaNotUnderstood,
    /// The fact [`Fact::Resources`] is present in a form that was not understood.
    ResourcesNotUnderstood,
}

impl Flag {
    /// Every flag with its name in the column `flags`.
    pub const ALL: [(Self, &'static str); 23] = [
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
        (Self::Reencoded, "reencoded"),
        (Self::IdentityNotUnderstood, "identity_not_understood"),
        (Self::TimeNotUnderstood, "time_not_understood"),
        (Self::ActionNotUnderstood, "action_not_understood"),
        (Self::ServiceNotUnderstood, "service_not_understood"),
        (Self::AccountNotUnderstood, "account_not_understood"),
        (Self::SourceAddressNotUnderstood, "source_address_not_understood"),
        (Self::OutcomeNotUnderstood, "outcome_not_understood"),
        (Self::RequestParametersNotUnderstood, "request_parameters_not_understood"),
        (Self::MfaNotUnderstood, "mfa_not_understood"),
        (Self::ResourcesNotUnderstood, "resources_not_understood"),
    ];

    /// The flag's name in the column `flags`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The flag of an event whose `fact` is present and was not understood. Its name is the fact's with `_not_understood`.
    #[must_use]
    pub fn not_understood(fact: Fact) -> Self {
        Self::ALL[Self::IdentityNotUnderstood as usize + fact as usize].0
    }

    /// The fact of which the flag says that it was not understood; `None` for other flags.
    #[must_use]
    pub fn fact(self) -> Option<Fact> {
        (self as usize)
            .checked_sub(Self::IdentityNotUnderstood as usize)
            .map(|number| Fact::ALL[number].0)
    }
}

/// A set of [`Flag`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u32);

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

/// True for the text that tools write where a value is missing: an empty text, `-`, `\N`, `(null)`,
/// or `null` in upper or lower case. White space around it does not count.
#[must_use]
pub fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    matches!(text, "" | "-" | "\\N" | "(null)") || text.eq_ignore_ascii_case("null")
}

/// One decoded event. Its values borrow from the input; nothing is derived yet.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// The value of each [`Field`]; `None` where it is absent or has another JSON type.
    pub values: [Option<Cow<'a, str>>; Field::COUNT],
    /// Hash of each object field's value (0 where absent), in the order of [`Event::OBJECTS`].
    pub object_hashes: [u64; 4],
    /// The identity has a `sessionContext`.
    pub has_session: bool,
    /// The members that no field holds, as the text of one JSON object; `None` where there are none.
    pub extra: Option<String>,
    /// The columns and `extra` cannot rebuild this event, so its text must be stored in `raw`.
    pub needs_raw: bool,
    /// The event's JSON text.
    pub text: &'a str,
    /// Account id for an event that has none: from the row around the event (`owner_id`) or from
    /// the path of the object in the bucket. The flag says which of them.
    pub fallback_account: Option<(Cow<'a, str>, Flag)>,
    /// The oddities that the decoder noticed.
    pub flags: Flags,
    /// The facts that the decoder found in a form that it did not understand.
    pub not_understood: FactSet,
}

impl<'a> Event<'a> {
    /// The fields of type [`FieldType::Object`], in the order of [`Event::object_hashes`].
    pub const OBJECTS: [Field; 4] = [
        Field::RequestParameters,
        Field::ResponseElements,
        Field::ReferencedResources,
        Field::AdditionalEventData,
    ];

    /// An event without any value. `text` is its JSON text.
    #[must_use]
    pub fn empty(text: &'a str) -> Self {
        Self {
            values: [const { None }; Field::COUNT],
            object_hashes: [0; 4],
            has_session: false,
            extra: None,
            needs_raw: false,
            text,
            fallback_account: None,
            flags: Flags::default(),
            not_understood: FactSet::default(),
        }
    }

    /// The value of `field`.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&str> {
        self.values[field as usize].as_deref()
    }

    /// The value of `field`, unless it is absent, empty or a sign for "nothing" ([`is_placeholder`]).
    #[must_use]
    pub fn said(&self, field: Field) -> Option<&str> {
        self.get(field).filter(|text| !is_placeholder(text))
    }

    /// The value of `field`, unless it is absent or empty.
    #[must_use]
    pub fn non_empty(&self, field: Field) -> Option<&str> {
        self.get(field).filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_has_the_flag_of_its_name() {
        for (fact, name) in Fact::ALL {
            let flag = Flag::not_understood(fact);
            assert_eq!(flag.name(), format!("{name}_not_understood"));
            assert_eq!(flag.fact(), Some(fact));
        }
        assert_eq!(Flag::AccountFromOwnerId.fact(), None);
        for (number, (flag, name)) in Flag::ALL.into_iter().enumerate() {
            assert_eq!(flag as usize, number, "{name}");
        }
    }
}
