//! The structure of the house: no crate reaches across a border, no room imports one above it, no files import each other
//! in a circle, no two public types share a name by accident, and no function is longer than a screen or two.

use crate::support::rust_sources::{CRATES, Crate, functions, workspace};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Crates, and the dependencies that each must not have, directly or through other crates of the
/// workspace.
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

/// The rooms of each crate, floor by floor from the ground: a file may import from its own room, from rooms on its floor and
/// from rooms below. A room is a folder or a file directly below the crate's sources; `lib.rs` and `main.rs` see all.
const FLOORS: [(&str, &[&[&str]]); 5] = [
    (
        "datasets/src",
        &[
            &[
                "catalog_schema",
                "checksum",
                "event",
                "fact",
                "json",
                "layout",
                "samples",
                "sanitize",
                "spreadsheet",
            ],
            &["derive", "key", "reject"],
            &["columns", "generate", "rebuild"],
        ],
    ),
    (
        "ingest/src",
        &[
            &[
                "clock",
                "decode",
                "fact_counts",
                "ledger",
                "lock",
                "progress",
                "secret",
                "supervisor",
                "survey",
            ],
            &["batch", "lake", "options", "source"],
            &["dedup", "queue", "reject_keys", "report", "sample"],
            &["staging"],
            &["live", "pipeline", "reread"],
        ],
    ),
    (
        "queries/src",
        &[
            &[
                "limits",
                "local_time",
                "parameters",
                "projection",
                "sql_guard",
                "suggestion",
                "values",
            ],
            &["tables"],
            &["dialect", "functions", "optimizer", "packs"],
            &["session"],
            &["docs", "explain", "sigma"],
        ],
    ),
    (
        "detect/src",
        &[
            &["finding", "scan", "workbook"],
            &["evaluate"],
            &["store"],
            &["authoring"],
            &["report"],
            &["sinks"],
        ],
    ),
    (
        "src",
        &[
            &["arguments", "exit", "legacy_names", "list_output", "printer", "row_writer"],
            &["answer", "config"],
            &["lake"],
            &["cli", "query_server", "report"],
            &["service", "shell"],
            &["command"],
        ],
    ),
];

/// Folders of tests and benches.
const TESTS: [&str; 4] = ["tests", "ingest/tests", "detect/tests", "benches"];

/// Public types that share their name with one of another module because they are the same idea there.
const SHARED_NAMES: [(&str, &str); 0] = [];

/// Functions longer than [`FUNCTION_LINES_MAX`] because they are one table.
const TABLES: [&str; 0] = [];

/// Lines of a function from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Lines of a file.
const FILE_LINES_MAX: usize = 700;

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo's metadata");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let all = package["dependencies"].as_array().expect("dependencies");
            let normal = all.iter().filter(|dependency| dependency["kind"].is_null()).map(name);
            (name(package), normal.collect())
        })
        .collect()
}

#[test]
fn no_crate_depends_on_one_across_its_border() {
    let dependencies = dependencies();
    for (krate, forbidden) in FORBIDDEN {
        let mut reached = vec![krate.to_owned()];
        let mut next = 0;
        while next < reached.len() {
            for dependency in dependencies.get(&reached[next]).into_iter().flatten() {
                let through = &reached[next];
                let is_forbidden = forbidden.contains(&dependency.as_str());
                assert!(!is_forbidden, "{krate} reaches {dependency} through {through}");
                if dependency.starts_with("trailhound-") && !reached.contains(dependency) {
                    reached.push(dependency.clone());
                }
            }
            next += 1;
        }
    }
}

#[test]
fn each_engine_is_in_the_tree_in_one_version() {
    let lock = std::fs::read_to_string(workspace().join("Cargo.lock")).expect("Cargo.lock");
    for name in
        ["arrow-array", "arrow-schema", "parquet", "object_store", "datafusion", "libsqlite3-sys"]
    {
        let count = lock.matches(&format!("name = \"{name}\"\n")).count();
        assert_eq!(count, 1, "{name}");
    }
}

