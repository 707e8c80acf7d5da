//! CSV and workbooks: nothing in them is evaluated, ids keep all digits, programs read the values
//! back, and a real spreadsheet opens them.

use crate::support::external::external_part;
use crate::support::program::Program;
use crate::support::template::copy_of;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An account and a principal whose ids a spreadsheet would round.
const LONG_IDS: [&str; 2] = ["1890000000004243", "284700000000123457"];

/// Names that a careless writer would let a spreadsheet evaluate, split or lose.
fn traps() -> Vec<String> {
    let mut traps: Vec<String> = ["a;=1+1", "a\t=1", "a|=1", "say \"hi\"", "张伟", "'", "_x0041_"]
        .iter()
        .map(|&text| text.to_owned())
        .collect();
    let before =
        ["", " ", "\t", "\r", "\n", "\u{a0}", "\u{3000}", "'", "\"", "“", "\u{200b}", "\u{feff}"];
    let more = ["\u{1}", "\u{7f}", "\u{85}", "\u{ad}", "\u{202e}", "\u{2060}", "' \"\u{200b}"];
    for before in before.into_iter().chain(more) {
        for start in ["=", "+", "-", "@", "＝", "＋", "－", "＠", "﹦", "−"] {
            traps.push(format!("{before}{start}cmd|' /C calc'!A0"));
        }
    }
    traps
}

/// A lake `l` with findings about a user of each name, and with the long ids.
fn trapped() -> Program {
    copy_of("spreadsheets", |program| {
        let event = |(number, name): (usize, &String)| {
            json!({
                "eventId": format!("e{number:04}"), "eventTime": format!("2026-09-21T10:{:02}:00Z", number % 60), "eventName": "ConsoleSignin",
                "eventType": "ConsoleSignin", "serviceName": "AasSub", "acsRegion": "cn-hangzhou", "sourceIpAddress": "198.51.100.9",
                "userAgent": name, "additionalEventData": { "mfaChecked": "false" },
                "userIdentity": { "type": "ram-user", "accountId": LONG_IDS[0], "principalId": format!("{}{number:03}", &LONG_IDS[1][..15]), "userName": name },
            })
        };
        let events: Vec<_> = traps().iter().enumerate().map(event).collect();
        program.write("events.json", serde_json::to_vec(&events).expect("JSON"));
        program.write("trailhound.toml", "");
        program.run_ok(&["scan", "events.json", "--lake", "l"]);
    })
}

/// The characters that spreadsheets skip in front of a formula, found by a rule of its own.
fn is_evaluated(cell: &str) -> bool {
    let shown = cell.trim_start_matches(|c: char| {
        !c.is_alphanumeric() && !"=+-@＝＋－＠﹦﹢﹣﹫−'".contains(c) && !c.is_ascii_punctuation()
            || matches!(c, '"')
    });
    !cell.starts_with('\'')
        && shown.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '−'])
}

/// Every list that can be printed as CSV.
fn csv_commands() -> Vec<Vec<&'static str>> {
    let sql = "SELECT user_name, user_agent, account_id, principal_id, -1 AS negative FROM events";
    vec![
        vec!["query", "-c", sql],
        vec!["query", "-c", "SELECT user_name AS \"=1+1\" FROM events"],
        vec!["investigate", "sign_ins", "--param", "user=张伟"],
        vec!["detect"],
        vec!["entities"],
        vec!["incidents"],
        vec!["suppressions"],
        vec!["coverage"],
        vec!["rules", "backtest", "AT-LOGIN-001"],
    ]
}

