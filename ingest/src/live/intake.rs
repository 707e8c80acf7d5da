//! What one message or object decodes to, on its way into the staging area.

use crate::batch::Provenance;
use crate::decode::{Sink, Stop};
use crate::lake::CatalogError;
use crate::ledger::{Fate, Ledger};
use crate::staging::Staging;
use trailhound_datasets::event::Event;
use trailhound_datasets::reject::Reject;

/// Takes records and counts what became of each.
pub(super) struct Intake<'i, 's> {
    staging: &'i mut Staging<'s>,
    from: Provenance<'i>,
    /// Events from before this instant have expired.
    oldest: Option<i64>,
    /// Each record has a number of its own within the object; those of a message share its offset.
    numbered: bool,
    pub(super) ledger: Ledger,
    pub(super) failed: Option<CatalogError>,
    pub(super) notes: Vec<String>,
}

impl<'i, 's> Intake<'i, 's> {
    /// For the records of a message, which all stand at its offset.
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

    /// For the records of an object, which count from 0.
    pub(super) fn object(
        staging: &'i mut Staging<'s>,
        from: Provenance<'i>,
        oldest: Option<i64>,
    ) -> Self {
        Self { numbered: true, ..Self::message(staging, from, oldest) }
    }

    fn taken(&mut self, fate: Result<Fate, CatalogError>) -> Result<(), Stop> {
        match fate {
            Ok(fate) => {
                self.ledger.count(fate);
                self.from.record += i64::from(self.numbered);
                Ok(())
            }
            Err(error) => {
                self.failed = Some(error);
                Err(Stop)
            }
        }
    }
}

impl Sink for Intake<'_, '_> {
    fn event(&mut self, event: &Event<'_>) -> Result<(), Stop> {
        let fate = self.staging.event(event, &self.from, self.oldest);
        self.taken(fate)
    }

    fn reject(&mut self, reject: Reject) -> Result<(), Stop> {
        let fate = self.staging.reject(&reject, &self.from);
        self.taken(fate)
    }

    fn notice(&mut self, notice: &'static str) {
        self.notes.push(notice.to_owned());
    }
}
