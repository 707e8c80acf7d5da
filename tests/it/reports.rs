//! Reports: their numbers, their proof, their pages in a real browser and a real spreadsheet, and their schedule.

use crate::part::{SmallDisk, notice, part};
use crate::postgres::postgres;
use crate::program::{Program, truth};
use crate::receiver::{Receiver, Reply};
use crate::service::Service;
use crate::shared::share;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A month with every story in it, detected.
fn month() -> Program {
    let program = Program::new();
    program.ok(&["generate", "--events", "20000", "--days", "20", "--seed", "5", "--out", "g"]);
    program.ok(&["--config", "g/trailhound.toml", "scan", "g/events", "--lake", "l"]);
    program
}

fn report(program: &Program, args: &[&str]) -> Vec<PathBuf> {
    let all = [&["--config", "g/trailhound.toml", "report", "--lake", "l"], args].concat();
    program.ok(&all).out.lines().map(|line| program.path(line)).collect()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}

/// Rows of a section as objects.
fn rows(report: &Value, name: &str) -> Vec<BTreeMap<String, Value>> {
    let section = report["sections"]
        .as_array()
        .expect("sections")
        .iter()
        .find(|section| section["name"] == name);
    let section = section.unwrap_or_else(|| panic!("no section {name}"));
    let columns: Vec<String> =
        section["columns"].as_array().expect("columns").iter().map(crate::program::text).collect();
    let object = |row: &Value| {
        columns.iter().cloned().zip(row.as_array().expect("a row").iter().cloned()).collect()
    };
    section["rows"].as_array().expect("rows").iter().map(object).collect()
}

const SEPTEMBER: &str =
    "event_time >= '2026-09-01T00:00:00Z' AND event_time < '2026-10-01T00:00:00Z'";

