//! Deliberate edits of a lake: which of them `lake verify` finds, and which only a signature over the commits could show.

use crate::support::embedded::{NOW_MICROS, data_files, event_of, ingest_at, open, runtime};
use crate::support::program::Program;
use crate::support::template::copy_folder;
use sqlx::Connection;
use std::path::Path;
use trailhound_datasets::checksum::FileDigest;
use trailhound_detect::finding::health::sample_finding;
use trailhound_detect::store::store_problems;
use trailhound_detect::{StoreContext, StoreSummary, store_findings};

/// Edits of the catalog that are found, and what is said of them.
const FOUND: [(&str, &str); 33] = [
    ("DELETE FROM ducklake_data_file WHERE data_file_id = 1", "snapshot"),
    (
        "UPDATE ducklake_data_file SET record_count = record_count - 1 WHERE data_file_id = 1",
        "rows",
    ),
    ("UPDATE ducklake_data_file SET end_snapshot = 4 WHERE data_file_id = 1", "ledger"),
    ("UPDATE ducklake_data_file SET footer_size = 8", "footer"),
    ("UPDATE ducklake_data_file SET row_id_start = 0", "id twice"),
    (
        "UPDATE ducklake_data_file SET path = (SELECT path FROM ducklake_data_file WHERE data_file_id = 2) WHERE data_file_id = 0",
        "expected",
    ),
    ("UPDATE ducklake_table_stats SET next_row_id = 0", "next row id"),
    ("UPDATE ducklake_table_stats SET record_count = 1", "recorded with"),
    (
        "INSERT INTO ducklake_delete_file(delete_file_id, table_id, begin_snapshot, data_file_id, path, delete_count) VALUES (99, 1, 1, 0, 'x', 1)",
        "never writes",
    ),
    ("INSERT INTO ducklake_inlined_data_tables VALUES (1, 'more', 0)", "never writes"),
    ("INSERT INTO ducklake_name_mapping VALUES (1, 1, 'a', 2, NULL, 0)", "never writes"),
    (
        "UPDATE ducklake_file_column_stats SET min_value = '2027-01-01 00:00:00+00' WHERE min_value LIKE '2026-09-%'",
        "range",
    ),
    (
        "UPDATE ducklake_file_column_stats SET max_value = '2020-01-01 00:00:00+00' WHERE max_value LIKE '2026-09-%'",
        "range",
    ),
    ("UPDATE ducklake_file_column_stats SET null_count = 3, value_count = 0", "range"),
    ("DELETE FROM ducklake_file_partition_value WHERE data_file_id = 0", "partition"),
    ("UPDATE ducklake_file_partition_value SET partition_value = '2020-01-01'", "partition"),
    (
        "UPDATE ducklake_column SET column_name = CASE column_name WHEN 'user_name' THEN 'x' ELSE column_name END",
        "is `x`",
    ),
    (
        "UPDATE ducklake_column SET column_name = CASE column_name WHEN 'event_name' THEN 'service_name' WHEN 'service_name' THEN 'event_name' ELSE column_name END",
        "expected `event_name`",
    ),
    (
        "UPDATE ducklake_column SET column_type = 'varchar' WHERE column_name = 'event_time'",
        "varchar",
    ),
    ("UPDATE ducklake_table SET path = 'elsewhere/' WHERE table_id = 2", "elsewhere"),
    (
        "UPDATE trailhound_ingest_ledger SET stored = stored - 1, duplicate = duplicate + 1 WHERE snapshot_id = 2",
        "commit recorded",
    ),
    (
        "UPDATE trailhound_ingest_ledger SET source = 'other' WHERE snapshot_id = 2",
        "commit recorded",
    ),
    ("DELETE FROM trailhound_ingest_ledger WHERE snapshot_id = 2", "commit recorded"),
    ("DELETE FROM ducklake_snapshot_changes WHERE snapshot_id = 2", "without changes"),
    (
        "UPDATE ducklake_snapshot_changes SET commit_extra_info = '{' WHERE snapshot_id = 2",
        "is no ledger",
    ),
    ("DELETE FROM ducklake_snapshot WHERE snapshot_id = 4", "last written"),
    ("UPDATE trailhound_position SET records = records + 5", "were read"),
    ("UPDATE trailhound_position SET snapshot_id = 77", "no snapshot"),
    ("UPDATE trailhound_file_checksum SET xxh3 = '00' WHERE data_file_id = 1", "checksum"),
    ("UPDATE trailhound_rule_cursor SET snapshot_id = 99", "has run up to"),
    ("UPDATE trailhound_latest_finding SET status = 'withdrawn'", "its status"),
    (
        "UPDATE trailhound_latest_finding SET finding = replace(finding, 'info', 'high')",
        "its severity",
    ),
    (
        "INSERT INTO trailhound_outbox_message VALUES ('s', 'nothing', 1, 'high', 'pending', '', 0, 0, 0, 0, 0, '', '', 'finding')",
        "cannot be",
    ),
];

