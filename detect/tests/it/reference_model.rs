//! An independent model of a few rules, written from their descriptions and not from their queries: slow and plain, one event
//! after the other. It reads events as they were sent and uses neither SQL nor columns.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use trailhound_datasets::derive::time::parse;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 86_400_000_000;

/// A finding of the reference model: rule, account, events and severity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expected {
    pub(crate) rule_id: String,
    pub(crate) account: String,
    pub(crate) event_ids: BTreeSet<String>,
    pub(crate) severity: String,
}

/// An event, as far as the rules look at it.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    id: String,
    account: String,
    time: Option<i64>,
    name: String,
    service: String,
    principal: Option<String>,
    /// Who signs in: the principal, or the name if the event has no principal.
    who: Option<String>,
    user_type: String,
    key: Option<String>,
    from: String,
    failed: bool,
    read: bool,
    user: Option<String>,
    policy: Option<String>,
    region: Option<String>,
}

fn text(value: &Value, path: &str) -> Option<String> {
    value.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

impl Event {
    fn of(sent: &Value) -> Self {
        Self {
            id: text(sent, "/eventId").expect("an id"),
            account: text(sent, "/userIdentity/accountId").expect("an account"),
            time: text(sent, "/eventTime").as_deref().and_then(parse),
            name: text(sent, "/eventName").expect("a name").to_lowercase(),
            service: text(sent, "/serviceName").expect("a service").to_lowercase(),
            principal: text(sent, "/userIdentity/principalId"),
            who: text(sent, "/userIdentity/principalId")
                .or_else(|| text(sent, "/userIdentity/userName")),
            user_type: text(sent, "/userIdentity/type").unwrap_or_default(),
            key: text(sent, "/userIdentity/accessKeyId"),
            from: text(sent, "/sourceIpAddress").unwrap_or_default(),
            failed: text(sent, "/errorCode").is_some(),
            read: text(sent, "/eventRW").is_some_and(|rw| rw == "Read"),
            user: text(sent, "/requestParameters/UserName").map(|user| user.to_lowercase()),
            policy: text(sent, "/requestParameters/PolicyName").map(|policy| policy.to_lowercase()),
            region: text(sent, "/acsRegion"),
        }
    }

    fn is_address(&self) -> bool {
        self.from.parse::<std::net::IpAddr>().is_ok()
    }

    fn is_sign_in(&self) -> bool {
        self.name == "consolesignin"
    }

    fn is_ram(&self, name: &str) -> bool {
        self.name == name && ["ram", "ims"].contains(&self.service.as_str())
    }
}

/// A match: the event, the severity, and the key by which matches are grouped into findings.
pub(crate) struct Hit<'e> {
    event: &'e Event,
    severity: &'static str,
    shares: String,
}

/// Returns the findings that `rules` must make from `sent`. The order does not matter, and `sent`
/// may contain an event several times.
pub(crate) fn expected(sent: &[Value], rules: &[Promise]) -> BTreeSet<Expected> {
    let mut once: BTreeMap<String, Event> = BTreeMap::new();
    for event in sent {
        let event = Event::of(event);
        once.insert(format!("{} {}", event.account, event.id), event);
    }
    let events: Vec<Event> = once.into_values().collect();
    let mut found = BTreeSet::new();
    for (rule_id, matches, window) in rules {
        found.extend(findings(rule_id, matches(&events), window * MINUTE));
    }
    found
}

type Matches = fn(&[Event]) -> Vec<Hit<'_>>;

