//! Runs the shell's statements on a thread pool of their own, so that a statement that never yields
//! blocks nothing else. When such a statement is cancelled, its thread pool is abandoned and a new
//! one takes its place.

use crate::exit::Failure;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// How long a cancelled statement may take to end before its thread pool is abandoned.
const CANCEL_TIME_MAX: Duration = Duration::from_millis(500);
/// How often the pool is checked for tasks that are still alive.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A replaceable thread pool. It is only `None` while it is dropped.
pub(super) struct StatementRuntime(Option<Runtime>);

impl StatementRuntime {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`Failure::Internal`]: the threads cannot be started.
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self(Some(start_threads()?)))
    }

    /// Starts `future` on the thread pool.
    ///
    /// # Errors
    /// [`Failure::Internal`]: the pool is being dropped.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<JoinHandle<T>, Failure> {
        let runtime = self
            .0
            .as_ref()
            .ok_or_else(|| Failure::Internal("the shell's thread pool has ended".to_owned()))?;
        #[expect(clippy::disallowed_methods, reason = "the caller waits for it and sees its end")]
        let task = runtime.spawn(future);
        Ok(task)
    }

    /// Cancels `task`. Returns false if it still computes, on threads that are now abandoned.
    ///
    /// # Errors
    /// [`Failure::Internal`]: new threads cannot be started.
    pub(super) async fn cancel<T>(&mut self, mut task: JoinHandle<T>) -> Result<bool, Failure> {
        task.abort();
        // The task may end before the tasks that it has spawned. The pool is only reused when none
        // of them is left.
        let ended = tokio::time::timeout(CANCEL_TIME_MAX, &mut task).await.is_ok()
            && tokio::time::timeout(CANCEL_TIME_MAX, self.wait_until_idle()).await.is_ok();
        if !ended && let Some(old) = self.0.replace(start_threads()?) {
            old.shutdown_background();
        }
        Ok(ended)
    }

    async fn wait_until_idle(&self) {
        while self.0.as_ref().is_some_and(|runtime| runtime.metrics().num_alive_tasks() > 0) {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for StatementRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn start_threads() -> Result<Runtime, Failure> {
    Builder::new_multi_thread().enable_all().build().map_err(Failure::internal)
}