/// Edits that leave a lake which could have come about: only a signature over the commits and the log could show them.
const ONLY_A_SIGNATURE: [&str; 5] = [
    // The source is read again, and what is stored already is a duplicate.
    "DELETE FROM trailhound_position WHERE snapshot_id = 2",
    // No rule looks at these commits again; `lake verify --findings` shows what would be found.
    "UPDATE trailhound_rule_cursor SET snapshot_id = 1",
    "DELETE FROM trailhound_latest_finding",
    "DELETE FROM trailhound_outbox_message",
    "DELETE FROM trailhound_query_log",
];

/// A lake `lake` of four commits with a finding and a cursor.
fn seeded() -> Program {
    let program = Program::new();
    runtime().block_on(async {
        let lake = open(&program.path("lake")).await;
        for number in 0..4_i64 {
            let event = |hour| {
                event_of(&format!("u{number}"), &format!("2026-09-1{}T0{hour}:00:00Z", number % 2))
            };
            let text = format!("{}\n{}\n{}\nno event", event(1), event(2), event(3));
            let path = program.write(&format!("in/{number}.json"), text);
            ingest_at(&lake, &path, NOW_MICROS + number * 1_000_000).await.expect("ingested");
        }
        let context = StoreContext { now: NOW_MICROS, ..StoreContext::default() };
        let ran = [("AT-ROOT-001".to_owned(), "1.0.0".to_owned())];
        let findings = [sample_finding(NOW_MICROS)];
        let stored = &mut StoreSummary::default();
        store_findings(lake.writer_pool(), &findings, &[], &ran, 4, context, stored)
            .await
            .expect("stored");
        lake.catalog().close().await;
        lake.writer_pool().close().await;
    });
    program
}

