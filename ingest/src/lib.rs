//! Ingests bytes into the lake: reads sources, decodes records, removes duplicates, writes Parquet files, and commits them
//! together with positions and ledger in one transaction. The crate knows no rules, no SQL engine and no command line.
//!
//! ```text
//! source ──> decode ──> batch ──> lake
//!              └──────> quarantine ─^
//! ```

mod batch;
mod clock;
pub mod decode;
mod dedup;
mod fact_counts;
pub mod lake;
mod ledger;
pub mod live;
mod lock;
mod options;
mod pipeline;
mod progress;
mod queue;
mod reject_keys;
mod report;
pub mod reread;
mod sample;
pub mod secret;
pub mod source;
mod staging;
pub mod supervisor;
pub mod survey;

pub use clock::{CheckedClock, Clock};
pub use fact_counts::{FactCounts, FactStates, SourceFacts};
pub use ledger::Ledger;
pub use options::IngestOptions;
pub use progress::{Progress, ProgressCounters};
pub use report::{IngestError, IngestReport};
pub use sample::DecodedSample;

use lake::{Lake, WriterLock};
use source::files::Inputs;

/// Ingests `inputs` into `lake`.
///
/// # Errors
/// [`IngestError`]. What was committed before the error stays in the lake; nothing else does.
pub async fn ingest(
    lake: &Lake,
    inputs: Inputs,
    options: &IngestOptions,
    progress: std::sync::Arc<Progress>,
) -> Result<IngestReport, IngestError> {
    let lock = WriterLock::take(lake).await?;
    let now = options.now_micros;
    let swept_files = if lock.after_crash() { lake.sweep(&lock, now).await? } else { 0 };
    let runtime = tokio::runtime::Handle::current();
    let (pipeline_lake, pipeline_options) = (lake.clone(), options.clone());
    let run = supervisor::run_blocking(move || {
        pipeline::run(&pipeline_lake, &runtime, inputs.inputs, &pipeline_options, &progress)
    })
    .await;
    let mut report = run.map_err(IngestError::Internal)??;
    report.unreadable.extend(inputs.unreadable);
    lock.release()?;
    report.swept_files = swept_files;
    report.snapshot = lake.snapshot().await?;
    Ok(report)
}

/// Decodes `content`, in any layout that the decoder reads, into one batch of `events` rows, without a lake: for trying
/// rules on a few events. Positions count from 0; duplicates stay. `now_micros` is the present, microseconds since 1970
/// UTC.
///
/// # Errors
/// A description of the first reject: a test case whose events cannot be decoded is wrong.
pub fn decode_to_batch(
    content: &[u8],
    now_micros: i64,
) -> Result<arrow::array::RecordBatch, String> {
    let (rows, rejects) = decode_with_rejects(content, now_micros);
    rejects.into_iter().next().map_or(Ok(rows), Err)
}

/// Like [`decode_to_batch`], but with the rows of the events that could be decoded and a description of each reject.
#[must_use]
pub fn decode_with_rejects(
    content: &[u8],
    now_micros: i64,
) -> (arrow::array::RecordBatch, Vec<String>) {
    let mut sink = batch::BatchSink::new(now_micros);
    let content = std::io::Cursor::new(content.to_vec());
    // This sink never stops the decoder, and its rejects tell whether the content was complete.
    let _ = decode::object(content, None, &decode::DecodeLimits::default(), &mut sink);
    sink.finish()
}
