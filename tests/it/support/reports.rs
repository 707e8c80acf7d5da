//! A month of generated events with findings, and the report command on it.

use crate::support::program::Program;
use crate::support::template::{copy_of, generate};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A lake `l` with a month of events that contains every story, and its findings.
pub(crate) fn month() -> Program {
    copy_of("month", |program| {
        generate(program, &["--events", "20000", "--days", "20", "--seed", "5"]);
        program.run_ok(&["--config", "g/trailhound.toml", "scan", "g/events", "--lake", "l"]);
    })
}

pub(crate) fn report(program: &Program, args: &[&str]) -> Vec<PathBuf> {
    let all = [&["--config", "g/trailhound.toml", "report", "--lake", "l"], args].concat();
    program.run_ok(&all).out.lines().map(|line| program.path(line)).collect()
}

pub(crate) fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}

/// Rows of the section `name`, each as an object.
pub(crate) fn rows(report: &Value, name: &str) -> Vec<BTreeMap<String, Value>> {
    let section = report["sections"]
        .as_array()
        .expect("sections")
        .iter()
        .find(|section| section["name"] == name);
    let section = section.unwrap_or_else(|| panic!("no section {name}"));
    let columns: Vec<String> = section["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .map(crate::support::program::text)
        .collect();
    let object = |row: &Value| {
        columns.iter().cloned().zip(row.as_array().expect("a row").iter().cloned()).collect()
    };
    section["rows"].as_array().expect("rows").iter().map(object).collect()
}