#[test]
fn its_numbers_are_those_of_sql_and_of_the_stories() {
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
            (crate::program::text(&row["figure"]), row["this_period"].as_i64().expect("a number"))
        })
        .collect();
    let sign_in = "(lower(event_name) LIKE 'consolesignin%' OR (lower(event_name) = 'login' AND lower(service_name) = 'cloudsso'))";
    for (figure, condition) in [
        ("events", "true".to_owned()),
        ("failed_calls", "outcome = 'failure'".to_owned()),
        ("sign_ins", format!("{sign_in} AND outcome = 'success'")),
        ("sign_ins_with_mfa", format!("{sign_in} AND outcome = 'success' AND mfa = 'yes'")),
        ("sign_ins_without_mfa", format!("{sign_in} AND outcome = 'success' AND mfa = 'no'")),
        ("sign_ins_mfa_unknown", format!("{sign_in} AND outcome = 'success' AND mfa = 'unknown'")),
        ("sign_ins_failed", format!("{sign_in} AND outcome = 'failure'")),
        ("root_events", "lower(user_type) = 'root-account'".to_owned()),
    ] {
        let counted = program
            .number("l", &format!("SELECT count(*) FROM events WHERE {SEPTEMBER} AND {condition}"));
        assert_eq!(figures[figure], counted, "{figure}");
        assert!(counted > 0, "{figure} says something");
    }
    assert_eq!(
        figures["sign_ins"],
        figures["sign_ins_with_mfa"]
            + figures["sign_ins_without_mfa"]
            + figures["sign_ins_mfa_unknown"]
    );
    // The stories lie in these twenty days: what a correct detector finds is what the report counts.
    let expected: BTreeMap<String, usize> =
        truth(&program.path("g")).into_iter().map(|(rule, ids)| (rule, ids.len())).collect();
    let by_rule: BTreeMap<String, usize> = rows(&report, "findings_by_rule")
        .iter()
        .map(|row| {
            (
                crate::program::text(&row["rule_id"]),
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
    let stops = program.number("l", &format!("SELECT count(*) FROM stops WHERE {SEPTEMBER}"));
    assert_eq!(rows(&report, "stops").len(), usize::try_from(stops).expect("few"));
    let posture: i64 = rows(&report, "sign_in_posture")
        .iter()
        .map(|row| row["sign_ins"].as_i64().expect("a number"))
        .sum();
    assert_eq!(posture, figures["sign_ins"]);
}

/// Columns of tables that people would see by the names that they have in the data.
fn unworded(report: &Value) -> Vec<String> {
    let words = trailhound_queries::packs::reports::words().expect("words").columns;
    let sections = report["sections"]
        .as_array()
        .expect("sections")
        .iter()
        .filter(|section| section["show"] != "bars");
    let columns = sections.flat_map(|section| {
        section["columns"].as_array().expect("columns").iter().map(crate::program::text)
    });
    columns
        .filter(|name| !words.contains_key(name.trim_end_matches("_en").trim_end_matches("_zh")))
        .collect()
}

#[test]
fn every_profile_has_its_report_in_every_form_and_language() {
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
    let found = program.number("l", "SELECT count(*) FROM findings WHERE status = 'open' AND rule_id LIKE 'AT-ROOT-%' AND first_seen >= '2026-08-31T16:00:00Z' AND first_seen < '2026-09-30T16:00:00Z'");
    assert_eq!(
        (root["findings"].as_i64(), root["status"].as_str()),
        (Some(found), Some("monitored"))
    );
}

#[test]
fn it_is_computed_again_from_the_events_and_what_was_changed_shows() {
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
    // What comes later, also from days of the report, is not counted; merged files are as good.
    program.ok(&["generate", "--events", "5000", "--days", "20", "--seed", "77", "--out", "later"]);
    program.ok(&[
        "--now",
        "2026-10-02T00:00:00Z",
        "--config",
        "g/trailhound.toml",
        "scan",
        "later/events",
        "--lake",
        "l",
    ]);
    program.ok(&["lake", "compact", "--lake", "l"]);
    for file in &files {
        let said = verify("g/trailhound.toml", file, 0);
        assert!(said.contains("17 sections") && said.contains("0 differences"), "{said}");
    }
    // A number that somebody has changed.
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
    // What is no report, or says nothing that can be computed again.
    changed["proof"]["stored_until"] = json!("yesterday");
    for text in ["", "{}", "<html></html>", &changed.to_string()] {
        let file = program.write("none.json", text);
        verify("g/trailhound.toml", &file, 2);
    }
}

#[test]
fn an_empty_lake_and_wrong_questions_are_told_so() {
    let program = Program::new();
    program.write("trail.toml", "");
    let refused = |args: &[&str], says: &str| {
        let ran =
            program.run(&[&["--config", "trail.toml", "report", "--lake", "l"], args].concat());
        assert!(ran.status == 2 && ran.err.contains(says), "{args:?}: {} {}", ran.status, ran.err);
    };
    refused(&[], "`l`");
    program.write("events.json", "[]");
    program.ok(&["scan", "events.json", "--lake", "l"]);
    refused(&["--profile", "secuirty"], "there is security, audit, cis-alibaba-v2, member");
    refused(&["--period", "year"], "one of day, week, month");
    refused(&["--time-zone", "Mars/Olympus"], "Mars/Olympus");
    let ran = program.ok(&["--config", "trail.toml", "report", "--lake", "l", "--format", "md"]);
    let text = std::fs::read_to_string(program.path(ran.out.trim())).expect("text");
    for says in [
        "There is no event of this period: silence says nothing.",
        "No finding in this period.",
        "The lake holds no event of the period before.",
    ] {
        assert!(text.contains(says), "{text}");
    }
    // A link in the file's place is replaced, not followed.
    let target = program.write("target", "mine");
    let name = ran.out.trim();
    std::fs::remove_file(program.path(name)).expect("removed");
    std::os::unix::fs::symlink(&target, program.path(name)).expect("a link");
    program.ok(&["--config", "trail.toml", "report", "--lake", "l", "--format", "md"]);
    assert_eq!(std::fs::read_to_string(&target).expect("text"), "mine");
    assert!(!program.path(name).is_symlink());
    program.write("file", "");
    let ran = program.run(&["--config", "trail.toml", "report", "--lake", "l", "--output", "file"]);
    assert!(ran.status == 2 && ran.err.contains("file"), "{}", ran.err);
}

/// What an attacker would like to see acted upon.
const TRAPS: [&str; 14] = [
    "<script>window.trapped = 1</script>",
    "\"><img src=x onerror=\"window.trapped=2\">",
    "</script><script>window.trapped=3</script>",
    "<!--<script>",
    "{{ 7 * 7 }}{% include \"x\" %}",
    "=cmd|' /C calc'!A0",
    "=HYPERLINK(\"http://evil.example\",\"x\")",
    "+1+1",
    "-1+1",
    "@SUM(1,1)",
    "\t=1+1",
    "＝1+1",
    "[x](javascript:alert(1)) ![y](http://evil.example/z.png) **@all** http://evil.example",
    "a\u{202e}b\u{0}c\u{1b}[31md\u{feff}",
];

fn naughty() -> Vec<String> {
    let mut texts: Vec<String> = TRAPS.iter().map(|&text| text.to_owned()).collect();
    match std::env::var("TRAILHOUND_CORPORA") {
        Ok(folder) => {
            let path = Path::new(&folder).join("naughty-strings/blns.json");
            texts.extend(
                serde_json::from_slice::<Vec<String>>(&std::fs::read(path).expect("the strings"))
                    .expect("JSON"),
            );
        }
        Err(_) => notice("TRAILHOUND_CORPORA is not set; with its own traps alone it did"),
    }
    texts
}

/// Every text as whatever an event lets one choose.
fn attacked() -> Program {
    let program = Program::new();
    let event = |(number, text): (usize, &String)| {
        json!({
            "eventId": format!("e{number:04}"), "eventTime": format!("2026-09-2{}T10:{:02}:00Z", number % 7 + 1, number % 60), "eventName": "ConsoleSignin",
            "eventType": "ConsoleSignin", "serviceName": text, "acsRegion": text, "eventRW": "Write", "sourceIpAddress": text, "userAgent": text,
            "errorMessage": text, "additionalEventData": { "mfaChecked": "false", "loginAccount": text },
            "userIdentity": { "type": "ram-user", "accountId": text, "principalId": format!("{text}{number}"), "userName": text },
            "requestParameters": { "UserName": text }, "resourceName": text,
        })
    };
    let ram = |(number, text): (usize, &String)| {
        json!({
            "eventId": format!("r{number:04}"), "eventTime": "2026-09-22T10:00:00Z", "eventName": "AttachPolicyToUser", "eventType": "ApiCall",
            "serviceName": "Ram", "eventRW": "Write", "sourceIpAddress": text, "userIdentity": { "type": "ram-user", "accountId": "1000000000000001",
            "principalId": text, "userName": text }, "requestParameters": { "UserName": text, "PolicyName": text },
        })
    };
    let texts = naughty();
    let events: Vec<Value> =
        texts.iter().enumerate().map(event).chain(texts.iter().enumerate().map(ram)).collect();
    program.write("events.json", serde_json::to_vec(&events).expect("JSON"));
    program.write("g/trailhound.toml", "");
    program.run(&["--config", "g/trailhound.toml", "scan", "events.json", "--lake", "l"]);
    program
}

/// Opens a page in Chromium, light and dark, sorts every table, and tells what it did.
const BROWSE: &str = r#"
import json, sys
from playwright.sync_api import sync_playwright
browser_path, page_path, shots = sys.argv[1:4]
with sync_playwright() as p:
    browser = p.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
    seen = {"console": [], "requests": [], "dialogs": [], "trapped": [], "rows": 0, "sorted": []}
    for scheme in ["light", "dark"]:
        page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: seen["console"].append(message.text))
        page.on("pageerror", lambda error: seen["console"].append(str(error)))
        page.on("request", lambda request: seen["requests"].append(request.url))
        page.on("dialog", lambda dialog: (seen["dialogs"].append(dialog.message), dialog.dismiss()))
        page.goto("file://" + page_path)
        if shots != "-":
            page.screenshot(path=f"{shots}-{scheme}.png", full_page=False)
            page.screenshot(path=f"{shots}-{scheme}-full.png", full_page=True)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        for button in page.query_selector_all("th button"):
            button.click()
        first = page.evaluate("""() => { const t = document.querySelector('#findings_by_rule table, #members table');
            if (!t) return []; const head = t.tHead.rows[0].cells[4].firstElementChild; const read = () =>
            Array.from(t.tBodies[0].rows).map(r => Number(r.cells[4].dataset.sort)); head.click(); const a = read(); head.click(); return [a, read()]; }""")
        seen["sorted"] = first
        seen["trapped"].append(page.evaluate("window.trapped === undefined"))
        seen["rows"] = page.evaluate("document.querySelectorAll('tbody tr').length")
        seen["elements"] = page.evaluate("document.querySelectorAll('main img, main script, main a, main iframe, main object').length")
        page.close()
    browser.close()
print(json.dumps(seen))
"#;

fn browse(program: &Program, page: &Path) -> Option<Value> {
    let (python, browser) = (part("TRAILHOUND_CLIENTS_PYTHON")?, part("TRAILHOUND_BROWSER")?);
    // `TRAILHOUND_SCREENSHOTS=DIR` keeps pictures for people.
    let name = page.file_name().expect("a name").to_string_lossy().into_owned();
    let shots = std::env::var("TRAILHOUND_SCREENSHOTS")
        .map_or_else(|_| "-".to_owned(), |folder| format!("{folder}/{name}"));
    let script = program.write("browse.py", BROWSE);
    let ran = Command::new(python)
        .arg(script)
        .arg(browser)
        .arg(page)
        .arg(shots)
        .output()
        .expect("python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    Some(serde_json::from_slice(&ran.stdout).expect("JSON"))
}

#[test]
fn its_page_is_quiet_and_complete_in_a_real_browser() {
    let program = month();
    for (profile, language) in
        [("security", "en"), ("security", "zh"), ("cis-alibaba-v2", "en"), ("member", "zh")]
    {
        let args = ["--period", "month", "--profile", profile, "--lang", language, "--output", "r"];
        let page = report(&program, &args).remove(0);
        let Some(seen) = browse(&program, &page) else { return };
        assert_eq!((&seen["console"], &seen["dialogs"]), (&json!([]), &json!([])), "{profile}");
        let urls: Vec<&str> =
            seen["requests"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert!(urls.iter().all(|url| *url == format!("file://{}", page.display())), "{urls:?}");
        assert!(seen["rows"].as_u64() > Some(20), "{seen}");
        if profile == "security" {
            let numbers = |at: usize| {
                seen["sorted"][at]
                    .as_array()
                    .expect("numbers")
                    .iter()
                    .filter_map(Value::as_i64)
                    .collect::<Vec<_>>()
            };
            assert!(
                numbers(0).is_sorted()
                    && numbers(1).iter().rev().is_sorted()
                    && numbers(0).len() > 5,
                "{seen}"
            );
        }
    }
}

#[test]
fn nothing_that_an_event_says_is_acted_upon() {
    let program = attacked();
    let files =
        report(&program, &["--format", "html,md,csv,json", "--period", "month", "--output", "r"]);
    let page = &files[0];
    let html = std::fs::read_to_string(page).expect("text");
    assert_eq!(html.matches("<script").count(), 2, "its own data and its own script");
    assert!(html.contains("{{ 7 * 7 }}"), "a template in an event is text");
    let markdown = std::fs::read_to_string(&files[1]).expect("text");
    for acted in
        ["<script", "<img", "](", "](javascript", "http://evil", "@all", "\u{202e}", "\u{1b}"]
    {
        assert!(!markdown.contains(acted), "{acted} stands in the Markdown form");
    }
    for file in
        files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "csv"))
    {
        let mut reader = csv::Reader::from_path(file).expect("a file");
        for record in reader.records() {
            for field in &record.expect("a record") {
                let risky = field.starts_with(['=', '+', '@', '\t', '\r', '＝', '＋', '－', '＠']);
                let number = field.parse::<f64>().is_ok();
                assert!(
                    !risky && (number || !field.starts_with('-')),
                    "{}: {field}",
                    file.display()
                );
            }
        }
    }
    if let Some(seen) = browse(&program, page) {
        assert_eq!(
            (&seen["trapped"], &seen["dialogs"], &seen["console"]),
            (&json!([true, true]), &json!([]), &json!([]))
        );
        assert_eq!(seen["elements"], 0, "nothing that an event says became an element");
        assert!(
            seen["requests"]
                .as_array()
                .expect("a list")
                .iter()
                .all(|url| url.as_str().is_some_and(|url| url.starts_with("file://")))
        );
    }
    spreadsheet(&program, &files);
}

/// LibreOffice opens the CSV forms and makes no formula of any field.
fn spreadsheet(program: &Program, files: &[PathBuf]) {
    let Some(office) = part("TRAILHOUND_SOFFICE") else { return };
    let sheet = files
        .iter()
        .find(|file| file.to_string_lossy().contains(".permission_changes.csv"))
        .expect("a sheet");
    let folder = program.path("sheets");
    let ran = Command::new(office)
        .args(["--headless", "--convert-to", "fods", "--outdir"])
        .arg(&folder)
        .arg(format!("-env:UserInstallation=file://{}", program.path("office").display()))
        .arg(sheet)
        .output()
        .expect("LibreOffice runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let name = sheet.file_stem().expect("a name").to_string_lossy().into_owned();
    let opened = std::fs::read_to_string(folder.join(format!("{name}.fods"))).expect("opened");
    assert!(opened.contains("cmd|") && opened.contains("HYPERLINK"), "the texts are there");
    assert!(!opened.contains("table:formula"), "a field became a formula");
    assert!(!opened.contains("xlink:href=\"http"), "a field became a link");
}

#[test]
fn the_page_is_printed_by_a_browser_that_is_there() {
    let program = month();
    let args = [
        "--config",
        "g/trailhound.toml",
        "report",
        "--lake",
        "l",
        "--period",
        "month",
        "--lang",
        "zh",
        "--format",
        "pdf",
    ];
    let ran = program.run(&args);
    assert!(
        ran.status == 2 && ran.err.contains("TRAILHOUND_BROWSER"),
        "without a browser it says so: {}",
        ran.err
    );
    let Some(browser) = part("TRAILHOUND_BROWSER") else { return };
    let output = program
        .command(&args)
        .env("TRAILHOUND_BROWSER", browser)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pdf = std::fs::read(program.path(String::from_utf8_lossy(&output.stdout).trim()))
        .expect("a file");
    assert!(pdf.starts_with(b"%PDF-") && pdf.len() > 20_000, "{} bytes", pdf.len());
}

/// The reports of a week: one a day, one at its end, one that is to be made for each time, one for none that was missed.
const SCHEDULE: &str = r#"
[service]
listen = "127.0.0.1:0"

[[source.kafka]]
name = "trail"
bootstrap_servers = "127.0.0.1:1"
topics = ["t"]

[[report]]
name = "daily"
schedule = "30 8 * * *"
time_zone = "Asia/Shanghai"
period = "day"
formats = ["json"]
folder = "daily"
catch_up = "all"

[[report]]
name = "weekly"
schedule = "0 9 * * MON"
period = "week"
profile = "audit"
language = "zh"
formats = ["html", "json"]
folder = "weekly"

[[report]]
name = "watched"
schedule = "0 12 * * *"
period = "day"
formats = ["json"]
folder = "watched"
catch_up = "none"
"#;

fn runs(program: &Program) -> Vec<(String, String, String)> {
    let ran = program.ok(&["--config", "schedule.toml", "report", "--lake", "l", "--list"]);
    let cells = |line: &str| line.split_whitespace().take(3).map(str::to_owned).collect::<Vec<_>>();
    let lines = ran
        .out
        .lines()
        .map(cells)
        .filter(|cells| cells.len() == 3 && cells[1].starts_with("2026-"));
    let mut all: Vec<_> =
        lines.map(|cells| (cells[0].clone(), cells[1].clone(), cells[2].clone())).collect();
    all.sort();
    all
}

/// The service at `now`, until it has nothing left to make of what is `due`.
fn serve_at(program: &Program, now: &str, due: &[(&str, &str, &str)]) {
    let mut command = program.command(&["--config", "schedule.toml", "serve", "--lake", "l"]);
    command.env("TRAILHOUND_NOW", now);
    let service = Service::spawn(command);
    let there = |runs: &[(String, String, String)]| {
        due.iter().all(|(name, time, state)| {
            runs.contains(&((*name).to_owned(), (*time).to_owned(), (*state).to_owned()))
        })
    };
    service.wait_until("the schedule", |_| there(&runs(program)));
    service.kill();
}

#[test]
fn a_week_every_report_once_across_restarts_and_downtime() {
    let program = Program::new();
    program.write("schedule.toml", SCHEDULE);
    // Sunday: from here on.
    serve_at(
        &program,
        "2026-09-20T10:00:00Z",
        &[
            ("daily", "2026-09-20T10:00:00Z", "registered"),
            ("watched", "2026-09-20T10:00:00Z", "registered"),
        ],
    );
    // Monday, a minute before, on time, and again.
    serve_at(&program, "2026-09-21T00:29:59Z", &[]);
    assert!(!program.path("daily").exists());
    serve_at(&program, "2026-09-21T00:30:00Z", &[("daily", "2026-09-21T00:30:00Z", "made")]);
    let first = std::fs::metadata(program.path("daily/trailhound-security-2026-09-20-day.json"))
        .and_then(|file| file.modified())
        .expect("made");
    serve_at(
        &program,
        "2026-09-21T09:05:00Z",
        &[
            ("weekly", "2026-09-21T09:00:00Z", "made"),
            ("watched", "2026-09-20T12:00:00Z", "skipped"),
        ],
    );
    // Three days away: each daily report is made, what was to be watched is not.
    serve_at(
        &program,
        "2026-09-24T12:30:00Z",
        &[
            ("daily", "2026-09-22T00:30:00Z", "made"),
            ("daily", "2026-09-23T00:30:00Z", "made"),
            ("daily", "2026-09-24T00:30:00Z", "made"),
            ("watched", "2026-09-23T12:00:00Z", "skipped"),
            ("watched", "2026-09-24T12:00:00Z", "skipped"),
        ],
    );
    // Two weeks away: of the weekly ones the last.
    serve_at(
        &program,
        "2026-10-06T00:00:00Z",
        &[
            ("daily", "2026-10-05T00:30:00Z", "made"),
            ("weekly", "2026-10-05T09:00:00Z", "made"),
            ("daily", "2026-10-04T00:30:00Z", "made"),
        ],
    );
    let made = |folder: &str| {
        let files = std::fs::read_dir(program.path(folder))
            .expect("a folder")
            .map(|file| file.expect("a file").file_name().into_string().expect("text"));
        let mut files: Vec<String> = files.filter(|name| name.ends_with(".json")).collect();
        files.sort();
        files
    };
    // Fifteen days, each once, in the days of Shanghai.
    let days: Vec<String> = made("daily");
    assert_eq!(days.len(), 15, "{days:?}");
    assert_eq!(
        (days[0].as_str(), days[14].as_str()),
        ("trailhound-security-2026-09-20-day.json", "trailhound-security-2026-10-04-day.json")
    );
    assert_eq!(
        made("weekly"),
        ["trailhound-audit-2026-09-14-week.json", "trailhound-audit-2026-09-28-week.json"]
    );
    let unchanged =
        std::fs::metadata(program.path("daily/trailhound-security-2026-09-20-day.json"))
            .and_then(|file| file.modified())
            .expect("there");
    assert_eq!(first, unchanged, "none is made twice");
    assert!(!program.path("watched").exists());
}

#[test]
fn services_that_share_a_lake_make_each_report_once() {
    let Some(postgres) = postgres() else { return };
    let program = Program::new();
    share(&program, "l", &postgres.database("reports"));
    let hook = Receiver::start(|_, _| Reply::Say(204, "", ""));
    let sink = format!(
        "[[sink]]\nname = \"hook\"\nrules = [\"AT-NONE\"]\n[sink.webhook]\nurl = \"http://127.0.0.1:{}/\"\nprivate_allowed = [\"127.0.0.1/32\"]\n",
        hook.port
    );
    program.write(
        "schedule.toml",
        SCHEDULE.replace("folder = \"daily\"", "folder = \"daily\"\nsinks = [\"hook\"]") + &sink,
    );
    serve_at(&program, "2026-09-20T10:00:00Z", &[("daily", "2026-09-20T10:00:00Z", "registered")]);
    let serve = || {
        let mut command = program.command(&["--config", "schedule.toml", "serve", "--lake", "l"]);
        command.env("TRAILHOUND_NOW", "2026-09-24T12:30:00Z");
        Service::spawn(command)
    };
    let services = [serve(), serve()];
    hook.until("the messages", |requests| requests.len() == 4);
    let made = |service: &Service| {
        service.metric("trailhound_reports_total{report=\"daily\",outcome=\"made\"}") as u32
    };
    services[0].wait_until("all made", |_| services.iter().map(made).sum::<u32>() == 4);
    let delivered = |service: &Service| {
        service.metric("trailhound_deliveries_total{sink=\"hook\",outcome=\"delivered\"}") as u32
    };
    services[0].wait_until("all told", |_| services.iter().map(delivered).sum::<u32>() == 4);
    for service in services {
        service.kill();
    }
    let ids: BTreeSet<String> =
        hook.requests().iter().map(|request| request.headers["webhook-id"].clone()).collect();
    assert_eq!((ids.len(), hook.requests().len()), (4, 4), "{ids:?}");
    let listed = runs(&program);
    assert_eq!(
        listed.iter().filter(|(name, _, state)| name == "daily" && state == "made").count(),
        4,
        "{listed:?}"
    );
    assert_eq!(std::fs::read_dir(program.path("daily")).expect("a folder").count(), 4);
}

#[test]
fn a_group_is_told_its_first_numbers_and_where_it_is() {
    let program = Program::new();
    let chat = Receiver::start(|_, _| Reply::Say(200, "", r#"{"errcode":0,"errmsg":"ok"}"#));
    let hook = Receiver::start(|_, _| Reply::Say(204, "", ""));
    program.write("robot", format!("http://127.0.0.1:{}/robot", chat.port));
    let sinks = format!(
        "[[sink]]\nname = \"group\"\nrules = [\"AT-NONE\"]\n[sink.dingtalk]\nurl = \"file:robot\"\nprivate_allowed = [\"127.0.0.1/32\"]\n\
         [[sink]]\nname = \"hook\"\nrules = [\"AT-NONE\"]\n[sink.webhook]\nurl = \"http://127.0.0.1:{}/\"\nprivate_allowed = [\"127.0.0.1/32\"]\n",
        hook.port
    );
    let told = "sinks = [\"group\", \"hook\"]\nlink = \"https://reports.example.com/\"\nfolder = \"daily\"";
    program.write("schedule.toml", SCHEDULE.replace("folder = \"daily\"", told) + &sinks);
    serve_at(&program, "2026-09-20T10:00:00Z", &[("daily", "2026-09-20T10:00:00Z", "registered")]);
    let mut command = program.command(&["--config", "schedule.toml", "serve", "--lake", "l"]);
    command.env("TRAILHOUND_NOW", "2026-09-21T00:30:00Z");
    let service = Service::spawn(command);
    chat.until("the message", |requests| requests.len() == 1);
    hook.until("the request", |requests| requests.len() == 1);
    let outbox = || {
        program
            .ok(&["--config", "schedule.toml", "outbox", "list", "--lake", "l", "--format", "json"])
            .json()
    };
    service.wait_until("the proof", |_| outbox().iter().all(|row| row["state"] == "delivered"));
    service.kill();
    let text = crate::program::text(&chat.requests()[0].json()["text"]["content"]);
    let place = "https://reports.example.com/trailhound-security-2026-09-20-day.json";
    for says in
        ["Security report, 2026-09-20 (Asia/Shanghai)", "critical findings: 0 (before 0)", place]
    {
        assert!(text.contains(says), "{text}");
    }
    let request = &hook.requests()[0];
    assert_eq!((&request.json()["places"][0], outbox().len()), (&json!(place), 2));
    assert!(request.headers["webhook-id"].starts_with("report:daily:"));
}

#[test]
fn a_report_that_cannot_be_made_is_told_and_made_when_it_can_be() {
    let program = Program::new();
    program.write("schedule.toml", SCHEDULE);
    // A file stands where the folder should be.
    program.write("daily", "");
    serve_at(&program, "2026-09-20T10:00:00Z", &[("daily", "2026-09-20T10:00:00Z", "registered")]);
    serve_at(&program, "2026-09-21T00:30:00Z", &[("daily", "2026-09-21T00:30:00Z", "failed")]);
    std::fs::remove_file(program.path("daily")).expect("removed");
    serve_at(&program, "2026-09-21T00:40:00Z", &[("daily", "2026-09-21T00:30:00Z", "made")]);
    assert!(program.path("daily/trailhound-security-2026-09-20-day.json").exists());
}

#[test]
fn a_full_disk_keeps_a_report_waiting_and_no_link_is_followed() {
    let program = Program::new();
    let Some(disk) = SmallDisk::mount(&program.path("daily"), 1) else { return };
    program.write("schedule.toml", SCHEDULE);
    let elsewhere = program.write("elsewhere", "of somebody else");
    let file = program.path("daily/trailhound-security-2026-09-20-day.json");
    std::os::unix::fs::symlink(&elsewhere, &file).expect("a link");
    disk.fill(0);
    serve_at(&program, "2026-09-20T10:00:00Z", &[("daily", "2026-09-20T10:00:00Z", "registered")]);
    serve_at(&program, "2026-09-21T00:30:00Z", &[("daily", "2026-09-21T00:30:00Z", "failed")]);
    let listed = program.ok(&["--config", "schedule.toml", "report", "--lake", "l", "--list"]);
    assert!(listed.out.contains("No space left"), "{}", listed.out);
    assert!(
        std::fs::symlink_metadata(&file).expect("there").is_symlink(),
        "what stood there stays"
    );
    disk.free();
    serve_at(&program, "2026-09-21T00:40:00Z", &[("daily", "2026-09-21T00:30:00Z", "made")]);
    assert!(std::fs::symlink_metadata(&file).expect("there").is_file());
    assert_eq!(read(&file)["profile"], "security");
    assert_eq!(std::fs::read_to_string(elsewhere).expect("there"), "of somebody else");
}

#[test]
fn wrong_schedules_are_refused_at_start() {
    let program = Program::new();
    for (from, to, says) in [
        ("30 8 * * *", "30 25 * * *", "schedule"),
        ("30 8 * * *", "soon", "schedule"),
        ("30 8 * * *", "0 0 31 2 *", "never comes"),
        ("Asia/Shanghai", "Asia/Shangai", "Asia/Shangai"),
        ("profile = \"audit\"", "profile = \"audti\"", "there is no profile `audti`"),
        ("name = \"weekly\"", "name = \"daily\"", "two [[report]] are called `daily`"),
        ("catch_up = \"all\"", "catch_up = \"some\"", "catch_up"),
        ("formats = [\"json\"]", "formats = [\"docx\"]", "docx"),
        ("name = \"weekly\"", "name = \"周报\"", "name: only letters"),
        (
            "folder = \"daily\"",
            "folder = \"daily\"\nsinks = [\"nobody\"]",
            "there is no sink `nobody`",
        ),
    ] {
        program.write("schedule.toml", SCHEDULE.replacen(from, to, 1));
        let ran = program.run(&["--config", "schedule.toml", "serve", "--lake", "l"]);
        assert!(ran.status == 2 && ran.err.contains(says), "{to}: {} {}", ran.status, ran.err);
    }
}
