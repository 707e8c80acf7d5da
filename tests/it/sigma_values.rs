//! What a field of an imported Sigma rule matches in an event: lists in every form, `exists` and null, and values that cannot occur.

use crate::sigma::{call, check_refused, ids, matched, rule, scan};
use crate::support::program::Program;
use serde_json::{Value, json};

/// Checks which of `events` each detection matches.
fn check(events: &[Value], cases: &[(&str, &[&str])]) {
    let detections: Vec<String> =
        cases.iter().map(|(item, _)| format!("    s: {{{item}}}\n    condition: s")).collect();
    let detections: Vec<&str> = detections.iter().map(String::as_str).collect();
    for ((item, expected), found) in cases.iter().zip(matched(&detections, events)) {
        assert_eq!(found, ids(expected), "{item}");
    }
}

#[test]
fn a_list_matches_where_any_element_does() {
    let with = |id: &str, parameters: Value| call(id, json!({ "requestParameters": parameters }));
    let events = [
        with("list", json!({ "Ids": ["i-a", "i-b"] })),
        with("one", json!({ "Ids": "i-b" })),
        with("text", json!({ "Ids": "[\"i-a\", \"i-b\"]" })),
        with("flat", json!({ "Ids.1": "i-a", "Ids.2": "i-b" })),
        with("nested", json!({ "Ids": [["i-b"], null, 7] })),
        with("other", json!({ "Ids": ["i-bb", "10.1.2.3"] })),
        with("empty", json!({ "Ids": [] })),
        with("objects", json!({ "P": [{ "Cidr": "10.0.0.0/8" }, { "Cidr": ["0.0.0.0/0"] }] })),
        with("json", json!({ "P": "[{\"Cidr\":\"0.0.0.0/0\"}]" })),
        with("numbers", json!({ "N": [1, 20.0, "30"] })),
    ];
    let b = ["list", "one", "text", "flat", "nested"];
    check(
        &events,
        &[
            ("requestParameters.Ids: I-B", &b),
            ("requestParameters.Ids|cased: I-B", &[]),
            (
                "requestParameters.Ids|startswith: i-b",
                &["list", "one", "text", "flat", "nested", "other"],
            ),
            (
                "requestParameters.Ids|contains: '-B'",
                &["list", "one", "text", "flat", "nested", "other"],
            ),
            ("requestParameters.Ids|endswith: -a", &["list", "text", "flat"]),
            ("requestParameters.Ids: 'i-?'", &b),
            ("requestParameters.Ids|re: '^i-b$'", &b),
            ("requestParameters.Ids|contains|all: [-a, -b]", &["list", "text", "flat"]),
            ("requestParameters.Ids|cidr: 10.0.0.0/8", &["other"]),
            ("requestParameters.Ids: 7", &["nested"]),
            ("requestParameters.Ids: '7'", &["nested"]),
            (
                "requestParameters.Ids|exists: true",
                &["list", "one", "text", "flat", "nested", "other", "empty"],
            ),
            ("requestParameters.Ids|exists: false", &["objects", "json", "numbers"]),
            ("requestParameters.Ids: null", &["nested", "objects", "json", "numbers"]),
            ("requestParameters.Ids.2: i-b", &["list", "text", "flat"]),
            ("requestParameters.P.Cidr: 0.0.0.0/0", &["objects", "json"]),
            ("requestParameters.P.1.Cidr: 10.0.0.0/8", &["objects"]),
            ("requestParameters.N: 20", &["numbers"]),
            ("requestParameters.N: 30", &["numbers"]),
            ("requestParameters.N|gt: 29", &["numbers"]),
            ("requestParameters.N|lt: 1", &[]),
            ("requestParameters.Ids|neq: i-b", &["other", "empty", "objects", "json", "numbers"]),
            (
                "requestParameters.Ids|fieldref: requestParameters.Ids",
                &["list", "one", "text", "flat", "nested", "other"],
            ),
        ],
    );
}

#[test]
fn exists_and_null_ask_the_event() {
    let mut session = call("session", json!({ "errorCode": "" }));
    session["userIdentity"]["sessionContext"] =
        json!({ "attributes": { "mfaAuthenticated": "false" } });
    let mut odd = call("odd", json!({ "errorCode": 404, "isGlobal": true }));
    odd["userIdentity"]["sessionContext"] =
        json!({ "attributes": { "mfaAuthenticated": "maybe" } });
    let mut nobody =
        call("nobody", json!({ "errorCode": null, "recipientAccountId": "1000000000000001" }));
    nobody["userIdentity"].as_object_mut().expect("an object").remove("accountId");
    let events = [
        session,
        odd,
        nobody,
        call("bare", json!({ "eventAttributes": { "SensitiveAction": "true" } })),
    ];
    let mfa = "userIdentity.sessionContext.attributes.mfaAuthenticated";
    check(
        &events,
        &[
            ("errorCode|exists: true", &["session", "odd", "nobody"]),
            ("errorCode|exists: false", &["bare"]),
            ("errorCode: null", &["nobody", "bare"]),
            ("errorCode: [null, '']", &["session", "nobody", "bare"]),
            ("errorCode: ''", &["session"]),
            (&format!("{mfa}|exists: true"), &["session", "odd"]),
            (&format!("{mfa}: null"), &["nobody", "bare"]),
            (&format!("{mfa}: 'false'"), &["session"]),
            (&format!("{mfa}|neq: 'true'"), &["session", "odd", "nobody", "bare"]),
            ("userIdentity.accountId|exists: true", &["session", "odd", "bare"]),
            ("userIdentity.accountId: null", &["nobody"]),
            ("isGlobal: true", &["odd"]),
            ("isGlobal|exists: false", &["session", "nobody", "bare"]),
            ("eventAttributes.SensitiveAction: true", &["bare"]),
            ("eventAttributes.SensitiveAction|exists: false", &["session", "odd", "nobody"]),
            ("eventTime|hour|gte: 10", &["session", "odd", "nobody", "bare"]),
            ("eventTime|hour|gt: 10", &[]),
        ],
    );
}

