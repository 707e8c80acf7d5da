//! What a Sigma import takes of its files: documents that belong together in several files, members that are not understood, and
//! correlations whose conditions are taken exactly or refused.

use crate::sigma::{call, check_refused, ids, rule, scan};
use crate::support::program::{Program, RunOutput};
use serde_json::{Value, json};

const SOURCE: &str = "logsource: {product: alibaba, service: actiontrail}";

/// The program after an import of `files` (name, content) in the folder `sigma`.
fn import(files: &[(&str, &str)]) -> (Program, RunOutput) {
    let program = Program::new();
    program.write("trailhound.toml", "[rules]\nfolder = \"rules\"\n");
    program.write("rules/.keep", "");
    for (name, content) in files {
        program.write(&format!("sigma/{name}"), content);
    }
    let ran = program.run(&["rules", "import", "sigma"]);
    (program, ran)
}

fn named(name: &str, action: &str) -> String {
    format!(
        "title: {name}\nname: {name}\n{SOURCE}\ndetection: {{s: {{eventName: {action}}}, condition: s}}\n"
    )
}

fn correlation(number: u32, members: &str) -> String {
    format!(
        "title: c{number}\nid: {number:08}-0000-4000-8000-000000000000\ncorrelation: {{timespan: 10m, {members}}}\n"
    )
}

fn event(id: &str, action: &str, who: &str, minute: u32) -> Value {
    let mut event = call(
        id,
        json!({ "eventName": action, "eventTime": format!("2026-09-20T10:{minute:02}:00Z") }),
    );
    event["userIdentity"]["userName"] = who.into();
    event
}

#[test]
fn filters_and_correlations_find_their_rules_in_other_files_and_folders() {
    let filter = format!(
        "title: night\n{SOURCE}\nfilter: {{rules: [stops], selection: {{userIdentity.userName: night.job}}, condition: not selection}}\n"
    );
    let burst = correlation(
        1,
        "type: event_count, rules: [stops], group-by: [userIdentity.userName], condition: {gte: 3}",
    );
    let (program, ran) = import(&[
        ("z/deep/base.yaml", &named("stops", "StopInstances")),
        ("a/filter.yml", &filter),
        ("burst.YML", &burst),
        (".git/ignored.yml", "no document"),
        ("readme.txt", "no document"),
    ]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("made of \"stops\", tuned by \"night\""), "{}", ran.out);
    let events: Vec<Value> = ["lin.wei", "night.job"]
        .into_iter()
        .flat_map(|who| (0..3).map(move |minute| (who, minute)))
        .map(|(who, minute)| event(&format!("{who}{minute}"), "StopInstances", who, minute))
        .collect();
    let open = scan(&program, &events).open_findings();
    assert_eq!(open["AT-SIGMA-00000001"], ids(&["lin.wei0", "lin.wei1", "lin.wei2"]));
    let imported = open.keys().filter(|id| id.starts_with("AT-SIGMA")).count();
    assert_eq!(imported, 1, "the base rule is no rule of its own: {:?}", open.keys());
}

