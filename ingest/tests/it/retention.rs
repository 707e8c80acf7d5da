//! Expired snapshots and days beyond the retention: their files are removed, and the ledger stays exact.

use crate::support::event_at;
use std::path::PathBuf;
use std::sync::Arc;
use trailhound_ingest::lake::Lake;
use trailhound_ingest::source::files;
use trailhound_ingest::{IngestOptions, Progress, ingest};

/// 2026-10-01T00:00:00Z.
const NOW: i64 = 1_790_812_800_000_000;
const HOUR: i64 = 3_600_000_000;

fn held(lake: &Lake) -> usize {
    let below = walkdir::WalkDir::new(lake.files_folder())
        .into_iter()
        .map(|entry| entry.expect("a folder"));
    below.filter(|entry| entry.file_type().is_file()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_snapshots_are_removed_with_files_only_they_reference() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::create_or_open(&folder.path().join("lake"), &[], 0).await.expect("a lake");
    for number in 0..8 {
        let path: PathBuf = folder.path().join(format!("{number}.json"));
        std::fs::write(&path, event_at(&number.to_string(), "2026-09-30T10:00:00Z"))
            .expect("a file");
        let inputs = files::find(&[path.display().to_string()]).expect("a file");
        ingest(
            &lake,
            inputs,
            &IngestOptions::at(NOW + number * HOUR),
            Arc::new(Progress::default()),
        )
        .await
        .expect("ingested");
    }
    assert_eq!(lake.compact(NOW + 8 * HOUR).await.expect("compacted").files_merged, 8);
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

const DAY: i64 = 24 * HOUR;

/// Ingests these events (id and time) with something that is no event beside them: stored, expired, duplicate.
async fn bring(
    lake: &Lake,
    folder: &std::path::Path,
    events: &[(&str, &str)],
    options: IngestOptions,
) -> (u64, u64, u64) {
    let path = folder.join(format!("{}.json", options.now_micros));
    let event = |(id, time): &(&str, &str)| event_at(id, time);
    let lines: Vec<String> = events.iter().map(event).chain(["no event".to_owned()]).collect();
    std::fs::write(&path, lines.join("\n")).expect("a file");
    let inputs = files::find(&[path.display().to_string()]).expect("a file");
    let ledger = ingest(lake, inputs, &options, Arc::new(Progress::default()))
        .await
        .expect("ingested")
        .ledger;
    (ledger.stored, ledger.expired, ledger.duplicate)
}

#[tokio::test(flavor = "multi_thread")]
async fn days_beyond_the_retention_are_dropped_and_the_ledger_stays_exact() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::create_or_open(&folder.path().join("lake"), &[], 0).await.expect("a lake");
    let old = [
        ("a", "2026-08-01T10:00:00Z"),
        ("b", "2026-08-02T10:00:00Z"),
        ("c", "2026-09-20T00:00:00Z"),
        ("d", "no time at all"),
    ];
    bring(&lake, folder.path(), &old, IngestOptions::at(NOW - 12 * DAY)).await;
    bring(&lake, folder.path(), &[("e", "2026-09-30T10:00:00Z")], IngestOptions::at(NOW)).await;
    let before = lake.info().await.expect("info");
    assert_eq!((before.events, before.quarantined), (5, 2));
    let oldest = NOW - 11 * DAY;
    // 2026-09-20 is the oldest day that stays: what was ingested before it without a time goes as well.
    let dropped = lake.drop_days_before(oldest, NOW).await.expect("dropped");
    assert_eq!(dropped.rows, 4);
    let after = lake.info().await.expect("info");
    assert_eq!((after.events, after.quarantined), (2, 1));
    let ledger = after.ledger;
    assert!(ledger.is_exact());
    assert_eq!((ledger.received, ledger.stored, ledger.quarantined, ledger.expired), (7, 2, 1, 4));
    assert_eq!(lake.drop_days_before(oldest, NOW).await.expect("dropped").files, 0, "once");
    // What comes again from before the retention is not stored anew.
    let mut options = IngestOptions::at(NOW + HOUR);
    options.oldest_micros = Some(oldest);
    let again = bring(&lake, folder.path(), &old[..3], options).await;
    assert_eq!(again, (0, 2, 1));
    let verified = lake.verify().await.expect("verified");
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    // Snapshots forgotten, the files are gone and the sums are the same.
    lake.expire_snapshots(NOW + 2 * HOUR, i64::MAX).await.expect("forgotten");
    let left = lake.info().await.expect("info");
    assert_eq!(held(&lake) as u64, left.files);
    assert!(left.ledger.is_exact());
    let verified = lake.verify().await.expect("verified");
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_a_share_of_the_lake_is_dropped_within_a_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::create_or_open(&folder.path().join("lake"), &[], 0).await.expect("a lake");
    let times: Vec<String> = (1..=10).map(|day| format!("2026-08-{day:02}T10:00:00Z")).collect();
    let events: Vec<(&str, &str)> =
        times.iter().map(|time| (time.as_str(), time.as_str())).collect();
    bring(&lake, folder.path(), &events, IngestOptions::at(NOW)).await;
    let drop_at = async |now: i64| {
        let dropped = lake.drop_days_within(NOW - DAY, now, Some(0.25)).await.expect("dropped");
        (dropped.rows, dropped.held_rows)
    };
    // Of eleven rows, one of them quarantined, two make less than a quarter; they are the oldest.
    assert_eq!(drop_at(NOW).await, (2, 8));
    assert_eq!(drop_at(NOW + HOUR).await, (0, 8), "the same day");
    assert_eq!(drop_at(NOW + DAY).await, (2, 6), "the next day");
    // A day of drops that begins in the future was written by a wrong clock, and does not stop the retention.
    assert_eq!(drop_at(NOW - 30 * DAY).await, (1, 5));
    let info = lake.info().await.expect("info");
    assert_eq!((info.events, info.ledger.expired), (5, 5));
    let unlimited = lake.drop_days_before(NOW - DAY, NOW).await.expect("dropped");
    assert_eq!((unlimited.rows, unlimited.held_rows), (5, 0));
    let verified = lake.verify().await.expect("verified");
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
}
