//! The sink between the decoder and the staging area.

use crate::batch::Provenance;
use crate::decode::{RecordSink, SinkStopped};
use crate::lake::CatalogError;
use crate::ledger::{Ledger, RecordOutcome};
use crate::staging::Staging;
use trailhound_datasets::event::Event;
use trailhound_datasets::reject::Reject;

/// Stages the records of one message or object and counts them by outcome.
pub(super) struct StagingSink<'i, 's> {
    staging: &'i mut Staging<'s>,
    from: Provenance<'i>,
    /// Events with a time before this have expired; microseconds since 1970 UTC.
    oldest: Option<i64>,
    /// True for an object, whose records are numbered; false for a message, whose records all have
    /// the offset of the message.
    numbered: bool,
    pub(super) ledger: Ledger,
    /// Why staging stopped early.
    pub(super) failed: Option<CatalogError>,
    pub(super) notes: Vec<String>,
}

impl<'i, 's> StagingSink<'i, 's> {
    /// A sink for the records of a message, which all have the message's offset as position.
    pub(super) fn message(
        staging: &'i mut Staging<'s>,
        from: Provenance<'i>,
        oldest: Option<i64>,
    ) -> Self {
        Self {
            staging,
            from,
            oldest,
            numbered: false,
            ledger: Ledger::default(),
            failed: None,
            notes: Vec::new(),
        }
    }

    /// A sink for the records of an object, whose positions count from 0.
    pub(super) fn object(
        staging: &'i mut Staging<'s>,
        from: Provenance<'i>,
        oldest: Option<i64>,
    ) -> Self {
        Self { numbered: true, ..Self::message(staging, from, oldest) }
    }

    fn count(&mut self, outcome: Result<RecordOutcome, CatalogError>) -> Result<(), SinkStopped> {
        match outcome {
            Ok(outcome) => {
                self.ledger.count(outcome);
                self.from.record += i64::from(self.numbered);
                Ok(())
            }
            Err(error) => {
                self.failed = Some(error);
                Err(SinkStopped)
            }
        }
    }
}

impl RecordSink for StagingSink<'_, '_> {
    fn event(&mut self, event: &Event<'_>) -> Result<(), SinkStopped> {
        let outcome = self.staging.event(event, &self.from, self.oldest);
        self.count(outcome)
    }

    fn reject(&mut self, reject: Reject) -> Result<(), SinkStopped> {
        let outcome = self.staging.reject(&reject, &self.from);
        self.count(outcome)
    }

    fn reject_left_out(&mut self) -> Result<(), SinkStopped> {
        // The row that sums up the rejects of the object stands for it.
        self.count(Ok(RecordOutcome::Duplicate))
    }

    fn notice(&mut self, notice: &'static str) {
        self.notes.push(notice.to_owned());
    }
}