/// Id of a rule, the function that finds its matches, and the dedup window in minutes.
pub(crate) type Promise = (&'static str, Matches, i64);

/// Rules whose windows are minutes.
pub(crate) const SHORT: [Promise; 7] = [
    ("AT-ROOT-001", root_key, 60),
    ("AT-LOGIN-003", guessed, 10),
    ("AT-LOGIN-004", sprayed, 30),
    ("AT-LOGIN-005", guessed_at_last, 5),
    ("AT-PE-001", privilege_chain, 10),
    ("AT-DISC-003", tried_out, 60),
    ("AT-IMPACT-001", deleted, 10),
];

/// Rules that detect missing events.
pub(crate) const ABSENT: [Promise; 1] = [("AT-LOG-003", silent, 60)];

/// Rules that compare events with the events of past months.
pub(crate) const LONG: [Promise; 3] =
    [("AT-CRED-004", new_network, 60), ("AT-CRED-005", woken, 60), ("AT-GEO-001", new_region, 60)];

fn findings(rule_id: &str, hits: Vec<Hit<'_>>, window: i64) -> BTreeSet<Expected> {
    let ranks = ["info", "low", "medium", "high", "critical"];
    let rank = |severity: &str| ranks.iter().position(|known| *known == severity);
    let mut groups: BTreeMap<(String, String, String), (BTreeSet<String>, &str)> = BTreeMap::new();
    for hit in hits {
        let stretch = match hit.event.time {
            Some(time) => format!("{}", time.div_euclid(window)),
            None => format!("alone {}", hit.event.id),
        };
        let shares = if hit.event.time.is_some() { hit.shares } else { String::new() };
        let group = groups
            .entry((hit.event.account.clone(), shares, stretch))
            .or_insert_with(|| (BTreeSet::new(), hit.severity));
        group.0.insert(hit.event.id.clone());
        if rank(hit.severity) > rank(group.1) {
            group.1 = hit.severity;
        }
    }
    let mut found = BTreeSet::new();
    for ((account, ..), (event_ids, severity)) in groups {
        found.insert(Expected {
            rule_id: rule_id.to_owned(),
            account,
            event_ids,
            severity: severity.to_owned(),
        });
    }
    found
}

fn root_key(events: &[Event]) -> Vec<Hit<'_>> {
    let is = |event: &&Event| event.user_type == "root-account" && event.key.is_some();
    let severity = |event: &Event| match (event.failed, event.read) {
        (true, _) => "medium",
        (false, true) => "high",
        (false, false) => "critical",
    };
    let hit = |event| Hit {
        event,
        severity: severity(event),
        shares: format!("{:?} {}", event.key, event.from),
    };
    events.iter().filter(is).map(hit).collect()
}

/// Those of `events` that lie in some window of `minutes` in which `enough` of the others (and itself) do; windows end at an event.
fn in_windows<'e>(
    events: Vec<&'e Event>,
    minutes: i64,
    enough: impl Fn(&[&Event]) -> bool,
) -> Vec<&'e Event> {
    let mut chosen: BTreeMap<&str, &Event> = BTreeMap::new();
    for last in &events {
        let end = last.time.expect("timed");
        let window: Vec<&'e Event> = events
            .iter()
            .copied()
            .filter(|other| {
                other.time.is_some_and(|time| time <= end && time >= end - minutes * MINUTE)
            })
            .collect();
        if enough(&window) {
            chosen.extend(window.into_iter().map(|event| (event.id.as_str(), event)));
        }
    }
    chosen.into_values().collect()
}

/// Groups `events` by account and by the key that `by` returns. Events without a key or without a
/// time are omitted.
fn apart<'e>(
    events: impl Iterator<Item = &'e Event>,
    by: impl Fn(&Event) -> Option<String>,
) -> Vec<(String, Vec<&'e Event>)> {
    let mut groups: BTreeMap<(String, String), Vec<&Event>> = BTreeMap::new();
    for event in events.filter(|event| event.time.is_some()) {
        if let Some(key) = by(event) {
            groups.entry((event.account.clone(), key)).or_default().push(event);
        }
    }
    groups.into_iter().map(|((_, key), events)| (key, events)).collect()
}

fn high<'e>(shares: &str, events: Vec<&'e Event>, severity: &'static str) -> Vec<Hit<'e>> {
    events.into_iter().map(|event| Hit { event, severity, shares: shares.to_owned() }).collect()
}

