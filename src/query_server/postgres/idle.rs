//! Ends a connection that is idle for longer than a setting allows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// Locks a mutex, also after a panic elsewhere.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches how long a connection is idle.
#[derive(Debug, Default)]
pub(super) struct IdleWatch(Mutex<Option<AbortHandle>>);

impl IdleWatch {
    /// The connection is idle from now on. After `timeout` its process ends.
    pub(super) fn start(&self, timeout: Option<Duration>) {
        self.stop();
        let Some(timeout) = timeout else { return };
        #[expect(
            clippy::disallowed_methods,
            reason = "in the process of one connection, which it ends"
        )]
        let watch = tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            std::process::exit(0);
        });
        *lock(&self.0) = Some(watch.abort_handle());
    }

    /// The connection is not idle.
    pub(super) fn stop(&self) {
        if let Some(watch) = lock(&self.0).take() {
            watch.abort();
        }
    }
}
