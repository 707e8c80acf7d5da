//! Taking a mutex whatever happened to the thread that held it before.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A thread that panicked has left nothing half done behind a lock here: what locks guard is set whole, and every commit
/// is made from finished parts.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
