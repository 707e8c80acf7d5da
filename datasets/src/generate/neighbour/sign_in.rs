//! How the people of the everyday company sign in: through the identity provider, with password and MFA in the hub, or
//! with a role.

use super::cast::{Cast, Person};
use super::routine::{Account, Team};
use crate::generate::event::{EventBuilder, GeneratedEvent, time_text, token, uuid};
use crate::layout::DAY_MICROS;
use rand::Rng;
use rand_pcg::Pcg64;
use serde_json::json;

const MINUTE: i64 = 60_000_000;

/// Hours (UTC) at which the engineer on call signs in, seven days a week.
const ON_CALL_HOURS: [i64; 3] = [0, 8, 16];

/// The sign-ins and sign-outs of `day`, days since 1970.
pub(super) fn of_day(cast: &Cast, day: i32, rng: &mut Pcg64) -> Vec<GeneratedEvent> {
    let mut events = Vec::new();
    let midnight = i64::from(day) * DAY_MICROS;
    for person in cast.people.iter().filter(|person| cast.works(person, day)) {
        let arrival = midnight + rng.random_range(45..75) * MINUTE;
        staff(cast, person, (day, arrival), &mut events, rng);
        if person.team == Team::Data && rng.random_ratio(4, 5) {
            role_session(person, arrival + 20 * MINUTE, &mut events, rng);
        }
    }
    let weekday = (day + 3).rem_euclid(7);
    let on_call = cast.on_call(day);
    for hour in ON_CALL_HOURS {
        // Within seven days of the next sign-in that asks, also after the turn.
        let asked = matches!(weekday, 0 | 4) && hour == 0;
        let time = midnight + (hour * 60 + rng.random_range(0..15)) * MINUTE;
        hub_user(cast, on_call, asked, time, &mut events, rng);
    }
    for person in cast.hub_users().filter(|person| person.name != on_call.name) {
        // The console asks for the second factor once a week and remembers it for seven days.
        let asked = weekday == Cast::mfa_day(person);
        if asked || (cast.works(person, day) && rng.random_ratio(3, 5)) {
            let time = midnight + rng.random_range(90..560) * MINUTE;
            hub_user(cast, person, asked, time, &mut events, rng);
        }
    }
    events
}

/// A member of the staff signs in through the identity provider, to one or two accounts, and often again after lunch. The trail
/// says `mfaChecked` = false: the second factor was the provider's.
fn staff(
    cast: &Cast,
    person: &Person,
    (day, arrival): (i32, i64),
    events: &mut Vec<GeneratedEvent>,
    rng: &mut Pcg64,
) {
    for account in Account::ALL.into_iter().filter(|account| cast.opens(person, *account, day)) {
        let time = arrival + rng.random_range(0..15) * MINUTE;
        let signed_in = console_sign_in(cast, person, account, "false", time, rng);
        events.push(signed_in.build(rng));
        if rng.random_ratio(1, 3) {
            let again = time + rng.random_range(240..300) * MINUTE;
            let signed_in = console_sign_in(cast, person, account, "false", again, rng);
            events.push(signed_in.build(rng));
        }
        if rng.random_ratio(1, 4) {
            let out = time + rng.random_range(400..480) * MINUTE;
            let signed_out = sign_out(cast, person, account, out, rng);
            events.push(signed_out.build(rng));
        }
    }
}

/// A password sign-in to the hub, once in a while after a wrong password. `asked`: the console asked for the second factor.
fn hub_user(
    cast: &Cast,
    person: &Person,
    asked: bool,
    time: i64,
    events: &mut Vec<GeneratedEvent>,
    rng: &mut Pcg64,
) {
    let mfa = if asked { "true" } else { "false" };
    if rng.random_ratio(1, 12) {
        let wrong = console_sign_in(cast, person, Account::Hub, "false", time - MINUTE / 2, rng)
            .with("errorCode", "AuthenticationFailed.UsernameOrPassword")
            .with("errorMessage", "The user name or password is wrong.");
        events.push(wrong.build(rng));
    }
    let signed_in = console_sign_in(cast, person, Account::Hub, mfa, time, rng);
    events.push(signed_in.build(rng));
}

