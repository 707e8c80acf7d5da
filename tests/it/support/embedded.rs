//! Lakes that the tests fill and damage in their own process: thousands of steps start no program.

use crate::support::program::Program;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use trailhound_ingest::lake::{CatalogError, Lake};
use trailhound_ingest::source::files;
use trailhound_ingest::{IngestError, IngestOptions, IngestReport, Progress, ingest};

/// 2026-10-01T00:00:00Z, the present of the tests.
pub(crate) const NOW_MICROS: i64 = 1_790_812_800_000_000;

/// A runtime for what a test does in its own process.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// The lake in `folder`, with the tables of every crate; made where there is none.
pub(crate) async fn open(folder: &Path) -> Lake {
    let tables = [trailhound_detect::store::TABLES];
    Lake::create_or_open(folder, &tables, NOW_MICROS).await.unwrap_or_else(|e| panic!("{e}"))
}

/// How long another test's child may hold the writer lock.
const LOCK_TIME_MAX: Duration = Duration::from_secs(30);

/// Ingests the file `path` into `lake` at `now`. A process that another test has just started holds the files of this one, and
/// so the lock of the ingest before, until it is another program.
pub(crate) async fn ingest_at(
    lake: &Lake,
    path: &Path,
    now: i64,
) -> Result<IngestReport, IngestError> {
    let begun = Instant::now();
    loop {
        let inputs = files::find(&[path.display().to_string()]).expect("a file");
        let options = IngestOptions::at(now);
        match ingest(lake, inputs, &options, Arc::new(Progress::default())).await {
            Err(IngestError::Catalog(CatalogError::Locked { .. }))
                if begun.elapsed() < LOCK_TIME_MAX =>
            {
                tokio::task::yield_now().await;
            }
            ingested => return ingested,
        }
    }
}

/// An event of the user `name` at `time`.
pub(crate) fn event_of(name: &str, time: &str) -> String {
    format!(
        r#"{{"eventId":"id-{name}-{time}","eventName":"DescribeInstances","eventTime":"{time}","serviceName":"Ecs","acsRegion":"cn-hangzhou","sourceIpAddress":"198.51.100.9","userIdentity":{{"type":"ram-user","accountId":"1000000000000001","principalId":"2","userName":"{name}"}}}}"#
    )
}

/// Fills the lake `lake` of `program` with one file of three events for each of `counts[day]` commits of the day
/// 2026-09-(10 + day).
pub(crate) fn fill_days(program: &Program, lake: &str, counts: &[u32]) {
    runtime().block_on(async {
        let opened = open(&program.path(lake)).await;
        let days = counts.iter().enumerate();
        for (day, number) in days.flat_map(|(day, count)| (0..*count).map(move |n| (day, n))) {
            let name = format!("in/{day}-{number}.json");
            let time = |hour: u32| format!("2026-09-{}T{hour:02}:00:00Z", 10 + day);
            let events: Vec<String> =
                (1..4).map(|hour| event_of(&format!("user{day}x{number}"), &time(hour))).collect();
            let path = program.write(&name, events.join("\n"));
            ingest_at(&opened, &path, NOW_MICROS + i64::from(number)).await.expect("ingested");
        }
        opened.catalog().close().await;
        opened.writer_pool().close().await;
    });
}

/// The data files below `folder`, in order of name: that in which they were written.
pub(crate) fn data_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "parquet"))
        .map(walkdir::DirEntry::into_path)
        .collect();
    files.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    files
}

/// Flips one bit of the file `path`, at `part` thousandths of its length.
pub(crate) fn flip_bit(path: &Path, part: usize) {
    let mut content = std::fs::read(path).expect("readable");
    let at = content.len() * part / 1000;
    content[at] ^= 1;
    std::fs::write(path, content).expect("written");
}
