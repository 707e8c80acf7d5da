//! Import and export of Sigma rules: which events an imported rule matches, which rules are
//! refused, and that an exported rule finds the same events when it is imported again.

use crate::support::program::{Program, RunOutput, text};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const SOURCE: &str = "logsource: {product: alibaba, service: actiontrail}";

/// Imports `rules` (YAML documents), each of which must be accepted. Returns the program that has
/// them.
fn imported(rules: &[String]) -> Program {
    let program = Program::new();
    program.write("trailhound.toml", "[rules]\nfolder = \"rules\"\n");
    program.write("rules/.keep", "");
    program.write("sigma.yml", rules.join("\n---\n"));
    program.run_ok(&["rules", "import", "sigma.yml"]);
    program
}

/// A detection rule: the selections and the condition as YAML, under `detection`.
pub(crate) fn rule(number: u32, detection: &str) -> String {
    format!(
        "title: rule {number}\nid: {number:08}-0000-4000-8000-000000000000\n{SOURCE}\ndetection:\n{detection}\n"
    )
}

pub(crate) fn call(id: &str, members: Value) -> Value {
    let mut event = json!({ "eventId": id, "eventTime": "2026-09-20T10:00:00Z", "eventName": "CreateUser", "serviceName": "Ram", "eventRW": "Write",
        "sourceIpAddress": "198.51.100.7", "userIdentity": { "type": "ram-user", "accountId": "1000000000000001", "principalId": "2a" } });
    for (name, value) in members.as_object().expect("an object") {
        event[name] = value.clone();
    }
    event
}

pub(crate) fn scan(program: &Program, events: &[Value]) -> RunOutput {
    program.write("events.json", serde_json::to_vec(events).expect("JSON"));
    program.run_ok(&["scan", "events.json", "--lake", "l", "--format", "json"])
}

/// Imports one rule for each of `detections` and runs them over `events`. Returns the ids of the
/// events that each rule matches, in the order of `detections`.
pub(crate) fn matched(detections: &[&str], events: &[Value]) -> Vec<BTreeSet<String>> {
    let rules: Vec<String> =
        (1..).zip(detections).map(|(number, detection)| rule(number, detection)).collect();
    let open = scan(&imported(&rules), events).open_matches();
    (1..)
        .zip(detections)
        .map(|(number, _)| open.get(&format!("AT-SIGMA-{number:08}")).cloned().unwrap_or_default())
        .collect()
}

pub(crate) fn ids(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn values_and_modifiers_follow_the_sigma_specification() {
    let events = [
        call(
            "plain",
            json!({ "userAgent": "aliyun-cli/3.0", "requestParameters": { "UserName": "Bob", "Size": "20" } }),
        ),
        call(
            "agent",
            json!({ "userAgent": "50%_Off tool", "requestParameters": { "UserName": "alice", "Size": "7", "Command": "cm0gLXJmIC8=" } }),
        ),
        call("bare", json!({ "sourceIpAddress": "203.0.113.9", "errorCode": "NoPermission" })),
        call(
            "v6",
            json!({ "sourceIpAddress": "2001:db8::9", "userAgent": "", "requestParameters": { "UserName": "a*b" } }),
        ),
    ];
    let found = matched(
        &[
            "    s: {eventName: createuser, userAgent: 'Aliyun-CLI/*'}\n    condition: s",
            "    s: {userAgent|contains: '%_off'}\n    condition: s",
            "    s: {userAgent|cased|contains: '%_off'}\n    condition: s",
            // A missing field does not match a filter.
            "    s: {eventName: CreateUser}\n    f: {userAgent|startswith: aliyun}\n    condition: s and not f",
            "    s: {userAgent: null}\n    condition: s",
            "    s: {requestParameters.Size|gte: 10}\n    condition: s",
            "    s: {sourceIpAddress|cidr: [203.0.113.0/24, 2001:db8::/32]}\n    condition: s",
            "    s: {requestParameters.UserName|re|i: '^(bob|ALICE)$'}\n    condition: s",
            "    s: {requestParameters.UserName: 'a\\*b'}\n    condition: s",
            "    s: {errorCode|exists: true}\n    condition: s",
            "    s: {requestParameters.Command|base64: 'rm -rf /'}\n    condition: s",
            "    s: {requestParameters.Command|base64offset|contains: '-rf'}\n    condition: s",
            "    s: {userAgent|contains|all: [off, tool]}\n    condition: s",
            "    s: {eventTime|hour: 10}\n    f1: {userAgent: null}\n    f2: {userAgent: ''}\n    condition: s and not 1 of f*",
            "    a: {eventName: CreateUser}\n    b: {serviceName: ram}\n    c: {eventName: Nothing}\n    condition: 2 of them",
            "    s: {userIdentity.type|neq: ram-user}\n    condition: s",
            "    s: {serviceName|fieldref|startswith: eventRW}\n    condition: s",
        ],
        &events,
    );
    let expected = [
        &["plain"][..],
        &["agent"],
        &[],
        &["agent", "bare", "v6"],
        &["bare"],
        &["plain"],
        &["bare", "v6"],
        &["plain", "agent"],
        &["v6"],
        &["bare"],
        &["agent"],
        &["agent"],
        &["agent"],
        &["plain", "agent"],
        &["plain", "agent", "bare", "v6"],
        &[],
        &[],
    ];
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(*found, ids(expected), "rule {}", number + 1);
    }
}

