//! The facts of an event that rules read, and whether each was read, is absent or was not
//! understood.
//!
//! A missing fact and an unreadable fact are different answers: a rule may treat the first as "the event does not say", but
//! it cannot judge an event of which it reads the second. Each fact has one flag for the unreadable case
//! ([`crate::event::Flag::not_understood`]), and `columns::FACT_COLUMNS` lists the columns that each fact feeds.
//!
//! ```
//! use trailhound_datasets::fact::{Fact, FactSet, FactState};
//!
//! let mut unread = FactSet::default();
//! unread.insert(Fact::Mfa);
//! assert_eq!(unread.state(Fact::Mfa, true), FactState::NotUnderstood);
//! assert_eq!(unread.state(Fact::Time, true), FactState::Read);
//! assert_eq!(unread.state(Fact::Time, false), FactState::Absent);
//! assert_eq!(Fact::SourceAddress.name(), "source_address");
//! ```

/// A fact of an event that rules read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fact {
    /// Who called: `userIdentity` and its members, the key and the session.
    Identity,
    /// When: `eventTime`.
    Time,
    /// What: `eventName`, with `eventType`, `eventCategory` and `eventRW`.
    Action,
    /// Of which service: `serviceName`, `eventSource`, `apiVersion`.
    Service,
    /// In which account: that of the identity or of the recipient.
    Account,
    /// From where: `sourceIpAddress`.
    SourceAddress,
    /// With which result: `errorCode`, `errorMessage`.
    Outcome,
    /// With which parameters: `requestParameters` and `requestParameterJson`.
    RequestParameters,
    /// Whether with a second factor: `mfaAuthenticated` and `additionalEventData`.
    Mfa,
    /// On which resources: `resourceType`, `resourceName`, `referencedResources`, and `responseElements`, which names those
    /// that a call made.
    Resources,
}

impl Fact {
    /// Number of facts.
    pub const COUNT: usize = Self::Resources as usize + 1;

    /// Every fact with its name, in declaration order.
    pub const ALL: [(Self, &'static str); Self::COUNT] = [
        (Self::Identity, "identity"),
        (Self::Time, "time"),
        (Self::Action, "action"),
        (Self::Service, "service"),
        (Self::Account, "account"),
        (Self::SourceAddress, "source_address"),
        (Self::Outcome, "outcome"),
        (Self::RequestParameters, "request_parameters"),
        (Self::Mfa, "mfa"),
        (Self::Resources, "resources"),
    ];

    /// The fact's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Whether a fact of an event was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactState {
    /// The event has the fact and it was understood.
    Read,
    /// The event does not have the fact: the member is missing, null or empty.
    Absent,
    /// The event has the fact in a form that was not understood.
    NotUnderstood,
}

/// A set of [`Fact`]s: those of an event that were not understood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FactSet(u16);

impl FactSet {
    /// Adds `fact`.
    pub fn insert(&mut self, fact: Fact) {
        self.0 |= 1 << fact as u8;
    }

    /// True where the set holds `fact`.
    #[must_use]
    pub fn contains(self, fact: Fact) -> bool {
        self.0 & (1 << fact as u8) != 0
    }

    /// Adds the facts of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// True where the set holds a fact of `other`.
    #[must_use]
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// True where the set holds each fact of `other`.
    #[must_use]
    pub fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True where the set holds no fact.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The facts of the set in declaration order.
    pub fn iter(self) -> impl Iterator<Item = Fact> {
        Fact::ALL.into_iter().map(|(fact, _)| fact).filter(move |&fact| self.contains(fact))
    }

    /// The state of `fact` in an event whose facts that were not understood are this set. `is_present` says whether the
    /// event's columns hold the fact.
    #[must_use]
    pub fn state(self, fact: Fact, is_present: bool) -> FactState {
        match (self.contains(fact), is_present) {
            (true, _) => FactState::NotUnderstood,
            (false, true) => FactState::Read,
            (false, false) => FactState::Absent,
        }
    }
}