fn console_sign_in(
    cast: &Cast,
    person: &Person,
    account: Account,
    mfa: &str,
    time: i64,
    rng: &mut Pcg64,
) -> EventBuilder {
    let id = format!("1.{}_{}_{}", rng.random_range(100..200), time / 1000, token(rng, 8));
    EventBuilder::new(id, "AasSub", "ConsoleSignin", "cn-hangzhou", time)
        .with("eventType", "ConsoleSignin")
        .with("eventSource", "signin.aliyun.com")
        .with("recipientAccountId", account.id())
        .with("sourceIpAddress", person.address.as_str())
        .with("userAgent", person.browser)
        .with("userIdentity", cast.user(person, account))
        .with(
            "additionalEventData",
            json!({ "callbackUrl": "https://home.console.aliyun.com/", "mfaChecked": mfa }),
        )
        .with("errorCode", "")
        .with("errorMessage", "")
}

fn sign_out(
    cast: &Cast,
    person: &Person,
    account: Account,
    time: i64,
    rng: &mut Pcg64,
) -> EventBuilder {
    let id = format!("1.{}_{}_{}", rng.random_range(100..200), time / 1000, token(rng, 8));
    EventBuilder::new(id, "AasSub", "ConsoleSignout", "cn-hangzhou", time)
        .with("eventType", "ConsoleSignout")
        .with("eventSource", "signin.aliyun.com")
        .with("recipientAccountId", account.id())
        .with("sourceIpAddress", person.address.as_str())
        .with("userAgent", person.browser)
        .with("userIdentity", cast.user(person, account))
}

/// An analyst comes from the identity provider through a role, and reads in the development account.
fn role_session(person: &Person, time: i64, events: &mut Vec<GeneratedEvent>, rng: &mut Pcg64) {
    let account = Account::Dev.id();
    let base = |name: &str, service: &str, read: bool, time: i64, rng: &mut Pcg64| {
        EventBuilder::new(uuid(rng), service, name, "cn-hangzhou", time)
            .with("eventSource", format!("{}.aliyuncs.com", service.to_lowercase()))
            .with("eventCategory", "Management")
            .with("eventRW", if read { "Read" } else { "Write" })
            .with("recipientAccountId", account)
            .with("sourceIpAddress", person.address.as_str())
            .with("userAgent", person.browser)
    };
    let name = format!("{}@example.com", person.name);
    let provider = format!("acs:ram::{account}:saml-provider/example-idp");
    let signed_in = base("AssumeRoleWithSAML", "Sts", false, time, rng)
        .with("userIdentity", json!({ "type": "saml-user", "accountId": account, "principalId": name, "userName": name }))
        .with("requestParameters", json!({ "RoleArn": format!("acs:ram::{account}:role/data-analyst"), "SAMLProviderArn": provider, "DurationSeconds": "3600" }))
        .with("referencedResources", json!({ "ACS::RAM::Role": ["data-analyst"] }));
    events.push(signed_in.build(rng));
    let key = format!("STS.NT{}", token(rng, 24));
    for step in 1..6 {
        let read = base("DescribeDBClusters", "PolarDB", true, time + step * 3 * MINUTE, rng)
            .with("userIdentity", json!({
                "type": "assumed-role", "accountId": account, "principalId": format!("300000000000000901:{name}"),
                "userName": format!("data-analyst:{name}"), "accessKeyId": key,
                "sessionContext": { "attributes": { "mfaAuthenticated": "false", "creationDate": time_text(time) } },
            }))
            .with("requestParameters", json!({ "RegionId": "cn-hangzhou", "PageSize": "30" }));
        events.push(read.build(rng));
    }
}
