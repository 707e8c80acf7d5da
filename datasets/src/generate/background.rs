//! Background traffic that no rule flags. Activity per principal and frequency per call follow Zipf distributions, as in
//! real trails.

use super::event::{EventBuilder, GeneratedEvent, hex24, time_text, token, uuid};
use super::names::{
    ACCOUNTS, AGENTS, BROWSERS, CALLS, FAMILY, GIVEN, REGIONS, SERVICE_ROLES, zone_prefix,
};
use crate::layout::{DAY_MICROS, day_of};
use rand::Rng;
use rand_distr::{Distribution, Zipf};
use rand_pcg::Pcg64;
use serde_json::{Map, Value, json};

/// Number of principals: people, roles and service roles.
const PRINCIPALS: usize = 320;

#[derive(Debug, Clone)]
enum PrincipalKind {
    /// A person who works in the console from the office.
    Console,
    /// A program with a long-term key.
    Key(String),
    /// A role assumed by a person or program.
    Role { role: String, session: String },
    /// A service role.
    Service { role: &'static str, host: &'static str },
}

#[derive(Debug, Clone)]
struct Principal {
    account: &'static str,
    id: String,
    name: String,
    kind: PrincipalKind,
    addresses: Vec<String>,
    agent: &'static str,
}

/// The principals, and how often each principal and each call occurs.
pub(super) struct Background {
    principals: Vec<Principal>,
    principal_rank: Zipf<f64>,
    call_rank: Zipf<f64>,
}

impl Background {
    pub(super) fn new(rng: &mut Pcg64) -> Self {
        let principals = (0..PRINCIPALS).map(|index| principal(index, rng)).collect();
        // The parameters are constants that the distribution accepts.
        let principal_rank = Zipf::new(PRINCIPALS as f64, 1.1).expect("a valid range");
        let call_rank = Zipf::new(CALLS.len() as f64, 1.05).expect("a valid range");
        Self { principals, principal_rank, call_rank }
    }

