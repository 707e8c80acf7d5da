//! Groups the matches of a rule into findings, by dedup key and reason of suppression. Gives each
//! finding a stable id.
//!
//! Example: a rule with `dedup = { columns = ["user_name"], window = "1h" }` matches alice at 10:05
//! and 10:40 and bob at 10:50. The first two matches make one finding with two events; the third
//! match makes a second finding. If `alice` is an allowed principal, her matches make a suppressed
//! finding, whose id differs from that of an open finding.

use crate::finding::event_summary::{action, hex, rfc3339};
use crate::finding::match_rows::MatchRow;
use crate::finding::{Actor, Evidence, Finding, FindingStatus, TargetResource};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use trailhound_queries::functions::mask_access_key;
use trailhound_queries::packs::rules::Rule;
use trailhound_queries::parameters::Parameters;
use xxhash_rust::xxh3::xxh3_128;

/// Returns why a match is suppressed: the label of the allowed principal, or else the reason in the
/// match's column `expected_because`. `None` if the match is not suppressed.
pub(crate) fn suppressed_by(
    rule: &Rule,
    parameters: &Parameters,
    matched: MatchRow<'_>,
) -> Option<String> {
    let instances = matched.instance_ids();
    let operator = matched.operator(&instances);
    let allowed =
        parameters.allowed_principals.iter().find(|allowed| allowed.allows(&rule.id, &operator));
    allowed
        .map(trailhound_queries::parameters::AllowedPrincipal::label)
        .or_else(|| matched.owned("expected_because"))
}

/// A set of event keys.
pub(crate) type EventKeys = HashSet<Box<[u8]>>;

/// The findings of one rule.
#[derive(Debug, Default)]
pub(crate) struct GroupedFindings {
    /// Findings to store, in order of their first event.
    pub(crate) findings: Vec<Finding>,
    /// Ids of findings that are still valid and have not changed: none of their events is new.
    pub(crate) unchanged_ids: Vec<String>,
}