#[test]
fn no_room_imports_one_above_it() {
    let mut wrong = Vec::new();
    for (folder, floors) in FLOORS {
        let floor_of = |file: &str| {
            let room = room(folder, file);
            floors.iter().position(|rooms| rooms.contains(&room))
        };
        for (from, targets) in Crate::read(folder).imports() {
            for to in targets {
                if let (Some(here), Some(there)) = (floor_of(from), floor_of(to))
                    && there > here
                {
                    wrong.push(format!("{from} imports {to}, which lies above it"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_has_its_floor() {
    for (folder, floors) in FLOORS {
        let krate = Crate::read(folder);
        let rooms: BTreeSet<&str> =
            krate.modules().map(|module| room(folder, &module.file)).collect();
        let named: BTreeSet<&str> = floors.iter().flat_map(|rooms| rooms.iter().copied()).collect();
        let rooms: BTreeSet<&str> =
            rooms.into_iter().filter(|room| !["lib", "main"].contains(room)).collect();
        assert_eq!(rooms, named, "{folder}");
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for (folder, _) in CRATES {
        let krate = Crate::read(folder);
        let imports = krate.imports();
        assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 20, "{folder} has imports");
        let circles = circles(&imports);
        assert!(circles.is_empty(), "{folder}:\n{}", circles.join("\n"));
        let mut rooms: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (from, targets) in &imports {
            let from = room(folder, from);
            let others = targets.iter().map(|to| room(folder, to)).filter(|to| *to != from);
            rooms.entry(from).or_default().extend(others);
        }
        // `lib.rs` and `main.rs` hand names on to whoever asks at the crate's root.
        rooms.retain(|room, _| !["lib", "main"].contains(room));
        let circles = self::circles(&rooms);
        assert!(circles.is_empty(), "rooms of {folder}:\n{}", circles.join("\n"));
    }
}

#[test]
fn public_types_share_a_name_only_where_they_are_the_same_idea() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (folder, _) in CRATES {
        for module in Crate::read(folder).modules() {
            for name in &module.public_types {
                places.entry(name.clone()).or_default().push(module.file.clone());
            }
        }
    }
    assert!(places.len() > 150, "{} public types", places.len());
    let shared: BTreeMap<&str, &Vec<String>> = places
        .iter()
        .filter(|(_, files)| files.len() > 1)
        .map(|(name, files)| (name.as_str(), files))
        .collect();
    let allowed: BTreeSet<&str> = SHARED_NAMES.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = shared.keys().copied().collect();
    assert_eq!(found, allowed, "{shared:#?}");
    assert!(SHARED_NAMES.iter().all(|(_, reason)| reason.len() > 10), "each has its reason");
}

#[test]
fn no_function_is_long_unless_it_is_one_table() {
    let sources = CRATES.map(|(folder, _)| folder);
    let functions = functions(&[&sources[..], &TESTS].concat());
    assert!(functions.len() > 2000, "{} functions", functions.len());
    let long: BTreeMap<&str, String> = functions
        .iter()
        .filter(|function| function.lines > FUNCTION_LINES_MAX)
        .map(|function| {
            (function.name.as_str(), format!("{}, {} lines", function.place, function.lines))
        })
        .collect();
    let tables: BTreeSet<&str> = TABLES.into_iter().collect();
    let found: BTreeSet<&str> = long.keys().copied().collect();
    assert_eq!(found, tables, "{long:#?}");
}

#[test]
fn public_functions_are_documented() {
    let (mut all, mut documented) = (0, 0);
    for (folder, _) in CRATES {
        for module in Crate::read(folder).modules() {
            all += module.public_functions.0;
            documented += module.public_functions.1;
        }
    }
    assert!(documented * 100 >= all * 95, "{documented} of {all}");
}

#[test]
fn every_file_says_what_it_is_for_and_no_name_hides_it() {
    const NO_NAMES: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];
    let mut seen = 0;
    for (folder, _) in CRATES {
        for module in Crate::read(folder).modules() {
            let file = &module.file;
            let names = file.trim_end_matches(".rs").split('/');
            assert!(names.clone().all(|name| !NO_NAMES.contains(&name)), "{file}");
            assert!(module.text.starts_with("//!"), "{file} opens without saying what it is for");
            let lines = module.text.lines().count();
            assert!(lines <= FILE_LINES_MAX, "{file} is too long: {lines} lines");
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen} files");
}

/// The room of a file: the folder or file directly below the crate's sources.
fn room<'f>(folder: &str, file: &'f str) -> &'f str {
    let below = file.strip_prefix(folder).expect("a file of the crate").trim_start_matches('/');
    below.split('/').next().expect("a name").trim_end_matches(".rs")
}

/// The circles of a graph: each is a set of nodes that all reach each other, with the edges between them.
fn circles(edges: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    let reach = |start: &str| {
        let mut reached = BTreeSet::new();
        let mut pending = vec![start];
        while let Some(node) = pending.pop() {
            for next in edges.get(node).into_iter().flatten() {
                if reached.insert(*next) {
                    pending.push(next);
                }
            }
        }
        reached
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        edges.keys().map(|node| (*node, reach(node))).collect();
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for (node, from_here) in &reached {
        if !from_here.contains(node) || told.contains(node) {
            continue;
        }
        let circle: BTreeSet<&str> = from_here
            .iter()
            .copied()
            .filter(|other| reached.get(other).is_some_and(|theirs| theirs.contains(node)))
            .collect();
        let inside = circle.iter().flat_map(|from| {
            let to = edges.get(from).into_iter().flatten();
            to.filter(|to| circle.contains(*to)).map(move |to| format!("{from} -> {to}"))
        });
        circles.push(inside.collect::<Vec<_>>().join("; "));
        told.extend(circle);
    }
    circles
}
