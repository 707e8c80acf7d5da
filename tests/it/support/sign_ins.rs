//! A lake of sign-ins that a few rules flag.

use crate::support::program::Program;
use crate::support::template::copy_of;
use serde_json::{Value, json};

pub(crate) const ACCOUNT: &str = "1000000000000001";

/// A sign-in of a RAM user.
pub(crate) fn sign_in(
    id: &str,
    time: &str,
    user: &str,
    mfa: Option<bool>,
    error: Option<&str>,
) -> Value {
    let mut event = json!({
        "eventId": id, "eventTime": time, "eventName": "ConsoleSignin", "eventType": "ConsoleSignin", "serviceName": "AasSub",
        "sourceIpAddress": "198.51.100.7", "acsRegion": "cn-hangzhou",
        "userIdentity": { "type": "ram-user", "accountId": ACCOUNT, "principalId": format!("2{user}"), "userName": user },
        "additionalEventData": {}, "errorCode": error.unwrap_or(""),
    });
    if let Some(mfa) = mfa {
        event["additionalEventData"]["mfaChecked"] = mfa.to_string().into();
    }
    event
}

/// A lake `l` with sign-ins and their findings under `parameters`.
pub(crate) fn with_sign_ins(parameters: &str) -> Program {
    copy_of(&format!("sign-ins {parameters}"), |program| fill(program, parameters))
}

fn fill(program: &Program, parameters: &str) {
    program.write("trailhound.toml", format!("[parameters]\n{parameters}"));
    let mut events = vec![
        sign_in("without", "2026-09-20T10:00:00Z", "alice", Some(false), None),
        sign_in("with", "2026-09-21T10:00:00Z", "alice", Some(true), None),
        sign_in("unknown", "2026-09-21T11:00:00Z", "bob", None, None),
        sign_in("bob-without", "2026-09-24T10:00:00Z", "bob", Some(false), None),
    ];
    for minute in 0..4 {
        let time = format!("2026-09-25T10:0{minute}:00Z");
        events.push(sign_in(
            &format!("failed-{minute}"),
            &time,
            "carol",
            None,
            Some("Authentication.Failed"),
        ));
    }
    program.write("events.json", serde_json::to_vec(&events).expect("JSON"));
    program.run_ok(&["scan", "events.json", "--lake", "l"]);
}
