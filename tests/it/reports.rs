//! Reports: their figures, their verification, their formats.

use crate::support::program::{Program, expected_findings};
use crate::support::reports::{month, read, report, rows};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const SEPTEMBER: &str =
    "event_time >= '2026-09-01T00:00:00Z' AND event_time < '2026-10-01T00:00:00Z'";

/// The figures of the report, and the condition that counts each in SQL.
fn figure_conditions() -> [(&'static str, String); 8] {
    let sign_in = "(lower(event_name) LIKE 'consolesignin%' OR (lower(event_name) = 'login' AND lower(service_name) = 'cloudsso'))";
    [
        ("events", "true".to_owned()),
        ("failed_calls", "outcome = 'failure'".to_owned()),
        ("sign_ins", format!("{sign_in} AND outcome = 'success'")),
        ("sign_ins_with_mfa", format!("{sign_in} AND outcome = 'success' AND mfa = 'yes'")),
        ("sign_ins_without_mfa", format!("{sign_in} AND outcome = 'success' AND mfa = 'no'")),
        ("sign_ins_mfa_unknown", format!("{sign_in} AND outcome = 'success' AND mfa = 'unknown'")),
        ("sign_ins_failed", format!("{sign_in} AND outcome = 'failure'")),
        ("root_events", "lower(user_type) = 'root-account'".to_owned()),
    ]
}

#[test]
fn report_figures_equal_sql_counts_and_the_generated_truth() {
    let program = month();
    let report =
        read(&report(&program, &["--period", "month", "--format", "json", "--output", "r"])[0]);
    assert_eq!(
        (&report["period"]["since"], &report["period"]["until"]),
        (&json!("2026-09-01T00:00:00Z"), &json!("2026-10-01T00:00:00Z"))
    );
    let figures: BTreeMap<String, i64> = rows(&report, "figures")
        .iter()
        .map(|row| {
            (
                crate::support::program::text(&row["figure"]),
                row["this_period"].as_i64().expect("a number"),
            )
        })
        .collect();
    for (figure, condition) in figure_conditions() {
        let counted = program.query_number(
            "l",
            &format!("SELECT count(*) FROM events WHERE {SEPTEMBER} AND {condition}"),
        );
        assert_eq!(figures[figure], counted, "{figure}");
        assert!(counted > 0, "{figure} says something");
    }
    assert_eq!(
        figures["sign_ins"],
        figures["sign_ins_with_mfa"]
            + figures["sign_ins_without_mfa"]
            + figures["sign_ins_mfa_unknown"]
    );
    // The stories lie in the report's period, so the report counts the generated truth.
    let expected: BTreeMap<String, usize> = expected_findings(&program.path("g"))
        .into_iter()
        .map(|(rule, ids)| (rule, ids.len()))
        .collect();
    let by_rule: BTreeMap<String, usize> = rows(&report, "findings_by_rule")
        .iter()
        .map(|row| {
            (
                crate::support::program::text(&row["rule_id"]),
                usize::try_from(row["events"].as_u64().expect("a number")).expect("few"),
            )
        })
        .collect();
    assert_eq!(by_rule, expected);
    let by_severity: i64 = ["critical", "high", "medium", "low", "info"]
        .iter()
        .map(|severity| figures[*severity])
        .sum();
    let listed = rows(&report, "findings").len();
    assert_eq!(usize::try_from(by_severity).expect("few"), listed);
    let over_time: i64 = rows(&report, "findings_by_day")
        .iter()
        .flat_map(|row| row.values().filter_map(Value::as_i64).collect::<Vec<_>>())
        .sum();
    assert_eq!(over_time, by_severity, "each finding stands on its day");
    let stops = program.query_number("l", &format!("SELECT count(*) FROM stops WHERE {SEPTEMBER}"));
    assert_eq!(rows(&report, "stops").len(), usize::try_from(stops).expect("few"));
    let posture: i64 = rows(&report, "sign_in_posture")
        .iter()
        .map(|row| row["sign_ins"].as_i64().expect("a number"))
        .sum();
    assert_eq!(posture, figures["sign_ins"]);
}

/// Table columns without a title for people.
fn unworded(report: &Value) -> Vec<String> {
    let words = trailhound_queries::packs::reports::report_labels().expect("words").columns;
    let sections = report["sections"]
        .as_array()
        .expect("sections")
        .iter()
        .filter(|section| section["show"] != "bars");
    let columns = sections.flat_map(|section| {
        section["columns"].as_array().expect("columns").iter().map(crate::support::program::text)
    });
    columns
        .filter(|name| !words.contains_key(name.trim_end_matches("_en").trim_end_matches("_zh")))
        .collect()
}

#[test]
fn every_profile_has_a_report_in_every_format_and_language() {
    let program = month();
    for profile in ["security", "audit", "cis-alibaba-v2", "member"] {
        for language in ["en", "zh"] {
            let args = [
                "--profile",
                profile,
                "--lang",
                language,
                "--format",
                "html,md,json,csv",
                "--output",
                "r",
            ];
            let files = report(
                &program,
                &[&args[..], &["--period", "month", "--time-zone", "Asia/Shanghai"]].concat(),
            );
            for file in &files {
                assert!(std::fs::metadata(file).expect("there").len() > 20, "{}", file.display());
            }
            let json = files
                .iter()
                .find(|file| file.extension().is_some_and(|extension| extension == "json"))
                .expect("JSON");
            assert_eq!(
                unworded(&read(json)),
                Vec::<String>::new(),
                "{profile}: columns without a word for people"
            );
            let page = std::fs::read_to_string(&files[0]).expect("text");
            assert!(
                page.contains(&format!("<html lang=\"{language}\">"))
                    && page.contains("2026-09-01 – 2026-09-30 (Asia")
            );
            for (en, zh) in [("At a glance", "概览"), ("What the data covers", "数据覆盖")] {
                let here = |text: &str| page.contains(&format!("<h2>{text}</h2>"));
                assert!(
                    profile == "member" || en != "At a glance" || here(en) != here(zh),
                    "{profile} {language}"
                );
                assert!(
                    language == "en" || !here(en),
                    "{profile}: {en} stands in the Chinese page"
                );
            }
        }
    }
    let controls =
        rows(&read(&program.path("r/trailhound-cis-alibaba-v2-2026-09-01-month.json")), "controls");
    assert_eq!(controls.len(), 13);
    let root = controls.iter().find(|row| row["section"] == "2.18").expect("2.18");
    let found = program.query_number("l", "SELECT count(*) FROM findings WHERE status = 'open' AND rule_id LIKE 'AT-ROOT-%' AND first_seen >= '2026-08-31T16:00:00Z' AND first_seen < '2026-09-30T16:00:00Z'");
    assert_eq!(
        (root["findings"].as_i64(), root["status"].as_str()),
        (Some(found), Some("monitored"))
    );
}

#[test]
fn verify_recomputes_a_report_and_detects_changes() {
    let program = month();
    let files = report(&program, &["--period", "month", "--format", "html,json", "--output", "r"]);
    let verify = |config: &str, file: &Path, status: i32| {
        let ran = program.run(&[
            "--config",
            config,
            "report",
            "--lake",
            "l",
            "--verify",
            &file.display().to_string(),
        ]);
        assert_eq!(ran.status, status, "{}\n{}", ran.out, ran.err);
        ran.out
    };
    // Events ingested later do not count, even of the report's days; compaction changes nothing.
    program.run_ok(&[
        "generate", "--events", "5000", "--days", "20", "--seed", "77", "--out", "later",
    ]);
    program.run_ok(&[
        "--now",
        "2026-10-02T00:00:00Z",
        "--config",
        "g/trailhound.toml",
        "scan",
        "later/events",
        "--lake",
        "l",
    ]);
    program.run_ok(&["lake", "compact", "--lake", "l"]);
    for file in &files {
        let said = verify("g/trailhound.toml", file, 0);
        assert!(said.contains("18 sections") && said.contains("0 differences"), "{said}");
    }
    // A changed figure.
    let mut changed = read(&files[1]);
    let figures = changed["sections"]
        .as_array_mut()
        .expect("sections")
        .iter_mut()
        .find(|section| section["name"] == "figures")
        .expect("figures");
    figures["rows"][0][1] = json!(0);
    let forged = program.write("forged.json", changed.to_string());
    let said = verify("g/trailhound.toml", &forged, 1);
    assert!(
        said.contains("DIFFERENCE section `figures`") && said.contains("1 differences"),
        "{said}"
    );
    // Other parameters.
    let config = std::fs::read_to_string(program.path("g/trailhound.toml")).expect("text");
    program.write(
        "g/other.toml",
        config.replace("[parameters]\n", "[parameters]\nburst_instances = 9\n"),
    );
    assert!(
        verify("g/other.toml", &files[0], 1).contains("the parameters are not those of the report")
    );
    // Not a report, or a report without a usable proof.
    changed["proof"]["stored_until"] = json!("yesterday");
    for text in ["", "{}", "<html></html>", &changed.to_string()] {
        let file = program.write("none.json", text);
        verify("g/trailhound.toml", &file, 2);
    }
}

#[test]
fn an_empty_lake_and_wrong_options_are_reported() {
    let program = Program::new();
    program.write("trail.toml", "");
    let refused = |args: &[&str], says: &str| {
        let ran =
            program.run(&[&["--config", "trail.toml", "report", "--lake", "l"], args].concat());
        assert!(ran.status == 2 && ran.err.contains(says), "{args:?}: {} {}", ran.status, ran.err);
    };
    refused(&[], "`l`");
    program.write("events.json", "[]");
    program.run_ok(&["scan", "events.json", "--lake", "l"]);
    refused(&["--profile", "secuirty"], "there is security, audit, cis-alibaba-v2, member");
    refused(&["--period", "year"], "one of day, week, month");
    refused(&["--time-zone", "Mars/Olympus"], "Mars/Olympus");
    let ran =
        program.run_ok(&["--config", "trail.toml", "report", "--lake", "l", "--format", "md"]);
    let text = std::fs::read_to_string(program.path(ran.out.trim())).expect("text");
    for says in [
        "There is no event of this period: silence says nothing.",
        "No finding in this period.",
        "The lake holds no event of the period before.",
    ] {
        assert!(text.contains(says), "{text}");
    }
    // A symlink with the report's name is replaced, not followed.
    let target = program.write("target", "mine");
    let name = ran.out.trim();
    std::fs::remove_file(program.path(name)).expect("removed");
    std::os::unix::fs::symlink(&target, program.path(name)).expect("a link");
    program.run_ok(&["--config", "trail.toml", "report", "--lake", "l", "--format", "md"]);
    assert_eq!(std::fs::read_to_string(&target).expect("text"), "mine");
    assert!(!program.path(name).is_symlink());
    program.write("file", "");
    let ran = program.run(&["--config", "trail.toml", "report", "--lake", "l", "--output", "file"]);
    assert!(ran.status == 2 && ran.err.contains("file"), "{}", ran.err);
}
