//! Runs the program in a folder of its own.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The fixed time of the tests.
pub(crate) const NOW: &str = "2026-10-01T00:00:00Z";

/// The program with a folder of its own, which is also its home.
pub(crate) struct Program {
    folder: PathBuf,
    /// Removes the folder when this is dropped; `None` where the folder is kept.
    _temporary: Option<TempDir>,
}

/// The program under test: the one that cargo built with the tests, or the path in `TRAILHOUND_PROGRAM`.
pub(crate) fn binary() -> std::ffi::OsString {
    std::env::var_os("TRAILHOUND_PROGRAM")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_trailhound").into())
}

/// Exit status and output of a run.
pub(crate) struct RunOutput {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        Self { folder: temporary.path().to_owned(), _temporary: Some(temporary) }
    }

    /// The program in `folder`, which is kept.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), _temporary: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, content).expect("a file");
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .current_dir(&self.folder)
            .env_clear()
            .env("HOME", &self.folder)
            .env("TRAILHOUND_NOW", NOW)
            .args(args);
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> RunOutput {
        RunOutput::of(self.command(args).output().expect("the program starts"))
    }

    pub(crate) fn run_with_stdin(&self, args: &[&str], input: &[u8]) -> RunOutput {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        child.stdin.take().expect("piped").write_all(input).expect("the program reads");
        RunOutput::of(child.wait_with_output().expect("the program ends"))
    }

    /// Runs it and asserts exit status 0.
    pub(crate) fn run_ok(&self, args: &[&str]) -> RunOutput {
        let ran = self.run(args);
        assert_eq!(ran.status, 0, "{args:?}\n{}\n{}", ran.out, ran.err);
        ran
    }

    /// Runs a query that returns one number.
    pub(crate) fn query_number(&self, lake: &str, sql: &str) -> i64 {
        let ran = self.run_ok(&["query", "--lake", lake, "--format", "csv", "-c", sql]);
        ran.out
            .lines()
            .nth(1)
            .and_then(|line| line.parse().ok())
            .unwrap_or_else(|| panic!("{sql}: {}", ran.out))
    }

    /// The keys of all stored events, sorted.
    pub(crate) fn event_keys(&self, lake: &str) -> Vec<String> {
        let ran = self.run_ok(&[
            "query",
            "--lake",
            lake,
            "--format",
            "csv",
            "-c",
            "SELECT event_key FROM events ORDER BY event_key",
        ]);
        ran.out.lines().skip(1).map(str::to_owned).collect()
    }
}

impl RunOutput {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Standard output as JSON lines.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// Event ids of the open findings, by rule.
    pub(crate) fn open_findings(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.event_ids_where(|finding| finding["status"] == "open")
    }

    /// Event ids of the open findings that are no `undetermined` ones, by rule.
    pub(crate) fn open_matches(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.event_ids_where(|finding| {
            finding["status"] == "open" && finding["variant"] != "undetermined"
        })
    }

    fn event_ids_where(
        &self,
        is_asked: impl Fn(&Value) -> bool,
    ) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for finding in self.json().iter().filter(|finding| is_asked(finding)) {
            let ids = found.entry(text(&finding["rule_id"])).or_default();
            for id in finding["event_ids"].as_array().expect("ids") {
                assert!(ids.insert(text(id)), "{id} stands in two findings of one rule");
            }
        }
        found
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// The findings that `truth.json` in `folder` expects: event ids by rule.
pub(crate) fn expected_findings(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let truth: Value =
        serde_json::from_slice(&std::fs::read(folder.join("truth.json")).expect("truth.json"))
            .expect("JSON");
    let ids =
        |entry: &Value| entry["event_ids"].as_array().expect("ids").iter().map(text).collect();
    truth["expected"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| (text(&entry["rule_id"]), ids(entry)))
        .collect()
}