#[test]
fn a_value_that_stands_for_nothing_is_asked_of_the_event() {
    let with = |id: &str, vpc: Value| call(id, json!({ "vpcId": vpc, "errorCode": null }));
    let events = [
        with("dash", json!("-")),
        with("space", json!(" ")),
        with("word", json!("Null")),
        with("nothing", Value::Null),
        with("empty", json!("")),
        with("vpc", json!("vpc-1")),
        call("none", json!({})),
    ];
    check(
        &events,
        &[
            ("vpcId|exists: true", &["dash", "space", "word", "nothing", "empty", "vpc"]),
            ("vpcId|exists: false", &["none"]),
            ("vpcId: null", &["nothing", "none"]),
            ("vpcId: '-'", &["dash"]),
            ("vpcId: ' '", &["space"]),
            ("vpcId: 'NULL'", &["word"]),
            ("vpcId|cased: 'NULL'", &[]),
            ("vpcId: ''", &["empty"]),
            ("vpcId|contains: '-'", &["dash", "vpc"]),
            ("vpcId: '?'", &["dash", "space"]),
            ("vpcId|re: '^.$'", &["dash", "space"]),
            ("vpcId|re: '^[a-z0-9-]+$'", &["dash", "vpc"]),
            ("errorCode|exists: true", &["dash", "space", "word", "nothing", "empty", "vpc"]),
            ("errorCode: null", &["dash", "space", "word", "nothing", "empty", "vpc", "none"]),
        ],
    );
}

#[test]
fn windash_replaces_each_dash_by_each_dash() {
    let with = |id: &str, agent: &str| call(id, json!({ "userAgent": agent }));
    check(
        &[
            with("a", "tool -enc /f"),
            with("b", "tool /enc -f"),
            with("c", "tool –enc ―f"),
            with("d", "tool +enc +f"),
        ],
        &[("userAgent|contains|windash: '-enc -f'", &["a", "b", "c"])],
    );
}

#[test]
fn a_backslash_in_a_regular_expression_is_a_backslash() {
    let with = |id: &str, agent: &str| call(id, json!({ "userAgent": agent }));
    check(
        &[with("path", "C:\\Temp"), with("percent", "50%"), with("plain", "tool")],
        &[("userAgent|re: '\\\\'", &["path"]), ("userAgent|re|i: '^c:\\\\t'", &["path"])],
    );
}

#[test]
fn values_that_cannot_occur_in_an_event_are_refused() {
    let aws = |detection: &str| {
        rule(1, detection).replace("alibaba", "aws").replace("actiontrail", "cloudtrail")
    };
    let ours = |detection: &str| rule(1, detection);
    let one = |item: &str| format!("    s: {{{item}}}\n    condition: s");
    for (yaml, reason) in [
        (
            aws(&one("eventName: CreateUser, userAgent|contains: signin.amazonaws.com")),
            "belongs to another cloud",
        ),
        (aws(&one("sourceIPAddress: AWS Internal")), "belongs to another cloud"),
        (aws(&one("sourceIPAddress|endswith: .amazonaws.com")), "belongs to another cloud"),
        (aws(&one("errorMessage: Failed authentication")), "has no meaning outside of AWS"),
        (aws(&one("errorMessage|contains: not authorized")), "names differ between the clouds"),
        (aws(&one("userIdentity.principalId|startswith: AIDA")), "names differ between the clouds"),
        (aws(&one("userIdentity.userName: HIDDEN_DUE_TO_SECURITY_REASONS")), "never writes"),
        (aws(&one("responseElements.ConsoleLogin|exists: true")), "cannot be asked"),
        (ours(&one("eventSource: signin.amazonaws.com")), "belongs to another cloud"),
        (ours(&one("eventSource|re: '.*\\.amazonaws\\.com'")), "belongs to another cloud"),
        (ours(&one("eventName: ConsoleLogin")), "ActionTrail has `consolesignin`"),
        (ours(&one("userIdentity.type: IAMUser")), "ActionTrail has `ram-user`"),
        (ours(&one("sourceIpAddress: 10.0.0.0/8")), "compare it by `sourceIpAddress|cidr`"),
    ] {
        check_refused(&yaml, reason);
    }
    // CloudTrail has no error code where ActionTrail has an empty one.
    let program = Program::new();
    program.write("trailhound.toml", "[rules]\nfolder = \"rules\"\n");
    program.write("rules/.keep", "");
    program.write("sigma.yml", aws(&one("eventName: CreateUser, errorCode: null")));
    program.run_ok(&["rules", "import", "sigma.yml"]);
    let events = [
        call("empty", json!({ "errorCode": "" })),
        call("none", json!({})),
        call("failed", json!({ "errorCode": "NoPermission" })),
    ];
    let open = scan(&program, &events).open_findings();
    assert_eq!(open["AT-SIGMA-00000001"], ids(&["empty", "none"]));
}
