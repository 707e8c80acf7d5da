//! Service roles of the vendor: what a service does with its own role is no act of a person, and a stolen role is.

use crate::support::program::Program;
use serde_json::{Value, json};

const ACCOUNT: &str = "1000000000000001";

fn call(id: usize, name: &str, role: &str, from: Option<&str>) -> Value {
    let mut event = json!({ "eventId": format!("e-{id}"), "eventTime": format!("2026-09-20T10:{id:02}:00Z"), "eventName": name,
        "serviceName": "Ecs", "eventRW": "Write", "eventType": "ApiCall", "acsRegion": "cn-hangzhou",
        "userIdentity": { "type": "assumed-role", "accountId": ACCOUNT, "principalId": format!("3000000000000000{id:02}:{role}"),
            "userName": format!("{role}:session"), "accessKeyId": "STS.NUexampleToken" },
        "requestParameters": { "InstanceId": format!("i-bp1asg{id:012}"), "InstanceId.1": format!("i-bp1asg{id:012}") } });
    if let Some(from) = from {
        event["sourceIpAddress"] = json!(from);
    }
    event
}

#[test]
fn acts_of_services_are_suppressed_and_stolen_roles_are_not() {
    let program = Program::new();
    let cases = [
        // A service at its own address, inside the cloud, or without an address.
        ("DeleteInstance", "aliyunserviceroleforautoscaling", Some("ess.aliyuncs.com"), true),
        ("RunCommand", "aliyunserviceroleforsas", Some("Internal"), true),
        ("RunCommand", "AliyunServiceRoleForCloudMonitor", None, true),
        ("RunCommand", "oosservicerole", Some("oos.aliyuncs.com"), true),
        // The same roles where no service acts.
        ("DeleteInstance", "aliyunserviceroleforautoscaling", Some("198.51.100.7"), false),
        ("RunCommand", "aliyunserviceroleforsas", Some("198.51.100.7, 203.0.113.9"), false),
        // A role that anybody can be allowed to take counts at its own service only.
        ("RunCommand", "oosservicerole", Some("ecs.aliyuncs.com"), false),
        ("RunCommand", "oosservicerole", Some("Internal"), false),
        ("RunCommand", "oosservicerole", None, false),
        ("RunCommand", "ops-automation", Some("oos.aliyuncs.com"), false),
    ];
    let events: Vec<Value> =
        (0..).zip(cases).map(|(id, (name, role, from, _))| call(id, name, role, from)).collect();
    program.write("events.json", serde_json::to_vec(&events).expect("JSON"));
    program.run_ok(&["scan", "events.json", "--lake", "l"]);
    for (id, (name, role, from, is_service)) in (0..).zip(cases) {
        let of_event = format!("WHERE array_has(event_ids, 'e-{id}')");
        let open = program.query_number(
            "l",
            &format!("SELECT count(*) FROM findings {of_event} AND status = 'open'"),
        );
        let suppressed = program.query_number(
            "l",
            &format!(
                "SELECT count(*) FROM findings {of_event} AND suppressed_by LIKE 'service_roles: %'"
            ),
        );
        assert_eq!(open == 0, is_service, "{name} {role} {from:?}: {open} open");
        assert_eq!(suppressed > 0, is_service, "{name} {role} {from:?}: {suppressed} suppressed");
    }
    let listed = program.run_ok(&["suppressions", "--lake", "l"]).out;
    assert!(listed.contains("service_roles: AliyunServiceRoleFor*"), "{listed}");
}

#[test]
fn one_exception_covers_the_rules_that_its_patterns_name() {
    let pipeline = |rules: &str| {
        let program = Program::new();
        program.write(
            "trailhound.toml",
            format!(
                "[parameters]\nallowed_principals = [{{ rule = {rules}, role_name = \"terraform-ci\", expires = \"2026-12-31\", reason = \"pipeline\" }}]\n"
            ),
        );
        let identity = json!({ "type": "assumed-role", "accountId": ACCOUNT, "principalId": "300000000000000009:run",
            "userName": "terraform-ci:run", "accessKeyId": "STS.NUexampleToken" });
        let event = |id: &str, service: &str, name: &str, parameters: Value| {
            json!({ "eventId": id, "eventTime": "2026-09-20T10:00:00Z", "eventName": name, "serviceName": service, "eventRW": "Write",
                "eventType": "ApiCall", "acsRegion": "cn-hangzhou", "sourceIpAddress": "203.0.113.50", "userIdentity": identity,
                "requestParameters": parameters })
        };
        let events = [
            event("key", "Ram", "CreateAccessKey", json!({ "UserName": "app" })),
            event("trail", "Actiontrail", "StopLogging", json!({ "Name": "all" })),
        ];
        program.write("events.json", serde_json::to_vec(&events).expect("JSON"));
        let scanned =
            program.run(&["--config", "trailhound.toml", "scan", "events.json", "--lake", "l"]);
        (program, scanned)
    };
    let open = |program: &Program| {
        program.query_number("l", "SELECT count(*) FROM findings WHERE status = 'open'")
    };
    for (rules, left) in [
        ("\"AT-*\"", 0),
        ("[\"AT-CRED-*\", \"at-log-001\"]", 0),
        ("\"AT-CRED-001\"", 1),
        ("[\"AT-LOG-*\"]", 1),
    ] {
        assert_eq!(open(&pipeline(rules).0), left, "{rules}");
    }
    let (_, refused) = pipeline("[\"AT-CRED-*\", \"AT-CERD-*\"]");
    assert!(refused.err.contains("`AT-CERD-*`, which does not exist"), "{}", refused.err);
}
