//! Where findings go: each sink takes parcels from the outbox and says of each what became of it.

pub mod address;
mod alertmanager;
mod chat;
mod file;
mod kafka;
mod mail;
pub mod ocsf;
mod post;
mod syslog;
mod tls;
mod webhook;
pub mod words;

use crate::store::outbox::{Delivery, OutboxMessage, ReportMessage};
pub use alertmanager::Alertmanager;
use async_trait::async_trait;
pub use chat::{Chat, Service};
pub use file::FileSink;
pub use kafka::KafkaSink;
pub use mail::{Encryption, Mail, MailOptions};
pub use syslog::{Syslog, SyslogOptions};
pub use webhook::Webhook;

/// The form in which a finding is written for programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// As `trailhound scan --format json` prints it.
    #[default]
    Native,
    /// OCSF Detection Finding.
    Ocsf,
}

impl Form {
    /// The text of `parcel` in this form.
    #[must_use]
    pub fn text(self, parcel: &OutboxMessage) -> String {
        match self {
            Self::Native => parcel.body.clone(),
            Self::Ocsf => ocsf::detection_finding(&parcel.finding, parcel.revision).to_string(),
        }
    }
}

/// A place that findings are sent to.
#[async_trait]
pub trait Sink: Send + Sync {
    /// How many findings it takes at a time.
    fn most(&self) -> usize;

    /// The least pause between two times.
    fn pace(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }

    /// Sends `parcels`, in order; one delivery for each.
    async fn deliver(&mut self, parcels: &[OutboxMessage]) -> Vec<Delivery>;

    /// Tells of a report.
    async fn report(&mut self, _report: &ReportMessage) -> Delivery {
        Delivery::Parked("this kind of sink is told findings only".to_owned())
    }

    /// Begins anew, before the first delivery and after one that could not be noted; `position` is what was last noted.
    fn resume(&mut self, _position: Option<&str>) {}

    /// How far its file is written, where it is a file.
    fn position(&mut self) -> Option<String> {
        None
    }
}

/// The same for all of `parcels`.
fn all(parcels: &[OutboxMessage], delivery: &Delivery) -> Vec<Delivery> {
    vec![delivery.clone(); parcels.len()]
}
