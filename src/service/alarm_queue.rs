//! Findings about the service itself that are not stored yet.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use trailhound_detect::Finding;

/// Findings that wait. More are dropped, which the log says; `/readyz` says what does not work.
const WAITING_MAX: usize = 256;

/// Findings that are not stored yet. Any thread may add one, without waiting.
#[derive(Default)]
pub(super) struct AlarmQueue {
    waiting: Mutex<VecDeque<Finding>>,
    /// Notified when a finding was added.
    pub(super) added: Notify,
}

impl AlarmQueue {
    /// The findings that wait, oldest first.
    pub(super) fn waiting(&self) -> MutexGuard<'_, VecDeque<Finding>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a finding, unless it waits already.
    pub(super) fn add(&self, finding: Finding) {
        let mut waiting = self.waiting();
        let is_known = waiting.iter().any(|known| known.finding_id == finding.finding_id);
        if !is_known && waiting.len() < WAITING_MAX {
            waiting.push_back(finding);
        } else if !is_known {
            tracing::error!(
                finding = finding.finding_id,
                rule = finding.rule_id,
                "a finding about the service is lost: too many wait for the catalog"
            );
        }
        self.added.notify_one();
    }
}
