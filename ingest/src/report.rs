//! The result of an ingest: its report, or why it failed.

use crate::decode::ReadFault;
use crate::fact_counts::{FactCounts, SourceFacts};
use crate::lake::CatalogError;
use crate::ledger::Ledger;
use crate::source::files::FilesError;
use serde::Serialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// Result of an ingest run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct IngestReport {
    /// Records by outcome.
    #[serde(flatten)]
    pub ledger: Ledger,
    /// Objects read.
    pub objects: u64,
    /// Objects not read, because the lake holds the content with their size and modification time.
    pub objects_unchanged: u64,
    /// Objects whose content ended early.
    pub objects_partial: u64,
    /// Objects that could not be opened, with the reason.
    pub unreadable: Vec<(String, String)>,
    /// Oddities of objects: object and note.
    pub notes: Vec<(String, String)>,
    /// Quarantined records by reject code.
    pub quarantine_reasons: BTreeMap<String, u64>,
    /// How many stored events of each source had a fact that was not understood, by fact. Sources of
    /// which every fact was understood are left out.
    pub not_understood: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// The facts of the stored events of all sources.
    #[serde(skip)]
    pub facts: FactCounts,
    /// Number of commits.
    pub commits: u64,
    /// Files of a crashed run that were moved aside before this one started.
    pub swept_files: u64,
    /// The lake's newest snapshot after the run.
    pub snapshot: i64,
}

impl IngestReport {
    /// Adds the facts of stored events.
    pub(crate) fn add_facts(&mut self, sources: &SourceFacts) {
        for (source, facts) in sources {
            self.facts.add(facts);
            for (fact, states) in facts.facts().filter(|(_, states)| states.not_understood > 0) {
                let of_source = self.not_understood.entry(source.clone()).or_default();
                *of_source.entry(fact.name()).or_default() += states.not_understood;
            }
        }
    }

    /// True where some input was quarantined or could not be read.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.ledger.quarantined > 0 || !self.unreadable.is_empty() || self.objects_partial > 0
    }
}

/// Why an ingest failed as a whole.
#[derive(Debug, Error)]
pub enum IngestError {
    /// The lake could not be used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A path leads to no input.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// This machine could not hold what decoding needs, so that nothing can be said about an object.
    #[error(
        "`{object}` was left unread: {fault}. Make room in the folder of temporary files (TMPDIR) and run again; what was committed before is stored"
    )]
    Fault {
        /// The object.
        object: String,
        /// What failed.
        fault: ReadFault,
    },
    /// A thread of the pipeline panicked.
    #[error(
        "the ingest failed because of a bug; nothing uncommitted was stored, run it again. {0}"
    )]
    Internal(String),
}