fn guessed(events: &[Event]) -> Vec<Hit<'_>> {
    let failures = events.iter().filter(|event| event.is_sign_in() && event.failed);
    let users = apart(failures, |event| event.who.clone());
    users
        .into_iter()
        .flat_map(|(user, events)| {
            high(&user, in_windows(events, 5, |window| window.len() >= 5), "high")
        })
        .collect()
}

fn sprayed(events: &[Event]) -> Vec<Hit<'_>> {
    let failures =
        events.iter().filter(|event| event.is_sign_in() && event.failed && event.is_address());
    let sources = apart(failures, |event| Some(event.from.clone()));
    let many = |window: &[&Event]| {
        window.iter().filter_map(|event| event.who.as_ref()).collect::<BTreeSet<_>>().len() >= 5
    };
    sources
        .into_iter()
        .flat_map(|(from, events)| high(&from, in_windows(events, 30, many), "high"))
        .collect()
}

fn guessed_at_last(events: &[Event]) -> Vec<Hit<'_>> {
    let users = apart(events.iter().filter(|event| event.is_sign_in()), |event| event.who.clone());
    let mut hits = Vec::new();
    for (_, events) in users {
        for event in events.iter().filter(|event| !event.failed) {
            let end = event.time.expect("timed");
            let failures = events.iter().filter(|other| {
                other.failed
                    && other.time.is_some_and(|time| time <= end && time >= end - 15 * MINUTE)
            });
            if failures.count() >= 3 {
                hits.push(Hit {
                    event,
                    severity: "high",
                    shares: format!("{:?}", event.principal),
                });
            }
        }
    }
    hits
}

fn privilege_chain(events: &[Event]) -> Vec<Hit<'_>> {
    let is_grant = |event: &Event| {
        event.is_ram("attachpolicytouser") && event.policy.as_deref() == Some("administratoraccess")
    };
    let is_use =
        |event: &Event| event.is_ram("createaccesskey") || event.is_ram("createloginprofile");
    let calls = events.iter().filter(|event| !event.failed && (is_grant(event) || is_use(event)));
    let mut hits = Vec::new();
    for (target, events) in apart(calls, |event| event.user.clone()) {
        for event in events.iter().filter(|event| is_use(event)) {
            let end = event.time.expect("timed");
            if events.iter().any(|other| {
                is_grant(other)
                    && other.time.is_some_and(|time| time <= end && time >= end - 30 * MINUTE)
            }) {
                hits.push(Hit { event, severity: "critical", shares: target.clone() });
            }
        }
    }
    hits
}

fn tried_out(events: &[Event]) -> Vec<Hit<'_>> {
    let calls = events.iter().filter(|event| event.key.is_some());
    let mut hits = Vec::new();
    for (_, events) in apart(calls, |event| event.key.clone()) {
        for event in
            events.iter().filter(|event| event.name == "getcalleridentity" && !event.failed)
        {
            let begin = event.time.expect("timed");
            let refused =
                events.iter().filter(|other| other.failed && other.name != "consolesignin");
            let after = refused.filter(|other| {
                other.time.is_some_and(|time| time >= begin && time <= begin + 10 * MINUTE)
            });
            if after.count() >= 3 {
                hits.push(Hit {
                    event,
                    severity: "medium",
                    shares: format!("{:?}", event.principal),
                });
            }
        }
    }
    hits
}

fn deleted(events: &[Event]) -> Vec<Hit<'_>> {
    let calls = events.iter().filter(|event| event.name.starts_with("delete") && !event.failed);
    let many = |window: &[&Event]| {
        window.iter().map(|event| &event.user).collect::<BTreeSet<_>>().len() >= 10
    };
    let people = apart(calls, |event| event.principal.clone());
    people
        .into_iter()
        .flat_map(|(who, events)| high(&who, in_windows(events, 10, many), "critical"))
        .collect()
}

