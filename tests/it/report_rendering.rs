//! Reports in a real browser, a real spreadsheet and as PDF; hostile event text in them.

use crate::support::browser::browse;
use crate::support::external::{external_part, skip_notice};
use crate::support::program::Program;
use crate::support::reports::{month, report};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Texts that a careless renderer would execute or evaluate.
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
        Err(_) => skip_notice("TRAILHOUND_CORPORA is not set; with its own traps alone it did"),
    }
    texts
}

/// A lake of events with each hostile text in every free field.
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

#[test]
fn report_pages_render_and_sort_in_a_browser_without_errors_or_requests() {
    let program = month();
    let reports =
        [("security", "en"), ("security", "zh"), ("cis-alibaba-v2", "en"), ("member", "zh")];
    let page = |(profile, language)| {
        let args = ["--period", "month", "--profile", profile, "--lang", language, "--output", "r"];
        report(&program, &args).remove(0)
    };
    let pages = reports.map(page);
    let Some(seen) = browse(&program, &pages) else { return };
    for (((profile, _), page), seen) in reports.into_iter().zip(&pages).zip(&seen) {
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
fn hostile_event_text_is_inert_in_every_report_format() {
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
    if let Some(seen) = browse(&program, std::slice::from_ref(page)) {
        let seen = &seen[0];
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

/// Asserts that LibreOffice reads a CSV file without a formula or a link in any field.
fn spreadsheet(program: &Program, files: &[PathBuf]) {
    let Some(office) = external_part("TRAILHOUND_SOFFICE") else { return };
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
fn a_report_is_printed_to_pdf_by_an_installed_browser() {
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
    let Some(browser) = external_part("TRAILHOUND_BROWSER") else { return };
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
