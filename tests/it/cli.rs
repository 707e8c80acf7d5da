//! Commands, words and exit statuses.

use crate::program::Program;

const EVENT: &str = r#"{"eventId":"E1","eventName":"ConsoleSignin","eventType":"ConsoleSignin","serviceName":"AasSub","eventTime":"2026-09-21T02:14:05Z","sourceIpAddress":"198.51.100.9","additionalEventData":{"mfaChecked":"false"},"userIdentity":{"type":"ram-user","accountId":"1000000000000001","principalId":"2","userName":"NAME"}}"#;

fn event(name: &str) -> String {
    EVENT.replace("NAME", name)
}

#[test]
fn exit_statuses_say_what_happened() {
    let program = Program::new();
    program.write("in/a.json", event("li"));
    assert_eq!(program.run(&["scan", "in", "--lake", "l"]).status, 0);
    assert_eq!(program.run(&["scan", "in", "--lake", "l", "--fail-on", "high"]).status, 1);
    assert_eq!(program.run(&["scan", "in", "--lake", "l", "--fail-on", "critical"]).status, 0);
    program.write("in/b.json", "not json");
    assert_eq!(program.run(&["scan", "in", "--lake", "l"]).status, 3);
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
fn a_rule_without_its_parameter_is_told_and_can_be_an_error() {
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
    assert_eq!(ran.open().len(), 2, "{}", ran.out);
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
    assert!(program.run(&["rules", "list"]).err.contains("104857600 bytes is no configuration"));
    program.write("trailhound.toml", "");
    program.ok(&["rules", "list"]);
}

#[test]
fn rules_that_need_a_database_of_addresses_say_that_they_are_off() {
    let program = Program::new();
    program.write("a.json", event("li"));
    let ran = program.ok(&["scan", "a.json", "--no-keep"]);
    assert!(
        ran.out.contains("NOT LOADED: AT-LOGIN-007, AT-LOGIN-008")
            && ran.out.contains("geo_city = "),
        "{}",
        ran.out
    );
    program.write("trailhound.toml", "[parameters]\ngeo_city = \"sample\"\n");
    assert!(!program.ok(&["scan", "a.json", "--no-keep"]).out.contains("NOT LOADED: AT-LOGIN-007"));
}

#[test]
fn the_same_input_again_stores_nothing_and_says_so() {
    let program = Program::new();
    program.write("in/a.json", event("li"));
    program.write("in/bad.json", "[{\"eventId\":");
    let first = program.run(&["ingest", "in", "--lake", "l", "--json"]).json();
    assert_eq!((first[0]["stored"].as_u64(), first[0]["quarantined"].as_u64()), (Some(1), Some(1)));
    let again = program.run(&["ingest", "in", "--lake", "l"]);
    assert!(again.out.contains("2 objects were in the lake already"), "{}", again.out);
    // Under another name the content is read, and known; a rewritten object is read anew.
    program.write("in/copy.json", event("li"));
    program.write("in/bad.json", "[{\"eventId\":1}] ");
    let third = program.run(&["ingest", "in", "--lake", "l", "--json"]).json();
    assert_eq!(
        (
            third[0]["received"].as_u64(),
            third[0]["duplicate"].as_u64(),
            third[0]["stored"].as_u64()
        ),
        (Some(2), Some(1), Some(1))
    );
    assert_eq!(program.run(&["lake", "verify", "--lake", "l"]).status, 0);
}

#[test]
fn standard_input_patterns_and_folders() {
    let program = Program::new();
    program.write("x/one.json", event("a"));
    program.write("x/two.json", event("b").replace("E1", "E2"));
    program.write("x/.hidden.json", event("c").replace("E1", "E3"));
    let ran = program.run_with_input(
        &["ingest", "-", "x/*.json", "x", "--lake", "l", "--json"],
        event("d").replace("E1", "E4").as_bytes(),
    );
    assert_eq!(ran.json()[0]["stored"].as_u64(), Some(3), "{}", ran.err);
    let ran = program.run(&["ingest", "x/*.nothing", "--lake", "l"]);
    assert_eq!((ran.status, ran.err.contains("no file matches")), (2, true), "{}", ran.err);
}

#[test]
fn hostile_text_is_inert_in_every_output() {
    let program = Program::new();
    let name = "=cmd|' /C calc'!A0\\u001b[31m\\u202e";
    program.write("a.json", event(name));
    let table = program.run(&["scan", "a.json", "--no-keep"]);
    assert!(
        !table.out.contains('\u{1b}')
            && !table.out.contains('\u{202e}')
            && table.out.contains("\\u{1b}"),
        "{}",
        table.out
    );
    let csv = program.run(&["scan", "a.json", "--no-keep", "--format", "csv"]);
    assert!(csv.out.contains("'=cmd"), "{}", csv.out);
    let json = program.run(&["scan", "a.json", "--no-keep", "--format", "json"]).json();
    assert_eq!(json[0]["operator"]["name"], "=cmd|' /C calc'!A0\u{1b}[31m\u{202e}");
}

#[test]
fn queries_read_and_only_read() {
    let program = Program::new();
    program.write("a.json", event("li"));
    program.run(&["ingest", "a.json", "--lake", "l"]);
    let ran = program.ok(&[
        "query",
        "--lake",
        "l",
        "--format",
        "json",
        "-c",
        "SELECT user_name, mfa, param(additional_event_data, 'mfaChecked') AS flag, event_time FROM signins",
    ]);
    assert_eq!(
        ran.json()[0],
        serde_json::json!({ "user_name": "li", "mfa": "no", "flag": "false", "event_time": "2026-09-21T02:14:05Z" })
    );
    assert_eq!(
        program.number(
            "l",
            "SELECT count(*) FROM events WHERE ip_in_cidr(source_ip, '198.51.100.0/24')"
        ),
        1
    );
    for wrong in [
        "DROP TABLE events",
        "INSERT INTO events VALUES (1)",
        "COPY events TO 'x.parquet'",
        "CREATE TABLE x AS SELECT 1",
        "SET a = 1",
        "SELECT nope FROM events",
        "SELEC",
    ] {
        let ran = program.run(&["query", "--lake", "l", "-c", wrong]);
        assert_eq!(ran.status, 2, "{wrong}: {}{}", ran.out, ran.err);
    }
    assert!(!program.path("x.parquet").exists());
}

#[test]
fn rules_are_listed_shown_and_tested() {
    let program = Program::new();
    let list = program.ok(&["rules", "list", "--format", "json"]).json();
    let ids: Vec<_> = list.iter().map(|rule| rule["id"].as_str().expect("an id")).collect();
    for id in ["AT-LOGIN-001", "AT-LOGIN-002", "AT-ROOT-001", "AT-ECS-001"] {
        assert!(ids.contains(&id), "{ids:?}");
        assert!(program.ok(&["rules", "show", &id.to_lowercase()]).out.contains("Runbook"));
    }
    for rule in &list {
        assert!(rule["cases"].as_u64() >= Some(3), "{rule}");
        assert!(!rule["title_zh"].as_str().expect("a title").is_empty());
    }
    let ran = program.ok(&["rules", "test"]);
    assert!(ran.out.contains(" cases passed, 0 failed"), "{}", ran.out);
    assert!(
        program.run(&["rules", "show", "AT-ESC-001"]).err.contains("did you mean `AT-ECS-001`")
    );
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
    let ran = program.ok(&[
        "scan",
        "a.json",
        "--no-keep",
        "--format",
        "json",
        "--since",
        "2026-09-20",
        "--until",
        "2026-09-21T00:00:00Z",
    ]);
    assert_eq!(ran.open()["AT-LOGIN-001"].iter().collect::<Vec<_>>(), ["20"]);
    let ran =
        program.ok(&["scan", "a.json", "--no-keep", "--format", "json", "--rules", "at-root-001"]);
    assert!(ran.out.is_empty());
}

#[test]
fn one_writer_at_a_time() {
    let program = Program::new();
    program.write("a.json", event("li"));
    program.ok(&["ingest", "a.json", "--lake", "l"]);
    let lock = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(program.path("l/writer.lock"))
        .expect("the lock file");
    lock.lock().expect("the lock");
    let ran = program.run(&["ingest", "a.json", "--lake", "l"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("one writer at a time"), "{}", ran.err);
    assert_eq!(program.number("l", "SELECT count(*) FROM events"), 1, "readers are free");
}

#[test]
fn a_moved_lake_and_a_damaged_lake() {
    let program = Program::new();
    program.write("a.json", event("li"));
    program.ok(&["ingest", "a.json", "--lake", "l"]);
    std::fs::rename(program.path("l"), program.path("moved")).expect("renamed");
    assert_eq!(program.number("moved", "SELECT count(*) FROM events"), 1);
    program.ok(&["lake", "info", "--lake", "moved"]);
    program.ok(&["lake", "verify", "--lake", "moved"]);
    let file = program.path("moved/files/main/events/day=2026-09-21");
    let file = std::fs::read_dir(file)
        .expect("the partition")
        .next()
        .expect("a file")
        .expect("a file")
        .path();
    let mut content = std::fs::read(&file).expect("readable");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(&file, content).expect("written");
    let ran = program.run(&["lake", "verify", "--lake", "moved"]);
    assert_eq!((ran.status, ran.out.contains("checksum")), (1, true), "{}", ran.out);
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(program.run(&["lake", "verify", "--lake", "moved"]).status, 1);
}

#[test]
fn names_of_objects_are_checked_not_trusted() {
    let program = Program::new();
    let name = "AliyunLogs/Actiontrail/rd-Ab12/1000000000000009/cn-hangzhou/2026/09/21/Actiontrail_cn-hangzhou_20260921021905_1002_7_999_00000000000000000000000000000000.gz";
    let system = r#"[{"eventId":"S1","eventName":"Release","eventTime":"2026-09-21T02:14:05Z","userIdentity":{"type":"system"}}]"#;
    program.write(name, system);
    let ran = program.ok(&["ingest", "AliyunLogs", "--lake", "l"]);
    for part in ["the name says 7 events, the object holds 1", "999 bytes", "MD5"] {
        assert!(ran.err.contains(part), "{}", ran.err);
    }
    assert_eq!(
        program.number("l", "SELECT count(*) FROM events WHERE account_id = '1000000000000009' AND array_has(flags, 'account_from_path')"),
        1
    );
}

#[test]
fn the_demonstration_shows_findings() {
    let program = Program::new();
    let ran = program.ok(&["demo", "--events", "5000"]);
    for part in
        ["AT-LOGIN-001", "AT-LOGIN-002", "AT-ROOT-001", "AT-ECS-001", "critical", "What this shows"]
    {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
}

#[test]
fn a_lake_may_lie_anywhere() {
    let program = Program::new();
    program.write("a.json", event("li"));
    for folder in ["plain", "with space", "数据湖", "p%20x", "it's #1 + [a]&b"] {
        let lake = format!("{folder}/lake");
        let found = program.run(&["scan", "a.json", "--lake", &lake, "--fail-on", "high"]);
        assert_eq!(found.status, 1, "{folder}: {}", found.err);
        let again = program.run(&["detect", "--lake", &lake, "--fail-on", "high"]);
        assert_eq!(
            (again.status, again.err.contains("rror")),
            (1, false),
            "{folder}: {}",
            again.err
        );
        let asked = program.run(&["query", "--lake", &lake, "-c", "SELECT user_name FROM events"]);
        assert!(asked.out.contains("li"), "{folder}: {}{}", asked.out, asked.err);
    }
}
