//! Runs a routine: when it starts, and the events that its calls leave in the trail.

use super::cast::{Assumption, Cast, Face};
use super::fill::Fill;
use super::routine::{Account, Call, Home, Rhythm, Routine};
use crate::generate::event::{EventBuilder, GeneratedEvent, hex24, uuid};
use crate::layout::DAY_MICROS;
use chrono::{DateTime, Datelike};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600;

/// Services whose events are those of no region.
const GLOBAL: [&str; 6] = ["Ram", "Ims", "Sts", "CloudSSO", "ResourceManager", "BssOpenApi"];

/// The times, microseconds since 1970 UTC, at which a routine starts on `day`, days since 1970. Working hours are those of
/// Shanghai, eight hours ahead of UTC.
pub(super) fn starts(when: Rhythm, day: i32, rng: &mut Pcg64) -> Vec<i64> {
    let midnight = i64::from(day) * DAY_MICROS;
    // Monday is 0; 1970-01-01 was a Thursday.
    let weekday = (day + 3).rem_euclid(7);
    let works = weekday < 5;
    let (runs, of_days, from, length) = match when {
        Rhythm::Always(n) => (n, 7, 0, 24 * HOUR),
        Rhythm::Office(n) if works => (n, 5, 3 * HOUR / 2, 17 * HOUR / 2),
        Rhythm::Night(n) => (n, 7, 18 * HOUR, 2 * HOUR),
        Rhythm::Morning(n) if works => (n, 5, HOUR / 2, HOUR / 12),
        Rhythm::Evening(n) if works => (n, 5, 13 * HOUR, HOUR / 12),
        Rhythm::ChangeWindow(n) if weekday == 2 => (n, 1, 14 * HOUR, 3 * HOUR / 2),
        Rhythm::MonthEnd(n) if works && is_month_end(midnight) => {
            (n, 4, 3 * HOUR / 2, 17 * HOUR / 2)
        }
        Rhythm::Hourly => {
            return (0..24).map(|hour| midnight + (hour * HOUR + 300) * SECOND).collect();
        }
        _ => return Vec::new(),
    };
    let count = runs / of_days + u32::from(rng.random_ratio(runs % of_days, of_days));
    (0..count).map(|_| midnight + (from + rng.random_range(0..length)) * SECOND).collect()
}

/// True from the 28th to the 2nd.
fn is_month_end(micros: i64) -> bool {
    let day = DateTime::from_timestamp_micros(micros).unwrap_or_default().day();
    !(3..28).contains(&day)
}

fn account(home: Home, rng: &mut Pcg64) -> Account {
    match home {
        Home::Prod => Account::Prod,
        Home::Hub => Account::Hub,
        Home::Dev => Account::Dev,
        Home::ProdOrDev if rng.random_ratio(2, 3) => Account::Prod,
        Home::ProdOrDev => Account::Dev,
    }
}

/// The regions that the company uses, all of them from the beginning.
fn region(account: Account, rng: &mut Pcg64) -> &'static str {
    match (account, rng.random_range(0..100)) {
        (Account::Hub, _) | (Account::Prod, 0..75) | (Account::Dev, 0..20) => "cn-hangzhou",
        (Account::Prod, 75..95) | (Account::Dev, _) => "cn-shanghai",
        (Account::Prod, _) => "ap-southeast-1",
    }
}

/// Adds the events of one run of `routine`, which starts at `time` on `day`.
pub(super) fn run(
    cast: &Cast,
    company: u64,
    routine: &Routine,
    (day, time): (i32, i64),
    events: &mut Vec<GeneratedEvent>,
    rng: &mut Pcg64,
) {
    let account = account(routine.home, rng);
    let region = region(account, rng);
    let (face, assumption) = cast.face(routine.who, account, (day, time), rng);
    if let Some(assumption) = assumption {
        events.push(assume_role(&assumption, account, time, rng));
    }
    let mut now = time;
    let mut of_fill = Pcg64::seed_from_u64(rng.random());
    let mut fill = Fill::new(company, account, region, time, &mut of_fill);
    for call in routine.calls {
        for _ in 0..call.times {
            fill.next_repetition();
            now += rng.random_range(if face.is_console { 4..40 } else { 1..12 }) * SECOND;
            events.push(event(call, &face, account, region, now, &mut fill, rng));
        }
    }
}