#[test]
fn correlations_count_and_check_order() {
    let named = |name: &str, detection: &str| {
        format!("title: {name}\nname: {name}\n{SOURCE}\ndetection:\n{detection}\n")
    };
    let correlation = |number: u32, kind: &str, more: &str| {
        format!(
            "title: correlation {number}\nid: {number:08}-0000-4000-8000-000000000000\ncorrelation:\n    type: {kind}\n    group-by: [userIdentity.principalId]\n    timespan: 5m\n{more}\n"
        )
    };
    let program = imported(&[
        named(
            "refused",
            "    s: {eventName: CreateUser, errorCode|exists: true}\n    condition: s",
        ),
        named(
            "done",
            "    s: {eventName: CreateUser}\n    f: {errorCode|exists: true}\n    condition: s and not f",
        ),
        correlation(1, "event_count", "    rules: [refused]\n    condition: {gte: 3}"),
        correlation(
            2,
            "value_count",
            "    rules: [refused]\n    condition: {gte: 3, field: requestParameters.UserName}",
        ),
        correlation(3, "temporal", "    rules: [refused, done]"),
        correlation(4, "temporal_ordered", "    rules: [refused, done]"),
        correlation(
            5,
            "value_sum",
            "    rules: [refused]\n    condition: {gt: 5, field: requestParameters.Size}",
        ),
    ]);
    let event = |id: &str, who: &str, minute: u32, refused: bool, user: &str| {
        let mut event = call(
            id,
            json!({ "eventTime": format!("2026-09-20T10:{minute:02}:00Z"), "requestParameters": { "UserName": user, "Size": "2" } }),
        );
        event["userIdentity"]["principalId"] = who.into();
        if refused {
            event["errorCode"] = "NoPermission".into();
        }
        event
    };
    let events = [
        // Three refusals for one target, then a success.
        event("a1", "a", 1, true, "x"),
        event("a2", "a", 2, true, "x"),
        event("a3", "a", 6, true, "x"),
        event("a4", "a", 7, false, "x"),
        // Three targets in too long a time; the success came before.
        event("b0", "b", 0, false, "x"),
        event("b1", "b", 1, true, "x"),
        event("b2", "b", 4, true, "y"),
        event("b3", "b", 7, true, "z"),
    ];
    let open = scan(&program, &events).open_findings();
    let of = |number: u32| open.get(&format!("AT-SIGMA-{number:08}")).cloned().unwrap_or_default();
    assert_eq!(of(1), ids(&["a1", "a2", "a3"]));
    assert_eq!(of(2), ids(&[]));
    assert_eq!(of(3), ids(&["a2", "a3", "a4", "b0", "b1", "b2"]));
    assert_eq!(of(4), ids(&["a4"]));
    assert_eq!(of(5), ids(&["a1", "a2", "a3"]));
    let parts = open.keys().filter(|id| id.starts_with("AT-SIGMA-")).count();
    assert_eq!(parts, 4, "what a correlation is made of is no rule by itself: {:?}", open.keys());
}

