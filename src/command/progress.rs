//! The progress bar of an ingest, on standard error if that is a terminal.

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trailhound_ingest::Progress;
use trailhound_ingest::source::files::{Input, Inputs};

/// Draws the progress until it is dropped.
pub(super) struct ProgressDisplay {
    bar: ProgressBar,
    task: tokio::task::JoinHandle<()>,
}

/// Starts to draw how far `inputs` are read, ten times per second. `None` if standard error is not
/// a terminal.
pub(super) fn show(progress: &Arc<Progress>, inputs: &Inputs) -> Option<ProgressDisplay> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let bytes = inputs.inputs.iter().filter_map(|input| match input {
        Input::File(path) => path.metadata().ok().map(|metadata| metadata.len()),
        Input::Stdin => None,
    });
    let (files, bar) = (inputs.inputs.len(), ProgressBar::new(bytes.sum()));
    let style = ProgressStyle::with_template("{spinner} {wide_bar} {percent}% {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    let (watched, drawn) = (Arc::clone(progress), bar.clone());
    let started = Instant::now();
    #[expect(clippy::disallowed_methods, reason = "it only draws")]
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = watched.counters();
            let rate = now.bytes as f64 / 1e6 / started.elapsed().as_secs_f64();
            drawn.set_position(now.bytes);
            drawn.set_message(format!(
                "{}/{files} files, {} events, {rate:.0} MB/s, {} quarantined",
                now.objects_done,
                HumanCount(now.events),
                now.quarantined
            ));
        }
    });
    Some(ProgressDisplay { bar, task })
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}