/// The event by which a session in `account` begins.
fn assume_role(
    assumption: &Assumption,
    account: Account,
    time: i64,
    rng: &mut Pcg64,
) -> GeneratedEvent {
    let Assumption { caller, role, session } = assumption;
    let parameters = json!({
        "RoleArn": format!("acs:ram::{}:role/{role}", account.id()), "RoleSessionName": session, "DurationSeconds": "3600",
    });
    EventBuilder::new(uuid(rng), "Sts", "AssumeRole", "cn-hangzhou", time)
        .with("apiVersion", "2015-04-01")
        .with("eventSource", "sts.aliyuncs.com")
        .with("eventRW", "Write")
        .with("eventCategory", "Management")
        .with("recipientAccountId", account.id())
        .with("sourceIpAddress", caller.source.clone().unwrap_or_default())
        .with("userAgent", if caller.is_console { "AliyunConsole" } else { caller.agent.as_str() })
        .with("userIdentity", caller.identity.clone())
        .with("requestParameters", parameters)
        .with("referencedResources", json!({ "ACS::RAM::Role": [role] }))
        .build(rng)
}

/// The event of one call.
fn event(
    call: &Call,
    face: &Face,
    account: Account,
    region: &'static str,
    time: i64,
    fill: &mut Fill<'_>,
    rng: &mut Pcg64,
) -> GeneratedEvent {
    let is_global = GLOBAL.contains(&call.service);
    let id = if matches!(call.service, "SLS" | "Oss") { hex24(rng) } else { uuid(rng) };
    let is_platform = face.identity["type"] == "system";
    let mut event = EventBuilder::new(
        id,
        call.service,
        call.name,
        if is_global { "cn-hangzhou" } else { region },
        time,
    )
    .with("eventRW", if call.is_read() { "Read" } else { "Write" })
    .with("eventCategory", "Management")
    .with("recipientAccountId", account.id())
    .with("userIdentity", face.identity.clone())
    .with("userAgent", face.agent.as_str());
    if is_global {
        event = event.with("isGlobal", true);
    }
    if let Some(source) = &face.source {
        event = event.with("sourceIpAddress", source.as_str());
    }
    if is_platform {
        event = event.with("eventType", "AliyunServiceEvent");
    } else if face.is_console && rng.random_ratio(1, 2) {
        event = event.with("eventType", "ConsoleOperation");
    }
    let (kind, ids) = call.resource;
    let ids = fill.text(ids);
    event = event.with("eventSource", endpoint(call.service, region, &ids));
    if !kind.is_empty() {
        let named: Vec<&str> = ids.split(',').collect();
        event = event.with("referencedResources", json!({ kind: named }));
        if !is_platform {
            event = event.with("resourceType", kind).with("resourceName", ids.as_str());
        }
    }
    if !call.parameters.is_empty() {
        event = with_parameters(event, call, region, is_global || is_platform, fill, rng);
    }
    if call.error.is_empty() {
        return event.build(rng);
    }
    event.with("errorCode", call.error).with("errorMessage", "The request was refused.").build(rng)
}

fn endpoint(service: &str, region: &str, ids: &str) -> String {
    match service {
        "Oss" => format!("{ids}.oss-{region}.aliyuncs.com"),
        service if GLOBAL.contains(&service) => format!("{}.aliyuncs.com", service.to_lowercase()),
        service => format!("{}.{region}.aliyuncs.com", service.to_lowercase()),
    }
}

/// Adds the parameters; for some deliveries also as a text, as the log service writes them.
fn with_parameters(
    event: EventBuilder,
    call: &Call,
    region: &str,
    is_bare: bool,
    fill: &mut Fill<'_>,
    rng: &mut Pcg64,
) -> EventBuilder {
    // The tables are checked by a test.
    let mut parameters: Value =
        serde_json::from_str(&fill.text(call.parameters)).unwrap_or_else(|_| json!({}));
    if !is_bare {
        parameters["RegionId"] = Value::from(region);
        parameters["AcsProduct"] = Value::from(call.service);
        parameters["RequestId"] = Value::from(event.event_id.as_str());
    }
    let event = if rng.random_ratio(1, 8) {
        event.with("requestParameterJson", parameters.to_string())
    } else {
        event
    };
    event.with("requestParameters", parameters)
}
