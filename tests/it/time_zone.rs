//! `time_zone` of the configuration: days that people write begin in it, and times that people read
//! are in it, with their offset. JSON stays UTC.

use crate::support::events::event;
use crate::support::program::Program;

/// A sign-in just before and one just after midnight in Shanghai, and their findings in the lake `l`.
fn shanghai() -> Program {
    let program = Program::new();
    let at = |id: &str, time: &str| {
        event(id)
            .replace("2026-09-21T02:14:05Z", time)
            .replace("E1", id)
            .replace("\"2\"", &format!("\"{id}\""))
    };
    let events = [at("before", "2026-09-20T15:59:59Z"), at("after", "2026-09-20T16:00:00Z")];
    program.write("a.json", events.join("\n"));
    program.write("trailhound.toml", "time_zone = \"Asia/Shanghai\"\n");
    program.write("utc.toml", "");
    program.run_ok(&["scan", "a.json", "--lake", "l"]);
    program
}

#[test]
fn a_day_begins_in_the_time_zone_of_the_configuration() {
    let program = shanghai();
    let day = |args: &[&str], bounds: &[&str]| {
        let all = [
            args,
            &["detect", "--lake", "l", "--rules", "AT-LOGIN-001", "--format", "json"],
            bounds,
        ];
        let ran = program.run_ok(&all.concat());
        ran.open_findings()
            .remove("AT-LOGIN-001")
            .unwrap_or_default()
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(day(&[], &[]), ["after", "before"]);
    assert_eq!(day(&[], &["--since", "2026-09-21"]), ["after"]);
    assert_eq!(day(&[], &["--until", "2026-09-21"]), ["before"]);
    assert_eq!(day(&[], &["--since", "2026-09-20T16:00:00Z"]), ["after"]);
    let utc = ["--config", "utc.toml"];
    assert_eq!(day(&utc, &["--since", "2026-09-21"]), Vec::<String>::new());
    // The parameters of investigations, and the days of a backtest.
    for (user, rows) in [("after", 1), ("before", 0)] {
        let user = format!("user={user}");
        let args = ["investigate", "sign_ins", "--lake", "l", "--format", "json", "--param", &user];
        let ran = program.run_ok(&[&args[..], &["--param", "since=2026-09-21"]].concat());
        assert_eq!(ran.json().len(), rows, "{user}: {}", ran.out);
    }
    let ran =
        program.run_ok(&["rules", "backtest", "AT-LOGIN-001", "--lake", "l", "--format", "csv"]);
    assert_eq!(ran.out, "day,findings\n2026-09-20,1\n2026-09-21,1\n");
    let ran =
        program.run_ok(&["rules", "backtest", "AT-LOGIN-001", "--lake", "l", "--format", "json"]);
    assert_eq!(ran.json()[0]["by_day"], serde_json::json!({ "2026-09-20": 2 }));
    // A report's day is one of this zone too, unless it is given another.
    let report = |args: &[&str]| {
        let all =
            ["report", "--lake", "l", "--period", "day", "--at", "2026-09-22", "--format", "json"];
        program.run_ok(&[&all[..], args].concat());
        let file = program.path("trailhound-security-2026-09-21-day.json");
        let report = crate::support::reports::read(&file);
        crate::support::program::text(&report["period"]["since"])
    };
    assert_eq!(report(&[]), "2026-09-20T16:00:00Z");
    assert_eq!(report(&["--time-zone", "UTC"]), "2026-09-21T00:00:00Z");
}

#[test]
fn people_read_times_with_their_offset_and_programs_in_utc() {
    let program = shanghai();
    let shown = |args: &[&str], zone: &str| {
        let utc = ["--config", "utc.toml"];
        let config: &[&str] = if zone == "UTC" { &utc } else { &[] };
        program.run_ok(&[config, args].concat()).out
    };
    let sql = "SELECT event_time, array_agg(event_time) AS times FROM events GROUP BY 1";
    let commands: [&[&str]; 7] = [
        &["query", "--lake", "l", "-c", sql],
        &["query", "--lake", "l", "--format", "csv", "-c", sql],
        &["query", "--lake", "l", "--format", "markdown", "-c", sql],
        &["query", "--lake", "l", "--format", "expanded", "-c", sql],
        &["detect", "--lake", "l"],
        &["detect", "--lake", "l", "--format", "csv"],
        &["entities", "--lake", "l", "--format", "csv"],
    ];
    for command in commands {
        // A table may break a time into lines.
        let plain = |text: String| text.replace([' ', '\n', '┆', '\\'], "");
        let (local, utc) = (plain(shown(command, "Asia/Shanghai")), plain(shown(command, "UTC")));
        assert!(local.contains("2026-09-21T00:00:00+08:00"), "{command:?}: {local}");
        assert!(!local.contains("2026-09-20T16:00:00Z"), "{command:?}: {local}");
        assert!(utc.contains("2026-09-20T16:00:00Z"), "{command:?}: {utc}");
    }
    for command in [
        &["detect", "--lake", "l", "--format", "json"][..],
        &["entities", "--lake", "l", "--format", "json"],
        &["query", "--lake", "l", "--format", "json", "-c", sql],
    ] {
        let text = shown(command, "Asia/Shanghai");
        assert!(text.contains("2026-09-20T16:00:00") && !text.contains("+08:00"), "{text}");
    }
    let args = [
        "report",
        "--lake",
        "l",
        "--period",
        "day",
        "--at",
        "2026-09-22",
        "--format",
        "html,md,csv",
    ];
    let files = program.run_ok(&args).out;
    let text = |end: &str| {
        let file = files.lines().find(|file| file.ends_with(end)).expect(end);
        std::fs::read_to_string(program.path(file)).expect("text")
    };
    for end in [".html", ".md"] {
        // Markdown escapes signs.
        let shown = text(end).replace('\\', "");
        assert!(shown.contains("2026-09-21 00:00:00 +08:00"), "{end}: {shown}");
    }
    assert!(
        text(".findings.csv").contains("2026-09-21T00:00:00+08:00"),
        "{}",
        text(".findings.csv")
    );
    assert!(text(".contents.csv").contains("\nfindings,"), "{}", text(".contents.csv"));
}

#[test]
fn a_wrong_time_zone_is_refused_and_a_right_one_is_told() {
    let program = Program::new();
    program.write("trailhound.toml", "time_zone = \"Mars/Olympus\"\n");
    let ran = program.run(&["config", "check"]);
    assert!(ran.status == 2 && ran.err.contains("time_zone"), "{}", ran.err);
    program.write("trailhound.toml", "time_zone = \"Asia/Shanghai\"\n");
    assert!(
        program.run_ok(&["config", "check"]).out.contains("People read times in Asia/Shanghai.")
    );
    program.write("trailhound.toml", "");
    assert!(program.run_ok(&["config", "check"]).out.contains("People read times in UTC."));
    program.write("trailhound.toml", "[[sink]]\nname = \"s\"\n[sink.slack]\nurl = \"env:NONE\"\n");
    let ran = program.run(&["config", "check"]);
    assert!(ran.status == 2 && ran.err.contains("`NONE`"), "{}", ran.err);
}