#[test]
fn a_rule_of_a_correlation_is_an_alert_only_where_the_correlation_says_so() {
    let generate = format!(
        "{}generate: true\n",
        correlation(1, "type: event_count, rules: [stops], condition: {gte: 3}")
    );
    let base = named("stops", "StopInstances")
        .replace("title", "id: 00000002-0000-4000-8000-000000000000\ntitle");
    let (_, ran) = import(&[("base.yml", &base), ("burst.yml", &generate)]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    assert!(ran.out.contains("AT-SIGMA-00000002"), "{}", ran.out);
    let (program, ran) = import(&[("base.yml", &base)]);
    assert!(ran.status == 0 && ran.out.contains("AT-SIGMA-00000002"), "{}", ran.out);
    program.write("sigma/burst.yml", generate.replace("true", "false"));
    let ran = program.run(&["rules", "import", "sigma", "--replace"]);
    assert!(ran.out.contains("still a rule of its own from an earlier import"), "{}", ran.out);
}

#[test]
fn conditions_of_correlations_are_trees() {
    let bases = [named("a", "CreateUser"), named("b", "CreateAccessKey"), named("c", "DeleteUser")];
    let mut files = bases.join("---\n");
    for (number, condition) in (1..).zip([
        "a and b and c",
        "a or b or c",
        "(a or b) and c",
        "a and b or c",
        "c and b and a",
    ]) {
        files.push_str("---\n");
        files.push_str(&correlation(
            number,
            &format!("type: temporal, rules: [a, b, c], group-by: [userIdentity.userName], condition: '{condition}'"),
        ));
    }
    let (program, ran) = import(&[("all.yml", &files)]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    let events = [
        event("a1", "CreateUser", "ann", 0),
        event("b1", "CreateAccessKey", "ann", 5),
        event("c1", "DeleteUser", "ann", 9),
        event("a2", "CreateUser", "bob", 0),
        event("c2", "DeleteUser", "bob", 10),
        event("c3", "DeleteUser", "cy", 0),
        event("a4", "CreateUser", "dan", 0),
        event("b4", "CreateAccessKey", "dan", 11),
    ];
    let open = scan(&program, &events).open_findings();
    let found =
        |number: u32| open.get(&format!("AT-SIGMA-{number:08}")).cloned().unwrap_or_default();
    assert_eq!(found(1), ids(&["a1", "b1", "c1"]));
    assert_eq!(found(2), ids(&["a1", "b1", "c1", "a2", "c2", "c3", "a4", "b4"]));
    assert_eq!(found(3), ids(&["a1", "b1", "c1", "a2", "c2"]));
    assert_eq!(found(4), ids(&["a1", "b1", "c1", "c2", "c3"]));
    assert_eq!(found(5), found(1));
}

/// Members of correlations that cannot be taken exactly, and the reason that is given.
const INEXACT: &[(&str, &str)] = &[
    ("type: temporal, rules: [a, b], condition: a and not b", "contains `not`"),
    ("type: temporal, rules: [a, b], condition: not (a or b)", "contains `not`"),
    ("type: temporal, rules: [a, b], condition: a", "does not name its rule `b`"),
    (
        "type: temporal, rules: [a, b], condition: a and x",
        "names `x`, which is not among its rules",
    ),
    ("type: temporal, rules: [a, b], condition: 1 of them", "join their names by `and` and `or`"),
    ("type: temporal, rules: [a, b], condition: {lt: 2}", "quiet moment"),
    ("type: temporal, rules: [a, b], condition: {gte: 3}", "that its 2 rules can reach"),
    (
        "type: temporal_ordered, rules: [a, b], condition: a or b",
        "in the order in which it lists them",
    ),
    (
        "type: temporal_ordered, rules: [a, b], condition: b and a",
        "in the order in which it lists them",
    ),
    (
        "type: temporal_ordered, rules: [a, b], condition: a and not b",
        "in the order in which it lists them",
    ),
    (
        "type: temporal_ordered, rules: [a, b], condition: {gte: 1}",
        "in the order in which it lists them",
    ),
    (
        "type: temporal_extended, rules: [a, b], condition: a and not b",
        "conditions over rules belong to `temporal`",
    ),
    ("type: ordered_temporal, rules: [a, b]", "did you mean `temporal_ordered`?"),
    ("type: event_cuont, rules: [a, b]", "did you mean `event_count`?"),
    ("type: event_count, rules: [a, b], condition: {gte: 0}", "quiet moment"),
    ("type: event_count, rules: [a, b], condition: {gte: 2, lte: 5}", "only one threshold"),
    (
        "type: event_count, rules: [a, b], condition: {gte: 2, atleast: 5}",
        "`atleast`, which is not known",
    ),
    ("type: event_count, rules: [a, b], condition: {gte: -1}", "whole number"),
    ("type: event_count, rules: [a, b], condition: {gte: 2, field: eventName}", "has no `field`"),
    ("type: value_count, rules: [a, b], condition: {gte: 2}", "names no `field`"),
    (
        "type: event_count, rules: [a, b], condition: {gte: 2}, group_by: [eventName]",
        "did you mean `group-by`?",
    ),
    ("type: event_count, rules: [a, b], condition: {gte: 2}, group-by: [1]", "`group-by` must be"),
    (
        "type: event_count, rules: [a, b], condition: {gte: 2}, generate: 'yes'",
        "`generate` must be",
    ),
    (
        "type: event_count, rules: [a, b], condition: {gte: 2}, timeframe: 5m",
        "both `timespan` and `timeframe`",
    ),
    ("type: event_count, rules: [a, b, 7], condition: {gte: 2}", "`rules` must be"),
    ("type: event_count, rules: [a, b, a], condition: {gte: 2}", "lists `a` twice"),
    (
        "type: event_count, rules: [a, b, nobody], condition: {gte: 2}",
        "`nobody`, which is not among the imported files",
    ),
    (
        "type: event_count, rules: [a, b], condition: {gte: 2}, group-by: [x], aliases: {x: {a: eventName, z: eventName}}",
        "names `z`, which is not among the rules",
    ),
    (
        "type: event_count, rules: [a, b], condition: {gte: 2}, group-by: [x], aliases: {x: {a: eventName}}",
        "has no field for the rule \"b\"",
    ),
];

#[test]
fn a_correlation_that_is_not_exact_is_refused_and_none_of_its_rules_is_taken() {
    let bases = format!("{}---\n{}", named("a", "CreateUser"), named("b", "CreateAccessKey"));
    for (members, reason) in INEXACT {
        let (program, ran) = import(&[("bases.yml", &bases), ("c.yml", &correlation(1, members))]);
        assert_eq!(ran.status, 3, "{members}\n{}{}", ran.out, ran.err);
        assert!(ran.out.contains(reason), "{members}: {reason}\n{}", ran.out);
        assert_eq!(ran.out.matches("REFUSED").count(), 3, "{members}\n{}", ran.out);
        assert!(!program.path("rules/sigma").exists(), "{members}\n{}", ran.out);
    }
}

#[test]
fn chains_of_correlations_are_refused_as_a_whole() {
    let files = [
        correlation(1, "type: temporal_ordered, rules: [many, good], group-by: [sourceIpAddress]"),
        correlation(2, "type: event_count, rules: [failed], condition: {gte: 5}")
            .replace("title: c2", "title: c2\nname: many"),
        named("failed", "ConsoleSignin"),
        named("good", "CreateUser"),
    ];
    let (program, ran) = import(&[("chain.yml", &files.join("---\n"))]);
    assert!(ran.status == 3 && ran.out.contains("chains of correlations"), "{}", ran.out);
    assert_eq!(ran.out.matches("REFUSED").count(), 4, "{}", ran.out);
    assert!(!program.path("rules/sigma").exists(), "{}", ran.out);
}

#[test]
fn a_filter_that_tunes_no_rule_is_an_error() {
    let base = named("a", "CreateUser");
    let filter = |source: &str, rules: &str| {
        format!(
            "title: f\nlogsource: {{{source}}}\nfilter: {{{rules} selection: {{userAgent: x}}, condition: not selection}}\n"
        )
    };
    let ours = "product: alibaba, service: actiontrail";
    for (source, rules, reason) in [
        (ours, "rules: [nobody],", "`nobody`, which is not among the imported files"),
        (ours, "rules: [a, nobody],", "`nobody`, which is not among the imported files"),
        (ours, "", "`rules` must be"),
        (ours, "rules: [],", "`rules` must be"),
        (ours, "rules: 5,", "`rules` must be"),
        ("product: windows", "rules: any,", "it tunes no rule"),
        ("product: windows", "rules: [a],", "whose log source is another one"),
        (ours, "rules: [c],", "is a correlation"),
        (ours, "rules: any,", ""),
        (ours, "rules: [A],", "`A`, which is not among"),
    ] {
        let text = filter(source, rules);
        let burst = correlation(1, "type: event_count, rules: [b], condition: {gte: 5}")
            .replace("title: c1", "title: c1\nname: c");
        let (program, ran) = import(&[
            ("a.yml", &base),
            ("b.yml", &named("b", "DeleteUser")),
            ("c.yml", &burst),
            ("f.yml", &text),
        ]);
        assert_eq!(ran.status, if reason.is_empty() { 0 } else { 3 }, "{text}\n{}", ran.out);
        assert!(ran.out.contains(reason), "{reason}\n{}", ran.out);
        let files = std::fs::read_dir(program.path("rules/sigma")).expect("a folder").count();
        assert_eq!(files, 4, "{}", ran.out);
    }
    // A filter that cannot be translated takes the rule with it.
    let broken = filter(ours, "rules: [a],").replace("userAgent", "userAgnt");
    let (program, ran) = import(&[("a.yml", &base), ("f.yml", &broken)]);
    assert!(ran.status == 3 && ran.out.contains("filter \"f\""), "{}", ran.out);
    assert!(!program.path("rules/sigma").exists());
}

#[test]
fn what_a_document_has_is_understood_or_told() {
    let plain = rule(1, "    s: {eventName: a}\n    condition: s");
    for (text, reason) in [
        (plain.replace("detection:", "detections:"), "no `detection`"),
        (format!("{plain}timeframe: 5m\n"), "outside of `detection`"),
        (format!("{plain}condition: s\n"), "outside of `detection`"),
        (format!("{plain}generate: true\n"), "`generate` is not supported"),
        (format!("{plain}rsigma.suppress: 5m\n"), "`rsigma.suppress` is not supported"),
        (format!("{plain}leval: high\n"), "did you mean `level`?"),
        (format!("{plain}level: urgent\n"), "urgent"),
        (format!("{plain}taxonomy: ecs\n"), "taxonomy `ecs`"),
        (format!("{plain}name: 5\n"), "`name` must be text"),
        (
            plain.replace("service:", "category: process_creation, service:"),
            "category `process_creation`",
        ),
        (plain.replace("service:", "vendor: x, service:"), "`vendor`, which is not known"),
        (plain.replace("product: alibaba", "product: alibaba, product: alibaba"), "duplicate"),
        ("- title: x\n".to_owned(), "named members"),
        ("# nothing\n".to_owned(), "holds no rule"),
        (String::new(), "holds no rule"),
        (format!("action: repeat\n{plain}"), "follows no document"),
        (format!("{plain}---\ntitle: [\n"), "nothing is read from this place on"),
    ] {
        check_refused(&text, reason);
    }
    let (_, ran) = import(&[("r.yml", &format!("{plain}ruleset: gold\n"))]);
    assert!(
        ran.status == 0 && ran.out.contains("NOTE") && ran.out.contains("`ruleset`"),
        "{}",
        ran.out
    );
    let unused = rule(1, "    s: {eventName: a}\n    f: {userAgent: x}\n    condition: s");
    let (_, ran) = import(&[("r.yml", &unused)]);
    assert!(ran.status == 0 && ran.out.contains("`f` is not used"), "{}", ran.out);
}

#[test]
fn what_a_selection_has_is_understood_or_refused() {
    for (text, reason) in [
        (
            rule(1, "    s: {userIdentity: {type: ram-user}}\n    condition: s"),
            "`userIdentity.name`",
        ),
        (rule(1, "    s: {eventName: [[a]]}\n    condition: s"), "a list in a list"),
        (rule(1, "    s: {eventName: []}\n    condition: s"), "has no value"),
        (rule(1, "    s: {}\n    condition: s"), "is empty"),
        (rule(1, "    s: {eventId: 18446744073709551615}\n    condition: s"), "put it in quotes"),
        (rule(1, "    s: {5: a}\n    condition: s"), "no text"),
        (rule(1, "    s: {eventName: !x a}\n    condition: s"), "YAML tag"),
        (
            rule(1, "    s: {eventName: a}\n    condition: s | count() by eventName > 5"),
            "write a correlation",
        ),
        (rule(1, "    s: {eventName: a}\n    condition: 3 of s*"), "can never decide"),
        (rule(1, "    s: {eventName: a}\n    condition: 0 of s*"), "can never decide"),
        (rule(1, "    s: {eventName: a}\n    condition: 1 of x*"), "no selection is called `x*`"),
        (rule(1, "    s: {eventName|sounds: a}\n    condition: s"), "sounds"),
        (
            rule(1, "    s: {eventName|contains|startswith: a}\n    condition: s"),
            "do not go together",
        ),
        (rule(1, "    s: {eventName|re|contains: a}\n    condition: s"), "do not go together"),
        (rule(1, "    s: {eventName|exists|all: true}\n    condition: s"), "do not go together"),
        (rule(1, "    s: {eventName|i: a}\n    condition: s"), "do not go together"),
        (
            rule(1, "    s: {eventName|contains: null}\n    condition: s"),
            "null only compares without modifiers",
        ),
        (rule(1, "    s: {eventName|wide: a}\n    condition: s"), "do not go together"),
        (rule(1, "    s: {userAgent|base64: 'a*'}\n    condition: s"), "without wildcards"),
        (rule(1, "    s: {'requestParameters.Ids[any]': a}\n    condition: s"), "selects elements"),
        (rule(1, "    s: {'requestParameters.Ids[0]': a}\n    condition: s"), "selects elements"),
        (
            format!(
                "{}sigma-version: 3\n",
                rule(1, "    s: {'requestParameters.Ids[any]': a}\n    condition: s")
            ),
            "selects elements",
        ),
        (rule(1, "    s: {'|all': [a, b]}\n    condition: s"), "without a field"),
    ] {
        check_refused(&text, reason);
    }
}

#[test]
fn documents_share_members_by_anchors_and_actions() {
    let text = format!(
        "action: global\n{SOURCE}\ndetection:\n    s: &s {{eventName: CreateUser}}\n    condition: s\n---\ntitle: one\nid: 00000001-0000-4000-8000-000000000000\n---\n\
         action: repeat\nid: 00000002-0000-4000-8000-000000000000\ntitle: two\ndetection: {{s: {{userAgent: x}}}}\n---\n\
         title: three\nid: 00000003-0000-4000-8000-000000000000\ndetection: {{a: &a {{userAgent: x}}, s: {{<<: *a, errorCode: y}}}}\n"
    );
    let (program, ran) = import(&[("r.yml", &text)]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    let events = [
        call("plain", json!({})),
        call("x", json!({ "userAgent": "x" })),
        call("xy", json!({ "userAgent": "x", "errorCode": "y" })),
    ];
    let open = scan(&program, &events).open_findings();
    assert_eq!(open["AT-SIGMA-00000001"], ids(&["plain", "x", "xy"]));
    assert_eq!(open["AT-SIGMA-00000002"], ids(&["x", "xy"]));
    assert_eq!(open["AT-SIGMA-00000003"], ids(&["xy"]));
}

#[test]
fn files_that_hold_nothing_and_names_that_are_taken_are_told() {
    let one = rule(1, "    s: {eventName: a}\n    condition: s");
    let (program, ran) = import(&[("a.yml", &one), ("b.yml", &one)]);
    assert_eq!((ran.status, ran.out.matches("REFUSED").count()), (3, 2), "{}", ran.out);
    assert!(ran.out.contains("the same id `00000001-0000-4000-8000-000000000000`"), "{}", ran.out);
    // Two paths to one file are one file.
    program.write("c/c.yml", &one);
    let ran = program.run(&["rules", "import", "c", "c/c.yml", "./c/../c"]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    for (name, content, reason) in [
        ("latin.yml", &b"title: caf\xe9\n"[..], "not UTF-8 text: the byte at offset 10"),
        ("empty.yml", &b""[..], "holds no rule"),
    ] {
        let program = Program::new();
        program.write(&format!("s/{name}"), content);
        program.write("s/ok.yml", &one);
        let ran = program.run(&["rules", "import", "s", "--out", "rules"]);
        assert!(ran.status == 3 && ran.out.contains(reason), "{}", ran.out);
        assert!(ran.out.contains("AT-SIGMA-00000001"), "the other file is imported: {}", ran.out);
    }
    let program = Program::new();
    std::fs::create_dir(program.path("nothing")).expect("a folder");
    let ran = program.run(&["rules", "import", "nothing", "--out", "rules"]);
    assert!(ran.status == 3 && ran.out.contains("holds no file `*.yml`"), "{}", ran.out);
    assert_eq!(program.run(&["rules", "import", "gone.yml", "--out", "rules"]).status, 2);
    program.write("marked.yml", format!("\u{feff}{one}"));
    program.run_ok(&["rules", "import", "marked.yml", "--out", "rules"]);
}

#[test]
fn a_deprecated_rule_is_imported_switched_off_and_the_import_says_so() {
    let old = format!("{}status: deprecated\n", named("stops", "StopInstances"));
    let (_, ran) = import(&[("old.yml", &old)]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let said = format!("{}{}", ran.out, ran.err);
    assert!(
        said.contains("its status is `deprecated`, so the rule is imported switched off"),
        "{said}"
    );
}
