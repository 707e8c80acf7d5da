//! Commands, configuration, messages and exit statuses.

use crate::support::events::event;
use crate::support::program::Program;

#[test]
fn exit_statuses_tell_what_happened() {
    let program = Program::new();
    program.write("in/a.json", event("li"));
    let scan = |more: &[&str]| {
        let scan = ["scan", "in", "--lake", "l", "--rules", "AT-LOGIN-001"];
        program.run(&[&scan[..], more].concat()).status
    };
    assert_eq!(scan(&[]), 0);
    assert_eq!(scan(&["--fail-on", "high"]), 1);
    assert_eq!(scan(&["--fail-on", "critical"]), 0);
    program.write("in/b.json", "not json");
    assert_eq!(scan(&[]), 3);
    for wrong in [
        &["scan"][..],
        &["scan", "nowhere"],
        &["scan", "in", "--fail-on", "bad"],
        &["query", "--lake", "none", "-c", "SELECT 1"],
        &["frobnicate"],
    ] {
        let ran = program.run(wrong);
        assert_eq!(ran.status, 2, "{wrong:?}: {}", ran.err);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{wrong:?}");
    }
}

#[test]
fn a_rule_without_its_parameter_is_reported_and_can_be_an_error() {
    let program = Program::new();
    program.write("a.json", event("li"));
    let ran = program.run(&["scan", "a.json", "--no-keep"]);
    assert!(
        ran.out.contains("NOT LOADED: AT-LOGIN-002") && ran.out.contains("corporate_cidrs = ["),
        "{}",
        ran.out
    );
    let ran = program.run(&["scan", "a.json", "--no-keep", "--require-all-rules"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("corporate_cidrs"), "{}", ran.err);
    program.write(
        "trailhound.toml",
        "[parameters]\ncorporate_cidrs = [{ cidr = \"203.0.113.0/24\" }]\n",
    );
    let ran =
        program.run(&["scan", "a.json", "--no-keep", "--require-all-rules", "--format", "json"]);
    assert_eq!(ran.open_findings().len(), 2, "{}", ran.out);
}

#[test]
fn configuration_mistakes_name_place_and_remedy() {
    let program = Program::new();
    program.write("a.json", event("li"));
    for (config, parts) in [
        ("[parameters]\ncorporate_cidr = []\n", &["line 2", "did you mean `corporate_cidrs`"][..]),
        ("[parametres]\n", &["did you mean `parameters`"]),
        ("[ingest]\nworkers = 0\n", &["line 2"]),
        ("[ingest]\nworkers = \"two\"\n", &["line 2"]),
        ("[lake]\npath = \"a\"\npath = \"b\"\n", &["line 3", "duplicate key"]),
        (
            "[parameters]\ncorporate_cidrs = [{ cidr = \"10.1.2.3/8\" }]\n",
            &["host bits", "10.0.0.0/8"],
        ),
        (
            "[parameters]\nallowed_principals = [{ rule = \"AT-ROOT-01\", reason = \"x\", expires = \"2027-01-01\" }]\n",
            &["did you mean `AT-ROOT-001`"],
        ),
        (
            "[parameters]\nallowed_principals = [{ rule = \"AT-ROOT-001\", acess_key = \"x\", reason = \"x\", expires = \"2027-01-01\" }]\n",
            &["acess_key", "access_key_id"],
        ),
        (
            "[parameters]\nallowed_principals = [{ rule = \"AT-ROOT-001\", reason = \"x\" }]\n",
            &["expires"],
        ),
        ("\u{0}binary", &["line 1"]),
        ("[ingest]\ncontent_bytes_max = \"10 GB\"\n", &["line 2", "content_bytes_max"]),
        ("[ingest]\nevent_bytes_max = -1\n", &["line 2"]),
        ("[ingest]\nevent_bytes_max = 1e99\n", &["line 2"]),
        ("[parameters]\ngeo_city = \"nowhere.mmdb\"\n", &["nowhere.mmdb", "MaxMind"]),
        ("[parameters]\ngeo_asn = \"a.json\"\n", &["a.json", "MaxMind"]),
        ("[parameters]\nsso_mode = \"sso\"\n", &["line 2", "user_sso"]),
    ] {
        program.write("trailhound.toml", config);
        let ran = program.run(&["scan", "a.json", "--no-keep"]);
        assert_eq!(ran.status, 2, "{config}: {}", ran.err);
        for part in parts {
            assert!(ran.err.contains(part), "{config}: `{part}` is not in {}", ran.err);
        }
    }
    program.write("trailhound.toml", [0xff, 0xfe, b'[', 0]);
    assert!(program.run(&["rules", "list"]).err.contains("not UTF-8"));
    let file = std::fs::File::create(program.path("trailhound.toml")).expect("a file");
    file.set_len(100 << 20).expect("a sparse file");
    assert!(
        program
            .run(&["rules", "list"])
            .err
            .contains("104857600 bytes are too many for a configuration")
    );
    program.write("trailhound.toml", "");
    program.run_ok(&["rules", "list"]);
}

#[test]
fn rules_that_need_a_geoip_database_report_that_they_are_off() {
    let program = Program::new();
    program.write("a.json", event("li"));
    let ran = program.run_ok(&["scan", "a.json", "--no-keep"]);
    assert!(
        ran.out.contains("NOT LOADED: AT-LOGIN-007, AT-LOGIN-008")
            && ran.out.contains("geo_city = "),
        "{}",
        ran.out
    );
    program.write("trailhound.toml", "[parameters]\ngeo_city = \"sample\"\n");
    assert!(
        !program.run_ok(&["scan", "a.json", "--no-keep"]).out.contains("NOT LOADED: AT-LOGIN-007")
    );
}

#[test]
fn hostile_text_is_inert_in_every_output() {
    let program = Program::new();
    let name = "=cmd|' /C calc'!A0\\u001b[31m\\u202e";
    program.write("a.json", event(name));
    let table = program.run(&["scan", "a.json", "--no-keep", "--rules", "AT-LOGIN-001"]);
    assert!(
        !table.out.contains('\u{1b}')
            && !table.out.contains('\u{202e}')
            && table.out.contains("\\u{1b}"),
        "{}",
        table.out
    );
    let csv =
        program.run(&["scan", "a.json", "--no-keep", "--rules", "AT-LOGIN-001", "--format", "csv"]);
    assert!(csv.out.contains("'=cmd"), "{}", csv.out);
    let json = program
        .run(&["scan", "a.json", "--no-keep", "--rules", "AT-LOGIN-001", "--format", "json"])
        .json();
    assert_eq!(json[0]["operator"]["name"], "=cmd|' /C calc'!A0\u{1b}[31m\u{202e}");
}

#[test]
fn since_and_until_bound_the_findings() {
    let program = Program::new();
    let days = ["19", "20", "21"].map(|day| {
        event(&format!("u{day}"))
            .replace("2026-09-21", &format!("2026-09-{day}"))
            .replace("E1", day)
    });
    program.write("a.json", days.join("\n"));
    let ran = program.run_ok(&[
        "scan",
        "a.json",
        "--no-keep",
        "--format",
        "json",
        "--rules",
        "AT-LOGIN-001",
        "--since",
        "2026-09-20",
        "--until",
        "2026-09-21T00:00:00Z",
    ]);
    assert_eq!(ran.open_findings()["AT-LOGIN-001"].iter().collect::<Vec<_>>(), ["20"]);
    let of_root = ["scan", "a.json", "--no-keep", "--format", "json", "--rules", "at-root-001"];
    assert!(program.run_ok(&of_root).out.is_empty());
    let backwards = ["--since", "2026-09-21", "--until", "2026-09-20"];
    let ran = program.run(&[&of_root[..], &backwards].concat());
    assert_eq!(ran.status, 2, "a range without a time in it is a mistake");
    assert!(ran.err.contains("no event lies between them"), "{}", ran.err);
}

#[test]
fn the_demo_shows_findings() {
    let program = Program::new();
    let ran = program.run_ok(&["demo", "--events", "5000"]);
    for part in
        ["AT-LOGIN-001", "AT-LOGIN-002", "AT-ROOT-001", "AT-ECS-001", "critical", "What this shows"]
    {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
}
