//! Counts of the facts of stored events, by whether each was read.

use serde::Serialize;
use std::collections::BTreeMap;
use trailhound_datasets::derive::DerivedFacts;
use trailhound_datasets::derive::mfa::Mfa;
use trailhound_datasets::event::{Event, Field, Flag};
use trailhound_datasets::fact::{Fact, FactSet, FactState};

/// The events of one source, and how many had each fact read, absent and not understood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FactCounts {
    /// Events stored.
    pub events: u64,
    /// Events with at least one fact that was not understood.
    pub not_understood: u64,
    /// The counts of each fact, in declaration order.
    facts: [FactStates; Fact::COUNT],
}

/// The events of which one fact was read, absent and not understood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FactStates {
    /// The fact was read.
    pub read: u64,
    /// The event does not have it.
    pub absent: u64,
    /// The event has it in a form that was not understood.
    pub not_understood: u64,
}

impl FactCounts {
    /// Counts a stored event.
    pub(crate) fn count(&mut self, event: &Event<'_>, derived: &DerivedFacts<'_>) {
        let mut marked = FactSet::default();
        for (fact, _) in Fact::ALL {
            if derived.flags.contains(Flag::not_understood(fact)) {
                marked.insert(fact);
            }
            let states = &mut self.facts[fact as usize];
            match marked.state(fact, is_present(fact, event, derived)) {
                FactState::Read => states.read += 1,
                FactState::Absent => states.absent += 1,
                FactState::NotUnderstood => states.not_understood += 1,
            }
        }
        self.events += 1;
        self.not_understood += u64::from(!marked.is_empty());
    }

    /// The counts of each fact, in declaration order.
    pub fn facts(&self) -> impl Iterator<Item = (Fact, FactStates)> {
        Fact::ALL.into_iter().map(|(fact, _)| (fact, self.facts[fact as usize]))
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.not_understood += other.not_understood;
        for (states, more) in self.facts.iter_mut().zip(&other.facts) {
            states.read += more.read;
            states.absent += more.absent;
            states.not_understood += more.not_understood;
        }
    }

    /// Names the facts that were not understood, each with its number of events, the most frequent
    /// first.
    #[must_use]
    pub fn describe_not_understood(&self) -> String {
        let mut facts: Vec<(Fact, u64)> =
            self.facts().map(|(fact, states)| (fact, states.not_understood)).collect();
        facts.retain(|(_, count)| *count > 0);
        facts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let named: Vec<String> =
            facts.iter().map(|(fact, count)| format!("{} {count}", fact.name())).collect();
        named.join(", ")
    }
}

/// The counts of each source, by its name.
pub type SourceFacts = BTreeMap<String, FactCounts>;

/// True where the columns of an event hold `fact`. The view `comprehension` counts in the same way.
fn is_present(fact: Fact, event: &Event<'_>, derived: &DerivedFacts<'_>) -> bool {
    let any = |fields: &[Field]| fields.iter().any(|&field| event.get(field).is_some());
    match fact {
        Fact::Identity => {
            any(&[Field::PrincipalId, Field::UserName, Field::UserType, Field::AccessKeyId])
        }
        Fact::Time => derived.event_time.is_some(),
        Fact::Action => derived.event_action.is_some(),
        Fact::Service => any(&[Field::ServiceName, Field::EventSource]),
        Fact::Account => derived.account_id.is_some(),
        Fact::SourceAddress => any(&[Field::SourceIpAddress]),
        Fact::Outcome => true,
        Fact::RequestParameters => any(&[Field::RequestParameters, Field::RequestParameterJson]),
        Fact::Mfa => derived.mfa != Mfa::Unknown || derived.session_mfa != Mfa::Unknown,
        Fact::Resources => !derived.resources.is_empty(),
    }
}