impl Event {
    /// The address as four or sixteen numbers, cut to the network.
    fn network(&self) -> Option<Vec<u8>> {
        Some(match self.from.parse().ok()? {
            std::net::IpAddr::V4(address) => address.octets()[..3].to_vec(),
            std::net::IpAddr::V6(address) => address.octets()[..6].to_vec(),
        })
    }

    /// How long before `other` it was, if it was.
    fn before(&self, other: &Self) -> Option<i64> {
        Some(other.time? - self.time?).filter(|time| *time > 0)
    }
}

fn new_network(events: &[Event]) -> Vec<Hit<'_>> {
    let uses = events.iter().filter(|event| event.network().is_some());
    let mut hits = Vec::new();
    for (key, events) in apart(uses, |event| event.key.clone()) {
        for event in &events {
            let ago = |other: &&&Event| other.before(event);
            let is_known = events
                .iter()
                .filter_map(|other| ago(&other))
                .any(|time| time <= 30 * DAY && time > 7 * DAY);
            let was_here = events
                .iter()
                .filter(|other| other.network() == event.network())
                .filter_map(|other| ago(&other))
                .any(|time| time <= 30 * DAY);
            if is_known && !was_here {
                hits.push(Hit { event, severity: "medium", shares: key.clone() });
            }
        }
    }
    hits
}

fn woken(events: &[Event]) -> Vec<Hit<'_>> {
    let mut hits = Vec::new();
    for (key, events) in apart(events.iter(), |event| event.key.clone()) {
        for event in &events {
            let last = events.iter().filter_map(|other| other.before(event)).min();
            if last.is_some_and(|time| time > 90 * DAY && time <= 180 * DAY) {
                hits.push(Hit { event, severity: "medium", shares: key.clone() });
            }
        }
    }
    hits
}

fn new_region(events: &[Event]) -> Vec<Hit<'_>> {
    let changes = events.iter().filter(|event| {
        !event.failed && !event.read && event.region.is_some() && event.service != "ram"
    });
    let mut hits = Vec::new();
    for (_, events) in apart(changes, |_| Some(String::new())) {
        for event in &events {
            let is_known = events
                .iter()
                .filter_map(|other| other.before(event))
                .any(|time| time <= 90 * DAY && time > 14 * DAY);
            let here = events.iter().filter(|other| other.region == event.region);
            if is_known
                && !here.filter_map(|other| other.before(event)).any(|time| time <= 90 * DAY)
            {
                hits.push(Hit { event, severity: "medium", shares: format!("{:?}", event.region) });
            }
        }
    }
    hits
}

fn silent(events: &[Event]) -> Vec<Hit<'_>> {
    const HOUR: i64 = 60 * MINUTE;
    let newest = events.iter().filter_map(|event| event.time).max().unwrap_or(0);
    let mut hits = Vec::new();
    for (account, mut events) in apart(events.iter(), |event| Some(event.account.clone())) {
        events.sort_by_key(|event| event.time);
        // Each hour with its last event and how long it was quiet after that.
        let mut hours: Vec<(i64, &Event, i64)> = Vec::new();
        for (at, event) in events.iter().enumerate() {
            let time = event.time.expect("timed");
            let next = events.get(at + 1).and_then(|next| next.time);
            if next.is_none_or(|next| next.div_euclid(HOUR) != time.div_euclid(HOUR)) {
                hours.push((time.div_euclid(HOUR), event, next.unwrap_or(newest) - time));
            }
        }
        for (hour, event, quiet) in &hours {
            let before: Vec<_> = hours
                .iter()
                .filter(|(other, ..)| (hour - 144..=hour - 1).contains(other))
                .collect();
            let usual = before.iter().map(|(.., quiet)| *quiet).max().unwrap_or(0);
            let is_known =
                before.len() >= 24 && before.iter().any(|(other, ..)| *other <= hour - 120);
            if is_known && *quiet >= HOUR.max(3 * usual) {
                hits.push(Hit { event, severity: "high", shares: account.clone() });
            }
        }
    }
    hits
}
