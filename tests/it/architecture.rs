//! Crates depend only in the permitted direction, and files keep to the house rules.

use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// Crate, and what it must not depend on, directly or through others of ours.
const FORBIDDEN: [(&str, &[&str]); 4] = [
    (
        "trailhound-datasets",
        &[
            "tokio",
            "datafusion",
            "sqlx",
            "parquet",
            "trailhound-ingest",
            "trailhound-queries",
            "trailhound-detect",
            "clap",
        ],
    ),
    (
        "trailhound-ingest",
        &["datafusion", "datafusion-ducklake", "trailhound-queries", "trailhound-detect", "clap"],
    ),
    ("trailhound-queries", &["trailhound-ingest", "trailhound-detect", "clap"]),
    ("trailhound-detect", &["trailhound-ingest", "clap"]),
];

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo's metadata");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let normal = package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter()
                .filter(|d| d["kind"].is_null())
                .map(name);
            (name(package), normal.collect())
        })
        .collect()
}

#[test]
fn crates_depend_only_in_the_permitted_direction() {
    let dependencies = dependencies();
    for (krate, forbidden) in FORBIDDEN {
        let mut reached = vec![krate.to_owned()];
        let mut next = 0;
        while next < reached.len() {
            for dependency in dependencies.get(&reached[next]).into_iter().flatten() {
                assert!(
                    !forbidden.contains(&dependency.as_str()),
                    "{krate} reaches {dependency} through {}",
                    reached[next]
                );
                if dependency.starts_with("trailhound-") && !reached.contains(dependency) {
                    reached.push(dependency.clone());
                }
            }
            next += 1;
        }
    }
}

#[test]
fn each_engine_crate_has_one_version() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"))
        .expect("Cargo.lock");
    for name in
        ["arrow-array", "arrow-schema", "parquet", "object_store", "datafusion", "libsqlite3-sys"]
    {
        let count = lock.matches(&format!("name = \"{name}\"\n")).count();
        assert_eq!(count, 1, "{name}");
    }
}

#[test]
fn source_files_have_a_head_a_telling_name_and_a_bounded_length() {
    let root = env!("CARGO_MANIFEST_DIR");
    let folders = ["src", "datasets/src", "ingest/src", "queries/src", "detect/src", "benches"];
    let mut pending: Vec<std::path::PathBuf> =
        folders.iter().map(|folder| std::path::Path::new(root).join(folder)).collect();
    let mut seen = 0;
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(
                std::fs::read_dir(&path)
                    .expect("a folder")
                    .map(|entry| entry.expect("an entry").path()),
            );
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(
            !["util", "utils", "common", "helper", "helpers", "manager", "misc"]
                .contains(&name.as_str()),
            "{}",
            path.display()
        );
        if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            assert!(
                text.starts_with("//!"),
                "{} opens without saying what it is for",
                path.display()
            );
            assert!(text.lines().count() <= 700, "{} is too long", path.display());
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen} files");
}