#[test]
fn no_cell_of_a_csv_file_is_evaluated_in_any_command() {
    let program = trapped();
    let mut cells = 0;
    for command in csv_commands() {
        let args = [&command[..], &["--lake", "l", "--format", "csv"]].concat();
        let ran = program.run_ok(&args);
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).from_reader(ran.out.as_bytes());
        for record in reader.records() {
            for cell in &record.expect("a record") {
                let is_number = cell.parse::<f64>().is_ok();
                assert!(is_number || !is_evaluated(cell), "{command:?}: {cell:?}");
                cells += 1;
            }
        }
    }
    assert!(cells > 3000, "{cells} cells");
    let reports =
        program.run_ok(&["report", "--lake", "l", "--at", "2026-09-28", "--format", "csv"]);
    for file in reports.out.lines() {
        let mut reader = csv::Reader::from_path(program.path(file)).expect("a file");
        for record in reader.records() {
            for cell in &record.expect("a record") {
                assert!(cell.parse::<f64>().is_ok() || !is_evaluated(cell), "{file}: {cell:?}");
            }
        }
    }
}

#[test]
fn duckdb_reads_every_value_of_a_csv_file_back() {
    let Some(python) = external_part("TRAILHOUND_DUCKDB_PYTHON") else { return };
    let program = trapped();
    let sql = "SELECT event_id, user_agent, account_id, principal_id, -5 AS negative, event_time FROM events ORDER BY event_id";
    for bom in [&[][..], &["--bom"]] {
        let args = ["query", "--lake", "l", "--format", "csv", "-o", "rows.csv", "-c", sql];
        program.run_ok(&[&args[..], bom].concat());
        let script = "import duckdb, json\n\
            rows = duckdb.sql(\"SELECT event_id, user_agent, CAST(account_id AS VARCHAR), CAST(principal_id AS VARCHAR), negative, CAST(event_time AS VARCHAR) FROM read_csv('rows.csv')\").fetchall()\n\
            print(json.dumps(rows))";
        let output = Command::new(&python)
            .args(["-c", script])
            .current_dir(program.path(""))
            .output()
            .expect("Python runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rows: Vec<(String, String, String, String, i64, String)> =
            serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(rows.len(), traps().len());
        for ((id, name, account, principal, negative, _), trap) in rows.iter().zip(traps()) {
            // One apostrophe in front of a text that would be a formula is removed.
            let value = name.strip_prefix('\'').filter(|_| *name != trap).unwrap_or(name);
            assert_eq!(value, trap, "{id}");
            assert_eq!((account.as_str(), *negative), (LONG_IDS[0], -5));
            assert_eq!(*principal, format!("{}{}", &LONG_IDS[1][..15], &id[2..]), "{id}");
        }
    }
}

#[test]
fn a_byte_order_mark_is_written_where_it_is_asked_for_and_refused_elsewhere() {
    let program = trapped();
    const MARK: &str = "\u{feff}";
    for command in csv_commands() {
        let args = [&command[..], &["--lake", "l", "--format", "csv"]].concat();
        assert!(!program.run_ok(&args).out.starts_with(MARK), "{command:?}");
        let ran = program.run_ok(&[&args[..], &["--bom"]].concat());
        assert_eq!(ran.out.matches(MARK).count(), 1 + ran.out[3..].matches(MARK).count());
        assert!(ran.out.starts_with(MARK), "{command:?}");
        let ran =
            program.run(&[&command[..], &["--lake", "l", "--format", "json", "--bom"]].concat());
        assert!(ran.status == 2 && ran.err.contains("--bom is for --format csv"), "{}", ran.err);
    }
    let two = ["query", "--lake", "l", "--format", "csv", "--bom", "-c", "SELECT 1; SELECT 2"];
    assert_eq!(program.run_ok(&two).out.matches(MARK).count(), 1);
    for (language, more, is_marked) in
        [("zh", &[][..], true), ("en", &["--bom"], true), ("en", &[], false)]
    {
        let args =
            ["report", "--lake", "l", "--at", "2026-09-28", "--format", "csv", "--lang", language];
        for file in program.run_ok(&[&args[..], more].concat()).out.lines() {
            let text = std::fs::read_to_string(program.path(file)).expect("text");
            assert_eq!(text.starts_with(MARK), is_marked, "{language} {more:?} {file}");
        }
    }
    let ran = program.run(&["report", "--lake", "l", "--format", "html", "--bom"]);
    assert!(ran.status == 2 && ran.err.contains("--bom"), "{}", ran.err);
}

/// Converts `files` with LibreOffice, all sheets of each, to CSV files in a folder. Returns their
/// rows by file name.
fn opened(program: &Program, files: &[PathBuf]) -> Option<Vec<(String, Vec<Vec<String>>)>> {
    let office = external_part("TRAILHOUND_SOFFICE")?;
    let folder = program.path("opened");
    let ran = Command::new(office)
        .args(["--headless", "--convert-to"])
        .arg("csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,true,false,false,-1")
        .arg("--outdir")
        .arg(&folder)
        .arg(format!("-env:UserInstallation=file://{}", program.path("office").display()))
        .args(files)
        .output()
        .expect("LibreOffice runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let rows = |path: &Path| {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_path(path)
            .expect("a file");
        reader
            .records()
            .map(|record| record.expect("a record").iter().map(str::to_owned).collect())
            .collect()
    };
    let mut opened: Vec<(String, Vec<Vec<String>>)> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), rows(&path)))
        .collect();
    opened.sort();
    Some(opened)
}

