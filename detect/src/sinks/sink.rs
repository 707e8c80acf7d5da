//! The interface of all sinks: [`Sink`], and the format in which a finding is sent to programs.

use crate::sinks::ocsf;
use crate::store::outbox::{DeliveryOutcome, OutboxMessage, ReportMessage};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// The format in which a finding is sent to programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadFormat {
    /// The JSON that `trailhound scan --format json` prints.
    #[default]
    Native,
    /// OCSF Detection Finding, as JSON.
    Ocsf,
}

impl PayloadFormat {
    /// Writes the finding of `message` in this format.
    #[must_use]
    pub fn encode(self, message: &OutboxMessage) -> String {
        match self {
            Self::Native => message.body.clone(),
            Self::Ocsf => ocsf::detection_finding(&message.finding, message.revision).to_string(),
        }
    }
}

/// A destination of findings.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The most findings of one delivery.
    fn batch_max(&self) -> usize;

    /// The least pause between two deliveries.
    fn min_pause(&self) -> Duration {
        Duration::ZERO
    }

    /// Sends `messages` in order and returns one outcome for each. `now` is the present time;
    /// signatures and file names are made of it.
    async fn deliver(
        &mut self,
        messages: &[OutboxMessage],
        now: DateTime<Utc>,
    ) -> Vec<DeliveryOutcome>;

    /// Sends the notice of a report. A sink that takes findings only refuses it.
    async fn deliver_report(
        &mut self,
        _report: &ReportMessage,
        _now: DateTime<Utc>,
    ) -> DeliveryOutcome {
        DeliveryOutcome::DeadLettered("this kind of sink is told findings only".to_owned())
    }

    /// Starts over: before the first delivery, and after one whose outcome could not be recorded.
    /// `position` is the last recorded [`Sink::position`].
    fn resume(&mut self, _position: Option<&str>) {}

    /// How far the sink has written, to be recorded with the outcomes. `None` for sinks that keep
    /// no position.
    fn position(&mut self) -> Option<String> {
        None
    }
}

/// Gives all of `messages` the outcome of the one request that carried them.
pub(super) fn same_outcome(
    messages: &[OutboxMessage],
    outcome: &DeliveryOutcome,
) -> Vec<DeliveryOutcome> {
    vec![outcome.clone(); messages.len()]
}
