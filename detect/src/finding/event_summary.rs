//! Many events in one finding, in bounded memory: all are counted, the first ones are named.
//!
//! The summary of some events does not depend on their order, so a finding that is made of it has
//! the same content in every evaluation.

use crate::finding::match_rows::MatchRow;
use crate::finding::{Evidence, Finding, TargetResource};
use chrono::{DateTime, SecondsFormat};
use std::collections::{BTreeMap, BTreeSet};

/// Events, actions, regions, outcomes and targets that a summary names at most, each.
pub(crate) const NAMED_MAX: usize = 20;

/// The order of events: time, id, key.
type EventOrder = (Option<i64>, Option<String>, Vec<u8>);

/// The summary of some events.
#[derive(Debug, Default)]
pub(crate) struct EventSummary {
    count: u64,
    first: BTreeMap<EventOrder, Evidence>,
    last: Option<i64>,
    actions: BTreeSet<String>,
    regions: BTreeSet<String>,
    outcomes: BTreeSet<String>,
    targets: BTreeSet<TargetResource>,
}

impl EventSummary {
    /// Adds the event of `row`. Returns true where it is the first of all so far.
    pub(crate) fn add(&mut self, row: MatchRow<'_>) -> bool {
        let order = (row.event_time(), row.owned("event_id"), row.event_key().to_vec());
        let is_first = self.first.first_key_value().is_none_or(|(first, _)| order < *first);
        self.count += 1;
        self.last = self.last.max(order.0);
        self.first.insert(
            order,
            Evidence {
                event_key: hex(row.event_key()),
                source_object: row.owned("source_object"),
                source_position: row.source_position(),
            },
        );
        if self.first.len() > NAMED_MAX {
            self.first.pop_last();
        }
        name(&mut self.actions, [action(row)]);
        name(&mut self.regions, row.owned("acs_region"));
        name(&mut self.outcomes, row.owned("outcome"));
        let targets = row
            .resources()
            .map(|(kind, id)| TargetResource { kind: kind.map(str::to_owned), id: id.to_owned() });
        name(&mut self.targets, targets);
        is_first
    }

    /// `finding` about these events.
    pub(crate) fn complete(self, finding: Finding) -> Finding {
        let first = rfc3339(self.first.first_key_value().and_then(|(order, _)| order.0));
        Finding {
            event_time: first.clone(),
            first_seen: first,
            last_seen: rfc3339(self.last),
            count: self.count,
            actions: self.actions.into_iter().collect(),
            regions: self.regions.into_iter().collect(),
            outcomes: self.outcomes.into_iter().collect(),
            targets: self.targets.into_iter().collect(),
            event_ids: self.first.keys().map(|(_, id, _)| id.clone().unwrap_or_default()).collect(),
            evidence: self.first.into_values().collect(),
            ..finding
        }
    }
}

/// Adds `values` and keeps the first [`NAMED_MAX`] in their order.
fn name<T: Ord>(known: &mut BTreeSet<T>, values: impl IntoIterator<Item = T>) {
    for value in values {
        known.insert(value);
        if known.len() > NAMED_MAX {
            known.pop_last();
        }
    }
}

/// The action of an event as `service:event`, such as `Ecs:StopInstance`.
pub(crate) fn action(row: MatchRow<'_>) -> String {
    format!("{}:{}", row.text("service_name").unwrap_or("?"), row.text("event_name").unwrap_or("?"))
}

/// Formats a time, in microseconds since 1970 UTC, as RFC 3339.
pub(crate) fn rfc3339(micros: Option<i64>) -> Option<String> {
    DateTime::from_timestamp_micros(micros?)
        .map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