    /// Distributes `events` over days and regions: fewer at weekends and on a day that ends early, more in large regions.
    /// Days count from 1970; `end_micros` is the end of the traffic in microseconds since 1970 UTC.
    pub(super) fn plan(
        &self,
        events: u64,
        first_day: i32,
        end_micros: i64,
        rng: &mut Pcg64,
    ) -> Vec<((i32, &'static str), u64)> {
        let last_day = day_of(end_micros);
        let today =
            u64::try_from((end_micros - i64::from(last_day) * DAY_MICROS) / 1_000_000).unwrap_or(0);
        let mut weights = Vec::new();
        for day in first_day..=last_day {
            // 1970-01-01 was a Thursday.
            let weekend = matches!((day + 3).rem_euclid(7), 5 | 6);
            for (region, share) in REGIONS {
                let seconds = if day == last_day { today.max(1) } else { 86_400 };
                let weight =
                    share * if weekend { 35 } else { 100 } * rng.random_range(80..120) * seconds;
                weights.push(((day, region), weight));
            }
        }
        let total: u64 = weights.iter().map(|(_, weight)| weight).sum();
        let mut left = events;
        let mut planned: Vec<_> = weights
            .into_iter()
            .map(|(slot, weight)| {
                let share = u128::from(events) * u128::from(weight) / u128::from(total.max(1));
                let share = u64::try_from(share).unwrap_or(left).min(left);
                left -= share;
                (slot, share)
            })
            .collect();
        // The remainder of rounding goes to the first days, which are complete.
        let slots = planned.len() as u64;
        for (index, (_, count)) in planned.iter_mut().enumerate() {
            *count += left / slots + u64::from((index as u64) < left % slots);
        }
        planned
    }

    /// One background event at `time` in `region`.
    pub(super) fn event(&self, time: i64, region: &'static str, rng: &mut Pcg64) -> GeneratedEvent {
        let principal = &self.principals[self.principal_rank.sample(rng) as usize - 1];
        if matches!(principal.kind, PrincipalKind::Console) && rng.random_ratio(1, 40) {
            return sign_in(principal, time, region, rng);
        }
        if rng.random_ratio(1, 400) {
            return automated_stop(principal, time, region, rng);
        }
        let call = CALLS[self.call_rank.sample(rng) as usize - 1];
        let (service, endpoint, version, name, rw, kind, prefix) = call;
        let id = if matches!(service, "SLS" | "Oss") { hex24(rng) } else { uuid(rng) };
        let resource = format!(
            "{prefix}{}{}",
            if prefix.len() < 4 { zone_prefix(region) } else { "" },
            token(rng, 17)
        );
        let mut builder = EventBuilder::new(id, service, name, region, time)
            .with("eventSource", format!("{endpoint}.{region}.aliyuncs.com"))
            .with("apiVersion", version)
            .with("eventRW", rw)
            .with("eventCategory", "Management")
            .with("isGlobal", matches!(service, "Ram" | "Ims" | "Sts"))
            .with("recipientAccountId", principal.account)
            .with("userAgent", principal.agent)
            .with("sourceIpAddress", source(principal, rng))
            .with("userIdentity", identity(principal, time))
            .with("additionalEventData", json!({ "Scheme": "https", "CallerBid": "26842" }))
            .with("resourceType", kind)
            .with("resourceName", resource.as_str())
            .with("referencedResources", json!({ kind: [resource.as_str()] }));
        let parameters = parameters(
            &builder.event_id,
            service,
            endpoint,
            region,
            name,
            &resource,
            principal,
            rng,
        );
        if rng.random_ratio(1, 8) {
            builder = builder.with("requestParameterJson", parameters.to_string());
        }
        builder = builder.with("requestParameters", parameters);
        if rng.random_ratio(1, 25) {
            builder = builder
                .with("errorCode", "Forbidden.RAM")
                .with("errorMessage", "User not authorized to operate on the specified resource, or this API doesn't support RAM.");
        } else if rw == "Write" {
            let answer = json!({ "RequestId": builder.event_id, "ResourceId": resource, "TotalCount": rng.random_range(1..40) });
            builder = builder.with("responseElements", answer);
        }
        if matches!(principal.kind, PrincipalKind::Console) {
            builder = builder
                .with(
                    "eventType",
                    if rng.random_ratio(1, 2) { "ConsoleOperation" } else { "ApiCall" },
                )
                .with("eventVersion", 1);
        }
        builder.build(rng)
    }
}

fn principal(index: usize, rng: &mut Pcg64) -> Principal {
    let account = ACCOUNTS[rng.random_range(0..ACCOUNTS.len())];
    let name = format!(
        "{}.{}{}",
        GIVEN[index % GIVEN.len()],
        FAMILY[(index / GIVEN.len()) % FAMILY.len()],
        index / 300
    );
    let office = |rng: &mut Pcg64| match rng.random_range(0..6) {
        0 => format!("2001:db8:10:{:x}::{:x}", rng.random_range(1..9), rng.random_range(1..0xffff)),
        _ => format!("203.0.113.{}", rng.random_range(1..255)),
    };
    let (kind, agent, addresses) = match index % 10 {
        0..=3 => (
            PrincipalKind::Console,
            BROWSERS[index % BROWSERS.len()],
            (0..3).map(|_| office(rng)).collect(),
        ),
        4 | 5 => {
            let key = format!("LTAI5t{}", token(rng, 18));
            (
                PrincipalKind::Key(key),
                AGENTS[index % AGENTS.len()],
                (0..2).map(|_| format!("192.0.2.{}", rng.random_range(1..255))).collect(),
            )
        }
        6..=8 => {
            let role = if index.is_multiple_of(4) {
                "ops-autostop".to_owned()
            } else {
                format!(
                    "{}-{}",
                    ["ops", "ci", "data", "dev"][index % 4],
                    ["deploy", "reader", "admin"][index % 3]
                )
            };
            (
                PrincipalKind::Role { role, session: name.clone() },
                AGENTS[index % AGENTS.len()],
                vec![
                    office(rng),
                    format!(
                        "10.{}.{}.{}",
                        rng.random_range(0..99),
                        index % 250,
                        rng.random_range(1..250)
                    ),
                ],
            )
        }
        _ => {
            let (role, host) = SERVICE_ROLES[(index / 10) % SERVICE_ROLES.len()];
            (PrincipalKind::Service { role, host }, host, vec![host.to_owned()])
        }
    };
    let id = format!("2{:017}", rng.random_range(0..99_999_999_999_999_999u64));
    Principal { account, id, name, kind, addresses, agent }
}

fn source(principal: &Principal, rng: &mut Pcg64) -> String {
    if rng.random_ratio(1, 60) {
        return "Internal".to_owned();
    }
    principal.addresses[rng.random_range(0..principal.addresses.len())].clone()
}

fn identity(principal: &Principal, time: i64) -> Value {
    let session = |mfa: &str| json!({ "attributes": { "mfaAuthenticated": mfa, "creationDate": time_text(time) } });
    let (kind, id, name, key, session) = match &principal.kind {
        PrincipalKind::Console => {
            ("ram-user", principal.id.clone(), principal.name.clone(), None, Some(session("true")))
        }
        PrincipalKind::Key(key) => {
            ("ram-user", principal.id.clone(), principal.name.clone(), Some(key.clone()), None)
        }
        PrincipalKind::Role { role, session: name } => (
            "assumed-role",
            format!("3{}:{name}", &principal.id[1..]),
            format!("{role}:{name}"),
            Some(format!("STS.NT{}", &principal.id)),
            Some(session("false")),
        ),
        PrincipalKind::Service { role, host } => {
            let name = host.split('.').next().unwrap_or(host);
            (
                "assumed-role",
                format!("3{}:{name}", &principal.id[1..]),
                format!("{role}:{name}"),
                Some(format!("STS.NU{}", &principal.id)),
                Some(session("false")),
            )
        }
    };
    let mut identity = Map::new();
    if let Some(key) = key {
        identity.insert("accessKeyId".to_owned(), Value::from(key));
    }
    if let Some(session) = session {
        identity.insert("sessionContext".to_owned(), session);
    }
    identity.insert("accountId".to_owned(), Value::from(principal.account));
    identity.insert("principalId".to_owned(), Value::from(id));
    identity.insert("type".to_owned(), Value::from(kind));
    identity.insert("userName".to_owned(), Value::from(name));
    Value::Object(identity)
}

#[allow(clippy::too_many_arguments, reason = "one call site; these are the parts of one text")]
fn parameters(
    id: &str,
    service: &str,
    endpoint: &str,
    region: &str,
    name: &str,
    resource: &str,
    principal: &Principal,
    rng: &mut Pcg64,
) -> Value {
    let mut parameters = json!({
        "AcsHost": format!("{endpoint}.{region}.aliyuncs.com"),
        "AcsProduct": service,
        "RequestId": id,
        "RegionId": region,
        "HostId": format!("{endpoint}.{region}.aliyuncs.com"),
        "AcceptLanguage": "zh-CN",
        "PageSize": rng.random_range(1..10) * 10,
        "PageNumber": 1,
    });
    if let Value::Object(members) = &mut parameters {
        if name.starts_with("Describe") || name.starts_with("List") {
            members.insert("Filter.1.Key".to_owned(), Value::from("CreationStartTime"));
            members.insert("Filter.1.Value".to_owned(), Value::from(resource));
        } else {
            members.insert("ResourceId".to_owned(), Value::from(resource));
            members.insert("Tag.1.Key".to_owned(), Value::from("env"));
            members.insert(
                "Tag.1.Value".to_owned(),
                Value::from(["prod", "staging", "test"][rng.random_range(0..3)]),
            );
            members.insert("ClientToken".to_owned(), Value::from(uuid(rng)));
        }
        if let PrincipalKind::Role { role, session } = &principal.kind {
            members.insert(
                "stsTokenPrincipalName".to_owned(),
                Value::from(format!("{role}/{session}")),
            );
            members.insert(
                "stsTokenPlayerUid".to_owned(),
                Value::from(rng.random_range(10_000_000_000_000_000u64..99_999_999_999_999_999)),
            );
        }
    }
    parameters
}

/// An ordinary sign-in: from the office, with MFA, sometimes with a wrong password.
fn sign_in(
    principal: &Principal,
    time: i64,
    region: &'static str,
    rng: &mut Pcg64,
) -> GeneratedEvent {
    let id = format!(
        "1.{}_{}_{}",
        rng.random_range(100..200),
        time / 1000 + rng.random_range(0..1000),
        token(rng, 6)
    );
    let failed = rng.random_ratio(1, 12);
    EventBuilder::new(id, "AasSub", "ConsoleSignin", region, time)
        .with("eventType", "ConsoleSignin")
        .with("eventSource", "signin.aliyun.com")
        .with("userAgent", principal.agent)
        .with("sourceIpAddress", principal.addresses[rng.random_range(0..principal.addresses.len())].as_str())
        .with(
            "userIdentity",
            json!({ "accountId": principal.account, "principalId": principal.id, "type": "ram-user", "userName": principal.name }),
        )
        .with(
            "additionalEventData",
            json!({ "callbackUrl": format!("https://home.console.aliyun.com/?accounttraceid={}", token(rng, 32)), "mfaChecked": "true" }),
        )
        .with("errorCode", if failed { "AuthenticationFailed.UsernameOrPassword" } else { "" })
        .with("errorMessage", if failed { "The user name or password is wrong." } else { "" })
        .build(rng)
}

/// A stop that is no finding: by the automation role, or a dry run.
fn automated_stop(
    principal: &Principal,
    time: i64,
    region: &'static str,
    rng: &mut Pcg64,
) -> GeneratedEvent {
    let instance = super::event::instance(rng, region);
    let dry_run = rng.random_ratio(1, 4);
    let session = token(rng, 8);
    let mut builder = EventBuilder::new(uuid(rng), "Ecs", "StopInstance", region, time)
        .with("eventSource", format!("ecs.{region}.aliyuncs.com"))
        .with("apiVersion", "2014-05-26")
        .with("eventRW", "Write")
        .with("sourceIpAddress", "192.0.2.20")
        .with("userAgent", AGENTS[0])
        .with(
            "userIdentity",
            json!({ "type": "assumed-role", "accountId": principal.account, "principalId": format!("300000000000000777:{session}"),
                "userName": format!("ops-autostop:{session}"), "accessKeyId": format!("STS.NT{}", token(rng, 24)),
                "sessionContext": { "attributes": { "mfaAuthenticated": "false", "creationDate": time_text(time) } } }),
        )
        .with(
            "requestParameters",
            json!({ "InstanceId": instance, "ForceStop": false, "StoppedMode": "StopCharging", "RegionId": region, "DryRun": dry_run }),
        )
        .with("referencedResources", json!({ "ACS::ECS::Instance": [instance] }));
    if dry_run {
        builder = builder
            .with("errorCode", "DryRunOperation")
            .with("errorMessage", "Request validation has been passed with DryRun flag set.");
    }
    builder.build(rng)
}
