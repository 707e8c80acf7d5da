//! Where the shell's statements run: on threads of their own, so that one which never yields keeps nothing else from running. Those threads
//! are left behind when it is cancelled, and new ones take their place.

use crate::exit::Failure;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// How long a cancelled statement may take to end.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) struct Engine(Option<Runtime>);

impl Engine {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self(Some(runtime()?)))
    }

    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<JoinHandle<T>, Failure> {
        let runtime = self
            .0
            .as_ref()
            .ok_or_else(|| Failure::Internal("the shell's engine has ended".to_owned()))?;
        Ok(runtime.spawn(future))
    }

    /// Calls `task` off; true where it has ended, false where it computes on, on threads that nothing else uses.
    pub(super) async fn cancel<T>(&mut self, mut task: JoinHandle<T>) -> Result<bool, Failure> {
        task.abort();
        // The task itself may end while what it has set going does not: only an idle engine is one that goes on being used.
        let ended = tokio::time::timeout(PATIENCE, &mut task).await.is_ok()
            && tokio::time::timeout(PATIENCE, self.is_idle()).await.is_ok();
        if !ended && let Some(old) = self.0.replace(runtime()?) {
            old.shutdown_background();
        }
        Ok(ended)
    }

    /// Returns when no task is left.
    async fn is_idle(&self) {
        while self.0.as_ref().is_some_and(|runtime| runtime.metrics().num_alive_tasks() > 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread().enable_all().build().map_err(Failure::internal)
}
