//! Bytes to lake: sources, decoding, batching, deduplication, quarantine, and the one commit that makes a batch part of
//! the lake. Knows nothing of rules, SQL or the command line.
//!
//! ```text
//! source ──> decode ──> batch ──> lake
//!              └──────> quarantine ─^
//! ```

mod batch;
pub mod decode;
mod dedup;
pub mod lake;
mod ledger;
pub mod live;
mod lock;
mod pipeline;
mod progress;
mod queue;
pub mod secret;
pub mod source;
mod staging;

pub use ledger::Ledger;
pub use progress::{Progress, ProgressNow};

use decode::Limits;
use lake::{CatalogError, Lake, WriterLock};
use serde::Serialize;
use source::files::{FilesError, Inputs};
use std::collections::BTreeMap;
use thiserror::Error;

/// How to run an ingest.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// Bounds on what one object may cost.
    pub limits: Limits,
    /// Threads that decode and encode.
    pub workers: usize,
    /// Events between two commits: what a crash makes the next run read again.
    pub flush_rows_max: u64,
    /// Event keys held between commits, about 25 bytes each.
    pub keys_max: usize,
    /// The present, microseconds since 1970 UTC: dates the rows and decides what is out of range.
    pub now_micros: i64,
    /// Events older than this are counted as expired and not stored; likewise.
    pub oldest_micros: Option<i64>,
}

impl IngestOptions {
    /// The defaults at `now_micros`, with a worker per core.
    #[must_use]
    pub fn at(now_micros: i64) -> Self {
        Self {
            limits: Limits::default(),
            workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            flush_rows_max: 1_000_000,
            keys_max: 2 << 20,
            now_micros,
            oldest_micros: None,
        }
    }
}

/// What an ingest did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct IngestReport {
    /// Records by what became of them.
    #[serde(flatten)]
    pub ledger: Ledger,
    /// Objects read in this run.
    pub objects: u64,
    /// Objects the lake had already, by size and time of change; not read.
    pub objects_unchanged: u64,
    /// Objects whose content broke off.
    pub objects_partial: u64,
    /// Objects that could not be opened, with the reason.
    pub unreadable: Vec<(String, String)>,
    /// Things odd about single objects.
    pub notes: Vec<(String, String)>,
    /// Quarantined records by reason.
    pub quarantine_reasons: BTreeMap<String, u64>,
    /// Commits made.
    pub commits: u64,
    /// Files of a crashed run that were removed first.
    pub swept_files: u64,
    /// The lake's newest snapshot afterwards.
    pub snapshot: i64,
}

impl IngestReport {
    /// True where some input was set aside or could not be read.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.ledger.quarantined > 0 || !self.unreadable.is_empty() || self.objects_partial > 0
    }
}

/// Why an ingest failed as a whole.
#[derive(Debug, Error)]
pub enum IngestError {
    /// The lake could not be used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The paths lead nowhere.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A thread of the pipeline died.
    #[error("the ingest broke off inside; nothing uncommitted was kept, run it again. {0}")]
    Internal(String),
}

/// Ingests `inputs` into `lake`.
///
/// # Errors
/// [`IngestError`]; everything committed before the error stays, nothing else does.
pub async fn ingest(
    lake: &Lake,
    inputs: Inputs,
    options: &IngestOptions,
    progress: std::sync::Arc<Progress>,
) -> Result<IngestReport, IngestError> {
    let lock = WriterLock::take(lake)?;
    let swept_files = if lock.after_crash() { lake.sweep(&lock).await? } else { 0 };
    let runtime = tokio::runtime::Handle::current();
    let (lake_there, options_there) = (lake.clone(), options.clone());
    let run = tokio::task::spawn_blocking(move || {
        pipeline::run(&lake_there, &runtime, inputs.inputs, &options_there, &progress)
    })
    .await;
    let mut report = run.map_err(|e| IngestError::Internal(e.to_string()))??;
    report.unreadable.extend(inputs.unreadable);
    lock.release()?;
    Ok(IngestReport {
        ledger: report.ledger,
        objects: report.objects,
        objects_unchanged: report.unchanged,
        objects_partial: report.partial,
        unreadable: report.unreadable,
        notes: report.notes,
        quarantine_reasons: report
            .reasons
            .into_iter()
            .map(|(code, count)| (code.to_owned(), count))
            .collect(),
        commits: report.commits,
        swept_files,
        snapshot: lake.snapshot().await?,
    })
}

/// Decodes `content` (in any layout the decoder knows) into one batch of `events` rows, without a lake: for trying rules on
/// a few events. Positions count from 0; duplicates stay.
///
/// # Errors
/// The first reject's sentence: a test case with broken events is a broken test case.
pub fn decode_to_batch(
    content: &[u8],
    now_micros: i64,
) -> Result<arrow::array::RecordBatch, String> {
    let mut rows = batch::Rows::new(now_micros);
    // The sink never stops, so neither does the decoder.
    let _ =
        decode::object(std::io::Cursor::new(content.to_vec()), None, &Limits::default(), &mut rows);
    rows.finish()
}