/// Groups the `matches` of `rule` into findings.
///
/// `fresh` holds the keys of the events that are new since the last run; `None` means that all
/// events are new. A group without a new event has not changed, so only its finding id is returned.
pub(crate) fn group_matches<'r>(
    rule: &Rule,
    parameters: &Parameters,
    matches: impl Iterator<Item = MatchRow<'r>>,
    fresh: Option<&EventKeys>,
) -> GroupedFindings {
    let mut groups: BTreeMap<[String; 2], (Option<String>, Vec<MatchRow<'r>>)> = BTreeMap::new();
    for matched in matches {
        let suppressed = suppressed_by(rule, parameters, matched);
        let key = [group_key(rule, matched), suppressed.clone().unwrap_or_default()];
        groups.entry(key).or_insert_with(|| (suppressed, Vec::new())).1.push(matched);
    }
    let mut grouped = GroupedFindings::default();
    for ([key, _], (suppressed, matches)) in groups {
        if fresh
            .is_some_and(|fresh| !matches.iter().any(|matched| fresh.contains(matched.event_key())))
        {
            grouped.unchanged_ids.push(finding_id(rule, &key, suppressed.as_deref()));
        } else {
            grouped.findings.push(finding(rule, parameters, &key, suppressed, matches));
        }
    }
    grouped.findings.sort_by(|a, b| {
        (&a.event_time, &a.event_ids, &a.finding_id).cmp(&(
            &b.event_time,
            &b.event_ids,
            &b.finding_id,
        ))
    });
    grouped
}

/// Returns the stable id of a finding: a hash of the rule id, the rule's major version, the group
/// key and the reason of suppression.
pub(crate) fn finding_id(rule: &Rule, key: &str, suppressed_by: Option<&str>) -> String {
    let identity =
        [rule.id.as_str(), rule.major_version(), key, suppressed_by.unwrap_or("")].join("\u{1e}");
    format!("{:032x}", xxh3_128(identity.as_bytes()))
}

/// Returns the group key of `matched`: account, variant, dedup columns and start of the time
/// window. If the rule has no `dedup` or the event has no time, the key is account, variant and
/// event key.
///
/// Windows are aligned to 1970 and not to the first match. So a late event never shifts a window,
/// and the ids of other findings stay the same.
fn group_key(rule: &Rule, matched: MatchRow<'_>) -> String {
    let account = matched.text("account_id").unwrap_or("");
    let variant = matched.text("variant").unwrap_or("");
    let window = rule.dedup.as_ref().and_then(|dedup| {
        let micros = i64::try_from(dedup.window.as_micros()).ok().filter(|&micros| micros > 0)?;
        matched.event_time().map(|time| time.div_euclid(micros) * micros)
    });
    let parts: Vec<String> = match window {
        Some(start) => [account, variant]
            .into_iter()
            .map(str::to_owned)
            .chain(matched.dedup().map(str::to_owned))
            .chain([start.to_string()])
            .collect(),
        None => vec![account.to_owned(), variant.to_owned(), hex(matched.event_key())],
    };
    parts.join("\u{1f}")
}

/// Makes the finding of one group of matches.
pub(crate) fn finding(
    rule: &Rule,
    parameters: &Parameters,
    key: &str,
    suppressed_by: Option<String>,
    mut matches: Vec<MatchRow<'_>>,
) -> Finding {
    let order = |matched: &MatchRow<'_>| {
        (matched.event_time(), matched.owned("event_id"), matched.event_key().to_vec())
    };
    matches.sort_by_cached_key(order);
    let (first, last) = (matches[0], matches[matches.len() - 1]);
    let reasons = |column: &'static str| unique(matches.iter().flat_map(move |m| m.list(column)));
    let account_id = first.owned("account_id");
    Finding {
        finding_id: finding_id(rule, key, suppressed_by.as_deref()),
        rule_id: rule.id.clone(),
        rule_version: rule.version.clone(),
        variant: first.owned("variant"),
        title: rule.title.en.clone(),
        title_zh: rule.title.zh.clone(),
        severity: matches
            .iter()
            .map(|m| m.severity().unwrap_or(rule.severity))
            .max()
            .unwrap_or(rule.severity),
        status: if suppressed_by.is_some() {
            FindingStatus::Suppressed
        } else {
            FindingStatus::Open
        },
        attack: rule.attack.clone(),
        account_name: account_id.as_ref().and_then(|id| parameters.accounts.get(id).cloned()),
        account_id,
        operator: actor(first),
        source_ip: first.owned("source_ip_address"),
        source_class: first.owned("source_class"),
        client_ip: first.owned("client_ip"),
        client_ip_provenance: first.owned("client_ip_provenance"),
        user_agent: first.owned("user_agent"),
        event_time: rfc3339(first.event_time()),
        first_seen: rfc3339(first.event_time()),
        last_seen: rfc3339(last.event_time()),
        count: matches.len() as u64,
        actions: by_frequency(matches.iter().copied().map(action)),
        regions: by_frequency(matches.iter().filter_map(|m| m.owned("acs_region"))),
        outcomes: by_frequency(matches.iter().filter_map(|m| m.owned("outcome"))),
        targets: targets(&matches),
        why: reasons("why"),
        unknowns: reasons("unknowns"),
        verdict: first.owned("verdict"),
        suppressed_by,
        event_ids: matches.iter().map(|m| m.owned("event_id").unwrap_or_default()).collect(),
        evidence: matches
            .iter()
            .map(|m| Evidence {
                event_key: hex(m.event_key()),
                source_object: m.owned("source_object"),
                source_position: m.source_position(),
            })
            .collect(),
        runbook: rule.runbook.en.clone(),
    }
}

fn actor(matched: MatchRow<'_>) -> Actor {
    Actor {
        kind: matched.owned("user_type"),
        name: matched.owned("user_name"),
        principal_id: matched.owned("principal_id"),
        access_key_id: matched
            .text("access_key_id")
            .filter(|key| !key.is_empty())
            .map(mask_access_key),
        role: matched.owned("role_name"),
        session: matched.owned("session_name"),
        credential_kind: matched.owned("credential_kind"),
    }
}

fn targets(matches: &[MatchRow<'_>]) -> Vec<TargetResource> {
    let targets: BTreeSet<TargetResource> = matches
        .iter()
        .flat_map(|m| m.resources())
        .map(|(kind, id)| TargetResource { kind: kind.map(str::to_owned), id: id.to_owned() })
        .collect();
    targets.into_iter().collect()
}

/// Returns each value once, in order of first appearance.
fn unique<'a>(values: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    values.filter(|value| seen.insert(*value)).map(str::to_owned).collect()
}

/// Returns each value once, the most frequent first. Values of equal frequency are sorted.
fn by_frequency(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.into_iter().map(|(value, _)| value).collect()
}
