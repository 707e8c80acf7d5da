//! The receiver of decoded records.

use trailhound_datasets::event::Event;
use trailhound_datasets::reject::Reject;

/// Note on an object whose content ended early.
pub(crate) const PARTIAL_NOTE: &str = "partial: the content ended early";

/// The sink stopped the decoder. The sink itself knows the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkStopped;

/// Receives the records of an object in their order.
pub trait RecordSink {
    /// Receives an event. It borrows from the decoder; a sink that keeps it must copy.
    ///
    /// # Errors
    /// [`SinkStopped`] stops the decoder.
    fn event(&mut self, event: &Event<'_>) -> Result<(), SinkStopped>;

    /// Receives a piece of input that is no event.
    ///
    /// # Errors
    /// [`SinkStopped`] stops the decoder.
    fn reject(&mut self, reject: Reject) -> Result<(), SinkStopped>;

    /// A record that is no event either, and is left out because the object has too many of them. It has a number like every
    /// record. The object's last reject says how many were left out.
    ///
    /// # Errors
    /// [`SinkStopped`] stops the decoder.
    fn reject_left_out(&mut self) -> Result<(), SinkStopped> {
        Ok(())
    }

    /// Receives a note on the object that concerns no record: `trailing_bytes`.
    fn notice(&mut self, notice: &'static str);
}

/// Whether an object was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// The object was read to its end.
    Complete,
    /// The content ended early. The records before that were decoded; the rest is a reject.
    Partial,
}