#[test]
fn a_spreadsheet_opens_workbooks_with_every_digit_and_no_formula() {
    let program = trapped();
    let to_file = |name: &str, args: &[&str]| {
        let output = program.command(args).output().expect("the program starts");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        program.write(name, output.stdout)
    };
    let scan = to_file("scan.xlsx", &["detect", "--lake", "l", "--format", "xlsx"]);
    let entities = to_file("entities.xlsx", &["entities", "--lake", "l", "--format", "xlsx"]);
    let query = program.path("query.xlsx");
    let sql = "SELECT event_id, user_agent, account_id, principal_id, -5 AS negative, 1890000000004243 AS big, 0.5 AS half, true AS yes, NULL AS none, repeat('x', 40000) AS long FROM events ORDER BY event_id";
    let args = ["query", "--lake", "l", "--format", "xlsx", "-o", "query.xlsx", "-c", sql];
    let ran = program.run_ok(&args);
    let cut = format!("{} texts are longer than a cell", traps().len());
    assert!(ran.err.contains(&cut), "{}", ran.err);
    let args = ["report", "--lake", "l", "--at", "2026-09-28", "--format", "xlsx", "--lang", "zh"];
    let report = program.path(program.run_ok(&args).out.trim());
    let Some(opened) = opened(&program, &[scan, entities, query, report]) else { return };
    let names: BTreeSet<&str> = opened.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.len() > 15, "a file per sheet: {names:?}");
    let sheet = |start: &str| {
        let found = opened.iter().find(|(name, _)| name.starts_with(start));
        &found.unwrap_or_else(|| panic!("no {start} in {names:?}")).1
    };
    let rows = sheet("query-rows");
    assert_eq!(rows.len(), traps().len() + 1);
    for (row, trap) in rows.iter().skip(1).zip(traps()) {
        assert_eq!(row[1], trailhound_datasets::sanitize::sanitize(&trap));
        assert_eq!(row[2], LONG_IDS[0]);
        assert_eq!(row[3], format!("{}{}", &LONG_IDS[1][..15], &row[0][2..]));
        assert_eq!(row[4..9], ["-5", LONG_IDS[0], "0.5", "TRUE", ""]);
        assert!(row[9].ends_with("…[cut]") && row[9].chars().count() == 32_767);
    }
    let findings = sheet("scan-findings");
    let column = |name: &str| findings[0].iter().position(|cell| cell == name).expect(name);
    let names_found: BTreeSet<&str> =
        findings[1..].iter().map(|row| row[column("operator_name")].as_str()).collect();
    assert!(names_found.contains("=cmd|' /C calc'!A0"), "{names_found:?}");
    assert!(findings[1..].iter().all(|row| row[column("account_id")] == LONG_IDS[0]));
    for (name, rows) in &opened {
        let has_error = |cell: &String| cell.starts_with("#NAME") || cell.starts_with("Err:");
        assert!(!rows.iter().flatten().any(has_error), "{name} was evaluated");
    }
}
