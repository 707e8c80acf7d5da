//! A revision: what a finding says that it did not say before.

use crate::finding::Finding;

/// What a finding says that it did not say before.
pub(crate) struct FindingRevision<'f> {
    pub(crate) finding: &'f Finding,
    pub(crate) revision: i64,
    /// The finding's text.
    pub(crate) body: String,
    /// What was kept of it until now.
    pub(crate) before: Option<Finding>,
}
