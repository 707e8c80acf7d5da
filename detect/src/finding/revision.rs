//! One revision of a finding: the content to store and the content stored before.

use crate::finding::Finding;

/// A new finding, or a stored finding whose content has changed.
pub(crate) struct FindingRevision<'f> {
    /// The finding as it is now.
    pub(crate) finding: &'f Finding,
    /// Number of the revision, from 1.
    pub(crate) revision: i64,
    /// The finding as JSON.
    pub(crate) body: String,
    /// The content of the revision before; `None` for a new finding.
    pub(crate) before: Option<Finding>,
}
