//! Locks a mutex even after a thread panicked while it held it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex` and ignores poisoning. No panic leaves guarded data inconsistent in this crate: each critical section sets
/// a value as a whole, and a commit is made from finished parts only.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