/// What `lake verify` finds in the lake `folder` after `statements`.
async fn problems_after(folder: &Path, statements: &[String]) -> Vec<String> {
    let url = format!("sqlite://{}", folder.join("catalog.sqlite").display());
    let mut catalog = sqlx::SqliteConnection::connect(&url).await.expect("a catalog");
    for statement in statements {
        let done = sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(&mut catalog).await;
        done.unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    catalog.close().await.expect("closed");
    let lake = open(folder).await;
    let verified = lake.verify().await.expect("verified");
    let mut found: Vec<String> = verified.problems.iter().map(ToString::to_string).collect();
    let newest = lake.snapshot().await.expect("asked");
    found.extend(store_problems(lake.catalog(), newest).await.expect("asked"));
    lake.catalog().close().await;
    lake.writer_pool().close().await;
    found
}

#[test]
fn edits_of_the_catalog_are_found_or_leave_a_lake_that_could_be() {
    let program = seeded();
    let runtime = runtime();
    let after = |number: usize, statement: &str| {
        let copy = program.path(&format!("copy{number}"));
        copy_folder(&program.path("lake"), &copy);
        let found = runtime.block_on(problems_after(&copy, &[statement.to_owned()]));
        std::fs::remove_dir_all(&copy).expect("removed");
        found
    };
    assert_eq!(after(0, "SELECT 1"), Vec::<String>::new(), "unedited");
    let mut missed = Vec::new();
    for (number, (statement, says)) in FOUND.into_iter().enumerate() {
        let found = after(number, statement);
        if !found.iter().any(|problem| problem.contains(says)) {
            missed.push(format!("{statement}: {found:#?}"));
        }
    }
    assert!(missed.is_empty(), "not found:\n{}", missed.join("\n"));
    for (number, statement) in ONLY_A_SIGNATURE.into_iter().enumerate() {
        assert_eq!(after(number, statement), Vec::<String>::new(), "{statement}");
    }
    println!("{} edits found, {} only by a signature", FOUND.len(), ONLY_A_SIGNATURE.len());
}

/// Statements that make the books say what the file `path`, which stands for the data file `id`, is.
fn mended_books(path: &Path, id: i64, rows: i64) -> Vec<String> {
    let digest = FileDigest::of(std::fs::File::open(path).expect("a file")).expect("readable");
    let content = std::fs::read(path).expect("readable");
    let footer: [u8; 4] = content[content.len() - 8..content.len() - 4].try_into().expect("four");
    let footer = u32::from_le_bytes(footer);
    vec![
        format!(
            "UPDATE ducklake_data_file SET file_size_bytes = {}, footer_size = {footer}, record_count = {rows} WHERE data_file_id = {id}",
            digest.bytes
        ),
        format!(
            "UPDATE trailhound_file_checksum SET xxh3 = '{}' WHERE data_file_id = {id}",
            digest.xxh3
        ),
        "UPDATE ducklake_table_stats SET record_count = (SELECT sum(record_count) FROM ducklake_data_file f WHERE f.table_id = ducklake_table_stats.table_id), \
         file_size_bytes = (SELECT sum(file_size_bytes) FROM ducklake_data_file f WHERE f.table_id = ducklake_table_stats.table_id) WHERE table_id < 3"
            .to_owned(),
    ]
}

#[test]
fn files_exchanged_with_mended_books_are_found() {
    let program = seeded();
    let other = Program::new();
    // A lake with other content in files of the same form: 2 rows and 3 rows.
    runtime().block_on(async {
        let lake = open(&other.path("lake")).await;
        for (number, hours) in [(0, vec![1, 2]), (1, vec![1, 2, 4])] {
            let event = |hour: &i32| event_of("u0", &format!("2026-09-10T0{hour}:00:00Z"));
            let events: Vec<String> = hours.iter().map(event).collect();
            let path = other.write(&format!("in/{number}.json"), events.join("\n"));
            ingest_at(&lake, &path, NOW_MICROS).await.expect("ingested");
        }
        lake.catalog().close().await;
    });
    let fewer = data_files(&other.path("lake/files/main/events"))[0].clone();
    let first = |folder: &Path| data_files(&folder.join("files/main/events"))[0].clone();
    let mended_ledger = |removed: i64| {
        vec![
            format!(
                "UPDATE trailhound_ingest_ledger SET stored = stored - {removed}, received = received - {removed} WHERE snapshot_id = 1"
            ),
            format!(
                "UPDATE trailhound_position SET records = records - {removed} WHERE snapshot_id = 1"
            ),
        ]
    };
    let runtime = runtime();
    let copy = program.path("copy");
    copy_folder(&program.path("lake"), &copy);
    let target = first(&copy);
    std::fs::copy(&fewer, &target).expect("copied");
    // A row less, with size, checksum, sums, ledger and position mended.
    let statements = [mended_books(&target, 0, 2), mended_ledger(1)].concat();
    let found = runtime.block_on(problems_after(&copy, &statements));
    assert!(found.iter().any(|problem| problem.contains("commit recorded")), "{found:?}");
    assert!(found.iter().any(|problem| problem.contains("range")), "{found:?}");
    std::fs::remove_dir_all(&copy).expect("removed");
    // The files of two tables exchanged, with the books mended: the columns are others.
    copy_folder(&program.path("lake"), &copy);
    let quarantine = data_files(&copy.join("files/main/quarantine"))[0].clone();
    let target = first(&copy);
    std::fs::copy(&quarantine, &target).expect("copied");
    let found = runtime.block_on(problems_after(&copy, &mended_books(&target, 0, 3)));
    assert!(found.iter().any(|problem| problem.contains("columns are not")), "{found:?}");
    std::fs::remove_dir_all(&copy).expect("removed");
    // Every bit of a footer flipped in turn would take long: every fiftieth, with the checksum mended.
    let footer = std::fs::read(first(&program.path("lake"))).expect("readable").len();
    for at in (footer.saturating_sub(3000)..footer).step_by(150) {
        copy_folder(&program.path("lake"), &copy);
        let target = first(&copy);
        let mut content = std::fs::read(&target).expect("readable");
        content[at] ^= 0x55;
        std::fs::write(&target, &content).expect("written");
        // It must neither end the program nor pass unseen where it changes what is read.
        runtime.block_on(problems_after(&copy, &mended_books(&target, 0, 3)[1..2]));
        std::fs::remove_dir_all(&copy).expect("removed");
    }
}