#[test]
fn filters_exclude_the_events_they_select() {
    let filter = "title: not the builders\nlogsource: {product: alibaba, service: actiontrail}\nfilter:\n    rules: ['00000001-0000-4000-8000-000000000000']\n    selection: {userIdentity.principalId: 2builder}\n    condition: not selection\n";
    let program =
        imported(&[rule(1, "    s: {eventName: CreateUser}\n    condition: s"), filter.to_owned()]);
    let mut builder = call("builder", json!({}));
    builder["userIdentity"]["principalId"] = "2builder".into();
    assert_eq!(
        scan(&program, &[builder, call("other", json!({}))]).open_findings()["AT-SIGMA-00000001"],
        ids(&["other"])
    );
}

#[test]
fn cloudtrail_rules_are_translated_where_a_counterpart_exists() {
    let aws = |number: u32, detection: &str| {
        rule(number, detection).replace("alibaba", "aws").replace("actiontrail", "cloudtrail")
    };
    let program = imported(&[
        aws(
            1,
            "    s: {eventSource: iam.amazonaws.com, eventName: [AttachUserPolicy, CreateAccessKey]}\n    condition: s",
        ),
        aws(
            2,
            "    s: {eventName: ConsoleLogin, additionalEventData.MFAUsed: 'No', userIdentity.type: Root}\n    condition: s",
        ),
    ]);
    let mut root = call(
        "root",
        json!({ "eventName": "ConsoleSignin", "serviceName": "AasCustomer", "additionalEventData": { "isMFAChecked": "false" } }),
    );
    root["userIdentity"]["type"] = "root-account".into();
    let open = scan(
        &program,
        &[
            call("attach", json!({ "eventName": "AttachPolicyToUser" })),
            call("create", json!({})),
            root,
        ],
    )
    .open_findings();
    assert_eq!(open["AT-SIGMA-00000001"], ids(&["attach"]));
    assert_eq!(open["AT-SIGMA-00000002"], ids(&["root"]));
    assert!(
        program
            .run_ok(&["rules", "show", "AT-SIGMA-00000001"])
            .out
            .contains("carried over by a field mapping")
    );
}

/// Checks that the import of `yaml` is refused for `reason`.
pub(crate) fn check_refused(yaml: &str, reason: &str) {
    let program = Program::new();
    program.write("sigma.yml", yaml);
    let ran = program.run(&["rules", "import", "sigma.yml", "--out", "rules"]);
    assert_eq!(ran.status, 3, "{yaml}\n{}{}", ran.out, ran.err);
    let told = ran.out.contains("REFUSED") && ran.out.contains(reason);
    assert!(told, "{yaml}\n{reason}: {}", ran.out);
}

#[test]
fn untranslatable_correlations_are_refused_with_the_reason() {
    let correlation = |more: &str| {
        format!(
            "{}\n---\ntitle: c\ncorrelation:\n{more}",
            rule(1, "    s: {eventName: a}\n    condition: s")
                .replace("title:", "name: base\ntitle:")
        )
    };
    for (yaml, reason) in [
        (
            correlation(
                "    type: event_count\n    rules: [base]\n    timespan: 5m\n    condition: {lt: 3}",
            ),
            "quiet moment",
        ),
        (
            correlation(
                "    type: event_count\n    rules: [other]\n    timespan: 5m\n    condition: {gte: 3}",
            ),
            "not among the imported files",
        ),
        (
            correlation(
                "    type: event_count\n    rules: [base]\n    timespan: 30d\n    condition: {gte: 3}",
            ),
            "longer than a week",
        ),
        (
            correlation(
                "    type: value_percentile\n    rules: [base]\n    timespan: 5m\n    condition: {gte: 3, field: eventName}",
            ),
            "percentiles",
        ),
    ] {
        check_refused(&yaml, reason);
    }
}

