//! Forgetting old snapshots: their files go, and nothing of what the lake holds or has counted.

use std::path::PathBuf;
use std::sync::Arc;
use trailhound_ingest::lake::Lake;
use trailhound_ingest::source::files;
use trailhound_ingest::{IngestOptions, Progress, ingest};

/// 2026-10-01T00:00:00Z.
const NOW: i64 = 1_790_812_800_000_000;
const HOUR: i64 = 3_600_000_000;

fn held(lake: &Lake) -> usize {
    let below = walkdir::WalkDir::new(lake.files_folder()).into_iter().map(|entry| entry.expect("a folder"));
    below.filter(|entry| entry.file_type().is_file()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_snapshots_go_with_the_files_only_they_could_see() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::create_or_open(&folder.path().join("lake")).await.expect("a lake");
    for number in 0..8 {
        let path: PathBuf = folder.path().join(format!("{number}.json"));
        std::fs::write(&path, format!(r#"{{"eventId":"{number}","eventTime":"2026-09-30T10:00:00Z"}}"#)).expect("a file");
        let inputs = files::find(&[path.display().to_string()]).expect("a file");
        ingest(&lake, inputs, &IngestOptions::at(NOW + number * HOUR), Arc::new(Progress::default())).await.expect("ingested");
    }
    assert_eq!(lake.compact(NOW + 8 * HOUR).await.expect("compacted").merged, 8);
    assert_eq!(held(&lake), 9, "the merged ones are there for whoever reads an older snapshot");
    let before = lake.info().await.expect("info");
    // A rule that has seen up to the third snapshot still needs what came after.
    assert_eq!(lake.expire_snapshots(NOW + 100 * HOUR, 3).await.expect("expired"), 0);
    assert_eq!(lake.files_since(3, 9).await.expect("read").len(), 5);
    // An hour that a reader may still be in is kept.
    assert_eq!(lake.expire_snapshots(NOW + 7 * HOUR, i64::MAX).await.expect("expired"), 0);
    assert_eq!(lake.expire_snapshots(NOW + 9 * HOUR, i64::MAX).await.expect("expired"), 8);
    assert_eq!(held(&lake), 1);
    let after = lake.info().await.expect("info");
    assert_eq!((after.events, &after.ledger), (before.events, &before.ledger));
    assert_eq!(after.sources.len(), before.sources.len());
    let verified = lake.verify().await.expect("verified");
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
}
