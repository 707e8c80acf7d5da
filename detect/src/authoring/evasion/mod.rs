//! The changes that an attacker who has read the rules makes to an attack. Each leaves the effect of the attack and changes
//! what its events look like. A rule holds against a change where it still gives a finding.

pub mod attack;
mod caller;
mod documents;
mod lists;
pub mod page;
mod parameters;
mod traffic;

use super::case_events::{case_events, is_firing};
use attack::{Attack, Evasion, parameters_read};
use serde_json::Value;
use trailhound_queries::packs::rules::Rule;

/// All changes. A rule is listed by their names in `queries/evasions.toml` and `docs/evasion.md`, so that names stay.
pub const EVASIONS: [Evasion; 37] = [
    Evasion {
        name: "dry-run-parameter",
        does: "adds `DryRun=true` to a call that does not know it",
        change: parameters::dry_run,
    },
    Evasion {
        name: "superfluous-parameters",
        does: "adds parameters that nobody reads, and harmless values under the same names in another case",
        change: parameters::superfluous,
    },
    Evasion {
        name: "borrowed-parameters",
        does: "adds parameters that the rule reads for other operations, with values that say that nothing is wrong",
        change: parameters::borrowed,
    },
    Evasion {
        name: "forged-facts",
        does: "adds parameters named like facts that the vendor writes, such as `userClientIp`",
        change: parameters::forged_facts,
    },
    Evasion {
        name: "odd-case-names",
        does: "writes parameter names in another case",
        change: parameters::odd_case_names,
    },
    Evasion {
        name: "spaced-names",
        does: "puts spaces around parameter names",
        change: parameters::spaced_names,
    },
    Evasion {
        name: "repeated-parameters",
        does: "gives each parameter a second time with a harmless value",
        change: parameters::repeated,
    },
    Evasion {
        name: "typed-values",
        does: "writes numbers and truth values as JSON values or as text, also as `True`",
        change: parameters::typed_values,
    },
    Evasion {
        name: "other-column",
        does: "calls so that only `requestParameterJson` has the parameters",
        change: parameters::other_column,
    },
    Evasion {
        name: "both-columns-harmless-first",
        does: "calls so that `requestParameters` lacks a parameter that `requestParameterJson` has",
        change: parameters::both_columns,
    },
    Evasion {
        name: "split-call",
        does: "makes one call for each entry of a list",
        change: lists::split_call,
    },
    Evasion {
        name: "harmless-entry-beside",
        does: "puts a harmless entry before and behind the harmful ones of a list",
        change: lists::harmless_entry,
    },
    Evasion {
        name: "harmless-address-beside",
        does: "puts inner addresses before and behind those of an allow list in text",
        change: lists::harmless_address,
    },
    Evasion {
        name: "list-as-text",
        does: "writes a list as text that holds JSON",
        change: lists::list_as_text,
    },
    Evasion {
        name: "flattened-list",
        does: "writes a list as numbered parameters",
        change: lists::flattened_list,
    },
    Evasion { name: "object-list", does: "writes a list as JSON", change: lists::object_list },
    Evasion {
        name: "harmless-statement-beside",
        does: "puts a harmless statement before and behind those of a policy",
        change: documents::harmless_statement,
    },
    Evasion {
        name: "harmless-action-beside",
        does: "puts harmless actions, resources and principals beside the harmful ones of a statement",
        change: documents::harmless_action,
    },
    Evasion {
        name: "one-or-list",
        does: "writes one action, resource, principal or statement as a list, and a list of one as the one",
        change: documents::one_or_list,
    },
    Evasion {
        name: "escaped-document",
        does: "writes a policy with JSON escapes in place of its letters, or spread over lines",
        change: documents::escaped,
    },
    Evasion {
        name: "other-document-form",
        does: "gives a policy as an object in place of text, or as text in place of an object",
        change: documents::other_form,
    },
    Evasion {
        name: "twin-service",
        does: "calls the same operation of another service, such as IMS in place of RAM",
        change: caller::twin_service,
    },
    Evasion {
        name: "odd-case-action",
        does: "writes the operation in another case",
        change: caller::odd_case_action,
    },
    Evasion {
        name: "odd-case-service",
        does: "writes the service in another case",
        change: caller::odd_case_service,
    },
    Evasion { name: "other-region", does: "acts in another region", change: caller::other_region },
    Evasion {
        name: "other-order",
        does: "makes the calls of a chain in the opposite order",
        change: traffic::other_order,
    },
    Evasion {
        name: "address-list",
        does: "sends addresses of proxies along, so that the trail has a list of addresses",
        change: caller::address_list,
    },
    Evasion { name: "address-ipv6", does: "calls over IPv6", change: caller::address_ipv6 },
    Evasion {
        name: "address-mapped",
        does: "calls over IPv4 mapped to IPv6, `::ffff:198.51.100.7`",
        change: caller::address_mapped,
    },
    Evasion {
        name: "address-missing",
        does: "calls so that the trail has no address",
        change: caller::address_missing,
    },
    Evasion {
        name: "address-internal",
        does: "calls through a service or network of the vendor, so that the trail has `Internal`",
        change: caller::address_internal,
    },
    Evasion {
        name: "session-instead-of-key",
        does: "takes a session of a role with the stolen key, and acts with that",
        change: caller::session_instead_of_key,
    },
    Evasion {
        name: "key-instead-of-session",
        does: "creates a key from the session, and acts with that",
        change: caller::key_instead_of_session,
    },
    Evasion {
        name: "innocent-session-name",
        does: "names the session of a role like one of the platform's",
        change: caller::innocent_session,
    },
    Evasion {
        name: "other-agent",
        does: "takes the user agent of the console, an SDK or a service, or none",
        change: caller::other_agent,
    },
    Evasion {
        name: "benign-around",
        does: "mixes ordinary calls, of the same and of another caller, before, between and after",
        change: traffic::benign_around,
    },
    Evasion {
        name: "all-spellings",
        does: "writes operation, service and parameter names in another case and gives the parameters as text, at once",
        change: all_spellings,
    },
];

/// Makes all changes of spelling at once.
fn all_spellings(attack: &Attack) -> Vec<Vec<Value>> {
    let steps = [
        parameters::odd_case_names,
        parameters::other_column,
        caller::odd_case_action,
        caller::odd_case_service,
    ];
    let mut changed = attack.clone();
    let mut is_changed = false;
    for step in steps {
        if let Some(events) = step(&changed).into_iter().next() {
            changed.events = events;
            is_changed = true;
        }
    }
    if is_changed { vec![changed.events] } else { Vec::new() }
}

/// The changes that apply to a firing case of `rule`, in the order of [`EVASIONS`].
#[must_use]
pub fn applicable(rule: &Rule) -> Vec<&'static Evasion> {
    let firing = rule.cases.iter().filter(|case| is_firing(case));
    let reads = parameters_read(rule);
    let attacks: Vec<Attack> = firing
        .filter_map(|case| case_events(case).ok())
        .map(|events| Attack { own: vec![true; events.len()], events, reads: reads.clone() })
        .collect();
    EVASIONS
        .iter()
        .filter(|evasion| attacks.iter().any(|attack| !(evasion.change)(attack).is_empty()))
        .collect()
}