#[test]
fn untranslatable_rules_are_refused_with_the_reason() {
    let aws = |detection: &str| {
        rule(1, detection).replace("alibaba", "aws").replace("actiontrail", "cloudtrail")
    };
    for (yaml, reason) in [
        (rule(1, "    k: [evil]\n    condition: k"), "keywords"),
        (
            rule(1, "    s: {userIdentity.nam: x}\n    condition: s"),
            "has no field `userIdentity.nam`",
        ),
        (rule(1, "    s: {userAgent|re: '(?=x)y'}\n    condition: s"), "regular expression"),
        (rule(1, "    s: {userAgent|expand: '%tools%'}\n    condition: s"), "list of the company"),
        (rule(1, "    s: {sourceIpAddress|cidr: 10.1.2.3/8}\n    condition: s"), "10.0.0.0/8"),
        (rule(1, "    s: {eventName: a}\n    condition: t"), "no selection is called `t`"),
        (
            rule(1, "    s: {eventName: a}\n    timeframe: 5m\n    condition: s"),
            "write a correlation",
        ),
        (
            rule(1, "    s: {eventName: a}\n    condition: s").replace("alibaba", "windows"),
            "is not this trail",
        ),
        (
            aws("    s: {eventName: DescribeTrails*}\n    condition: s"),
            "names differ between the clouds",
        ),
        (aws("    s: {eventName: LookupGalaxies}\n    condition: s"), "`LookupGalaxies`"),
        (
            aws("    s: {requestParameters.userName: x}\n    condition: s"),
            "CloudTrail's field `requestParameters.userName`",
        ),
        ("title: [".to_owned(), "REFUSED"),
        ("a: &a [x, x]\nb: &b [*a, *a]\ntitle: *b\n".to_owned(), "REFUSED"),
    ] {
        check_refused(&yaml, reason);
    }
    let program = Program::new();
    program.write("sigma.yml", rule(1, "    s: {eventName: a}\n    condition: s"));
    assert_eq!(program.run(&["rules", "import", "sigma.yml"]).status, 2, "nobody said where to");
    program.run_ok(&["rules", "import", "sigma.yml", "--out", "rules"]);
    let again = program.run(&["rules", "import", "sigma.yml", "--out", "rules"]);
    assert!(again.status == 3 && again.out.contains("--replace"), "{}", again.out);
    program.run_ok(&["rules", "import", "sigma.yml", "--out", "rules", "--replace"]);
}

#[test]
fn an_exported_and_reimported_rule_finds_the_same() {
    let program = Program::new();
    program.run_ok(&["generate", "--events", "20000", "--seed", "3", "--out", "g"]);
    let exported = program.run_ok(&["rules", "export", "--out", "sigma"]).out;
    let files: Vec<&str> = exported.lines().collect();
    assert!(files.len() >= 25, "{exported}");
    program.write("g/rules/.keep", "");
    let configuration =
        std::fs::read_to_string(program.path("g/trailhound.toml")).expect("a configuration");
    program.write("g/trailhound.toml", format!("[rules]\nfolder = \"rules\"\n{configuration}"));
    program.run_ok(&["--config", "g/trailhound.toml", "rules", "import", "sigma"]);
    // Imported rule to built-in rule, by the name in the file and the beginning of the UUID.
    let mut came_of: BTreeMap<String, String> = BTreeMap::new();
    for file in files {
        let yaml = std::fs::read_to_string(program.path(file)).expect("a file");
        let member = |name: &str| {
            yaml.lines()
                .find_map(|line| line.strip_prefix(name))
                .expect("a member")
                .trim()
                .to_owned()
        };
        let ours = member("name:").to_uppercase().replace('_', "-");
        came_of.insert(format!("AT-SIGMA-{}", member("id:")[..8].to_uppercase()), ours);
    }
    let ran = program.run_ok(&[
        "--config",
        "g/trailhound.toml",
        "scan",
        "g/events",
        "--lake",
        "l",
        "--format",
        "json",
    ]);
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for finding in ran.json() {
        let ids = finding["event_ids"].as_array().expect("ids").iter().map(text);
        found.entry(text(&finding["rule_id"])).or_default().extend(ids);
    }
    let mut fired = 0;
    for (theirs, ours) in &came_of {
        // A rule that is off by default did not run, but its translation did.
        let is_on = !program.run_ok(&["rules", "show", ours]).out.contains("off by default");
        if let Some(events) = found.get(ours).filter(|_| is_on) {
            assert_eq!(found.get(theirs), Some(events), "{ours}");
            fired += 1;
        }
    }
    assert!(fired >= 20, "only {fired} of {} fired", came_of.len());
}
